"""What changes an index: photos that are added, and the whole written anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf.errors import FeaturesError
from decaf.features.begin import check_free, usable
from decaf.features.naming import shown
from decaf.features.texts import as_bytes, check_text
from decaf.net import at_least_one
from decaf.retrieval.blocks import squared_lengths
from decaf.retrieval.index_contents import MOST_LEVELS, Contents
from decaf.retrieval.index_file import Appender, about, creating, locked, open_contents
from decaf.retrieval.spatial import part_count
from decaf.retrieval.whitening import Whitening

RECORD_BYTES = 2**26  # of vectors in a record that `rewrite` makes of small ones


class Adding:
    """Adds photos to an index, some at a time; made by ``Index.adding`` and :func:`new_index`.

    Parameters
    ----------
    appender : Appender
        To the index.
    known : set of bytes
        The photos that are there.
    """

    def __init__(self, appender: Appender, known: set[bytes]) -> None:
        self._appender, self.known = appender, known

    def shaped(self, transform: Whitening, parts: int, features: int) -> None:
        """Say what is added: P vectors a photo, of features of D numbers."""
        self._transform, self.parts, self.features = transform, parts, features

    def add(self, paths: Sequence[str], features: ArrayLike) -> None:
        """Add n photos; they count when the change ends.

        Parameters
        ----------
        paths : sequence of str
            n different ones, which are not there yet.
        features : array_like
            (n, D) or (n, P, D).

        Raises
        ------
        FeaturesError
            If they do not fit.
        """
        rows = np.asarray(features)
        if rows.ndim == 2 and self.parts == 1:
            rows = rows[:, None]  # n, 1, D
        if rows.shape != (len(paths), self.parts, self.features):
            expected = len(paths), self.parts, self.features
            got = np.asarray(features).shape
            raise FeaturesError(f"features to add must be n,P,D; expected {expected}, got {got}")
        names = [_name(path) for path in paths]
        new: set[bytes] = set()
        for path, name in zip(paths, names, strict=True):
            if name in self.known or name in new:
                raise FeaturesError(
                    f"photos to add must be new to the index; got {shown(path)} again"
                )
            new.add(name)
        vectors = np.ascontiguousarray(self._transform.transform(rows))  # n, P, d
        self._appender.rows(vectors, squared_lengths(vectors), names)
        self.known |= new


def _name(path: str) -> bytes:
    check_text("a path", path)
    if not path:
        raise FeaturesError("photos to add must have names; got an empty one")
    return as_bytes(path)


class NewIndex(Adding):
    """An index that is being made: :meth:`begin` it, then ``add``."""

    def begin(self, info: dict[str, Any], transform: Whitening, levels: int = 1) -> None:
        """Say what it is of, as for ``Index.create``."""
        parts = parts_of(levels)
        arrays = transform.to_arrays()
        dimensions, features = Whitening.from_arrays(arrays).matrix.shape
        header = {
            "info": info, "levels": levels, "parts": parts, "dimensions": dimensions,
            "features": features,
        }  # fmt: skip
        self._appender.begin(header, arrays)
        self.shaped(transform, parts, features)


def parts_of(levels: int) -> int:
    """Number of the parts of a photo; 1 where there is one level.

    Raises
    ------
    FeaturesError, ShapeError
        If there can be no such levels.
    """
    at_least_one("levels", levels)
    if levels > MOST_LEVELS:
        raise FeaturesError(f"levels must be at most {MOST_LEVELS}; got {levels}")
    return part_count(levels)


@contextmanager
def new_index(path: Path) -> Iterator[NewIndex]:
    """Make an index, which takes its name when this ends without an error.

    Raises
    ------
    FeaturesError
        If there is a file of that name, it cannot be written, or another process writes it.
    """
    with usable(path):
        check_free(path, resume=False)
    with locked(path), creating(path) as appender:
        new = NewIndex(appender, set())
        yield new
        if not hasattr(new, "parts"):
            raise FeaturesError(f"{path}: must be begun; got nothing to write")


def matching(contents: Contents, paths: Iterable[str]) -> list[str]:
    """Return the photos that are named, or lie in folders or archives that are named.

    Raises
    ------
    FeaturesError
        If a name matches none, or is empty: everything lies in a folder without a name.
    """
    wanted: dict[bytes, str] = {}
    for given in paths:
        name = as_bytes(given).rstrip(b"/")
        if not name:
            raise FeaturesError(f"a photo or folder must be named; got {shown(given)!r}")
        wanted[name] = given
    photos = contents.numbers(wanted)
    missing = {name + b"/" for name in wanted if name not in photos}
    folders = tuple(missing)
    found = []
    for name in contents.names_left():
        if name.startswith(folders):
            missing = {folder for folder in missing if not name.startswith(folder)}
        elif name not in photos:
            continue
        found.append(name.decode(errors="surrogateescape"))
    if missing:
        given = shown(next(given for name, given in wanted.items() if name + b"/" in missing))
        first = next(contents.names_left(), None)
        has = "none"
        if first is not None:
            has = f"photos such as {shown(first.decode(errors='surrogateescape'))}"
        raise FeaturesError(f"{given} must be a photo of it, or a folder; it has {has}")
    return found


def numbers_of(contents: Contents, paths: Iterable[str]) -> list[int]:
    """Return the numbers of photos that are there, in order.

    Raises
    ------
    FeaturesError
        If one is not.
    """
    wanted = {as_bytes(path): path for path in paths}
    known = contents.numbers(wanted)
    missing = [path for name, path in wanted.items() if name not in known]
    if missing:
        raise FeaturesError(
            f"the index must have the photos to remove; got {len(missing):,} that it has not, "
            f"such as {shown(missing[0])}"
        )
    return sorted(known.values())


def rewrite(path: Path) -> None:
    """Write an index anew, under its lock: without what was removed, in large records."""
    with creating(path, replace=True) as appender:
        _copy(path, appender)  # and unmaps it: Windows replaces no file that is mapped


def _copy(path: Path, appender: Appender) -> None:
    contents = open_contents(path)
    with about(path):
        contents.verify()  # or damage would get new checksums
    names = contents.names_left()
    appender.begin(contents.header, contents.arrays)
    size = contents.parts * contents.dimensions * 4
    for vectors, squares in _merged(contents, max(1, RECORD_BYTES // size)):
        appender.rows(vectors, squares, [next(names) for _ in range(len(vectors))])


def _merged(
    contents: Contents, most: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Vectors and squared lengths of what is left, about `most` photos at a time."""
    vectors, squares, count = [], [], 0
    for block in contents.blocks():
        for start in range(0, len(block.vectors), most):
            part = slice(start, start + most)
            kept = slice(None) if block.alive is None else block.alive[part]
            vectors.append(block.vectors[part][kept])
            squares.append(block.squares[part][kept])
            count += len(vectors[-1])
            if count >= most:
                yield np.concatenate(vectors), np.concatenate(squares)
                vectors, squares, count = [], [], 0
    if count:
        yield np.concatenate(vectors), np.concatenate(squares)
