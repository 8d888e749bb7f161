"""The weights file: what is saved comes back, and nothing else ever comes in.

h5py is the second opinion: it reads what decaf writes, and writes what decaf must read or refuse.
"""

from __future__ import annotations

import gc
import hashlib
import json
import mmap
import os
import re
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import decaf.hdf5
import decaf.weights
from decaf.architectures import decaf_mini, squeezenet1_1
from decaf.errors import WeightsError
from decaf.json_file import LARGEST_JSON
from decaf.mean_image import MeanImage
from decaf.preprocessing import Preprocessing
from decaf.serialize import architecture_to_dict
from decaf.specs import Architecture, Conv, Flatten, Linear, MaxPool, ReLU, Softmax
from decaf.weights import default_weights, load_weights, save_weights
from decaf.weights_writer import LARGEST_LABELS

TINY = Architecture(
    "tiny",
    (3, 8, 8),
    (
        Conv("block/conv1", 4, (3, 2), padding=(1, 0), groups=1),
        ReLU("block/relu1"),
        MaxPool("pool1", 2, 2),
        Flatten("flat"),
        Linear("fc2", 5),
        Softmax("prob"),
    ),
)
LABELS = ("cat", "dog", "Äpfel, grün", "", "x" * 60)


def recipe(architecture: Architecture) -> Preprocessing:
    h, w = architecture.input_shape[1:]
    return Preprocessing((h + 3, w + 5), (h, w), channels="BGR", mean=(1.5, 2.25, 0.1))


def random_parameters(architecture: Architecture, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = architecture.parameter_shapes
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def save(path: Path, architecture: Architecture = TINY, **changes: Any) -> Path:
    arguments = {
        "parameters": random_parameters(architecture),
        "preprocessing": recipe(architecture),
        "labels": [f"class {i}" for i in range(architecture.classes)],
        **changes,
    }
    save_weights(path, architecture, **arguments)
    return path


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save(tmp_path / "tiny.h5", labels=LABELS, provenance={"data": "none", "x": [1, 2.5]})


def refusal(path: Path) -> str:
    """Load, expect a refusal, return what it says after the path."""
    with pytest.raises(WeightsError) as caught:
        load_weights(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message and len(message) < 1200 + len(str(path))
    return message.removeprefix(f"{path}: ")


# What is saved comes back


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    "architecture", [TINY, decaf_mini(), squeezenet1_1(7)], ids=lambda a: a.name
)
def test_round_trip(tmp_path: Path, architecture: Architecture, dtype: str) -> None:
    parameters = random_parameters(architecture)
    ids = [f"n{i:08}" for i in range(architecture.classes)]
    provenance = {"data": "ünïcode", "nested": {"list": [1, 2.5, None, True]}}
    path = save(
        tmp_path / "net.h5", architecture, parameters=parameters, label_ids=ids,
        provenance=provenance, dtype=dtype,
    )  # fmt: skip
    loaded = load_weights(str(path))
    assert loaded.architecture == architecture
    assert loaded.preprocessing == recipe(architecture)
    assert loaded.labels == tuple(f"class {i}" for i in range(architecture.classes))
    assert loaded.label_ids == tuple(ids)
    assert loaded.provenance == provenance
    assert loaded.path == path
    assert list(loaded.parameters) == list(parameters)
    for name, array in loaded.parameters.items():
        assert array.dtype == np.float32 and array.flags.c_contiguous and array.flags.aligned
        assert not array.flags.writeable
        np.testing.assert_array_equal(array, parameters[name].astype(dtype))


def test_labels_come_back_as_they_were(saved: Path) -> None:
    assert load_weights(saved).labels == LABELS
    assert load_weights(saved).label_ids is None


def test_h5py_reads_what_decaf_writes(saved: Path) -> None:
    parameters = random_parameters(TINY)
    with h5py.File(saved) as file:
        assert file.attrs["format"] == "decaf-weights"
        assert file.attrs["format_version"] == 1
        assert json.loads(file.attrs["architecture"]) == architecture_to_dict(TINY)
        assert json.loads(file.attrs["preprocessing"]) == recipe(TINY).to_dict()
        assert json.loads(file.attrs["provenance"]) == {"data": "none", "x": [1, 2.5]}
        assert tuple(file["labels"].asstr()[:]) == LABELS
        for name, array in parameters.items():
            dataset = file["parameters"][name]
            assert dataset.dtype == np.dtype("<f4") and dataset.chunks is None
            assert dataset.id.get_offset() % 64 == 0
            np.testing.assert_array_equal(dataset[()], array)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_parameters_are_the_file_itself(tmp_path: Path, dtype: str) -> None:
    saved = save(tmp_path / "net.h5", dtype=dtype)
    for name, array in load_weights(saved, widen=False).parameters.items():
        assert array.dtype == dtype and array.dtype.isnative
        np.testing.assert_array_equal(array, random_parameters(TINY)[name].astype(dtype))
        assert array.ctypes.data % 64 == 0
        base: Any = array
        while isinstance(base, np.ndarray):
            base = base.base
        assert isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap)
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_the_file_may_be_replaced_or_deleted_while_it_is_in_use(saved: Path) -> None:
    before = load_weights(saved)
    digest = before.sha256
    other = random_parameters(TINY, seed=1)
    save(saved, parameters=other)
    after = load_weights(saved)
    saved.unlink()
    for name, array in random_parameters(TINY).items():
        np.testing.assert_array_equal(before.parameters[name], array)
        np.testing.assert_array_equal(after.parameters[name], other[name])
    assert before.sha256 == digest != after.sha256


def test_the_same_network_gives_the_same_bytes(tmp_path: Path, monkeypatch: Any) -> None:
    first = save(tmp_path / "first.h5")
    monkeypatch.setattr("time.time", lambda: 2e9)
    second = save(tmp_path / "second.h5")
    assert first.read_bytes() == second.read_bytes()
    assert load_weights(first).sha256 == hashlib.sha256(first.read_bytes()).hexdigest()


def test_no_file_stays_open(saved: Path) -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("/proc is not there to count open files")
    before = opened()
    for _ in range(20):
        load_weights(saved)
        assert opened() <= before  # no cycle of references keeps the mapping
    save(saved, TINY).write_bytes(saved.read_bytes()[:-100])
    for _ in range(20):
        refusal(saved)
    gc.collect()  # pytest's record of an exception is such a cycle
    assert opened() <= before


def test_float64_and_strides_are_converted(tmp_path: Path) -> None:
    parameters = random_parameters(TINY)
    odd = {name: np.asfortranarray(array.astype(">f8")) for name, array in parameters.items()}
    loaded = load_weights(save(tmp_path / "net.h5", parameters=odd))
    for name, array in parameters.items():
        np.testing.assert_array_equal(loaded.parameters[name], array)


# Files that other programs write


def write(
    path: Path, *, string: Callable[[str], Any] = str, lib: Any = None, **options: Any
) -> None:
    """Write TINY with h5py directly; options go to each parameter."""
    parameters = random_parameters(TINY)
    with h5py.File(path, "w", libver=lib) as file:
        file.attrs["format"], file.attrs["format_version"] = string("decaf-weights"), np.uint8(1)
        file.attrs["architecture"] = string(json.dumps(architecture_to_dict(TINY)))
        file.attrs["preprocessing"] = string(json.dumps(recipe(TINY).to_dict()))
        file.attrs["provenance"] = string("{}")
        file.attrs["note"] = "attributes that are not known are left alone"
        file["labels"] = [string(label) for label in LABELS]
        for name, array in parameters.items():
            file.create_dataset(f"parameters/{name}", data=array, **options)


@pytest.mark.parametrize("lib", [None, "earliest", ("v108", "v108"), "latest"])
@pytest.mark.parametrize("string", [str, str.encode, lambda s: np.bytes_(s.encode() + b"\0\0")])
def test_reads_what_h5py_writes(tmp_path: Path, lib: Any, string: Any) -> None:
    write(tmp_path / "net.h5", lib=lib, string=string)
    loaded = load_weights(tmp_path / "net.h5")
    assert loaded.labels == LABELS
    assert loaded.architecture == TINY
    for name, array in random_parameters(TINY).items():
        np.testing.assert_array_equal(loaded.parameters[name], array)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip"},
        {"compression": "gzip", "compression_opts": 9, "dtype": "<f2"},
        {"chunks": True},
        {"compression": "gzip", "maxshape": None},
    ],
    ids=str,
)
def test_reads_chunks(tmp_path: Path, options: dict[str, Any]) -> None:
    write(tmp_path / "net.h5", **options)
    for name, array in load_weights(tmp_path / "net.h5").parameters.items():
        assert not array.flags.writeable
        expected = random_parameters(TINY)[name].astype(options.get("dtype", "<f4"))
        np.testing.assert_array_equal(array, expected)


def test_reads_chunks_that_stick_out(tmp_path: Path) -> None:
    write(tmp_path / "net.h5")
    weight = random_parameters(TINY)["fc2/weight"]  # 5, 48
    with h5py.File(tmp_path / "net.h5", "r+") as file:
        del file["parameters/fc2/weight"]
        file["parameters"].create_dataset(
            "fc2/weight", data=weight, chunks=(2, 7), compression="gzip"
        )
    array = load_weights(tmp_path / "net.h5").parameters["fc2/weight"]
    np.testing.assert_array_equal(array, weight)


@pytest.mark.parametrize("ids", [[b"a", b"b", b"c", b"d", b"e"], ["a", "b", "c", "d", "e"]])
def test_labels_may_be_an_attribute(saved: Path, ids: list[Any]) -> None:
    with h5py.File(saved, "r+") as file:
        del file["labels"]
        file.attrs["labels"] = ["ä", "b", "c", "d", "e"]
        file.attrs["label_ids"] = ids
    loaded = load_weights(saved)
    assert loaded.labels == ("ä", "b", "c", "d", "e")
    assert loaded.label_ids == ("a", "b", "c", "d", "e")


@pytest.mark.parametrize("widen", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_unaligned_data_are_copied(tmp_path: Path, dtype: str, widen: bool) -> None:
    saved = save(tmp_path / "net.h5", dtype=dtype)
    with h5py.File(saved, "r+") as file:
        address = file["parameters/fc2/weight"].id.get_offset()
    raw = bytearray(saved.read_bytes())
    place = raw.index(address.to_bytes(8, "little"))
    raw[place : place + 8] = (address + 1).to_bytes(8, "little")
    saved.write_bytes(raw)
    array = load_weights(saved, widen=widen).parameters["fc2/weight"]
    assert array.flags.aligned and not array.flags.writeable
    shifted = np.frombuffer(bytes(raw), np.dtype(dtype), array.size, address + 1)
    assert array.dtype == ("float32" if widen else dtype)
    np.testing.assert_array_equal(array.ravel(), shifted.astype(array.dtype))


# Files that are refused


def edited(change: Callable[[h5py.File], Any]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return edit


def replaced(name: str, **options: Any) -> Callable[[h5py.File], Any]:
    """Replace a dataset by another one of the same name."""

    def change(file: h5py.File) -> None:
        old = file[name][()]
        del file[name]
        file.create_dataset(name, **{"data": old, **options})

    return change


def linked(name: str, link: Any) -> Callable[[h5py.File], Any]:
    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file[name] = link

    return change


def attribute(name: str, value: Any) -> Callable[[h5py.File], Any]:
    return lambda file: file.attrs.__setitem__(name, value)


def described(change: Callable[[Any], Any], name: str = "architecture") -> Callable[..., Any]:
    """Change what one of the JSON attributes says."""

    def apply(file: h5py.File) -> None:
        values = json.loads(file.attrs[name])
        change(values)
        file.attrs[name] = json.dumps(values)

    return apply


def virtual(file: h5py.File) -> None:
    del file["parameters/fc2/bias"]
    layout = h5py.VirtualLayout((5,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (5,))
    file.create_virtual_dataset("parameters/fc2/bias", layout)


def compact(file: h5py.File) -> None:
    del file["parameters/fc2/bias"]
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((5,))
    h5py.h5d.create(
        file["parameters/fc2"].id, b"bias", h5py.h5t.IEEE_F32LE, space, properties
    ).write(h5py.h5s.ALL, h5py.h5s.ALL, np.zeros(5, "f4"))


def never_written(file: h5py.File) -> None:
    del file["parameters/fc2/weight"]
    file.create_dataset("parameters/fc2/weight", (5, 48), "f4")


def ragged(file: h5py.File) -> None:
    del file["parameters/fc2/bias"]
    file.create_dataset("parameters/fc2/bias", (5,), h5py.vlen_dtype("f4"))
    file["parameters/fc2/bias"][:] = [np.ones(i + 1, "f4") for i in range(5)]


def chunks_never_written(file: h5py.File) -> None:
    del file["parameters/fc2/weight"]
    data = file.create_dataset("parameters/fc2/weight", (5, 48), "f4", chunks=(1, 48))
    data[:4] = 1


def chunks_too_large(file: h5py.File) -> None:
    del file["parameters/fc2/weight"]
    options = {"chunks": (1000, 100), "maxshape": (None, None), "compression": "gzip"}
    file.create_dataset("parameters/fc2/weight", data=np.zeros((5, 48), "f4"), **options)


def group_loop(file: h5py.File) -> None:
    file["parameters/block/again"] = file["parameters"]


BIAS, WEIGHT = "parameters/fc2/bias", "parameters/fc2/weight"
COMPOUND = np.dtype([("a", "<f4"), ("b", "<f4")])
REFUSED: dict[str, tuple[Callable[[h5py.File], Any], str]] = {
    "external link": (linked(BIAS, h5py.ExternalLink("/etc/hostname", "/x")), "a link"),
    "soft link": (linked(BIAS, h5py.SoftLink("/parameters/block/conv1/bias")), "link (soft)"),
    "soft link to a group": (linked("parameters/fc2", h5py.SoftLink("/parameters/block")), "link"),
    "soft link at the root": (linked("again", h5py.SoftLink("/parameters")), "link (soft)"),
    "dangling link": (linked(BIAS, h5py.SoftLink("/nowhere")), "link (soft)"),
    "links in a circle": (group_loop, "inside itself"),
    "virtual": (virtual, "virtual"),
    "compact": (compact, "inside the header"),
    "stored elsewhere": (replaced(BIAS, external=[("other.bin", 0, 20)]), "other files"),
    "never written": (never_written, "got none"),
    "chunk never written": (chunks_never_written, "5 that cover (5, 48); got 4"),
    "chunks too large": (chunks_too_large, "no larger than the data, (5, 48)"),
    "shuffle": (replaced(WEIGHT, compression="gzip", shuffle=True), "got shuffle"),
    "lzf": (replaced(WEIGHT, compression="lzf"), "got filter 32000"),
    "fletcher32": (replaced(WEIGHT, fletcher32=True), "got fletcher32"),
    "scale-offset": (replaced(WEIGHT, scaleoffset=3), "got scale-offset"),
    "float64": (replaced(WEIGHT, dtype="<f8"), "got float of 8 bytes"),
    "big-endian": (replaced(WEIGHT, dtype=">f4"), "got big-endian float"),
    "integers": (replaced(WEIGHT, dtype="<i4"), "got integer"),
    "compound": (replaced(BIAS, data=np.zeros(5, COMPOUND)), "got compound"),
    "references": (
        lambda f: replaced(BIAS, data=[f.ref] * 5, dtype=h5py.ref_dtype)(f),
        "float32 or float16; got reference",
    ),
    "ragged": (ragged, "got variable-length of"),
    "strings": (replaced(BIAS, data=["a"] * 5), "got variable-length string"),
    "fixed strings": (replaced(BIAS, data=[b"a"] * 5, dtype="S4"), "got string of 4 bytes"),
    "enumeration": (
        replaced(BIAS, data=np.zeros(5, h5py.enum_dtype({"A": 0}, "i1"))),
        "got enumeration",
    ),
    "scalar": (replaced(BIAS, data=np.float32(1)), "fc2/bias must be of shape (5,); got ()"),
    "null": (replaced(BIAS, data=h5py.Empty("f4")), "null shape"),
    "transposed": (
        lambda f: replaced(WEIGHT, data=f[WEIGHT][()].T)(f),
        "fc2/weight must be of shape (5, 48); got (48, 5)",
    ),
    "missing": (lambda f: f.pop(BIAS), "missing fc2/bias; extra none"),
    "missing layer": (lambda f: f.pop("parameters/fc2"), "missing fc2/bias, fc2/weight"),
    "no parameters": (lambda f: f.pop("parameters"), "member parameters; got none"),
    "parameters a dataset": (linked("parameters", [1.0]), "missing"),
    "extra": (linked("parameters/fc3/weight", [1.0]), "missing none; extra fc3/weight"),
    "extra group": (lambda f: f.create_group("parameters/fc3"), "extra fc3"),
    "extra at the root": (linked("optimiser", [1.0]), "got optimiser"),
    "group for dataset": (lambda f: (f.pop(BIAS), f.create_group(BIAS)), "got a group"),
    "dataset for group": (linked("parameters/fc2", [1.0]), "extra fc2"),
    "no format": (lambda f: f.attrs.pop("format"), "some other HDF5 file"),
    "other format": (attribute("format", "keras"), "got 'keras'"),
    "format a number": (attribute("format", 1), "format: must be one string"),
    "format an array": (attribute("format", ["decaf-weights"] * 2), "format: must be one string"),
    "format of a newer decaf": (attribute("format_version", 2), "got 2: upgrade decaf"),
    "format 0": (attribute("format_version", 0), "must be 1; got 0"),
    "format minus 1": (attribute("format_version", np.int8(-1)), "must be 1; got -1"),
    "version a string": (attribute("format_version", "1"), "one integer"),
    "version an array": (attribute("format_version", [1]), "one integer"),
    "no version": (lambda f: f.attrs.pop("format_version"), "format_version must be 1; got none"),
    "no architecture": (lambda f: f.attrs.pop("architecture"), "architecture must be JSON"),
    "not JSON": (attribute("architecture", "{"), "architecture: must be valid JSON"),
    "JSON list": (attribute("architecture", "[]"), "architecture: must be a dictionary"),
    "JSON NaN": (attribute("provenance", '{"a": NaN}'), "finite, got NaN"),
    "JSON infinity": (attribute("provenance", '{"a": -Infinity}'), "finite, got -Infinity"),
    "JSON too large": (attribute("provenance", '{"a": [1e999]}'), "provenance: must be valid JSON"),
    "JSON deep": (attribute("provenance", "[" * 30_000), "provenance: must be valid JSON"),
    "JSON deep 2": (attribute("architecture", '{"name":' * 7000), "must be valid JSON"),
    "JSON huge integer": (attribute("preprocessing", '{"a": ' + "9" * 5000 + "}"), "JSON"),
    "JSON twice": (attribute("provenance", '{"a": 1, "a": 2}'), "a key stands twice"),
    "JSON half a character": (attribute("provenance", r'{"a": "\ud800"}'), "valid JSON"),
    "not UTF-8": (attribute("provenance", np.bytes_(b'{"a": "\xff"}')), "UTF-8"),
    "provenance a list": (attribute("provenance", "[1]"), "a dictionary; got list"),
    "unknown layer": (described(lambda d: d["layers"][4].update(kind="eval")), "fc2: kind"),
    "layer twice": (described(lambda d: d["layers"].append(d["layers"][0])), "block/conv1"),
    "no layers": (described(lambda d: d["layers"].clear()), "at least one"),
    "other input": (described(lambda d: d.update(input_shape=[3, 8, 9])), "shape must be what"),
    "wider layer": (
        described(lambda d: d["layers"][0].update(out_channels=6)),
        "block/conv1/weight must be of shape (6, 3, 3, 2); got (4, 3, 3, 2)",
    ),
    "huge layer": (
        described(lambda d: d["layers"][4].update(out_features=2**20)),
        "one string for each of 1048576 classes",
    ),
    "no such crop": (described(lambda d: d.pop("crop"), "preprocessing"), "crop"),
    "wrong crop": (described(lambda d: d.update(crop=[9, 9]), "preprocessing"), "(3, 9, 9)"),
    "label too few": (replaced("labels", data=[b"a"] * 4), "5 classes; got shape (4,)"),
    "labels in a square": (replaced("labels", data=[[b"a"] * 5]), "got shape (1, 5)"),
    "labels numbers": (replaced("labels", data=[1, 2, 3, 4, 5]), "labels: the type must be string"),
    "labels compressed": (replaced("labels", compression="gzip"), "contiguous; got chunks"),
    "labels not UTF-8": (replaced("labels", data=[b"\xff"] * 5), "labels: strings must be UTF-8"),
    "labels a group": (lambda f: (f.pop("labels"), f.create_group("labels")), "got a group"),
    "labels twice": (attribute("labels", [b"a"] * 5), "got both"),
    "no labels": (lambda f: f.pop("labels"), "labels must be 5 strings; got none"),
    "ids too many": (linked("label_ids", [b"a"] * 6), "label_ids must be one string for each"),
}


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED)
def test_refused(
    saved: Path, change: Callable[[h5py.File], Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(saved.parent)  # h5py writes what is "stored elsewhere" to where it stands
    edited(change)(saved)
    assert said in refusal(saved)


def test_the_path_may_be_wrong(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "missing.h5")
    assert "a folder" in refusal(tmp_path)
    (tmp_path / "empty.h5").touch()
    assert "must not be empty" in refusal(tmp_path / "empty.h5")
    (tmp_path / "photo.h5").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    said = refusal(tmp_path / "photo.h5")
    assert "must be HDF5" in said and "decaf convert reads files of other programs" in said
    (tmp_path / "signature.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    refusal(tmp_path / "signature.h5")
    for path in ("a\0b", None, 3, "x" * 5000):
        with pytest.raises(WeightsError):
            load_weights(path)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    assert "something else" in refusal(tmp_path / "pipe.h5")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_permission_denied(saved: Path) -> None:
    saved.chmod(0)
    assert "readable" in refusal(saved)


def test_user_block(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "net.h5", "w", userblock_size=512):
        pass
    assert "signature in front" in refusal(tmp_path / "net.h5")


def test_dense_groups_say_what_to_do(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "net.h5", "w", libver="latest") as file:
        for i in range(20):
            file.create_group(f"g{i}")
    assert 'libver="earliest"' in refusal(tmp_path / "net.h5")


def test_cut_off_anywhere(saved: Path) -> None:
    whole = saved.read_bytes()
    lengths = {*range(0, 64, 4), *np.linspace(64, len(whole) - 1, 60).astype(int).tolist()}
    for length in sorted(lengths):
        saved.write_bytes(whole[:length])
        refusal(saved)


@pytest.mark.parametrize(
    ("lib", "options"),
    [("earliest", {}), ("earliest", {"compression": "gzip"}), ("latest", {})],
    ids=["contiguous", "gzip", "newer layout"],
)
def test_damaged_bytes(tmp_path: Path, lib: str, options: dict[str, Any]) -> None:
    """Either WeightsError, or a result of the right shape: nothing else, and not slowly."""
    path = tmp_path / "net.h5"
    write(path, lib=lib, **options)
    whole = path.read_bytes()
    shapes = TINY.parameter_shapes
    counts = {"refused": 0, "loaded": 0}
    for seed in range(400):
        rng = np.random.default_rng(seed)
        raw = bytearray(whole)
        for _ in range(rng.integers(1, 5)):
            place = rng.integers(len(raw))
            raw[place] = rng.choice([0, 1, 2, 8, 127, 128, 255, rng.integers(256)])
        path.unlink()  # an earlier one may still be mapped
        path.write_bytes(raw)
        try:
            loaded = load_weights(path)
        except WeightsError:
            counts["refused"] += 1
        else:
            counts["loaded"] += 1
            for array in loaded.parameters.values():
                array.tobytes()  # touch all of it
            assert {n: a.shape for n, a in loaded.parameters.items()} == dict(
                loaded.architecture.parameter_shapes
            )
            assert loaded.architecture != TINY or loaded.architecture.parameter_shapes == shapes
            assert len(loaded.labels) == loaded.architecture.classes
    assert min(counts.values()) > 20, counts


def test_every_address_may_be_hostile(saved: Path) -> None:
    """Each aligned word of the metadata, replaced by addresses that lead astray."""
    whole = saved.read_bytes()
    first = min(whole.index(a.tobytes()[:16]) for a in random_parameters(TINY).values())
    hostile = (0, 96, first, len(whole) - 1, 2**63 - 1, 2**64 - 1)
    for place in range(8, min(first, 3000), 8):
        for value in hostile:
            raw = bytearray(whole)
            raw[place : place + 8] = value.to_bytes(8, "little")
            try:
                decaf.weights._parse(bytes(raw), saved, widen=True)
            except WeightsError as error:
                assert str(error).startswith(f"{saved}: ")


def test_gzip_bomb(tmp_path: Path) -> None:
    """Zeros compress 1000 times and more; so much is refused, before it is unpacked."""
    path = tmp_path / "bomb.h5"
    wide = Architecture("wide", (3, 8, 8), (Linear("fc1", 40_000), Softmax("prob")))
    write(path)
    with h5py.File(path, "r+") as file:
        file.attrs["architecture"] = json.dumps(architecture_to_dict(wide))
        del file["parameters"], file["labels"]
        file["labels"] = [b""] * 40_000
        file["parameters/fc1/bias"] = np.zeros(40_000, "f4")
        file.create_dataset(
            "parameters/fc1/weight", (40_000, 192), "f4", chunks=(40_000, 192),
            compression="gzip", compression_opts=9, data=np.zeros((40_000, 192), "f4"),
        )  # fmt: skip
    assert "at most" in refusal(path)


def limited(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, which may set limits on itself."""
    head = "import resource, sys, numpy as np\n"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, "-c", head + code, *map(str, arguments)],
        capture_output=True, text=True, env=environment, timeout=60, check=False,
    )  # fmt: skip


def test_ten_gigabytes_in_few_kilobytes(tmp_path: Path) -> None:
    """A declared size costs nothing: 10 GB are refused in a process that may have no more."""
    path = tmp_path / "huge.h5"
    layers = (Linear("fc1", 3200), Linear("fc2", 2))
    huge = Architecture("huge", (3, 512, 512), layers)
    write(path)
    with h5py.File(path, "r+") as file:
        file.attrs["architecture"] = json.dumps(architecture_to_dict(huge))
        file.attrs["preprocessing"] = json.dumps(recipe(huge).to_dict())
        del file["labels"], file["parameters"]
        file["labels"] = ["yes", "no"]
        file.create_dataset(
            "parameters/fc1/weight", (3200, 3 * 512 * 512), "f4", chunks=(3200, 4), compression=1
        )
    assert path.stat().st_size < 20_000
    done = limited(
        "from decaf.weights import load_weights\n"
        "from decaf.errors import WeightsError\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**25,) * 2)\n"
        "try: load_weights(sys.argv[1])\n"
        "except WeightsError as error: print(error)\n",
        path,
    )
    assert done.returncode == 0 and str(path) in done.stdout, done.stderr


def test_many_objects_are_not_all_read(saved: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(decaf.hdf5, "MOST_ITEMS", 300)
    load_weights(saved)
    with h5py.File(saved, "r+") as file:
        for i in range(300):
            file[f"parameters/fc2/hard{i}"] = file[BIAS]
    assert "at most 300" in refusal(saved)


def root_tree(path: Path) -> tuple[bytearray, int]:
    """Bytes of a file, and where they say where the tree of the root's members starts."""
    data = bytearray(path.read_bytes())
    header, tree, heap = (int.from_bytes(data[i : i + 8], "little") for i in (64, 80, 88))
    place = data.index(struct.pack("<QQ", tree, heap), header)
    data += bytes(-len(data) % 8)
    return data, place


def tree_node(level: int, count: int, *children: int) -> bytes:
    entries = b"".join(struct.pack("<QQ", 0, child) for child in children)
    return b"TREE" + struct.pack("<BBHQQ", 0, level, count, 2**64 - 1, 2**64 - 1) + entries


def many_empty_leaves(path: Path, levels: int) -> bytearray:
    """65,535 references to one node without members, on each level."""
    data, place = root_tree(path)
    target = len(data)
    data += b"SNOD" + struct.pack("<BBH", 1, 0, 0) + bytes(40)
    for level in range(levels):
        node = tree_node(level, 65535, *[target] * 65535) + bytes(8)
        target = len(data)
        data += node
    data[place : place + 8] = target.to_bytes(8, "little")
    return data


def overlapping_levels(path: Path, levels: int) -> bytearray:
    """A node inside the entries of the one above it, and so on."""
    data, place = root_tree(path)
    data[place : place + 8] = len(data).to_bytes(8, "little")
    for level in reversed(range(levels)):
        data += tree_node(level, 65535, len(data) + 40)
    return data + bytes(16 * 65535 + 64)


@pytest.mark.parametrize(
    ("craft", "levels", "said"),
    [
        (many_empty_leaves, 2, "at most 100,000 links"),
        (overlapping_levels, 2, "at most 100,000 links"),
        (overlapping_levels, 18, "at most 100,000 links"),
        (overlapping_levels, 19, "level of a tree must be at most 17; got 18"),
        (overlapping_levels, 255, "level of a tree must be at most 17; got 254"),
    ],
)
def test_trees_that_count_the_same_bytes_again_and_again(
    saved: Path, craft: Callable[[Path, int], bytearray], levels: int, said: str
) -> None:
    data = craft(saved, levels)
    data[40:48] = len(data).to_bytes(8, "little")
    saved.unlink()
    saved.write_bytes(data)
    tracemalloc.start()
    start = time.process_time()
    assert said in refusal(saved)
    assert time.process_time() - start < 2
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()


def test_a_tree_of_one_full_node_is_read_through(saved: Path) -> None:
    """The limit is on what is read, so the same node once is fine: it just has no members."""
    data = many_empty_leaves(saved, 1)
    data[40:48] = len(data).to_bytes(8, "little")
    saved.unlink()
    saved.write_bytes(data)
    assert "labels must be 5 strings; got none" in refusal(saved)


def test_names_of_members_are_short(saved: Path) -> None:
    with h5py.File(saved, "r+") as file:
        file["parameters/" + "x" * 1024] = 1.0
    assert "missing none; extra xxx" in refusal(saved)
    with h5py.File(saved, "r+") as file:
        file["parameters/" + "y" * 1025] = 1.0
    assert "at most 1,024 bytes each" in refusal(saved)


def test_names_of_members_are_short_in_newer_files(tmp_path: Path) -> None:
    write(tmp_path / "net.h5", lib="latest")
    with h5py.File(tmp_path / "net.h5", "r+", libver="latest") as file:
        file["parameters/fc2/" + "y" * 1025] = 1.0
    assert "names must be at most 1,024 bytes; got 1,025" in refusal(tmp_path / "net.h5")


def test_a_header_does_not_overlap_itself(saved: Path) -> None:
    """Continuations one inside the other, which would make much of a small file."""
    data = bytearray(saved.read_bytes())
    root = int.from_bytes(data[64:72], "little")
    data += bytes(-len(data) % 8)
    size, first, count = 60_000, len(data), 100
    for number in range(1, count + 1):
        body = struct.pack("<QQ", first + 24 * number, size)
        data += struct.pack("<HHI", 0x10, 16, 0) + body
    data += bytes(size)
    at = root + 16  # the first message of the root
    length = int.from_bytes(data[at + 2 : at + 4], "little")
    assert length >= 16
    data[at : at + 2] = (0x10).to_bytes(2, "little")
    data[at + 8 : at + 24] = struct.pack("<QQ", first, size)
    data[40:48] = len(data).to_bytes(8, "little")
    saved.unlink()
    saved.write_bytes(data)
    assert "a header must be no larger than the file" in refusal(saved)


def test_strings_of_no_length(tmp_path: Path) -> None:
    """A type of 0 bytes would make one label of five."""
    path = tmp_path / "net.h5"
    save(path, labels=[""] * 5)  # five of one byte each
    assert load_weights(path).labels == ("",) * 5
    with h5py.File(path) as file:
        place = file["labels"].id.get_offset()
    data = path.read_bytes()
    layout = data.index(struct.pack("<QQ", place, 5))
    *_, type_message = re.finditer(rb"\x13.{3}\x01\0\0\0", data[:layout], re.DOTALL)
    start = type_message.start()
    raw = bytearray(data)
    raw[start + 4 : start + 8] = bytes(4)
    raw[layout + 8 : layout + 16] = bytes(8)
    path.unlink()
    path.write_bytes(raw)
    assert "labels: the type must be string of at least one byte" in refusal(path)


def test_as_many_labels_as_classes(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = decaf.hdf5.File.text
    monkeypatch.setattr(
        decaf.hdf5.File, "text", lambda self, value, most: text(self, value, most)[:1]
    )
    assert "labels must be one string for each of 5 classes; got 1" in refusal(saved)


def test_one_string_that_all_labels_share(saved: Path) -> None:
    """Few bytes can stand for many: 5 labels of 4 MB that lie at the same place."""
    with h5py.File(saved, "r+") as file:
        del file["labels"]
        file["labels"] = np.array(["x" * 4_000_000, *"bcde"], h5py.string_dtype())
    raw = saved.read_bytes()
    with h5py.File(saved, "r") as file:
        place = file["labels"].id.get_offset()
    saved.unlink()
    saved.write_bytes(raw[:place] + raw[place : place + 16] * 5 + raw[place + 80 :])
    assert "labels: strings must be at most 8,388,608 bytes; got 5 that" in refusal(saved)


def test_many_short_labels(tmp_path: Path) -> None:
    """Python takes some 50 bytes for a string of two."""
    path = tmp_path / "net.h5"
    many = Architecture("many", (1, 400, 500), (ReLU("relu1"),))
    with pytest.raises(WeightsError, match="labels must be at most 8,388,608 bytes"):
        save(path, many, preprocessing=Preprocessing((400, 500), (400, 500), channels="L"))
    write(path)
    with h5py.File(path, "r+") as file:
        recipe = Preprocessing((400, 500), (400, 500), channels="L")
        file.attrs["architecture"] = json.dumps(architecture_to_dict(many))
        file.attrs["preprocessing"] = json.dumps(recipe.to_dict())
        del file["labels"], file["parameters"]
        file["labels"] = np.full(200_000, b"ab")
        file.create_group("parameters")
    tracemalloc.start()
    try:
        assert "got 200,000 that take 19,999,900" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


FACE = "\U0001f600"  # beside it, every character of a text takes four bytes


@pytest.mark.parametrize("part", ['{"":[]}', '{"":{"":{}}}', "[[]]"])
def test_memory_that_text_takes(saved: Path, part: str) -> None:
    """At the limits of all texts together, a file stays within what it may cost."""
    with h5py.File(saved, "r+") as file:
        left = LARGEST_JSON - sum(
            len(file.attrs[name]) for name in ("architecture", "preprocessing")
        )
        count = (left - 20) // (len(part) + 1)
        del file.attrs["provenance"], file["labels"]
        file.attrs["provenance"] = f'{{"a":[{",".join([part] * count)}],"b":"{FACE}"}}'
        length = (LARGEST_LABELS - 2000) // 4 // 10
        file["labels"] = np.array([FACE + "x" * (length - 4), *"bcde"], h5py.string_dtype())
        file["label_ids"] = file["labels"]
    with h5py.File(saved, "r") as file:
        place = file["labels"].id.get_offset()
    raw = saved.read_bytes()
    saved.unlink()
    saved.write_bytes(raw[:place] + raw[place : place + 16] * 5 + raw[place + 80 :])
    tracemalloc.start()
    try:
        weights = load_weights(saved)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(weights.provenance["a"]) == count
    assert weights.label_ids == weights.labels == (FACE + "x" * (length - 4),) * 5
    assert peak < 2 * saved.stat().st_size + 64_000_000


def test_texts_have_one_limit_together(tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    half = ["x" * (LARGEST_LABELS // 11)] * 5
    wide = [FACE + "x" * (LARGEST_LABELS // 21)] * 5
    save(path, labels=half, label_ids=half)
    assert load_weights(path).label_ids == tuple(half)
    long = ["x" * (LARGEST_LABELS // 9)] * 5
    for name in ("labels", "label_ids"):
        with pytest.raises(WeightsError, match="label_ids must be at most 8,388,608 bytes, of"):
            save(path, **{"labels": half, "label_ids": half, name: long})
    with pytest.raises(WeightsError, match="labels must be at most 8,388,608 bytes, of which"):
        save(path, labels=[text * 2 for text in wide])
    with pytest.raises(WeightsError, match=r"labels must be .* got 5 of 2,000,000"):
        save(path, labels=["x" * 2_000_000, *"bcde"])
    with h5py.File(path, "r+") as file:
        del file["labels"]
        file["labels"] = np.array(long, "S")
    assert "label_ids: strings must be at most" in refusal(path)
    with h5py.File(path, "r+") as file:
        del file["labels"]
        file["labels"] = np.array([text.encode() * 2 for text in wide])
    assert "labels: strings must be at most 8,388,608 bytes" in refusal(path)


def test_json_has_one_limit_together(tmp_path: Path) -> None:
    path = save(tmp_path / "net.h5", provenance={"a": "ü" * (LARGEST_JSON // 2 - 5000)})
    said = "architecture, preprocessing, provenance must be together at most 524,288 bytes of JSON"
    with pytest.raises(WeightsError, match=said):
        save(path, provenance={"a": "ü" * (LARGEST_JSON // 2 - 100)})
    with h5py.File(path, "r+") as file:
        spaces = " " * 10_000
        file.attrs["preprocessing"] = file.attrs["preprocessing"] + spaces
    assert said in refusal(path)


def test_a_long_network_fits_the_limit() -> None:
    layers = [Conv(f"features/block{i}/conv", 4, 3, padding=1) for i in range(3_000)]
    described = architecture_to_dict(Architecture("long", (3, 8, 8), tuple(layers)))
    assert len(json.dumps(described)) < LARGEST_JSON - 50_000


# What the format allows no more than once


def patched(path: Path, *changes: tuple[bytes, bytes]) -> None:
    """Replace bytes in a file, which may be mapped."""
    raw = path.read_bytes()
    for old, new in changes:
        assert old in raw and len(old) == len(new)
        raw = raw.replace(old, new)
    path.unlink()
    path.write_bytes(raw)


def packed(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


SAME = Architecture("same", (3, 8, 8), (Conv("aa/b", 3, 1), Conv("cc/b", 3, 1)))


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("options", [{}, {"chunks": (3, 3, 1, 1)}], ids=["contiguous", "chunks"])
def test_parameters_do_not_overlap(tmp_path: Path, options: dict[str, Any], shift: int) -> None:
    path = save(tmp_path / "net.h5", SAME)
    places = []
    with h5py.File(path, "r+") as file:
        for layer in ("aa/b", "cc/b"):
            values = file[f"parameters/{layer}/weight"][...]
            del file[f"parameters/{layer}/weight"]
            made = file.create_dataset(f"parameters/{layer}/weight", data=values, **options)
            file.flush()
            chunk = made.id.get_chunk_info(0).byte_offset if options else None
            places.append(made.id.get_offset() or chunk)
    load_weights(path)
    patched(path, (packed(places[1]), packed(places[0] + shift)))
    said = refusal(path)
    assert said.startswith("aa/b/weight and cc/b/weight must be in places of their own")
    assert said.endswith(f"got byte {places[0] + shift:,} twice")


def test_chunks_of_a_parameter_do_not_overlap(tmp_path: Path) -> None:
    path = save(tmp_path / "net.h5", SAME)
    with h5py.File(path, "r+") as file:
        del file["parameters/aa/b/weight"]
        values = np.arange(9, dtype="f4").reshape(3, 3, 1, 1)
        made = file["parameters"].create_dataset("aa/b/weight", data=values, chunks=(1, 3, 1, 1))
        first, second = (made.id.get_chunk_info(i).byte_offset for i in (0, 1))
    load_weights(path)
    patched(path, (packed(second), packed(first)))
    assert "aa/b/weight must be in places of their own" in refusal(path)


def test_one_dataset_for_two_parameters(tmp_path: Path) -> None:
    path = save(tmp_path / "net.h5", SAME)
    with h5py.File(path, "r+") as file:
        del file["parameters/cc/b/weight"]
        file["parameters/cc/b/weight"] = file["parameters/aa/b/weight"]
    assert "in places of their own" in refusal(path)


def test_an_attribute_twice(saved: Path) -> None:
    with h5py.File(saved, "r+") as file:
        file.attrs["provenancf"] = '{"second": 1}'
    load_weights(saved)
    patched(saved, (b"provenancf", b"provenance"))
    assert "attributes must be of different names; got 'provenance' twice" in refusal(saved)


@pytest.mark.parametrize("kind", [1, 3, 8])
def test_a_type_a_shape_or_a_place_twice(saved: Path, kind: int) -> None:
    """Of two that contradict each other, none can be right."""
    with h5py.File(saved) as file:
        place = h5py.h5o.get_info(file["parameters/fc2/bias"].id).addr  # of its object header
    raw = bytearray(saved.read_bytes())
    (count,) = struct.unpack_from("<H", raw, place + 2)
    messages, at = {}, place + 16
    for _ in range(count):
        number, size = struct.unpack_from("<HH", raw, at)
        messages[number] = raw[at + 8 : at + 8 + size]
        if number == 5:  # the fill value, which decaf does not read
            fill = at, size
        at += 8 + size
    at, size = fill
    raw[at : at + 2] = kind.to_bytes(2, "little")
    raw[at + 8 : at + 8 + size] = messages[kind][:size].ljust(size, b"\0")
    saved.unlink()
    saved.write_bytes(raw)
    assert f"messages must be there once; got two of kind {kind}" in refusal(saved)


# Numbers that no right file has


def test_a_format_version_of_thousands_of_digits(saved: Path) -> None:
    with h5py.File(saved, "r+") as file:
        del file.attrs["format_version"]
        wide = h5py.h5t.STD_I64LE.copy()
        wide.set_size(2000)
        wide.set_precision(16000)
        scalar = h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5a.create(file.id, b"format_version", wide, scalar)
    assert "an integer of 1, 2, 4 or 8 bytes; got integer of 2000 bytes" in refusal(saved)


@pytest.mark.parametrize("axes", [(2**62, 2**62, 0), (2**64 - 2, 0, 1), (0, 8, 8)])
def test_axes_of_a_length_that_no_array_has(with_image: Path, axes: tuple[int, ...]) -> None:
    """Of no bytes in all, as the file says too."""
    with h5py.File(with_image) as file:
        place = file["mean_image"].id.get_offset()
    old = packed(3, 8, 8)
    patched(with_image, (old, packed(*axes)), (packed(place, 3 * 8 * 8 * 4), packed(place, 0)))
    assert "mean_image: the axes must be 1 to" in refusal(with_image)


def test_names_that_lead_out_of_the_parameters(tmp_path: Path) -> None:
    path = save(tmp_path / "net.h5", SAME)
    patched(path, (b"aa/b", b"../b"), (b"aa\0", b"..\0"))
    assert "../b/weight: must be a path of its own" in refusal(path)


# Saving


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"parameters": {}}, "missing block/conv1/bias, block/conv1/weight"),
    "extra": (
        {"parameters": {**random_parameters(TINY), "fc9/weight": np.zeros(3)}},
        "missing none; extra fc9/weight",
    ),
    "too few labels": ({"labels": ["a"]}, "labels must be one string for each of 5 classes"),
    "one string": ({"labels": "abcde"}, "labels must be one string for each of 5"),
    "labels numbers": ({"labels": [1, 2, 3, 4, 5]}, "NUL characters; got 1"),
    "label with NUL": ({"labels": ["a\0", *"bcde"]}, "NUL characters"),
    "half a character": ({"labels": ["\ud800", *"bcde"]}, "valid Unicode"),
    "ids too few": ({"label_ids": ["a"]}, "label_ids must be one string"),
    "provenance": ({"provenance": {"a": object()}}, "provenance: must be something that JSON"),
    "provenance NaN": ({"provenance": {"a": float("nan")}}, "provenance: must be something"),
    "provenance tuple": ({"provenance": {"a": (1, 2)}}, "keys or values that change"),
    "provenance keys": ({"provenance": {1: 2}}, "keys or values that change"),
    "no parameters": ({"parameters": None}, "must be a mapping from names to arrays; got NoneType"),
    "parameters a list": ({"parameters": [1]}, "parameters must be a mapping"),
    "parameters numbered": ({"parameters": {3: 1, "a": 2}}, "extra 3, a"),
    "no recipe": ({"preprocessing": None}, "preprocessing must be a Preprocessing; got NoneType"),
    "recipe a dictionary": (
        {"preprocessing": recipe(TINY).to_dict()},
        "preprocessing must be a Preprocessing; got dict",
    ),
    "no labels": ({"labels": None}, "labels must be a sequence of strings; got NoneType"),
    "ids a number": ({"label_ids": 3}, "label_ids must be a sequence of strings, or None; got int"),
    "provenance a list": ({"provenance": [1]}, "provenance must be a mapping, or None; got list"),
    "dtype": ({"dtype": "float64"}, "dtype must be float32 or float16; got 'float64'"),
    "preprocessing": ({"preprocessing": recipe(decaf_mini())}, "preprocessing's shape"),
}


@pytest.mark.parametrize(("changes", "said"), BROKEN.values(), ids=BROKEN)
def test_not_saved(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(WeightsError) as caught:
        save(tmp_path / "net.h5", **changes)
    assert str(caught.value).startswith(f"{tmp_path / 'net.h5'}: ")
    assert said in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "dtype", "said"),
    [
        (np.full((5,), np.nan, "f4"), "float32", "finite; got 5 NaN or infinite"),
        (np.array([0, 0, np.inf, 0, 0]), "float32", "finite; got 1 NaN or infinite"),
        (np.full((5,), 7e4, "f4"), "float16", "at most 65504 in size to be float16; got 70000"),
        (np.full((5,), 1e39), "float32", "to be float32; got 1e+39"),
        (np.zeros(5, "i4"), "float32", "array of floats; got int32"),
        (np.zeros(5, "c8"), "float32", "array of floats; got complex64"),
        (np.array([None] * 5), "float32", "array of floats; got object"),
        ([[1.0], [1.0, 2.0]], "float32", "must be an array"),
        (np.zeros((5, 1), "f4"), "float32", "of shape (5,); got (5, 1)"),
    ],
)
def test_values_not_saved(tmp_path: Path, value: Any, dtype: str, said: str) -> None:
    parameters = {**random_parameters(TINY), "fc2/bias": value}
    with pytest.raises(WeightsError, match="fc2/bias") as caught:
        save(tmp_path / "net.h5", parameters=parameters, dtype=dtype)
    assert said in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["a//b", "/a", "a/", "..", "a/./b", "fc2/weight", "a\nb", "\ud800"]
)
def test_names_that_make_no_path(tmp_path: Path, name: str) -> None:
    net = Architecture("odd", (3, 8, 8), (Linear("fc2", 2), Linear(name, 2)))
    with pytest.raises(WeightsError):
        save(tmp_path / "net.h5", net)
    assert not list(tmp_path.iterdir())


def test_saving_needs_a_path_and_a_network(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="^path must be a path; got NoneType$"):
        save(None)  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match="architecture must be an Architecture; got str"):
        save_weights(tmp_path / "net.h5", "alexnet", {}, recipe(TINY), [])  # type: ignore[arg-type]


@pytest.mark.parametrize("step", ["os.replace", "os.fsync"])
def test_nothing_is_left_of_a_failure(saved: Path, monkeypatch: Any, step: str) -> None:
    before = saved.read_bytes()

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(step, fail)
    with pytest.raises(WeightsError, match="No space left"):
        save(saved, parameters=random_parameters(TINY, seed=1))
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_nothing_is_left_of_an_interruption(saved: Path, monkeypatch: Any) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(saved)
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("size", [100, 3000, 5000])
def test_disk_full(saved: Path, size: int) -> None:
    before = saved.read_bytes()
    assert size < len(before)
    done = limited(
        "import signal\n"
        "from decaf.weights import load_weights, save_weights\n"
        "from decaf.errors import WeightsError\n"
        "w = load_weights(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
        "try: save_weights(sys.argv[1], w.architecture, w.parameters, w.preprocessing, w.labels)\n"
        "except WeightsError as error: print(error)\n",
        saved,
        size,
    )
    assert done.returncode == 0 and "must be a place to write to" in done.stdout, done.stderr
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_saved_through_a_link_to_its_target(saved: Path) -> None:
    link = saved.with_name("link.h5")
    link.symlink_to(saved)
    save(link, parameters=random_parameters(TINY, seed=1))
    assert link.is_symlink()
    expected = random_parameters(TINY, seed=1)["fc2/bias"]
    np.testing.assert_array_equal(load_weights(saved).parameters["fc2/bias"], expected)


def test_permissions_follow_the_umask(saved: Path) -> None:
    (saved.parent / "plain").touch()
    assert saved.stat().st_mode == (saved.parent / "plain").stat().st_mode


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="place to write to"):
        save(tmp_path / "missing" / "net.h5")


# Mean images


def mean_image() -> MeanImage:
    return MeanImage(np.random.default_rng(5).uniform(0, 255, (3, 8, 8)))


@pytest.fixture
def with_image(tmp_path: Path) -> Path:
    return save(tmp_path / "mean.h5", preprocessing=Preprocessing(8, (8, 8), mean=mean_image()))


def test_a_mean_image_travels_with_the_weights(with_image: Path) -> None:
    loaded = load_weights(with_image).preprocessing
    assert loaded == Preprocessing(8, (8, 8), mean=mean_image())
    with h5py.File(with_image) as file:  # what another program finds
        np.testing.assert_array_equal(file["mean_image"][()], mean_image().values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.pop("mean_image"), "mean must be usable"),
        (lambda file: file["mean_image"].write_direct(np.ones((3, 8, 8), "f4")), "mean must be"),
        (lambda file: file["mean_image"].write_direct(np.full((3, 8, 8), np.nan)), "all finite"),
        (lambda file: replace_image(file, np.zeros((3, 8, 7), "f4")), "mean must be usable"),
        (lambda file: replace_image(file, np.zeros((3, 8), "f4")), "of the shape C,h,w"),
        (lambda file: replace_image(file, np.zeros((3, 8, 8), "i4")), "dataset of float32"),
        (lambda file: replace_image(file, None), "dataset of float32; got a group"),
    ],
)
def test_mean_images_that_do_not_fit(with_image: Path, change: Any, message: str) -> None:
    with h5py.File(with_image, "r+") as file:
        change(file)
    assert message in refusal(with_image)


def test_a_mean_image_that_the_recipe_does_not_use(saved: Path) -> None:
    with h5py.File(saved, "r+") as file:
        file["mean_image"] = mean_image().values
    assert "mean must be usable" in refusal(saved)


def replace_image(file: h5py.File, values: np.ndarray | None) -> None:
    del file["mean_image"]
    if values is None:
        file.create_group("mean_image")
    else:
        file["mean_image"] = values


# The default


def test_default_weights_say_where_they_should_be(tmp_path: Path, monkeypatch: Any) -> None:
    package = tmp_path / "decaf"
    monkeypatch.setattr(decaf.weights, "__file__", str(package / "weights.py"))
    with pytest.raises(WeightsError, match="install decaf again"):
        default_weights()
    for place in (tmp_path / "weights" / "decaf-mini.h5", package / "_data" / "decaf-mini.h5"):
        place.parent.mkdir(parents=True)
        place.touch()
        assert default_weights() == place


def test_loading_is_quick(tmp_path: Path) -> None:
    """A network of 7 MB is there within a fraction of the second that a first answer may take."""
    path = save(tmp_path / "mini.h5", decaf_mini())
    done = limited(
        "import time\n"
        "start = time.process_time()\n"
        "from decaf.weights import load_weights\n"
        "load_weights(sys.argv[1])\n"
        "print(time.process_time() - start)\n"
        "assert 'h5py' not in sys.modules\n",
        path,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.3  # 0.05 on an idle machine


def test_long_names_count_for_more(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names may overlap in the file, and take their length in memory each."""
    with h5py.File(saved, "r+") as file:
        for i in range(20):
            file["parameters/fc2/" + "x" * 900 + str(i)] = file[BIAS]
    monkeypatch.setattr(decaf.hdf5, "MOST_ITEMS", 500)
    assert "at most 500" in refusal(saved)
