"""The index file on the disk: mapped to be read, appended to, or written anew.

Who reads maps the file up to its end.  Changes append behind that, or write a new file that takes
the name, so what is mapped stays as it was.  Who writes holds ``x.index.lock``.  A file is
created as ``x.index.new``, and takes its name when it is whole and on the disk.

Windows replaces no file that is mapped somewhere: there a new file cannot take the name of an
index that another program has open, and says so.  Adding and removing work all the same.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError
from decaf.features.beside import acquire, clear, new_of, open_plain, release
from decaf.features.opening import open_regular
from decaf.features.texts import to_json
from decaf.files import replacing
from decaf.retrieval.index_contents import Contents
from decaf.retrieval.index_records import (
    BASE,
    BEGINNING,
    END_PLACES,
    GONE,
    LARGEST_JSON,
    START,
    WHAT,
    Part,
    as_bytes,
    pack_arrays,
    pack_end,
    pack_rows,
    read_end,
    record,
)

WINDOWS = os.name == "nt"
MAYBE = "; the change may be in the index all the same: open it again to see"


def open_contents(path: Path) -> Contents:
    """Map an index and return what it holds.

    Raises
    ------
    FeaturesError
        If there is none, or it is damaged.
    """
    try:
        with about(path), open_regular(os.fspath(path)) as file:
            last = read_end(file.read(START), os.fstat(file.fileno()).st_size)
            return Contents(mmap.mmap(file.fileno(), last[1], access=mmap.ACCESS_READ), last)
    except (OSError, ValueError) as error:  # a NUL in the path
        got = getattr(error, "strerror", None) or error
        raise FeaturesError(f"{path}: must be an index that can be read; got {got}") from error


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Say of which index an error is."""
    try:
        yield
    except FeaturesError as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise FeaturesError(f"{path}: {error}") from error


class Appender:
    """Appends records to an index; none of them counts before :meth:`commit`.

    Parameters
    ----------
    file : file
        Of an index, locked, to be written.
    sequence, end : int
        Of its last change; 0 and `START` for a new one.
    """

    def __init__(self, file: BinaryIO | FileIO, sequence: int = 0, end: int = START) -> None:
        self._file, self._sequence, self.end = file, sequence, end
        self.ending = False

    def begin(self, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Write what comes first in a new file."""
        text = to_json("what made an index", header, LARGEST_JSON).encode()
        self._write(0, [BEGINNING.ljust(START, b"\0")])
        self._append(*record(WHAT, [text]))
        self._append(*record(BASE, pack_arrays(arrays)))

    def rows(
        self,
        vectors: NDArray[np.float32],
        squares: NDArray[np.float32],
        names: Sequence[bytes],
    ) -> None:
        """Append n photos: (n, P, d), (n, P), n names; n may be 0."""
        if names:
            self._append(*pack_rows(vectors, squares, names))

    def gone(self, numbers: Sequence[int]) -> None:
        """Append a removal of photos, by their numbers in order."""
        self._append(*record(GONE, [as_bytes(np.array(numbers, "<u8"))], count=len(numbers)))

    def commit(self) -> None:
        """Wait for the disk, then say that all that was appended counts.

        Once `ending` is set, only the disk knows whether the change is in the file.
        """
        self._sync()
        self._sequence += 1
        self.ending = True
        place = END_PLACES[self._sequence % len(END_PLACES)]
        self._write(place, [pack_end(self._sequence, self.end)])
        self._sync()

    def _append(self, parts: Sequence[Part], length: int) -> None:
        self._write(self.end, parts)
        self.end += length

    def _write(self, at: int, parts: Sequence[Part]) -> None:
        self._file.seek(at)
        for part in parts:
            left = memoryview(part)
            while left:  # the system may take a part at a time
                left = left[self._file.write(left) or 0 :]

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep others from writing an index meanwhile.

    Raises
    ------
    FeaturesError
        If another process writes it.
    """
    lock = acquire(path)
    try:
        yield
    finally:
        release(lock)


@contextmanager
def appending(path: Path) -> Iterator[tuple[Contents, Appender]]:
    """Change an index: what it holds now, and what appends to it.

    What was appended counts when this ends without an error; after one, nothing of it does, but
    where the disk fails while the end is written: then it may, and the message says so.

    Raises
    ------
    FeaturesError
        If another process writes it, it is no index or damaged, or it cannot be written.
    """
    with locked(path):
        contents = open_contents(path)
        maybe = ""
        try:
            with open_plain(path, "r+") as file:
                _cut(file, contents.end)  # what a kill left
                appender = Appender(file, contents.sequence, contents.end)
                try:
                    yield contents, appender
                except BaseException:
                    _cut(file, contents.end)
                    raise
                try:
                    appender.commit()  # if that fails nothing is cut: its end may be on the disk
                except OSError:
                    maybe = MAYBE if appender.ending else ""
                    raise
        except OSError as error:
            raise _not_written(path, error, maybe) from error


def _cut(file: FileIO, end: int) -> None:
    """Give back the room behind the end, where the system lets it: Windows may not."""
    with suppress(OSError):
        file.truncate(end)


@contextmanager
def creating(path: Path, *, replace: bool = False) -> Iterator[Appender]:
    """Write an index, under the lock, which takes its name when this ends without an error.

    Parameters
    ----------
    path : Path
        Its name.
    replace : bool
        Whether there may be a file of this name.

    Raises
    ------
    FeaturesError
        If it cannot be written.
    """
    temporary = new_of(path)
    try:
        if replace:
            open_plain(path, "r+").close()  # a read-only one is to stay as it is
        clear(temporary, BEGINNING, bytes(len(BEGINNING)))
        with replacing(path, temporary, replace=replace) as file:
            appender = Appender(file)
            yield appender
            appender.commit()
    except PermissionError as error:
        if replace and WINDOWS:
            raise FeaturesError(
                f"{path}: must be open nowhere to be written anew: Windows replaces no file that "
                "is mapped; close what searches in it, and let go of its blocks, then repeat"
            ) from error
        raise _not_written(path, error) from error
    except FileExistsError as error:
        raise FeaturesError(
            f"{path}: must not exist; got a file that appeared meanwhile"
        ) from error
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError, more: str = "") -> FeaturesError:
    return FeaturesError(f"{path}: must be an index that can be written; got {error}{more}")
