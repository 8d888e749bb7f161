"""Descriptions of layers: shapes, costs, what is refused, and the way to a dictionary and back."""

from __future__ import annotations

import doctest
import json
import math
import time
from typing import Any

import pytest

import decaf.names
import decaf.serialize
import decaf.specs
from decaf.architectures import ARCHITECTURES, decaf_mini, squeezenet1_1
from decaf.errors import ArchitectureError, DecafError
from decaf.serialize import KINDS, architecture_from_dict, architecture_to_dict
from decaf.specs import (
    LRN,
    AdaptiveAvgPool,
    Architecture,
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


@pytest.mark.parametrize("module", [decaf.specs, decaf.serialize, decaf.names], ids=str)
def test_doctests(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0


# What a layer makes of a shape, worked out by hand


@pytest.mark.parametrize(
    ("layer", "inputs", "shape", "multiply_adds"),
    [
        (Conv("x", 6, 3), [(4, 9, 7)], (6, 7, 5), 6 * 4 * 9 * 35),
        (Conv("x", 6, (3, 1), (2, 3), (1, 0), 1, 2), [(4, 9, 7)], (6, 5, 3), 6 * 2 * 3 * 15),
        (Conv("x", 6, 3, dilation=(2, 3)), [(4, 9, 7)], (6, 5, 1), 6 * 4 * 9 * 5),
        (MaxPool("x", 3, 2), [(4, 8, 8)], (4, 3, 3), 0),
        (MaxPool("x", 3, 2, ceil_mode=True), [(4, 8, 8)], (4, 4, 4), 0),
        (MaxPool("x", (3, 2), (2, 1), (1, 0)), [(4, 8, 8)], (4, 4, 7), 0),
        (AvgPool("x", 2, 2, 1), [(4, 8, 8)], (4, 5, 5), 0),
        (AdaptiveAvgPool("x", (2, 5)), [(4, 8, 8)], (4, 2, 5), 0),
        (LRN("x"), [(4, 8, 8)], (4, 8, 8), 0),
        (ReLU("x"), [(4, 8, 8)], (4, 8, 8), 0),
        (Softmax("x"), [(4,)], (4,), 0),
        (Dropout("x"), [(4,)], (4,), 0),
        (Flatten("x"), [(4, 8, 3)], (96,), 0),
        (Linear("x", 5), [(4, 8, 3)], (5,), 480),
        (Linear("x", 5), [(12,)], (5,), 60),
        (Concat("x"), [(4, 8, 3), (2, 8, 3), (1, 8, 3)], (7, 8, 3), 0),
    ],
    ids=lambda value: repr(value) if isinstance(value, Layer) else "",
)
def test_shape(layer: Layer, inputs: list[Any], shape: Any, multiply_adds: int) -> None:
    assert layer.output_shape(*inputs) == shape
    assert layer.multiply_adds(*inputs) == multiply_adds


def test_parameter_shapes() -> None:
    shapes = Conv("x", 6, (3, 1), groups=2).parameter_shapes((4, 9, 7))
    assert shapes == {"weight": (6, 2, 3, 1), "bias": (6,)}
    assert Linear("x", 5).parameter_shapes((4, 8, 3)) == {"weight": (5, 96), "bias": (5,)}
    assert ReLU("x").parameter_shapes((4, 8, 3)) == {}


# What cannot be


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Conv("odd", 0, 3), "out_channels must be a whole number from 1 to"),
        (lambda: Conv("odd", 4, 0), "kernel_size must be"),
        (lambda: Conv("odd", 4, (3, 0)), "kernel_size must be"),
        (lambda: Conv("odd", 4, (3, 3, 3)), "kernel_size must be"),
        (lambda: Conv("odd", 4, ()), "kernel_size must be"),
        (lambda: Conv("odd", 4, "3"), "kernel_size must be"),
        (lambda: Conv("odd", 4, 3.0), "kernel_size must be"),
        (lambda: Conv("odd", 4, True), "kernel_size must be"),
        (lambda: Conv("odd", 4, 3, stride=0), "stride must be"),
        (lambda: Conv("odd", 4, 3, padding=-1), "padding must be"),
        (lambda: Conv("odd", 4, 3, dilation=2**31), "dilation must be"),
        (lambda: Conv("odd", 4, 3, groups=3), "multiple of groups"),
        (lambda: Conv("odd", (4, 4), 3), "out_channels must be"),
        (lambda: MaxPool("odd", 3, None), "stride must be"),
        (lambda: MaxPool("odd", 3, 2, ceil_mode=1), "ceil_mode must be true or false; got 1"),
        (lambda: AvgPool("odd", 3, 2, count_include_pad="no"), "count_include_pad"),
        (lambda: AdaptiveAvgPool("odd", 0), "output_size must be"),
        (lambda: LRN("odd", size=0), "size must be"),
        (lambda: LRN("odd", alpha=math.inf), "alpha must be a finite number"),
        (lambda: LRN("odd", beta="1"), "beta must be a finite number"),
        (lambda: LRN("odd", region="around"), "region must be 'across' or 'within'"),
        (lambda: Linear("odd", -1), "out_features must be"),
        (lambda: Dropout("odd", 1.0), "p must be a number from 0 to below 1"),
        (lambda: Dropout("odd", math.nan), "p must be"),
    ],
)
def test_numbers_that_make_no_layer(make: Any, said: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        make()
    assert str(caught.value).startswith("odd: ") and said in str(caught.value)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ((), "net: a network must have layers; expected at least one"),
        ((ReLU("a"), ReLU("a")), "a: layers must have different names"),
        ((ReLU("data"),), "data: layers must have different names, and none 'data'"),
        (("relu",), "net: layers must be specs"),
        ((ReLU("a", inputs=("b",)), ReLU("b")), "a: its inputs must be layers before it; got 'b'"),
        ((ReLU("a", inputs=("a",)),), "a: its inputs"),
        ((ReLU("a"), ReLU("b", inputs=("data", "a"))), "b: only Concat takes several inputs"),
        ((Conv("a", 4, 9),), "a: "),
        ((Conv("a", 4, 3, groups=2),), "a: input channels must be a multiple of groups"),
        ((MaxPool("a", 3, 2, 3),), "a: "),
        ((Flatten("a"), Conv("b", 4, 3)), "b: input must be C,H,W; got (192,)"),
        ((Flatten("a"), MaxPool("b", 3, 2)), "b: input must be C,H,W"),
        ((Flatten("a"), LRN("b")), "b: input must be C,H,W"),
        ((MaxPool("a", 2, 2), Concat("b", inputs=("data", "a"))), "b: inputs must agree"),
        ((AdaptiveAvgPool("a", 2**20),), "a: output must be at most 16,777,216 values"),
        ((Conv("a", 2**20, 1),), "a: output must be at most"),
        ((Concat("a", inputs=("data",) * 2**17),), "a: output must be at most"),
    ],
)
def test_layers_that_make_no_network(layers: tuple[Layer, ...], said: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        Architecture("net", (3, 8, 8), layers)
    assert said in str(caught.value)


@pytest.mark.parametrize("shape", [(3, 8), (3, 8, 0), (3, 8, 8.0), (3, 8, True), (3, 8, 2**31)])
def test_input_shapes_that_are_none(shape: Any) -> None:
    with pytest.raises(ArchitectureError, match="net: input_shape must be C,H,W"):
        Architecture("net", shape, (ReLU("a"),))


def test_asking_for_an_unknown_layer_lists_the_known() -> None:
    with pytest.raises(ArchitectureError, match="conv1 relu1 .* prob; got 'fc9'"):
        decaf_mini().layer("fc9")


# To a dictionary and back


EVERYTHING = Architecture(
    "every kind, no default",
    (4, 20, 20),
    (
        Conv("c", 6, (3, 5), (1, 2), (2, 0), (1, 2), 2),
        ReLU("r", inputs=("c",)),
        MaxPool("m", 3, 1, 1, True),
        AvgPool("a", (3, 2), (1, 1), (1, 0), True, False, inputs=("r",)),
        LRN("n", 3, 0.1, 0.5, 2.0, "within", inputs=("m",)),
        AdaptiveAvgPool("p", (4, 3)),
        Concat("both/ways", inputs=("p", "p")),
        Dropout("d", 0.25),
        Flatten("f"),
        Linear("l", 7),
        Softmax("s"),
    ),
)


@pytest.mark.parametrize(
    "architecture",
    [EVERYTHING, *(net(9) for net in ARCHITECTURES.values())],
    ids=lambda architecture: architecture.name,
)
def test_there_and_back(architecture: Architecture) -> None:
    text = json.dumps(architecture_to_dict(architecture), allow_nan=False)
    back = architecture_from_dict(json.loads(text))
    assert back == architecture
    assert hash(back) == hash(architecture)
    assert [type(layer) for layer in back.layers] == [type(layer) for layer in architecture.layers]


def test_every_kind_can_be_written() -> None:
    assert {type(layer) for layer in EVERYTHING.layers} == set(KINDS.values())


def test_defaults_are_written_out() -> None:
    """A file means the same when a default changes."""
    layer = architecture_to_dict(decaf_mini())["layers"][0]
    assert layer == {
        "kind": "Conv", "name": "conv1", "out_channels": 48, "kernel_size": 5,
        "stride": 1, "padding": 2, "dilation": 1, "groups": 1,
    }  # fmt: skip


class Unknown(Layer):
    """A kind that decaf does not know."""


def test_kinds_of_ones_own_cannot_be_written() -> None:
    net = Architecture("net", (3, 8, 8), (Unknown("mine"),))
    with pytest.raises(ArchitectureError, match=r"mine: kind must be one of Conv, .*'Unknown'"):
        architecture_to_dict(net)


def broken(**changes: Any) -> dict[str, Any]:
    """The first layer of a network, changed; None takes a field away."""
    layer = {"kind": "Conv", "name": "odd", "out_channels": 4, "kernel_size": 3, "stride": 1,
             "padding": 0, "dilation": 1, "groups": 1} | changes  # fmt: skip
    layer = {key: value for key, value in layer.items() if value is not None}
    return {"name": "net", "input_shape": [3, 8, 8], "layers": [layer]}


LAYER = {"kind": "ReLU", "name": "a"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (broken(kind="Convolution"), "odd: kind must be one of"),
        (broken(kind=None), "odd: kind must be one of"),
        (broken(kind=["Conv"]), "odd: kind must be one of"),
        (broken(kind="__class__"), "odd: kind must be one of"),
        (broken(kind="Layer"), "odd: kind must be one of"),
        (broken(stride=None), "odd: must have every field and no other"),
        (broken(colour="red"), "odd: must have every field and no other"),
        (broken(name=None), "layer 0: must have every field"),
        (broken(name=""), "layer 0: name must be"),
        (broken(name=3), "layer 0: name must be"),
        (broken(name="a\n"), "layer 0: name must be"),
        (broken(name="\ud800"), "layer 0: name must be"),
        (broken(name="\x1b[2J"), "layer 0: name must be"),
        (broken(name="x" * 201), "layer 0: name must be"),
        (broken(kernel_size=[3]), "odd: kernel_size"),
        (broken(kernel_size=[3, 3, 3]), "odd: kernel_size"),
        (broken(kernel_size=[[3], 3]), "odd: kernel_size"),
        (broken(kernel_size={"h": 3}), "odd: kernel_size"),
        (broken(kernel_size="3"), "odd: kernel_size"),
        (broken(stride=1.0), "odd: stride"),
        (broken(stride=True), "odd: stride"),
        (broken(padding=10**4000), "odd: padding"),
        (broken(inputs="data"), "odd: inputs must be a list"),
        (broken(inputs=[1]), "odd: inputs must be a list"),
        (broken(inputs=["nothing"]), "odd: its inputs must be layers before it"),
        ({**broken(), "layers": [LAYER, LAYER]}, "a"),
        ({**broken(), "layers": [{**LAYER, "kind": "LRN", "size": 5, "alpha": 10**400,
                                  "beta": 1, "k": 1, "region": "across"}]}, "a: "),
        ({**broken(), "layers": {}}, "net: layers must be a list"),
        ({**broken(), "layers": [3]}, "layer 0: kind"),
        ({**broken(), "layers": [None]}, "layer 0: kind"),
        ({**broken(), "layers": []}, "net: a network must have layers"),
        ({**broken(), "layers": [LAYER] * 10_001}, "at most 10,000; got 10,001"),
        ({**broken(), "input_shape": "388"}, "net: input_shape"),
        ({**broken(), "input_shape": [3, 8]}, "net: input_shape"),
        ({**broken(), "input_shape": [3, 8, 8.5]}, "net: input_shape"),
        ({**broken(), "input_shape": [3, 8, None]}, "net: input_shape"),
        ({**broken(), "name": ["net"]}, "architecture: name must be"),
        ({**broken(), "more": 1}, "architecture: must have every field"),
        ({}, "architecture: must have every field"),
        ([], "architecture: must be a dictionary"),
        (None, "architecture: must be a dictionary"),
        ("net", "architecture: must be a dictionary"),
    ],
)  # fmt: skip
def test_dictionaries_that_make_no_network(values: Any, said: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        architecture_from_dict(values)
    assert said in str(caught.value)


def test_many_layers_are_quick() -> None:
    """As many layers as a file may have, each reading all before it as far as JSON has room."""
    layers = [{"kind": "ReLU", "name": f"r{i}"} for i in range(10_000)]
    start = time.process_time()
    architecture_from_dict({"name": "long", "input_shape": [3, 8, 8], "layers": layers})
    assert time.process_time() - start < 2


def test_any_single_change_is_an_architecture_or_a_typed_error() -> None:
    """Put each of many odd values at each place of a real description."""
    odd = (None, True, -1, 0, 2**31, 10**30, 1.5, 1e308, "", "relu1", "\0", [], [1, 2], [[]], {})
    whole = architecture_to_dict(squeezenet1_1(5))
    whole["layers"] = [*whole["layers"][:12], *architecture_to_dict(EVERYTHING)["layers"][4:5]]
    refused = 0
    for layer in range(len(whole["layers"])):
        for key in whole["layers"][layer]:
            for value in odd:
                changed = json.loads(json.dumps(whole))
                changed["layers"][layer][key] = value
                try:
                    architecture_from_dict(changed)
                except DecafError:
                    refused += 1
    assert refused > 500


def test_a_convolution_whose_padded_input_is_huge_is_refused() -> None:
    """Its output may be small: stride, padding and dilation are all as large as they can be."""
    huge = Conv("c", 1, 2, stride=2**20, padding=2**20, dilation=2**20)
    with pytest.raises(ArchitectureError, match="^c: the padded input of a group must be"):
        Architecture("evil", (3, 2, 2), (Conv("a", 2**20, 1), huge))
