"""``Index``: the vectors of photos in a file, to search in, to add to and to remove from.

What lies in the file is said in ``index_records``; ``build`` makes one of photos.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from decaf.errors import FeaturesError
from decaf.features.texts import Texts
from decaf.net import DecafNet, at_least_one
from decaf.retrieval.blocks import Block
from decaf.retrieval.index_changes import Adding, matching, new_index, numbers_of, rewrite
from decaf.retrieval.index_contents import Contents
from decaf.retrieval.index_file import WINDOWS, about, appending, locked, open_contents
from decaf.retrieval.index_network import check_same, describe
from decaf.retrieval.index_search import Hit, Search
from decaf.retrieval.whitening import Whitening

__all__ = ["Hit", "Index", "describe"]


class Index:
    """Vectors of photos in a file, which is mapped: a large one opens as quickly as a small one.

    :meth:`open` and :meth:`create` are what to call.  What one object shows stays the same until
    that object adds, removes or compacts, whatever other indexes do; :meth:`open` it again to see
    that.  Several threads may search at once, while none changes it.  The file may be replaced
    or removed meanwhile, but no other program may cut it or write into it: where a mapped file
    ends too early, the system stops the process (SIGBUS).

    Attributes
    ----------
    path : Path
        The file; where a link was given, what it points to.
    info : dict
        What made the features, see :func:`describe`.
    levels : int
        1 for one vector a photo; else of parts, see ``decaf.retrieval.spatial``.
    parts, dimensions, features : int
        P vectors a photo, of d numbers each, made of features of D numbers.
    transform : Whitening
        What makes vectors of features.
    removed : int
        Photos whose room :meth:`compact` would give back.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self.path = Path(os.path.realpath(path))  # one lock, whatever link leads to it
        except (OSError, ValueError):  # a NUL in the path
            self.path = Path(path)  # and opening it says so
        self._held: Search | None = None
        self._show(open_contents(self.path))

    def _show(self, contents: Contents) -> None:
        with about(self.path):
            self.transform = contents.transform()
        self._held = Search(contents)
        self.removed = contents.count - contents.left
        self.info, self.levels = contents.info, contents.levels
        self.parts, self.features = contents.parts, contents.features
        self.dimensions = contents.dimensions

    @property
    def _contents(self) -> Contents:
        return self._search.contents

    @property
    def _search(self) -> Search:
        if self._held is None:
            raise FeaturesError(
                f"{self.path}: must be open; got one that `compact` could not open again"
            )
        return self._held

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Index:
        """Open an index.

        Raises
        ------
        FeaturesError
            If there is none, it is another file, of another version, cut off or damaged in what
            opening reads; :meth:`verify` reads all.
        """
        return cls(path)

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], info: dict[str, Any], transform: Whitening,
        levels: int = 1,
    ) -> Index:  # fmt: skip
        """Make an index without photos.

        Parameters
        ----------
        path : path
            Must not exist.
        info : dict
            What :func:`describe` returns.
        transform : Whitening
            Fitted.
        levels : int
            Levels of parts: level i has i² of them, so 1, 5, 14 or 30 vectors a photo.

        Raises
        ------
        FeaturesError
            If there is a file of that name, or it cannot be written.
        """
        with new_index(Path(path)) as new:
            new.begin(info, transform, levels)
        return cls(path)

    def __len__(self) -> int:
        return self._contents.left

    def __repr__(self) -> str:
        return (
            f"<Index {str(self.path)!r}: {len(self):,} photos, {self.parts} x "
            f"{self.dimensions} numbers each>"
        )

    @property
    def paths(self) -> Sequence[str]:
        """What the photos are called that are left, in order; read from the file each time."""
        names = np.empty(self._contents.left, object)
        names[:] = list(self._contents.names_left())
        return Texts(names)

    def matching(self, paths: Iterable[str]) -> list[str]:
        """Return the photos that are named, or lie in folders or archives that are named.

        Raises
        ------
        FeaturesError
            If a name matches none, or is empty.
        """
        with about(self.path):
            return matching(self._contents, paths)

    def blocks(self) -> Iterator[Block]:
        """Yield the vectors of the photos that are left, as they lie in the file; none is copied.

        Yields
        ------
        Block
            Of photos that have numbers in a row; counted are also those that were removed.
        """
        return self._contents.blocks()

    def check_network(
        self, net: DecafNet, layer: str | None = None, *, oversample: bool | None = None,
        pooling: str | None = None,
    ) -> None:  # fmt: skip
        """Make sure that a network gives features that can be compared with those in here.

        Parameters
        ----------
        net : DecafNet
        layer, oversample, pooling
            What is wanted of it; left out, what the index has.

        Raises
        ------
        FeaturesError
            If weights, preprocessing, layer, crops or pooling differ; both are named.
        ArchitectureError
            If the network has no such layer.
        """
        with about(self.path):
            check_same(self.info, net, layer, oversample, pooling)

    def search(self, features: ArrayLike, k: int = 10, backend: str = "exact") -> list[list[Hit]]:
        """Find the photos that are nearest to each query.

        Parameters
        ----------
        features : array_like
            (Q, D), or (Q, P', D) of P' parts each: what the network gives.
        k : int
            How many; fewer come out of an index that has fewer.
        backend : {"exact", "faiss"}
            All photos compared, or most of the nearest found sooner (needs ``faiss-cpu``).

        Returns
        -------
        list of list of Hit
            For each query the nearest first.  The distance is the Euclidean one of the vectors;
            with parts the mean, over those of the query, of that to the nearest one.

        Raises
        ------
        FeaturesError
            If the features are not those of this index, there is no such backend, or the index
            holds numbers that give no distance.
        """
        at_least_one("k", k)
        rows = np.asarray(features)
        if rows.ndim == 2:
            rows = rows[:, None]  # Q, 1, D
        if rows.ndim != 3 or rows.shape[1] < 1 or rows.shape[2] != self.features:
            raise FeaturesError(
                f"queries must be features as those of {self.path}; expected (Q, {self.features}) "
                f"or (Q, P, {self.features}), got {np.asarray(features).shape}"
            )
        with about(self.path):
            return self._search(self.transform.transform(rows), k, backend)

    def add(self, paths: Sequence[str], features: ArrayLike) -> None:
        """Add photos; they are on the disk when this returns.  Add many at a time.

        Parameters
        ----------
        paths : sequence of str
            n different ones, which the index does not have.
        features : array_like
            (n, D), or (n, P, D) of an index of parts: what the network gives.

        Raises
        ------
        FeaturesError
            If they do not fit, the file cannot be written, or another process writes it; the
            index is then as it was.  Only where the disk fails at the very end they may be in
            it all the same: the message says so, and :meth:`open` tells.
        """
        with self.adding() as new:
            new.add(paths, features)

    @contextmanager
    def adding(self) -> Iterator[Adding]:
        """Add photos some at a time: ``with index.adding() as new: new.add(paths, features)``.

        They are in the index, all of them, when this ends; after an error none (but see `add`).
        """
        with appending(self.path) as (contents, appender):
            self._check_same(contents)
            with about(self.path):
                new = Adding(appender, set(contents.names_left()))
            new.shaped(self.transform, self.parts, self.features)
            yield new
        self._show(open_contents(self.path))

    def remove(self, paths: Iterable[str]) -> None:
        """Remove photos; their room is free after :meth:`compact`.

        Parameters
        ----------
        paths : iterable of str
            Photos that the index has; see :meth:`matching`.

        Raises
        ------
        FeaturesError
            If the index has no such photo, cannot be written, or another process writes it; it
            is then as it was (but see `add`).
        """
        with appending(self.path) as (contents, appender):
            self._check_same(contents)
            with about(self.path):
                numbers = numbers_of(contents, [paths] if isinstance(paths, str) else paths)
            if numbers:
                appender.gone(numbers)
        self._show(open_contents(self.path))

    def compact(self) -> None:
        """Write the file anew, without what was removed, and what was added little by little.

        Who searches in it meanwhile, or has it open, goes on with the old file.

        Raises
        ------
        FeaturesError
            If it is damaged, cannot be written, or another process writes it or, on Windows, has
            it open; it is then as it was.  On Windows this object may then be closed.
        """
        with locked(self.path):
            self._check_same(open_contents(self.path))
            if WINDOWS:
                self._held = None  # it replaces no file that is mapped
            try:
                rewrite(self.path)
            except BaseException:
                if self._held is None:
                    with suppress(FeaturesError):  # the first error is the one to know
                        self._show(open_contents(self.path))
                raise
            self._show(open_contents(self.path))

    def _check_same(self, contents: Contents) -> None:
        if contents.identity != self._contents.identity:
            raise FeaturesError(
                f"{self.path}: must be the index that was opened; got another one of that name"
            )

    def verify(self) -> None:
        """Read the whole file, and compare it with its checksums.

        Raises
        ------
        FeaturesError
            If it is damaged.
        """
        with about(self.path):
            self._contents.verify()
