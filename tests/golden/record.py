"""Record what torchvision gives: ``python tests/golden/record.py`` rewrites the ``.npz`` here.

Needs torch and torchvision.  Weights, inputs and photos come from ``seeded.py``, so that only
results are stored: of every layer, from a float64 run, some values, the norm and the largest
magnitude; of every preprocessed photo some values.  ``test_golden.py`` compares decaf with
them and needs neither.  CaffeNet, which torchvision does not have, is recorded from torch's
functions (``support_parity.caffenet_values``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from golden import seeded
from PIL import Image
from support_parity import (
    Values,
    alexnet_values,
    caffenet_values,
    load,
    squeezenet_values,
    torchvision_alexnet,
    torchvision_squeezenet,
)
from support_torch import import_torch, import_torchvision

from decaf.architectures import ARCHITECTURES

FOLDER = Path(__file__).parent
PHOTO_SIZES = [(480, 640), (333, 250), (256, 256), (40, 30), (700, 224), (1, 5), (1000, 1501)]
PHOTO_SAMPLE = 256


def alexnet(parameters: Values, x: NDArray[np.float32]) -> Values:
    return alexnet_values(load(torchvision_alexnet(), parameters).double(), x)


def caffenet(parameters: Values, x: NDArray[np.float32]) -> Values:
    return caffenet_values(parameters, x, "float64", norm_first=False)


def squeezenet1_1(parameters: Values, x: NDArray[np.float32]) -> Values:
    return squeezenet_values(load(torchvision_squeezenet("1_1"), parameters).double(), x, "1_1")


def record_network(oracle: Callable[[Values, NDArray[np.float32]], Values]) -> None:
    name = oracle.__name__
    architecture = ARCHITECTURES[name](1000)
    found = oracle(*seeded.recorded_network(architecture))
    layers = [layer.name for layer in architecture.layers]
    _save(
        name,
        layers=np.array(layers),
        values=np.stack([seeded.sample(found[layer]) for layer in layers]),
        norm=np.array([np.linalg.norm(found[layer]) for layer in layers]),
        largest=np.array([np.abs(found[layer]).max() for layer in layers]),
    )


def record_photos() -> None:
    torchvision = import_torchvision()
    transforms = torchvision.models.AlexNet_Weights.IMAGENET1K_V1.transforms()
    tensors = [
        transforms(Image.fromarray(seeded.photo(*size, seed=number))).numpy()
        for number, size in enumerate(PHOTO_SIZES)
    ]
    _save(
        "photos",
        sizes=np.array(PHOTO_SIZES),
        values=np.stack([seeded.sample(tensor, PHOTO_SAMPLE) for tensor in tensors]),
        mean=np.array([tensor.mean(dtype=np.float64) for tensor in tensors]),
    )


def _save(name: str, **arrays: NDArray[np.generic]) -> None:
    versions = f"torch {import_torch().__version__}, torchvision {import_torchvision().__version__}"
    path = FOLDER / f"{name}.npz"
    np.savez_compressed(path, recorded_from=np.array(versions), **arrays)
    print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    for oracle in (alexnet, caffenet, squeezenet1_1):
        record_network(oracle)
    record_photos()
