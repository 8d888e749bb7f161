"""Downloads of pinned files from servers that fail in every way that a test can afford."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support_server import (
    Handler,
    Page,
    Server,
    cut,
    drip,
    honest,
    in_turn,
    part_elsewhere,
    redirect,
    silent,
    slowly,
    status,
    web_page,
    without_end,
    without_ranges,
)

from decaf.errors import WeightsError
from decaf.zoo import download as module
from decaf.zoo.download import PROGRESS, Patience, download

DATA = random.Random(5).randbytes(200_000)
OTHER = bytes(reversed(DATA))
SHA256 = hashlib.sha256(DATA).hexdigest()
HASTY = Patience(timeout=0.3, window=0.2, slowest=1000, attempts=3, pause=0.01)


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches a real host, even by mistake, nor asks a proxy."""
    resolve = socket.getaddrinfo

    def guarded(host: str, *rest: object, **options: object) -> object:
        assert host in ("127.0.0.1", "localhost"), f"a test asked for {host}"
        return resolve(host, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", guarded)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "file.part"


def chunked(request: Handler) -> None:
    """The right bytes, of a length that nobody knows before the end."""
    request.start(200, Transfer_Encoding="chunked")
    request.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(DATA), DATA))


def get(server: Server, part: Path, *pages: Page, patience: Patience = HASTY) -> None:
    """Download from mirrors that answer with these pages."""
    paths = [f"/{number}" for number in range(len(pages))]
    server.pages.update(zip(paths, pages, strict=True))
    download([server.url(path) for path in paths], part, len(DATA), SHA256, patience=patience)


def refused(server: Server, part: Path, *pages: Page) -> str:
    with pytest.raises(WeightsError) as caught:
        get(server, part, *pages)
    return str(caught.value)


def ranges(server: Server) -> list[str | None]:
    return [given for _, given in server.asked]


def test_an_honest_server(server: Server, part: Path) -> None:
    seen: list[int] = []
    server.pages["/file"] = honest(DATA)
    download([server.url()], part, len(DATA), SHA256, report=seen.append, patience=HASTY)
    assert part.read_bytes() == DATA
    assert server.asked == [("/file", None)]
    assert server.headers[0]["Accept-Encoding"] == "identity"
    assert seen == sorted(seen) and seen[-1] == len(DATA)


def test_a_server_without_ranges(server: Server, part: Path) -> None:
    get(server, part, without_ranges(DATA))
    assert part.read_bytes() == DATA


@pytest.mark.parametrize("have", [1, 77_777, len(DATA) - 1])
def test_a_part_is_continued(server: Server, part: Path, have: int) -> None:
    part.write_bytes(DATA[:have])
    get(server, part, honest(DATA))
    assert part.read_bytes() == DATA
    assert ranges(server) == [f"bytes={have}-"]


def test_a_whole_part_needs_no_server(part: Path) -> None:
    part.write_bytes(DATA)
    download(["http://127.0.0.1:9/none"], part, len(DATA), SHA256, patience=HASTY)
    assert part.read_bytes() == DATA


@pytest.mark.parametrize("have", [OTHER[:5000], OTHER, DATA + b"more"])
def test_a_part_of_something_else_is_thrown_away(server: Server, part: Path, have: bytes) -> None:
    part.write_bytes(have)
    get(server, part, honest(DATA))
    assert part.read_bytes() == DATA


@pytest.mark.skipif(os.name != "posix", reason="needs files with holes")
def test_a_part_that_is_too_large_is_not_read(server: Server, part: Path) -> None:
    """A sparse file takes no space, and hours to hash."""
    with part.open("wb") as file:
        file.truncate(2**40)
    started = time.monotonic()
    get(server, part, honest(DATA))
    assert time.monotonic() - started < 60
    assert part.read_bytes() == DATA
    assert ranges(server) == [None]


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="needs symbolic links as POSIX has them")
def test_a_part_that_is_a_link_is_not_followed(server: Server, part: Path) -> None:
    other = part.with_name("other")
    other.write_bytes(DATA[:10])
    part.symlink_to(other)
    get(server, part, honest(DATA))
    assert part.read_bytes() == DATA and not part.is_symlink()
    assert other.read_bytes() == DATA[:10]


def test_a_server_that_ignores_ranges_starts_anew(server: Server, part: Path) -> None:
    part.write_bytes(DATA[:1000])
    get(server, part, without_ranges(DATA))
    assert part.read_bytes() == DATA


def test_a_cut_connection_is_continued(server: Server, part: Path) -> None:
    get(server, part, in_turn(cut(DATA, 70_000), cut(DATA, 0), honest(DATA)))
    assert part.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=70000-", "bytes=70000-"]
    assert "If-Range" in server.headers[1]


def test_a_file_that_changed_meanwhile_starts_anew(server: Server, part: Path) -> None:
    get(server, part, in_turn(cut(OTHER, 70_000), honest(DATA)))
    assert part.read_bytes() == DATA
    assert len(server.asked) == 2  # If-Range saved a wrong hash, and with it a third request


def test_cuts_without_end_are_given_up(server: Server, part: Path) -> None:
    message = refused(server, part, cut(DATA, 10))
    assert "was cut after 30 of 200,000 bytes (3 attempts)" in message
    assert part.read_bytes() == DATA[:30]  # to be continued another day


def test_cuts_between_which_much_comes_are_not(
    server: Server, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PROGRESS <= 2**20
    monkeypatch.setattr(module, "PROGRESS", 10_000)
    get(server, part, cut(DATA, 10_000))
    assert part.read_bytes() == DATA
    assert len(server.asked) == 20


def test_starting_anew_is_no_progress(
    server: Server, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROGRESS", 10_000)
    refused(server, part, without_ranges(DATA[:50_000], length=len(DATA)))
    assert len(server.asked) == 4  # the first brought something new, the others did not


@pytest.mark.parametrize("code", [500, 503, 429])
def test_errors_that_pass(server: Server, part: Path, code: int) -> None:
    get(server, part, in_turn(status(code), status(code), honest(DATA)))
    assert part.read_bytes() == DATA
    assert str(code) in refused_anew(server, part, status(code))


def refused_anew(server: Server, part: Path, page: Page) -> str:
    part.unlink()
    server.asked.clear()
    return refused(server, part, page)


@pytest.mark.parametrize("code", [400, 403, 404, 410, 204, 304])
def test_errors_that_stay_are_asked_once(server: Server, part: Path, code: int) -> None:
    assert f"HTTP status {code}" in refused(server, part, status(code))
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (honest(DATA[:-1]), "has 199,999 bytes; expected 200,000"),
        (honest(DATA + b"x"), "has 200,001 bytes; expected 200,000"),
        (without_ranges(DATA, length=-1), "does not say how many bytes it sends"),
        (chunked, "does not say how many bytes it sends"),
        (honest(OTHER), "SHA-256 is wrong"),
        (web_page, "web page"),
        (part_elsewhere(DATA, "bytes 5-200004/*"), "was asked for bytes 0-"),
        (part_elsewhere(DATA, "bytes 0-199999/200001"), "was asked for bytes 0-"),
        (part_elsewhere(DATA, "nonsense"), "was asked for bytes 0-"),
    ],
    ids=["short", "long", "endless", "chunked", "hash", "page", "start", "total", "nonsense"],
)
def test_what_cannot_be_the_file_is_asked_for_once(
    server: Server, part: Path, page: Page, reason: str
) -> None:
    assert reason in refused(server, part, page)
    assert len(server.asked) == 1
    assert not part.exists()  # nothing came to be continued


def test_more_than_was_promised_is_not_read(server: Server, part: Path) -> None:
    get(server, part, without_ranges(DATA + b"more", length=len(DATA)))
    assert part.read_bytes() == DATA


def test_the_next_mirror_continues(server: Server, part: Path) -> None:
    get(server, part, cut(DATA, 0), status(404), honest(DATA))
    assert part.read_bytes() == DATA
    assert [path for path, _ in server.asked] == ["/0", "/0", "/0", "/1", "/2"]


def test_the_next_mirror_repairs_what_the_first_spoilt(server: Server, part: Path) -> None:
    get(server, part, cut(OTHER, 20_000), honest(DATA))
    assert part.read_bytes() == DATA
    assert server.asked[-2:] == [("/1", "bytes=60000-"), ("/1", None)]


def test_a_dead_mirror(server: Server, part: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}/file"
    server.pages["/file"] = honest(DATA)
    download([dead, server.url()], part, len(DATA), SHA256, patience=HASTY)
    assert part.read_bytes() == DATA


def test_every_mirror_is_named_when_none_helps(server: Server, part: Path) -> None:
    message = refused(server, part, status(404), honest(OTHER))
    assert f"{server.url('/0')}: HTTP status 404 Not Found" in message
    assert f"{server.url('/1')}: has other bytes" in message


def test_silence(server: Server, part: Path) -> None:
    """Of the socket and the watchdog, either may be the first to lose patience."""
    message = refused(server, part, silent(1.0))
    assert "timed out" in message and "(3 attempts)" in message


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    "page",
    [
        without_end(b"", CONTINUE),
        without_end(b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        without_end(b"HTTP/1.1 302 Found\r\nLocation: /", b"a"),
        without_end(b"HTTP/1.", b"1"),
    ],
    ids=["continue", "header", "redirect", "status"],
)
def test_headers_without_end(server: Server, part: Path, page: Page) -> None:
    """Each byte comes in time, and the last one never."""
    answer: list[str] = []
    thread = threading.Thread(
        target=lambda: answer.append(refused(server, part, page)), daemon=True
    )
    thread.start()
    thread.join(30)  # of 0.9 s that the patience allows
    assert answer and "timed out: not done after 0.3 s (3 attempts)" in answer[0]
    assert len(server.asked) == 3


def test_each_connection_has_its_own_time(
    server: Server, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of a redirect does not run on while the next one is made."""
    connect = socket.create_connection

    def slow(*arguments: Any, **options: Any) -> socket.socket:
        time.sleep(1.2)
        return connect(*arguments, **options)

    monkeypatch.setattr(socket, "create_connection", slow)
    server.pages["/real"] = honest(DATA)
    get(server, part, redirect("/real"), patience=dataclasses.replace(HASTY, timeout=1))
    assert part.read_bytes() == DATA
    assert [path for path, _ in server.asked] == ["/0", "/real"]


def test_the_watchdog_looks_at_the_body_too(
    server: Server, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a read itself does not end, as one can below the encryption."""
    read1 = module.HTTPResponse.read1

    def stubborn(self: module.HTTPResponse, size: int = -1) -> bytes:
        while chunk := read1(self, size):
            last = chunk
        return last[:0]

    monkeypatch.setattr(module.HTTPResponse, "read1", stubborn)
    page = without_end(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n", b"a")
    answer: list[str] = []
    thread = threading.Thread(
        target=lambda: answer.append(refused(server, part, page)), daemon=True
    )
    thread.start()
    thread.join(30)
    assert answer and "timed out: not done after 0.5 s (3 attempts)" in answer[0]


def test_no_thread_is_left(server: Server, part: Path) -> None:
    refused(server, part, drip(DATA, 0.05, 60))
    assert not any(isinstance(thread, threading.Timer) for thread in threading.enumerate())


def test_a_host_that_is_not_known_is_asked_for_once(
    part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def unknown(host: str, *_: object, **__: object) -> None:
        asked.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    urls = ["http://one.invalid/file", "https://two.invalid/file"]
    with pytest.raises(WeightsError) as caught:
        download(urls, part, len(DATA), SHA256, patience=HASTY)
    assert asked == ["one.invalid", "two.invalid"]
    assert str(caught.value).count("the host is not known") == 2
    assert not part.exists()


def test_a_drip(server: Server, part: Path) -> None:
    assert "too slow (3 attempts)" in refused(server, part, drip(DATA, 0.05, 60))
    assert 0 < part.stat().st_size < 1000


def test_slow_is_not_too_slow(server: Server, part: Path) -> None:
    get(server, part, slowly(DATA, pieces=10, seconds=0.05))
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects(server: Server, part: Path, code: int) -> None:
    server.pages["/there"] = honest(DATA)
    part.write_bytes(DATA[:10])
    get(server, part, redirect("/there", code))
    assert server.asked == [("/0", "bytes=10-"), ("/there", "bytes=10-")]


def test_a_circle_of_redirects(server: Server, part: Path) -> None:
    assert "leads elsewhere more than 5 times" in refused(server, part, redirect("/0"))
    assert len(server.asked) == 6


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_redirects_to_other_protocols(server: Server, part: Path, target: str) -> None:
    assert "leads from http to" in refused(server, part, redirect(target))
    assert not part.exists()


def test_no_redirect_from_https_to_http(monkeypatch: pytest.MonkeyPatch, part: Path) -> None:
    class Answer:
        status = 302
        headers = {"Location": "http://127.0.0.1/file"}  # noqa: RUF012

        def close(self) -> None:
            pass

    monkeypatch.setattr(module.OpenerDirector, "open", lambda *a, **k: Answer())
    with pytest.raises(WeightsError, match="leads from https to http$"):
        download(["https://127.0.0.1/file"], part, len(DATA), SHA256, patience=HASTY)


def test_a_proxy_is_used(server: Server, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.pages["http://weights.invalid/file"] = honest(DATA)
    download(["http://weights.invalid/file"], part, len(DATA), SHA256, patience=HASTY)
    assert part.read_bytes() == DATA


def test_no_http_at_all(part: Path) -> None:
    """A port where something else answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            for _ in range(3):
                connection, _ = listener.accept()
                connection.sendall(b"SSH-2.0-\x1b[31m" + b"x" * 999 + b"\r\n")
                connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(WeightsError) as caught:
            download([url], part, len(DATA), SHA256, patience=HASTY)
        thread.join()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_full_disk(server: Server, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the system's, at once; what fitted stays, and is continued."""
    append = module.Part.append

    def full(self: module.Part, chunk: bytes) -> None:
        room = 50_000 - self.size
        append(self, chunk[:room])
        if len(chunk) > room:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.Part, "append", full)
        with pytest.raises(OSError, match="No space left"):
            get(server, part, honest(DATA), honest(DATA))
    assert len(server.asked) == 1  # another mirror would not help
    assert part.read_bytes() == DATA[:50_000]
    get(server, part, honest(DATA))
    assert part.read_bytes() == DATA
