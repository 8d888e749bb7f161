"""Files of others are looked at before they are read; our own are written whole, or not at all."""

from __future__ import annotations

import errno
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from decaf.cursor import Buffer
from decaf.errors import WeightsError


def existing_file(path: str | os.PathLike[str], what: str = "a file") -> Path:
    """Return the path of a file that is there; not of a pipe, which would be waited for.

    Raises
    ------
    WeightsError
        If there is none, or something else; the message starts with the path and says that it
        must be `what`.
    """
    try:
        path = Path(path)
        if path.is_file():
            return path
        found = "something else" if path.exists() else "no such file"
        raise WeightsError(f"{path}: must be {what}; got {'a folder' if path.is_dir() else found}")
    except (OSError, ValueError, TypeError) as error:  # a NUL in the path, or no path at all
        raise WeightsError(f"{path}: must be {what} that can be read; got {error}") from error


def map_file(path: str | os.PathLike[str], what: str = "a file") -> Buffer:
    """Map a file into memory, read-only.

    Raises
    ------
    WeightsError
        If it is no regular file, empty, or cannot be read.
    """
    path = existing_file(path, what)
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:  # which cannot be mapped
                raise WeightsError(f"{path}: must not be empty; got 0 bytes")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: must be {what} that can be read; got {error}") from error


def read_file(path: str | os.PathLike[str], most: int, what: str = "a file") -> bytes:
    """Read a file of at most so many bytes.

    Raises
    ------
    WeightsError
        If it is no regular file, larger, or cannot be read.
    """
    path = existing_file(path, what)
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise WeightsError(f"{path}: must be {what} that can be read; got {error}") from error
    if len(data) > most:
        raise WeightsError(f"{path}: must be {what} of at most {most:,} bytes; got more")
    return data


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Put new names on the disk, where the system lets a folder be opened for that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _take_mode(descriptor: int, target: Path) -> None:
    """Give a new file the mode of the one it replaces, and its owner where the system allows."""
    with suppress(FileNotFoundError):
        old, new = os.stat(target), os.fstat(descriptor)
        mode = stat.S_IMODE(old.st_mode) & 0o777
        if old.st_gid != new.st_gid:
            try:
                os.fchown(descriptor, -1, old.st_gid)
            except OSError:
                mode &= ~0o070  # they were the rights of another group
        if old.st_uid != new.st_uid:
            with suppress(OSError):
                os.fchown(descriptor, old.st_uid, -1)
        if mode != stat.S_IMODE(new.st_mode):  # where there are no modes they are equal
            os.fchmod(descriptor, mode)


@contextmanager
def replacing(
    path: str | os.PathLike[str],
    temporary: str | os.PathLike[str] | None = None,
    *,
    replace: bool = True,
) -> Iterator[BinaryIO]:
    """Write beside the target, make sure that it is on the disk, then take the target's name.

    Who opens `path` meanwhile, or after a failure, finds what was there before.  When this ends
    the new name is on the disk, too.

    Parameters
    ----------
    path : path
        The target; its folder must exist.  Where it is a symbolic link, what it points to is
        replaced, and the link stays.  Who may read and write it stays the same, on POSIX.
    temporary : path, optional
        Where to write, on the same disk; must not exist.  Left out, a random name beside the
        target.  Either stays behind after a kill.
    replace : bool
        Whether there may be a file at `path`, or a link; if not, none is ever followed.

    Yields
    ------
    BinaryIO
        To write to, and to read what was written; any error, also one of the caller, removes
        it and leaves the target alone.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    target = Path(os.path.realpath(path)) if replace else Path(path)
    temporary = Path(temporary or target.with_name(f".decaf-{os.urandom(8).hex()}.tmp"))
    file = temporary.open("x+b")  # exclusively: never a file or link of somebody else
    try:
        with file:
            if replace and os.name == "posix":
                _take_mode(file.fileno(), target)
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(temporary, target)
        elif os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "it appeared meanwhile", str(target))
        else:
            os.rename(temporary, target)  # which on Windows replaces nothing by itself
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(target.parent)
