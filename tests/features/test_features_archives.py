"""Archives: the same photos as a folder gives, from any thread, and what is refused."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
import tempfile
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import cases

from decaf.errors import FeaturesError, ImageError
from decaf.features.archives import read_archive
from decaf.features.naming import shown
from decaf.features.sources import find_photos
from decaf.image import load_image

KINDS = ("zip", "tar")


def write_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write(kind: str, path: Path, files: dict[str, bytes]) -> Path:
    return (write_zip if kind == "zip" else write_tar)(path, files)


def contents(photo) -> bytes:
    with photo.open() as opened:
        return opened.read()


def below(found, root: str) -> list[tuple[str, str, bytes]]:
    """Path below the root, label, bytes of each photo."""
    return [(p.path.removeprefix(f"{root}/"), p.label, contents(p)) for p in found.photos]


def error_of(photo) -> str:
    """What is wrong with a photo, wherever it shows; the same when it is tried again."""
    texts = set()
    for _ in range(2):
        with pytest.raises(ImageError) as caught, photo.open() as opened:
            load_image(opened, name=photo.path)
        texts.add(str(caught.value))
    (text,) = texts
    assert text.startswith(f"{shown(photo.path)}: ")
    assert "\n" not in text
    return text


# ---- the same as a folder ---------------------------------------------------------------------

NAMES = st.text(st.sampled_from("ab1 -.~é"), min_size=1, max_size=3).filter(
    # Windows cuts these off; those with a dot in front are hidden, and tested elsewhere
    lambda name: name.strip(" .") == name
)
TREES = st.dictionaries(
    st.tuples(st.lists(NAMES, max_size=3), NAMES, st.sampled_from([".jpg", ".PNG", ".txt"])).map(
        lambda parts: "/".join((*(f"{folder}_" for folder in parts[0]), parts[1] + parts[2]))
    ),
    st.binary(min_size=1, max_size=40),  # an empty file is refused
    min_size=1,
    max_size=12,
)


@cases
@given(TREES, st.randoms(use_true_random=False))
def test_folder_zip_and_tar_of_a_tree_give_the_same(tree: dict[str, bytes], order: random.Random):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "tree"
        for name, data in tree.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
        on_disk = {
            p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()
        }
        shuffled = list(tree.items())
        order.shuffle(shuffled)
        write_zip(Path(f"{root}.zip"), dict(shuffled))
        write_tar(Path(f"{root}.tar"), dict(shuffled))
        photos = sorted(name.split("/") for name in tree if not name.endswith(".txt"))
        if on_disk != tree:  # a system where A is a
            return
        expected = [
            ("/".join(parts), ["tree", *parts][-2], tree["/".join(parts)]) for parts in photos
        ]
        for suffix in ("", ".zip", ".tar"):
            given = f"{root.as_posix()}{suffix}"
            if not photos:
                with pytest.raises(FeaturesError, match=f"{len(tree)} files of other kinds"):
                    find_photos([given])
                continue
            found = find_photos([given])
            assert below(found, given) == expected
            assert found.ignored == len(tree) - len(photos)


@pytest.mark.parametrize("kind", KINDS)
def test_strange_names_are_names_only(tmp_path, kind):
    files = {
        "./a/b.jpg": b"1",
        "../../up.jpg": b"2",
        "/top/c.jpg": b"3",
        "a//d/../e.jpg": b"4",
        "a/.hidden.jpg": b"-",
        "__MACOSX/a/._b.jpg": b"-",
        "notes.txt": b"-",
    }
    given = write(kind, tmp_path / f"odd.{kind}", files).as_posix()
    found = find_photos([given])
    assert below(found, given) == [
        ("a/b.jpg", "a", b"1"),
        ("a/e.jpg", "a", b"4"),
        ("top/c.jpg", "top", b"3"),
        ("up.jpg", "odd", b"2"),
    ]
    assert found.ignored == 1


def test_backslashes_part_names_in_a_zip(tmp_path):
    given = write_zip(tmp_path / "w.ZIP", {"rose\\1.jpg": b"1", "rose\\": b""}).as_posix()
    assert below(find_photos([given]), given) == [("rose/1.jpg", "rose", b"1")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_equal_names_the_last_counts(tmp_path, kind):
    path = tmp_path / f"twice.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for data in (b"first", b"last"):
                archive.writestr("1.jpg", data)
    else:
        with tarfile.open(path, "w") as archive:
            for data in (b"first", b"last"):
                info = tarfile.TarInfo("1.jpg")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    assert [contents(photo) for photo in find_photos([path]).photos] == [b"last"]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar(tmp_path, form):
    files = {f"{'long' * 20}/{'name' * 15}.jpg": b"1", "a/1.jpg": b"2" * 1000}
    given = write_tar(tmp_path / "t.tar", files, form).as_posix()
    assert {path: data for path, _, data in below(find_photos([given]), given)} == files


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 5000, bytes(2_000_000)])
def test_stored_and_deflated_members_of_a_zip(tmp_path, method, data):
    (photo,) = find_photos([write_zip(tmp_path / "z.zip", {"1.jpg": data}, method)]).photos
    assert contents(photo) == data
    with photo.open() as opened:
        assert b"".join(iter(lambda: opened.read(777), b"")) == data


def test_the_suffix_says_that_it_is_an_archive_and_the_contents_which(tmp_path):
    write_tar(tmp_path / "really-tar.zip", {"1.jpg": b"1"})
    write_zip(tmp_path / "really-zip.TAR", {"1.jpg": b"1"})
    write_zip(tmp_path / "zip.jpg", {"1.jpg": b"1"})
    assert read_archive(str(tmp_path / "really-tar.zip")).archive.kind == "tar"
    assert read_archive(str(tmp_path / "really-zip.TAR")).archive.kind == "zip"
    (photo,) = find_photos([tmp_path / "zip.jpg"]).photos
    assert error_of(photo)
    prefixed = tmp_path / "program.zip"
    prefixed.write_bytes(b"#!/bin/sh\n" + (tmp_path / "zip.jpg").read_bytes())
    assert [contents(photo) for photo in find_photos([prefixed]).photos] == [b"1"]


# ---- members that cannot be read --------------------------------------------------------------


def test_links_and_devices_in_a_tar(tmp_path):
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("blob")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"blob"))
        for name, type_, target in [
            ("hard.jpg", tarfile.LNKTYPE, "./blob"),
            ("lost.jpg", tarfile.LNKTYPE, "nothing"),
            ("soft.jpg", tarfile.SYMTYPE, "blob"),
            ("pipe.jpg", tarfile.FIFOTYPE, ""),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = type_, target
            archive.addfile(info)
    found = find_photos([path])
    hard, lost, pipe, soft = found.photos
    assert contents(hard) == b"blob"
    assert "a hard link to nothing" in error_of(lost)
    assert "got a pipe" in error_of(pipe)
    assert "a symbolic link" in error_of(soft)
    assert found.ignored == 1


def test_sparse_files_in_a_tar(tmp_path):
    info = tarfile.TarInfo("sparse.jpg")
    info.size, info.type = 512, tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"00000000000\0" + b"00000001000\0"  # one piece: offset, length
    header[483:495] = b"00000010000\0"  # the length with the holes
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "s.tar"
    path.write_bytes(bytes(header) + b"x" * 512 + bytes(1024))
    (photo,) = find_photos([path]).photos
    assert "a sparse file" in error_of(photo)


def test_members_of_a_zip_that_fail_alone(tmp_path):
    names = [f"{name}.jpg" for name in ("encrypted", "fine", "header", "method", "sum", "zlib")]
    data = random.Random(0).randbytes(300) + bytes(3000)
    path = write_zip(tmp_path / "z.zip", dict.fromkeys(names, data))
    with zipfile.ZipFile(path) as archive:
        local = {name: archive.getinfo(name).header_offset for name in names}
    zipped = bytearray(path.read_bytes())
    entry = {name: zipped.rindex(name.encode()) - 46 for name in names}
    zipped[entry["encrypted.jpg"] + 8] |= 1
    zipped[entry["method.jpg"] + 10] = 77
    zipped[entry["sum.jpg"] + 16] ^= 1
    zipped[local["header.jpg"]] ^= 1
    start = local["zlib.jpg"] + 30 + len("zlib.jpg")
    zipped[start : start + 40] = b"\xff" * 40
    path.write_bytes(zipped)

    encrypted, fine, header, method, checksum, zlib = find_photos([path]).photos
    assert contents(fine) == data
    assert "an encrypted one" in error_of(encrypted)
    assert "no member where the directory" in error_of(header)
    assert "compression" in error_of(method)
    for broken in (checksum, zlib):
        with pytest.raises(Exception, match="CRC|decompressing"):
            contents(broken)
        error_of(broken)


def test_a_zip_bomb_is_read_no_further_than_the_limit(tmp_path):
    start = b"\xff\xd8\xff" + bytes(13)  # of a JPEG
    path = write_zip(tmp_path / "bomb.zip", {"1.jpg": start + bytes(80_000_000)})
    assert path.stat().st_size < 100_000
    (photo,) = find_photos([path]).photos
    with photo.open() as opened:
        with pytest.raises(ImageError, match="expected at most 67,"):
            load_image(opened, max_pixels=1000)
        assert sum(map(len, iter(lambda: opened.read(2**20), b""))) > 10_000_000  # the rest


# ---- threads, replaced archives ---------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_eight_threads_read_the_right_bytes(tmp_path, kind):
    noise = random.Random(1)
    files = {f"{i % 7}/{i}.jpg": noise.randbytes(noise.randrange(20_000)) for i in range(200)}
    given = write(kind, tmp_path / f"many.{kind}", files).as_posix()
    photos = find_photos([given]).photos * 4
    with ThreadPoolExecutor(8) as pool:
        for photo, data in zip(photos, pool.map(contents, photos), strict=True):
            assert data == files[photo.path.removeprefix(f"{given}/")]


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_that_changes_meanwhile(tmp_path, kind):
    data = random.Random(0).randbytes(200_000)  # more than is read at a time
    path = write(kind, tmp_path / f"a.{kind}", {f"{i}.jpg": data for i in range(3)})
    first, second, third = find_photos([path]).photos
    with first.open() as opened:
        assert opened.read(10) == data[:10]
        try:
            os.truncate(path, 3000)
        except OSError:
            pytest.skip("this system holds open files fast")
        with pytest.raises(OSError, match="ends in the middle"):
            opened.read()
    assert "changed after" in error_of(second)
    path.unlink()
    assert "No such file" in error_of(third)


# ---- archives that are refused ----------------------------------------------------------------


def test_no_photos(tmp_path):
    for kind in KINDS:
        path = write(kind, tmp_path / f"a.{kind}", {"1.txt": b"", "b.zip": b"", ".c.jpg": b""})
        with pytest.raises(FeaturesError, match="must hold photos.* got 2 files .* named: b.zip"):
            find_photos([path])
        path = write(kind, tmp_path / f"empty.{kind}", {})
        with pytest.raises(FeaturesError, match="must hold photos.* got no files"):
            find_photos([path])


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar", "a.zip", "a.TAR.GZ"])
def test_a_compressed_tar(tmp_path, name):
    tar = write_tar(tmp_path / "plain", {"1.jpg": b"1"}).read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(tar))
    with pytest.raises(FeaturesError, match=rf"{name}: must be .* uncompressed .tar.*unpack it"):
        find_photos([tmp_path / name])


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_archive(tmp_path, kind):
    whole = write(kind, tmp_path / f"a.{kind}", {f"{i}.jpg": b"x" * 600 for i in range(4)})
    data = whole.read_bytes()
    if kind == "tar":  # 4 members of 512 + 1024 bytes, then zeros; also between two of them
        cuts = [0, 100, 511, 512, 600, 1535, 1536, 1537, 4000, 4608, 6143, 6144, 6200, 6655]
    else:
        cuts = [0, 3, 4, 30, len(data) // 2, len(data) - 23, len(data) - 1]
    for cut in cuts:
        path = tmp_path / f"cut{cut}.{kind}"
        path.write_bytes(data[:cut])
        with pytest.raises(FeaturesError, match=rf"cut{cut}\.{kind}: must be an undamaged"):
            find_photos([path])


def test_a_damaged_header_in_the_middle_of_a_tar_is_not_its_end(tmp_path):
    path = write_tar(tmp_path / "a.tar", {f"{i}.jpg": b"x" for i in range(4)})
    data = bytearray(path.read_bytes())
    data[2 * 1024 + 150] ^= 1  # the checksum of the third
    path.write_bytes(data)
    with pytest.raises(FeaturesError, match="a.tar: must be an undamaged .tar"):
        find_photos([path])


def test_a_member_of_negative_size_is_no_endless_loop(tmp_path):
    info = tarfile.TarInfo("1.jpg")
    info.type = b"Z"  # which nobody knows: its data are skipped
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfe\0"  # -512, in base 256: the next one is itself
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "a.tar"
    path.write_bytes(write_tar(tmp_path / "b", {"0.jpg": b""}).read_bytes()[:512])
    with path.open("ab") as file:
        file.write(bytes(header) + bytes(2048))
    with pytest.raises(FeaturesError, match="a.tar: must be an undamaged .tar; .* negative size"):
        find_photos([path])


@pytest.mark.parametrize("kind", KINDS)
def test_any_damage_is_a_typed_error(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    data = write(kind, path, {f"rose/{i}.jpg": bytes([i]) * 50 for i in range(3)}).read_bytes()
    if kind == "tar":
        data = data[:3072]  # without the zeros, in which damage would be rare
    noise = random.Random(2)
    for _ in range(300):
        damaged = bytearray(data + (bytes(1024) if kind == "tar" else b""))
        for _ in range(noise.randrange(1, 5)):
            damaged[noise.randrange(len(data))] = noise.choice((0, 255, noise.randrange(256)))
        path.write_bytes(damaged)
        try:
            photos = find_photos([path]).photos
        except FeaturesError as error:
            assert str(path) in str(error)
            continue
        for photo in photos:
            error_of(photo)  # they never were photos


# ---- real archives ----------------------------------------------------------------------------


def test_flowers17(shared_data):
    path = shared_data / "images/flowers17.zip"
    found = find_photos([path])
    assert found.ignored == 0
    assert Counter(p.label for p in found.photos) == {f"c{i}": 80 for i in range(1, 18)}
    with zipfile.ZipFile(path) as archive:
        names = sorted(archive.namelist(), key=lambda name: name.split("/"))
        assert [p.path for p in found.photos] == [f"{path.as_posix()}/{name}" for name in names]
        for photo, name in list(zip(found.photos, names, strict=True))[::7]:
            assert contents(photo) == archive.read(name)


def test_tricky_photos_give_what_their_bytes_give(shared_data):
    path = shared_data / "images/tricky.zip"
    found = find_photos([path])
    with zipfile.ZipFile(path) as archive:
        assert (len(found.photos), found.ignored) == (len(archive.namelist()) - 1, 1)  # INDEX.tsv
        for photo in found.photos[::9]:
            data = archive.read(photo.path.removeprefix(f"{path.as_posix()}/"))
            assert contents(photo) == data
            try:
                expected = load_image(data, name=photo.path)
            except ImageError as error:
                assert error_of(photo) == str(error)
            else:
                with photo.open() as opened:
                    np.testing.assert_array_equal(load_image(opened), expected)
