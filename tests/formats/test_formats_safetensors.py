"""safetensors in and out: the package as the oracle, then hostile files."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from decaf.architectures import bvlc_alexnet, caffenet, squeezenet1_1
from decaf.errors import DecafError, WeightsError
from decaf.formats import safetensors
from decaf.formats.notes import from_strings
from decaf.formats.read import read, read_with_notes
from decaf.formats.state_dict import torch_names
from decaf.specs import Architecture
from tests import tiny
from tests.support import cases, normal

DTYPES = ["<f2", "<f4", "<f8", "<i8", "<i4", "<i2", "|i1", "<u8", "<u4", "<u2", "|u1"]


def built(header: Any, values: bytes = b"") -> bytes:
    """A file with a header of one's own."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + values


def one(
    dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8), **more: Any
) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


def random_parameters(architecture: Architecture) -> dict[str, np.ndarray]:
    return {name: normal(*shape) for name, shape in architecture.parameter_shapes.items()}


# In


@cases
@hypothesis.given(
    st.lists(
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(1, 4), max_size=4).map(tuple)),
        max_size=5,
    )
)
def test_files_of_the_package(kinds: list[tuple[str, tuple[int, ...]]]) -> None:
    oracle = pytest.importorskip("safetensors.numpy")
    want = {
        f"grün.{i}": np.asarray(100 * normal(*shape, dtype=np.float64)).astype(dtype)
        for i, (dtype, shape) in enumerate(kinds)
    }
    raw = oracle.save(want, {"format": "pt", "note": "ü"})
    found = safetensors.tensors(raw)
    assert found.keys() == want.keys()
    for name, array in found.items():
        assert (array.dtype, array.shape) == (want[name].dtype, want[name].shape)
        assert not array.flags.writeable
        np.testing.assert_array_equal(array, want[name])
    assert safetensors.metadata(raw) == {"format": "pt", "note": "ü"}


def test_bfloat16() -> None:
    raw = built({"a": one("BF16", [2, 2])}, bytes.fromhex("803f 40c0 0000 807f".replace(" ", "")))
    found = safetensors.tensors(raw)["a"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[1, -3], [0, np.inf]])


def test_tensors_are_views(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.write(path, tiny.ARCHITECTURE, tiny.parameters())
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    whole = np.frombuffer(data, np.uint8)
    for array in safetensors.tensors(data).values():
        assert np.shares_memory(array, whole)


def test_order_and_padding_are_free() -> None:
    header = {"b": one(offsets=[8, 16]), "a": one()}
    values = np.arange(4, dtype="<f4")
    for text in (json.dumps(header), json.dumps(header) + "   ", json.dumps(header, indent=3)):
        found = safetensors.tensors(built(text.encode(), values.tobytes()))
        np.testing.assert_array_equal(found["a"], [0, 1])
        np.testing.assert_array_equal(found["b"], [2, 3])


# Out, and back


@pytest.mark.parametrize("dtype", ["<f4", "<f2", ">f8"])
def test_there_and_back(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "x.safetensors"
    p = {name: array.astype(dtype) for name, array in tiny.parameters().items()}
    notes: dict[str, Any] = {"preprocessing": tiny.PREPROCESSING, "labels": tiny.LABELS}
    safetensors.write(path, tiny.ARCHITECTURE, p, **notes, label_ids=list("abcde"))
    raw = path.read_bytes()
    told = read_with_notes(path)
    found = told.model
    assert found.architecture == tiny.ARCHITECTURE
    assert found.preprocessing == tiny.PREPROCESSING
    assert found.parameters.keys() == p.keys()
    for name, array in found.parameters.items():
        assert array.dtype == np.dtype(dtype).newbyteorder("<")
        np.testing.assert_array_equal(array, p[name])
    assert (told.notes.labels, told.notes.label_ids) == (tiny.LABELS, tuple("abcde"))
    safetensors.write(path, tiny.ARCHITECTURE, p, **notes, label_ids=list("abcde"))
    assert path.read_bytes() == raw
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_the_package_reads_what_is_written(tmp_path: Path) -> None:
    """Under torchvision's names, so that torch can load it."""
    oracle = pytest.importorskip("safetensors.numpy")
    architecture = squeezenet1_1(7)
    p = random_parameters(architecture)
    safetensors.write(tmp_path / "x.safetensors", architecture, p)
    found = oracle.load_file(tmp_path / "x.safetensors")
    names = torch_names(architecture)
    assert found.keys() == set(names.values())
    assert "features.12.expand3x3.weight" in found
    for ours, theirs in names.items():
        np.testing.assert_array_equal(found[theirs], p[ours])


def test_notes_tell_what_names_do_not(tmp_path: Path) -> None:
    """CaffeNet and BVLC's AlexNet have the same parameters."""
    small = dict.fromkeys(caffenet(3).parameter_shapes, np.float16(0))
    shapes = caffenet(3).parameter_shapes
    p = {name: np.broadcast_to(zero, shapes[name]) for name, zero in small.items()}
    for build in (caffenet, bvlc_alexnet):
        safetensors.write(tmp_path / "x.safetensors", build(3), p)
        assert read(tmp_path / "x.safetensors").architecture == build(3)


def test_writing_fails_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    p = tiny.parameters()
    with pytest.raises(WeightsError, match="labels: must be one string for each of 5"):
        safetensors.write(path, tiny.ARCHITECTURE, p, labels=["one"])
    with pytest.raises(WeightsError, match="place to write"):
        safetensors.write(tmp_path / "none" / "x", tiny.ARCHITECTURE, p)
    p["fc6/bias"] = p["fc6/bias"].astype(np.int32)
    with pytest.raises(WeightsError, match="fc6/bias: must be floats"):
        safetensors.write(path, tiny.ARCHITECTURE, p)
    del p["fc6/bias"]
    with pytest.raises(WeightsError, match="missing or unknown: fc6/bias"):
        safetensors.write(path, tiny.ARCHITECTURE, p)
    assert not list(tmp_path.iterdir())


# Hostile files

EIGHT = bytes(8)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "must end by"),
        (b"\x01\x00", "must end by"),
        ((2**63).to_bytes(8, "little") + b"{}", "at most 1,048,576"),
        ((2**20).to_bytes(8, "little") + b"{}", "must end by"),
        (built(b""), "must be JSON"),
        (built(b"{"), "must be JSON"),
        (built(b"\xff{}"), "must be JSON"),
        (built(b"[]"), "must be a dictionary"),
        (built(b"null"), "must be JSON"),
        (built(b'{"a":' + b"[" * 500_000), "must be JSON"),
        (built(b'{"a":' * 100_000), "must be JSON"),
        (built(b'{"a": ' + b"9" * 10_000 + b"}"), "must be JSON"),
        (built(b'{"a": NaN}'), "finite"),
        (built(b'{"\\ud800": 1}'), "must be JSON"),
        (built(b'{"a": 1, "a": 1}'), "different from each other"),
        (built(b'{"a": {"dtype": "F32", "dtype": "F32"}}'), "different from each other"),
        (built({"a": []}), "'a': must have data_offsets, dtype, shape"),
        (built({"a": one(extra=1)}, EIGHT), "'a': must have"),
        (built({"a": one("F8_E4M3")}, EIGHT), "'a': type must be one of"),
        (built({"a": one([])}, EIGHT), "'a': type"),
        (built({"a": one(shape=[2, 0])}, EIGHT), "'a': shape"),
        (built({"a": one(shape=[-2])}, EIGHT), "'a': shape"),
        (built({"a": one(shape=[True, 2])}, EIGHT), "'a': shape"),
        (built({"a": one(shape=[2.0])}, EIGHT), "'a': shape"),
        (built({"a": one(shape=[1] * 33)}, EIGHT), "'a': shape"),
        (built({"a": one(shape=[2**62] * 32)}, EIGHT), "'a': offsets must enclose"),
        (built({"a": one(shape=[2**70])}, EIGHT), "'a': shape"),
        (built({"a": one(offsets=[0, 4])}, EIGHT), "'a': offsets"),
        (built({"a": one(offsets=[8, 0])}, EIGHT), "'a': offsets"),
        (built({"a": one(offsets=[0, 8, 8])}, EIGHT), "'a': offsets"),
        (built({"a": one(offsets="08")}, EIGHT), "'a': offsets"),
        (built({"a": one(offsets=[-8, 0])}, EIGHT), "'a': offsets"),
        (built({"a": one(offsets=[8, 16])}, 2 * EIGHT), "'a': tensors must follow"),
        (built({"a": one(), "b": one()}, EIGHT), "'b': tensors must follow"),
        (built({"a": one(), "b": one(offsets=[4, 12])}, 2 * EIGHT), "'b': tensors must follow"),
        (built({"a": one(), "b": one(offsets=[12, 20])}, bytes(20)), "'b': tensors must follow"),
        (built({"a": one()}, bytes(7)), "must fill the file"),
        (built({"a": one()}, bytes(9)), "must fill the file"),
    ],
)  # fmt: skip
def test_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        safetensors.tensors(raw)


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        {"decaf.labels": 1},
        {"decaf.labels": "["},
        {"decaf.labels": "[1]"},
        {"decaf.labels": '["\\ud800"]'},
        {"decaf.labels": "[" * 100_000},
        {"decaf.architecture": "{}"},
        {"decaf.architecture": "9" * 5000},
        {"decaf.preprocessing": '{"resize": 1}'},
        {"decaf.preprocessing": json.dumps({**tiny.PREPROCESSING.to_dict(), "divide": 10**400})},
    ],
)
def test_notes_are_not_trusted(metadata: Any) -> None:
    raw = built({"__metadata__": metadata})
    with pytest.raises(WeightsError, match="must map names to strings|notes of decaf must be"):
        from_strings(safetensors.metadata(raw))


def small() -> bytes:
    return built(
        {"__metadata__": {"format": "pt"}, "a": one(), "b": one("F16", [2, 2], [8, 16])},
        np.arange(4, dtype="<f4").tobytes(),
    )


def test_cut_anywhere() -> None:
    raw = small()
    for size in range(len(raw)):
        with pytest.raises(WeightsError):
            safetensors.tensors(raw[:size])


def never_worse(raw: bytes) -> None:
    try:
        found = safetensors.tensors(raw)
        from_strings(safetensors.metadata(raw))
    except DecafError:
        return
    assert sum(array.nbytes for array in found.values()) <= 2 * len(raw)


def test_flipped_bits() -> None:
    raw = bytearray(small())
    for bit in range(8 * len(raw)):
        raw[bit // 8] ^= 1 << bit % 8
        never_worse(bytes(raw))
        raw[bit // 8] ^= 1 << bit % 8


@cases
@hypothesis.given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=8)), max_size=9)
)
def test_spliced_bytes(edits: list[tuple[int, bytes]]) -> None:
    raw = small()
    for at, new in edits:
        at %= len(raw)
        raw = raw[:at] + new + raw[at + len(new) :]
    never_worse(raw)
