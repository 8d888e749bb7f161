"""Damage to bytes of which nothing is known: bits, integers, digits, blocks, two files in one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Any

LONGEST = 1 << 18  # bytes of a mutant
NUMBERS = sorted(
    {sign * (2**bits + more) for bits in (0, 7, 8, 15, 16, 20, 24, 31, 32, 40, 62, 63, 64)
     for more in (-2, -1, 0, 1) for sign in (1, -1)} | {3, 5, 10, 100, 1000, 4096, 10**6, 10**12}
)  # fmt: skip
WORDS = tuple(
    word.encode()
    for word in (
        "nan", "inf", "-inf", "1e308", "1e999", "-0.0", "0x1", "1_0", "\u0661", "true", "null",
        "9" * 30, "1" * 5000, '"', "'", "\\", "\0", "\n", "#", "/", "..", "é", "\ud7ff", " ",
        "[", "]", "{", "}", "(", ")", ":", ",",
    )
)  # fmt: skip
DIGITS = re.compile(rb"-?\d+")


def damaged(data: bytes, random: Random, words: Sequence[bytes], other: bytes) -> bytes:
    """One to eight mutations of bytes, one on top of the other."""
    result = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 4, 8))):
        random.choice(BYTES)(result, random, words, other)
        del result[LONGEST:]
    return bytes(result)


# Mutations of bytes, in place


def _flip(data: bytearray, random: Random, words: Sequence[bytes], other: bytes) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _byte(data: bytearray, random: Random, words: Sequence[bytes], other: bytes) -> None:
    if data:
        data[random.randrange(len(data))] = random.choice(
            (0, 1, 0x7F, 0x80, 0xFF, *random.randbytes(3))
        )


def _integer(data: bytearray, random: Random, words: Sequence[bytes], other: bytes) -> None:
    """Put an interesting number where an integer may stand, or change the one that does."""
    size = random.choice((1, 2, 4, 4, 8, 8))
    if len(data) < size:
        return
    at = random.randrange(len(data) - size + 1)
    if random.random() < 0.5:
        at -= at % min(size, 4)
    order: Any = random.choice(("little", "little", "big"))
    if random.random() < 0.4:
        value = int.from_bytes(data[at : at + size], order) + random.choice((-8, -2, -1, 1, 2, 8))
    else:
        near = len(data) + random.choice((-at, 0, 0)) + random.choice((-1, 0, 1))
        value = random.choice((near, random.choice(NUMBERS), random.choice(NUMBERS)))
    data[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, order)


def _digits(data: bytearray, random: Random, words: Sequence[bytes], other: bytes) -> None:
    start = random.randrange(len(data)) if data else 0
    found = DIGITS.search(data, start) or DIGITS.search(data)
    if found:
        near = int(found[0][:30]) + random.choice((-1, 1))
        text = b"%d" % random.choice((near, random.choice(NUMBERS)))
        if random.random() < 0.5:  # of the same length, so that what follows stays in place
            text = text[: len(found[0])].rjust(len(found[0]), b"0")
        data[found.start() : found.end()] = text


def _delete(data: bytearray, random: Random, words: Sequence[bytes], other: bytes) -> None:
    start, end = _part(data, random)
    del data[start:end]


def _repeat(data: bytearray, random: Random, words: Sequence[bytes], other: bytes) -> None:
    start, end = _part(data, random)
    data[start:start] = data[start:end] * random.choice((1, 1, 2, 10, 1000))


def _move(data: bytearray, random: Random, words: Sequence[bytes], other: bytes) -> None:
    """Overwrite one part with another, so that nothing else moves."""
    start, end = _part(data, random)
    at = random.randrange(len(data) - (end - start) + 1) if data else 0
    data[at : at + end - start] = data[start:end]


def _insert(data: bytearray, random: Random, words: Sequence[bytes], other: bytes) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = random.choice((random.randbytes(random.randrange(1, 17)), b"\0" * 8, b"\xff" * 8))


def _word(data: bytearray, random: Random, words: Sequence[bytes], other: bytes) -> None:
    word = random.choice((*words, *WORDS))
    at = random.randrange(len(data) + 1)
    data[at : at + random.choice((0, len(word)))] = word


def _splice(data: bytearray, random: Random, words: Sequence[bytes], other: bytes) -> None:
    start, end = _part(other, random)
    at = random.randrange(len(data) + 1)
    data[at : at + random.choice((0, end - start))] = other[start:end]


def _cross(data: bytearray, random: Random, words: Sequence[bytes], other: bytes) -> None:
    """The front of one file and the back of another."""
    data[random.randrange(len(data) + 1) :] = other[random.randrange(len(other) + 1) :]


def _truncate(data: bytearray, random: Random, words: Sequence[bytes], other: bytes) -> None:
    del data[random.randrange(len(data) + 1) :]


def _nest(data: bytearray, random: Random, words: Sequence[bytes], other: bytes) -> None:
    """Repeat an opening: one that the format knows, or a few bytes of the file."""
    start = random.randrange(len(data) + 1)
    opening = bytes(data[start : start + random.randrange(1, 9)])
    if random.random() < 0.5:
        opening = random.choice((*words, b"[", b"{", b"("))
    data[start:start] = opening * random.choice((2, 20, 200, 2000))


BYTES = (
    _flip, _flip, _byte, _byte, _integer, _integer, _integer, _integer, _digits, _digits, _delete,
    _repeat, _move, _insert, _word, _splice, _cross, _truncate, _nest,
)  # fmt: skip


def _part(data: bytes | bytearray, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((1, 2, 4, 8, 16, 64, 512)))
