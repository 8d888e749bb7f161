r"""The directory of a ZIP archive, trusted in nothing: where its members lie in the file.

An archive is read from its end::

    member ...      local header (30 bytes + name + extra fields), then the contents
    directory       one record of 46 bytes + name + extra fields + comment for each member
    zip64 end       56 bytes and a pointer of 20 to them, for sizes over 32 or 16 bits
    end             22 bytes + comment: how many members, where the directory starts

The same things stand in several places, and programs that believe different ones see different
archives.  Here they must agree: the directory ends where an end record starts, local headers
have the directory's names and sizes (a writer that did not know the size in time leaves 0 and
says so in a flag), members do not overlap each other or the directory, and no name stands twice.
Members are stored or deflated; encrypted ones, and archives in several parts, are refused.

Contents are not read, and so checksums not compared, before :func:`contents` is asked for them.

Source: PKWARE's APPNOTE.TXT, sections 4.3 to 4.5.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from itertools import pairwise

from decaf.cursor import Buffer, Cursor
from decaf.errors import WeightsError

STORED, DEFLATED = 0, 8
END = struct.Struct("<4s4H2LH")  # signature, two disks, two counts, size, start, comment
ZIP64_POINTER = struct.Struct("<4sLQL")  # signature, disk, position, disks
ZIP64_END = struct.Struct("<4sQ2H2L4Q")  # signature, size, versions, disks, counts, size, start
RECORD = struct.Struct("<4s2B5H3L5H2L")  # of the directory
LOCAL = struct.Struct("<4s5H3L2H")
ENCRYPTED, SIZE_FOLLOWS, UTF8 = 1, 8, 2048  # bits of a member's flags; 64 is strong encryption
FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF  # "see zip64"
LONGEST_COMMENT = 2**16
MOST_MEMBERS = 100_000  # one of no contents takes 90 bytes of a file, and 300 of memory
CHUNK = 2**16  # bytes; what is unpacked at a time


@dataclass(frozen=True, slots=True)
class Entry:
    """A member of an archive.

    Attributes
    ----------
    name : str
    offset : int
        Of its contents, in bytes from the start of the file.
    compressed, size : int
        Bytes in the file, and after unpacking; the same where it is stored.  `size` is what
        the archive claims.
    method : int
        ``STORED`` or ``DEFLATED``.
    crc : int
        CRC-32 of the unpacked contents, as claimed.
    """

    name: str
    offset: int
    compressed: int
    size: int
    method: int
    crc: int


def entries(data: Buffer) -> dict[str, Entry]:
    """List the members of an archive, in the order of its directory.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.

    Returns
    -------
    dict
        Members by name, folders (names with ``/`` at the end) included.

    Raises
    ------
    WeightsError
        If this is no archive, or not one as the head of this module demands.
    """
    start, size, count = _directory(data)
    if count > MOST_MEMBERS:
        raise WeightsError(f"an archive must have at most {MOST_MEMBERS:,} members; got {count:,}")
    directory = Cursor(data, start, size)
    found: dict[str, Entry] = {}
    places = [(start, start + size, "the directory")]
    for _ in range(count):  # each takes 46 bytes at least, or the cursor stops it
        entry, local = _entry(data, directory)
        if entry.name in found:
            raise WeightsError(f"members must have different names; got {entry.name!r:.100} twice")
        found[entry.name] = entry
        places.append((local, entry.offset + entry.compressed, entry.name))
    if directory.left:
        raise WeightsError(
            f"the directory must end with its last member; got {directory.left:,} bytes"
        )
    places.sort()
    for (_, end, before), (begin, _, after) in pairwise(places):
        if end > begin:
            raise WeightsError(f"members must not overlap; got {before!r:.100} and {after!r:.100}")
    return found


def contents(data: Buffer, entry: Entry) -> tuple[Buffer, int]:
    """Find the contents of a member, and compare their size and checksum with what is claimed.

    Returns
    -------
    buffer : bytes or mmap
        `data` itself for a stored member, else its unpacked contents.
    offset : int
        Where they start in the buffer; they are ``entry.size`` bytes long.

    Raises
    ------
    WeightsError
        If they are not what the archive claims.  No more than ``entry.size`` bytes and a chunk
        are unpacked, twice that for a moment: check that number first.
    """
    buffer, offset = data, entry.offset
    if entry.method == DEFLATED:
        buffer, offset = _inflate(data, entry), 0
    with memoryview(buffer) as whole, whole[offset : offset + entry.size] as part:
        size, crc = len(part), zlib.crc32(part)
    if (size, crc) != (entry.size, entry.crc):
        raise WeightsError(
            f"{entry.name!r:.100}: size and checksum must be those of the directory; expected "
            f"{entry.size:,} bytes, {entry.crc:08x}, got {size:,}, {crc:08x}"
        )
    return buffer, offset


def _inflate(data: Buffer, entry: Entry) -> bytes:
    """Unpack piece by piece, and stop as soon as it is too much."""
    packed = Cursor(data, entry.offset, entry.compressed)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)  # no header of zlib's around it
    pieces, left = [], entry.size + 1
    try:
        while packed.left and left and not inflater.eof:
            piece = inflater.decompress(packed.take(min(CHUNK, packed.left)), left)
            pieces.append(piece)
            left -= len(piece)
    except zlib.error as error:
        raise WeightsError(f"{entry.name!r:.100}: must be deflated data; {error}") from error
    if not left or not inflater.eof or packed.left or inflater.unused_data:
        raise WeightsError(
            f"{entry.name!r:.100}: must end where the directory says; expected "
            f"{entry.compressed:,} bytes that unpack to {entry.size:,}, got others"
        )
    return b"".join(pieces)


def _directory(data: Buffer) -> tuple[int, int, int]:
    """Start and size of the directory, and how many members it has."""
    at = data.rfind(b"PK\5\6", max(0, len(data) - END.size - LONGEST_COMMENT))
    if at < 0 or at + END.size > len(data):
        raise WeightsError("an archive must end with the end record of ZIP; got none")
    _, disk, first_disk, here, count, size, start, comment = END.unpack_from(data, at)
    if at + END.size + comment != len(data):
        raise WeightsError(
            f"an archive must end with its comment; expected {at + END.size + comment:,} bytes, "
            f"got {len(data):,}"
        )
    pointer = at - ZIP64_POINTER.size
    if pointer >= 0 and data[pointer : pointer + 4] == b"PK\6\7":  # torch writes it always
        _, disk, position, disks = ZIP64_POINTER.unpack_from(data, pointer)
        at = Cursor(data, position, ZIP64_END.size).at
        signature, *_, disk2, first_disk, here64, count64, size64, start64 = ZIP64_END.unpack_from(
            data, at
        )
        narrow = (min(count64, FULL_16), min(size64, FULL_32), min(start64, FULL_32))
        seen = zip((count, size, start), narrow, (FULL_16, FULL_32, FULL_32), strict=True)
        if (signature, disk, disk2, disks) != (b"PK\6\6", 0, 0, 1) or any(
            number not in (small, full) for number, small, full in seen
        ):
            raise WeightsError("an archive must have one end; got end records that differ")
        here, count, size, start = here64, count64, size64, start64
    if (disk, first_disk) != (0, 0) or here != count:
        raise WeightsError("an archive must be in one part; got one of several")
    if start + size != at:
        raise WeightsError(
            f"the directory of an archive must end at its end record; expected {at:,}, "
            f"got {start:,} + {size:,}"
        )
    return start, size, count


def _entry(data: Buffer, directory: Cursor) -> tuple[Entry, int]:
    """Read the next record of the directory, and compare it with the local header."""
    (
        signature, _, _, _, flags, method, _, _, crc, compressed, size,
        name_size, extra_size, comment_size, disk, _, _, local,
    ) = RECORD.unpack(directory.take(RECORD.size))  # fmt: skip
    if signature != b"PK\1\2":
        raise WeightsError("the directory must hold records of members; got something else")
    raw_name = directory.take(name_size)
    name = _name(raw_name, flags)
    extra = Cursor(data, directory.skip(extra_size), extra_size)
    directory.skip(comment_size)
    size, compressed, local = _widen(extra, name, [size, compressed, local])
    if flags & (ENCRYPTED | 64) or method not in (STORED, DEFLATED) or disk not in (0, FULL_16):
        raise WeightsError(
            f"{name!r:.100}: must be stored or deflated, in the clear; got method {method}, "
            f"flags {flags:#06x}"
        )
    if method == STORED and size != compressed:
        raise WeightsError(
            f"{name!r:.100}: must be as large as what is stored of it; expected {compressed:,} "
            f"bytes, got {size:,}"
        )

    header = Cursor(data, local)
    (
        signature, _, local_flags, local_method, _, _, local_crc, local_compressed, local_size,
        name_size, extra_size,
    ) = LOCAL.unpack(header.take(LOCAL.size))  # fmt: skip
    if signature != b"PK\3\4":
        raise WeightsError(f"{name!r:.100}: must start with a local header; got something else")
    local_name = header.take(name_size)
    extra = Cursor(data, header.skip(extra_size), extra_size)
    local_size, local_compressed = _widen(extra, name, [local_size, local_compressed])
    found = (local_name, local_method, local_crc, local_compressed, local_size)
    told = (raw_name, method, crc, compressed, size)
    untold = (raw_name, method, 0, 0, 0)
    if found != told and not (local_flags & SIZE_FOLLOWS and found == untold):
        raise WeightsError(
            f"{name!r:.100}: the local header must say what the directory says; got something else"
        )
    offset = header.skip(compressed)
    return Entry(name, offset, compressed, size, method, crc), local


def _name(raw: bytes, flags: int) -> str:
    try:
        name = raw.decode("utf-8" if flags & UTF8 else "cp437")
    except UnicodeDecodeError as error:
        raise WeightsError(f"the name of a member must be UTF-8; got {raw[:50]!r}") from error
    if "\0" in name:
        raise WeightsError(f"the name of a member must have no NUL; got {name!r:.100}")
    return name


def _widen(extra: Cursor, name: str, numbers: list[int]) -> list[int]:
    """Take from the zip64 extra field, in this order, the numbers that have no room elsewhere."""
    if FULL_32 not in numbers:
        return numbers
    while extra.left >= 4:  # writers may pad the rest
        kind, size = extra.uint(2), extra.uint(2)
        part = Cursor(extra.data, extra.skip(size), size)
        if kind == 1:
            return [part.uint(8) if number == FULL_32 else number for number in numbers]
    raise WeightsError(f"{name!r:.100}: must have its size in a zip64 field; got none")
