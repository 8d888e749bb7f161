"""Lists of photos."""

from __future__ import annotations

from fuzz.mutate import Raw, Seed


def valid() -> list[Seed]:
    return [
        Raw(b"flowers/rose/1.jpg\nflowers/IMG_0001.jpg\ttulip\n\nflowers17.zip/c1/13.jpg\t\n"),
        Raw("\ufeffa/é.jpg\tRosé\r\nC:\\photos\\1.png\r\n/tmp/x/../2.png\r\n".encode()),
        Raw(b"1.jpg"),
        Raw(b"".join(b"%d/%d.jpg\t%d\n" % (i % 7, i, i % 3) for i in range(200))),
    ]


def hostile() -> dict[str, bytes]:
    def lines(count: int, line: bytes) -> bytes:
        """Many folders that differ."""
        return b"".join(line.replace(b"#", b"%d" % i) + b"\n" for i in range(count))

    return {
        "nothing": b"",
        "a mark of UTF-8 only": b"\xef\xbb\xbf",
        "empty lines": b"\n" * 200_000,
        "spaces": b" " * 200_000,
        "one line": b"a" * 200_000,
        "NULs": bytes(1000),
        "UTF-16": "a.jpg\n".encode("utf-16"),
        "lone bytes": b"\xff\xfe\xed\xa0\x80/\x80.jpg\n",
        "columns": b"\t" * 10_000 + b"\n",
        "a long path": b"a/" * 3000 + b"1.jpg",
        "a long label": b"1.jpg\t" + b"a" * 5000,
        "control characters": b"\x1b[2J\r\x7f/\x0b.jpg\t\x1b]0;x\x07\n",
        "short lines": b"a\n" * 120_000,
        "archives that are not there": lines(8_000, b"#.zip/1.jpg"),
        "folders upwards": lines(70, b"#/" + b"tests/../" * 400 + b"../1.jpg"),
        "folders of the system": lines(100, b"/proc/self/root" * 250 + b"/./#/../1.jpg"),
        "folders that are not there": lines(70, b"#/" + b"a/" * 1900 + b"../1.jpg"),
    }
