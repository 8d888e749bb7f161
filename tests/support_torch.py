"""PyTorch and torchvision as oracles: import them, give them weights, take the weights out.

Everything here skips the calling test where torch is missing, or fails it where
``DECAF_REQUIRE_TORCH=1`` says that it must be there.
"""

from __future__ import annotations

import functools
import importlib
import math
import os
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

# torchvision names its layers by position: alexnet's here, in the order of the architecture.
ALEXNET_LAYERS = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "fc8": "classifier.6",
}
# squeezenet1_1: the position of each fire module among the features, and its three parts.
SQUEEZENET_FIRES = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}
FIRE_PARTS = {"squeeze1x1": "squeeze", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}
SQUEEZENET_LAYERS = {
    "conv1": "features.0",
    **{
        f"fire{fire}/{ours}": f"features.{position}.{theirs}"
        for fire, position in SQUEEZENET_FIRES.items()
        for ours, theirs in FIRE_PARTS.items()
    },
    "conv10": "classifier.1",
}


def import_torch() -> Any:
    """Return the module torch; without it, skip the calling test or file."""
    return _import_or_skip("torch")


@functools.cache
def import_torchvision() -> Any:
    """Return the module torchvision, also beside a torch without CUDA.

    The compiled part of torchvision's wheel wants CUDA.  Beside a CPU-only torch it does not
    load, and ``import torchvision`` then fails because nobody declared the operators ``nms`` and
    ``qnms``.  Models and transforms never call them, so a declaration is enough.
    """
    torch = import_torch()
    try:
        return _import_or_skip("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
    # The failed import leaves half of torchvision behind.
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    torchvision = _import_or_skip("torchvision")
    torchvision._declared_for_tests = library  # the declarations last as long as this object
    return torchvision


def he_alexnet(seed: int, classes: int = 1000) -> Any:
    """Return torchvision's AlexNet in eval mode with He-scaled random weights.

    Weights are normal with σ = √(2 / fan_in), biases normal with σ = 0.1: a signal of size one
    keeps that size through all layers, where torchvision's own initialisation lets it die.
    """
    torch, torchvision = import_torch(), import_torchvision()
    with torch.random.fork_rng(devices=[]):
        model = torchvision.models.alexnet(weights=None, num_classes=classes)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in ALEXNET_LAYERS.values():
            module = model.get_submodule(layer)
            fan_in = module.weight[0].numel()
            module.weight.normal_(0, math.sqrt(2 / fan_in), generator=generator)
            module.bias.normal_(0, 0.1, generator=generator)
    return model.eval()


def alexnet_parameters(model: Any) -> dict[str, np.ndarray]:
    """Return the parameters of torchvision's AlexNet under decaf's names."""
    return _rename(model.state_dict(), ALEXNET_LAYERS)


def squeezenet_parameters(path: str | Path) -> dict[str, np.ndarray]:
    """Return the parameters in a checkpoint of torchvision's squeezenet1_1 under decaf's names."""
    state = import_torch().load(path, map_location="cpu", weights_only=True)
    return _rename(state, SQUEEZENET_LAYERS)


def _rename(state: dict[str, Any], layers: dict[str, str]) -> dict[str, np.ndarray]:
    """Return ``{"conv1/weight": array, ...}``; a tensor that no layer asks for is an error."""
    left = dict(state)
    parameters = {
        f"{ours}/{kind}": np.array(left.pop(f"{theirs}.{kind}").float().numpy(), order="C")
        for ours, theirs in layers.items()
        for kind in ("weight", "bias")
    }
    if left:
        raise KeyError(f"tensors without a layer: {sorted(left)}")
    return parameters


def _import_or_skip(name: str) -> ModuleType:
    """Import quietly: deprecations in other people's imports are no failure of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name or os.environ.get("DECAF_REQUIRE_TORCH") == "1":
                raise
    pytest.skip(f"{name} is not installed", allow_module_level=True)
