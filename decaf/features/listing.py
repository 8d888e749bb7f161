"""A list of photos in a text file -> the same as a folder gives.

One photo a line, in UTF-8, and if wanted a TAB and its label:

    flowers/rose/1.jpg
    flowers/IMG_0001.jpg<TAB>tulip
    flowers17.zip/c1/image_0013.jpg
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from decaf.errors import FeaturesError
from decaf.features.naming import LONGEST_PATH, is_too_long, parent_name, shown, slashes
from decaf.features.sources import Source, open_photo
from decaf.image import Photo

LONGEST_LINE = 2**15  # bytes; path and label have 4,096 at most


@dataclass(frozen=True, slots=True)
class Listed(Source):
    """A photo that a list names; whether it is there shows when it is opened."""

    @contextmanager
    def open(self) -> Iterator[Photo]:
        """As for `Source`."""
        with open_photo(self.path) as photo:
            yield photo


def read_list(file: str | os.PathLike[str] | IO[bytes]) -> list[Source]:
    """Read a list of photos.

    Parameters
    ----------
    file : path or binary file
        One photo a line: its path, then optionally a TAB and a label, which may be empty.
        Relative paths start from the working directory.  Lines end with LF or CRLF; empty ones
        are skipped.  A binary file is read from where it stands, and not closed.

    Returns
    -------
    list of Source
        In the order of the list.  Without a label, it is the name of the folder that the photo
        lies in.  Photos that are not there are no error here: opening them is one.

    Raises
    ------
    FeaturesError
        If the list cannot be read, names no photo, or a line is no path, or its path or label
        has more than 4,096 bytes; the message names the line.
    """
    try:
        if isinstance(file, (str, os.PathLike)):
            name = slashes(file)
            with open(file, "rb") as opened:
                photos = list(_read(opened, name))
        elif not hasattr(file, "readline"):
            raise FeaturesError(
                f"a list must be a path or a binary file; got {type(file).__name__}"
            )
        else:
            name = str(getattr(file, "name", "<list>"))
            photos = list(_read(file, name))
    except (OSError, ValueError) as error:  # a NUL in the path
        got = getattr(error, "strerror", None) or error
        raise FeaturesError(f"{shown(name)}: must be a list that can be read; got {got}") from error
    if not photos:
        raise FeaturesError(f"{shown(name)}: must name photos, one a line; got none")
    return photos


def _read(file: IO[bytes], name: str) -> Iterator[Source]:
    labels: dict[str, str] = {}  # so that photos of one label share it
    folders: dict[str, str] = {}  # folder -> label: asking the system once is enough
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        where = f"{shown(name)}, line {number}: must be a path, or a path, a TAB and a label"
        if len(line) > LONGEST_LINE:
            raise FeaturesError(f"{where}; expected at most {LONGEST_LINE:,} bytes, got more")
        if b"\0" in line:
            raise FeaturesError(f"{where}; expected UTF-8, got a NUL (is it UTF-16, or no text?)")
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")  # with which some editors begin
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if not line.strip():
            continue
        path, *rest = line.decode("utf-8", "surrogateescape").split("\t")
        if not path or len(rest) > 1:
            raise FeaturesError(
                f"{where}; got {1 + len(rest)} columns, of which the first is {path[:100]!r}"
            )
        path = slashes(path)
        if any(map(is_too_long, (path, *rest))):
            raise FeaturesError(f"{where}, each of at most {LONGEST_PATH:,} bytes; got more")
        if rest:
            label = rest[0]
        else:
            folder = path.rpartition("/")[0] if "/" in path else "."
            if folder not in folders:
                folders[folder] = parent_name(path)
            label = folders[folder]
        yield Listed(path, labels.setdefault(label, label))
