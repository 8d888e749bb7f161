"""Feature files: h5py, NumPy, pyarrow, pandas and polars read what decaf writes, and so does decaf.

Damage is noticed by every reader, files of something else are refused, and nothing is left under
the final name when writing fails.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from processes import python

from decaf.errors import FeaturesError
from decaf.features.contents import Features
from decaf.features.files import (
    FORMATS,
    choose_format,
    export,
    load_features,
    write_features,
)
from decaf.features.texts import check_layer_names
from decaf.hdf5 import File
from decaf.hdf5_filters import fletcher32

ODD = "r\udce9sum\udce9/\U0001f339 rose's.jpg"  # two bytes of Latin-1, which are not UTF-8
INFO = {"version": "1.2", "unicode": "Äpfel", "list": [1, 2.5, None, True], "path": "\udce9"}
every_format = pytest.mark.parametrize("kind", FORMATS)


def matrix(rows: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    values = np.random.default_rng((seed, rows, width)).standard_normal((rows, width), np.float32)
    values[:1, :1] = np.nan  # also comes back
    return values


def features(
    matrices: dict[str, NDArray[np.float32]], step: int | None = None, **changes: Any
) -> Features:
    """Features in memory, whose blocks have `step` rows, or 1, 2, 3 ..."""
    rows = len(next(iter(matrices.values())))

    def read(layer: str) -> Iterator[NDArray[np.float32]]:
        start, size = 0, step or 1
        while start < rows:
            yield matrices[layer][start : start + size]
            start, size = start + size, step or size + 1

    arguments = {
        "paths": [f"flowers/{i % 3}/{'x' * (i % 11)}{i}.jpg" for i in range(rows)],
        "labels": [f"class {i % 3}" if i % 3 else "" for i in range(rows)],
        "failed": [("flowers/broken.jpg", "cut off"), (ODD, "too \0 odd")],
        "info": INFO,
        **changes,
    }
    widths = {name: values.shape[1] for name, values in matrices.items()}
    return Features(widths, _read=read, **arguments)


def small(**changes: Any) -> Features:
    matrices = {"relu6": matrix(7, 5), "fire9/concat": matrix(7, 3), "a.npy": matrix(7, 1)}
    paths = [ODD, "", "tail \0", *(f"{i}.jpg" for i in range(4))]
    return features(matrices, **{"paths": paths, **changes})


def same(found: Features, expected: Features, unicode: bool = False) -> None:
    """Everything in two features is the same, bit by bit."""

    def text(value: str, unicode: bool = unicode) -> str:
        value = value.replace("\0", r"\x00")
        return value.encode(errors="backslashreplace").decode() if unicode else value

    assert found.layers == expected.layers
    assert list(found.layers) == list(expected.layers)
    assert len(found) == len(expected)
    assert list(found.paths) == [text(path) for path in expected.paths]
    assert list(found.labels) == [text(label) for label in expected.labels]
    pairs = [(text(path, False), text(reason, False)) for path, reason in expected.failed]
    assert [tuple(text(each, False) for each in pair) for pair in found.failed] == pairs
    assert found.info == expected.info
    for layer in expected.layers:
        assert found[layer].dtype == np.float32
        assert found[layer].tobytes() == expected[layer].tobytes()


def named(path: Path, kind: str) -> Path:
    """Files are told by their contents; only Parquet must have a name of its own."""
    if kind != "parquet" or path.suffix == ".parquet":
        return path
    pytest.importorskip("pyarrow")
    return path.with_name(f"{path.name}.parquet")


def saved(path: Path, kind: str, contents: Features) -> Path:
    path = named(path, kind)
    write_features(path, contents, kind)
    return path


# What is written comes back


@every_format
@pytest.mark.parametrize(
    "contents",
    [
        small(),
        small(failed=[]),
        features({"relu6": matrix(0, 5)}),
        features({"relu6": matrix(0, 100_352)}, failed=[]),
        features({"wide": matrix(3, 300_000), "one": matrix(3, 1)}),
        features({"long": matrix(300_000, 1), "x/y/z": matrix(300_000, 2)}, 70_000),
    ],
    ids=["small", "none failed", "no rows", "no wide rows", "wide", "long"],
)
def test_round_trip(tmp_path: Path, kind: str, contents: Features) -> None:
    path = saved(tmp_path / "features", kind, contents)
    same(load_features(path), contents, unicode=kind == "parquet")
    assert os.listdir(tmp_path) == [path.name]


@every_format
def test_the_same_bytes_however_rows_are_cut(tmp_path: Path, kind: str) -> None:
    matrices = {"relu6": matrix(3000, 257), "fire9/concat": matrix(3000, 31)}
    made = {
        saved(tmp_path / f"{step}", kind, features(matrices, step)).read_bytes()
        for step in (None, 1, 7, 1000, 1024, 3000)
    }
    assert len(made) == 1


@every_format
def test_blocks_are_small_and_can_be_read_side_by_side(tmp_path: Path, kind: str) -> None:
    contents = features({"a": matrix(5000, 200), "b": matrix(5000, 100)}, 999)
    found = load_features(saved(tmp_path / "f", kind, contents))
    parts = list(zip(found.blocks("a"), found.blocks("a"), strict=True))
    assert len(parts) > 2
    assert all(a.nbytes <= 2**20 and np.array_equal(a, b, equal_nan=True) for a, b in parts)
    with pytest.raises(FeaturesError, match="the layer must be one of the file"):
        found["c"]


def test_texts_are_sequences(tmp_path: Path) -> None:
    found = load_features(saved(tmp_path / "f", "h5", small()))
    assert found.paths[0] == ODD and found.paths[-1] == "3.jpg"
    assert list(found.paths[1:3]) == ["", r"tail \x00"]
    assert found.labels == ["", "class 1", "class 2", "", "class 1", "class 2", ""]
    assert found.labels != ["class 1"] * 7 and found.labels != ""
    assert found.failed == [("flowers/broken.jpg", "cut off"), (ODD, r"too \x00 odd")]
    assert found.failed[1:] == [(ODD, r"too \x00 odd")] and found.failed[0][1] == "cut off"
    assert "class 1" in found.labels and found.labels.index("class 2") == 2
    assert "7 texts" in repr(found.labels) and "2 pairs" in repr(found.failed)
    assert np.array_equal(np.unique(np.array(found.labels)), ["", "class 1", "class 2"])


# Others read it


def test_h5py_reads_it(tmp_path: Path) -> None:
    contents = small(paths=[f"Äpfel {i}" for i in range(7)], failed=[("ü", "no"), ("b", "bad")])
    with h5py.File(saved(tmp_path / "f.h5", "h5", contents)) as file:
        assert file.attrs["format"] == "decaf-features"
        assert file.attrs["format_version"] == 1
        assert json.loads(file.attrs["info"]) == INFO
        for layer in contents.layers:
            assert file[layer].dtype == "<f4" and file[layer].fletcher32
            assert file[layer][:].tobytes() == contents[layer].tobytes()
        assert file["paths"].asstr()[:].tolist() == contents.paths
        assert file["labels"].asstr()[:].tolist() == contents.labels
        assert file["failed"].asstr()[:].tolist() == [["ü", "no"], ["b", "bad"]]


def test_h5py_reads_odd_paths_when_told_how(tmp_path: Path) -> None:
    with h5py.File(saved(tmp_path / "f.h5", "h5", small())) as file:
        assert file["paths"].asstr(errors="surrogateescape")[0] == ODD


@pytest.mark.parametrize(("width", "rows"), [(1, 2**18), (1000, 262), (262_145, 1)])
def test_chunks_are_a_mebibyte(tmp_path: Path, width: int, rows: int) -> None:
    contents = features({"x": matrix(rows + 1, width)}, rows)
    with h5py.File(saved(tmp_path / "f.h5", "h5", contents)) as file:
        assert file["x"].chunks == (rows, width)


def test_numpy_reads_it_without_pickle(tmp_path: Path) -> None:
    contents = small(paths=[ODD, *"abcdef"])
    with np.load(saved(tmp_path / "f.npz", "npz", contents), allow_pickle=False) as file:
        assert set(file) == {*contents.layers, "paths", "labels", "failed", "info"}
        for layer in contents.layers:
            assert file[layer].tobytes() == contents[layer].tobytes()
        assert file["paths"].tolist() == contents.paths
        assert file["labels"].tolist() == contents.labels
        assert file["failed"].tolist() == [
            ["flowers/broken.jpg", "cut off"],
            [ODD, r"too \x00 odd"],
        ]
        assert json.loads(str(file["info"])) == INFO


def test_pandas_and_polars_read_it(tmp_path: Path) -> None:
    contents = small(paths=[f"Äpfel {i}" for i in range(7)])
    path = saved(tmp_path / "f.parquet", "parquet", contents)
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    frames = {"pandas": pandas.read_parquet(path), "polars": polars.read_parquet(path)}
    for frame in frames.values():
        assert list(frame.columns) == ["path", "label", *contents.layers]
        assert list(frame["path"]) == contents.paths and list(frame["label"]) == contents.labels
        for layer in contents.layers:
            found = np.array([list(row) for row in frame[layer]], np.float32)
            assert found.tobytes() == contents[layer].tobytes()
    assert frames["polars"].schema["relu6"] == polars.Array(polars.Float32, 5)
    parquet = pytest.importorskip("pyarrow.parquet")
    metadata = json.loads(parquet.read_schema(path).metadata[b"decaf"])
    assert metadata["info"] == INFO and metadata["failed"][0] == ["flowers/broken.jpg", "cut off"]


def test_parquet_has_row_groups(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    contents = features({"x": matrix(40, 2**19), "y": matrix(40, 1)}, 9)
    path = saved(tmp_path / "f.parquet", "parquet", contents)
    file = parquet.ParquetFile(path)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [15, 15, 10]
    file.close()
    same(load_features(path), contents)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FeaturesError, match=r"pip install pyarrow"):
        write_features(tmp_path / "f.parquet", small(), "parquet")
    assert os.listdir(tmp_path) == []


# Damage


def places_of(path: Path, values: bytes, count: int) -> list[int]:
    """Bits of a file where some bytes of it lie."""
    at = path.read_bytes().index(values)
    random = np.random.default_rng(0)
    return [8 * at + int(bit) for bit in random.integers(8 * len(values), size=count)]


def flip(path: Path, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


@every_format
def test_a_flipped_bit_in_a_row_is_noticed(tmp_path: Path, kind: str) -> None:
    contents = small()
    path = saved(tmp_path / "f", kind, contents)
    for bit in places_of(path, contents["relu6"].tobytes(), 40):
        flip(path, bit)
        found = load_features(path)
        found["fire9/concat"]
        with pytest.raises(FeaturesError, match=f"^{path}: relu6: .*(intact|checksum)"):
            found["relu6"]
        if kind == "h5":
            with h5py.File(path) as file, pytest.raises(OSError, match="filter returned failure"):
                file["relu6"][:]
        flip(path, bit)
    same(load_features(path), contents, unicode=kind == "parquet")


@pytest.mark.parametrize("kind", ["h5", "npz"])
def test_no_flipped_bit_gives_wrong_values(tmp_path: Path, kind: str) -> None:
    """Wherever it is: an error, or every value as it was."""
    contents = small()
    path = saved(tmp_path / "f", kind, contents)
    for bit in range(0, 8 * path.stat().st_size, 37):
        flip(path, bit)
        try:
            found = load_features(path)
            for layer in found.layers.keys() & contents.layers.keys():
                assert found[layer].tobytes() == contents[layer].tobytes(), bit
        except FeaturesError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        else:
            assert list(found.paths) == [p.replace("\0", r"\x00") for p in contents.paths]
        flip(path, bit)


@every_format
def test_cut_off_anywhere(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path / "f", kind, features({"x": matrix(3, 2)}))
    whole = path.read_bytes()
    for size in range(0, len(whole), 1 if len(whole) < 4000 else 7):
        path.write_bytes(whole[:size])
        with pytest.raises(FeaturesError, match=f"^{path}: "):
            load_features(path)["x"]
        path.unlink()


@pytest.mark.parametrize("size", [0, 1, 2, 3, 719, 720, 721, 8192, 8194, 20_001])
def test_fletcher32_is_the_librarys(tmp_path: Path, size: int) -> None:
    """What h5py stores behind a chunk; also all ones and all zeros, whose sums carry around."""
    random = np.random.default_rng(0)
    for data in (random.bytes(size), b"\xff" * size, bytes(size), bytes(size)[1:] + b"\1"):
        if not data:
            assert fletcher32(data) == 0
            continue
        with h5py.File(tmp_path / "f.h5", "w") as file:
            values = np.frombuffer(data, np.uint8)
            made = file.create_dataset("x", data=values, chunks=values.shape, fletcher32=True)
            _, stored = made.id.read_direct_chunk((0,))
        assert stored[:-4] == data
        assert fletcher32(data) == int.from_bytes(stored[-4:], "little")


def test_checksums_of_old_libraries(tmp_path: Path) -> None:
    """HDF5 1.6.2 took the bytes of words in the other order; h5py accepts that, and so do we."""
    contents = small()
    path = saved(tmp_path / "f.h5", "h5", contents)
    data = path.read_bytes()
    values = contents["relu6"].tobytes()
    at = data.index(values) + len(values)
    a, b, c, d = data[at : at + 4]
    path.unlink()
    path.write_bytes(data[:at] + bytes([b, a, d, c]) + data[at + 4 :])
    assert load_features(path)["relu6"].tobytes() == values
    with h5py.File(path) as file:
        assert file["relu6"][:].tobytes() == values
    path.unlink()
    path.write_bytes(data[:at] + bytes([d, c, b, a]) + data[at + 4 :])
    with pytest.raises(FeaturesError, match="checksum"):
        load_features(path)["relu6"]


# Other files, and hostile ones


def test_rows_of_other_layouts(tmp_path: Path) -> None:
    """h5repack may store a dataset in one piece, or in narrow chunks."""
    path, values = saved(tmp_path / "f.h5", "h5", small()), small()["relu6"]
    with h5py.File(path, "r+") as file:
        del file["relu6"]
        file["relu6"] = values
    assert load_features(path)["relu6"].tobytes() == values.tobytes()
    with h5py.File(path, "r+") as file:
        del file["relu6"]
        file.create_dataset("relu6", data=values, chunks=(2, 2), fletcher32=True)
    with pytest.raises(FeaturesError, match="relu6: chunks must be of whole rows"):
        load_features(path)["relu6"]


def replaced(name: str, **options: Any) -> Any:
    def change(file: h5py.File) -> None:
        del file[name]
        if options:
            file.create_dataset(name, **options)

    return change


def attribute(name: str, value: Any) -> Any:
    return lambda file: file.attrs.__setitem__(name, value)


REFUSED = {
    "weights": (attribute("format", "decaf-weights"), "got the weights of a network"),
    "other HDF5": (lambda f: f.attrs.__delitem__("format"), "got some other HDF5 file"),
    "another format": (attribute("format", "x"), "must be decaf-features; got 'x'"),
    "two formats": (attribute("format", ["x", "y"]), "must be one string; got 2"),
    "version": (attribute("format_version", 2), "must be 1; got 2: another version"),
    "no version": (lambda f: f.attrs.__delitem__("format_version"), "must be 1; got None"),
    "info": (attribute("info", "[]"), "info must be a dictionary"),
    "infinity": (attribute("info", '{"a": 1e999}'), "info must be valid JSON"),
    "deep info": (attribute("info", "[" * 100_000), "info must be valid JSON"),
    "no layers": (attribute("layers", '{"layers": []}'), "layers must be at least one"),
    "layers": (attribute("layers", '{"layers": "abc"}'), "layers must be a list"),
    "numbers": (attribute("layers", '{"layers": [1]}'), "the name of a layer must be a str"),
    "missing": (attribute("layers", '{"layers": ["fc"]}'), "fc: must be a dataset; got nothing"),
    "group": (attribute("layers", '{"layers": ["fire9"]}'), "must be a dataset; got a group"),
    "through a dataset": (attribute("layers", '{"layers": ["relu6/x"]}'), "got nothing"),
    "soft link": (
        lambda f: (f.__delitem__("relu6"), f.__setitem__("relu6", h5py.SoftLink("/paths"))),
        "relu6: must be a dataset; got a link (soft)",
    ),
    "double": (replaced("relu6", data=np.zeros((7, 5))), "must be a matrix of float32"),
    "half": (replaced("relu6", data=np.zeros((7, 5), "f2")), "matrix of float32; got float16"),
    "axes": (replaced("relu6", data=np.zeros(7, "f4")), "must be a matrix of float32"),
    "rows": (replaced("relu6", data=np.zeros((6, 5), "f4")), "a row for each of 7 paths; got 6"),
    "gzip": (
        replaced("relu6", data=np.zeros((7, 5), "f4"), compression="gzip"),
        "filters must be none, or fletcher32 once; got gzip",
    ),
    "no labels": (replaced("labels"), "labels: must be a dataset; got nothing"),
    "few labels": (replaced("labels", data=np.array([b"a"] * 6)), "labels must be 7"),
    "variable": (replaced("labels", data=["a"] * 7), "strings of one length"),
    "numbers as paths": (replaced("paths", data=np.zeros(7)), "strings of one length"),
    "failed": (replaced("failed", data=np.array([b"a"] * 6)), "strings of one length and 2 axes"),
    "triples": (replaced("failed", data=np.full((2, 3), b"a")), "strings of one length"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED)
def test_refused(tmp_path: Path, change: Any, said: str) -> None:
    path = saved(tmp_path / "f.h5", "h5", small())
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(FeaturesError) as caught:
        load_features(path)
    assert str(caught.value).startswith(f"{path}: ") and said in str(caught.value)


def test_chunks_that_share_their_bytes(tmp_path: Path) -> None:
    """Else few bytes of a file stand for many of memory."""
    path = saved(tmp_path / "f.h5", "h5", features({"x": matrix(4 * 1024, 256)}, 1024))
    data = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        offsets = [file["x"].id.get_chunk_info(i).byte_offset for i in range(4)]
    for offset in offsets[1:]:
        at = data.index(struct.pack("<Q", offset))
        data[at : at + 8] = struct.pack("<Q", offsets[0])
    whole = data[: len(data) - 2 * 2**20]  # and cut, so that their sum is more than the file
    end = bytes(data).index(struct.pack("<Q", len(data)))
    whole[end : end + 8] = struct.pack("<Q", len(whole))
    path.unlink()
    path.write_bytes(whole)
    with pytest.raises(FeaturesError, match="must not share their bytes|must hold all"):
        load_features(path)


def test_things_that_are_no_feature_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", x=np.zeros(3))
    np.savez_compressed(tmp_path / "packed.npz", **dict.fromkeys(
        ["paths", "labels", "failed", "info", "x"], np.zeros(9)
    ))  # fmt: skip
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "f.parquet").write_bytes(b"PAR1")
    (tmp_path / "parquet.h5").write_bytes(b"PAR1")
    (tmp_path / "journal").write_bytes(b"decaf-journal 1\n")
    for name, said in {
        "arrays.npz": "must be a feature file, with a member failed.npy",
        "packed.npz": "must be stored as it is",
        "text": "must be a feature file, HDF5, .npz or Parquet; got b'hello'",
        "empty": "must not be empty",
        "f.parquet": "Parquet",
        "parquet.h5": "a Parquet file must be named .parquet; got another name",
        "journal": "not finished: resume it",
        "missing": "must be a feature file; got no such file",
        ".": "got a folder",
        "a\0b": "a feature file",
    }.items():
        with pytest.raises(FeaturesError) as caught:
            load_features(tmp_path / name)
        assert said in str(caught.value) and str(caught.value).count(str(tmp_path)) == 1


def test_numbers_that_are_no_characters(tmp_path: Path) -> None:
    """Python cannot make a str of them; they must not come up when a path is asked for."""
    path = tmp_path / "f.npz"
    paths = np.array([0x41, 0x110000], "<u4").view("<U1")
    texts = {"paths": paths, "labels": np.array(["a", "b"]), "info": np.array("{}")}
    np.savez(path, x=matrix(2, 1), failed=np.empty((0, 2), "U1"), **texts)
    with pytest.raises(FeaturesError, match="paths must be characters; got number 1,114,112"):
        load_features(path)
    np.savez(
        path, x=matrix(2, 1), failed=np.empty((0, 2), "U1"), **texts | {"paths": paths[[0, 0]]}
    )
    assert load_features(path).paths == ["A", "A"]


def test_other_parquet_files(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = saved(tmp_path / "f", "parquet", small())
    table = parquet.read_table(path)
    kept = table.schema.metadata
    for changed, said in (
        (table.replace_schema_metadata({}), "some other Parquet file"),
        (table.replace_schema_metadata({b"decaf": b"{}"}), "must be decaf-features"),
        (table.drop_columns(["path"]), "must start with path and label"),
        (table.append_column("n", pa.array(range(7))), "n: must be lists of float32"),
    ):
        parquet.write_table(changed, path)
        with pytest.raises(FeaturesError, match=said):
            load_features(path)
    values = pa.array([[1.0] * 5] * 6 + [None], pa.list_(pa.float32(), 5))
    changed = table.set_column(2, "relu6", values).replace_schema_metadata(kept)
    parquet.write_table(changed, path)
    with pytest.raises(FeaturesError, match="must be numbers; got nulls"):
        load_features(path)["relu6"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "at least one"),
        (["a", "a"], "must be different"),
        (["paths"], "none that feature files use"),
        (["label"], "none that feature files use"),
        (["info/x"], "none that feature files use"),
        (["a", "b", "a/b"], "must not lie inside others"),
        (["a/b/c", "a"], "must not lie inside others"),
        (["a//b"], "single '/'"),
        (["/a"], "single '/'"),
        (["a/"], "single '/'"),
        (["."], "single '/'"),
        (["a/../b"], "single '/'"),
        ([""], "single '/'"),
        (["a\0b"], "printable"),
        (["a\\b"], "printable"),
        (["\udcff"], "printable"),
        (["x" * 1001], "at most 1,000 bytes"),
        ([3], "must be a str"),
        (["C:/a"], "without a ':' at their end"),
        (["a/b:"], "without a ':' at their end"),
        (["a/" * 16 + "a"], "at most 16 parts"),
        ([f"a{n}" for n in range(1001)], "at most 1,000; got 1,001"),
    ],
)  # fmt: skip
@every_format
def test_names_that_no_file_can_hold(
    tmp_path: Path, names: list[Any], said: str, kind: str
) -> None:
    with pytest.raises(FeaturesError, match=said):
        check_layer_names(names)
    if len(set(names)) == len(names) and names:
        with pytest.raises(FeaturesError, match=said):
            saved(tmp_path / "f", kind, features({n: matrix(2, 2) for n in names}))
    assert os.listdir(tmp_path) == []


def test_names_that_are_fine() -> None:
    check_layer_names(
        ["relu6", "fire9/concat", "fire9/relu", "a.npy", "ünï", "x y", "info6", "relu:0"]
    )
    check_layer_names([f"{'a/' * 15}{n}" for n in range(1000)])


# Writing


@every_format
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": ["a"]}, "labels must be 7; got 1"),
        ({"paths": ["a"] * 6}, "must be [67]"),
        ({"info": {"x": float("nan")}}, "JSON can hold"),
        ({"info": {"x": object()}}, "JSON can hold"),
        ({"info": {"x": "y" * 2**20}}, "at most 524,288 bytes"),
    ],
)
def test_not_written(tmp_path: Path, kind: str, changes: dict[str, Any], said: str) -> None:
    path = named(tmp_path / "f", kind)
    path.write_bytes(b"before")
    if kind == "parquet" and "y" in str(changes):
        pytest.skip("its metadata may be longer")
    with pytest.raises(FeaturesError, match=said):
        write_features(path, small(**changes), kind)
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == [path.name]


@every_format
@pytest.mark.parametrize("change", ["few rows", "many rows", "narrow", "double", "an error"])
def test_rows_that_do_not_fit(tmp_path: Path, kind: str, change: str) -> None:
    contents = small()

    def read(layer: str) -> Iterator[Any]:
        values = contents[layer]
        yield values[:-1] if change == "few rows" else values
        if change == "an error":
            raise FeaturesError("the journal is damaged")
        if change == "many rows":
            yield values
        if change == "narrow":
            yield values[:, :-1]
        if change == "double":
            yield values.astype(float)

    wrong = Features(
        contents.layers, contents.paths, contents.labels, contents.failed, contents.info, read
    )
    with pytest.raises(FeaturesError, match="rows must be|journal is damaged"):
        saved(tmp_path / "f", kind, wrong)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs limits of Linux")
@every_format
def test_a_full_disk(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path / "f", kind, features({"x": matrix(2000, 300)}, 100))
    size = path.stat().st_size
    path.write_bytes(b"before")
    code = """if True:
        import resource, signal, sys
        from decaf.errors import FeaturesError
        from decaf.features.files import load_features, write_features
        import numpy as np
        from decaf.features.contents import Features
        matrix = np.zeros((2000, 300), np.float32)
        contents = Features({"x": 300}, ["p"] * 2000, ["l"] * 2000, [], {},
                            lambda layer: iter([matrix]))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        for size in map(int, sys.argv[3:]):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            try:
                write_features(sys.argv[1], contents, sys.argv[2])
            except FeaturesError as error:
                print(error)
    """
    sizes = [0, 1, 100, 2000, size // 3, size // 2, 2_390_000, 10 * size]
    done = python("-c", code, str(path), kind, *map(str, sizes))
    said = done.stdout.decode().splitlines()
    assert done.returncode == 0, done.stderr
    assert len(said) == 7 and all("must be a place to write to" in line for line in said)
    assert not done.stderr and os.listdir(tmp_path) == [path.name]
    assert len(load_features(path)) == 2000  # the last one had room


def test_formats_by_name() -> None:
    for name, expected in {
        "a.h5": "h5", "a.HDF5": "h5", "b.npz": "npz", "x/c.parquet": "parquet",
    }.items():  # fmt: skip
        assert choose_format(name) == expected
        assert choose_format(Path(name), "npz") == "npz"
    with pytest.raises(FeaturesError, match=r"a\.csv: must end with .h5, .hdf5, .npz, .parquet"):
        choose_format("a.csv")
    with pytest.raises(FeaturesError, match="the format must be h5, npz, parquet; got 'csv'"):
        choose_format("a.h5", "csv")
    with pytest.raises(FeaturesError, match=r"^a\.h5: must end with \.parquet"):
        choose_format("a.h5", "parquet")  # it could not be read again


@pytest.mark.parametrize("via", FORMATS)
@every_format
def test_export(tmp_path: Path, kind: str, via: str) -> None:
    """Any format to any other, and back to the very bytes."""
    contents = small(paths=list("abcdefg"), failed=[("x", "y")])
    source = saved(tmp_path / "a", kind, contents)
    expected = saved(tmp_path / "b", via, contents)
    target = named(tmp_path / "c", via)
    export(source, target, via)
    assert target.read_bytes() == expected.read_bytes()
    with pytest.raises(FeaturesError, match=f"^{target}: must not exist"):
        export(source, target, via)
    with pytest.raises(FeaturesError, match="must be a place to write to"):
        export(source, named(tmp_path / "none" / "c", via), via)


def test_what_appears_while_a_file_is_written_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    contents = small()

    def read(layer: str) -> Iterator[Any]:
        path.write_bytes(b"of the user")
        yield contents[layer]

    late = Features(
        contents.layers, contents.paths, contents.labels, contents.failed, contents.info, read
    )
    with pytest.raises(FeaturesError, match=f"^{path}: must not exist; got a file that appeared"):
        write_features(path, late, "h5", replace=False)
    assert path.read_bytes() == b"of the user" and os.listdir(tmp_path) == ["f.h5"]


def test_a_temporary_file_of_others_is_kept(tmp_path: Path) -> None:
    """Not written into, not removed; nor is what a link there leads to."""
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "link").symlink_to("precious")
    for name in ("precious", "link"):
        with pytest.raises(FeaturesError, match=f"{name}: must not exist"):
            write_features(tmp_path / "f.h5", small(), "h5", tmp_path / name)
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["link", "precious"]


@pytest.mark.parametrize("kind", ["h5", "npz"])
@pytest.mark.parametrize("name", ["paths", "labels", "failed"])
def test_texts_that_all_others_would_be_filled_up_to(tmp_path: Path, kind: str, name: str) -> None:
    def changed(length: int) -> Features:
        text = "x" * length
        return small(**{name: [("a", text)] if name == "failed" else [text, *"abcdef"]})

    path = saved(tmp_path / "f", kind, changed(2**16))
    same(load_features(path), changed(2**16))
    with pytest.raises(FeaturesError, match=f"{name} must be at most 65,536 bytes; got 65,537"):
        saved(path, kind, changed(2**16 + 1))


def test_many_links_to_one_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read once, whatever leads to it; else a small file takes long."""
    path = saved(tmp_path / "f.h5", "h5", features({"x": matrix(0, 3)}, failed=[]))
    names = [f"x{i}" for i in range(200)]
    with h5py.File(path, "r+") as file:
        for name in names:
            file[name] = file["x"]
        file.attrs["layers"] = json.dumps({"layers": names})
    monkeypatch.setattr("decaf.hdf5.MOST_ITEMS", 600)
    assert list(load_features(path).layers) == names


def test_long_names_of_attributes(tmp_path: Path) -> None:
    path = saved(tmp_path / "f.h5", "h5", small())
    with h5py.File(path, "r+") as file:
        file["relu6"].attrs["x" * 1023] = 1
    load_features(path)
    with h5py.File(path, "r+") as file:
        file["relu6"].attrs["x" * 1024] = 1
    with pytest.raises(FeaturesError, match="names of attributes must be at most 1,024 bytes"):
        load_features(path)


def test_headers_that_overlap_count_by_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "f.h5", "h5", small())
    with h5py.File(path, "r+") as file:
        file["relu6"].attrs["long"] = np.bytes_(b"x" * 60_000)
    monkeypatch.setattr("decaf.hdf5.MOST_ITEMS", 150)
    load_features(path)
    monkeypatch.setattr("decaf.hdf5.MOST_ITEMS", 130)
    with pytest.raises(FeaturesError, match="links, messages and chunks"):
        load_features(path)


@pytest.mark.parametrize(
    ("name", "descr", "shape"),
    [
        ("failed", "<U536870911", "(0, 999999999999999)"),
        ("x", "<f4", "(0, 999999999999999)"),
        ("x", "<U536870911", "(999999999999999, 0)"),
    ],
)
def test_shapes_that_numpy_cannot_make(tmp_path: Path, name: str, descr: str, shape: str) -> None:
    path = saved(tmp_path / "f.npz", "npz", features({"x": matrix(2, 1)}, failed=[]))
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    members[f"{name}.npy"] = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    with pytest.raises(FeaturesError, match=f"^{path}: {name}: axes must be at most"):
        load_features(path)


def test_a_weights_file_keeps_its_rules(tmp_path: Path) -> None:
    """Checksums and datasets of no rows are for feature files alone."""
    path = saved(tmp_path / "f.h5", "h5", features({"x": matrix(0, 3)}, failed=[]))
    file = File(path.read_bytes())
    with pytest.raises(Exception, match="bytes in the file; got none"):
        file.node(file.node(file.root).links["x"])  # type: ignore[index, arg-type]


def test_a_hundred_thousand_paths_are_cheap(tmp_path: Path) -> None:
    count = 100_000
    contents = features({"x": matrix(count, 1)}, 50_000, failed=[("a", "b")] * 1000)
    path = saved(tmp_path / "f.h5", "h5", contents)
    assert path.stat().st_size < 50 * count
    found = load_features(path)
    assert list(found.paths) == contents.paths and found.labels[-1] == contents.labels[-1]


def test_more_chunks_than_a_weights_file_may_have_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget that grows with the file: each chunk is large."""
    monkeypatch.setattr("decaf.hdf5.MOST_ITEMS", 90)
    path = saved(tmp_path / "f.h5", "h5", features({"x": matrix(64, 2**18)}, 4))
    assert sum(len(block) for block in load_features(path).blocks("x")) == 64
    with pytest.raises(FeaturesError, match="links, messages and chunks"):
        path = saved(tmp_path / "g.h5", "h5", features({f"x{i}": matrix(1, 1) for i in range(40)}))
        load_features(path)
