"""The file that a download fills: what has come so far, and its hash."""

from __future__ import annotations

import hashlib
import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType

CHUNK = 2**18  # bytes


class Part(AbstractContextManager["Part"]):
    """The file so far, with the hash of all that is in it."""

    def __init__(self, path: Path, whole: int, sha256: str) -> None:
        self.path, self.whole, self.sha256 = path, whole, sha256
        if path.is_symlink():  # not ours: what it points to is not to be written to
            path.unlink()
        # Unbuffered: what has come is in the file, whatever happens to this process.
        self._file = open(path, "a+b", buffering=0, opener=_open_itself)  # noqa: SIM115
        self.size = self._file.seek(0, 2)
        self._hash = hashlib.sha256()
        if self.size > whole:
            self.restart()
        self._file.seek(0)
        while chunk := self._file.read(CHUNK):
            self._hash.update(chunk)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if not self.size:  # nothing to continue
            with suppress(OSError):
                self.path.unlink()

    def append(self, chunk: bytes) -> None:
        """Add to the end."""
        left = memoryview(chunk)
        while left:
            left = left[self._file.write(left) :]
        self._hash.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        """Throw away what is there."""
        self._file.truncate(0)
        self._hash = hashlib.sha256()
        self.size = 0

    def is_right(self) -> bool:
        """Whether these are the bytes that are wanted."""
        return self.size == self.whole and self._hash.hexdigest() == self.sha256


def _open_itself(path: str, flags: int) -> int:
    """Open a file, and not what a symbolic link points to."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
