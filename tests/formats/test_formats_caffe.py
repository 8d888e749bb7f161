"""``.caffemodel`` files: real ones against OpenCV 4 and CIFAR-10, hand-made ones, damaged ones."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import support_cifar as cifar
from numpy.typing import NDArray
from support import normal
from wire import encode, packed, unpacked

from decaf.architectures import bvlc_alexnet, caffenet, squeezenet1_0, squeezenet1_1
from decaf.errors import ArchitectureError, DecafError, WeightsError
from decaf.formats import means
from decaf.formats.caffe import assemble, blob_array, find_topology, read
from decaf.formats.caffe_schema import BLOB, NET
from decaf.formats.model import Model, Transform
from decaf.formats.protobuf import decode
from decaf.plan import Network, Plan
from decaf.specs import Architecture, Conv, Linear

HERE = Path(__file__).parent
OPENCV4 = HERE.parents[1] / ".venv" / "opencv4"
NETS = {
    "quick": ("caffe/nets-v1/cifar10_quick_iter_5000", "caffe/nets-v1/cifar10_quick"),
    "full": ("caffe/nets-v1/cifar10_full_iter_70000", "caffe/nets-v1/cifar10_full"),
    "lenet": ("caffe/nets-v1/lenet_iter_10000", "caffe/nets-v1/lenet"),
    "squeezenet": ("squeezenet/squeezenet_v1.1", "squeezenet/squeezenet_v1.1"),
}


def files(shared_data: Path, name: str) -> tuple[Path, Path]:
    """The .caffemodel and the .prototxt of a real net."""
    model, prototxt = NETS[name]
    found = shared_data / f"{model}.caffemodel", shared_data / f"{prototxt}.prototxt"
    for path in found:
        if not path.is_file():
            pytest.skip(f"Caffe's net is not there: {path}")
    return found


def load(shared_data: Path, name: str) -> Model:
    model, prototxt = files(shared_data, name)
    return read(model.read_bytes(), prototxt.read_bytes())


def forward(model: Model, x: NDArray[np.float32], *layers: str) -> dict[str, NDArray[np.float32]]:
    wide = {name: np.asarray(array, np.float32) for name, array in model.parameters.items()}
    layers = layers or (model.architecture.layers[-1].name,)
    plan = Plan(Network(model.architecture, wide), len(x), layers, threads=2)
    plan.input[...] = x
    plan.run()
    return {name: np.array(array) for name, array in plan.outputs.items()}


@pytest.mark.parametrize("name", NETS)
def test_outputs_are_those_of_opencv_4(shared_data, tmp_path, name):
    if not OPENCV4.is_dir():
        pytest.skip(f"OpenCV 4, the last with a Caffe importer, is not installed in {OPENCV4}")
    model, prototxt = files(shared_data, name)
    found = load(shared_data, name)
    # As far from 0 as its photos were: LeNet's are scaled to 1.
    x = normal(2, *found.architecture.input_shape) * (0.5 if name == "lenet" else 60)
    np.save(tmp_path / "x.npy", x)
    # OpenCV makes one layer of a convolution and its ReLU; these stand by themselves.
    between = {"quick": "ip1", "full": "norm2", "lenet": "pool2", "squeezenet": "pool5"}[name]
    last = found.architecture.layers[-1].name
    got = forward(found, x, between, last)
    for layer in (between, last):
        command = [sys.executable, HERE / "opencv4.py", prototxt, model]
        command += [tmp_path / "x.npy", tmp_path / "y.npy", layer]
        environment = {**os.environ, "PYTHONPATH": str(OPENCV4)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        want = np.load(tmp_path / "y.npy").reshape(got[layer].shape)
        assert want.std() > 1e-3  # a dead net would agree with anything,
        assert layer != "prob" or want.max() < 0.9999  # and so would one that is too sure
        error = np.abs(got[layer] - want).max() / np.abs(want).max()
        assert error < 1e-4, f"{layer}: {error:.2g}"


@pytest.mark.parametrize(("name", "least"), [("quick", 0.72), ("full", 0.78)])
def test_accuracy_on_cifar_10(shared_data, name, least):
    path = shared_data / "caffe" / "nets-h5" / "mean.binaryproto"
    model = load(shared_data, name)
    if not path.is_file():
        pytest.skip(f"the mean image is not there: {path}")
    mean = means.read(path.read_bytes())
    right = cifar.accuracy(model, mean, shared_data)
    assert right >= least
    assert cifar.accuracy(model, mean * 0, shared_data) < right - 0.05  # the mean matters


def test_parameters_are_views_of_the_file(shared_data):
    data = files(shared_data, "squeezenet")[0].read_bytes()
    whole = np.frombuffer(data, np.uint8)
    found = read(data)
    for array in found.parameters.values():
        assert np.shares_memory(array, whole) and not array.flags.writeable
    tracemalloc.start()
    read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(data) / 4


def test_squeezenet_is_recognised_or_told(shared_data):
    model, prototxt = files(shared_data, "squeezenet")
    data = model.read_bytes()
    told = read(data, architecture=squeezenet1_1())
    described = read(data, prototxt.read_bytes())
    recognised = read(data)
    assert recognised.architecture == squeezenet1_1()
    for found in (told, described, recognised):
        assert found.architecture.shapes == squeezenet1_1().shapes
        assert set(found.parameters) == set(squeezenet1_1().parameter_shapes)
    with pytest.raises(WeightsError, match="conv1/weight: the blob must fit"):
        read(data, architecture=squeezenet1_0())  # which differs in no other blob


@pytest.mark.parametrize("name", ["quick", "full", "lenet"])
def test_a_file_that_does_not_say_its_size_asks_for_it(shared_data, name):
    model, prototxt = files(shared_data, name)
    with pytest.raises(WeightsError, match=r"give its \.prototxt"):
        read(model.read_bytes())
    deployed = read(model.read_bytes(), prototxt.read_bytes())
    shape = deployed.architecture.input_shape
    alone = read(model.read_bytes(), input_shape=shape)
    assert alone.architecture.layers == deployed.architecture.layers
    for parameter, array in alone.parameters.items():
        np.testing.assert_array_equal(array, deployed.parameters[parameter])


# --- files made here ------------------------------------------------------------------------

INPUT = 'name: "made" input: "data" input_shape { dim: [1, 4, 5, 6] } '
TEXT = INPUT + (
    'layer { name: "c" type: "Convolution" bottom: "data" top: "c" '
    "  convolution_param { num_output: 6 kernel_size: 3 group: 2 %s } } "
    'layer { name: "r" type: "ReLU" bottom: "c" top: "c" } '
    'layer { name: "f" type: "InnerProduct" bottom: "c" top: "f" '
    "  inner_product_param { num_output: 3 %s } }"
)
SHAPES = {"c": ((6, 2, 3, 3), (6,)), "f": ((3, 72), (3,))}


def arrays(dtype: str = "<f4") -> dict[str, list[NDArray[Any]]]:
    return {
        name: [normal(*shape, seed=1).astype(dtype) for shape in shapes]
        for name, shapes in SHAPES.items()
    }


def blob(array: NDArray[Any], form: str) -> dict[str, Any]:
    data = "data" if array.dtype == "<f4" else "double_data"
    if form == "4-D":
        sides = (1,) * (4 - array.ndim) + array.shape
        shape: Any = dict(zip(("num", "channels", "height", "width"), sides, strict=True))
    else:
        shape = {"shape": {"dim": list(array.shape)}}
    return {**shape, data: array.reshape(-1)}


def caffemodel(
    values: dict[str, list[NDArray[Any]]], form: str = "shape", old: bool = False,
    run: Callable[..., bytes] = packed,
) -> bytes:  # fmt: skip
    layers = [
        {"name": name, "blobs": [blob(a, form) for a in given]} for name, given in values.items()
    ]
    return encode({"name": "made", "layers" if old else "layer": layers}, NET, run=run)


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("form", ["4-D", "shape"])
@pytest.mark.parametrize("run", [packed, unpacked])
@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_every_form_of_a_file(old, form, run, dtype):
    values = arrays(dtype)
    found = read(caffemodel(values, form, old, run), (TEXT % ("", "")).encode())
    assert list(found.parameters) == ["c/weight", "c/bias", "f/weight", "f/bias"]
    for name, (weight, bias) in values.items():
        for part, want in (("weight", weight), ("bias", bias)):
            got = found.parameters[f"{name}/{part}"]
            assert got.dtype == dtype
            np.testing.assert_array_equal(got, want)
            assert got.shape == want.shape
    assert found.architecture.name == "made" and found.preprocessing is None


def test_a_run_in_pieces_is_one_blob():
    values = np.arange(6, dtype="<f4")
    message = packed(5, values[:2]) + unpacked(5, values[2:5]) + packed(5, values[5:])
    shape = encode({"shape": {"dim": [2, 3]}}, BLOB)
    np.testing.assert_array_equal(
        blob_array(decode(message + shape, BLOB), "x"), values.reshape(2, 3)
    )


def test_without_bias_and_transposed():
    values = {name: given[:1] for name, given in arrays().items()}
    weight = values["f"][0]
    values["f"] = [np.ascontiguousarray(weight.T)]
    text = TEXT % ("bias_term: false", "bias_term: false transpose: true")
    data = caffemodel(values)
    found = read(data, text.encode())
    np.testing.assert_array_equal(found.parameters["f/weight"], weight)
    assert np.shares_memory(found.parameters["f/weight"], np.frombuffer(data, np.uint8))
    for name, (_, shape) in SHAPES.items():
        np.testing.assert_array_equal(found.parameters[f"{name}/bias"], np.zeros(shape))
    x = normal(1, 4, 5, 6)
    usual = {**arrays(), "f": [weight, np.zeros(3, "<f4")]}
    usual["c"][1][...] = 0
    want = read(caffemodel(usual), (TEXT % ("", "")).encode())
    np.testing.assert_array_equal(forward(found, x)["f"], forward(want, x)["f"])


def test_layers_that_the_net_has_not_are_ignored():
    values = {"head": [normal(7)], **arrays(), "other": []}
    assert set(read(caffemodel(values), (TEXT % ("", "")).encode()).parameters) == {
        "c/weight", "c/bias", "f/weight", "f/bias",
    }  # fmt: skip


def test_two_layers_of_one_name_are_refused_if_both_have_blobs():
    """Caffe's own nets list data layers twice, for training and for test."""
    whole, text = caffemodel(arrays()), (TEXT % ("", "")).encode()
    data = encode({"layer": {"name": "data", "type": "Data"}}, NET)
    assert set(read(data + whole + data, text).parameters) == {
        "c/weight", "c/bias", "f/weight", "f/bias",
    }  # fmt: skip
    with pytest.raises(WeightsError, match="^f: layers with blobs must have different names"):
        read(whole + caffemodel({"f": arrays()["f"]}), text)


def changed(name: str, given: Any) -> bytes:
    return caffemodel({**arrays(), name: given})


weight, bias = arrays()["c"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (caffemodel({"f": arrays()["f"]}), "^c: .*expected 2 blobs, got 0"),
        (changed("c", [weight]), "^c: .*expected 2 blobs, got 1"),
        (changed("c", [weight, bias, bias]), "^c: .*expected 2 blobs, got 3"),
        (changed("c", [weight[:5], bias]), r"^c/weight: .*expected \(6, 2, 3, 3\), got \(5,"),
        (changed("c", [weight.reshape(6, 2, 9, 1), bias]), "^c/weight: "),
        (changed("c", [weight, bias[:5]]), "^c/bias: "),
        (changed("f", [arrays()["f"][0].T, bias[:3]]), "^f/weight: "),
        (encode({"layer": {"name": "c", "blobs": {"shape": {"dim": [7, -1]}}}}, NET), "^c: a blob"),
        (encode({"layer": {"name": "c", "blobs": {"shape": {"dim": [2**62] * 4}}}}, NET),
         "^c: a blob must have as many numbers"),
        (encode({"layer": {"name": "c", "blobs": {"shape": {"dim": [1] * 40},
                                                  "data": bias[:1]}}}, NET), "^c: a blob"),
        (encode({"layer": {"name": "c", "blobs": {"shape": {"dim": [6]}, "data": bias,
                                                  "double_data": bias.astype("<f8")}}}, NET),
         "^c: a blob must have data or double_data; got both"),
        (encode({"layer": {"name": "c", "blobs": {"num": 1, "channels": 2, "data": bias}}}, NET),
         "^c: a blob"),
    ],
)  # fmt: skip
def test_says_which_layer_has_wrong_blobs(data, reason):
    with pytest.raises(WeightsError, match=reason):
        read(data, (TEXT % ("", "")).encode())


def test_architecture_given():
    net = Architecture("mine", (4, 5, 6), (Conv("c", 6, 3, groups=2), Linear("f", 3)))
    found = read(caffemodel(arrays()), architecture=net)
    assert found.architecture is net
    np.testing.assert_array_equal(found.parameters["f/weight"], arrays()["f"][0])
    with pytest.raises(WeightsError, match="^d: "):
        read(caffemodel(arrays()), architecture=Architecture("x", (4, 5, 6), (Linear("d", 3),)))


@pytest.mark.parametrize(
    ("build", "order"),
    [(bvlc_alexnet, ["conv1", "norm1", "pool1"]), (caffenet, ["conv1", "pool1", "norm1"])],
)
def test_alexnets_are_told_apart_by_the_order_of_layers(build, order):
    net, blobs = build(7), {}
    for name, shape in net.parameter_shapes.items():
        zeros = np.broadcast_to(np.float32(0), shape)  # which take no memory
        blobs.setdefault(name.partition("/")[0], []).append(zeros)
    found = find_topology({"layer": [{"name": [name]} for name in order]}, blobs)
    assert found.architecture == net
    model = assemble(found, blobs)
    assert model.parameters["fc6/weight"].shape == (4096, 9216)
    with pytest.raises(WeightsError, match="which network"):
        find_topology({"layer": [{"name": ["conv1"]}]}, blobs)
    del blobs["fc7"]
    with pytest.raises(WeightsError, match="which network"):
        find_topology({"layer": [{"name": [name]} for name in order]}, blobs)


def source(transform: str, size: int = 6, channels: int = 3) -> str:
    return (
        f'layer {{ name: "d" type: "Data" top: "data" transform_param {{ {transform} }} }} '
        'layer { name: "f" type: "InnerProduct" bottom: "data" top: "f" '
        "  inner_product_param { num_output: 3 } }"
    )


def one_linear(inputs: int) -> bytes:
    return caffemodel({"f": [np.zeros((3, inputs), "<f4"), np.zeros(3, "<f4")]})


@pytest.mark.parametrize(
    ("transform", "want"),
    [
        ("crop_size: 6", Transform(crop_size=6)),
        ('crop_size: 6 mean_file: "m" scale: 0.5', Transform(0.5, (), "m", 6)),
        ("crop_size: 6 mean_value: [104, 117, 123]", Transform(1, (104, 117, 123), "", 6)),
    ],
)
def test_what_the_data_layer_says_of_photos(transform, want):
    found = read(one_linear(108), source(transform).encode())
    assert found.transform == want and found.preprocessing is None


def test_the_data_layer_of_training_goes_with_a_net_as_deployed():
    data = encode(
        {
            "layer": [
                {"name": "d", "type": "Data", "top": "data", "transform_param": {"scale": 0.25}},
                {"name": "f", "blobs": [blob(np.zeros((3, 60), "<f4"), "shape"),
                                        blob(np.zeros(3, "<f4"), "shape")]},
            ]
        },
        NET,
    )  # fmt: skip
    text = (
        'input: "data" input_dim: [1, 3, 4, 5] layer { name: "f" type: "InnerProduct" '
        'bottom: "data" top: "f" inner_product_param { num_output: 3 } }'
    )
    assert read(data, text.encode()).transform == Transform(scale=0.25)


# --- damage ---------------------------------------------------------------------------------


def attempt(data: bytes, *rest: Any, **options: Any) -> bool:
    """Whether a model comes out; only DecafError may, and soon."""
    start = time.perf_counter()
    try:
        found = read(data, *rest, **options)
    except DecafError as error:
        assert len(str(error)) < 1000
        whole = False
    else:
        shapes = {name: array.shape for name, array in found.parameters.items()}
        assert shapes == found.architecture.parameter_shapes
        whole = True
    assert time.perf_counter() - start < 10  # and not a hang
    return whole


def own_net() -> bytes:
    """A small file that holds its topology, with every kind of option."""
    values = arrays()
    layers: list[dict[str, Any]] = [
        {"name": "d", "type": "Input", "top": "data",
         "input_param": {"shape": {"dim": [1, 4, 5, 6]}}},
        {"name": "c", "type": "Convolution", "bottom": "data", "top": "c",
         "convolution_param": {"num_output": 6, "kernel_size": 3, "group": 2},
         "blobs": [blob(a, "shape") for a in values["c"]]},
        {"name": "r", "type": "ReLU", "bottom": "c", "top": "c"},
        {"name": "n", "type": "LRN", "bottom": "c", "top": "c", "lrn_param": {"alpha": 0.5}},
        {"name": "p", "type": "Pooling", "bottom": "c", "top": "p",
         "pooling_param": {"pool": "AVE", "kernel_size": 2, "stride": 1}},
        {"name": "f", "type": "InnerProduct", "bottom": "p", "top": "f",
         "inner_product_param": {"num_output": 3},
         "blobs": [blob(normal(3, 36), "4-D"), blob(normal(3), "4-D")]},
        {"name": "q", "type": "Softmax", "bottom": "f", "top": "q"},
    ]  # fmt: skip
    return encode({"layer": layers}, NET)


def test_every_truncation_gives_a_decaf_error():
    data = own_net()
    assert attempt(data)
    whole = [size for size in range(len(data)) if attempt(data[:size])]
    assert len(whole) == 5  # cut behind one of the layers c, r, n, p, f, the part is a net too


def test_every_changed_byte_gives_a_model_or_a_decaf_error():
    data = own_net()
    weights = arrays()["c"][0].tobytes()
    start = data.index(weights)
    for at in range(len(data)):
        if start < at < start + len(weights) and at % 7:
            continue  # one weight is like another
        for byte in (data[at] ^ 1 << at % 8, 0xFF, 0):
            attempt(data[:at] + bytes([byte]) + data[at + 1 :])


def test_spliced_files_give_a_model_or_a_decaf_error():
    data, draw = own_net(), random.Random(0)
    for _ in range(2000):
        start, stop = sorted(draw.sample(range(len(data)), 2))
        to = draw.randrange(len(data))
        attempt(data[:to] + data[start:stop] + data[to:])


def test_real_files_cut_and_changed(shared_data):
    model, prototxt = files(shared_data, "quick")
    data, text, draw = model.read_bytes(), prototxt.read_bytes(), random.Random(0)
    assert attempt(data, text)
    for _ in range(300):
        assert not attempt(data[: draw.randrange(len(data))], text)
        changes = bytearray(data)
        for _ in range(3):
            changes[draw.randrange(len(data))] = draw.randrange(256)
        attempt(bytes(changes), text)
        attempt(bytes(changes), input_shape=(3, 32, 32))


HUGE = {"num_output": 2**20, "kernel_size": 2**20, "pad": 2**20 - 1}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xa2\x06\x00" * 90_000,  # layers of nothing
        encode({"layer": [{"name": "x" * 1000, "bottom": "y" * 1000}] * 100}, NET),
        encode({"input": "data", "input_dim": [1, 2**40, 2**40, 2**40],
                "layer": {"name": "x", "type": "ReLU", "bottom": "data", "top": "x"}}, NET),
        encode({"input": "data", "input_dim": [1, 3, 2**20, 2**20],
                "layer": {"name": "x", "type": "Convolution", "bottom": "data", "top": "x",
                          "convolution_param": HUGE}}, NET),
        encode({"input": "data", "input_dim": [1, 3, 9, 9],
                "layer": {"name": "x", "type": "InnerProduct", "bottom": "data", "top": "x",
                          "inner_product_param": {"num_output": 2**20, "bias_term": False}}}, NET),
        encode({"input": "data", "input_dim": [1, 3, 9, 9],
                "layer": [{"name": f"{i}", "type": "Concat", "bottom": [f"{i}"] * 2,
                           "top": f"{i + 1}"} for i in range(2000)]}, NET),
        encode({"input": "0", "input_dim": [1, 3, 9, 9],
                "layer": [{"name": f"{i}", "type": "Concat", "bottom": [f"{i}"] * 2,
                           "top": f"{i + 1}"} for i in range(2000)]}, NET),
        encode({"input": "0", "input_dim": [1, 3, 9, 9],
                "layer": {"name": "x", "type": "ReLU", "bottom": "0", "top": "x",
                          "relu_param": [{"negative_slope": 0.0}] * 30_000}}, NET),
    ],
)  # fmt: skip
def test_absurd_files_are_refused_in_little_memory(data):
    tracemalloc.start()
    attempt(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * len(data) + 2**26


def test_a_net_of_2013_is_refused_by_name():
    data = encode({"layers": {"layer": {"name": "conv1"}}}, NET)
    with pytest.raises(ArchitectureError, match="2014 or later"):
        read(data)


def test_a_missing_weight_allocates_nothing():
    text = (
        'input: "data" input_dim: [1, 3, 900, 900] layer { name: "x" type: "InnerProduct" '
        'bottom: "data" top: "x" inner_product_param { num_output: 1000000 bias_term: false } }'
    )
    data = caffemodel({"x": [np.zeros(1, "<f4")]})
    tracemalloc.start()
    with pytest.raises(WeightsError, match="^x/weight"):
        read(data, text.encode())
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert math.prod((1_000_000, 3 * 900 * 900)) > 2**40  # what it asked for


def test_lenets_data_layer_scaled_its_photos(shared_data: Path) -> None:
    nets = shared_data / "caffe" / "nets-v1"
    model = read(
        (nets / "lenet_iter_10000.caffemodel").read_bytes(), (nets / "lenet.prototxt").read_bytes()
    )
    assert model.transform == Transform(scale=1 / 256)
