"""What an index holds, as it was when its file was mapped; read when it is asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterator
from itertools import chain, compress, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decaf.cursor import Buffer
from decaf.errors import FeaturesError
from decaf.features.texts import from_json
from decaf.retrieval.blocks import Block, squared_lengths
from decaf.retrieval.index_records import (
    BASE,
    GONE,
    LARGEST_JSON,
    ROWS,
    START,
    WHAT,
    Head,
    check_payload,
    places,
    read_end,
    read_head,
    unpack_arrays,
)
from decaf.retrieval.spatial import part_count
from decaf.retrieval.whitening import Whitening

LITTLE = np.dtype("<f4")
MOST_LEVELS, LARGEST_D = 16, 2**28
NAMES, NUMBERS = 2**12, 2**20  # names, and numbers of vectors, that are looked at together


class _Rows(NamedTuple):
    """Photos whose rows lie together, and where."""

    first: int
    photos: int
    vectors: int
    squares: int
    starts: int
    names: int
    end: int


class Contents:
    """The records of an index, up to its end.

    Opening reads the heads of all records and the removals; vectors, names and the transform
    only when they are asked for.  It never changes, whatever becomes of the file.

    Parameters
    ----------
    data : bytes or mmap
        The file, at least up to its end.
    last : (int, int), optional
        What `read_end` says of it; left out, it is read.  Of a file that others change it must
        not be read again: it may lie behind what was mapped meanwhile.

    Attributes
    ----------
    sequence, end : int
        Number of the last change, and where it ended, in bytes.
    info : dict
        What made the features.
    levels, parts, dimensions, features : int
        P vectors a photo, of d numbers each, from features of D numbers.
    count : int
        Photos, also those that were removed.
    alive : ndarray
        (count,) bool, False for those that were removed.
    left : int
        Photos that were not.
    header : dict
        All of the above but the numbers of photos.

    Raises
    ------
    FeaturesError
        Here and in all methods: if the file is no index, or damaged.
    """

    def __init__(self, data: Buffer, last: tuple[int, int] | None = None) -> None:
        self._data = data
        self.sequence, self.end = last or read_end(data[:START], len(data))
        self._what = what = self._record(START, WHAT)
        check_payload(data, what)
        header = from_json("the header", data[what.start : what.start + what.length], LARGEST_JSON)
        self._describe(header)
        self._base = self._record(what.end, BASE)
        self._rows: list[_Rows] = []
        self.count = self.left = 0
        alive = bytearray()
        for head in self._later():
            if head.kind == ROWS:
                lie = places(head, self.parts, self.dimensions)
                end = head.start + head.length
                self._rows.append(_Rows(self.count, head.photos, *lie, end))
                self.count += head.photos
                self.left += head.photos
                alive += b"\1" * head.photos
            elif head.kind == GONE:
                self._remove(head, np.frombuffer(alive, np.bool_))
                self.left -= head.photos
            else:
                raise FeaturesError(f"a record must be of rows or removals; got {head.kind!r}")
        self.alive = np.frombuffer(alive, np.bool_)
        self._firsts = [rows.first for rows in self._rows]

    def _record(self, at: int, kind: bytes) -> Head:
        head = read_head(self._data, at, self.end)
        if head.kind != kind:
            raise FeaturesError(f"the record must be {kind!r}; got {head.kind!r}")
        return head

    def _later(self) -> Iterator[Head]:
        """Heads of the records behind the first two; none is kept: there may be many."""
        at = self._base.end
        while at < self.end:
            head = read_head(self._data, at, self.end)
            yield head
            at = head.end

    def _describe(self, header: dict[str, Any]) -> None:
        info = header.get("info")
        limits = {"levels": MOST_LEVELS, "dimensions": LARGEST_D, "features": LARGEST_D}
        fits = all(
            type(header.get(name)) is int and 1 <= header[name] <= most
            for name, most in limits.items()
        )
        # As many parts as levels have: else an index could ask for any number of them.
        fits = fits and header.get("parts") == part_count(header["levels"])
        if not isinstance(info, dict) or not fits:
            raise FeaturesError(
                "the header must have info, levels, parts, dimensions and features; got others"
            )
        self.header, self.info = header, info
        self.levels: int = header["levels"]
        self.parts = part_count(self.levels)
        self.dimensions: int = header["dimensions"]
        self.features: int = header["features"]

    def _remove(self, head: Head, alive: NDArray[np.bool_]) -> None:
        """Apply a removal to the photos before it."""
        check_payload(self._data, head)
        if head.photos < 1 or head.length != 8 * head.photos:
            raise FeaturesError(f"a removal must name its photos; got {head.length:,} bytes")
        numbers = np.frombuffer(self._data, "<u8", head.photos, head.start)
        if numbers[-1] >= self.count or (numbers[1:] <= numbers[:-1]).any():
            raise FeaturesError("a removal must be of photos before it, in order; got others")
        if not alive[numbers].all():
            raise FeaturesError("a removal must be of photos that are there; got one twice")
        alive[numbers] = False

    @property
    def identity(self) -> tuple[dict[str, Any], int]:
        """What stays the same when photos are added or removed."""
        return self.header, self._base.checksum

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Those of the transform."""
        return unpack_arrays(self._data, self._base)

    def transform(self) -> Whitening:
        """Return what makes vectors of features."""
        transform = Whitening.from_arrays(self.arrays)
        expected, got = (self.dimensions, self.features), transform.matrix.shape
        if got != expected:
            raise FeaturesError(f"the transform must be of {expected}; got {got}")
        return transform

    def blocks(self) -> Iterator[Block]:
        """Yield what is left of the photos, in order; vectors are views of the mapped file."""
        for rows in self._rows:
            vectors = self._floats(rows.vectors, rows.photos, self.parts, self.dimensions)
            squares = self._floats(rows.squares, rows.photos, self.parts)
            if self.left == self.count:
                yield Block(vectors, squares, rows.first)
                continue
            alive = self.alive[rows.first : rows.first + rows.photos]
            if alive.any():
                yield Block(vectors, squares, rows.first, None if alive.all() else alive)

    def _floats(self, at: int, *shape: int) -> NDArray[np.float32]:
        values: NDArray[np.float32] = np.ndarray(shape, LITTLE, self._data, at)
        return values if LITTLE.isnative else values.astype(np.float32)

    def name(self, number: int) -> bytes:
        """Return the name of one photo, as bytes."""
        rows = self._rows[bisect_right(self._firsts, number) - 1]
        start, end = self._starts(rows)[number - rows.first :][:2].tolist()
        return self._text(rows, start, end)

    def names(self) -> Iterator[bytes]:
        """Yield the names of all photos in order, also of those that were removed."""
        for rows in self._rows:
            every = self._starts(rows)
            length = rows.end - rows.names
            if every[0] != 0 or every[-1] != length:
                raise FeaturesError("the names of photos must fill their room; got others")
            for first in range(0, rows.photos, NAMES):
                for start, end in pairwise(every[first : first + NAMES + 1].tolist()):
                    if not start <= end <= length:
                        raise FeaturesError("the names of photos must lie in a row; got others")
                    yield self._data[rows.names + start : rows.names + end]

    def names_left(self) -> Iterator[bytes]:
        """Yield the names of the photos that are left, in order."""
        return compress(self.names(), self.alive.data)

    def _starts(self, rows: _Rows) -> NDArray[np.uint64]:
        return np.frombuffer(self._data, "<u8", rows.photos + 1, rows.starts)

    def _text(self, rows: _Rows, start: int, end: int) -> bytes:
        if not 0 <= start <= end <= rows.end - rows.names:
            raise FeaturesError("the name of a photo must lie in its record; got another place")
        return self._data[rows.names + start : rows.names + end]

    def numbers(self, wanted: Container[bytes]) -> dict[bytes, int]:
        """Return name -> number of those photos that are left and wanted."""
        numbers = np.flatnonzero(self.alive)
        return {
            name: int(number)
            for name, number in zip(self.names_left(), numbers, strict=True)
            if name in wanted
        }

    def verify(self) -> None:
        """Read all of it: checksums, numbers that can be compared, names that differ."""
        for head in chain((self._what, self._base), self._later()):
            check_payload(self._data, head)
        for rows in self._rows:
            self._check_numbers(rows)
        for _ in self.names():
            pass
        # Hashes first, of 8 bytes each: names may be many, and few of them are looked at twice.
        hashes = np.fromiter(map(hash, self.names_left()), np.int64, self.left)
        hashes.sort()
        twice = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        seen: set[bytes] = set()
        for name in self.names_left() if twice else ():
            if hash(name) in twice:
                if name in seen:
                    raise FeaturesError("photos must have different names; got one twice")
                seen.add(name)

    def _check_numbers(self, rows: _Rows) -> None:
        """Check that vectors are finite, and their squared lengths are theirs."""
        step = max(1, NUMBERS // (self.parts * self.dimensions))
        for first in range(0, rows.photos, step):
            some = min(step, rows.photos - first)
            at = rows.vectors + first * self.parts * self.dimensions * 4
            vectors = self._floats(at, some, self.parts, self.dimensions)
            squares = self._floats(rows.squares + first * self.parts * 4, some, self.parts)
            if not (np.isfinite(vectors).all() and np.isfinite(squares).all()):
                raise FeaturesError("vectors must be finite; got NaN or infinity")
            if not np.allclose(squares, squared_lengths(vectors), rtol=1e-5, atol=1e-30):
                raise FeaturesError("vectors must be as long as noted; got others")
