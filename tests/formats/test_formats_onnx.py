"""ONNX in and out: ONNX Runtime and torch as oracles for numbers, then hostile files."""

from __future__ import annotations

import dataclasses
import functools
import io
import math
import mmap
import warnings
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from wire import varint

from decaf import architectures, layers
from decaf.errors import ArchitectureError, DecafError, WeightsError
from decaf.formats import onnx as reader
from decaf.formats import onnx_writer as writer
from decaf.formats.notes import from_strings
from decaf.formats.read import read as read_file
from decaf.formats.read import read_with_notes
from decaf.specs import (
    LRN,
    AdaptiveAvgPool,
    Architecture,
    AvgPool,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Linear,
    MaxPool,
    ReLU,
    Softmax,
)
from tests import tiny
from tests.support import cases, normal
from tests.support_torch import import_torch, import_torchvision

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

BRANCHES = Architecture(
    "branches",
    (3, 20, 17),
    (
        Conv("stem/conv", 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
        ReLU("stem/relu"),
        AvgPool("a", 3, 2, 1, ceil_mode=True, count_include_pad=False, inputs=("stem/relu",)),
        MaxPool("b", 3, 2, padding=1, ceil_mode=True, inputs=("stem/relu",)),
        Concat("both", inputs=("b", "a")),
        Conv("conv2", 4, 1, groups=2),
        LRN("norm", 3, alpha=0.3, beta=0.6, k=2.0),
        Dropout("drop", 0.25),
        AdaptiveAvgPool("pool", 1),
        Flatten("flat"),
        Linear("fc", 5),
        Softmax("prob"),
    ),
)  # fmt: skip


def he(architecture: Architecture, seed: int = 0) -> dict[str, np.ndarray]:
    """He-scaled random parameters: the signal keeps its size."""
    random = np.random.default_rng(seed)
    return {
        name: (
            math.sqrt(2 / math.prod(shape[1:])) * random.standard_normal(shape)
            if len(shape) > 1
            else 0.1 * random.standard_normal(shape)
        ).astype(np.float32)
        for name, shape in architecture.parameter_shapes.items()
    }


def run(architecture: Architecture, p: Any, x: np.ndarray) -> np.ndarray:
    """The last layer's values, by the readable layers in float64."""
    values = {"data": x.astype(np.float64)}
    for layer in architecture.layers:
        inputs = [values[name] for name in architecture.inputs[layer.name]]
        kinds = [f"{layer.name}/{kind}" for kind in ("weight", "bias")]
        weights = [np.array(p[name], np.float64) for name in kinds if name in p]
        match layer:
            case Conv():
                options = (layer.stride, layer.padding, layer.dilation, layer.groups)
                value = layers.conv2d(inputs[0], *weights, *options)
            case MaxPool():
                options = (layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
                value = layers.max_pool2d(inputs[0], *options)
            case AvgPool():
                options = (layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
                value = layers.avg_pool2d(inputs[0], *options, layer.count_include_pad)
            case AdaptiveAvgPool():
                value = layers.adaptive_avg_pool2d(inputs[0], layer.output_size)
            case LRN():
                options = (layer.size, layer.alpha, layer.beta, layer.k)
                value = layers.local_response_norm(inputs[0], *options)
            case Linear():
                value = layers.linear(inputs[0].reshape(len(x), -1), *weights)
            case Concat():
                value = layers.concat(inputs)
            case Flatten():
                value = inputs[0].reshape(len(x), -1)
            case ReLU():
                value = layers.relu(inputs[0])
            case Softmax():
                value = layers.softmax(inputs[0])
            case Dropout():
                value = inputs[0]
        values[layer.name] = value
    return values[architecture.layers[-1].name]


def run_onnx(raw: bytes, x: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(raw, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def written(path: Path, architecture: Architecture, p: Any, **notes: Any) -> bytes:
    writer.write(path / "x.onnx", architecture, p, **notes)
    assert [file.name for file in path.iterdir()] == ["x.onnx"]
    return (path / "x.onnx").read_bytes()


def model(
    nodes: list[Any],
    constants: dict[str, Any] | None = None,
    shape: tuple[Any, ...] = ("N", 2, 6, 6),
    output: str = "y",
    opset: int = 13,
) -> Any:
    """A model of one's own; initializers may be arrays or TensorProtos."""
    given = (constants or {}).items()
    return helper.make_model(
        helper.make_graph(
            nodes,
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            [v if isinstance(v, TensorProto) else numpy_helper.from_array(v, k) for k, v in given],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=7,
    )


def read(*args: Any, **options: Any) -> Any:
    return reader.read(model(*args, **options).SerializeToString())


node = functools.partial(helper.make_node, name="the node")


# Out, and back


@pytest.mark.parametrize(
    "architecture",
    [
        BRANCHES,
        tiny.ARCHITECTURE,
        architectures.decaf_mini(),
        dataclasses.replace(architectures.squeezenet1_0(6), input_shape=(3, 67, 64)),
        dataclasses.replace(architectures.squeezenet1_1(6), input_shape=(3, 67, 64)),
        pytest.param(architectures.alexnet(3), marks=pytest.mark.slow),
        pytest.param(architectures.bvlc_alexnet(3), marks=pytest.mark.slow),
    ],
    ids=lambda architecture: architecture.name,
)
def test_there_and_back(tmp_path: Path, architecture: Architecture) -> None:
    p = he(architecture)
    raw = written(tmp_path, architecture, p)
    onnx.checker.check_model(str(tmp_path / "x.onnx"), full_check=True)
    with open(tmp_path / "x.onnx", "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    found = reader.read(data, architecture)
    assert found.architecture == read_file(tmp_path / "x.onnx").architecture == architecture
    assert list(found.parameters) == list(p)
    whole = np.frombuffer(data, np.uint8)
    for name, array in found.parameters.items():
        assert array.dtype == np.float32
        assert not array.flags.writeable
        assert np.shares_memory(array, whole)
        np.testing.assert_array_equal(array, p[name])

    x = normal(2, *architecture.input_shape)
    np.testing.assert_allclose(run_onnx(raw, x), run(architecture, p, x), rtol=1e-4, atol=1e-5)


@cases
@hypothesis.given(
    kind=st.sampled_from([MaxPool, AvgPool]),
    size=st.tuples(st.integers(1, 11), st.integers(1, 11)),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 4),
    padding=st.integers(0, 2),
    flags=st.tuples(st.booleans(), st.booleans()),
)
def test_pooling_means_the_same(
    tmp_path_factory: Any, kind: Any, size: Any, kernel: int, stride: int, padding: int, flags: Any
) -> None:
    options = flags if kind is AvgPool else flags[:1]
    try:
        pool = kind("pool", kernel, stride, padding, *options)
        architecture = Architecture("pool", (2, *size), (pool, ReLU("relu")))
    except ValueError:
        hypothesis.reject()
    folder = tmp_path_factory.mktemp("pool")
    raw = written(folder, architecture, {})
    x = normal(2, 2, *size)
    np.testing.assert_allclose(run_onnx(raw, x), run(architecture, {}, x), rtol=1e-5, atol=1e-6)
    if (kernel, stride) != (1, 1):  # which does nothing
        assert read_file(folder / "x.onnx").architecture == architecture


def test_notes_travel(tmp_path: Path) -> None:
    raw = written(
        tmp_path, tiny.ARCHITECTURE, tiny.parameters(),
        preprocessing=tiny.PREPROCESSING, labels=tiny.LABELS, label_ids=list("abcde"),
    )  # fmt: skip
    found = read_with_notes(tmp_path / "x.onnx")
    assert found.model.architecture == tiny.ARCHITECTURE
    assert found.model.preprocessing == tiny.PREPROCESSING
    assert found.notes.labels == tiny.LABELS
    assert found.notes.label_ids == tuple("abcde")
    strings = {entry.key: entry.value for entry in onnx.load_from_string(raw).metadata_props}
    assert reader.metadata(raw) == strings
    assert from_strings(strings) == found.notes


def test_notes_that_do_not_fit_the_graph_are_not_believed(tmp_path: Path) -> None:
    other = dataclasses.replace(
        tiny.ARCHITECTURE,
        layers=tuple(
            dataclasses.replace(layer, k=3.0) if isinstance(layer, LRN) else layer
            for layer in tiny.ARCHITECTURE.layers
        ),
    )
    raw = written(tmp_path, other, tiny.parameters())
    changed = onnx.load_from_string(raw)
    (norm,) = (n for n in changed.graph.node if n.op_type == "LRN")
    (bias,) = (a for a in norm.attribute if a.name == "bias")
    bias.f = 2.0
    (tmp_path / "x.onnx").write_bytes(changed.SerializeToString())
    found = read_file(tmp_path / "x.onnx").architecture
    assert found.layers == tiny.ARCHITECTURE.layers
    changed.metadata_props[0].value = "[" * 100_000
    (tmp_path / "x.onnx").write_bytes(changed.SerializeToString())
    with pytest.raises(WeightsError, match="notes of decaf"):
        read_file(tmp_path / "x.onnx")


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (LRN("bad", 3, region="within"), "bad: LRN in ONNX must be across"),
        (LRN("bad", 4), "bad: LRN in ONNX must be across"),
        (AdaptiveAvgPool("bad", 5), "bad: windows must be of one size"),
    ],
)
def test_what_onnx_cannot_say(tmp_path: Path, layer: Any, reason: str) -> None:
    with pytest.raises(ArchitectureError, match=reason):
        writer.write(tmp_path / "x.onnx", Architecture("net", (4, 6, 6), (layer,)), {})
    assert not list(tmp_path.iterdir())


def test_writing_needs_all_parameters(tmp_path: Path) -> None:
    p = tiny.parameters()
    del p["fc6/bias"]
    with pytest.raises(WeightsError, match="fc6/bias"):
        writer.write(tmp_path / "x.onnx", tiny.ARCHITECTURE, p)
    with pytest.raises(WeightsError, match="a place to write"):
        writer.write(tmp_path / "none" / "x.onnx", tiny.ARCHITECTURE, tiny.parameters())
    clash = Architecture("net", (3, 4, 4), (Conv("a", 2, 1), ReLU("a/weight")))
    with pytest.raises(ArchitectureError, match="'a/weight' twice"):
        writer.write(tmp_path / "x.onnx", clash, he(clash))


def test_writing_without_the_package(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(WeightsError, match="pip install onnx"):
        writer.write(tmp_path / "x.onnx", tiny.ARCHITECTURE, tiny.parameters())


# What others write


@pytest.mark.parametrize(
    "name", [pytest.param("alexnet", marks=pytest.mark.slow), "squeezenet1_0", "squeezenet1_1"]
)
def test_exports_of_torchvision(name: str) -> None:
    torch, torchvision = import_torch(), import_torchvision()
    network = getattr(torchvision.models, name)(weights=None, num_classes=7).eval()
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this way of exporting is the old one
        torch.onnx.export(network, torch.zeros(1, 3, 224, 224), file, dynamo=False)
    found = reader.read(file.getvalue())
    known = getattr(architectures, name)(7)
    assert found.architecture.layers == known.layers
    assert found.architecture.input_shape == (3, 224, 224)
    from decaf.formats.state_dict import torch_names

    state = network.state_dict()
    for ours, theirs in torch_names(found.architecture).items():
        np.testing.assert_array_equal(found.parameters[ours], state[theirs].numpy())


def test_gemm_matmul_and_constants() -> None:
    """Both ways round, with a bias of any shape, from Constant nodes and through Identity."""
    w1, b1, w2, w3 = normal(4, 72), normal(4), normal(4, 3), normal(3, 2)
    to_rows = numpy_helper.from_array(np.array([0, -1]))
    nodes = [
        helper.make_node("Constant", [], ["shape"], value=to_rows),
        helper.make_node("Reshape", ["x", "shape"], ["f"]),
        helper.make_node("Gemm", ["f", "w1", "b1"], ["g"], transB=1, name="/one//Gemm"),
        helper.make_node("Constant", [], ["w2"], value=numpy_helper.from_array(w2)),
        helper.make_node("Identity", ["w2"], ["w2b"]),
        helper.make_node("MatMul", ["g", "w2b"], ["m"], name="two"),
        helper.make_node("Add", ["b2", "m"], ["a"]),
        helper.make_node("Identity", ["a"], ["i"]),
        helper.make_node("MatMul", ["i", "w3"], ["y"], name="/two"),
    ]  # fmt: skip
    made = model(nodes, {"w1": w1, "b1": b1, "b2": np.float32([[0.5]]), "w3": w3})
    raw = made.SerializeToString()
    found = reader.read(raw)
    assert [layer.name for layer in found.architecture.layers] == ["one/Gemm", "two", "two_2"]
    np.testing.assert_array_equal(found.parameters["two/weight"], w2.T)
    x = normal(3, 2, 6, 6)
    want = ((x.reshape(3, -1) @ w1.T + b1) @ w2 + 0.5) @ w3
    np.testing.assert_allclose(run(found.architecture, found.parameters, x), want, rtol=1e-4)
    np.testing.assert_allclose(run_onnx(raw, x), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("auto_pad", ["VALID", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize(("size", "kernel", "stride"), [(6, 3, 1), (7, 3, 2), (5, 1, 1)])
def test_auto_pad(auto_pad: str, size: int, kernel: int, stride: int) -> None:
    shape, x = ("N", 2, size, size), normal(1, 2, size, size)
    for op, options in (("MaxPool", {"kernel_shape": [kernel] * 2}), ("Conv", {})):
        nodes = [node(op, ["x", "w"][: 1 + (op == "Conv")], ["y"], strides=[stride] * 2,
                      auto_pad=auto_pad, **options)]  # fmt: skip
        raw = model(nodes, {"w": normal(3, 2, kernel, kernel)}, shape).SerializeToString()
        found = reader.read(raw)
        want = run_onnx(raw, x)
        np.testing.assert_allclose(run(found.architecture, found.parameters, x), want, atol=1e-5)


def test_padding_behind_alone_is_ceil_mode() -> None:
    """The way in which converters from Caffe write it, where that is what it comes to."""
    pads = node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
    raw = model([pads], shape=(1, 2, 6, 8)).SerializeToString()
    found = reader.read(raw).architecture
    assert found.layers == (MaxPool("the node", 3, 2, ceil_mode=True),)
    x = normal(1, 2, 6, 8)
    np.testing.assert_array_equal(run(found, {}, x).astype(np.float32), run_onnx(raw, x))
    pads = node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[1, 1], pads=[0, 0, 1, 1])
    with pytest.raises(ArchitectureError, match="'the node'.*padding"):
        read([pads])  # one window more than rounding up gives


@pytest.mark.parametrize("kind", ["float32", "float16", "float64", "bfloat16"])
@pytest.mark.parametrize("in_raw", [True, False])
def test_kinds_of_numbers(kind: str, in_raw: bool) -> None:
    values = np.array([[[[1.5]], [[-2.0]]], [[[0.25]], [[3.0]]], [[[8.0]], [[0.0]]]])
    number = TensorProto.DataType.Value(
        {"float64": "DOUBLE"}.get(kind, kind.upper().replace("32", ""))
    )
    if in_raw and kind == "bfloat16":
        bits = (values.astype(np.float32).view(np.uint32) >> 16).astype("<u2")
        weight = helper.make_tensor("w", number, values.shape, bits.tobytes(), raw=True)
    elif in_raw:
        weight = helper.make_tensor(
            "w", number, values.shape, values.astype(kind).tobytes(), raw=True
        )
    else:
        weight = helper.make_tensor("w", number, values.shape, values.reshape(-1))
    found = read([node("Conv", ["x", "w"], ["y"])], {"w": weight})
    array = found.parameters["the node/weight"]
    assert array.dtype == (np.float32 if kind == "bfloat16" else np.dtype(kind))
    np.testing.assert_array_equal(array, values)
    np.testing.assert_array_equal(found.parameters["the node/bias"], np.zeros(3))


def test_softmax_of_both_versions() -> None:
    flat = helper.make_node("Flatten", ["x"], ["f"])
    assert read([node("Softmax", ["x"], ["y"], axis=1)]).architecture.layers[-1] == Softmax(
        "the node"
    )
    assert isinstance(read([flat, node("Softmax", ["f"], ["y"])]).architecture.layers[-1], Softmax)
    read([node("Softmax", ["x"], ["y"])], shape=(1, 5, 1, 1), opset=11)
    for nodes, opset in (
        ([node("Softmax", ["x"], ["y"])], 13),
        ([node("Softmax", ["x"], ["y"])], 12),
    ):
        with pytest.raises(ArchitectureError, match="'the node'"):
            read(nodes, opset=opset)  # over columns; over all values


def weight(*shape: int) -> dict[str, Any]:
    return {"w": np.ones(shape, np.float32), "b": np.zeros(3, np.float32)}


REFUSED = [
    (node("Tanh", ["x"], ["y"]), {}, r"'the node' \('Tanh'\): decaf must have"),
    (node("Relu", ["x"], ["y"], domain="com.microsoft"), {}, "another domain"),
    (node("Conv", ["x", "w"], ["y"], pads=[0, 0, 1, 1]), weight(3, 2, 3, 3), "both sides"),
    (node("Conv", ["x", "w"], ["y"], kernel_shape=[2, 2]), weight(3, 2, 3, 3), "kernel_shape"),
    (node("Conv", ["x", "w"], ["y"], strides=[1]), weight(3, 2, 3, 3), "strides must be 2"),
    (node("Conv", ["x", "w"], ["y"], strides=[0, 1]), weight(3, 2, 3, 3), "strides"),
    (node("Conv", ["x", "w"], ["y"], group=0), weight(3, 2, 3, 3), "groups"),
    (node("Conv", ["x", "w"], ["y"]), weight(3, 2, 3), "O,C/G,KH,KW"),
    (node("Conv", ["x", "w"], ["y"]), weight(3, 5, 3, 3), r"weight must be floats \(3, 2, 3, 3\)"),
    (node("Conv", ["x", "x"], ["y"]), {}, "parameters must be constants"),
    (node("Conv", ["x", "w"], ["y"], surprise=1), weight(3, 2, 3, 3), "no option.*surprise"),
    (node("Conv", ["x", "w"], ["y"]), {"w": np.ones((3, 2, 1, 1), np.int32)}, "must be floats"),
    (node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], dilations=[2, 2]), {}, "dilations 1"),
    (node("MaxPool", ["x"], ["y"]), {}, "kernel_shape must be 2"),
    (node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], pads=[0, 0, 1, 1]), {}, "both sides"),
    (node("LRN", ["x"], ["y"], size=4), {}, "size must be odd"),
    (node("Gemm", ["x", "w"], ["y"]), weight(72, 3), "must read N,D"),
    (node("Concat", ["x", "x"], ["y"], axis=2), {}, "axis"),
    (node("Flatten", ["x"], ["y"], axis=2), {}, "expected axis 1"),
    (node("Reshape", ["x", "w"], ["y"]), {"w": np.array([3, 24])}, r"expected \(-1, 72\)"),
    (node("Add", ["x", "b"], ["y"]), weight(1), "bias of a MatMul"),
    (node("Relu", ["nothing"], ["y"]), {}, "must read the input"),
    (node("Relu", ["x"], ["x"]), {}, "written once"),
    (node("Relu", ["x"], ["z"]), {}, "the output must come from"),
    (node("Dropout", ["x", "r", "t"], ["y"]), {"r": np.float32(0.1), "t": np.array(True)}, "train"),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "constants", "reason"), REFUSED)
def test_refused_nodes(bad: Any, constants: Any, reason: str) -> None:
    with pytest.raises((ArchitectureError, WeightsError), match=reason):
        read([bad], constants)


def test_refused_models() -> None:
    relu = node("Relu", ["x"], ["y"])

    def refused(made: Any, reason: str) -> None:
        with pytest.raises(DecafError, match=reason):
            reader.read(made if isinstance(made, bytes) else made.SerializeToString())

    refused(b"", "a version and a graph")
    refused(model([relu], shape=("N", 2, "H", 6)), "C, H and W known")
    refused(model([relu], shape=("N", 6)), "C, H and W known")
    refused(model([relu], opset=6), "version from 7")
    refused(model([node("Relu", ["x"], ["y"])] * 2), "written once")
    refused(model([node("Identity", ["x"], ["y"])]), "must have layers")
    two = model([relu])
    two.graph.output.append(two.graph.output[0])
    refused(two, "one output")
    two = model([relu])
    two.graph.input.add().CopyFrom(two.graph.input[0])
    refused(two, "one input")
    refused(model([relu]).SerializeToString() * 2, "must stand once")
    twice = model([relu], {"w": np.ones(3)})
    twice.graph.initializer.add().CopyFrom(twice.graph.initializer[0])
    refused(twice, "'w' twice")
    function = model([relu])
    function.functions.add().name = "f"
    refused(function, "one graph")
    inside = helper.make_node("If", ["x"], ["y"], then_branch=model([relu]).graph)
    refused(model([inside]), "got a graph")

    outside = TensorProto(name="w", dims=[3], data_type=1, data_location=1)
    outside.external_data.add(key="location", value="/etc/passwd")
    refused(model([relu], {"w": outside}), "in the file itself")
    for dims in ([2**40, 2**40], [-1], [0], [3, 2], [1] * 33):
        huge = TensorProto(name="w", dims=dims, data_type=1, raw_data=bytes(4))
        refused(model([relu], {"w": huge}), "'w': (values|shape) must be")
    odd = TensorProto(name="w", dims=[1], data_type=1, raw_data=bytes(5))
    refused(model([relu], {"w": odd}), "'w': values must be")
    text = TensorProto(name="w", dims=[1], data_type=8, string_data=[b"x"])
    refused(model([relu], {"w": text}), "'w': must be float32")


def test_concats_of_concats_stop_where_they_are_too_large() -> None:
    nodes = [
        helper.make_node("Concat", [f"x{i}" if i else "x"] * 4, [f"x{i + 1}"], f"c{i}")
        for i in range(7300)
    ]
    conv = node("Conv", ["x7300", "w"], ["y"], group=3)
    with pytest.raises(ArchitectureError, match="^c8: output must be at most"):
        read([*nodes, conv], {"w": np.ones((3, 1, 1, 1), np.float32)})


def test_deep_and_crowded_files() -> None:
    deep = b""
    for _ in range(1000):  # graphs inside the graph are not looked into
        deep = b"\x3a" + varint(len(deep)) + deep
    with pytest.raises(DecafError):
        reader.read(b"\x08\x07" + deep)
    crowd = b"\x0a\x00" * 200_000  # nodes of nothing
    with pytest.raises(WeightsError, match="at most"):
        reader.read(b"\x08\x07\x3a" + varint(len(crowd)) + crowd)


SMALL = Architecture("small", (2, 4, 4), (Conv("c", 2, 2), LRN("n", 3), Linear("f", 2)))


@pytest.fixture(scope="module")
def small(tmp_path_factory: Any) -> bytes:
    """A file of about 500 bytes, without notes."""
    raw = written(tmp_path_factory.mktemp("small"), SMALL, he(SMALL))
    made = onnx.load_from_string(raw)
    del made.metadata_props[:]
    return made.SerializeToString()


def never_worse(raw: bytes) -> None:
    try:
        found = reader.read(raw)
        reader.metadata(raw)
    except DecafError:
        return
    shapes = {name: array.shape for name, array in found.parameters.items()}
    assert shapes == found.architecture.parameter_shapes


def test_cut_anywhere(small: bytes) -> None:
    for size in range(len(small)):
        never_worse(small[:size])


def test_flipped_bits(small: bytes) -> None:
    raw = bytearray(small)
    for bit in range(8 * len(raw)):
        raw[bit // 8] ^= 1 << bit % 8
        never_worse(bytes(raw))
        raw[bit // 8] ^= 1 << bit % 8


@cases
@hypothesis.given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=8)), max_size=9)
)
def test_spliced_bytes(small: bytes, edits: list[tuple[int, bytes]]) -> None:
    for at, new in edits:
        at %= len(small)
        small = small[:at] + new + small[at + len(new) :]
    never_worse(small)
