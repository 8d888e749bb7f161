"""The records of an index file: what is in it, byte by byte.

All integers are little-endian; every part starts at a multiple of 64 bytes, so that vectors can
be used where the file is mapped.  In front lie three pages of 4,096 bytes::

    page 0    the line "decaf-index 1", then zeros
    page 1    an end: sequence 8 bytes, end 8 bytes, CRC-32 of both 4 bytes
    page 2    another end, or zeros

Behind them lie records, each a head of 64 bytes and a payload::

    kind      4 bytes
    checksum  4 bytes: CRC-32 of the payload
    length    8 bytes: that of the payload, without the zeros that fill it up to 64
    count     8 bytes: photos
    names     8 bytes: those that the names of the photos take
    checksum  4 bytes: CRC-32 of the head up to here; then zeros

    what      JSON: what made the features, how many numbers a vector has
    base      the arrays of the transform: size of a JSON (4 bytes), the JSON, the arrays
    rows      vectors n,P,d float32; squared lengths n,P float32; where the names start, n + 1
              integers of 8 bytes; the names, in UTF-8 or whatever bytes the file system had
    gone      numbers of photos that were removed, 8 bytes each, in order

``what`` and ``base`` come first, then ``rows`` and ``gone`` in any order.  Photos are numbered
as their rows lie in the file, those that were removed as well.

A change appends records, waits until the disk has them, and then writes its end, over the older
of the two.  Only what lies before the newest end counts.  So a change is there whole or not at
all, whatever stops it: what it left behind the end means nothing, and is written over by the next
one.  And what lies before the end was whole once: damage there is an error, never a silent loss.
(Of a damaged end nobody can say whether it was ever whole; the one before it counts.)

The records of journals (``decaf.features.journal_records``) have one checksum for head and
payload, so whoever opens one reads all of it.  Here heads have their own, and opening an index of
a million photos reads some kilobytes.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decaf.cursor import Buffer
from decaf.errors import FeaturesError
from decaf.features.texts import from_json, to_json

MAGIC = b"decaf-index "
BEGINNING = MAGIC + b"1\n"
PAGE, ALIGNED = 4096, 64
END_PLACES = (PAGE, 2 * PAGE)
START = 3 * PAGE
END = struct.Struct("<QQI")
HEAD = struct.Struct("<4sIQQQI")
WHAT, BASE, ROWS, GONE = b"what", b"base", b"rows", b"gone"
SIZE = struct.Struct("<I")
LARGEST_JSON = 2**19  # bytes
LAST_SEQUENCE = 2**63
AT_ONCE = 2**20  # bytes that are read to compare a checksum
DTYPES = ("<f4", "<f8")  # of the arrays of a transform

Part = bytes | memoryview


class Head(NamedTuple):
    """What the head of a record says, and where its payload starts."""

    kind: bytes
    checksum: int
    length: int
    photos: int
    names: int
    start: int

    @property
    def end(self) -> int:
        """Where the next record starts."""
        return aligned(self.start + self.length)


def aligned(size: int) -> int:
    """Round up to a multiple of 64."""
    return -(-size // ALIGNED) * ALIGNED


def read_end(front: bytes, size: int) -> tuple[int, int]:
    """Return sequence and end of the last change to a file of `size` bytes.

    Parameters
    ----------
    front : bytes
        The first `START` bytes of the file, or all if it has fewer.

    Raises
    ------
    FeaturesError
        If it is no index, of another version, or shorter than it was.
    """
    if not front.startswith(MAGIC):
        raise FeaturesError(f"the file must be an index of decaf; got {front[:14]!r} in front")
    if not front.startswith(BEGINNING):
        raise FeaturesError(f"the index must be of version 1; got {front[:20]!r} in front")
    found = []
    for place in END_PLACES:
        raw = front[place : place + END.size]
        if len(raw) == END.size and END.unpack(raw)[2] == zlib.crc32(raw[:16]):
            found.append(END.unpack(raw)[:2])
    if not found:
        raise FeaturesError("the index must say where it ends; got two damaged ends")
    sequence, end = max(found)
    if end > size:
        raise FeaturesError(
            f"the index must be whole; expected {end:,} bytes, got {size:,} (it was cut off)"
        )
    if sequence >= LAST_SEQUENCE:
        raise FeaturesError(f"the index must count its changes; got number {sequence:,}")
    if end < START or end % ALIGNED:
        raise FeaturesError(f"the index must end behind a record; got an end at byte {end:,}")
    return sequence, end


def pack_end(sequence: int, end: int) -> bytes:
    """Return what :func:`read_end` reads."""
    raw = struct.pack("<QQ", sequence, end)
    return raw + SIZE.pack(zlib.crc32(raw))


def read_head(data: Buffer, at: int, end: int) -> Head:
    """Read the head of a record of an index that ends at `end`; its payload lies before that.

    Raises
    ------
    FeaturesError
        If it is damaged.
    """
    raw = data[at : at + HEAD.size] if at + ALIGNED <= end else b""
    kind, checksum, length, photos, names, own = HEAD.unpack(raw.ljust(HEAD.size, b"\0"))
    if len(raw) < HEAD.size or own != zlib.crc32(raw[:-4]):
        raise FeaturesError(f"the head of a record must be intact; got damage at byte {at:,}")
    head = Head(kind, checksum, length, photos, names, at + ALIGNED)
    if head.end > end:
        raise FeaturesError(
            f"a record must lie before the end; expected {end - at - ALIGNED:,} bytes at most at "
            f"byte {at:,}, got {length:,}"
        )
    return head


def check_payload(data: Buffer, head: Head) -> None:
    """Compare a payload with its checksum; all of it is read, some of it at a time.

    Raises
    ------
    FeaturesError
        If they differ.
    """
    found = 0
    for at in range(head.start, head.start + head.length, AT_ONCE):
        found = zlib.crc32(data[at : min(at + AT_ONCE, head.start + head.length)], found)
    if found != head.checksum:
        raise FeaturesError(
            f"the record behind byte {head.start:,} must have the checksum {head.checksum:08x}; "
            f"got {found:08x}"
        )


def record(
    kind: bytes, parts: Sequence[Part], *, count: int = 0, names: int = 0
) -> tuple[list[Part], int]:
    """Return a record, in parts that are not copied, and its length."""
    length, checksum = 0, 0
    for part in parts:
        length += len(part)
        checksum = zlib.crc32(part, checksum)
    head = struct.pack("<4sIQQQ", kind, checksum, length, count, names)
    head += SIZE.pack(zlib.crc32(head))
    filled = aligned(length)
    return [head.ljust(ALIGNED, b"\0"), *parts, bytes(filled - length)], ALIGNED + filled


def pack_rows(
    vectors: NDArray[np.float32], squares: NDArray[np.float32], names: Sequence[bytes]
) -> tuple[list[Part], int]:
    """Return the record of n photos: vectors (n, P, d), squared lengths (n, P), their names."""
    starts = np.zeros(len(names) + 1, "<u8")
    np.cumsum([len(name) for name in names], out=starts[1:])
    parts: list[Part] = []
    for array in (np.asarray(vectors, "<f4"), np.asarray(squares, "<f4"), starts):
        parts += [as_bytes(array), bytes(-array.nbytes % ALIGNED)]
    text = b"".join(names)
    return record(ROWS, [*parts, text], count=len(names), names=len(text))


def places(head: Head, parts: int, dimensions: int) -> tuple[int, int, int, int]:
    """Where vectors, squared lengths, starts of names, and names lie in a record of rows.

    Raises
    ------
    FeaturesError
        If the record is not as long as they are together.
    """
    squares = head.start + aligned(head.photos * parts * dimensions * 4)
    starts = squares + aligned(head.photos * parts * 4)
    names = starts + aligned((head.photos + 1) * 8)
    if head.photos < 1 or names + head.names != head.start + head.length:
        raise FeaturesError(
            f"a record must hold the vectors of {head.photos:,} photos; got {head.length:,} bytes "
            f"behind byte {head.start:,}"
        )
    return head.start, squares, starts, names


def as_bytes(array: NDArray[Any]) -> memoryview:
    """Return the bytes of an array, copied only where they do not lie in one row."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def pack_arrays(arrays: dict[str, NDArray[Any]]) -> list[Part]:
    """Return the payload of a ``base``."""
    little = {name: np.asarray(a, a.dtype.newbyteorder("<")) for name, a in arrays.items()}
    listed = [[name, array.dtype.str, list(array.shape)] for name, array in little.items()]
    text = to_json("a transform", {"arrays": listed}, LARGEST_JSON).encode()
    front = SIZE.pack(len(text)) + text
    parts: list[Part] = [front, bytes(-len(front) % ALIGNED)]
    for array in little.values():
        parts += [as_bytes(array), bytes(-array.nbytes % ALIGNED)]
    return parts


def unpack_arrays(data: Buffer, head: Head) -> dict[str, NDArray[Any]]:
    """Return the arrays of a ``base``, as copies, once they were compared with its checksum.

    Raises
    ------
    FeaturesError
        If it is damaged.
    """
    check_payload(data, head)
    end = head.start + head.length
    raw = data[head.start : min(end, head.start + SIZE.size)]
    size = SIZE.unpack(raw)[0] if len(raw) == SIZE.size else end
    at = head.start + SIZE.size + size
    if at > end:
        raise FeaturesError("a transform must say what its arrays are; got something else")
    listed = from_json("a transform", data[head.start + SIZE.size : at], LARGEST_JSON)
    found: dict[str, NDArray[Any]] = {}
    at = aligned(at)
    for item in _list(listed.get("arrays")):
        name, dtype, sides = _named(item)
        nbytes = math.prod(sides) * dtype.itemsize
        if at + nbytes > end:
            raise FeaturesError(f"an array of a transform must be whole; got {end - at:,} bytes")
        array: NDArray[Any] = np.frombuffer(data[at : at + nbytes], dtype).reshape(sides)
        found[name] = array.astype(dtype.newbyteorder("="), copy=False)
        at += aligned(nbytes)
    return found


def _named(item: object) -> tuple[str, np.dtype[Any], list[int]]:
    """Name, type and shape of an array, as a ``base`` lists it."""
    if isinstance(item, list) and len(item) == 3:
        name, dtype, sides = item
        if isinstance(name, str) and dtype in DTYPES and isinstance(sides, list):
            known = [side for side in sides[:3] if type(side) is int and 0 < side < 2**31]
            if len(known) == len(sides) <= 2:
                return name, np.dtype(dtype), known
    raise FeaturesError("an array of a transform must be named floats; got something else")


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise FeaturesError(f"a transform must list its arrays; got {type(value).__name__}")
    return value
