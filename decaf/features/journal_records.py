"""The records of a journal: what is in the file, byte by byte.

A journal is a line, ``decaf-journal 1``, and records::

    length    8 bytes, little-endian: that of the payload
    checksum  4 bytes: CRC-32 of the length and the payload
    payload

The payload of the first record is JSON: ``{"header": ..., "layers": {name: D, ...}}``.  That of
each other is a chunk::

    size      4 bytes: that of the JSON that follows
    JSON      {"first": ..., "count": ..., "failed": [[number, reason], ...]}
    values    of each layer in turn, (count - failed) D little-endian float32

CRC-32 notices what happens to files: a record of which only a part was written, blocks of zeros
after a power failure, flipped bits; of any other damage it overlooks one in 4 billion.  It keeps
out nobody who changes a journal on purpose, so nothing that a record says is believed either:
lengths are compared with what is left of the file before anything is read.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from io import FileIO
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError
from decaf.features.contents import Block
from decaf.features.texts import check_layers, from_json, to_json
from decaf.json_file import LARGEST_JSON

MAGIC = b"decaf-journal "
BEGINNING = MAGIC + b"1\n"
RECORD = struct.Struct("<QI")
SIZE = struct.Struct("<I")
LARGEST_HEADER = LARGEST_JSON
LARGEST_HEAD = 2**22  # bytes of a chunk's JSON
LONGEST_REASON = 1000  # characters
AT_ONCE = 2**20  # bytes that are read to compare a checksum


@dataclass(frozen=True)
class Scanned:
    """What is whole in a journal: its first record, and the photos of the chunks behind it."""

    header: dict[str, Any]
    layers: dict[str, int]
    done: int
    start: int  # of the chunks, in bytes
    end: int
    wrong: FeaturesError | None  # why it ends there, if not because the file does


def read_header(file: BinaryIO | FileIO, size: int) -> tuple[dict[str, Any], dict[str, int], int]:
    """Return header and layers of a journal of `size` bytes, and where its chunks start.

    Raises
    ------
    FeaturesError
        If it is none, or its first record is damaged.
    """
    file.seek(0)
    beginning = file.read(len(BEGINNING)) or b""
    if not beginning.startswith(MAGIC):
        raise FeaturesError(f"the file must be a journal of decaf; got {beginning!r} in front")
    if beginning != BEGINNING:
        raise FeaturesError(f"the journal must be of version 1; got {beginning!r} in front")
    at = len(BEGINNING)
    try:
        length = check(file, at, size)
        if length > LARGEST_HEADER:
            raise FeaturesError(f"it must be at most {LARGEST_HEADER:,} bytes; got {length:,}")
        file.seek(at + RECORD.size)
        header, layers = _first(read(file, length))
    except FeaturesError as error:
        raise FeaturesError(f"the first record of the journal must be intact; {error}") from error
    return header, layers, at + RECORD.size + length


def scan(file: BinaryIO | FileIO, size: int) -> Scanned:
    """Read a journal of `size` bytes up to its end, or to the first record that is damaged.

    Raises
    ------
    FeaturesError
        As :func:`read_header` does.
    """
    header, layers, start = read_header(file, size)
    at, done = start, 0
    wrong: FeaturesError | None = None
    while at < size:
        try:
            length = check(file, at, size)
            file.seek(at + RECORD.size)
            raw = file.read(min(length, SIZE.size)) or b""
            if len(raw) == SIZE.size:
                raw += file.read(min(SIZE.unpack(raw)[0], length, LARGEST_HEAD)) or b""
            first, count, _, _ = _head(raw, length, layers)
            if first != done:
                raise FeaturesError(f"a chunk must begin with photo {done}; got {first}")
        except FeaturesError as error:
            wrong = error
            break
        done += count
        at += RECORD.size + length
    return Scanned(header, layers, done, start, at, wrong)


def check(file: BinaryIO | FileIO, at: int, end: int) -> int:
    """Length of the payload of the record at a place, which is compared with its checksum."""
    file.seek(at)
    left = end - at - RECORD.size
    head = file.read(RECORD.size) or b""
    if left < 0 or len(head) < RECORD.size:
        raise FeaturesError("a record must be whole; the file ends in it")
    length, expected = RECORD.unpack(head)
    if length > left:
        raise FeaturesError(f"a record must be whole; expected {length:,} bytes, got {left:,}")
    checksum = zlib.crc32(head[:8])
    for start in range(0, length, AT_ONCE):
        checksum = zlib.crc32(read(file, min(AT_ONCE, length - start)), checksum)
    if checksum != expected:
        raise FeaturesError(f"a record must have the checksum {expected:08x}; got {checksum:08x}")
    return int(length)


def _first(payload: bytes) -> tuple[dict[str, Any], dict[str, int]]:
    """Header and layers."""
    found = from_json("it", payload, LARGEST_HEADER)
    header, layers = found.get("header"), found.get("layers")
    if not isinstance(header, dict) or not isinstance(layers, dict):
        raise FeaturesError("it must hold a header and layers; got something else")
    check_layers(layers)
    return header, layers


def _head(raw: bytes, length: int, layers: dict[str, int]) -> tuple[int, int, dict[int, str], int]:
    """First, count, failed, and where the values start, from the front of a payload."""
    size = SIZE.unpack_from(raw)[0] if len(raw) >= SIZE.size else -1
    if len(raw) != SIZE.size + size:
        raise FeaturesError("a chunk must start with what it is; got something else")
    head = from_json("a chunk", raw[SIZE.size :], LARGEST_HEAD)
    first, count, pairs = head.get("first"), head.get("count"), head.get("failed")
    if type(first) is not int or type(count) is not int or not isinstance(pairs, list):
        raise FeaturesError("a chunk must have a first photo, a count and failures; got others")
    failed: dict[int, str] = {}
    last = first - 1
    for pair in pairs:
        index, reason = pair if isinstance(pair, list) and len(pair) == 2 else (None, None)
        if type(index) is not int or not isinstance(reason, str) or not last < index:
            raise FeaturesError("failures must be numbers and reasons, in order; got others")
        failed[index] = reason
        last = index
    values = (count - len(failed)) * sum(layers.values()) * 4
    start = SIZE.size + size
    if count < 1 or last >= first + count or start + values != length:
        raise FeaturesError(f"a chunk must hold {count} photos; got {length:,} bytes")
    return first, count, failed, start


def encode(chunk: Block, done: int, layers: dict[str, int]) -> list[bytes | memoryview]:
    """Return the payload of the chunk behind photo `done`, in parts; values are not copied.

    Raises
    ------
    FeaturesError
        If the chunk does not follow, or its values are not those of the layers.
    """
    count = chunk.count - len(chunk.failed)
    numbers = range(chunk.first, chunk.first + chunk.count)
    fits = chunk.count >= 1 and count >= 0 and all(index in numbers for index in chunk.failed)
    if chunk.first != done or not fits:
        raise FeaturesError(
            f"a chunk must be of photos from {done} on; got {chunk.count} from {chunk.first}, "
            f"{len(chunk.failed)} of them failed"
        )
    found = {layer: (rows.shape, str(rows.dtype)) for layer, rows in chunk.values.items()}
    expected = {layer: ((count, width), "float32") for layer, width in layers.items()}
    if found != expected:
        raise FeaturesError(f"the values of a chunk must fit; expected {expected}, got {found}")
    failed = [[index, str(chunk.failed[index])[:LONGEST_REASON]] for index in sorted(chunk.failed)]
    head = {"first": chunk.first, "count": chunk.count, "failed": failed}
    text = to_json("a chunk's photos that failed", head, LARGEST_HEAD).encode()
    values = [
        np.ascontiguousarray(chunk.values[layer], "<f4").reshape(-1).view(np.uint8).data
        for layer in layers
    ]
    return [SIZE.pack(len(text)), text, *values]


def decode(payload: bytes, layers: dict[str, int]) -> Block:
    """Return the chunk of a payload, its values as views of it.

    Raises
    ------
    FeaturesError
        If the payload is not one of these layers.
    """
    size = SIZE.unpack_from(payload)[0] if len(payload) >= SIZE.size else 0
    first, count, failed, at = _head(payload[: SIZE.size + size], len(payload), layers)
    rows = count - len(failed)
    values: dict[str, NDArray[np.float32]] = {}
    for layer, width in layers.items():
        flat = np.frombuffer(payload, "<f4", rows * width, at)
        values[layer] = flat.reshape(rows, width).astype(np.float32, copy=False)
        at += 4 * rows * width
    return Block(first, count, failed, values)


def record(*parts: bytes | memoryview) -> list[bytes | memoryview]:
    """Put length and checksum in front of a payload."""
    length = sum(map(len, parts)).to_bytes(8, "little")
    checksum = zlib.crc32(length)
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return [length + checksum.to_bytes(4, "little"), *parts]


def write(file: FileIO, *parts: bytes | memoryview) -> None:
    """Write all of it: the system may take a part at a time."""
    for part in parts:
        left = memoryview(part)
        while left:
            left = left[file.write(left) or 0 :]


def read(file: BinaryIO | FileIO, size: int) -> bytes:
    """Read all of it; the system may give a part at a time."""
    data = file.read(size) or b""
    while len(data) < size:
        more = file.read(size - len(data))
        if not more:
            raise FeaturesError("a record must be whole; the file ends in it")
        data += more
    return data
