"""Pickles of state dictionaries by hand, because pickling real ones would take torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from formats.payloads import ODICT, PROTO, named, text


def opcodes(value: Any) -> bytes:
    """Opcodes for text, whole numbers, tuples and lists; bytes are opcodes already."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int) and 0 <= value < 256:
        return b"K" + bytes([value])
    if isinstance(value, int) and -(2**31) <= value < 2**31:
        return b"J" + value.to_bytes(4, "little", signed=True)
    if isinstance(value, int):
        return b"\x8a\x0c" + value.to_bytes(12, "little", signed=True)
    if isinstance(value, list):
        return b"](" + b"".join(map(opcodes, value)) + b"e"
    return b"(" + b"".join(map(opcodes, value)) + b"t"


def pickled(value: Any) -> bytes:
    return PROTO + opcodes(value) + b"."


def dictionary(items: dict[str, bytes]) -> bytes:
    return ODICT + b"(" + b"".join(opcodes(k) + v for k, v in items.items()) + b"u"


def storage(key: str, numel: int, kind: str = "Float", *view: bytes) -> bytes:
    return opcodes(("storage", named("torch", f"{kind}Storage"), key, "cpu", numel, *view)) + b"Q"


def tensor(
    stored: bytes, shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0
) -> bytes:
    arguments = (stored, offset, shape, stride, b"\x89", ODICT)
    return named("torch._utils", "_rebuild_tensor_v2") + opcodes(arguments) + b"R"


def strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))


def numbers_that_collide(bits: int = 14, full: int = 7000, more: int = 3000) -> list[int]:
    """Keys that each try most of a dictionary's places before they find one.

    CPython looks at ``i = 5 * i + 1 + perturb`` next, where perturb is the rest of the hash and
    soon 0, and the hash of a whole number is the number: so fill that chain, then aim at its start.
    """
    mask, chain, at = (1 << bits) - 1, [], 0
    for _ in range(full):
        chain.append(at)
        at = (5 * at + 1) & mask
    place = {key: i for i, key in enumerate(chain)}
    aimed: dict[int, None] = {}
    random = np.random.default_rng(0)
    while len(aimed) < more:
        key = int(random.integers(2 ** (bits + 1), 2**31))
        at, perturb = key & mask, key
        while perturb and at in place:
            perturb >>= 5
            at = (5 * at + perturb + 1) & mask
        if place.get(at, full) < full // 2:
            aimed[key] = None
    return chain + list(aimed)


def shared_pairs(count: int) -> bytes:
    """OrderedDict in the memo at 0, and a list of pairs at 1, to be called with ``h0 h1 R``."""
    pairs = b"".join(b"K%cN\x86" % i for i in range(count))
    return named("collections", "OrderedDict") + b"q\x000](" + pairs + b"e\x85q\x010"


def hostile() -> dict[str, bytes]:
    """Pickles of state dictionaries that cost more than they should."""
    collide = numbers_that_collide()
    one = storage("0", 1)
    doubled = b"".join(b"(h%ch%ctq%c" % (i, i, i + 1) for i in range(200))
    grown = b"".join(b"h%ch%c\x86q%c0" % (i, i, i + 1) for i in range(200))
    shared = {f"w{i}": tensor(storage("0", 132), (132,), (1,)) for i in range(1500)}

    def weight(*arguments: Any) -> bytes:
        return pickled(dictionary({"conv1.weight": tensor(*arguments)}))

    return {
        "lists inside lists": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        "tuples inside tuples": b"\x80\x02)" + b"\x85" * 100_000 + b".",
        "marks": b"\x80\x02" + b"(" * 100_000 + b".",
        "dictionaries inside dictionaries": b"\x80\x02"
        + (b"}" + opcodes("a")) * 20_000 + b"N" + b"s" * 20_000 + b".",
        "2^200 of tuples": b"\x80\x02)q\0" + doubled + b".",
        "2^200 of pairs as a key": b"\x80\x02})q\0" + grown + b"h\xc8Ns.",
        "a list inside itself": b"\x80\x02]q\0h\0a.",
        "a dictionary inside itself": b"\x80\x02}q\0" + opcodes("a") + b"h\0s.",
        "a state of itself": b"\x80\x02}q\0" + opcodes("state_dict") + b"h\0s.",
        "a list that doubles": b"\x80\x02]q\0(" + b"h\0h\0e(" * 10_000 + b"e.",
        "an OrderedDict of a shared list": b"\x80\x02](" + (opcodes("a") + b"N\x86") * 1000
        + b"eq\0" + b"ccollections\nOrderedDict\nh\0\x85R0" * 3000 + b"h\0.",
        "numbers that collide as keys": pickled(
            dictionary({"a": b"}(" + b"".join(opcodes(k) + b"N" for k in collide) + b"u"})
        ),
        "numbers that collide as keys, five times": pickled([
            b"}(" + b"".join(opcodes(k) + b"N" for k in collide) + b"u"
        ] * 5),
        "numbers that collide in the memo": b"\x80\x02N"
        + b"".join(b"r" + k.to_bytes(4, "little") for k in collide) + b".",
        "one list of pairs as 20,000 dictionaries": PROTO + shared_pairs(43) + b"]("
        + b"h\x00h\x01R" * 20_000 + b"e.",
        "one list of pairs as many dictionaries as may be": PROTO + shared_pairs(3)
        + b"](" + b"h\x00h\x01R" * 100_000 + b"e.",
        "500,000 dictionaries": b"\x80\x02(" + b"}" * 499_990 + b"l.",
        "100,000 numbers": b"\x80\x02(" + b"K\1" * 100_000 + b"l.",
        "a number of 100,000 digits": b"\x80\x02L" + b"9" * 100_000 + b"L\n.",
        "an integer of 100,000 digits": b"\x80\x02I" + b"9" * 100_000 + b"\n.",
        "a number of 2^31 bytes": b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "a number below 0 bytes": b"\x80\x02\x8b\xff\xff\xff\xff.",
        "text of 4 GB": b"\x80\x02X\xff\xff\xff\xff.",
        "text of 2^64": b"\x80\x04\x8d" + b"\xff" * 8 + b".",
        "a frame of 2^64": b"\x80\x04\x95" + b"\xff" * 8 + b".",
        "a memo at 2^32": b"\x80\x02]r\xff\xff\xff\xff.",
        "a memo at a long number": b"\x80\x02]p" + b"9" * 60_000 + b"\n.",
        "stop at once": b".",
        "nothing": b"",
        "a thousand tensors in one place": pickled(dictionary(shared)),
        "2^60 values": weight(one, (2**60,), (1,)),
        "overflow": weight(one, (2**32, 2**32), (2**32, 1)),
        "strides of 0": weight(one, (2**31 - 1, 1), (0, 0)),
        "strides of 0 that fit": pickled(
            dictionary({"conv1.weight": tensor(storage("0", 72), (2**24, 1), (0, 0))})
        ),
        "strides below 0": weight(one, (2,), (-1,)),
        "an offset below 0": weight(one, (1,), (1,), -1),
        "a far offset": weight(one, (1,), (1,), 2**62),
        "nothing by much": weight(one, (0, 2**62), (1, 1)),
        "many axes": weight(one, (1,) * 10_000, (1,) * 10_000),
        "a size that is true": weight(one, (b"\x88",), (1,)),
        "a storage of 2^60": weight(storage("0", 2**60), (1,), (1,)),
        "a storage below 0": weight(storage("0", -1), (1,), (1,)),
        "a key that is a path": weight(storage("../../../etc/passwd", 1), (1,), (1,)),
        "many keys": pickled(dictionary({f"{i}": b"N" for i in range(20_000)})),
        "long keys": pickled(dictionary({f"{i}" + "a" * 20_000: b"N" for i in range(10)})),
        "a key of control characters": pickled(
            dictionary({"\x1b[2J\r\n\0": tensor(one, (1,), (1,))})
        ),
    }  # fmt: skip
