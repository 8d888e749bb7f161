"""Mutants of protocol buffers: taken apart into fields, without a schema."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from random import Random
from typing import Any

from formats.wire import varint
from fuzz.mutate.damage import LONGEST, NUMBERS, damaged
from fuzz.mutate.seed import Raw, Seed

Field = list[Any]  # tag (field number and wire type), value: a number, bytes or a list of fields
VARINT, FIXED64, BYTES_FIELD, FIXED32 = 0, 1, 2, 5


class Proto(Raw):
    """A protobuf message, taken apart without its schema: what parses as a message is one."""

    def mutant(self, random: Random, words: Sequence[bytes], other: Seed) -> bytes:
        tree = _fields(self.data, 0)
        if tree is None or random.random() < 0.25:
            return super().mutant(random, words, other)
        for _ in range(random.choice((1, 1, 2, 4))):
            _shuffle_fields(tree, random, words)
        return _encoded(tree)[:LONGEST]


def _fields(data: bytes, depth: int) -> list[Field] | None:
    """Fields of what looks like a message; None for what does not."""
    found: list[Field] = []
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag is None or not 0 < tag >> 3 < 1000:
            return None
        kind = tag & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            if value is None:
                return None
            found.append([tag, value])
            continue
        if kind == BYTES_FIELD:
            size, at = _varint(data, at)
        else:
            size = {FIXED64: 8, FIXED32: 4}.get(kind)
        if size is None or at + size > len(data):
            return None
        body = data[at : at + size]
        at += size
        inside = _fields(body, depth + 1) if kind == BYTES_FIELD and body and depth < 8 else None
        found.append([tag, body if inside is None else inside])
    return found


def _varint(data: bytes, at: int) -> tuple[int | None, int]:
    value = 0
    for i, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    return None, at


def _encoded(tree: list[Field]) -> bytes:
    out = []
    for tag, value in tree:
        if isinstance(value, int):
            out.append(varint(tag) + varint(value))
            continue
        body = _encoded(value) if isinstance(value, list) else value
        out.append(varint(tag) + (varint(len(body)) if tag & 7 == BYTES_FIELD else b"") + body)
    return b"".join(out)


def _shuffle_fields(tree: list[Field], random: Random, words: Sequence[bytes]) -> None:
    """Change one field of one of the messages, in place."""
    message = tree
    while True:  # deeper and deeper, or stop here
        inside = [value for _, value in message if isinstance(value, list)]
        if not inside or random.random() < 0.25:
            break
        message = random.choice(inside)
    if not message:
        message.append([8 * random.randrange(1, 20), random.choice(NUMBERS)])
        return
    at = random.randrange(len(message))
    tag, value = message[at]
    kind = random.randrange(9)
    if kind == 0:
        del message[at]
    elif kind == 1:
        message[at:at] = [copy.deepcopy(message[at])] * random.choice((1, 1, 2, 100))
    elif kind == 2:
        message[at][0] = max(8, tag + 8 * random.choice((-1, 1, 2, 10)))
    elif kind == 3:
        message.insert(at, [8 * random.randrange(1, 30), random.choice(NUMBERS)])
    elif kind == 4:
        other = random.choice(message)
        message[at][1] = copy.deepcopy(other[1]) if (other[0] ^ tag) & 7 == 0 else value
    elif kind == 5 and tag & 7 == BYTES_FIELD:  # a message inside itself
        body = _encoded(value) if isinstance(value, list) else value
        for _ in range(random.choice((1, 3, 20, 200))):
            body = varint(tag) + varint(len(body)) + body
            if len(body) > LONGEST:
                break
        message[at][1] = body
    elif isinstance(value, int):
        message[at][1] = random.choice((value ^ 1, value + 1, random.choice(NUMBERS)))
    elif isinstance(value, list):
        message[at][1] = damaged(_encoded(value), random, words, b"")
    else:
        body = damaged(value, random, words, b"")
        message[at][1] = body if tag & 7 == BYTES_FIELD else body[: len(value)].ljust(len(value))
