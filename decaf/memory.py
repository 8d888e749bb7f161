"""Where the values of a plan lie: one block of memory, shared by values that never meet.

A value lives from the step that computes it to the last step that reads it.  Each is placed
at the lowest address where it overlaps no value that lives at the same time (first fit).
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterable
from contextlib import suppress
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


def release(array: NDArray[np.generic]) -> None:
    """Let go of the pages of a mapped file that lie inside an array; reading brings them back.

    What has been read of a file counts as memory of this process until the system wants it for
    something else.  Does nothing for an array that is in no file mapped for reading, nor where
    the system has no such call.
    """
    owner: object = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if not isinstance(owner, memoryview) or not isinstance(owner.obj, mmap.mmap):
        return
    whole = memoryview(owner.obj)
    if not whole.readonly or not hasattr(mmap, "MADV_DONTNEED"):
        return  # what can be written may hold more than the file
    start = array.ctypes.data - np.frombuffer(whole, np.uint8).ctypes.data
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (start + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if array.flags.c_contiguous and first < last:
        with suppress(OSError):  # locked pages stay; this is only a hint
            owner.obj.madvise(mmap.MADV_DONTNEED, first, last - first)


@dataclass(frozen=True)
class MemoryTable:
    """What a plan takes; ``print`` it."""

    blocks: tuple[Block, ...]  # values on the way, of a piece of the batch
    end_bytes: int  # the input and what is wanted, of the whole batch
    scratch_bytes: int  # what kernels note down meanwhile, all threads together
    parameter_bytes: int  # as they are kept: filters packed, or transformed and larger

    @property
    def arena_bytes(self) -> int:
        """Bytes of the block of memory that all values on the way share."""
        return max((block.end for block in self.blocks), default=0)

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
            f"{'input and outputs':<47} {self.end_bytes:>14,}",
            f"{'scratch':<47} {self.scratch_bytes:>14,}",
            f"{'parameters':<47} {self.parameter_bytes:>14,}",
        ]
        return "\n".join(rows)
