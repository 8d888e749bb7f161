"""One door to all readers: which format a file has, what is no weights file, and real files."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import tiny
import wire

from decaf.architectures import decaf_mini, squeezenet1_1
from decaf.errors import ArchitectureError, DecafError, WeightsError
from decaf.formats import caffe_schema, safetensors
from decaf.formats.detect import detect
from decaf.formats.read import map_file, read, read_mean, read_with_notes
from decaf.preprocessing import Preprocessing
from decaf.serialize import architecture_to_dict
from decaf.specs import AdaptiveAvgPool, Architecture, Conv, Flatten


def field(number: int, payload: bytes | int) -> bytes:
    """One field of a protocol buffer, shorter than 128 bytes; numbers up to 2047."""
    wire = 0 if isinstance(payload, int) else 2
    key = number << 3 | wire
    head = bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])
    body = bytes([payload]) if isinstance(payload, int) else bytes([len(payload)]) + payload
    return head + body


def zipped(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"contents")
    return stream.getvalue()


def hdf5(*groups: str) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=("earliest", "v108")) as file:
        for name in groups:
            file.create_group(name)
    return stream.getvalue()


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("pickle"))
    return stream.getvalue()


SAFETENSORS = (2).to_bytes(8, "little") + b"{}"
NET_V1 = field(1, b"CaffeNet") + field(2, b"a layer")
NET = field(1, b"CaffeNet") + field(100, b"a layer")
ONNX = field(1, 8) + field(2, b"pytorch") + field(7, b"a graph")


@pytest.mark.parametrize("suffix", ["", ".bin", ".pth", ".h5"])  # the name has no say
@pytest.mark.parametrize(
    ("data", "format"),
    [
        (zipped("archive/data.pkl", "archive/data/0"), "torch"),
        (zipped("data.pkl"), "torch"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "torch"),
        (tarred(), "torch"),
        (zipped("conv1/weight.npy"), "npz"),
        (SAFETENSORS, "safetensors"),
        (hdf5("data"), "caffe-h5"),
        (NET, "caffe"),
        (NET_V1, "caffe"),
        (field(100, b"a layer"), "caffe"),
        (NET[:-3], "caffe"),  # cut off, which the reader will say
        (field(1, b"n" * 60) + field(100, b"a layer"), "caffe"),  # 60 is "<"
        (field(1, b"!DOCTYPE html>" + b"n" * 46) + field(2, b"a layer"), "caffe"),
        (ONNX, "onnx"),
        (field(1, 8) + field(7, b"a graph"), "onnx"),
    ],
)
def test_formats_by_contents(data: bytes, format: str, suffix: str) -> None:
    assert detect(data, suffix) == format


@pytest.mark.parametrize(
    ("suffix", "format"),
    [(".net", "deep-compression"), (".NET", "deep-compression"), (".caffemodel", "caffe"),
     (".onnx", "onnx")],
)  # fmt: skip
def test_the_suffix_where_the_contents_say_nothing(suffix: str, format: str) -> None:
    assert detect(b"\xe1\x03\0\0\x07\0\0\0", suffix) == format


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "got an empty one"),
        (b"<!DOCTYPE html>\n<html>", "a web page"),
        (b'\n <?xml version="1.0"?>', "a web page or other XML"),
        (b"\xef\xbb\xbf<html><title>\xe9\xe8 in Latin-1</title>", "a web page or other XML"),
        (b"< 5 is what this text says", "got text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "git lfs pull"),
        (gzip.compress(b"weights"), "a gzip archive: unpack it first"),
        (b"BZh91AY&SY", "unpack it first"),
        (b"\xfd7zXZ\0\0", "unpack it first"),
        (b"\x93NUMPY\x01\0", "one array of NumPy"),
        (b"\x89PNG\r\n\x1a\n", "a picture"),
        (b"\x1c\0\0\0TFL3\x14\0", "TensorFlow Lite"),
        (field(1, b"\n\1a") + field(1, b"\n\1b"), "a network of TensorFlow"),
        (field(1, 1) + field(2, 3) + field(3, 8) + field(4, 8), "a mean of Caffe"),
        (hdf5("model_weights"), "a network of Keras"),
        (zipped("config.json", "model.weights.h5"), "a network of Keras"),
        (hdf5("parameters", "labels"), "the group data.*got labels, parameters"),
        (hdf5("data")[:100], "HDF5 file that is whole"),
        (zipped("a/data.pkl")[:-9], "ZIP archive that is whole"),
        (zipped("cat.jpg", "dog.jpg"), "this one holds cat.jpg, dog.jpg"),
        (b'name: "LeNet"\nlayer {\n  name: "data"', "as its prototxt"),
        (b"Dear reader,\n\xc3\xa9crivez", "got text, 'Dear reader"),
        (b"\xff\xfe\xfd\xfc\xfb", "its first bytes"),
        (bytes(range(1, 200)), "its first bytes"),
    ],
)
def test_what_is_no_weights_file(data: bytes, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        detect(data, ".bin")


def test_text_that_is_cut_in_the_middle_of_a_character() -> None:
    with pytest.raises(WeightsError, match="got text"):
        detect("é".encode() * 1000 + b"a", "")
    with pytest.raises(WeightsError, match="got text"):
        detect(b"a" + "é".encode() * 1000, "")


def test_any_bytes_give_a_format_or_an_error_of_decaf() -> None:
    random = np.random.default_rng(0)
    samples = [zipped("a/data.pkl"), tarred(), hdf5("data"), SAFETENSORS, NET, NET_V1, ONNX]
    for number in range(3000):
        sample = bytearray(samples[number % len(samples)])
        for place in random.integers(0, len(sample), 1 + number % 3):
            sample[place] = random.integers(256)
        data = bytes(sample[: random.integers(len(sample) + 1)] if number % 2 else sample)
        try:
            assert isinstance(detect(data, ".x"), str)
        except WeightsError:
            pass


def test_a_decaf_file(tmp_path: Path) -> None:
    path = tiny.save(tmp_path / "tiny.h5")
    found = read_with_notes(path)
    assert (found.format, found.model.architecture) == ("decaf", tiny.ARCHITECTURE)
    assert (found.model.preprocessing, found.notes.labels) == (tiny.PREPROCESSING, tiny.LABELS)
    with pytest.raises(WeightsError, match=r"tiny\.h5: a file of decaf says its layers itself"):
        read(path, architecture="alexnet")


def test_files_that_cannot_be_mapped(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    else:
        pytest.skip("no pipes on this system")
    for name, message in (
        ("empty", "must not be empty"),
        ("pipe", "something else"),
        ("", "a folder"),
        ("nowhere", "no such file"),
        ("a\0b", "must be"),
    ):
        path = os.path.join(tmp_path, name)
        with pytest.raises(WeightsError, match=message) as caught:
            map_file(path)
        assert str(caught.value).count(str(tmp_path)) >= 1
    with pytest.raises(WeightsError, match="must be a file that can be read"):
        map_file(None)  # type: ignore[arg-type]


def test_the_path_stands_in_front_once(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(NET[:-3])
    with pytest.raises(DecafError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).count(str(path)) == 1
    assert str(caught.value).isprintable()


def mini(path: Path, classes: int = 7) -> dict[str, np.ndarray]:
    """An .npz with the parameters of decaf_mini, in an order of its own."""
    random = np.random.default_rng(0)
    shapes = decaf_mini(classes).parameter_shapes
    arrays = {name: random.standard_normal(shapes[name]).astype(np.float32) for name in shapes}
    np.savez(path, **dict(sorted(arrays.items())))
    return arrays


@pytest.mark.parametrize("architecture", [None, "decaf_mini"])
def test_npz_with_as_many_classes_as_it_has(tmp_path: Path, architecture: str | None) -> None:
    arrays = mini(tmp_path / "mini.npz")
    found = read_with_notes(tmp_path / "mini.npz", architecture=architecture)
    assert found.format == "npz"
    assert found.model.architecture == decaf_mini(7)
    assert found.model.parameters.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.model.parameters[name], array)


def test_architecture_from_a_file(tmp_path: Path) -> None:
    mini(tmp_path / "mini.npz")
    mine = dataclasses.replace(decaf_mini(7), name="mine")
    (tmp_path / "mine.json").write_text(json.dumps(architecture_to_dict(mine)))
    model = read(tmp_path / "mini.npz", architecture=tmp_path / "mine.json")
    assert model.architecture == mine


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("[1, 2]", WeightsError, "an architecture in JSON; got a list"),
        ("{", WeightsError, "an architecture in JSON; got "),
        ('{"a": NaN}', WeightsError, "numbers must be finite, got NaN"),
        ('{"a": 1, "a": 2}', WeightsError, "a key stands twice"),
        ("[" * 100_000, WeightsError, "an architecture in JSON"),
        ("{}", ArchitectureError, "must have every field"),
    ],
)
def test_architecture_files_that_are_none(
    tmp_path: Path, text: str, error: type[DecafError], message: str
) -> None:
    mini(tmp_path / "mini.npz")
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(error, match=rf"mine\.json: .*{message}"):
        read(tmp_path / "mini.npz", architecture=tmp_path / "mine.json")


def test_options_that_are_wrong(tmp_path: Path) -> None:
    mini(tmp_path / "mini.npz")
    with pytest.raises(WeightsError, match="architecture must be alexnet, .*got 'lexnet'"):
        read(tmp_path / "mini.npz", architecture="lexnet")
    with pytest.raises(WeightsError, match="format must be one of torch, .*got 'keras'"):
        read(tmp_path / "mini.npz", format="keras")
    (tmp_path / "net.prototxt").write_text('name: "net"')
    with pytest.raises(WeightsError, match="files of Caffe alone; got one of npz"):
        read(tmp_path / "mini.npz", prototxt=tmp_path / "net.prototxt")
    with pytest.raises(WeightsError, match="a torch archive must"):
        read(tmp_path / "mini.npz", format="torch")


PROTOTXT = b"""
name: "tiny"  input: "data"  input_dim: 1  input_dim: 1  input_dim: 2  input_dim: 2
layer { name: "ip"  type: "InnerProduct"  bottom: "data"  top: "ip"
        inner_product_param { num_output: 2 } }
"""
BLOBS = (np.arange(8, dtype=np.float32).reshape(2, 4), np.float32([0.5, -0.5]))


def caffe_file(path: Path, kind: str) -> Path:
    """The network of PROTOTXT, as a file of one of the three formats that take a prototxt."""
    if kind == "caffe-h5":
        with h5py.File(path, "w", libver=("earliest", "v108")) as file:
            for number, blob in enumerate(BLOBS):
                file[f"data/ip/{number}"] = blob
    elif kind == "caffe":
        blobs = [{"shape": {"dim": list(blob.shape)}, "data": blob.ravel()} for blob in BLOBS]
        net = {"name": "tiny", "layer": [{"name": "ip", "type": "InnerProduct", "blobs": blobs}]}
        path.write_bytes(wire.encode(net, caffe_schema.NET))
    else:  # one weight that is not 0: the first, of value 1
        codebook = np.zeros(16, "<f4")
        codebook[1] = 1
        path.write_bytes(np.uint32(1).tobytes() + codebook.tobytes() + BLOBS[1].tobytes() + b"\1\0")
    return path


@pytest.mark.parametrize("kind", ["caffe", "caffe-h5", "deep-compression"])
def test_an_architecture_is_used_or_refused(tmp_path: Path, kind: str) -> None:
    """Never passed over: only deep-compression takes its names beside a prototxt."""
    path, text = caffe_file(tmp_path / "weights", kind), tmp_path / "net.prototxt"
    text.write_bytes(PROTOTXT)
    found = read(path, prototxt=text, format=kind).architecture
    mine = dataclasses.replace(found, name="mine")
    (tmp_path / "mine.json").write_text(json.dumps(architecture_to_dict(mine)))
    assert read(path, architecture=tmp_path / "mine.json", format=kind).architecture == mine
    both = {"prototxt": text, "architecture": tmp_path / "mine.json", "format": kind}
    if kind == "deep-compression":
        assert read(path, **both).architecture == mine
        return
    with pytest.raises(WeightsError) as caught:
        read(path, **both)
    message = str(caught.value)
    assert message.startswith(f"{path}: the layers must come from the prototxt or ")
    assert message.endswith("got both")


def test_no_architecture_with_onnx(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(ONNX)
    with pytest.raises(WeightsError, match=r"net\.onnx: .*says its layers itself.*got 'alexnet'"):
        read(tmp_path / "net.onnx", architecture="alexnet")


@pytest.mark.parametrize("kind", ["caffe", "caffe-h5", "deep-compression"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PROTOTXT.replace(b"num_output", b"num_output ?"), "line 4: expected a word"),
        (b'{"layers": []}', "line 1: a field must begin with its name"),
        (b"\x89HDF\r\n\x1a\n\0", "line 1: expected a word"),
        (b"x" * (2**22 + 1), "a .prototxt must be text of at most"),
        (b'name: "net"', "the net must have layers"),
        (PROTOTXT.replace(b"InnerProduct", b"Embed"), "ip"),
        (PROTOTXT.replace(b'bottom: "data"', b'bottom: "date"'), "ip: what it reads must"),
        (PROTOTXT.replace(b"input_dim: 2", b"input_dim: 0"), ""),
        (b"", "must not be empty"),
    ],
)
def test_a_prototxt_that_is_wrong_is_named(
    tmp_path: Path, kind: str, text: bytes, message: str
) -> None:
    path, wrong = caffe_file(tmp_path / "weights", kind), tmp_path / "net.txt"
    wrong.write_bytes(text)
    with pytest.raises((WeightsError, ArchitectureError)) as caught:
        read(path, prototxt=wrong, format=kind)
    assert str(caught.value).startswith(f"{wrong}: {message}")
    assert str(path) not in str(caught.value)


def test_a_prototxt_of_another_network_is_not_called_damaged(tmp_path: Path) -> None:
    path, text = caffe_file(tmp_path / "weights", "caffe"), tmp_path / "net.prototxt"
    text.write_bytes(PROTOTXT.replace(b"num_output: 2", b"num_output: 3"))
    with pytest.raises(WeightsError) as caught:
        read(path, prototxt=text, format="caffe")
    assert str(caught.value).startswith(f"{path}: ip")


def test_a_recipe_in_notes_must_fit_the_architecture_that_is_given(tmp_path: Path) -> None:
    """What is given wins; the recipe of other photos is then of no use."""
    wide = Architecture("wide", (3, 8, 8), (Conv("c", 2, 8), Flatten("f")))
    tall = dataclasses.replace(wide, input_shape=(3, 9, 8), name="tall")
    tall = dataclasses.replace(tall, layers=(Conv("c", 2, 8), AdaptiveAvgPool("p", 1)))
    p = {name: np.ones(shape, np.float32) for name, shape in wide.parameter_shapes.items()}
    recipe = Preprocessing((8, 8), (8, 8))
    safetensors.write(tmp_path / "x.safetensors", wide, p, preprocessing=recipe)
    assert read(tmp_path / "x.safetensors").preprocessing == recipe
    (tmp_path / "tall.json").write_text(json.dumps(architecture_to_dict(tall)))
    found = read(tmp_path / "x.safetensors", architecture=tmp_path / "tall.json")
    assert (found.architecture, found.preprocessing) == (tall, None)


def test_two_formats_of_the_same_network(shared_data: Path) -> None:
    folder = shared_data / "squeezenet"
    ours = read_with_notes(folder / "squeezenet_v1.1.caffemodel")
    theirs = read_with_notes(folder / "squeezenet_v1.1.pth")
    assert (ours.format, theirs.format) == ("caffe", "torch")
    assert ours.model.architecture == theirs.model.architecture == squeezenet1_1()
    for name, array in ours.model.parameters.items():
        np.testing.assert_array_equal(array, theirs.model.parameters[name])


def test_means(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "caffe" / "nets-h5" / "mean.binaryproto"
    mean = read_mean(path)
    assert mean.shape == (3, 32, 32)
    np.save(tmp_path / "mean.npy", mean)
    np.testing.assert_array_equal(read_mean(tmp_path / "mean.npy"), mean)
    (tmp_path / "mean.npy").write_bytes(b"\x93NUMPY\x01\0")
    with pytest.raises(WeightsError, match=r"mean\.npy: "):
        read_mean(tmp_path / "mean.npy")


@pytest.mark.parametrize("length", [640, 896, 1152, 1408, 0x4B50])
def test_a_header_of_safetensors_may_have_any_length(tmp_path: Path, length: int) -> None:
    """Its length stands first, and may look like the start of a pickle or of a ZIP archive."""
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(length)
    data = length.to_bytes(8, "little") + header + bytes(4)
    assert detect(data, "") == "safetensors"
