"""Which network named arrays belong to; the same answers as torchvision."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support_torch import (
    ALEXNET_LAYERS,
    SQUEEZENET_LAYERS,
    import_torch,
    import_torchvision,
    squeezenet_parameters,
)

from decaf.architectures import ARCHITECTURES, alexnet, caffenet, decaf_mini, squeezenet1_0
from decaf.errors import ArchitectureError, WeightsError
from decaf.formats.model import Tensors
from decaf.formats.pth import tensors
from decaf.formats.state_dict import recognise, torch_names
from decaf.preprocessing import TORCHVISION_IMAGENET
from decaf.specs import Architecture, Concat, Conv, Linear, Softmax


def named(architecture: Architecture, naming: Any = None) -> Tensors:
    """Zeros (which take no memory) in the shapes of an architecture, named like its own."""
    naming = naming or (lambda name: name)
    zero = np.zeros((), np.float32)
    return {
        naming(name): np.broadcast_to(zero, shape)
        for name, shape in architecture.parameter_shapes.items()
    }


def torchvision_named(name: str, classes: int) -> Tensors:
    architecture = ARCHITECTURES[name](classes)
    keys = torch_names(architecture)
    return named(architecture, keys.__getitem__)


@pytest.mark.parametrize("classes", [1, 10, 1000])
@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_0", "squeezenet1_1"])
def test_torchvision(name: str, classes: int) -> None:
    """Keys and shapes of torchvision's own networks."""
    torch, torchvision = import_torch(), import_torchvision()
    with torch.device("meta"):
        network = getattr(torchvision.models, name)(weights=None, num_classes=classes)
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    zero = np.zeros((), np.float32)
    state = {key: np.broadcast_to(zero, shape) for key, shape in shapes.items()}
    for model in (recognise(state), recognise(state, ARCHITECTURES[name](classes))):
        assert model.architecture == ARCHITECTURES[name](classes)
        assert model.preprocessing == (TORCHVISION_IMAGENET if name == "alexnet" else None)
        assert list(model.parameters) == list(model.architecture.parameter_shapes)
    assert set(torch_names(ARCHITECTURES[name](classes)).values()) == shapes.keys()


def test_names_as_elsewhere_in_the_tests() -> None:
    for name, layers in (("alexnet", ALEXNET_LAYERS), ("squeezenet1_1", SQUEEZENET_LAYERS)):
        want = {
            f"{ours}/{kind}": f"{theirs}.{kind}"
            for ours, theirs in layers.items()
            for kind in ("weight", "bias")
        }
        assert torch_names(ARCHITECTURES[name](1000)) == want


def test_every_parameter_gets_its_own_array() -> None:
    state = torchvision_named("alexnet", 7)
    model = recognise(state)
    keys = torch_names(alexnet())
    assert all(model.parameters[ours] is state[theirs] for ours, theirs in keys.items())


@pytest.mark.parametrize("naming", ["slash", "dot", "mixed"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_own_names(name: str, naming: str) -> None:
    architecture = ARCHITECTURES[name](12)
    rename = {
        "slash": lambda n: n,
        "dot": lambda n: n.replace("/", "."),
        "mixed": lambda n: ".".join(n.rsplit("/", 1)),
    }[naming]
    state = named(architecture, rename)
    assert recognise(state, architecture).architecture is architecture
    if name in ("caffenet", "bvlc_alexnet"):
        with pytest.raises(WeightsError, match="bvlc_alexnet and caffenet"):
            recognise(state)
        return
    model = recognise(state)
    assert model.architecture == architecture and model.preprocessing is None


def test_short_names_need_the_architecture() -> None:
    architecture = squeezenet1_0(10)
    state = named(architecture, lambda n: n.replace("/squeeze1x1/", "/squeeze/").replace("/", "."))
    with pytest.raises(WeightsError, match="squeezenet1_0.*name the architecture"):
        recognise(state)
    assert recognise(state, architecture).parameters["fire2/squeeze1x1/bias"].shape == (16,)


def test_given_architectures() -> None:
    net = Architecture("two", (3, 8, 8), (Conv("a", 4, 3), Linear("b", 5), Softmax("prob")))
    for separator in "./":
        state = named(net, lambda name, separator=separator: name.replace("/", separator))
        assert recognise(state, net).architecture is net
    assert torch_names(net)["a/weight"] == "a.weight"
    # The name alone does not make it torchvision's.
    impostor = Architecture("alexnet", (3, 8, 8), net.layers)
    assert torch_names(impostor)["a/weight"] == "a.weight"
    branches = (
        Conv("a/b", 4, 3),
        Conv("a.b", 4, 3, inputs=("data",)),
        Concat("c", inputs=("a/b", "a.b")),
    )
    twins = Architecture("twins", (3, 8, 8), branches)
    assert len(set(torch_names(twins).values())) == 4
    assert recognise(named(twins), twins).architecture is twins


def test_every_name_is_different() -> None:
    for make in ARCHITECTURES.values():
        keys = torch_names(make(10))
        assert list(keys) == list(make(10).parameter_shapes)
        assert len(set(keys.values())) == len(keys)


def without(state: Tensors, *keys: str) -> Tensors:
    return {key: array for key, array in state.items() if key not in keys}


def test_what_does_not_fit_is_named() -> None:
    state = torchvision_named("alexnet", 10)
    wrong = np.zeros((64, 3, 5, 5), np.float32)
    flat = np.zeros((10, 4096, 1, 1), np.float32)
    cases = [
        (without(state, "features.3.bias"), r"missing features\.3\.bias.*all have a bias"),
        (without(state, "features.3.weight"), r"missing features\.3\.weight, not known none$"),
        ({**state, "extra.weight": wrong}, r"alexnet; missing none, not known extra\.weight"),
        ({**state, "features.0.weight": wrong},
         r"features\.0\.weight: .*expected \(64, 3, 11, 11\), got \(64, 3, 5, 5\)"),
        ({**state, "classifier.6.weight": flat}, r"expected \(10, 4096\), got \(10, 4096, 1, 1\)"),
        ({**state, "features.0.bias": np.zeros(64, np.int64)}, r"features\.0\.bias.*got int64"),
        ({**state, "features.0.bias": np.zeros(64, np.longdouble)}, "got float128|got longdouble"),
        ({}, "one of alexnet, bvlc_alexnet"),
        ({"a": wrong, "b\n" * 100: wrong}, r"got a, b\\n"),
        ({f"k{i}": wrong for i in range(100)}, "and 92 more"),
    ]  # fmt: skip
    for damaged, message in cases:
        with pytest.raises(WeightsError, match=message):
            recognise(damaged)
        if "features.0.weight" in damaged:  # else it is told what is missing
            with pytest.raises(WeightsError, match=message):
                recognise(damaged, alexnet(10))
    with pytest.raises(WeightsError, match="exactly those of alexnet"):
        recognise({}, alexnet())
    with pytest.raises(WeightsError, match="exactly those of caffenet"):
        recognise(state, caffenet())
    with pytest.raises(WeightsError, match=r"classifier\.6\.weight: .*expected \(1000, 4096\)"):
        recognise(state, alexnet())


def test_absurd_numbers_of_classes() -> None:
    for classes in (0, 2**21):
        state = named(decaf_mini())
        state["fc8/bias"] = np.broadcast_to(np.zeros((), np.float32), (classes,))
        with pytest.raises((WeightsError, ArchitectureError)):
            recognise(state)
    state["fc8/bias"] = np.zeros((), np.float32)
    with pytest.raises(WeightsError, match="fc8"):
        recognise(state)


# --- whole files --------------------------------------------------------------------------------


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_a_checkpoint_of_torchvision(new: bool) -> None:
    """Random weights through a file, wrapped and nested: the same bits under decaf's names."""
    torch, torchvision = import_torch(), import_torchvision()
    torch.manual_seed(0)
    network = torchvision.models.squeezenet1_1(weights=None, num_classes=5).eval()
    file = io.BytesIO()
    wrapped = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": wrapped, "epoch": 1}, file, _use_new_zipfile_serialization=new)
    model = recognise(tensors(file.getvalue()))
    assert model.architecture.name == "squeezenet1_1" and model.architecture.classes == 5
    for ours, theirs in torch_names(model.architecture).items():
        want = network.state_dict()[theirs].numpy()
        assert model.parameters[ours].tobytes() == want.tobytes()


def test_real_squeezenet(shared_data: Path) -> None:
    path = shared_data / "squeezenet" / "squeezenet_v1.1.pth"
    if not path.is_file():
        pytest.skip(f"not there: {path}")
    model = recognise(tensors(path.read_bytes()))
    assert model.architecture == ARCHITECTURES["squeezenet1_1"](1000)
    want = squeezenet_parameters(path)  # by torch.load
    assert model.parameters.keys() == want.keys()
    for name, array in want.items():
        np.testing.assert_array_equal(model.parameters[name], array)


def test_other_real_files(shared_data: Path) -> None:
    folder = shared_data / "pth"
    if not folder.is_dir():
        pytest.skip(f"not there: {folder}")
    for name in ("cifar_net_zip.pth", "lpips_v0.1_alex.pth"):
        with pytest.raises(WeightsError, match="a known architecture"):
            recognise(tensors((folder / name).read_bytes()))
    state = tensors((folder / "sreeharikk25_task1_best.pth").read_bytes())
    with pytest.raises(WeightsError, match="shapes are those of squeezenet1_0"):
        recognise(state)
    model = recognise(state, squeezenet1_0(10))
    assert model.parameters["fire9/expand3x3/weight"] is state["fire9.expand3x3.weight"]
