"""What stands between the HDF5 library and a disk that may be full."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO


class Sink(io.RawIOBase):
    """A file for the HDF5 library, which must not hear of a full disk: it does not survive that.

    After the first error nothing more is written, and the library does not notice.

    Parameters
    ----------
    stream : BinaryIO
        To write to and to read from.

    Attributes
    ----------
    error : OSError or None
        The first error.  Raise it when the library has closed the file.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write, or pretend to."""
        self._try(self.stream.write, data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return self._try(self.stream.seek, offset, whence) or 0

    def tell(self) -> int:
        """Return the place."""
        return self._try(self.stream.tell) or 0

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file."""
        return self._try(self.stream.truncate, size) or 0

    def readinto(self, buffer: Any) -> int:
        """Read what was written before; nothing after an error."""
        data = self._try(self.stream.read, len(buffer)) or b""
        buffer[: len(data)] = data
        return len(data)

    def flush(self) -> None:
        """Write what is buffered."""
        self._try(self.stream.flush)

    def _try(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self.error is None:
            try:
                return function(*arguments)
            except OSError as error:
                self.error = error
        return None
