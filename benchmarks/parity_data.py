"""Real photos and trained networks for ``parity.py``, from beside the repository.

They are read from ``../shared/data`` and are not part of decaf; what is missing raises
:class:`Skipped`.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from conftest import SHARED_DATA
from numpy.typing import NDArray
from support_torch import squeezenet_parameters

from decaf.image import load_image
from decaf.specs import Architecture, AvgPool, Conv, Linear, MaxPool, ReLU, Softmax

Array = NDArray[np.float32]
QUICK_MEAN_BYTES = 4 * 3 * 32 * 32

QUICK = Architecture(  # cifar10_quick.prototxt, which Caffe came with
    "cifar10_quick",
    (3, 32, 32),
    (
        Conv("conv1", 32, 5, padding=2),
        MaxPool("pool1", 3, stride=2, ceil_mode=True),
        ReLU("relu1"),
        Conv("conv2", 32, 5, padding=2),
        ReLU("relu2"),
        AvgPool("pool2", 3, stride=2, ceil_mode=True),
        Conv("conv3", 64, 5, padding=2),
        ReLU("relu3"),
        AvgPool("pool3", 3, stride=2, ceil_mode=True),
        Linear("ip1", 64),
        Linear("ip2", 10),
        Softmax("prob"),
    ),
)


class Skipped(Exception):  # noqa: N818
    """Something that a part needs is not there."""


class Photos(NamedTuple):
    """Files of photos, and the class that each shows."""

    files: dict[str, bytes]
    truth: NDArray[np.int64]


def imagenet() -> Photos:
    """100 photos of ImageNet, each named after its class: ``0006_n01498041_stingray.JPEG``."""
    files = _unpacked("imagenet/photos-100.zip")
    return Photos(files, np.array([int(Path(name).name[:4]) for name in files]))


def recorded() -> dict[str, list[tuple[int, float]]]:
    """The five best classes of each of these photos, as torchvision found them in float32."""
    text = _there("imagenet/squeezenet-reference-100.json").read_text()
    predictions: dict[str, list[tuple[int, float]]] = json.loads(text)["predictions"]
    return predictions


def squeezenet() -> dict[str, Array]:
    """SqueezeNet 1.1, trained on ImageNet."""
    return squeezenet_parameters(_there("squeezenet/squeezenet_v1.1.pth"))


def cifar10() -> Photos:
    """5,000 test photos of CIFAR-10, ``test/<class>/0002.jpg``; classes in alphabetical order."""
    files = _unpacked("cifar10/test-a.zip")
    names = [Path(name).parent.name for name in files]
    return Photos(files, np.unique(names, return_inverse=True)[1])


def quick() -> dict[str, Array]:
    """``QUICK`` as Caffe trained it, in float32."""
    parts = {"0": "weight", "1": "bias"}
    with h5py.File(_there("caffe/nets-h5/cifar10_quick_iter_4000.caffemodel.h5")) as file:
        return {
            f"{layer}/{parts[number]}": blob[:]
            for layer, blobs in file["data"].items()
            for number, blob in blobs.items()
        }


def quick_input(photos: Photos) -> Array:
    """What ``QUICK`` sees of photos of its own size: N,C,H,W, RGB, less the mean image."""
    message = _there("caffe/nets-h5/mean.binaryproto").read_bytes()
    # A BlobProto: four short fields with its shape, and then nothing but its values.
    mean = np.frombuffer(message[-QUICK_MEAN_BYTES:], "<f4").reshape(QUICK.input_shape)
    pixels = [load_image(io.BytesIO(photo)) for photo in photos.files.values()]
    return np.stack(pixels).transpose(0, 3, 1, 2) - mean


def scores(probabilities: Array, truth: NDArray[Any]) -> dict[str, float]:
    """Shares of photos whose class is the best, and is among the best five."""
    best = np.argsort(-probabilities, axis=1)
    return {
        "top1": float((best[:, 0] == truth).mean()),
        "top5": float((best[:, :5] == truth[:, None]).any(axis=1).mean()),
    }


def _unpacked(name: str) -> dict[str, bytes]:
    with zipfile.ZipFile(_there(name)) as archive:
        files = sorted(name for name in archive.namelist() if not name.endswith("/"))
        return {name: archive.read(name) for name in files}


def _there(name: str) -> Path:
    path = SHARED_DATA / name
    if not path.is_file():
        raise Skipped(f"{name} is not beside the repository")
    return path
