"""The directory of a ZIP archive of photos, and its members.

`decaf.formats.zip` says how an archive is built.  It reads weights, from memory, and refuses
what is not as torch and NumPy write it.  Archives of photos come from everywhere, and are
large.  So this one reads the directory record by record, keeps about 300 bytes of each, and
takes what other programs take: a program in front of the archive, a name twice, a comment.

A photo that cannot be read fails alone: it is encrypted, packed by something else than deflate,
or claims a size that nothing could unpack to.  But members that lie over each other, in the
directory, or outside of the file make the archive unusable: a few bytes would stand for many
photos.  To know their true places, every local header would have to be read, in many places of
the file; instead a member gets the room up to the next one, and has to fit when it is opened.

Source: PKWARE's APPNOTE.TXT, sections 4.3 to 4.6.
"""

from __future__ import annotations

import io
import struct
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import IO, BinaryIO, NamedTuple, TypeAlias

import numpy as np

from decaf.features.parts import Part, Unpacked
from decaf.formats.zip import (
    DEFLATED,
    ENCRYPTED,
    END,
    FULL_32,
    LOCAL,
    LONGEST_COMMENT,
    RECORD,
    STORED,
    UTF8,
    ZIP64_END,
    ZIP64_POINTER,
)

MOST_MEMBERS = 10_000_000
LARGEST = 2**31  # bytes; `decaf.image` reads 1.5e9 of a photo, unless it is told to read more
MOST_TIMES = 1100  # deflate packs 258 bytes into 2 bits at best: 1,032 times

_PATCH, _STRONGLY_ENCRYPTED = 32, 64  # bits of a member's flags
_ZIP64, _UNICODE_NAME = 1, 0x7075  # extra fields
_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ"}
# Header, end of its room, compressed size, size, CRC-32, method
_PLACE = struct.Struct("<QQQQIH")

Place: TypeAlias = "bytes | str"


class _Record(NamedTuple):
    """What the directory says of a member."""

    name: str
    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    header: int


class _Directory(NamedTuple):
    """Where the directory lies."""

    start: int
    size: int
    records: int  # how many, as the end says
    bits: int  # of that number: old writers count modulo 65,536
    before: int  # bytes in front of the archive


def places(file: BinaryIO, length: int) -> Iterator[tuple[str, Place]]:
    """List the members of an archive that are no folders, in the order of the directory.

    Parameters
    ----------
    file : binary file
        The archive.
    length : int
        Its bytes.

    Yields
    ------
    name : str
        As it stands there, with ``/`` between its parts.
    place : bytes or str
        For `open_member`; or the reason why it cannot be read.

    Raises
    ------
    ValueError
        If it is cut off, damaged, has more than 10 million members, or these overlap.
    """
    directory = _directory(file, length)
    start = directory.start
    found: list[tuple[str, Place]] = []
    headers, ends = array("Q"), array("Q")
    for record in _records(file, directory):
        end = record.header + LOCAL.size + record.compressed
        if end > start:
            raise ValueError(f"{record.name[:100]!a} outside of the part that is for members")
        headers.append(record.header)
        ends.append(end)
        if not record.name.endswith("/"):
            found.append((record.name, _place(record)))
    if not headers:
        return
    order = np.argsort(headers, kind="stable")
    sorted_headers = np.asarray(headers)[order]
    if (np.asarray(ends)[order][:-1] > sorted_headers[1:]).any():
        raise ValueError("members that overlap each other")
    borders = array("Q", sorted_headers.tobytes())
    borders.append(start)
    for name, place in found:
        if isinstance(place, bytes):
            header, _, *rest = _PLACE.unpack(place)
            place = _PLACE.pack(header, borders[bisect_right(borders, header)], *rest)
        yield name, place


def open_member(file: IO[bytes], place: bytes, name: str) -> IO[bytes]:
    """Give a member as a binary file, which reads from the archive.

    Reading raises `ValueError` or ``zlib.error`` where it is damaged, or has another length or
    checksum than the directory says; it never gives more than that length.
    """
    header, end, compressed, size, crc, method = _PLACE.unpack(place)
    file.seek(header)
    local = file.read(LOCAL.size)
    if len(local) < LOCAL.size or local[:4] != b"PK\3\4":
        raise ValueError("no member where the directory of the zip says")
    *_, name_size, extra_size = LOCAL.unpack(local)
    start = header + LOCAL.size + name_size + extra_size
    if start + compressed > end:
        raise ValueError("one that overlaps the next member")
    file.seek(start)
    return io.BufferedReader(Unpacked(Part(file, compressed, name), size, crc, method == DEFLATED))


def _place(record: _Record) -> Place:
    if record.flags & (ENCRYPTED | _STRONGLY_ENCRYPTED):
        return "an encrypted one"
    if record.flags & _PATCH:
        return "a patch"
    if record.method not in (STORED, DEFLATED):
        name = _METHODS.get(record.method, "which is unknown")
        return f"compression method {record.method} ({name}), where deflate and none are read"
    if record.size > LARGEST:
        return f"one of {record.size:,} bytes, where {LARGEST:,} are allowed"
    if record.method == STORED and record.size != record.compressed:
        return f"{record.compressed:,} bytes that claim to be {record.size:,}"
    if record.size > MOST_TIMES * record.compressed:
        return f"{record.compressed:,} bytes that claim to unpack to {record.size:,}"
    return _PLACE.pack(record.header, 0, record.compressed, record.size, record.crc, record.method)


def _directory(file: BinaryIO, length: int) -> _Directory:
    tail_at = max(0, length - END.size - LONGEST_COMMENT - ZIP64_END.size - ZIP64_POINTER.size)
    file.seek(tail_at)
    tail = file.read(length - tail_at)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + END.size > len(tail):
        raise ValueError("no end record (was it cut off?)")
    _, disk, first_disk, here, count, size, start, comment = END.unpack_from(tail, at)
    if at + END.size + comment > len(tail):
        raise ValueError("an end within the comment of the archive")
    parts, single = (disk, first_disk), (0, 0)
    pointer = at - ZIP64_POINTER.size
    bits = 16
    if pointer >= ZIP64_END.size and tail[pointer : pointer + 4] == b"PK\6\7":
        at = pointer - ZIP64_END.size
        signature, *_, disk, first_disk, here, count, size, start = ZIP64_END.unpack_from(tail, at)
        if signature != b"PK\6\6":
            raise ValueError("no zip64 end record where one must be")
        parts, bits = (disk, first_disk), 64
    if parts != single or here != count:
        raise ValueError("a part of an archive of several")
    before = tail_at + at - start - size
    if before < 0:
        raise ValueError(f"a directory of {size:,} bytes, for which the file is too short")
    if count > MOST_MEMBERS or size < RECORD.size * count:
        raise ValueError(
            f"a directory of {size:,} bytes for {count:,} members; "
            f"at most {MOST_MEMBERS:,} are allowed, of {RECORD.size} bytes or more"
        )
    return _Directory(start + before, size, count, bits, before)


def _records(file: BinaryIO, directory: _Directory) -> Iterator[_Record]:
    file.seek(directory.start)
    left, found = directory.size, 0
    while left:
        fixed = file.read(RECORD.size) if left >= RECORD.size else b""
        if len(fixed) < RECORD.size or fixed[:4] != b"PK\1\2":
            raise ValueError("something in the directory that is no record of a member")
        (
            _, _, _, _, flags, method, _, _, crc, compressed, size,
            name_size, extra_size, comment_size, _, _, _, header,
        ) = RECORD.unpack(fixed)  # fmt: skip
        left -= RECORD.size + name_size + extra_size + comment_size
        found += 1
        if left < 0 or found > MOST_MEMBERS:
            raise ValueError(f"a directory that goes on after its end, or {MOST_MEMBERS:,} members")
        raw_name, extra = file.read(name_size), file.read(extra_size)
        file.read(comment_size)
        name = raw_name.decode("utf-8" if flags & UTF8 else "cp437", "surrogateescape")
        numbers = [size, compressed, header]
        meant = struct.pack("<BL", 1, zlib.crc32(raw_name))  # once: there may be 16,000 fields
        for kind, field in _fields(extra):
            if kind == _ZIP64:  # in this order, those that had no room in the record
                numbers = _widen(field, numbers)
            elif kind == _UNICODE_NAME and field[:5] == meant:
                name = field[5:].decode("utf-8", "surrogateescape")
        size, compressed, header = numbers
        # Some programs of Windows write backslashes.
        name = name.replace("\\", "/")
        yield _Record(name, flags, method, crc, compressed, size, header + directory.before)
    if (found ^ directory.records) & ((1 << directory.bits) - 1):
        raise ValueError(f"{found:,} members in a directory whose end says {directory.records:,}")


def _fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(extra):  # writers may pad the rest
        kind, size = struct.unpack_from("<2H", extra, at)
        yield kind, extra[at + 4 : at + 4 + size]
        at += 4 + size


def _widen(field: bytes, numbers: list[int]) -> list[int]:
    wide = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
    try:
        return [next(wide) if number == FULL_32 else number for number in numbers]
    except StopIteration:
        raise ValueError("a member without the zip64 field that it refers to") from None
