"""Folders, archives and files -> the photos in them, in order, each with its label.

    >>> find_photos(["flowers/", "more.zip", "one.jpg"])  # doctest: +SKIP

Paths keep the order in which they are given.  What lies in one is sorted by the components of
its path, these by their code points; a folder, and an archive of it, give the same order.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from decaf.errors import FeaturesError, ImageError
from decaf.features.archives import Archive, Listing, Place, read_archive
from decaf.features.folders import walk
from decaf.features.naming import (
    LONGEST_PATH,
    is_archive,
    is_hidden,
    is_photo,
    is_too_long,
    parent_name,
    shown,
    slashes,
)
from decaf.features.opening import open_regular
from decaf.image import Photo
from decaf.messages import names


@dataclass(frozen=True, slots=True)
class Source:
    """A photo that may be read; here a file.

    Attributes
    ----------
    path : str
        What the feature file calls it, with ``/`` between its parts on every system.
    label : str
        The name of the folder that it lies in; ``""`` for none.
    """

    path: str
    label: str

    @contextmanager
    def open(self) -> Iterator[Photo]:
        """Give the photo as a binary file; may be called in any thread, and many at once.

        Raises
        ------
        ImageError
            If it is not there, is no regular file or empty, or cannot be opened; the message
            starts with the path.
        """
        try:
            file = open_regular(self.path)
        except (OSError, ValueError) as error:  # a NUL in the path
            raise _no_photo(self.path, getattr(error, "strerror", None) or str(error)) from error
        with file:
            yield file


@dataclass(frozen=True, slots=True)
class Member(Source):
    """A photo in an archive: ``flowers.zip/rose/1.jpg``."""

    archive: Archive
    place: Place

    @contextmanager
    def open(self) -> Iterator[Photo]:
        """Give the photo as a binary file.  As for `Source`."""
        with self.archive.open(self.place, self.path) as file:
            yield file


class Found(NamedTuple):
    """What `find_photos` found."""

    photos: Sequence[Source]
    ignored: int  # files in folders and archives that are no photos by their name


def find_photos(paths: Iterable[str | os.PathLike[str]]) -> Found:
    """Find the photos in folders and archives.

    Parameters
    ----------
    paths : iterable of path
        Each a folder, with all folders in it (links to folders are followed; of several ways to
        a folder, the first in sorted order counts); a ``.zip`` or uncompressed ``.tar``, read in
        place; or a file, which is taken as a photo whatever it is called.  In folders and
        archives, files are photos by their suffix (`decaf.features.naming.SUFFIXES`), and what
        is hidden (``.name``, ``__MACOSX``, ``Thumbs.db``) is left out.  Archives inside folders
        or archives are not looked into.

    Returns
    -------
    Found
        A photo's label is the name of the folder that it lies in directly; at the top of an
        archive, the archive's name without suffix.  A photo that is given twice is there twice.

    Raises
    ------
    FeaturesError
        If there are no paths; if one does not exist, cannot be read, is damaged, is neither
        file nor folder, holds no photo, or is longer than 4,096 bytes, as paths in it may be.
    """
    photos: list[Source] = []
    ignored = 0
    for given in _each(paths):
        try:
            path = slashes(given)
        except TypeError:
            raise _no_path(given) from None
        if is_too_long(path):
            raise FeaturesError(
                f"{shown(path)}: must be a path of at most {LONGEST_PATH:,} bytes; got more"
            )
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError) as error:  # a NUL in the path
            got = getattr(error, "strerror", None) or error
            raise FeaturesError(
                f"{shown(path)}: must be a folder, an archive or a photo; got {got}"
            ) from error
        if stat.S_ISDIR(mode):
            found = _in_folder(path)
        elif not stat.S_ISREG(mode):
            raise FeaturesError(
                f"{shown(path)}: must be a folder, an archive or a photo; got something else"
            )
        elif is_archive(path):
            found = _in_archive(path)
        else:
            found = Found([Source(path, parent_name(path))], 0)
        photos += found.photos
        ignored += found.ignored
    if not photos:
        raise FeaturesError("there must be photos; expected folders, archives or files, got none")
    return Found(photos, ignored)


def _each(
    paths: Iterable[str | os.PathLike[str]],
) -> Iterable[str | os.PathLike[str]]:
    if isinstance(paths, (str, os.PathLike)):
        return [paths]
    if not isinstance(paths, Iterable):
        raise _no_path(paths)
    return paths


def _no_path(got: object) -> FeaturesError:
    return FeaturesError(
        f"photos must be given as paths; expected a path or several, got {type(got).__name__}"
    )


@contextmanager
def open_photo(path: str) -> Iterator[Photo]:
    """Give a photo by what a feature file calls it, on the disk or in an archive.

    The archives met last are remembered, so many photos of one are opened quickly.  Only what
    is called as archives are is looked into.

    Parameters
    ----------
    path : str
        As `Source.path`: ``flowers/rose/1.jpg``, ``flowers.zip/rose/1.jpg``.

    Raises
    ------
    ImageError
        If there is none, or it cannot be opened; the message starts with the path.
    """
    if is_too_long(path):
        raise _no_photo(path, f"a path of more than {LONGEST_PATH:,} bytes")
    with (_member(path) or Source(path, "")).open() as photo:
        yield photo


def _member(path: str) -> Member | None:
    """The member that a path names; None where no part of the path is an archive."""
    above = path
    while "/" in above:
        above = above.rpartition("/")[0]
        if not is_archive(above):
            continue
        try:
            status = os.stat(above)
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(status.st_mode):
            listing = _remembered(above, (status.st_size, status.st_mtime_ns)).listing()
            if isinstance(listing, str):
                raise ImageError(f"{shown(path)}: {listing}")
            place = listing.places.get(path[len(above) + 1 :])
            if place is None:
                raise _no_photo(path, f"no such member of {shown(above)}")
            return Member(path, "", listing.archive, place)
    return None


class _Remembered:
    """The list of an archive; one thread makes it, and others wait who want the same one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._listing: Listing | str | None = None

    def listing(self) -> Listing | str:
        """List the archive, or say why not."""
        with self._lock:
            if self._listing is None:
                try:
                    self._listing = read_archive(self._path)
                except FeaturesError as error:
                    self._listing = str(error)
            return self._listing


@lru_cache(maxsize=16)
def _remembered(path: str, _stamp: tuple[int, int]) -> _Remembered:
    """By length and time, too: a changed archive is another one."""
    return _Remembered(path)


if hasattr(os, "register_at_fork"):
    # A child must not wait for a thread that exists only in its parent.
    os.register_at_fork(after_in_child=_remembered.cache_clear)


def _in_folder(folder: str) -> Found:
    files, others = walk(folder)
    if not files:
        raise _no_photos(folder, others)
    return Found([Source(path, label) for path, label in files], len(others))


def _in_archive(path: str) -> Found:
    archive, places = read_archive(path)
    top = os.path.splitext(os.path.basename(path))[0]
    labels: dict[str, str] = {}  # so that photos of one label share it
    photos: list[Source] = []
    others: list[str] = []
    for name, place in places.items():
        *folders, file = name.split("/")
        if any(map(is_hidden, (*folders, file))):
            continue
        if is_photo(file):
            label = folders[-1] if folders else top
            label = labels.setdefault(label, label)
            whole = f"{path}/{name}"
            if is_too_long(whole):
                raise FeaturesError(
                    f"{shown(path)}: must hold photos whose paths have at most "
                    f"{LONGEST_PATH:,} bytes; got more for {shown(name)}"
                )
            photos.append(Member(whole, label, archive, place))
        else:
            others.append(name)
    if not photos:
        raise _no_photos(path, others)
    return Found(photos, len(others))


def _no_photos(path: str, others: list[str]) -> FeaturesError:
    got = f"{len(others):,} files of other kinds" if others else "no files"
    archives = list(filter(is_archive, others))
    if archives:
        got += f" (archives are read when they are named: {names(archives)})"
    return FeaturesError(
        f"{shown(path)}: must hold photos; expected files such as 1.jpg or 1.png, got {got}"
    )


def _no_photo(path: str, got: str) -> ImageError:
    return ImageError(f"{shown(path)}: must be a readable file; expected a photo, got {got}")
