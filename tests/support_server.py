"""A web server on loopback that misbehaves on request, and counts what it was asked.

    with Server() as server:
        server.pages["/file"] = cut(data, 1000)
        server.url("/file")

A page is a function that answers one request.  ``honest`` knows ranges; the others are its
unreliable relatives.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Page = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HTTPServer

    def do_GET(self) -> None:  # http.server's name
        self.close_connection = True
        self.server.asked.append((self.path, self.headers.get("Range")))
        self.server.headers.append(dict(self.headers.items()))
        page = self.server.pages.get(self.path, status(404))
        with suppress(BrokenPipeError, ConnectionResetError):
            page(self)

    def start(self, code: int, **headers: str | int) -> None:
        """Send status and headers; underscores in names stand for hyphens."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def offset(self, size: int) -> int:
        """Where the range that was asked for begins; 0 without one."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return min(int(found[1]), size) if found else 0

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    pages: dict[str, Page]
    asked: list[tuple[str, str | None]]
    headers: list[dict[str, str]]

    def handle_error(self, *_: Any) -> None:
        """Stay silent: clients of these tests go away in the middle."""


class Server:
    """Attributes: ``pages`` by path, ``asked`` (path, Range) and ``headers`` of each request."""

    def __init__(self) -> None:
        self._server = _HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.headers: list[dict[str, str]] = []
        self._server.pages, self._server.asked = self.pages, self.asked
        self._server.headers = self.headers
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, path: str = "/file") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def honest(data: bytes) -> Page:
    return cut(data, len(data))


def cut(data: bytes, after: int) -> Page:
    """Promise all that is left, send ``after`` bytes of it, and hang up."""

    def page(request: Handler) -> None:
        start = request.offset(len(data))
        tag = _etag(data)
        if start and request.headers.get("If-Range", tag) == tag:
            rest = data[start:]
            request.start(
                206,
                Content_Length=len(rest),
                Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}",
                ETag=tag,
            )
        else:
            rest = data
            request.start(200, Content_Length=len(rest), ETag=tag)
        request.wfile.write(rest[:after])

    return page


def without_ranges(data: bytes, *, length: int | None = None) -> Page:
    """Always the whole file; ``length`` is what it claims, where negative nothing."""

    def page(request: Handler) -> None:
        claimed = len(data) if length is None else length
        headers = {"Content_Length": claimed} if claimed >= 0 else {}
        request.start(200, **headers)
        request.wfile.write(data)

    return page


def drip(data: bytes, seconds: float, count: int) -> Page:
    """A byte now and then: never silent for long.  Hangs up after ``count`` of them."""

    def page(request: Handler) -> None:
        request.start(200, Content_Length=len(data))
        for byte in data[:count]:
            request.wfile.write(bytes([byte]))
            time.sleep(seconds)

    return page


def without_end(first: bytes, piece: bytes) -> Page:
    """Raw bytes, and then a piece of them now and then, for as long as the client stays."""

    def page(request: Handler) -> None:
        request.wfile.write(first)
        while True:
            request.wfile.write(piece)
            time.sleep(0.05)

    return page


def silent(seconds: float) -> Page:
    def page(request: Handler) -> None:
        time.sleep(seconds)

    return page


def slowly(data: bytes, pieces: int, seconds: float) -> Page:
    """The whole file, in pieces with pauses."""

    def page(request: Handler) -> None:
        request.start(200, Content_Length=len(data))
        step = -(-len(data) // pieces)
        for start in range(0, len(data), step):
            request.wfile.write(data[start : start + step])
            time.sleep(seconds)

    return page


def status(code: int) -> Page:
    def page(request: Handler) -> None:
        body = b"no such luck"
        request.start(code, Content_Length=len(body))
        request.wfile.write(body)

    return page


def redirect(to: str, code: int = 302) -> Page:
    def page(request: Handler) -> None:
        request.start(code, Location=to, Content_Length=0)

    return page


def web_page(request: Handler) -> None:
    """What a captive portal sends, with status 200."""
    body = b"<!doctype html><title>Please log in</title>"
    request.start(200, Content_Type="text/html; charset=utf-8", Content_Length=len(body))
    request.wfile.write(body)


def part_elsewhere(data: bytes, content_range: str) -> Page:
    """Status 206 with another range than was asked for."""

    def page(request: Handler) -> None:
        request.start(206, Content_Range=content_range, Content_Length=len(data))
        request.wfile.write(data)

    return page


def in_turn(*pages: Page) -> Page:
    """One page a request; the last one from then on."""
    left = list(pages)

    def page(request: Handler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(request)

    return page
