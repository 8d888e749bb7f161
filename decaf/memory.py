"""Where the values of a plan lie: one block of memory, shared by values that never meet.

A value lives from the step that computes it to the last step that reads it.  Each is placed
at the lowest address where it overlaps no value that lives at the same time (first fit).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


@dataclass(frozen=True)
class Block:
    """The place of one value in the memory of a plan."""

    name: str
    shape: tuple[int, ...]  # N first; float32
    first: int  # the step that writes it
    last: int  # the last step that reads it
    offset: int  # bytes

    @property
    def nbytes(self) -> int:
        """Bytes of the value itself."""
        return math.prod(self.shape) * 4

    @property
    def end(self) -> int:
        """Offset behind it, rounded up so that the next value is aligned."""
        return self.offset + -(-self.nbytes // ALIGNMENT) * ALIGNMENT

    def array(self, arena: NDArray[np.uint8]) -> NDArray[np.float32]:
        """View the value in the memory of the plan."""
        values = arena[self.offset : self.offset + self.nbytes].view(np.float32)
        return values.reshape(self.shape)


def place(values: Iterable[tuple[str, tuple[int, ...], int, int]]) -> tuple[Block, ...]:
    """Place values given as (name, shape, first step, last step), first fit.

    >>> a, b, c = place([("a", (16,), 0, 1), ("b", (16,), 1, 2), ("c", (8,), 2, 3)])
    >>> a.offset, b.offset, c.offset                    # c takes the place of a
    (0, 64, 0)
    """
    placed: list[Block] = []
    for name, shape, first, last in values:
        meets = [block for block in placed if block.first <= last and first <= block.last]
        block = Block(name, shape, first, last, 0)
        for other in sorted(meets, key=lambda block: block.offset):
            if other.offset >= block.end:
                break
            if other.end > block.offset:
                block = Block(name, shape, first, last, other.end)
        placed.append(block)
    return tuple(placed)


def aligned_empty(nbytes: int) -> NDArray[np.uint8]:
    """Allocate memory that starts at a multiple of ``ALIGNMENT``."""
    memory = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + nbytes]


@dataclass(frozen=True)
class MemoryTable:
    """What a plan takes; ``print`` it."""

    blocks: tuple[Block, ...]
    scratch_bytes: int  # columns and partial sums, for all threads
    parameter_bytes: int  # as in the file; packed filters are as large

    @property
    def arena_bytes(self) -> int:
        """Bytes of the block of memory that all values share."""
        return max(block.end for block in self.blocks)

    def __str__(self) -> str:
        rows = [f"{'value':<24} {'shape':<22} {'bytes':>14} {'offset':>14}  steps"]
        rows += [
            f"{block.name:<24} {'x'.join(map(str, block.shape)):<22} {block.nbytes:>14,} "
            f"{block.offset:>14,}  {block.first}-{block.last}"
            for block in self.blocks
        ]
        separate = sum(block.nbytes for block in self.blocks)
        rows += [
            f"{'values':<47} {self.arena_bytes:>14,}   ({separate:,} if each had its own)",
            f"{'scratch':<47} {self.scratch_bytes:>14,}",
            f"{'parameters':<47} {self.parameter_bytes:>14,}",
        ]
        return "\n".join(rows)
