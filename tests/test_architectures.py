"""The networks: their shapes and sizes against the papers, Caffe's files and torchvision."""

from __future__ import annotations

import doctest
import inspect
import math
import re
from typing import Any

import pytest
from support_torch import import_torch, import_torchvision

import decaf.architectures
from decaf.architectures import (
    ARCHITECTURES,
    alexnet,
    bvlc_alexnet,
    caffenet,
    decaf_mini,
    squeezenet1_0,
    squeezenet1_1,
)
from decaf.specs import LRN, Architecture, Conv, Linear, MaxPool

EVERY = pytest.mark.parametrize("name", ARCHITECTURES)


def parameters(net: Architecture) -> int:
    return sum(map(math.prod, net.parameter_shapes.values()))


def multiply_adds(net: Architecture) -> int:
    return sum(layer.multiply_adds(*net.input_shapes(layer)) for layer in net.layers)


def test_doctests() -> None:
    result = doctest.testmod(decaf.architectures)
    assert result.attempted > 0 and result.failed == 0


# Parameters as torchvision and Caffe's model zoo publish them
@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (alexnet(), 61_100_840),
        (bvlc_alexnet(), 60_965_224),
        (caffenet(), 60_965_224),
        (squeezenet1_0(), 1_248_424),
        (squeezenet1_1(), 1_235_496),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_number_of_parameters(net: Architecture, expected: int) -> None:
    assert parameters(net) == expected


def test_the_embedded_network_is_small() -> None:
    assert parameters(decaf_mini()) <= 2_000_000
    assert decaf_mini().classes == 10


# torchvision publishes 0.71 and, for 224, 0.35 billion; the paper's own network has 0.72.
@pytest.mark.parametrize(
    ("net", "millions"),
    [(alexnet(), 714.2), (caffenet(), 724.4), (bvlc_alexnet(), 724.4)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_multiply_adds(net: Architecture, millions: float) -> None:
    assert multiply_adds(net) / 1e6 == pytest.approx(millions, abs=0.05)


def test_pooling_earlier_makes_squeezenet_1_1_cheaper() -> None:
    first, second = (net().layers for net in (squeezenet1_0, squeezenet1_1))
    costs = [multiply_adds(Architecture("", (3, 224, 224), net)) for net in (first, second)]
    assert 2.3 < costs[0] / costs[1] < 2.5


# Blob shapes that Caffe prints for its own prototxt files
@pytest.mark.parametrize("net", [caffenet(), bvlc_alexnet()], ids=lambda net: net.name)
def test_caffe_shapes(net: Architecture) -> None:
    expected = {
        "conv1": (96, 55, 55), "pool1": (96, 27, 27), "norm1": net.shapes["norm1"],
        "conv2": (256, 27, 27), "pool2": (256, 13, 13), "conv3": (384, 13, 13),
        "conv4": (384, 13, 13), "conv5": (256, 13, 13), "pool5": (256, 6, 6),
        "fc6": (4096,), "fc7": (4096,), "fc8": (1000,), "prob": (1000,),
    }  # fmt: skip
    assert {name: net.shapes[name] for name in expected} == expected


def test_what_sets_the_two_caffe_networks_apart() -> None:
    names = [[layer.name for layer in net().layers][:9] for net in (caffenet, bvlc_alexnet)]
    assert " ".join(names[0]) == "conv1 relu1 pool1 norm1 conv2 relu2 pool2 norm2 conv3"
    assert " ".join(names[1]) == "conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 conv3"
    assert caffenet().shapes["norm1"] == (96, 27, 27)
    assert bvlc_alexnet().shapes["norm1"] == (96, 55, 55)
    by_name = [{layer.name: layer for layer in net().layers} for net in (caffenet, bvlc_alexnet)]
    assert by_name[0] == by_name[1]


def test_the_embedded_network_is_caffenet_in_miniature() -> None:
    big, small = caffenet().layers, decaf_mini().layers
    assert [(type(a), a.name) for a in big] == [(type(b), b.name) for b in small]
    for a, b in zip(big, small, strict=True):
        if isinstance(a, Conv) and isinstance(b, Conv):
            assert a.groups == b.groups
        if isinstance(a, LRN) and isinstance(b, LRN):
            assert (a.size, a.beta, a.region) == (b.size, b.beta, b.region)


@EVERY
def test_names_and_classes(name: str) -> None:
    net = ARCHITECTURES[name](17)
    assert net.name == name
    assert net.classes == 17
    assert net.layers[-1].name == "prob"
    assert ARCHITECTURES[name](17) == net  # plain values: they compare


@EVERY
def test_the_comment_beside_each_line_is_true(name: str) -> None:
    """``Conv("conv1", 96, 11, stride=4),  # 96 x 55 x 55`` must say what shapes says."""
    net = ARCHITECTURES[name](1000)
    source = inspect.getsource(ARCHITECTURES[name])
    line = re.compile(r'(?:\w+|\*_fire)\("(\w+)".*# (\d+ x \d+ x \d+)$', re.MULTILINE)
    found = line.findall(source)
    assert len(found) >= 4
    for layer, comment in found:
        shape = net.shapes.get(layer) or net.shapes[f"{layer}/concat"]
        assert " x ".join(map(str, shape)) == comment, layer


def test_squeezenet_branches() -> None:
    net = squeezenet1_1()
    squeezed = ("fire2/relu_squeeze1x1",)
    assert net.inputs["fire2/expand1x1"] == net.inputs["fire2/expand3x3"] == squeezed
    assert net.inputs["fire2/concat"] == ("fire2/relu_expand1x1", "fire2/relu_expand3x3")
    assert net.inputs["fire4/squeeze1x1"] == ("pool3",)
    assert net.inputs["drop9"] == ("fire9/concat",)


@pytest.mark.parametrize("net", [alexnet, squeezenet1_0, squeezenet1_1])
def test_torchvision_agrees(net: Any) -> None:
    """Kind, output shape and parameters of each layer in order, as torchvision runs them."""
    torch, torchvision = import_torch(), import_torchvision()
    ours = net(11)
    kinds = {torch.nn.Conv2d: Conv, torch.nn.MaxPool2d: MaxPool, torch.nn.Linear: Linear}
    seen: list[tuple[Any, ...]] = []

    def hook(module: Any, _: Any, output: Any) -> None:
        weights = [tuple(value.shape) for value in module.parameters()]
        seen.append((kinds[type(module)], tuple(output.shape[1:]), weights))

    with torch.device("meta"), torch.no_grad():  # shapes alone: no memory, no arithmetic
        model = getattr(torchvision.models, ours.name)(weights=None, num_classes=11).eval()
        for module in model.modules():
            if type(module) in kinds:
                module.register_forward_hook(hook)
        assert model(torch.zeros(1, *ours.input_shape)).shape == (1, 11)

    expected = [
        (
            type(layer),
            ours.shapes[layer.name],
            list(layer.parameter_shapes(*ours.input_shapes(layer)).values()),
        )
        for layer in ours.layers
        if type(layer) in kinds.values()
    ]
    assert seen == expected
    assert len(seen) > 10
