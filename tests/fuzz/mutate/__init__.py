"""Damage bytes: seeded, so that a number repeats a case, and aware of what formats are made of.

A seed is what a mutant is made from.  The simplest is :class:`Raw` bytes.  Checksums and lengths
would stop most mutants of a container at its door, so :class:`Packed` damages one member and
packs again, and :class:`Proto`, :class:`Pickle`, :class:`Tokens` and :class:`Json` take a file
apart into fields, opcodes, words or values, and shuffle those.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from fuzz.mutate.damage import LONGEST, damaged
from fuzz.mutate.parts import Pickle, Tokens
from fuzz.mutate.proto import Proto
from fuzz.mutate.seed import Packed, Raw, Seed
from fuzz.mutate.values import Json

__all__ = [
    "LONGEST", "Json", "Packed", "Pickle", "Proto", "Raw", "Seed", "Tokens", "damaged", "mutant",
    "truncations",
]  # fmt: skip


def mutant(
    seeds: Sequence[Seed], words: Sequence[bytes], number: int, seed: int, name: str
) -> bytes:
    """Case `number`: always the same for the same arguments."""
    random = Random(f"{name}:{seed}:{number}")
    return random.choice(seeds).mutant(random, words, random.choice(seeds))[:LONGEST]


def truncations(seeds: Sequence[Seed], words: Sequence[bytes]) -> list[tuple[int, int]]:
    """Seed and length: all lengths up to 4,096, around every mark of the format, and the last."""
    cut = []
    for index, seed in enumerate(seeds):
        data = seed.whole()
        lengths = {*range(min(len(data), 4097)), *range(max(0, len(data) - 64), len(data))}
        for word in words:
            for found in list(re.finditer(re.escape(word), data))[:100]:
                lengths |= {found.start(), found.start() + 1, found.end(), found.end() + 8}
        lengths |= {len(data) * part // 16 for part in range(16)}
        cut += [(index, length) for length in sorted(lengths) if length < len(data)]
    return cut
