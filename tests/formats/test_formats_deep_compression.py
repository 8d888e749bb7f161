"""Han's compressed networks: a real one, and those that an encoder of the test's own writes."""

from __future__ import annotations

import dataclasses
import math
import struct
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from damage import assert_only_decaf_errors
from numpy.typing import NDArray

from decaf.architectures import bvlc_alexnet, decaf_mini, squeezenet1_0
from decaf.errors import ArchitectureError, WeightsError
from decaf.formats import deep_compression
from decaf.formats.model import Model
from decaf.image import CAFFE_IMAGENET, load_image, prepare
from decaf.plan import Network, Plan
from decaf.specs import Architecture, Conv, Linear
from tests.support import cases

TINY = Architecture("tiny", (2, 4, 5), (Conv("conv1", 3, 2), Linear("fc2", 7), Linear("fc3", 2)))
TEXT = b"""
input: "data"  input_dim: 1  input_dim: 2  input_dim: 4  input_dim: 5
layer { name: "first"  type: "Convolution"  bottom: "data"  top: "a"
        convolution_param { num_output: 3  kernel_size: 2 } }
layer { name: "second"  type: "InnerProduct"  bottom: "a"  top: "b"
        inner_product_param { num_output: 7 } }
layer { name: "third"  type: "InnerProduct"  bottom: "b"  top: "c"
        inner_product_param { num_output: 2 } }
"""


# --- an encoder --------------------------------------------------------------------------------


def nibbles(numbers: list[int]) -> bytes:
    padded = [*numbers, 0] if len(numbers) % 2 else numbers
    return bytes(low | high << 4 for low, high in zip(padded[::2], padded[1::2], strict=True))


def encoded_layer(weight: NDArray[Any], bias: NDArray[Any], bits: int) -> tuple[int, bytes]:
    """How many codes, and everything of one layer; weight by weight, as the paper tells it."""
    values = sorted({0.0, *weight.ravel().tolist()} - {0.0})
    codebook = [0.0, *values] + [99.0] * (2**bits - 1 - len(values))
    codes, gaps, zeros = [], [], 0
    for value in weight.ravel().tolist():
        if value == 0 and zeros < 15:
            zeros += 1
        else:  # a weight, or a zero that stands there because no gap is longer
            codes.append(codebook.index(value))
            gaps.append(zeros)
            zeros = 0
    packed = bytes(codes) if bits == 8 else nibbles(codes)
    floats = struct.pack(f"<{2**bits}f", *codebook) + bias.astype("<f4").tobytes()
    return len(codes), floats + packed + nibbles(gaps)


def encoded(architecture: Architecture, parameters: Mapping[str, NDArray[Any]]) -> bytes:
    layers = [
        encoded_layer(
            parameters[f"{layer.name}/weight"],
            parameters[f"{layer.name}/bias"],
            8 if isinstance(layer, Conv) else 4,
        )
        for layer in architecture.layers
        if isinstance(layer, (Conv, Linear))
    ]
    counts = [count for count, _ in layers]
    return struct.pack(f"<{len(counts)}I", *counts) + b"".join(layer for _, layer in layers)


def pruned(architecture: Architecture, kept: float, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Parameters of which a share is not zero: 255 values for convolutions, 15 for the rest."""
    rng = np.random.default_rng(seed)
    result = {}
    for name, shape in architecture.parameter_shapes.items():
        layer, _, part = name.rpartition("/")
        most = 255 if isinstance(architecture.layer(layer), Conv) else 15
        values = rng.standard_normal(most).astype(np.float32)
        array = values[rng.integers(most, size=shape)]
        if part == "weight":
            array *= rng.random(shape) < kept
        result[name] = array
    return result


def assert_same(model: Model, parameters: Mapping[str, NDArray[Any]]) -> None:
    assert list(model.parameters) == list(model.architecture.parameter_shapes)
    for found, want in zip(model.parameters.values(), parameters.values(), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, want)


@hypothesis.given(
    seed=st.integers(0, 2**32),
    kept=st.sampled_from([0, 0.02, 0.1, 0.5, 1]),
    block=st.integers(1, 9),
)
@cases
def test_what_was_encoded(seed: int, kept: float, block: int) -> None:
    parameters = pruned(TINY, kept, seed)
    data = encoded(TINY, parameters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deep_compression, "BLOCK", 2 * block)
        assert_same(deep_compression.read(data, None, TINY), parameters)


@pytest.mark.parametrize("kept", [0.01, 0.1])
def test_all_kinds_of_layers(kept: float) -> None:
    """Groups, five convolutions, three fully connected layers: AlexNet, only smaller."""
    net = decaf_mini()
    parameters = pruned(net, kept)
    data = encoded(net, parameters)
    assert len(data) < 4 * sum(map(math.prod, net.parameter_shapes.values())) / 5
    assert_same(deep_compression.read(data, None, net), parameters)


def test_by_hand() -> None:
    """No encoder: 2 of 5 weights, the second one behind two zeros, and half a byte unused."""
    net = Architecture("hand", (5, 1, 1), (Linear("fc", 1),))
    codebook = [0, 0.5, -2.0, *[9.0] * 13]
    data = struct.pack("<I16ff", 2, *codebook, 0.25) + bytes([0x21, 0x21])
    model = deep_compression.read(data, None, net)
    np.testing.assert_array_equal(model.parameters["fc/weight"], [[0, 0.5, 0, 0, -2.0]])
    np.testing.assert_array_equal(model.parameters["fc/bias"], [0.25])


# --- the network comes from elsewhere ----------------------------------------------------------


def test_names() -> None:
    parameters = pruned(TINY, 0.3)
    data = encoded(TINY, parameters)
    theirs = deep_compression.read(data, TEXT)
    assert_same(theirs, parameters)
    assert [layer.name for layer in theirs.architecture.layers] == ["first", "second", "third"]
    ours = deep_compression.read(data, TEXT, TINY)
    assert ours.architecture is TINY
    assert_same(ours, parameters)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            TEXT.replace(b"num_output: 7", b"num_output: 8"),
            r"fc2/weight \(7, 36\), got second/weig",
        ),
        (TEXT.partition(b'layer { name: "third"')[0], "expected 6 parameters, got 4"),
        (TEXT.replace(b"InnerProduct", b"Deconvolution"), "Deconvolution"),
    ],
)
def test_another_network_in_the_prototxt(text: bytes, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        deep_compression.read(encoded(TINY, pruned(TINY, 0.3)), text, TINY)


def test_neither() -> None:
    with pytest.raises(ArchitectureError, match="expected a .prototxt or an architecture"):
        deep_compression.read(encoded(TINY, pruned(TINY, 0.3)), None)


# --- damage ------------------------------------------------------------------------------------


FULL = encoded(TINY, pruned(TINY, 1))  # 24, 252 and 14 weights, and as many codes
CODEBOOK = 12  # where conv1's begins


def changed(at: int, value: bytes) -> bytes:
    return FULL[:at] + value + FULL[at + len(value) :]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "must end by 0"),
        (FULL[:-1], "^fc3: what lies at byte .* must end by"),
        (FULL + b"\0", rf"expected {len(FULL):,} bytes, got {len(FULL) + 1:,}: it is of another"),
        (changed(0, b"\x19"), r"^conv1: .* among 24 of shape \(3, 2, 2, 2\); got 25"),
        (changed(0, b"\xff" * 4), "^conv1: .* among 24 .*; got 4,294,967,295"),
        (changed(0, b"\x16"), "conv1|fc2|fc3|behind its last layer"),
        (changed(CODEBOOK, b"\0\0\x80\x3f"), "^conv1: the first value .* of the zeros; got 1.0"),
        (changed(CODEBOOK, b"\0\0\xc0\x7f"), "^conv1: the first value .* of the zeros; got nan"),
        (changed(CODEBOOK, b"\1\0\x80\x7f"), "^conv1: the first value .* of the zeros; got nan"),
        (changed(CODEBOOK + 1024 + 12 + 24, b"\x10"), "^conv1: .* got one at 24"),
    ],
)
def test_refused(data: bytes, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        deep_compression.read(data, None, TINY)


def test_damage() -> None:
    def read(data: bytes) -> None:
        deep_compression.read(data, TEXT)

    assert_only_decaf_errors(read, encoded(TINY, pruned(TINY, 0.3)), changes=2000)


def test_a_large_network_in_a_small_file() -> None:
    """AlexNet is 244 MB: 8.9 MB may hold it, a few bytes may not, and then nothing is allocated."""
    net = bvlc_alexnet()
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match="at most 67,140,864 bytes .* got 243,860,896"):
            deep_compression.read(bytes(1000), None, net)
        with pytest.raises(WeightsError, match="^the file must end behind its last layer"):
            deep_compression.read(bytes(8_900_000), None, net)  # no weights, as it happens
        assert tracemalloc.get_traced_memory()[1] < 300e6
    finally:
        tracemalloc.stop()


# --- the real file -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    path = shared_data / "squeezenet"
    if not path.is_dir():
        pytest.skip(f"SqueezeNet's weights are not there: {path}")
    return path


@pytest.fixture(scope="module")
def data(folder: Path) -> bytes:
    return (folder / "squeezenet_v1.0.deep_compression.net").read_bytes()


@pytest.fixture(scope="module")
def model(data: bytes) -> Model:
    return deep_compression.read(data, None, squeezenet1_0())


def test_squeezenet(data: bytes, model: Model) -> None:
    """Written again by the encoder it is the same file, but for the order of the codebooks."""
    assert len(data) == 675_763
    weights = [name for name in model.parameters if name.endswith("weight")]
    at, counts = 4 * len(weights), struct.unpack_from(f"<{len(weights)}I", data)
    for name, count in zip(weights, counts, strict=True):
        weight, bias = model.parameters[name], model.parameters[name.replace("weight", "bias")]
        assert np.isfinite(weight).all() and np.isfinite(bias).all(), name
        again, written = encoded_layer(weight, bias, 8)
        # Where the last zeros are many, the encoder says so once more.
        assert count <= again <= count + 1, name
        start, size = 1024 + 4 * bias.size, -(-count // 2)
        gaps = at + start + count
        assert written[1024:start] == data[at + 1024 : at + start], name
        assert written[start + again :][: size - 1] == data[gaps : gaps + size - 1], name
        at = gaps + size
    assert at == len(data)


def test_squeezenets_prototxt(folder: Path, data: bytes, model: Model) -> None:
    """The same network under other names; its last convolution pads, with next to no effect."""
    text = (folder / "squeezenet_v1.0.prototxt").read_bytes()
    theirs, ours = (
        deep_compression.read(data, text),
        deep_compression.read(data, text, squeezenet1_0()),
    )
    assert_same(theirs, model.parameters)
    assert_same(ours, model.parameters)
    assert ours.architecture == squeezenet1_0()

    def nameless(net: Architecture) -> list[Any]:
        bare = {"name": "x", "inputs": ()}
        return [dataclasses.replace(layer, **bare) for layer in net.layers]

    layers = nameless(squeezenet1_0())[:-1]  # without the softmax
    padded = next(i for i in range(len(layers)) if squeezenet1_0().layers[i].name == "conv10")
    layers[padded] = dataclasses.replace(layers[padded], padding=1)
    assert nameless(theirs.architecture) == layers


def test_photos(model: Model, shared_data: Path) -> None:
    """At least 60 of 100 photos, and 85 among the first five, with Caffe's own preprocessing."""
    path = shared_data / "imagenet" / "photos-100.zip"
    if not path.is_file():
        pytest.skip(f"the photos are not there: {path}")
    plan = Plan(Network(model.architecture, model.parameters), 10, threads=2)
    first = five = 0
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".JPEG"))
        assert len(names) == 100
        for start in range(0, 100, 10):
            batch = names[start : start + 10]
            photos = [prepare(load_image(archive.read(name)), CAFFE_IMAGENET) for name in batch]
            plan.input[...] = np.concatenate(photos)
            plan.run()
            best = np.argsort(-plan.outputs["prob"].reshape(10, -1), axis=1)[:, :5]
            truth = np.array([[int(Path(name).name[:4])] for name in batch])
            first += int((best[:, :1] == truth).sum())
            five += int((best == truth).sum())
    assert first >= 60 and five >= 85, (first, five)
