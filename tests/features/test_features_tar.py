"""Headers of tar: the same as the standard library reads, and damage in bounded time."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import cases

from decaf.errors import FeaturesError
from decaf.features import tar
from decaf.features.archives import read_archive

FORMS = {"v7": tarfile.USTAR_FORMAT, "ustar": tarfile.USTAR_FORMAT}
FORMS |= {"gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
END = bytes(1024)


def summed(header: bytes) -> bytes:
    changed = bytearray(header)
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


def header(name: str, kind: bytes = b"0", size: int = 0, link: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info.tobuf(tarfile.USTAR_FORMAT)


def member(name: str, data: bytes, kind: bytes = b"0") -> bytes:
    return header(name, kind, len(data)) + data + bytes(-len(data) % 512)


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(b"%d" % length) + len(key) + len(value) + 3 != length:
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    return member("pax", b"".join(record(*r) for r in records), kind)


def ours(data: bytes) -> list[tuple[str, str | None, bytes, str]]:
    return [
        (m.name, m.link, data[m.start : m.start + m.size], m.reason)
        for m in tar.members(io.BytesIO(data), len(data))
    ]


def theirs(data: bytes) -> list[tuple[str, str | None, bytes, str]]:
    """What `tarfile` finds, as `tar.members` says it."""
    reasons = {tarfile.SYMTYPE: "a symbolic link", tarfile.FIFOTYPE: "a pipe"}
    found = []
    with tarfile.open(
        fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for info in archive:
            if not info.isdir():
                content = data[info.offset_data : info.offset_data + info.size]
                link = info.linkname if info.islnk() else None
                found.append(
                    (info.name, link, content if info.isreg() else b"", reasons.get(info.type, ""))
                )
    return found


# ---- the same as tarfile ----------------------------------------------------------------------

PARTS = st.text(st.sampled_from("ab1 .-é日\udcff"), min_size=1, max_size=9).filter(
    lambda part: part.strip(".") == part
)
SHORT = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
LONG = st.tuples(SHORT, st.integers(1, 300), SHORT).map(lambda p: f"{p[0]}/{'x' * p[1]}/{p[2]}")


@pytest.mark.parametrize("form", FORMS)
@cases
@given(data=st.data())
def test_members_are_those_of_the_standard_library(form, data):
    names = SHORT if form in ("v7", "ustar") else SHORT | LONG
    kinds = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE])
    stream = io.BytesIO()
    with tarfile.open(
        fileobj=stream, mode="w", format=FORMS[form], encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for _ in range(data.draw(st.integers(0, 6))):
            info = tarfile.TarInfo(data.draw(names))
            info.type = data.draw(kinds)
            if info.type in (tarfile.LNKTYPE, tarfile.SYMTYPE):
                info.linkname = data.draw(names)
            content = b""
            if info.type == tarfile.REGTYPE:
                content = data.draw(st.binary(max_size=1100))
                info.size = len(content)
            info.mtime = data.draw(st.sampled_from([0, 1.5, 2**33])) if form == "pax" else 0
            archive.addfile(info, io.BytesIO(content))
    written = bytearray(stream.getvalue())
    if form == "v7":  # the first tar knew no more than the first 257 bytes
        with tarfile.open(fileobj=io.BytesIO(written), errors="surrogateescape") as archive:
            starts = [info.offset for info in archive]
        for start in starts:
            block = bytearray(written[start : start + 257] + bytes(255))
            if block[156:157] in (b"0", b"5"):  # and a folder by the / at its end
                block[156] = 0
            written[start : start + 512] = summed(block)
    assert ours(bytes(written)) == theirs(bytes(written))


def test_a_name_in_two_fields():
    name = "/".join(["folder" * 5] * 5) + "/é" + "x" * 80 + ".jpg"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo(name))
    assert stream.getvalue()[345] and len(name) > 100
    assert ours(stream.getvalue()) == [(name, None, b"", "")]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_sizes_of_many_gigabytes(tmp_path, form):
    size = 9 * 2**30 + 5  # 8 GiB is what octal digits can say
    info = tarfile.TarInfo("big.jpg")
    info.size = size
    path = tmp_path / "big.tar"
    after = member("after.jpg", b"after")
    with path.open("wb") as file:
        start = file.write(info.tobuf(form))
        try:
            file.truncate(start + size + -size % 512)  # a hole, on most systems
        except OSError:
            pytest.skip("no room here")
        file.seek(0, 2)
        file.write(after + END)
    with path.open("rb") as file:
        found = list(tar.members(file, path.stat().st_size))
    with tarfile.open(path) as archive:
        assert [(m.name, m.start, m.size) for m in found] == [
            (i.name, i.offset_data, i.size) for i in archive
        ]
    assert found[0].size == size


def test_pax_records_for_one_and_for_all():
    data = b"".join(
        [
            pax((b"comment", b"x"), (b"path", b"all.jpg"), kind=b"g"),
            member("0.jpg", b"zero"),
            pax((b"path", "é/1.jpg".encode()), (b"mtime", b"1.5")),
            member("1.jpg", b"one"),
            pax((b"path", b"")),  # takes back what is for all
            member("2.jpg", b"two"),
            pax((b"size", b"5")),
            header("3.jpg") + b"three" + bytes(507),
            pax((b"linkpath", b"all.jpg"), (b"path", b"4.jpg")),
            header("x", b"1", link="y"),
            END,
        ]
    )
    assert ours(data) == [
        ("all.jpg", None, b"zero", ""),
        ("é/1.jpg", None, b"one", ""),
        ("2.jpg", None, b"two", ""),
        ("all.jpg", None, b"three", ""),
        ("4.jpg", "all.jpg", b"", ""),
    ]


def test_sparse_files_are_stepped_over():
    old = bytearray(header("old.jpg", b"S", 512))
    old[482] = 1  # two blocks more of its map
    blocks = bytes(504) + b"\1" + bytes(7) + bytes(512)
    data = b"".join(
        [
            summed(old) + blocks + b"x" * 512,
            pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.name", b"new.jpg"), (b"size", b"600")),
            header("GNUSparseFile.0/new.jpg", size=600) + b"y" * 1024,
            member("1.jpg", b"one"),
            END,
        ]
    )
    found = ours(data)
    assert [(name, reason) for name, _, _, reason in found[:2]] == [
        ("old.jpg", "a sparse file"),
        ("new.jpg", "a sparse file"),
    ]
    assert found[2:] == [("1.jpg", None, b"one", "")]


def test_checksums_of_machines_with_signed_characters():
    block = bytearray(header("é.jpg"))
    block[148:156] = b" " * 8
    signed = sum(byte - 256 if byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % signed
    assert ours(bytes(block) + END) == [("é.jpg", None, b"", "")] == theirs(bytes(block) + END)
    block[153] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        ours(bytes(block) + END)


# ---- what is refused --------------------------------------------------------------------------


def sized(kind: bytes, field: bytes) -> bytes:
    block = bytearray(header("n.jpg", kind))
    block[124:136] = field
    return summed(block)


PHOTO = member("1.jpg", b"one")
BAD = {
    "negative": (sized(b"0", b"\xff" * 12) + PHOTO, "negative size"),
    "2**88": (sized(b"0", b"\x80" + b"\xff" * 11) + PHOTO, "in the middle of 'n.jpg'"),
    "no octal": (sized(b"0", b"00000000009\0") + PHOTO, "no number in the header"),
    "2**40 of records": (
        sized(b"x", b"\x80" + (2**40).to_bytes(11, "big")) + PHOTO,
        "an extended header of 1,099,511,627,776 bytes",
    ),
    "long name": (member("n", b"x" * 70_000, b"L") + PHOTO, "65,536 are allowed"),
    "name over 4,096": (member("n", b"x" * 4097, b"L") + PHOTO, "more than 4,096 bytes: 'xxx"),
    "NUL": (pax((b"path", b"a\0b.jpg")) + PHOTO, "a name with a NUL"),
    "path over 4,096": (pax((b"path", b"x" * 4097)) + PHOTO, "more than 4,096 bytes"),
    "link over 4,096": (
        pax((b"linkpath", b"x" * 4097)) + header("1.jpg", b"1"),
        "more than 4,096 bytes",
    ),
    "size -5": (pax((b"size", b"-5")) + PHOTO, "no number in the pax header"),
    "size of 5,000 digits": (pax((b"size", b"9" * 5000)) + PHOTO, "no number in the pax header"),
    "digits": (member("n", b"1" * 60_000, b"x") + PHOTO, "a damaged record"),
    "record of 0": (member("n", b"0 a=b\n", b"x") + PHOTO, "a damaged record"),
    "record too long": (member("n", b"99 a=b\n", b"x") + PHOTO, "a damaged record"),
    "record without =": (member("n", b"5 ab\n", b"x") + PHOTO, "a damaged record"),
    "nothing after": (PHOTO + pax((b"path", b"x")), "the end after an extended header"),
}


@pytest.mark.parametrize("what", BAD)
def test_archives_that_are_refused(tmp_path: Path, what: str):
    data, message = BAD[what]
    path = tmp_path / "t.tar"
    path.write_bytes(data + END)
    with pytest.raises(FeaturesError, match=message) as caught:
        read_archive(str(path))
    assert str(caught.value).startswith(f"{path}: must be an undamaged .tar; got ")
    assert len(str(caught.value)) < len(str(path)) + 200


def test_a_name_of_4096_bytes_is_one(tmp_path):
    name = "é" * 2046 + ".jpg"
    path = tmp_path / "t.tar"
    path.write_bytes(pax((b"path", name.encode())) + PHOTO + END)
    assert list(read_archive(str(path)).places) == [name]


class Counting(io.BytesIO):
    """Counts what is read."""

    reads = amount = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.reads += 1
        self.amount += len(data)
        return data


@pytest.mark.parametrize("members", [1000, 20_000])
def test_each_block_is_read_once_and_nothing_is_kept(members, monkeypatch):
    """Many records for all members, and many members: the standard library copies all for each."""
    keys = b"".join(record(b"k%d" % i, b"v") for i in range(5000))
    data = member("g", keys, b"g") + member("g", keys, b"g")
    data += b"".join(header(f"{i}.jpg") for i in range(members)) + END
    copied = []
    find = tar._records

    def spied(content: bytes, at: int) -> dict[str, str]:
        copied.append(find(content, at))
        return copied[-1]

    monkeypatch.setattr(tar, "_records", spied)
    file = Counting(data)
    assert sum(1 for _ in tar.members(file, len(data))) == members
    assert file.amount <= len(data)
    assert file.reads == members + 5  # two headers and their records, the end
    assert copied == [{}, {}]


def test_random_damage_raises_one_kind_of_error():
    whole = b"".join(
        [
            pax((b"path", b"a/1.jpg"), (b"size", b"3")),
            PHOTO,
            member("n", b"a/2.jpg", b"L"),
            PHOTO,
            header("3.jpg", b"1", link="1.jpg"),
        ]
    )
    noise = random.Random(4)
    for _ in range(1500):
        damaged = bytearray(whole + END)
        for _ in range(noise.randrange(1, 4)):
            start = noise.randrange(0, len(whole), 512)
            damaged[start + noise.randrange(512)] = noise.choice((0, 255, noise.randrange(256)))
            damaged[start : start + 512] = summed(damaged[start : start + 512])
        try:
            found = ours(bytes(damaged))
        except ValueError:
            continue
        assert len(found) <= len(damaged) // 512
