"""Caffe's networks as decaf's: real files, every kind of layer, and what decaf has not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tolerances import assert_close
from wire import encode

from decaf.architectures import bvlc_alexnet, squeezenet1_1
from decaf.errors import ArchitectureError
from decaf.formats import protobuf, prototxt
from decaf.formats.caffe import read
from decaf.formats.caffe_layers import V1_TYPES
from decaf.formats.caffe_schema import NET, V1_TYPE
from decaf.formats.caffe_topology import Topology, Transform, topology
from decaf.plan import Network, Plan
from decaf.specs import (
    LRN,
    AdaptiveAvgPool,
    AvgPool,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    ReLU,
    Softmax,
)

INPUT = 'input: "data" input_shape { dim: 10 dim: 4 dim: 9 dim: 7 } '


@pytest.fixture(scope="module")
def caffe(shared_data: Path) -> Path:
    folder = shared_data / "caffe"
    if not folder.is_dir():
        pytest.skip(f"Caffe's files are not there: {folder}")
    return folder


def parsed(path: Path) -> protobuf.Message:
    return prototxt.parse(path.read_bytes())


def described(text: str, **options: object) -> Topology:
    return topology(prototxt.parse(text.encode()), **options)


def layer(name: str, kind: str, options: str = "", bottom: str = "data", top: str = "") -> str:
    reads = " ".join(f'bottom: "{blob}"' for blob in bottom.split())
    return f'layer {{ name: "{name}" type: "{kind}" {reads} top: "{top or name}" {options} }} '


def only(kind: str, options: str = "") -> Layer:
    (spec,) = described(INPUT + layer("x", kind, options)).architecture.layers
    return spec


def test_bvlcs_alexnet_is_decafs(caffe):
    found = topology(parsed(caffe / "layer-outputs" / "bvlc_alexnet.prototxt"))
    assert found.architecture.layers == bvlc_alexnet().layers
    assert found.architecture.input_shape == (3, 227, 227)
    assert found.architecture.name == "AlexNet" and found.transform is None


def test_squeezenet_is_decafs(shared_data):
    path = shared_data / "squeezenet" / "squeezenet_v1.1.prototxt"
    if not path.is_file():
        pytest.skip(f"SqueezeNet is not there: {path}")
    found, known = topology(parsed(path), "squeezenet1_1").architecture, squeezenet1_1()

    def plain(layers: tuple[Layer, ...]) -> list[Layer]:
        return [dataclasses.replace(spec, inputs=()) for spec in layers]

    assert plain(found.layers) == plain(known.layers)
    assert (found.inputs, found.shapes) == (known.inputs, known.shapes)


def test_a_net_as_trained_is_the_net_as_deployed(caffe):
    folder = caffe / "nets-v1"
    deployed = topology(parsed(folder / "cifar10_full.prototxt")).architecture
    as_text = parsed(folder / "cifar10_full_train_test.prototxt")
    as_bytes = protobuf.decode((folder / "cifar10_full_iter_70000.caffemodel").read_bytes(), NET)
    for net in (as_text, as_bytes):
        with pytest.raises(ArchitectureError, match="input_shape"):
            topology(net)
        trained = topology(net, input_shape=(3, 32, 32))
        assert trained.architecture.layers == deployed.layers
        assert trained.transform == Transform(mean_file="examples/cifar10/mean.binaryproto")
        assert trained.layers["prob"]["name"] == ["loss"]


# Caffe wrote these outputs; the options are in the .prototxt beside them.
@pytest.mark.parametrize(
    "name", ["convolution", "lrn_channels", "lrn_spatial", "pooling_max", "pooling_ave", "softmax"]
)
def test_caffes_own_outputs(caffe, name):
    folder = caffe / "layer-outputs"
    text = folder / f"layer_{name}.prototxt"
    model = text.with_suffix(".caffemodel")
    if model.exists():
        found = read(model.read_bytes(), text.read_bytes())
        architecture, parameters = found.architecture, found.parameters
    else:
        architecture, parameters = topology(parsed(text)).architecture, {}
    blob = np.load(folder / "blob.npy")
    plan = Plan(Network(architecture, parameters), len(blob), threads=1)
    plan.input[...] = blob
    plan.run()
    (got,) = plan.outputs.values()
    assert_close("caffe", got, np.load(folder / f"layer_{name}.npy"))


@pytest.mark.parametrize(("name", "reason"), [("inner_product", "axis"), ("mvn", "'MVN'")])
def test_refuses_what_decaf_has_not(caffe, name, reason):
    with pytest.raises(ArchitectureError, match=f"output: .*{reason}"):
        topology(parsed(caffe / "layer-outputs" / f"layer_{name}.prototxt"))


LAYERS = [
    ("Convolution", "convolution_param { num_output: 6 kernel_size: 3 }", Conv("x", 6, 3)),
    (
        "Convolution",
        "convolution_param { num_output: 6 kernel_size: 3 kernel_size: 2 stride: 2 stride: 1 "
        "pad: 1 pad: 0 dilation: 1 dilation: 2 group: 2 axis: -3 bias_term: false }",
        Conv("x", 6, (3, 2), (2, 1), (1, 0), (1, 2), 2),
    ),
    (
        "Convolution",
        "convolution_param { num_output: 2 kernel_h: 1 kernel_w: 5 stride_h: 3 pad_w: 1 }",
        Conv("x", 2, (1, 5), (3, 1), (0, 1)),
    ),
    ("Pooling", "pooling_param { kernel_size: 2 }", MaxPool("x", 2, 1, ceil_mode=True)),
    (
        "Pooling",
        "pooling_param { pool: AVE kernel_h: 3 kernel_w: 2 stride: 2 pad: 1 }",
        AvgPool("x", (3, 2), 2, 1, ceil_mode=True, count_include_pad=True),
    ),
    (
        "Pooling",
        "pooling_param { kernel_size: 2 stride: 2 round_mode: FLOOR }",
        MaxPool("x", 2, 2, ceil_mode=False),
    ),
    ("Pooling", "pooling_param { pool: AVE global_pooling: true }", AdaptiveAvgPool("x", 1)),
    (
        "Pooling",
        "pooling_param { pool: MAX global_pooling: true }",
        MaxPool("x", (9, 7), 1, ceil_mode=True),
    ),
    ("ReLU", "", ReLU("x")),
    ("ReLU", "relu_param { negative_slope: 0 }", ReLU("x")),
    ("LRN", "", LRN("x", 5, 1.0, 0.75, 1.0)),
    (
        "LRN",
        "lrn_param { local_size: 3 alpha: 0.5 beta: 0.25 k: 2 norm_region: ACROSS_CHANNELS }",
        LRN("x", 3, 0.5, 0.25, 2.0),
    ),
    (
        "LRN",  # Caffe adds 1 within channels, whatever k is
        "lrn_param { local_size: 3 alpha: 0.5 k: 2 norm_region: WITHIN_CHANNEL }",
        LRN("x", 3, 0.5, 0.75, 1.0, "within"),
    ),
    ("InnerProduct", "inner_product_param { num_output: 5 }", Linear("x", 5)),
    ("Dropout", "", Dropout("x", 0.5)),
    ("Dropout", "dropout_param { dropout_ratio: 0.7 }", Dropout("x", 0.7)),
    ("Dropout", "dropout_param { scale_train: true }", Dropout("x", 0.5)),
    ("Softmax", "softmax_param { axis: -3 }", Softmax("x")),
    ("Flatten", "", Flatten("x")),
    ("Flatten", "flatten_param { axis: 1 end_axis: 3 }", Flatten("x")),
    ("Concat", "concat_param { axis: 1 }", Concat("x")),
]
OLD_NAMES = {new: old for old, new in V1_TYPES.items()}


@pytest.mark.parametrize(("kind", "options", "want"), LAYERS)
def test_each_kind_of_layer(kind, options, want):
    assert only(kind, options) == want
    # The same net in the form of 2014, and both as bytes.
    new = prototxt.parse((INPUT + layer("x", kind, options)).encode())
    old = {**new, "layers": [{**new["layer"][0], "type": [OLD_NAMES[kind]]}]}
    del old["layer"]
    plain = kind != "Flatten" or not options  # flatten_param is younger than that form
    for net in (new, *([old] if plain else [])):
        assert topology(net).architecture.layers == (want,)
        assert protobuf.decode(encode(net, NET), NET) == net
        assert topology(protobuf.decode(encode(net, NET), NET)).architecture.layers == (want,)


def test_every_old_type_has_a_number():
    assert set(V1_TYPES) <= set(V1_TYPE.values())


CONVOLUTION = "convolution_param { num_output: 2 kernel_size: 1 %s }"
POOLING = "pooling_param { kernel_size: 2 %s }"


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("Scale", "", "type must be one that decaf has.*'Scale'"),
        ("Deconvolution", "", "'Deconvolution'"),
        ("ReLU", "relu_param { negative_slope: 0.1 }", "negative_slope must be 0"),
        ("Convolution", "", "out_channels"),
        ("Convolution", CONVOLUTION % "axis: 2", "axis must be that of the channels"),
        ("Convolution", CONVOLUTION % "kernel_h: 2 kernel_w: 2", "either kernel_size or"),
        ("Convolution", CONVOLUTION % "pad: 1 pad: 1 pad: 1", "pad must be 1 or 2 numbers"),
        ("Convolution", CONVOLUTION % "pad: 0.5", "pad must be 1 or 2 numbers"),
        ("Convolution", CONVOLUTION % "pad: -1", "padding must be a whole number"),
        ("Convolution", CONVOLUTION % "stride: 99999999999", "stride must be a whole number"),
        ("Convolution", CONVOLUTION % "group: 3", "multiple of groups"),
        ("Convolution", CONVOLUTION % "group: MAX", "group must be a whole number"),
        ("Convolution", "convolution_param: 3", "convolution_param must be a message"),
        ("Pooling", POOLING % "pool: STOCHASTIC", "MAX or AVE"),
        ("Pooling", POOLING % "round_mode: NEAREST", "CEIL or FLOOR"),
        ("Pooling", POOLING % "global_pooling: true", "must come alone"),
        ("Pooling", POOLING % "pad: 2", "padding"),
        ("LRN", "lrn_param { norm_region: 3 }", "norm_region must be a name"),
        ("LRN", "lrn_param { norm_region: HERE }", "norm_region must be one of"),
        ("LRN", "lrn_param { alpha: nan }", "alpha must be a finite number"),
        ("LRN", "lrn_param { alpha: -1 }", "alpha must be a finite number"),
        ("InnerProduct", "inner_product_param { num_output: 5 axis: 2 }", "axis must be"),
        ("Softmax", "softmax_param { axis: 2 }", "axis must be"),
        ("Softmax", "softmax_param { axis: -1 }", "axis must be"),
        ("Concat", "concat_param { axis: 2 }", "axis must be"),
        ("Concat", "concat_param { concat_dim: 0 }", "concat_dim must be"),
        ("Flatten", "flatten_param { axis: 2 }", "axis must be"),
        ("Flatten", "flatten_param { end_axis: 2 }", "end_axis must be"),
        ("Dropout", "dropout_param { dropout_ratio: 1 }", "p must be"),
        ("Dropout", "dropout_param { scale_train: false }", "scale_train must be true"),
        ("Dropout", "dropout_param { scale_train: 3 }", "scale_train must be true or false"),
    ],
)
def test_says_which_layer_and_why(kind, options, reason):
    with pytest.raises(ArchitectureError, match=f"^(x: .*)?{reason}"):
        only(kind, options)


def test_in_place_layers_keep_both_values():
    found = described(
        INPUT
        + layer("fc6", "InnerProduct", "inner_product_param { num_output: 5 }")
        + layer("relu6", "ReLU", bottom="fc6", top="fc6")
        + layer("drop6", "Dropout", bottom="fc6", top="fc6")
        + layer("fc7", "InnerProduct", "inner_product_param { num_output: 3 }", bottom="fc6")
    ).architecture
    assert found.inputs == {
        "fc6": ("data",), "relu6": ("fc6",), "drop6": ("relu6",), "fc7": ("drop6",),
    }  # fmt: skip
    assert found.shapes["fc6"] == (5,)


def test_branches_splits_and_concat():
    one = "convolution_param { num_output: %d kernel_size: 1 }"
    found = described(
        INPUT
        + 'layer { name: "s" type: "Split" bottom: "data" top: "d0" top: "d1" top: "d2" } '
        + layer("a", "Convolution", one % 2, bottom="d0")
        + layer("relu_a", "ReLU", bottom="a", top="a")
        + 'layer { name: "t" type: "Split" bottom: "a" top: "a0" top: "a1" } '
        + layer("b", "Convolution", one % 3, bottom="a1")
        + layer("unused", "MVN", bottom="d2")  # leads nowhere: it need not be known
        + layer("c", "Concat", bottom="a0 b d1")
    ).architecture
    assert found.inputs == {
        "a": ("data",), "relu_a": ("a",), "b": ("relu_a",), "c": ("relu_a", "b", "data"),
    }  # fmt: skip
    assert found.shapes["c"] == (9, 9, 7)


HEAD = "inner_product_param { num_output: 4 }"
LABELLED = 'layer { name: "d" type: "Data" top: "data" top: "label" %s } '


def test_a_loss_becomes_a_softmax_and_training_is_left_away():
    text = (
        LABELLED % "include { phase: TRAIN } transform_param { crop_size: 8 scale: 0.5 }"
        + LABELLED
        % "include { phase: TEST } transform_param { crop_size: 6 mean_value: 104 "
        "mean_value: 117 mean_value: 123 }"
        + layer("only", "MVN", "include { phase: TRAIN }", top="data")
        + layer("not", "MVN", "exclude { phase: TEST }", top="data")
        + layer("stage", "MVN", 'include { stage: "deploy" }', top="data")
        + layer("level", "MVN", "include { min_level: 1 }", top="data")
        + layer("side", "InnerProduct", HEAD)
        + layer("side_loss", "SoftmaxWithLoss", bottom="side label")
        + layer("fc", "InnerProduct", HEAD)
        + layer("accuracy", "Accuracy", "include { phase: TEST }", bottom="fc label")
        + layer("loss", "SoftmaxWithLoss", bottom="fc label")
        + layer("quiet", "Silence", bottom="label")
    )
    found = described(text)
    assert found.architecture.layers == (Linear("fc", 4), Softmax("prob"))
    assert found.architecture.input_shape == (3, 6, 6)
    assert found.transform == Transform(mean_value=(104, 117, 123), crop_size=6)
    assert described(text, input_shape=(1, 5, 5)).architecture.input_shape == (3, 6, 6)
    # Where there is a Softmax, the loss is not needed.
    with_softmax = text + layer("answer", "Softmax", bottom="fc")
    assert described(with_softmax).architecture.layers == (Linear("fc", 4), Softmax("answer"))
    # A layer of that name may be there already.
    taken = text.replace('"fc"', '"prob"')
    assert described(taken).architecture.layers == (Linear("prob", 4), Softmax("loss"))


@pytest.mark.parametrize(
    ("source", "want"),
    [
        (INPUT, (4, 9, 7)),
        ('input: "data" input_dim: 64 input_dim: 1 input_dim: 28 input_dim: 27', (1, 28, 27)),
        ('layer { name: "i" type: "Input" top: "data" input_param { shape { dim: [1,2,3,4] } } }',
         (2, 3, 4)),
        ('layer { type: "Input" top: "data" input_param { shape { dim: [1,2,3,4] } } }', (2, 3, 4)),
        ('layer { name: "i" type: "MemoryData" top: "data" top: "label" '
         'memory_data_param { batch_size: 9 channels: 1 height: 8 width: 6 } }', (1, 8, 6)),
        ('layer { name: "i" type: "Data" top: "data" data_param { crop_size: 5 } }', (3, 5, 5)),
        ('layer { name: "i" type: "Data" top: "data" '
         'transform_param { crop_size: 5 force_gray: true } }', (1, 5, 5)),
        ('input: "data" input: "label" input_shape { dim: [1,2,3,4] } input_shape { dim: 1 }',
         (2, 3, 4)),
    ],
)  # fmt: skip
def test_where_the_input_comes_from(source, want):
    assert described(source + " " + layer("x", "ReLU")).architecture.input_shape == want


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "layers of one form"),
        ("layer { } layers { }", "layers of one form"),
        ("layer: 3", "a layer must be a message"),
        ("layers { layer { name: 'a' type: 'conv' } }", "2014 or later"),
        (INPUT + layer("a", "Accuracy"), "layers that compute"),
        (INPUT + layer("x", "ReLU", bottom="nowhere"), "^x: what it reads must .* 'nowhere'"),
        (INPUT + layer("x", "ReLU", bottom=""), "^x: what it reads must be .* got 'nothing'"),
        (INPUT + layer("x", "ReLU") + layer("x", "ReLU", "", "x"), "^x: .*different names"),
        (INPUT + layer("data", "ReLU"), "^data: layers must have different names"),
        (INPUT + layer("", "ReLU"), "printable name"),
        (INPUT + layer("a\\n", "ReLU"), "printable name"),
        (INPUT + layer("a" * 201, "ReLU"), "printable name"),
        (INPUT + layer("x", "ReLU", bottom="data data"), "^x: only Concat"),
        (INPUT + "layer { name: 3 type: 'ReLU' bottom: 'data' top: 'x' }", "name must be a name"),
        (INPUT + "layer { name: 'x' type: 'ReLU' bottom: 3 top: 'x' }", "bottom must be a name"),
        (INPUT + layer("x", "ReLU", "include: 3"), "a rule must be a message"),
        ('input: "data" input: "label" input_dim: [1, 2, 3, 4]' + layer("x", "ReLU", "", "label"),
         "^x: decaf takes one input"),
        ('input: "data" input_dim: [1, 2, 3]' + layer("x", "ReLU"), "N,C,H,W; expected 4"),
        ('input: "data" input_dim: [1, 2, 3, inf]' + layer("x", "ReLU"), "N,C,H,W; expected 4"),
        ('input: "data" input_dim: [1, 2, 0, 4]' + layer("x", "ReLU"), "input_shape must be C,H,W"),
        ('input: "data" input_dim: [1, 2, 1e9, 4]' + layer("x", "ReLU"), "N,C,H,W; expected 4"),
        ('input: "data" input_dim: [1, 2, 999999999, 4]' + layer("x", "ReLU"), "input_shape must"),
        ('input: "data"' + layer("x", "ReLU"), "must say how large its input is"),
        (LABELLED % "transform_param { crop_size: 6 mean_value: MAX }" + layer("x", "ReLU"),
         "mean_value must be numbers"),
    ],
)  # fmt: skip
def test_refuses_nets_that_make_no_sense(text, reason):
    with pytest.raises(ArchitectureError, match=reason):
        described(text)


def test_concats_of_concats_stop_where_they_are_too_large():
    """Four times as many channels each time: numbers of thousands of digits, if nothing stops."""
    text = 'input: "b0" input_dim: [1, 1, 4, 4]' + "".join(
        f"layer {{ name: 'c{i}' type: 'Concat' bottom: ['b{i}', 'b{i}', 'b{i}', 'b{i}'] "
        f"top: 'b{i + 1}' }} "
        for i in range(7300)
    )
    with pytest.raises(ArchitectureError, match=r"^c10: output must be at most .* got \(4194304,"):
        described(text + layer("v", "Convolution", CONVOLUTION % "group: 2", "b7300"))


def test_parts_of_an_option_add_up_as_in_caffe():
    parts = "convolution_param { num_output: 9 pad: 1 } convolution_param { num_output: 2 "
    assert only("Convolution", parts + "kernel_size: 3 }") == Conv("x", 2, 3, padding=1)


# Typed in from caffe.proto, a second time: fields of a layer of 2015 and of 2014, and theirs.
NUMBERS = """
name 1 4    type 2 5    bottom 3 2    top 4 3    blobs 7 6    include 8 32    exclude 9 33
transform_param 100 36: scale 1 crop_size 3 mean_file 4 mean_value 5 force_gray 7
concat_param 104 9: axis 2 concat_dim 1
convolution_param 106 10: num_output 1 bias_term 2 pad 3 kernel_size 4 group 5 stride 6
convolution_param 106 10: pad_h 9 pad_w 10 kernel_h 11 kernel_w 12 stride_h 13 stride_w 14
convolution_param 106 10: axis 16 dilation 18
data_param 107 11: scale 2 mean_file 3 crop_size 5
dropout_param 108 12: dropout_ratio 1 scale_train 2
image_data_param 115 15: scale 2 mean_file 3 crop_size 5
inner_product_param 117 17: num_output 1 bias_term 2 axis 5 transpose 6
lrn_param 118 18: local_size 1 alpha 2 beta 3 norm_region 4 k 5
memory_data_param 119 22: channels 2 height 3 width 4
pooling_param 121 19: pool 1 kernel_size 2 stride 3 pad 4 kernel_h 5 kernel_w 6 stride_h 7
pooling_param 121 19: stride_w 8 pad_h 9 pad_w 10 global_pooling 12 round_mode 13
relu_param 123 30: negative_slope 1
softmax_param 125 39: axis 2
flatten_param 135 -: axis 1 end_axis 2
input_param 143 -: shape 1
blobs 7 6: num 1 channels 2 height 3 width 4 data 5 shape 7 double_data 8
include 8 32: phase 1 min_level 2 max_level 3 stage 4 not_stage 5
exclude 9 33: phase 1 min_level 2 max_level 3 stage 4 not_stage 5
""".strip().splitlines()


def test_numbers_of_fields_are_those_of_caffe():
    assert {name: number for number, (name, _) in NET.items()} == {
        "name": 1, "layers": 2, "input": 3, "input_dim": 4, "input_shape": 8, "layer": 100,
    }  # fmt: skip
    for form, schema in enumerate((NET[100][1], NET[2][1])):
        want: dict[str, dict[str, int]] = {"": {}}
        for line in NUMBERS:
            head, colon, parts = line.partition(":")
            words = head.split()
            for name, *numbers in zip(words[::3], words[1::3], words[2::3], strict=True):
                if numbers[form] != "-":
                    want[""][name] = int(numbers[form])
                    pairs = parts.split()
                    fields = dict(zip(pairs[::2], map(int, pairs[1::2]), strict=True))
                    want[name] = {**want.get(name, {}), **fields} if colon else {}
        found = {name: (number, kind) for number, (name, kind) in schema.items()}
        found.pop("layer", None)  # the form of 2013
        assert {name: number for name, (number, _) in found.items()} == want[""]
        for name, (_, kind) in found.items():
            inner = kind if type(kind) is dict else {}
            assert {label: number for number, (label, _) in inner.items()} == want[name], name


def test_numbers_of_types_are_those_of_caffe():
    known = {number: name for number, name in V1_TYPE.items() if name in V1_TYPES}
    assert known == {
        1: "ACCURACY", 3: "CONCAT", 4: "CONVOLUTION", 5: "DATA", 6: "DROPOUT", 8: "FLATTEN",
        9: "HDF5_DATA", 12: "IMAGE_DATA", 14: "INNER_PRODUCT", 15: "LRN", 17: "POOLING",
        18: "RELU", 20: "SOFTMAX", 21: "SOFTMAX_LOSS", 22: "SPLIT", 24: "WINDOW_DATA",
        29: "MEMORY_DATA", 32: "DUMMY_DATA", 36: "SILENCE",
    }  # fmt: skip
