"""Indexes of photos, as decaf writes them."""

from __future__ import annotations

import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
from fuzz.mutate import Json, Packed, Raw, Seed

from decaf.retrieval.index import Index
from decaf.retrieval.whitening import Whitening

START, ALIGNED = 12288, 64
HEAD = struct.Struct("<4sIQQQ")


def _rows(count: int, parts: int = 1) -> np.ndarray:
    return np.random.default_rng(count).random((count, parts, 5), np.float32)


def _made(levels: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        whitening = Whitening(3).fit(_rows(20)[:, 0])
        parts = sum(level * level for level in range(1, levels + 1))
        made = Index.create(Path(folder, "x"), {"layer": "relu6"}, whitening, levels)
        made.add([f"a/{number}.jpg" for number in range(6)], _rows(6, parts))
        made.remove(["a/1.jpg", "a/4.jpg"])
        made.add(["b.jpg"], _rows(1, parts))
        return made.path.read_bytes()


def valid() -> list[Seed]:
    one, two = _made(1), _made(2)
    return [Raw(one), Raw(two), _packed(one), _packed(one), _packed(two)]


def _records(data: bytes) -> list[tuple[bytes, int, int, bytes]]:
    """Kind, count, bytes of names, payload."""
    found, at = [], START
    while at < len(data):
        kind, _, length, count, names = HEAD.unpack_from(data, at)
        at += ALIGNED
        found.append((kind, count, names, data[at : at + length]))
        at += -(-length // ALIGNED) * ALIGNED
    return found


def _packed(data: bytes) -> Packed:
    """What is in front of each payload, and payloads, with checksums that are right."""
    members: dict[str, Seed | bytes] = {"ends": struct.pack("<Q", 4)}
    for number, (kind, count, names, payload) in enumerate(_records(data)):
        members[f"{number} head"] = struct.pack("<4sQQ", kind, count, names)
        if kind == b"base":
            size = int.from_bytes(payload[:4], "little")
            members[f"{number} arrays"] = Json(payload[4 : 4 + size])
            members[f"{number} values"] = payload[-(-(4 + size) // ALIGNED) * ALIGNED :]
        else:
            members[f"{number} payload"] = Json(payload) if kind == b"what" else Raw(payload)
    return Packed(members, _pack)


def _pack(made: dict[str, bytes]) -> bytes:
    records = b""
    for number in range(8):
        head = made.get(f"{number} head")
        if head is None:
            continue
        payload = made.get(f"{number} payload", b"")
        if f"{number} arrays" in made:
            listed = made[f"{number} arrays"]
            front = struct.pack("<I", len(listed)) + listed
            values = made.get(f"{number} values", b"")
            payload = front.ljust(-(-len(front) // ALIGNED) * ALIGNED, b"\0") + values
        kind, count, names = struct.unpack("<4sQQ", head[:20].ljust(20, b"\0"))
        records += record(kind, payload, count, names)
    sequence = int.from_bytes(made.get("ends", b"")[:8], "little")
    return file(records, sequence)


def record(kind: bytes, payload: bytes, count: int = 0, names: int = 0) -> bytes:
    head = HEAD.pack(kind, zlib.crc32(payload), len(payload), count, names)
    head += struct.pack("<I", zlib.crc32(head))
    filled = -(-len(payload) // ALIGNED) * ALIGNED
    return head.ljust(ALIGNED, b"\0") + payload.ljust(filled, b"\0")


def file(records: bytes, sequence: int = 1, end: int | None = None) -> bytes:
    raw = struct.pack("<QQ", sequence, START + len(records) if end is None else end)
    raw += struct.pack("<I", zlib.crc32(raw))
    return b"decaf-index 1\n".ljust(4096, b"\0") + raw.ljust(8192, b"\0") + records


def hostile() -> dict[str, bytes]:
    def what(dimensions: int = 1, parts: int = 1, info: str = "{}") -> bytes:
        numbers = f'"levels": 1, "parts": {parts}, "dimensions": {dimensions}, "features": 5'
        return record(b"what", f'{{"info": {info}, {numbers}}}'.encode())

    def base(listed: str, values: bytes = b"") -> bytes:
        text = f'{{"arrays": {listed}}}'.encode()
        front = struct.pack("<I", len(text)) + text
        return record(b"base", front.ljust(-(-len(front) // ALIGNED) * ALIGNED, b"\0") + values)

    def rows(count: int, starts: list[int], text: bytes, vectors: bytes = b"") -> bytes:
        parts = [
            vectors or bytes(4 * count),
            bytes(4 * count),
            struct.pack(f"<{len(starts)}Q", *starts),
        ]
        filled = b"".join(part.ljust(-(-len(part) // ALIGNED) * ALIGNED, b"\0") for part in parts)
        return record(b"rows", filled + text, count, len(text))

    none = base("[]")
    front = what() + none
    huge = struct.pack("<Q", 2**64 - 1)
    photo = rows(1, [0, 1], b"a")
    numbered = b"".join(b"%03d" % number for number in range(500))
    many = rows(500, list(range(0, 1501, 3)), numbered)
    one_by_one = b"".join(record(b"gone", struct.pack("<Q", n), 1) for n in range(500))
    return {
        "an end of 2^64": file(front, end=2**64 - 64),
        "an end within a record": file(front, end=START + 64),
        "an end in front": file(front, end=64),
        "a sequence of 2^64": file(front, sequence=2**64 - 1),
        "nothing behind the ends": file(b""),
        "a long record": file(front + HEAD.pack(b"rows", 0, 2**63, 1, 0)),
        "many photos in no room": file(front + record(b"rows", b"", 2**60, 0)),
        "many photos of no numbers": file(what(0) + none + record(b"rows", b"", 2**60, 0)),
        "wide vectors": file(what(2**28) + none + record(b"rows", bytes(64), 2**40, 0)),
        "no photos": file(front + record(b"rows", bytes(128), 0, 0) * 1000),
        "many records": file(front + photo * 4000),
        "many empty records": file(front + record(b"gone", b"") * 40_000),
        "many removals of one photo": file(front + photo + record(b"gone", bytes(8), 1) * 8000),
        "removals one by one": file(front + many + one_by_one),
        "numbers that are none": file(what() + none + rows(1, [0, 1], b"a", b"\0\0\xc0\x7f")),
        "infinity": file(what() + none + rows(1, [0, 1], b"a", b"\0\0\x80\x7f")),
        "a length that is not its vector's": file(front + rows(1, [0, 1], b"a", b"\0\0\x80\x3f")),
        "names that overlap": file(front + rows(1000, [0, *[4000] * 1000], b"x" * 4000)),
        "names that go back": file(front + rows(1000, [0, 4000] * 500 + [0], b"x" * 4000)),
        "names far away": file(front + rows(2, [0, 2**64 - 1, 4], b"abcd")),
        "a name before the first": file(front + rows(2, [2, 3, 4], b"abcd")),
        "a removal of none": file(front + photo + record(b"gone", b"", 0)),
        "a removal of what is not there": file(front + photo + record(b"gone", huge, 1)),
        "a removal before its photo": file(front + record(b"gone", bytes(8), 1) + photo),
        "a removal of 2^61": file(front + photo + record(b"gone", bytes(64), 2**61)),
        "a name twice": file(front + photo * 2),
        "no transform": file(what() + photo),
        "parts without levels": file(what(parts=2**16) + none),
        "what it is, twice": file(what() + front),
        "what it is, late": file(none + what()),
        "deep JSON": file(record(b"what", b'{"info": ' + b"[" * 500_000)),
        "wide JSON": file(what(info='{"a": [' + "[]," * 150_000 + "[]]}") + none),
        "a long number": file(what(info='{"a": ' + "9" * 400_000 + "}") + none),
        "a JSON of 2^32": file(what() + record(b"base", b"\xff" * 64)),
        "a large array": file(what() + base('[["mean", "<f4", [2147483647, 2147483647]]]')),
        "an array of objects": file(what() + base('[["mean", "|O", [1]]]', bytes(64))),
        "an array without numbers": file(what() + base('[["mean", "<f4", [0]]]')),
        "an array of true": file(what() + base('[["mean", "<f4", [true]]]', bytes(64))),
        "many axes": file(what() + base(f'[["mean", "<f4", {[1] * 100}]]', bytes(64))),
        "many arrays in one place": file(what() + base("[" + '["a", "<f4", []], ' * 20_000 + "1]")),
    }
