"""Damaged files, for readers whose format needs no more than that: cut, flipped, overwritten."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from decaf.errors import DecafError

# What programs that read lengths tend to stumble over, little-endian.
NUMBERS = [
    number.to_bytes(size, "little")
    for size in (2, 4, 8)
    for number in (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
]


def damaged(data: bytes, cuts: int = 300, changes: int = 600) -> Iterator[bytes]:
    """The file cut off at `cuts` places or more, then with `changes` of its bytes or numbers."""
    for end in sorted({*range(min(len(data), 100)), *range(0, len(data), len(data) // cuts + 1)}):
        yield data[:end]
    rng = random.Random(len(data))
    for _ in range(changes):
        changed = bytearray(data)
        # Most of what matters stands in front.
        at = rng.randrange(rng.choice((64, 512, 4096, len(data)))) % len(data)
        if rng.random() < 0.5:
            changed[at] ^= 1 << rng.randrange(8)
        else:
            number = rng.choice(NUMBERS)
            changed[at : at + len(number)] = number
        yield bytes(changed)
    yield data + b"\0"


def assert_only_decaf_errors(read: Callable[[bytes], Any], data: bytes, **options: int) -> None:
    """Read the file, then damaged versions of it: some must be refused, and none otherwise."""
    read(data)
    refused = 0
    for mutant in damaged(data, **options):
        try:
            read(mutant)
        except DecafError as error:
            refused += 1
            assert len(str(error)) < 1000
    assert refused >= 100
