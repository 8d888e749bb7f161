"""Write a file: the whole of it under its name, or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write beside the target, make sure that it is on the disk, then take the target's name.

    Who opens `path` meanwhile, or after a failure, finds what was there before.

    Parameters
    ----------
    path : path
        The target; its folder must exist.  Where it is a symbolic link, what it points to is
        replaced, and the link stays.

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
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".decaf-{os.urandom(8).hex()}.tmp")
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        with suppress(OSError):
            temporary.unlink()
