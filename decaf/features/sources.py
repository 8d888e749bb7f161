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
from decaf.features.naming import (
    folder_name,
    in_order,
    is_archive,
    is_hidden,
    is_photo,
    parent_name,
    shown,
    slashes,
)
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
        """Give the photo to read; may be called in any thread, and many at once.

        Raises
        ------
        ImageError
            If it is not there, or cannot be opened; the message starts with the path.
        """
        try:
            mode = os.stat(self.path).st_mode
        except (OSError, ValueError) as error:  # a NUL in the path
            raise _no_photo(self.path, getattr(error, "strerror", None) or str(error)) from error
        if not stat.S_ISREG(mode):  # a pipe would be waited for
            raise _no_photo(self.path, "a folder" if stat.S_ISDIR(mode) else "something else")
        yield self.path


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
        Each a folder, with all folders in it (links to folders are followed, but not in
        circles); a ``.zip`` or uncompressed ``.tar``, read in place; or a file, which is taken
        as a photo whatever it is called.  In folders and archives, files are photos by their
        suffix (`decaf.features.naming.SUFFIXES`), and what is hidden (``.name``, ``__MACOSX``,
        ``Thumbs.db``) is left out.  Archives inside folders or archives are not looked into.

    Returns
    -------
    Found
        A photo's label is the name of the folder that it lies in directly; at the top of an
        archive, the archive's name without suffix.  A photo that is given twice is there twice.

    Raises
    ------
    FeaturesError
        If there are no paths; if one does not exist, cannot be read, is damaged, is neither
        file nor folder, or holds no photo.
    """
    photos: list[Source] = []
    ignored = 0
    for given in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        path = slashes(given)
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


@contextmanager
def open_photo(path: str) -> Iterator[Photo]:
    """Give a photo by what a feature file calls it, on the disk or in an archive.

    The archives met last are remembered, so many photos of one are opened quickly.

    Parameters
    ----------
    path : str
        As `Source.path`: ``flowers/rose/1.jpg``, ``flowers.zip/rose/1.jpg``.

    Raises
    ------
    ImageError
        If there is none, or it cannot be opened; the message starts with the path.
    """
    with (_member(path) or Source(path, "")).open() as photo:
        yield photo


def _member(path: str) -> Member | None:
    """The member that a path names; None where no part of the path is a file."""
    above = path
    while "/" in above:
        above = above.rpartition("/")[0]
        try:
            status = os.stat(above)
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(status.st_mode):
            with _lock:  # the others wait, instead of listing it too
                listing = _listing(above, (status.st_size, status.st_mtime_ns))
            if isinstance(listing, str):
                raise ImageError(f"{shown(path)}: {listing}")
            place = listing.places.get(path[len(above) + 1 :])
            if place is None:
                raise _no_photo(path, f"no such member of {shown(above)}")
            return Member(path, "", listing.archive, place)
    return None


@lru_cache(maxsize=16)
def _listing(path: str, _stamp: tuple[int, int]) -> Listing | str:
    """List an archive, or say why not; anew if its length or time has changed."""
    try:
        return read_archive(path)
    except FeaturesError as error:
        return str(error)


_lock = threading.Lock()


def _new_lock() -> None:
    """A child of fork must not wait for a thread that exists only in its parent."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


def _in_folder(folder: str) -> Found:
    start = slashes(os.path.join(folder, ""))
    photos: list[Source] = []
    others: list[str] = []
    # Each folder, its label, and which folders it lies in, known by device and number.
    pending: list[tuple[str, str, tuple[tuple[int, int], ...]]]
    pending = [(start, folder_name(folder), ())]
    while pending:
        place, label, above = pending.pop()
        try:
            status = os.stat(place)
            here = (status.st_dev, status.st_ino)
            if here in above:  # a link led back
                continue
            with os.scandir(place) as entries:
                for entry in entries:
                    path = place + entry.name
                    if is_hidden(entry.name):
                        continue
                    if _is_folder(entry):
                        pending.append((f"{path}/", entry.name, (*above, here)))
                    # A link to nothing is a photo that will be missed, not one less.
                    elif is_photo(entry.name) and (entry.is_symlink() or entry.is_file()):
                        photos.append(Source(path, label))
                    else:
                        others.append(path)
        except OSError as error:
            where = error.filename if isinstance(error.filename, str) else place
            raise FeaturesError(
                f"{shown(where)}: must be a folder that can be read; got {error.strerror or error}"
            ) from error
    if not photos:
        raise _no_photos(folder, others)
    photos.sort(key=lambda photo: in_order(photo.path[len(start) :]))
    return Found(photos, len(others))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except PermissionError:  # what is behind a link may be a folder full of photos
        raise
    except OSError:  # a link to itself
        return False


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
            photos.append(Member(f"{path}/{name}", label, archive, place))
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
