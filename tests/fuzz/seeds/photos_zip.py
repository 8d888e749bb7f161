"""ZIP archives of photos, as all kinds of programs write them."""

from __future__ import annotations

import bz2
import io
import lzma
import struct
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from fuzz.mutate import Packed, Raw, Seed
from fuzz.seeds.archives import hostile_zip, many_members, zipped

JPEG = b"\xff\xd8\xff"
PHOTOS = {
    "a/1.jpg": JPEG + bytes(range(200)),
    "a/b/2.png": b"\x89PNG\r\n\x1a\n" + b"abc" * 60,
    "é.bmp": b"BM",
}


class _Stream(io.RawIOBase):
    """A file that cannot seek: what is written into it has sizes after its contents."""

    def __init__(self) -> None:
        self.made = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.made += data
        return len(data)


def _deflated(made: dict[str, bytes]) -> bytes:
    return zipped(made, zipfile.ZIP_DEFLATED)


def valid() -> list[Seed]:
    return [
        Packed(PHOTOS, zipped),
        Packed(PHOTOS, _deflated),
        *map(Raw, (zipped(PHOTOS), _deflated(PHOTOS), _with_everything(), _streamed())),
        Raw(many_members(3)),  # zip64
        Raw(b"#!/bin/sh\nexit 0\n" * 9 + _deflated(PHOTOS)),  # a program in front
        Raw(zipped({})),
    ]


def _with_everything() -> bytes:
    """Folders, comments, a name twice, backslashes, extra fields."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name twice
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.comment = b"photos"
            archive.writestr("a/", b"")
            for name, data in (*PHOTOS.items(), *PHOTOS.items(), ("c\\d/../3.gif", b"GIF87a")):
                info = zipfile.ZipInfo(name)
                info.comment = b"a photo"
                raw = name.encode("cp437" if name.isascii() else "utf-8")
                unicode_name = struct.pack("<BL", 1, zlib.crc32(raw)) + name.encode()
                info.extra = _field(0x5455, bytes(5)) + _field(0x7075, unicode_name)
                with archive.open(info, "w", force_zip64=True) as member:
                    member.write(data)
    return stream.getvalue()


def _streamed() -> bytes:
    stream = _Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in PHOTOS.items():
            archive.writestr(name, data)
    return bytes(stream.made)


def _field(kind: int, data: bytes) -> bytes:
    return struct.pack("<2H", kind, len(data)) + data


@dataclass
class _Entry:
    """A record of a directory, which may say anything."""

    name: bytes
    method: int = 0
    packed: bytes = b""
    size: int = 0
    crc: int = 0
    header: int = 0
    extra: bytes = b""
    flags: int = 0

    def record(self) -> bytes:
        return struct.pack(
            "<4s2B5H3L5H2L", b"PK\1\2", 20, 0, 20, self.flags, self.method, 0, 0, self.crc,
            len(self.packed), self.size, len(self.name), len(self.extra), 0, 0, 0, 0, self.header,
        ) + self.name + self.extra  # fmt: skip

    def member(self) -> bytes:
        return struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, self.flags, self.method, 0, 0, self.crc,
            len(self.packed), self.size, len(self.name), 0,
        ) + self.name + self.packed  # fmt: skip


def _archive(front: bytes, entries: Sequence[_Entry]) -> bytes:
    records = b"".join(entry.record() for entry in entries)
    count = len(entries) % 2**16
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(records), len(front), 0)
    return front + records + end


def _one(entry: _Entry, *more: _Entry) -> bytes:
    return _archive(entry.member(), [entry, *more])


def hostile() -> dict[str, bytes]:
    made = hostile_zip("a/1.jpg", PHOTOS["a/1.jpg"])
    # Time is proportional to the size of the file, and these have 9 MB and 3.
    del made["100,001 members of nothing"], made["30,000 members of nothing"]
    made["10,000 members of nothing"] = many_members(10_000)
    zeros = JPEG + bytes(8 << 20)
    crc = zlib.crc32(zeros)
    deflate = zlib.compressobj(9, wbits=-15)
    deflated = deflate.compress(zeros) + deflate.flush()
    packed = {8: deflated, 12: bz2.compress(zeros), 14: lzma.compress(zeros, lzma.FORMAT_ALONE)}
    for method, data in packed.items():
        bomb = _Entry(b"1.jpg", method, data, len(zeros), crc)
        made[f"a bomb by method {method}"] = _one(bomb)
        again = [
            _Entry(b"%d.jpg" % i, method, data, len(zeros), crc, extra=b"") for i in range(2_000)
        ]
        made[f"2,000 names of a bomb by method {method}"] = _archive(bomb.member(), again)
    front = b"".join(_Entry(b"%d" % i).member() for i in range(300))
    inside = [_Entry(b"%d.jpg" % i, 8, deflated, len(zeros), crc, 31 * i) for i in range(200)]
    made["a bomb behind each of many headers"] = _archive(front + deflated, inside)
    for size in (2**31, 2**31 + 1, 2**32 - 2):
        made[f"a few bytes that claim {size:,}"] = _one(_Entry(b"1.jpg", 8, b"\3\0", size))
    nothing = b"\0\0\0\xff\xff" * 50_000  # blocks that unpack to nothing
    made["blocks of nothing"] = _one(_Entry(b"1.jpg", 8, nothing + b"\3\0", 1000))
    made["a member that never ends"] = _one(_Entry(b"1.jpg", 8, nothing, 1000))
    made["goes on after its end"] = _one(_Entry(b"1.jpg", 8, deflated, 1000, zlib.crc32(bytes(9))))
    names = [_Entry(b"a" * 65_000 + b".jpg")] + [_Entry(b"%x.jpg" % i) for i in range(3000)]
    made["one long name"] = _one(*names)
    made["names of nothing"] = _one(*[_Entry(b"")] * 10_000)
    made["a name of slashes"] = _one(_Entry(b"/../" * 16_000))
    made["a name of NULs"] = _one(_Entry(b"\0" * 60_000))
    for kind in (1, 0x7075):
        for length in (0, 5):
            extra = _field(kind, b"\1" * length) * (65_535 // (4 + length))
            long = [_Entry(b"a" * 65_535, header=30 * i, extra=extra) for i in range(8)]
            made[f"fields {kind:#x} of {length} bytes"] = _archive(bytes(30 * 8), long)
    right = struct.pack("<BL", 1, zlib.crc32(b"a")) + b"\n" * 5000
    made["a long Unicode name"] = _one(_Entry(b"a", extra=_field(0x7075, right)))
    made["encrypted"] = _one(_Entry(b"1.jpg", flags=1))
    made["no local header"] = _archive(bytes(99), [_Entry(b"1.jpg")])
    return made
