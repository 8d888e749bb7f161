"""Leave a server that keeps a connection alive but never comes to an end.

The time-out of a socket starts anew with every byte.  A server that sends a byte of a header now
and then, or one "100 Continue" after another, holds a client of :mod:`http.client` for ever.  So
another thread looks at the clock, and shuts the connection down.
"""

from __future__ import annotations

import socket
import threading
from contextlib import AbstractContextManager, suppress
from http.client import HTTPConnection
from types import TracebackType
from typing import Any


class Watchdog(AbstractContextManager["Watchdog"]):
    """Shuts the connections of one request down when they take too long.

    Parameters
    ----------
    timeout : float
        Seconds that a connection has from when it is made, until :meth:`wait` allows more.

    Attributes
    ----------
    timeout : float
        As given.
    reason : str
        What went wrong, once the last connection was shut down; else empty.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.reason = ""
        self._socket: socket.socket | None = None
        self._timer: threading.Timer | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        self._forget()

    def watched(self, kind: type[HTTPConnection], host: str, **options: Any) -> HTTPConnection:
        """Return a connection that is watched as soon as it exists, also by its encryption."""
        connection = kind(host, **options)
        connection._create_connection = self._connect  # type: ignore[attr-defined]
        return connection

    def wait(self, seconds: float) -> None:
        """Shut the connection down after so many seconds from now, and no earlier."""
        self._stop()
        self._timer = threading.Timer(seconds, self._bark, (seconds,))
        self._timer.daemon = True
        self._timer.start()

    def _connect(self, *arguments: Any, **options: Any) -> socket.socket:
        # A connection that led here has done its part; its time is not that of this one.
        self._stop()
        self._forget()
        self.reason = ""
        found = socket.create_connection(*arguments, **options)
        self._socket = found.dup()  # encryption takes the other one over, and closes it
        self.wait(self.timeout)
        return found

    def _bark(self, seconds: float) -> None:
        self.reason = f"timed out: not done after {seconds:g} s"
        if self._socket:
            with suppress(OSError):  # it is gone already
                self._socket.shutdown(socket.SHUT_RDWR)

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer.join()  # it may be at work

    def _forget(self) -> None:
        if self._socket:
            self._socket.close()
