"""The files beside an output while it is made: which are decaf's own, and who may use them.

==========================  ================================================
``f.h5.partial``            the journal
``f.h5.partial.lock``       who holds it writes the others; empty
``f.h5.partial.new``        a journal that does not have its name yet
``f.h5.partial.output``     the output, likewise
==========================  ================================================

A kill leaves any of them behind.  Others may have files of these names, or plant links there.  So
what stands there is looked at before it is used or removed, no link is followed, and new files
are created exclusively.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from decaf.errors import FeaturesError
from decaf.hdf5 import SIGNATURE as HDF5

if TYPE_CHECKING:
    from filelock import BaseFileLock

# How an output begins that a kill left; HDF5 writes its signature last.
OUTPUTS = (HDF5, b"PK\3\4", b"PAR1", bytes(8))
READ_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def journal_of(output: Path) -> Path:
    """Where the journal of an output lies."""
    return output.with_name(f"{output.name}.partial")


def new_of(journal: Path) -> Path:
    """Where a journal is begun."""
    return journal.with_name(f"{journal.name}.new")


def output_of(journal: Path) -> Path:
    """Where the output is written; the longest of the names."""
    return journal.with_name(f"{journal.name}.output")


def lock_of(journal: Path) -> Path:
    """Where the lock lies."""
    return journal.with_name(f"{journal.name}.lock")


def open_plain(path: Path, mode: str = "r") -> FileIO:
    """Open a regular file that is there, unbuffered; no link, folder or pipe.

    Raises
    ------
    FeaturesError
        If it is something else.
    OSError
        If it cannot be opened.
    """
    _check_plain(path, os.lstat(path).st_mode)
    file = FileIO(path, mode, opener=lambda name, flags: os.open(name, flags | READ_NO_LINK))
    try:
        _check_plain(path, os.fstat(file.fileno()).st_mode)  # it may have been replaced
    except BaseException:
        file.close()
        raise
    return file


def _check_plain(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        got = (
            "a link"
            if stat.S_ISLNK(mode)
            else "a folder"
            if stat.S_ISDIR(mode)
            else "a pipe or device"
        )
        raise FeaturesError(f"{path}: must be a plain file, or not exist; got {got}")


def clear(path: Path, *beginnings: bytes) -> None:
    """Remove what a kill left; call it only under the lock.

    Raises
    ------
    FeaturesError
        If a file is there that begins in no such way, which is somebody else's.
    OSError
        If it cannot be read or removed.
    """
    if not os.path.lexists(path):
        return
    with open_plain(path) as file:
        found = file.read(max(map(len, beginnings))) or b""
    # An empty or short one may be ours, too: the kill came early.
    if not any(found[: len(known)] == known[: len(found)] for known in beginnings):
        raise FeaturesError(
            f"{path}: must not exist, or be what an extraction left; got another file: "
            "remove or rename it"
        )
    path.unlink()


def acquire(path: Path) -> BaseFileLock:
    """Lock a journal against other processes, and other threads of this one.

    Raises
    ------
    FeaturesError
        If it is in use, or cannot be locked.
    """
    import filelock

    place = lock_of(path)
    in_use = f"{path}: must not be in use; another process is writing it"
    if not path.parent.is_dir():  # which filelock would create
        raise FeaturesError(f"{path}: must be a place to write; got no such folder")
    try:
        if os.path.lexists(place):
            status = os.lstat(place)
            _check_plain(place, status.st_mode)
            if status.st_size:
                raise FeaturesError(
                    f"{place}: must be an empty file, the lock of an extraction, or not exist; "
                    f"got {status.st_size:,} bytes: if no process uses it, remove or rename it"
                )
        lock = filelock.FileLock(place, thread_local=False)
        lock.acquire(timeout=0)
        if not place.exists():  # the last owner deleted it while this one was let in
            lock.release()
            raise FeaturesError(in_use)
    except filelock.Timeout as error:
        raise FeaturesError(in_use) from error
    except (OSError, NotImplementedError) as error:  # the latter where there are no locks
        raise FeaturesError(
            f"{path}: must be a place to write and to lock files; got {error}"
        ) from error
    return lock


def release(lock: BaseFileLock) -> None:
    """Delete the lock's file, then let go; Windows deletes no file that is open."""
    if not lock.is_locked:  # released before
        return
    if os.name == "nt":
        lock.release()
    with suppress(OSError):
        os.unlink(lock.lock_file)
    lock.release()
