"""A folder -> the photos in it and in all folders below.

Links to folders are followed.  They can lead in circles, and two links in each of n folders
make 2^n ways to the last one.  So each folder is visited once, known by device and number,
and it is found on the way that comes first in sorted order, on every system.
"""

from __future__ import annotations

import os

from decaf.errors import FeaturesError
from decaf.features.naming import (
    LONGEST_PATH,
    folder_name,
    in_order,
    is_hidden,
    is_photo,
    is_too_long,
    shown,
    slashes,
)


def walk(folder: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Find the photos below a folder.

    Returns
    -------
    photos : list of (path, label)
        Sorted by the components of the path; labels are the names of their folders.
    others : list of path
        Files that are no photos by their name; hidden ones are left out.

    Raises
    ------
    FeaturesError
        If a folder cannot be read, or a path has more than 4,096 bytes.
    """
    start = slashes(os.path.join(folder, ""))
    photos: list[tuple[str, str]] = []
    others: list[str] = []
    visited: set[tuple[int, int] | str] = set()
    pending = [(start, folder_name(folder))]
    while pending:
        place, label = pending.pop()
        try:
            here = _identity(place)
            if here in visited:
                continue
            visited.add(here)
            below: list[str] = []
            with os.scandir(place) as entries:
                for entry in entries:
                    path = place + entry.name
                    if is_hidden(entry.name):
                        continue
                    if is_too_long(path):
                        raise FeaturesError(
                            f"{shown(path)}: must be a path of at most {LONGEST_PATH:,} bytes; "
                            "got more"
                        )
                    if _is_folder(entry):
                        below.append(entry.name)
                    # A link to nothing is a photo that will be missed, not one less.
                    elif is_photo(entry.name) and (entry.is_symlink() or entry.is_file()):
                        photos.append((path, label))
                    else:
                        others.append(path)
        except OSError as error:
            where = error.filename if isinstance(error.filename, str) else place
            raise FeaturesError(
                f"{shown(where)}: must be a folder that can be read; got {error.strerror or error}"
            ) from error
        # The first is taken next, with all that lies in it.
        pending += [(f"{place}{name}/", name) for name in sorted(below, reverse=True)]
    photos.sort(key=lambda photo: in_order(photo[0][len(start) :]))
    return photos, others


def _identity(folder: str) -> tuple[int, int] | str:
    status = os.stat(folder)
    # Some file systems have no numbers.
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(folder)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except PermissionError:  # what is behind a link may be a folder full of photos
        raise
    except OSError:  # a link to itself
        return False
