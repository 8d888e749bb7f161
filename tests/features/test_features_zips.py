"""Directories of zip archives: what they may claim, and what is never unpacked."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from decaf.errors import FeaturesError, ImageError
from decaf.features import zips
from decaf.features.archives import read_archive
from decaf.features.sources import find_photos

JPEG = b"\xff\xd8\xff" + bytes(13)


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def local(name: bytes, packed: bytes, extra: bytes = b"") -> bytes:
    fixed = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, 0, 0, len(name), len(extra))
    return fixed + name + extra + packed


def entry(name: bytes, at: int, packed: int, size: int, crc: int = 0, **other) -> bytes:
    other = {"method": 8, "flags": 0, "extra": b""} | other
    return (
        struct.pack(
            "<4s6H3L5H2L",
            *(b"PK\1\2", 20, 20, other["flags"], other["method"], 0, 0, crc, packed, size),
            *(len(name), len(other["extra"]), 0, 0, 0, 0, at),
        )
        + name
        + other["extra"]
    )


def end(body: bytes, directory: bytes, count: int) -> bytes:
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)


def write(path: Path, body: bytes, *entries: bytes, count: int | None = None) -> str:
    directory = b"".join(entries)
    number = len(entries) if count is None else count
    path.write_bytes(body + directory + end(body, directory, number))
    return str(path)


def reason(path: str) -> str:
    (photo,) = find_photos([path]).photos
    with pytest.raises(ImageError) as caught, photo.open():
        pass
    assert str(caught.value).startswith(f"{photo.path}: must be a member that can be read; got ")
    return str(caught.value).partition("; got ")[2]


# ---- the same as the standard library ---------------------------------------------------------


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("comment", [b"", b"x" * 65_535])
def test_what_the_standard_library_writes(tmp_path, monkeypatch, zip64, comment):
    if zip64:
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    noise = random.Random(3)
    files = {f"{folder}/{i}.jpg": noise.randbytes(300) for i in range(9) for folder in ("é", "b")}
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.comment = comment
    for before in (b"", b"#!/bin/sh\n"):
        path.write_bytes(before + path.read_bytes())
        photos = find_photos([path]).photos
        assert len(photos) == len(files)
        for photo in photos:
            with photo.open() as opened:
                assert opened.read() == files[photo.path.removeprefix(f"{path.as_posix()}/")]


def test_what_can_only_be_written_to_a_stream(tmp_path):
    """Its sizes follow the data, and the local header says 0."""

    class Stream(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

        def seek(self, *_: int) -> int:
            raise OSError

    stream = Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            archive.writestr(f"{i}.jpg", JPEG * 99)
    path = tmp_path / "a.zip"
    path.write_bytes(stream.getvalue())
    for photo in find_photos([path]).photos:
        with photo.open() as opened:
            assert opened.read() == JPEG * 99


def test_more_members_than_16_bits_can_count(tmp_path):
    body, entries = [], []
    at = 0
    for i in range(65_536 + 7):
        name = b"%05d.jpg" % i
        body.append(local(name, b"\3\0"))
        entries.append(entry(name, at, 2, 0))
        at += len(body[-1])
    path = write(tmp_path / "a.zip", b"".join(body), *entries, count=7)  # as old writers count
    assert len(read_archive(path).places) == 65_543
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 65_543
    path = write(tmp_path / "b.zip", b"".join(body), *entries, count=8)
    with pytest.raises(FeaturesError, match="65,543 members in a directory whose end says 8"):
        read_archive(path)


def test_names_of_both_kinds_and_in_the_unicode_field(tmp_path):
    raw = "é1.jpg".encode("cp437")
    field = struct.pack("<2HBL", 0x7075, 5 + 7, 1, zlib.crc32(raw)) + "é9.jpg".encode()
    stale = struct.pack("<2HBL", 0x7075, 5 + 7, 1, 123) + "é8.jpg".encode()
    names = [(raw, 0, b""), ("é2.jpg".encode(), 2048, b""), (b"\xff3.jpg", 2048, b"")]
    names += [(raw, 0, field), (raw, 0, stale), (b"a\\4.jpg", 0, b"")]
    body, entries = b"", []
    for name, flags, extra in names:
        entries.append(entry(name, len(body), 2, 0, flags=flags, extra=extra))
        body += local(name, b"\3\0")
    path = write(tmp_path / "a.zip", body, *entries)
    assert set(read_archive(path).places) == {
        *("é1.jpg", "é2.jpg", "\udcff3.jpg", "é9.jpg", "a/4.jpg")
    }


def test_a_name_is_compared_with_many_unicode_fields_by_one_checksum(tmp_path, monkeypatch):
    """Otherwise a record of 128 KiB takes 64 KiB of checksums 16,000 times."""
    summed = []

    def crc32(data, start=0):
        summed.append(len(data))
        return zlib_crc32(data, start)

    zlib_crc32 = zlib.crc32
    fields = struct.pack("<2H", 0x7075, 0) * 16_000
    path = write(
        tmp_path / "a.zip", local(b"1.jpg", b"\3\0"), entry(b"1.jpg", 0, 2, 0, extra=fields)
    )
    monkeypatch.setattr(zips.zlib, "crc32", crc32)
    assert list(read_archive(path).places) == ["1.jpg"]
    assert sum(summed) <= len("1.jpg")


# ---- bombs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "name"), [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA")]
)
def test_only_stored_and_deflated_members_are_unpacked(tmp_path, method, name):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("1.jpg", JPEG + bytes(5_000_000))
    assert f"({name}), where deflate and none are read" in reason(str(path))


@pytest.mark.parametrize(
    ("packed", "size", "method", "expected"),
    [
        (deflated(b""), 2**31 + 1, 8, "one of 2,147,483,649 bytes, where 2,147,483,648 are"),
        (b"x" * 100, 100 * 1100 + 1, 8, "100 bytes that claim to unpack to 110,001"),
        (b"x" * 100, 101, 0, "100 bytes that claim to be 101"),
        (b"x" * 100, 99, 0, "100 bytes that claim to be 99"),
        (b"", 1, 8, "0 bytes that claim to unpack to 1"),
    ],
)
def test_sizes_that_cannot_be(tmp_path, packed, size, method, expected):
    body = local(b"1.jpg", packed)
    path = write(tmp_path / "a.zip", body, entry(b"1.jpg", 0, len(packed), size, method=method))
    assert expected in reason(path)


def test_all_that_deflate_can_do_is_allowed(tmp_path):
    data = JPEG + bytes(20_000_000)
    packed = deflated(data)
    assert len(data) > 1000 * len(packed)
    record = entry(b"1.jpg", 0, len(packed), len(data), zlib.crc32(data))
    (photo,) = find_photos([write(tmp_path / "a.zip", local(b"1.jpg", packed), record)]).photos
    with photo.open() as opened:
        assert opened.read() == data


def test_never_more_than_the_directory_says(tmp_path):
    """A member says 1,000 bytes and has 50 million; one that says too many has too few."""
    data = JPEG + bytes(50_000_000)
    packed = deflated(data)
    record = entry(b"1.jpg", 0, len(packed), 1000, zlib.crc32(data[:1000]))
    (photo,) = find_photos([write(tmp_path / "a.zip", local(b"1.jpg", packed), record)]).photos
    for piece in (-1, 100, 2**20):
        read = 0
        tracemalloc.start()
        try:
            with photo.open() as opened, pytest.raises(ValueError, match="goes on after its end"):
                while piece_read := opened.read(piece):
                    read += len(piece_read)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert read <= 1000
        assert most < 4_000_000
    short = deflated(b"x" * 100)
    record = entry(b"1.jpg", 0, len(short), 101, zlib.crc32(b"x" * 100))
    (photo,) = find_photos([write(tmp_path / "b.zip", local(b"1.jpg", short), record)]).photos
    with photo.open() as opened, pytest.raises(ValueError, match="ends 1 bytes too early"):
        opened.read()


# ---- members over each other ------------------------------------------------------------------


def test_members_that_share_a_header(tmp_path):
    packed = deflated(JPEG)
    crc = zlib.crc32(JPEG)
    entries = [entry(b"%d.jpg" % i, 0, len(packed), len(JPEG), crc) for i in range(5)]
    with pytest.raises(FeaturesError, match=r"a.zip: must be an undamaged .zip; got members that"):
        find_photos([write(tmp_path / "a.zip", local(b"0.jpg", packed), *entries)])


def test_members_that_overlap_by_a_byte_or_reach_the_directory(tmp_path):
    one, two = local(b"1.jpg", deflated(b"1" * 9)), local(b"2.jpg", deflated(b"2" * 9))
    first = len(one) - 35
    second = entry(b"2.jpg", len(one), len(two) - 35, 9, zlib.crc32(b"2" * 9))
    for more, fails in ((0, False), (5, False), (6, True)):  # the length of its name is not known
        record = entry(b"1.jpg", 0, first + more, 9, zlib.crc32(b"1" * 9))
        path = write(tmp_path / f"{more}.zip", one + two, record, second)
        if fails:
            with pytest.raises(FeaturesError, match="members that overlap"):
                find_photos([path])
            continue
        photo, other = find_photos([path]).photos
        with other.open() as opened:
            assert opened.read() == b"2" * 9
        if more:
            with pytest.raises(ImageError, match="overlaps the next member"), photo.open():
                pass
    beyond = entry(b"2.jpg", len(one), len(two) - 35 + 6, 9)
    with pytest.raises(FeaturesError, match="outside of the part"):
        find_photos([write(tmp_path / "d.zip", one + two, beyond)])
    wide = struct.pack("<2HQ", 1, 8, 2**64 - 1)
    far = entry(b"2.jpg", 2**32 - 1, 2, 9, extra=wide)
    with pytest.raises(FeaturesError, match="outside of the part"):
        find_photos([write(tmp_path / "e.zip", one + two, far)])


def test_a_local_header_that_reaches_over_the_next_member(tmp_path):
    """Only its own field says how long it is, so it shows when the member is opened."""
    packed = deflated(JPEG)
    inner = local(b"2.jpg", b"")
    between = bytes(99)  # so that the directory alone does not show it
    body = local(b"1.jpg", b"", extra=between + inner) + packed  # both end with the same bytes
    crc = zlib.crc32(JPEG)
    entries = [
        entry(b"1.jpg", 0, len(packed), len(JPEG), crc),
        entry(b"2.jpg", 35 + len(between), len(packed), len(JPEG), crc),
    ]
    one, two = find_photos([write(tmp_path / "a.zip", body, *entries)]).photos
    with two.open() as opened:
        assert opened.read() == JPEG
    with pytest.raises(ImageError, match="overlaps the next member"), one.open():
        pass


# ---- the directory ----------------------------------------------------------------------------


def zip64_end(body: bytes, directory: bytes, count: int, size: int) -> bytes:
    at = len(body) + len(directory)
    return (
        struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, len(body))
        + struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
        + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *[0xFFFF] * 2, *[2**32 - 1] * 2, 0)
    )


@pytest.mark.parametrize(
    ("count", "more", "message"),
    [
        (1, 0, None),
        (2, 0, "a directory of 51 bytes for 2 members"),
        (10_000_001, 0, "at most 10,000,000 are allowed"),
        (1, 2**40, "a directory of 1,099,511,627,827 bytes, for which the file is too short"),
        (1, 2**63, "for which the file is too short"),
        (0, 0, "1 members in a directory whose end says 0"),
    ],
)
def test_directories_that_cannot_be(tmp_path, count, more, message):
    body, record = local(b"1.jpg", b"\3\0"), entry(b"1.jpg", 0, 2, 0)
    path = tmp_path / "a.zip"
    path.write_bytes(body + record + zip64_end(body, record, count, len(record) + more))
    if message is None:
        assert list(read_archive(str(path)).places) == ["1.jpg"]
        return
    with pytest.raises(FeaturesError, match=message):
        read_archive(str(path))


def test_too_many_members_are_noticed_while_they_are_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(zips, "MOST_MEMBERS", 2)
    body = b"".join(local(b"%d.jpg" % i, b"\3\0") for i in range(3))
    entries = [entry(b"%d.jpg" % i, 37 * i, 2, 0) for i in range(3)]
    path = write(tmp_path / "a.zip", body, *entries, count=3)
    with pytest.raises(FeaturesError, match="at most 2 are allowed"):
        read_archive(path)


@pytest.mark.parametrize("name", [b"x" * 4093 + b".jpg", b"x" * 65_000, b"a\0b.jpg"])
def test_names_that_no_file_can_have(tmp_path, name):
    path = write(tmp_path / "a.zip", local(name, b"\3\0"), entry(name, 0, 2, 0))
    with pytest.raises(FeaturesError, match="a name with a NUL or of more than 4,096") as caught:
        find_photos([path])
    assert len(str(caught.value)) < len(path) + 200


def test_memory_of_listing_grows_with_the_members_only(tmp_path):
    count = 20_000
    body = b"".join(local(b"%05d.jpg" % i, b"\3\0") for i in range(count))
    entries = [entry(b"%05d.jpg" % i, 41 * i, 2, 0) for i in range(count)]
    path = write(tmp_path / "a.zip", body, *entries)
    tracemalloc.start()
    try:
        assert len(read_archive(path).places) == count
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most / count < 700  # the standard library alone takes as much for one
