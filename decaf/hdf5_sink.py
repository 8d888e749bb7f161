"""What stands between the HDF5 library, and a disk that may be full and a user who presses Ctrl-C.

The library writes through functions of Python, and an exception in one of them, a full disk or an
interrupt, may end the process.  So it hears of neither; both are raised where it is at rest.
"""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import h5py


@contextmanager
def writing(stream: BinaryIO, **layout: Any) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """Write an HDF5 file to a stream.

    Parameters
    ----------
    stream : BinaryIO
        Open for reading and writing, at its start.
    **layout
        Options of ``h5py.File``.

    Yields
    ------
    file, check : h5py.File, callable
        Call ``check`` now and then, when the library is at rest: it raises the first OSError of
        the stream, and what Ctrl-C meant.

    Raises
    ------
    OSError
        If the stream could not be written.
    """
    import h5py

    sink = Sink(stream)
    with _signals_held_back() as let_through:

        def check() -> None:
            if sink.error:
                raise sink.error
            let_through()

        with h5py.File(sink, "w", **layout) as file:
            yield file, check
        if sink.error:
            raise sink.error


@contextmanager
def _signals_held_back() -> Iterator[Callable[[], None]]:
    """Note the signals that Python code handles; yield what calls the handlers of those noted.

    They are called at the end, too.
    """
    if threading.current_thread() is not threading.main_thread():  # the others get no signals
        yield lambda: None
        return
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    noted: list[int] = []

    def let_through() -> None:
        while noted:
            number = noted.pop(0)
            handlers[number](number, None)  # type: ignore[misc, operator, index]

    try:
        for number in handlers:
            signal.signal(number, lambda number, _: noted.append(number))
        yield let_through
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        let_through()


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
