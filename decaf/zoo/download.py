"""Download a file whose size and SHA-256 are known: resumable, from several mirrors.

Bytes go to ``<file>.part`` and are hashed on the way.  What is there already, from an attempt
that was cut or a process that was killed, is hashed first and then continued (RFC 9110, section
14: Range, If-Range, Content-Range).  A mirror is given up for the next one as soon as it cannot
be the right one: another size announced or none, a web page, a wrong hash, an unknown host.
It is tried again, after a pause, when its answer was cut, late or slow, or it has an error of
its own.  A server that keeps a connection busy without end is left by :mod:`decaf.zoo.watchdog`.

A redirect may lead to another host, but not from https to http.
"""

from __future__ import annotations

import http
import logging
import re
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

from decaf import __version__
from decaf.errors import WeightsError
from decaf.zoo.partial_file import CHUNK, Part
from decaf.zoo.watchdog import Watchdog

MOST_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
PASSING = (408, 425, 429, 500, 502, 503, 504)  # errors that may be gone a little later
PROGRESS = 2**20  # bytes; an attempt that brings so many was worth it

_log = logging.getLogger("decaf")


@dataclass(frozen=True)
class Patience:
    """When a mirror has had its chance.

    Attributes
    ----------
    timeout : float
        Seconds without a sign of life, to connect, and then until all headers are there.
    window : float
        Seconds over which the speed is measured.
    slowest : float
        Bytes a second that are too few.
    attempts : int
        Attempts in a row without much progress.
    pause : float
        Seconds before the second attempt; doubled before each one that follows.
    """

    timeout: float = 20.0
    window: float = 30.0
    slowest: float = 1024.0
    attempts: int = 3
    pause: float = 1.0


PATIENCE = Patience()


class NoMirrorError(WeightsError):
    """No mirror has the file; its arguments are pairs: address, reason."""

    def __str__(self) -> str:
        return "; ".join(f"{url}: {reason}" for url, reason in self.args)


class _UselessError(Exception):
    """The mirror has nothing for us."""


class _AgainError(Exception):
    """The mirror may do better next time."""


def download(
    urls: Sequence[str],
    part: Path,
    size: int,
    sha256: str,
    *,
    report: Callable[[int], None] | None = None,
    patience: Patience | None = None,
) -> None:
    """Fill a file from the first mirror that has the right bytes.

    Parameters
    ----------
    urls : sequence of str
        The mirrors, in the order in which they are tried.
    part : Path
        The file; continued where it exists, and kept when nothing helps.
    size, sha256
        Bytes and SHA-256 (hexadecimal) of the whole.
    report : callable, optional
        Called with the number of bytes that are there.
    patience : Patience, optional
        Time-outs and attempts; by default ``PATIENCE``.

    Raises
    ------
    NoMirrorError
        If no mirror has it; the message says of each one why.
    OSError
        If the file cannot be written, as on a full disk.
    """
    failures = []
    patience = patience or PATIENCE
    with Part(part, size, sha256) as file:
        for url in urls:
            _log.info("downloading %s", url)
            try:
                _Mirror(url, patience, report or (lambda done: None)).fill(file)
                return
            except _UselessError as error:
                _log.info("%s: %s", url, error)
                failures.append((url, str(error)))
    raise NoMirrorError(*failures)


class _Mirror:
    """One address of the file."""

    def __init__(self, url: str, patience: Patience, report: Callable[[int], None]) -> None:
        self.url, self.patience, self.report = url, patience, report
        self.etag = ""  # of the version that this mirror sent before

    def fill(self, part: Part) -> None:
        """Continue the file until it is whole and right."""
        most, failed = part.size, 0
        while True:
            began = part.size
            try:
                if part.size < part.whole:
                    self._read(part)
                if part.is_right():
                    return
                part.restart()
                if not began:
                    raise _UselessError("has other bytes: the SHA-256 is wrong")
                raise _AgainError("what was continued has a wrong SHA-256")
            except _AgainError as error:
                failed = 0 if part.size >= most + PROGRESS else failed + 1
                most = max(most, part.size)
                if failed == self.patience.attempts:
                    raise _UselessError(f"{error} ({failed} attempts)") from error
                _log.info("%s: %s; at byte %d, trying again", self.url, error, part.size)
                time.sleep(self.patience.pause * 2 ** max(0, failed - 1))

    def _read(self, part: Part) -> None:
        """Append what one answer brings; return when it has brought everything."""
        headers = {"User-Agent": f"decaf/{__version__}"}  # http.client adds: no compression
        if part.size:
            headers["Range"] = f"bytes={part.size}-"
            if self.etag:
                headers["If-Range"] = self.etag
        with (
            Watchdog(self.patience.timeout) as watchdog,
            _open(self.url, headers, watchdog) as answer,
        ):
            _check(answer, part)
            etag = answer.headers.get("ETag", "")
            self.etag = etag if etag.startswith('"') else ""  # a weak one says too little
            if answer.status == 200 and part.size:  # it would not continue
                part.restart()
            self._append(answer, part, watchdog)
        if part.size < part.whole:
            raise _AgainError(
                watchdog.reason or f"was cut after {part.size:,} of {part.whole:,} bytes"
            )

    def _append(self, answer: HTTPResponse, part: Part, watchdog: Watchdog) -> None:
        """Append a body, whose length is known to be that of the rest, while it comes in time."""
        most = self.patience.window + self.patience.timeout  # that a window can take
        watchdog.wait(most)
        since, came = time.monotonic(), 0
        while True:
            try:
                chunk = answer.read1(CHUNK)  # what is there; read() would wait for all of it
            except (OSError, HTTPException, ValueError) as error:
                raise _AgainError(watchdog.reason or _brief(error)) from error
            if not chunk:
                return
            part.append(chunk)
            self.report(part.size)
            came += len(chunk)
            now = time.monotonic()
            if now - since >= self.patience.window:
                if came < self.patience.slowest * (now - since):
                    raise _AgainError(f"sends {came / (now - since):.0f} bytes a second: too slow")
                since, came = now, 0
                watchdog.wait(most)


class _Http(HTTPHandler):
    """urllib's handler, but for the connections of a watchdog."""

    def __init__(self, watchdog: Watchdog) -> None:
        super().__init__()
        self._connection = partial(watchdog.watched, HTTPConnection)

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._connection, req)


class _Https(HTTPSHandler):
    """The same with encryption."""

    def __init__(self, watchdog: Watchdog) -> None:
        trust = _trust()
        super().__init__(context=trust)
        self._connection = partial(watchdog.watched, HTTPSConnection, context=trust)

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._connection, req)


def _open(url: str, headers: dict[str, str], watchdog: Watchdog) -> HTTPResponse:
    """Return the answer, whatever its status, after a few redirects.

    urllib would follow them too, but read what comes with them without a limit.
    """
    opener = OpenerDirector()
    for handler in (ProxyHandler(), _Http(watchdog), _Https(watchdog)):
        opener.add_handler(handler)
    for _ in range(MOST_REDIRECTS + 1):
        try:
            request = Request(url, headers=headers)
            answer: HTTPResponse = opener.open(request, timeout=watchdog.timeout)
            if watchdog.reason:  # the headers end where it shut the connection down
                answer.close()
                raise _AgainError(watchdog.reason)
            if answer.status not in REDIRECTS:
                return answer
            answer.close()
            target = urljoin(url, answer.headers.get("Location", ""))
            schemes = urlsplit(url).scheme, urlsplit(target).scheme
        except (OSError, HTTPException, ValueError) as error:
            if isinstance(getattr(error, "reason", error), socket.gaierror):  # as without network
                raise _UselessError(f"the host is not known ({_brief(error)})") from error
            raise _AgainError(watchdog.reason or _brief(error)) from error
        if schemes[1] not in ("https", schemes[0]):
            raise _UselessError(f"leads from {schemes[0]} to {schemes[1][:20] or 'nowhere'}")
        url = target
    raise _UselessError(f"leads elsewhere more than {MOST_REDIRECTS} times")


def _trust() -> ssl.SSLContext:
    """Certificates of the system, and Mozilla's: some Pythons come without the former."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _check(answer: HTTPResponse, part: Part) -> None:
    """Refuse an answer that cannot be the file, or the rest of it, before any of it is read."""
    status = answer.status
    if status in PASSING:
        raise _AgainError(_status(status))
    if status not in (200, 206):
        raise _UselessError(_status(status))
    kind = answer.headers.get_content_type()
    if kind == "text/html":  # from a proxy that wants a password, say
        raise _UselessError("sends a web page instead of the file")
    length = answer.headers.get("Content-Length", "")
    if "Transfer-Encoding" in answer.headers or not re.fullmatch(r"\d{1,18}", length):
        raise _UselessError("does not say how many bytes it sends")
    start = 0
    if status == 206:
        found = re.fullmatch(
            r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", answer.headers.get("Content-Range", "")
        )
        if not found or int(found[1]) != part.size or found[3] not in ("*", str(part.whole)):
            given = _brief(answer.headers.get("Content-Range"))
            raise _UselessError(f"was asked for bytes {part.size}-, of {part.whole}; sends {given}")
        start = part.size
    if int(length) != part.whole - start:
        raise _UselessError(f"has {int(length):,} bytes; expected {part.whole - start:,}")


def _status(status: int) -> str:
    """Return a status in our words: a server may put anything into its own."""
    known = {member.value: f" {member.phrase}" for member in http.HTTPStatus}
    return f"HTTP status {status}{known.get(status, '')}"


def _brief(error: object) -> str:
    """What an error says, or a server, on one line of reasonable length."""
    text = str(getattr(error, "reason", error)) or type(error).__name__
    return "".join(c if c.isprintable() else "?" for c in text[:200])
