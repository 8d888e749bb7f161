"""Damage bytes: seeded, so that a number repeats a case, and aware of what formats are made of.

A seed is what a mutant is made from.  The simplest is :class:`Raw` bytes.  Checksums and lengths
would stop most mutants of a container at its door, so :class:`Packed` damages one member and
packs again, and :class:`Proto`, :class:`Pickle`, :class:`Tokens` and :class:`Json` take a file
apart into fields, opcodes, words or values, and shuffle those.
"""

from __future__ import annotations

import copy
import json
import pickletools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

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


class Seed(Protocol):
    """A valid file, and a way to damage it."""

    def whole(self) -> bytes: ...

    def mutant(self, random: Random, words: Sequence[bytes], other: Seed) -> bytes:
        """One damaged version; `words` are those of the format, `other` another seed of it."""
        ...


@dataclass(frozen=True)
class Raw:
    """Bytes, and nothing known about them."""

    data: bytes

    def whole(self) -> bytes:
        return self.data

    def mutant(self, random: Random, words: Sequence[bytes], other: Seed) -> bytes:
        return damaged(self.data, random, words, other.whole())


@dataclass(frozen=True)
class Packed:
    """Members that a container holds with checksums or lengths, which `pack` makes right again."""

    members: Mapping[str, Seed | bytes]
    pack: Callable[[dict[str, bytes]], bytes]

    def parts(self) -> dict[str, bytes]:
        """The members, undamaged."""
        return {name: _seed(value).whole() for name, value in self.members.items()}

    def whole(self) -> bytes:
        return self.pack(self.parts())

    def mutant(self, random: Random, words: Sequence[bytes], other: Seed) -> bytes:
        if random.random() < 0.3:
            return damaged(self.whole(), random, words, other.whole())
        made = self.parts()
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            name = random.choice(list(made))
            chance = random.random()
            if chance < 0.05:
                del made[name]
                break
            if chance < 0.1:
                made[_text(damaged(name.encode(), random, words, b""))] = made[name]
                continue
            donor = random.choice(list(made.values())) if random.random() < 0.2 else made[name]
            intact = _seed(self.members.get(name, made[name]))
            made[name] = intact.mutant(random, words, Raw(donor))
        return self.pack(made)


@dataclass(frozen=True)
class Proto:
    """A protobuf message, taken apart without its schema: what parses as a message is one."""

    data: bytes

    def whole(self) -> bytes:
        return self.data

    def mutant(self, random: Random, words: Sequence[bytes], other: Seed) -> bytes:
        tree = _fields(self.data, 0)
        if tree is None or random.random() < 0.25:
            return damaged(self.data, random, words, other.whole())
        for _ in range(random.choice((1, 1, 2, 4))):
            _shuffle_fields(tree, random, words)
        return _encoded(tree)[:LONGEST]


@dataclass(frozen=True)
class Pickle:
    """A pickle, taken apart into its opcodes."""

    data: bytes

    def whole(self) -> bytes:
        return self.data

    def mutant(self, random: Random, words: Sequence[bytes], other: Seed) -> bytes:
        if random.random() < 0.2:
            return damaged(self.data, random, words, other.whole())
        starts = [at for _, _, at in pickletools.genops(self.data) if at is not None]
        ends = [*starts[1:], len(self.data)]
        ops = [self.data[start:end] for start, end in zip(starts, ends, strict=True)]
        for _ in range(random.choice((1, 1, 2, 4))):
            _shuffle(ops, random, OPCODES)
            if ops and random.random() < 0.3:
                at = random.randrange(len(ops))
                ops[at] = ops[at][:1] + damaged(ops[at][1:], random, words, b"")
        return b"".join(ops)[:LONGEST]


@dataclass(frozen=True)
class Tokens:
    """Text, taken apart into words, numbers and marks."""

    data: bytes

    def whole(self) -> bytes:
        return self.data

    def mutant(self, random: Random, words: Sequence[bytes], other: Seed) -> bytes:
        if random.random() < 0.2:
            return damaged(self.data, random, words, other.whole())
        tokens = re.findall(rb'"[^"\n]*"|[\w.+-]+|\s+|.', self.data, re.DOTALL)
        for _ in range(random.choice((1, 1, 2, 4, 8))):
            _shuffle(tokens, random, (*words, *WORDS, *map(_ascii, NUMBERS)))
        return b"".join(tokens)[:LONGEST]


@dataclass(frozen=True)
class Json:
    """JSON, taken apart into its values."""

    data: bytes

    def whole(self) -> bytes:
        return self.data

    def mutant(self, random: Random, words: Sequence[bytes], other: Seed) -> bytes:
        if random.random() < 0.25:
            return damaged(self.data, random, (*words, *WORDS), other.whole())
        root = [json.loads(self.data)]
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            _shuffle_values(root, random, words)
        text = json.dumps(root[0]).encode()
        if random.random() < 0.05:  # a key twice, which no dictionary can say
            at = text.find(b"{", random.randrange(len(text))) + 1
            text = text[:at] + b'"name": 1, "name": 2, ' * (at > 0) + text[at:]
        return text[:LONGEST]


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
        text = _ascii(random.choice((near, random.choice(NUMBERS))))
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


# Mutations of what was taken apart

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


def _shuffle_values(root: list[Any], random: Random, words: Sequence[bytes]) -> None:
    """Change one value of a tree of dictionaries and lists, or a key, in place."""
    places: list[tuple[Any, Any]] = []
    todo: list[Any] = [root]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            inside = list(node.items())
        else:
            inside = list(enumerate(node))
        places += [(node, key) for key, _ in inside]
        todo += [value for _, value in inside if isinstance(value, (dict, list))]
    if not places:
        root[:] = [0]
        return
    node, key = random.choice(places)
    other, there = random.choice(places)
    value = node[key]
    kind = random.randrange(8)
    if kind == 0 and node is not root:
        del node[key]
    elif kind == 1:
        if isinstance(node, dict):
            node[_text(random.choice((*words, *WORDS)))] = value
        else:
            node.insert(key, copy.deepcopy(value))
    elif kind == 2:
        node[key] = [value]
    elif kind == 3 and isinstance(value, int):
        node[key] = value + random.choice((-1, 1, 2))
    elif kind == 4:
        node[key] = copy.deepcopy(other[there])
    else:
        node[key] = random.choice(
            (
                None, True, False, "", [], {}, 0.5, -1.5, 1e308, float("inf"), float("nan"), 2**31,
                2**63, 10**30, [1] * 1000, "a" * 5000,
                "\0", "\ud800", [[[[[[]]]]]], random.choice(NUMBERS), random.choice(NUMBERS),
                _text(random.choice((*words, *WORDS))),
            )
        )  # fmt: skip


# Protobuf, as far as a mutator needs it: [field number and wire type, value] with nested lists

Field = list[Any]
VARINT, FIXED64, BYTES_FIELD, FIXED32 = 0, 1, 2, 5


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


def varint(value: int) -> bytes:
    """Encode an integer as protobuf does, negative ones as 64 bits."""
    value %= 1 << 64
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


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


def _seed(value: Seed | bytes) -> Seed:
    return Raw(value) if isinstance(value, bytes) else value


def _ascii(value: int) -> bytes:
    return str(value).encode()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
