"""Mutants of what is a sequence of parts: the opcodes of a pickle, the words of a text."""

from __future__ import annotations

import pickletools
import re
from collections.abc import Sequence
from random import Random

from fuzz.mutate.damage import LONGEST, NUMBERS, WORDS, damaged
from fuzz.mutate.seed import Raw, Seed

OPCODES = (
    b"(", b")", b"]", b"}", b"0", b"1", b"2", b".", b"N", b"t", b"d", b"l", b"s", b"u", b"a", b"e",
    b"R", b"b", b"Q", b"o", b"\x81", b"\x85", b"\x86", b"\x87", b"\x88", b"\x89", b"\x8f", b"\x90",
    b"\x91", b"\x92", b"\x93", b"\x94", b"\x97", b"\x98", b"K\x01", b"K\xff", b"M\xff\xff",
    b"J\xff\xff\xff\xff", b"J\xff\xff\xff\x7f", b"\x8a\x08" + b"\xff" * 7 + b"\x7f",
    b"\x8a\xff" + b"\x7f" * 255, b"\x8b\xff\xff\xff\x7f", b"L1L\n", b"I99999999999999999999\n",
    b"I01\n", b"F1e999\n", b"G" + b"\x7f\xf0" + b"\0" * 6, b"h\0", b"h\xff", b"q\0", b"q\xff",
    b"j\xff\xff\xff\x7f", b"r\xff\xff\xff\x7f", b"X\xff\xff\xff\x7f", b"X\1\0\0\0a",
    b"\x8c\1\xff", b"U\xff", b"B\xff\xff\xff\xff", b"\x8e" + b"\xff" * 8, b"\x95" + b"\xff" * 8,
    b"\x96" + b"\xff" * 8, b"C\1a", b"S'a'\n", b"S\"\\x\n", b"V\\ud800\n", b"P0\n", b"g0\n",
    b"p0\n",
    b"cos\nsystem\n", b"cbuiltins\neval\n", b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch\nFloatStorage\n", b"ctorch\nload\n", b"ccollections\nOrderedDict\n",
    b"ios\nsystem\n", b"\x80\x05", b"\x80\xff", b"\x82\x01", b"\x83\1\1", b"\x84\1\1\1\1",
)  # fmt: skip


class Pickle(Raw):
    """A pickle, taken apart into its opcodes."""

    def mutant(self, random: Random, words: Sequence[bytes], other: Seed) -> bytes:
        if random.random() < 0.2:
            return super().mutant(random, words, other)
        starts = [at for _, _, at in pickletools.genops(self.data) if at is not None]
        ends = [*starts[1:], len(self.data)]
        ops = [self.data[start:end] for start, end in zip(starts, ends, strict=True)]
        for _ in range(random.choice((1, 1, 2, 4))):
            _shuffle(ops, random, OPCODES)
            if ops and random.random() < 0.3:
                at = random.randrange(len(ops))
                ops[at] = ops[at][:1] + damaged(ops[at][1:], random, words, b"")
        return b"".join(ops)[:LONGEST]


class Tokens(Raw):
    """Text, taken apart into words, numbers and marks."""

    def mutant(self, random: Random, words: Sequence[bytes], other: Seed) -> bytes:
        if random.random() < 0.2:
            return super().mutant(random, words, other)
        tokens = re.findall(rb'"[^"\n]*"|[\w.+-]+|\s+|.', self.data, re.DOTALL)
        for _ in range(random.choice((1, 1, 2, 4, 8))):
            _shuffle(tokens, random, (*words, *WORDS, *(b"%d" % n for n in NUMBERS)))
        return b"".join(tokens)[:LONGEST]


def _shuffle(parts: list[bytes], random: Random, others: Sequence[bytes]) -> None:
    """Delete, repeat, swap, replace, insert or change one part, in place."""
    if not parts:
        parts.append(random.choice(others))
    at, second = random.randrange(len(parts)), random.randrange(len(parts))
    kind = random.randrange(8)
    if kind == 0:
        del parts[at : at + random.choice((1, 1, 1, 8))]
    elif kind == 1:
        parts[at:at] = parts[at : at + random.choice((1, 1, 8))] * random.choice((1, 1, 2, 100))
    elif kind == 2:
        parts[at], parts[second] = parts[second], parts[at]
    elif kind == 3:
        parts[at] = parts[second]
    elif kind == 4:
        parts.insert(at, random.choice(others))
    elif kind == 5:
        parts[at] = damaged(parts[at], random, others, b"")
    else:
        parts[at] = random.choice(others)
