"""Tar archives of photos: of V7, POSIX (USTAR and pax) and GNU."""

from __future__ import annotations

import tarfile

from fuzz.mutate import Packed, Raw, Seed
from fuzz.seeds.photos_zip import JPEG, PHOTOS


def _header(name: str, kind: bytes = b"0", size: int = 0, link: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info.tobuf(tarfile.USTAR_FORMAT, "utf-8")


def _old(header: bytes, magic: bytes = bytes(8)) -> bytes:
    """What wrote it: no magic is V7, ``ustar  `` with a NUL is GNU."""
    return header[:257] + magic + header[265:]


def _with_sum(header: bytes) -> bytes:
    header = header[:512].ljust(512, b"\0")
    total = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    return header[:148] + b"%06o\0 " % total + header[156:]


def _filled(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def _tar(made: dict[str, bytes]) -> bytes:
    """Headers with sums that are right, and data that fill blocks."""
    blocks = [
        _with_sum(data) if name.endswith("header") else _filled(data) for name, data in made.items()
    ]
    return b"".join(blocks) + bytes(1024)


def _sized_tar(made: dict[str, bytes]) -> bytes:
    """With sizes, too, that are right."""
    right = dict(made)
    for name, header in made.items():
        data = made.get(name.replace("header", "data"))
        if name.endswith("header") and data is not None:
            right[name] = header[:124].ljust(124, b"\0") + b"%011o\0" % len(data) + header[136:]
    return _tar(right)


def _record(key: bytes, value: bytes) -> bytes:
    size = len(key) + len(value) + 3
    digits = len(str(size + len(str(size))))
    return b"%d %s=%s\n" % (size + digits, key, value)


def _records(made: dict[str, bytes]) -> bytes:
    return b"".join(_record(name.encode(), value) for name, value in made.items())


PAX = {"path": "a/é/long.jpg".encode(), "size": b"203", "mtime": b"1.5", "linkpath": b"a/1.jpg"}


def valid() -> list[Seed]:
    photo, other = PHOTOS["a/1.jpg"], PHOTOS["a/b/2.png"]
    gnu, v7 = b"ustar  \0", bytes(8)
    ustar: dict[str, Seed | bytes] = {
        "0 header": _header("a", b"5"),
        "1 header": _header("a/1.jpg", b"0", len(photo)),
        "1 data": photo,
        "2 header": _header("b.jpg", b"1", 0, "./a/1.jpg"),
        "3 header": _header("x" * 120 + "/" + "y" * 90 + ".png", b"0", len(other)),
        "3 data": other,
    }
    plain: dict[str, Seed | bytes] = {
        "0 header": _old(_header("a/", b"\0"), v7),
        "1 header": _old(_header("a/1.jpg", b"\0", len(photo)), v7),
        "1 data": photo,
        "2 header": _old(_header("a/1.jpg", b"7", len(other)), v7),
        "2 data": other,
    }
    name, link = b"n" * 300 + b".jpg\0", b"a/1.jpg\0"
    wide = _old(_header("w.jpg"), gnu)
    long: dict[str, Seed | bytes] = {
        "0 header": _old(_header("a/1.jpg", b"0", len(photo)), gnu),
        "0 data": photo,
        "1 header": _old(_header("././@LongLink", b"L", len(name)), gnu),
        "1 data": name,
        "2 header": wide[:124] + b"\x80" + len(other).to_bytes(11, "big") + wide[136:],
        "2 data": other,
        "3 header": _old(_header("././@LongLink", b"K", len(link)), gnu),
        "3 data": link,
        "4 header": _old(_header("b.jpg", b"1"), gnu),
    }
    common = {"path": b"c.jpg", "comment": b"made by hand"}
    pax: dict[str, Seed | bytes] = {
        "0 header": _header("a/1.jpg", b"0", len(photo)),
        "0 data": photo,
        "1 header": _header("g", b"g", len(_records(common))),
        "1 data": Packed(common, _records),
        "2 header": _header("p", b"x", len(_records(dict(PAX)))),
        "2 data": Packed(PAX, _records),
        "3 header": _header("2.jpg", b"0", len(photo)),
        "3 data": photo,
    }
    seeds: list[Seed] = []
    for members in (ustar, plain, long, pax):
        seeds += [Packed(members, _tar), Packed(members, _sized_tar)]
    return [*seeds, Raw(seeds[0].whole()), Raw(bytes(1024))]


def hostile() -> dict[str, bytes]:
    end = bytes(1024)
    photo = _header("a.jpg", b"0", 4) + _filled(b"abcd")

    def pax(data: bytes, kind: bytes = b"x") -> bytes:
        return _header("p", kind, len(data)) + _filled(data)

    def sized(kind: bytes, field: bytes) -> bytes:
        header = _header("n.jpg", kind)
        return _with_sum(header[:124] + field + header[136:]) + photo + end

    made = {
        f"kind {kind!r}, {about}": sized(kind, field)
        for kind in (b"0", b"L", b"K", b"x", b"g", b"X", b"S", b"1", b"5")
        for about, field in (
            ("negative", b"\xff" * 12),
            ("2**87", b"\x80" + b"\xff" * 11),
            ("2**62", b"\x80" + (2**62).to_bytes(11, "big")),
            ("8 GB", b"77777777777\0"),
            ("no number", b"1_0 \xd9\xa1      \0"),
        )
    }
    for key, value in (
        (b"path", b"../../etc/x\0y\n\x1b[2J.jpg"), (b"path", b"z" * 60_000), (b"path", b""),
        (b"path", b"\xff\xfe.jpg"), (b"path", b"/../" * 15_000), (b"size", b"-5"),
        (b"size", b"abc"), (b"size", b"9" * 30), (b"size", b"9" * 5000), (b"size", b"9" * 20),
        (b"size", "\u0661".encode()), (b"mtime", b"nan"), (b"hdrcharset", b"BINARY"),
        (b"GNU.sparse.realsize", b"9" * 15), (b"GNU.sparse.map", b"1,2," * 15_000 + b"1"),
        (b"linkpath", b"a.jpg" * 9_000),
    ):  # fmt: skip
        made[f"pax {key!r} {value[:20]!r}, {len(value)}"] = pax(_record(key, value)) + photo + end
    for text in (
        b"0 a=b\n", b"00 a=b\n" * 10, b"9" * 20 + b" a=b\n", b"1" * 65_000, b"6 ab=\n" * 10,
        b" " * 60_000, b"5 a=\n" * 13_000, b"\xb2 a=\n",
    ):  # fmt: skip
        made[f"pax records {text[:20]!r}, {len(text)}"] = pax(text) + photo + end
    keys = b"".join(_record(b"k%x" % i, b"") for i in range(6000))
    members = b"".join(_header(f"{i}.jpg") for i in range(800))
    chain = (_header(f"{i}.jpg", b"1", 0, f"{i - 1}.jpg" if i else "a.jpg") for i in range(800))
    big = _header("a.jpg", b"0", 100_000) + _filled(JPEG + bytes(99_997))
    links = b"".join(_header(f"{i}.jpg", b"1", 0, "a.jpg") for i in range(300))
    more = _header("s.jpg", b"S")
    more = _with_sum(more[:482] + b"\1" + more[483:])
    return made | {
        "keys for all of many members": pax(keys, b"g") + members + end,
        "keys for each of many members": (pax(keys[:60_000]) + photo) * 8 + end,
        "a long path for many members": pax(_record(b"path", b"z" * 60_000), b"g") + members + end,
        "hard links in a circle": _header("a.jpg", b"1", 0, "b.jpg")
        + _header("b.jpg", b"1", 0, "a.jpg") + end,
        "a hard link to itself": _header("a.jpg", b"1", 0, "a.jpg") + end,
        "hard links in a chain": photo + b"".join(chain) + end,
        "many links to a large member": big + links + end,
        "long names of nothing": _header("x", b"L", 512) * 600 + photo + end,
        "long names": (_header("x", b"L", 10) + _filled(b"y" * 10)) * 600 + photo + end,
        "long names of 64 KiB": (_header("x", b"L", 65_536) + b"y" * 65_536) * 6 + photo + end,
        "pax headers": pax(_record(b"path", b"y")) * 600 + photo + end,
        "the end after a pax header": pax(_record(b"path", b"y")) + end,
        "maps without end": more + (bytes(504) + b"\1" + bytes(7)) * 800 + end,
        "a sparse file": _header("s.jpg", b"S", 512) + bytes(512) + photo + end,
        "a sparse file of pax": pax(_record(b"GNU.sparse.major", b"1"))
        + _header("s.jpg", b"0", 512) + _filled(b"9" * 20 + b"\n1\n") + photo + end,
        "many members": members + end,
        "no end": photo,
        "kinds of all bytes": b"".join(_header("a", bytes([i])) for i in range(256)) + end,
    }  # fmt: skip
