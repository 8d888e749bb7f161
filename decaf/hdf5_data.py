"""HDF5 datasets: what their headers declare, where their bytes lie, and the values in them.

A dataset's type, shape, filters and layout are messages of its object header
(:mod:`decaf.hdf5`).  All that they say about places is checked against the size of the file
when they are read; no value is touched before it is asked for.

Reference: "HDF5 File Format Specification Version 3.0", The HDF Group.  Roman numerals below
are its sections.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decaf.cursor import Buffer, Cursor
from decaf.hdf5_filters import GZIP, undo
from decaf.messages import refuse

NOWHERE = 2**64 - 1  # the address of what has not been stored
MOST_DIMENSIONS = 8
LARGEST_RATIO = 1000  # bytes that one byte of gzip may stand for
WIDEST_EMPTY = 2**32  # values in a row of a dataset that has no rows
AT_ONCE = 2**20  # bytes that rows are read in where there are no chunks

INTEGER, FLOAT, STRING, VARIABLE = 0, 1, 3, 9
TYPE_NAMES = (
    "integer", "float", "time", "string", "bit field", "opaque", "compound", "reference",
    "enumeration", "variable-length", "array", "complex",
)  # fmt: skip
# IEEE float16 and float32, little-endian, as a type message describes them (IV.A.2.d): where
# the sign is, then offset and precision in bits, place and size of exponent and mantissa, bias.
IEEE: dict[bytes, np.dtype[np.floating]] = {
    bytes.fromhex("200f00 02000000 0000 1000 0a 05 00 0a 0f000000"): np.dtype("<f2"),
    bytes.fromhex("201f00 04000000 0000 2000 17 08 00 17 7f000000"): np.dtype("<f4"),
}
DOUBLE: dict[bytes, np.dtype[np.floating]] = {
    bytes.fromhex("203f00 08000000 0000 4000 34 0b 00 34 ff030000"): np.dtype("<f8"),
}


@dataclass(frozen=True)
class Type:
    """Type of one value: its class, its size in bytes, and the bits that say the rest."""

    kind: int
    size: int
    bits: int
    dtype: np.dtype[np.floating] | None = None  # of floats that NumPy can read in place

    def __str__(self) -> str:
        name = TYPE_NAMES[self.kind] if self.kind < len(TYPE_NAMES) else f"class {self.kind}"
        if self.dtype is not None:
            return self.dtype.name
        if self.kind == VARIABLE and self.bits & 0xF == 1:
            name = "variable-length string"
        order = "big-endian " if self.kind in (INTEGER, FLOAT) and self.bits & 1 else ""
        return f"{order}{name} of {self.size} bytes"


@dataclass(frozen=True)
class Value:
    """The value of an attribute: type, shape, bytes."""

    type: Type
    shape: tuple[int, ...]
    raw: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """One filtered or plain box of values, somewhere in the file."""

    place: tuple[int, ...]  # index of its first value
    offset: int
    size: int
    filter: int  # its number; 0 for none


@dataclass(frozen=True)
class Dataset:
    """What a dataset declares; where it lies has been found to be inside the file.

    Attributes
    ----------
    type : Type
        Type of a value.
    shape : tuple
        Lengths of the axes.
    offset : int or None
        Where contiguous data start; None for chunks.
    stored : int
        Bytes that it takes in the file.
    chunks : tuple of Chunk
        Where the data lie that are not contiguous.
    chunk_shape : tuple
        Lengths of the axes of a chunk.
    """

    type: Type
    shape: tuple[int, ...]
    offset: int | None
    stored: int
    chunks: tuple[Chunk, ...] = ()
    chunk_shape: tuple[int, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of all values, uncompressed."""
        return math.prod(self.shape) * self.type.size

    @property
    def places(self) -> list[tuple[int, int]]:
        """Where the data lie: offset and size of each piece, in bytes."""
        if self.offset is not None:
            return [(self.offset, self.stored)]
        return [(chunk.offset, chunk.size) for chunk in self.chunks]


# What messages say


def read_type(body: bytes, floats: dict[bytes, np.dtype[np.floating]] = IEEE) -> Type:
    """Read a type (IV.A.2.d); `floats` are those that may be read."""
    message = Cursor(body, 0, len(body))
    kind = message.uint(1) & 0xF
    bits, size = message.uint(3), message.uint(4)
    return Type(kind, size, bits, floats.get(body[1:20]) if kind == FLOAT else None)


def read_shape(body: bytes) -> tuple[int, ...]:
    """Read a shape (IV.A.2.b)."""
    message = Cursor(body, 0, len(body))
    version = message.expect(what="shape", version=(1, 2))
    axes, _, kind = message.uint(1), message.uint(1), message.uint(1)
    if axes > MOST_DIMENSIONS:
        refuse("a shape", f"at most {MOST_DIMENSIONS} axes", axes)
    if version == 2 and kind == 2:
        refuse("a shape", "one that holds values", "the null shape")
    message.take(4 if version == 1 else 0)
    return tuple(message.uint(8) for _ in range(axes))


def contiguous(
    data: Buffer, layout: Cursor, kind: Type, shape: tuple[int, ...], empty: bool
) -> Dataset:
    """Read a layout in one piece (IV.A.2.i); only where `empty` may it be one of no rows."""
    offset, stored = layout.uint(8), layout.uint(8)
    if empty and shape[:1] == (0,) and offset == NOWHERE and max(shape) < WIDEST_EMPTY:
        return Dataset(kind, shape, 0, 0)
    dataset = Dataset(kind, shape, offset, stored)
    if offset == NOWHERE:
        refuse("data", f"{dataset.nbytes:,} bytes in the file", "none")
    # Beside an axis of 0, the others could be of any length.
    if not all(1 <= axis <= len(data) for axis in shape):
        refuse("the axes", f"1 to {len(data):,} long", f"shape {shape}")
    if stored != dataset.nbytes:
        refuse("stored data", f"{dataset.nbytes:,} bytes for shape {shape}", f"{stored:,}")
    Cursor(data, offset, stored)
    return dataset


def chunk_key_size(layout: Cursor) -> int:
    """Bytes of a key in the tree of chunks (III.A.1), given the layout that names the tree."""
    return 8 + 8 * layout.data[layout.at]


def chunked(
    data: Buffer,
    layout: Cursor,
    kind: Type,
    shape: tuple[int, ...],
    filter_number: int,
    entries: Iterable[tuple[bytes, int]],
) -> Dataset:
    """Read a layout in chunks (IV.A.2.i) that `entries` of a tree list."""
    axes = layout.uint(1) - 1  # the last one counted is the size of a value
    layout.take(8)  # where the tree is
    chunk_shape = [layout.uint(4) for _ in range(axes)]
    if axes < 1 or axes != len(shape) or layout.uint(4) != kind.size:
        refuse("chunks", f"of {len(shape)} axes and values of {kind}", f"{axes} axes")
    if not all(0 < c <= s for c, s in zip(chunk_shape, shape, strict=True)):
        refuse("chunks", f"no larger than the data, {shape}", tuple(chunk_shape))
    expected = math.prod(-(-s // c) for s, c in zip(shape, chunk_shape, strict=True))
    chunks: dict[tuple[int, ...], Chunk] = {}
    for key, offset in entries:
        part = Cursor(key, 0, len(key))
        stored, skipped = part.uint(4), part.uint(4)
        place = tuple(part.uint(8) for _ in range(axes))
        Cursor(data, offset, stored)
        chunks[place] = Chunk(place, offset, stored, 0 if skipped & 1 else filter_number)
    right = all(
        p % c == 0 and p < s
        for place in chunks
        for p, c, s in zip(place, chunk_shape, shape, strict=True)
    )
    if len(chunks) != expected or not right:
        refuse("chunks", f"{expected:,} that cover {shape}", f"{len(chunks):,}")
    stored = sum(chunk.size for chunk in chunks.values())
    dataset = Dataset(kind, shape, None, stored, tuple(chunks.values()), tuple(chunk_shape))
    largest = LARGEST_RATIO * stored if filter_number == GZIP else stored
    if dataset.nbytes > largest:
        refuse("data", f"at most {largest:,} bytes from {stored:,} stored", dataset.nbytes)
    return dataset


# Values


def unpack(data: Buffer, dataset: Dataset, chunk: Chunk) -> bytes:
    """Bytes of a chunk as they were before the filter, those that stick out included."""
    size = math.prod(dataset.chunk_shape) * dataset.type.size
    raw = undo(data[chunk.offset : chunk.offset + chunk.size], chunk.filter, size)
    if len(raw) != size:
        refuse("a chunk", f"{size:,} bytes", f"{len(raw):,}")
    return raw


def read_array(
    data: Buffer, dataset: Dataset, dtype: np.dtype[np.floating]
) -> NDArray[np.floating]:
    """Values of a dataset: in the file itself, or unpacked into a new array."""
    if dataset.offset is not None:
        count = math.prod(dataset.shape)
        return np.frombuffer(data, dtype, count, dataset.offset).reshape(dataset.shape)
    values = np.empty(dataset.shape, dtype)
    for chunk in dataset.chunks:
        box = np.frombuffer(unpack(data, dataset, chunk), dtype).reshape(dataset.chunk_shape)
        ends = (p + s for p, s in zip(chunk.place, box.shape, strict=True))
        target = values[tuple(map(slice, chunk.place, ends))]
        target[...] = box[tuple(map(slice, target.shape))]  # the last ones stick out
    values.flags.writeable = False
    return values


def read_rows(data: Buffer, dataset: Dataset) -> Iterator[bytes]:
    """Bytes of whole rows in order, some at a time; a row is all that has one first index."""
    if not dataset.shape:
        refuse("rows", "of a dataset with axes", "a single value")
    count, *inner = dataset.shape
    row = math.prod(inner) * dataset.type.size
    if dataset.offset is not None:
        step = max(1, AT_ONCE // max(1, row)) * max(1, row)
        end = dataset.offset + dataset.stored
        for start in range(dataset.offset, end, step):
            yield data[start : min(start + step, end)]
            give_back(data, start, step)
        return
    if dataset.chunk_shape[1:] != dataset.shape[1:]:
        refuse("chunks", f"of whole rows, {dataset.shape[1:]}", dataset.chunk_shape[1:])
    for chunk in sorted(dataset.chunks, key=lambda chunk: chunk.place):
        raw = unpack(data, dataset, chunk)
        yield raw[: (count - chunk.place[0]) * row]  # the last one sticks out
        give_back(data, chunk.offset, chunk.size)


def give_back(data: Buffer, start: int, size: int) -> None:
    """Let pages of a mapped file go that have been copied; the system brings them back."""
    if isinstance(data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        before = start % mmap.PAGESIZE
        end = min(start + size, len(data))
        data.madvise(mmap.MADV_DONTNEED, start - before, end - start + before)
