"""Open a file without ever waiting for it: only regular files, and none that claims to be empty.

A pipe is waited for until somebody writes to it, and a device may do anything.  What lies in
``/proc`` looks like a regular file of no bytes, and may be waited for as well.  A path can
change its meaning between a look and the opening, so what was opened is looked at again.
"""

from __future__ import annotations

import os
import stat
from typing import IO


def open_regular(path: str, buffering: int = -1) -> IO[bytes]:
    """Open a file to read; `buffering` as for `open`.

    Raises
    ------
    OSError
        If it cannot be opened, is not regular, or is empty.
    ValueError
        If there can be no such path: it has a NUL, or lone surrogates.
    """
    _check(os.stat(path))  # opening some devices does something already
    file = open(path, "rb", buffering, opener=_at_once)  # noqa: SIM115  (the caller closes it)
    try:
        _check(os.fstat(file.fileno()))
    except BaseException:
        file.close()
        raise
    return file


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def _check(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError("a folder")
    if not stat.S_ISREG(status.st_mode):
        raise OSError("something else than a file")
    if not status.st_size:
        raise OSError("an empty file")
