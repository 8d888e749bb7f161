"""Archives of arrays: NumPy writes and decaf reads, and the other way round; then hostile ones."""

from __future__ import annotations

import io
import mmap
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from decaf.errors import DecafError, WeightsError
from decaf.files import replacing
from decaf.formats import npy, npz
from tests.support import cases, normal

DTYPES = ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8", "<i4", ">i8", "|u1", "|i1", "<u2"]


def saved(save: Callable[..., None] = np.savez, **arrays: Any) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def npy_bytes(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), **options)
    return file.getvalue()


def header(text: str, values: bytes = b"", version: int = 1) -> bytes:
    """A .npy with a header of one's own."""
    size = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + text.encode("latin-1") + values


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a name stands twice
        for name, contents in members:
            archive.writestr(zipfile.ZipInfo(name), contents, method)
    return file.getvalue()


def assert_same(found: dict[str, Any], want: dict[str, Any]) -> None:
    assert list(found) == list(want)
    for name, array in found.items():
        assert array.dtype == want[name].dtype
        assert not array.flags.writeable
        np.testing.assert_array_equal(array, want[name])
        assert array.shape == want[name].shape


# One array


@cases
@hypothesis.given(
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(1, 4), max_size=5).map(tuple),
    order=st.sampled_from("CF"),
    version=st.sampled_from([(1, 0), (2, 0), (3, 0)]),
)
def test_npy_of_numpy(dtype: str, shape: tuple[int, ...], order: Any, version: Any) -> None:
    want = np.array(100 * normal(*shape, dtype=np.float64), order=order).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that old programs do not read version 3
        raw = npy_bytes(want, version=version)
    got = npy.array(b"before" + raw + b"after", 6, len(raw))
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    np.testing.assert_array_equal(got, want)


def test_npy_header_in_other_words() -> None:
    """Keys in another order, no spaces, no comma at the end, Python 2's long numbers."""
    text = "{'shape':(2L, 1L),'descr' : '<f4', 'fortran_order':False}"
    np.testing.assert_array_equal(npy.array(header(text, bytes(8))), np.zeros((2, 1), "<f4"))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "must be a .npy"),
        (b"\x93NUMPX" + bytes(100), "must be a .npy"),
        (header("{}", version=4), "version"),
        (b"\x93NUMPY\1\0\xff\xff{", "must end by"),
        (b"\x93NUMPY\2\0" + struct.pack("<L", 2**31) + bytes(100), "at most 65,536"),
        (header("{}"), "a dictionary of"),
        (header("[" * 60_000), "a dictionary of"),
        (header("{'descr': '<f4', 'fortran_order': False, 'descr': '<f4'}"), "a dictionary of"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} + f()"), "a dictionary"),
        (header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", bytes(8)), "floats or"),
        (header("{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}", bytes(16)), "floats"),
        (header("{'descr': '<f4', 'fortran_order': (1,), 'shape': (1,)}", bytes(4)), "order of"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}", bytes(4)), "a tuple"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}"), "at least 1"),
        (header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'1,' * 33})}}", bytes(4)),
         "at most 32"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (9" + 17 * "9" + ",)}"),
         "must fill its file"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", bytes(9)), "fill"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", bytes(7)), "fill"),
    ],
)  # fmt: skip
def test_npy_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        npy.array(raw)


# Archives


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archive_of_numpy(save: Callable[..., None]) -> None:
    want = {
        "conv1/weight": normal(4, 3, 2, 2),
        "conv1.bias": normal(4, dtype=">f8"),
        "grün": np.asfortranarray(normal(3, 5, dtype="<f2")),
        "steps": np.array(7),
    }
    assert_same(npz.tensors(saved(save, **want)), want)


def test_stored_arrays_are_views(tmp_path: Path) -> None:
    want = {"a": normal(50_000), "b": normal(3)}
    np.savez(tmp_path / "x.npz", **want)
    with open(tmp_path / "x.npz", "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    found = npz.tensors(data)
    assert_same(found, want)
    whole = np.frombuffer(data, np.uint8)
    assert all(np.shares_memory(array, whole) for array in found.values())


def test_an_archive_without_seeking_and_with_a_comment() -> None:
    """A writer that cannot go back puts sizes behind the contents."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    file = Pipe()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", npy_bytes(np.arange(5.0)))
        archive.comment = b"a comment"
    assert_same(npz.tensors(file.getvalue()), {"a": np.arange(5.0)})


def test_what_is_written_numpy_reads(tmp_path: Path) -> None:
    want = {"conv1/weight": normal(4, 3, 2, 2), "conv1/bias": normal(4, dtype="<f2")}
    path = tmp_path / "x.npz"
    npz.write(path, want)
    with np.load(path, allow_pickle=False) as found:
        assert list(found) == list(want)
        for name, array in want.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)
    assert_same(npz.tensors(path.read_bytes()), want)
    first = path.read_bytes()
    npz.write(path, want)
    assert path.read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == ["x.npz"]


def test_writing_fails_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(b"before")
    with pytest.raises(WeightsError, match="b: must be an array of numbers"):
        npz.write(path, {"a": normal(1000), "b": np.array([object()])})
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["x.npz"]
    with pytest.raises(WeightsError, match="must be a place to write"):
        npz.write(tmp_path / "none" / "x.npz", {"a": normal(3)})


def test_replacing_follows_a_link_and_leaves_nothing_behind(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("no symbolic links here")
    with pytest.raises(KeyError), replacing(link) as file:
        file.write(b"half")
        raise KeyError
    assert target.read_bytes() == b"old"
    with replacing(link) as file:
        file.write(b"new")
        assert target.read_bytes() == b"old"
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 2


# Hostile archives


def directory_at(raw: bytes) -> int:
    return raw.index(b"PK\1\2")


def patched(raw: bytes, at: int, new: bytes) -> bytes:
    return raw[:at] + new + raw[at + len(new) :]


def test_refused_archives() -> None:
    one = npy_bytes(np.arange(3.0))
    good = zipped(("a.npy", one))
    directory = directory_at(good)
    assert_same(npz.tensors(good), {"a": np.arange(3.0)})
    for raw, reason in [
        (b"", "end record"),
        (one, "end record"),
        (good + b"x", "end with its comment"),
        (b"x" + good, "must end at its end record"),
        (zipped(("a.npy", one), ("a.npy", one)), "different names"),
        (zipped(("a.txt", one)), "must be arrays"),
        (zipped(("a.npy", b"text")), "'a.npy': an array must be a .npy"),
        (zipped(("a.npy", npy_bytes(np.array([{}]), allow_pickle=True))), "floats or integers"),
        (zipped(("a.npy", one), method=zipfile.ZIP_BZIP2), "stored or deflated"),
        (patched(good, directory + 8, b"\1"), "in the clear"),
        (patched(good, good.index(b"a.npy"), b"b"), "what the directory says"),
        (patched(good, 30 + 5 + len(one) - 1, b"\1"), "checksum"),
        (patched(good, directory + 42, b"\1"), "local header"),
        (patched(good, len(good) - 22 + 4, b"\1"), "one part"),
        (patched(good, len(good) - 22 + 10, b"\2"), "one part"),
        (patched(good, len(good) - 22 + 8, b"\2\0\2"), "must end by"),
        (patched(good, len(good) - 22 + 8, b"\0\0\0"), "end with its last member"),
        (patched(patched(good, 18, b"\xff" * 4), directory + 20, b"\xff" * 4), "zip64"),
    ]:
        with pytest.raises(WeightsError, match=reason):
            npz.tensors(raw)


def test_members_are_a_hundred_thousand_at_most() -> None:
    """Each takes memory, also if it holds nothing; the count stands in the end record."""
    directory = b"PK\1\2" + bytes(42)
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *(0xFFFF,) * 2, *(2**32 - 1,) * 2, 0)
    for count, reason in ((100_001, "at most 100,000 members; got 100,001"),
                          (100_000, "local header")):  # fmt: skip
        wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 20, 20, 0, 0, count, count,
                           len(directory), 0)  # fmt: skip
        pointer = struct.pack("<4sLQL", b"PK\6\7", 0, len(directory), 1)
        with pytest.raises(WeightsError, match=reason):
            npz.tensors(directory + wide + pointer + tail)


def test_members_may_not_overlap() -> None:
    """Two records of the directory, one stretch of the file: the core of a quine or a bomb."""
    inner = zipped(("b.npy", npy_bytes(np.arange(3.0))))
    inner = inner[: directory_at(inner)]  # a local header and its contents, once more
    raw = zipped(("a.npy", inner))
    directory, end = directory_at(raw), len(raw) - 22
    record = bytearray(raw[directory:end])
    second = record.replace(b"a.npy", b"b.npy")
    second[16:28] = inner[14:26]  # checksum and sizes of the inner one
    second[42:46] = struct.pack("<L", 30 + 5)
    both = bytes(record + second)
    tail = bytearray(raw[end:])
    tail[8:16] = struct.pack("<2HL", 2, 2, len(both))
    with pytest.raises(WeightsError, match="overlap"):
        npz.tensors(raw[:directory] + both + bytes(tail))


def test_bombs() -> None:
    zeros = npy_bytes(np.zeros(2**25, "<f4"))  # 128 MB in 130 KB
    with pytest.raises(WeightsError, match="many times as large"):
        npz.tensors(zipped(("a.npy", zeros), method=zipfile.ZIP_DEFLATED))
    raw = zipped(("a.npy", npy_bytes(np.zeros(2**18, "<f4"))), method=zipfile.ZIP_DEFLATED)
    assert npz.tensors(raw)["a"].shape == (2**18,)
    for claimed, reason in [(2**20, "must end where"), (2**20 + 128 + 1, "size and checksum"),
                            (2**30, "than deflate can")]:  # fmt: skip
        size = struct.pack("<L", claimed)
        lie = patched(patched(raw, 22, size), directory_at(raw) + 24, size)
        with pytest.raises(WeightsError, match=reason):
            npz.tensors(lie)


def test_contents_that_end_early_or_late() -> None:
    one = npy_bytes(np.arange(300.0))
    squeeze = zlib.compressobj(wbits=-15)
    packed = squeeze.compress(one) + squeeze.flush()
    raw = zipped(("a.npy", one), method=zipfile.ZIP_DEFLATED)
    assert packed in raw
    longer = raw.replace(packed, packed + b"\0")
    size = struct.pack("<L", len(packed) + 1)
    longer = patched(patched(longer, 18, size), directory_at(longer) + 20, size)
    end = len(longer) - 22
    longer = patched(longer, end + 16, struct.pack("<L", directory_at(longer)))
    with pytest.raises(WeightsError, match="must end where"):
        npz.tensors(longer)


SMALL = {"a": np.arange(6.0).reshape(2, 3), "b": np.ones(3, "<f2")}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_cut_anywhere(save: Callable[..., None]) -> None:
    raw = saved(save, **SMALL)
    for size in range(len(raw)):
        with pytest.raises(WeightsError):
            npz.tensors(raw[:size])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_flipped_bits(save: Callable[..., None]) -> None:
    """Either an error, or the same values: checksums guard them, and the rest is notes."""
    raw = bytearray(saved(save, **SMALL))
    for bit in range(8 * len(raw)):
        raw[bit // 8] ^= 1 << bit % 8
        try:
            found = npz.tensors(bytes(raw))
        except DecafError:
            pass
        else:
            assert list(found) == list(SMALL)
            for name, array in SMALL.items():
                np.testing.assert_array_equal(found[name], array)
        raw[bit // 8] ^= 1 << bit % 8


@cases
@hypothesis.given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=8)), max_size=9)
)
def test_spliced_bytes(edits: list[tuple[int, bytes]]) -> None:
    raw = saved(**SMALL)
    for at, new in edits:
        raw = patched(raw, at % len(raw), new)
    try:
        npz.tensors(raw)
    except DecafError:
        pass
