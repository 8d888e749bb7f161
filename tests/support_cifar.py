"""Half of CIFAR-10's test set, and how many of its photos a network gets right."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from decaf.formats.model import Model
from decaf.plan import Network, Plan

BATCH = 250


@functools.cache
def photos(shared_data: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The 5,000 photos, N,32,32,3 RGB, and their classes; read once, and not to be written to.

    The classes are the folders in the order of the alphabet, which is CIFAR's order: airplane,
    automobile, bird, cat, deer, dog, frog, horse, ship, truck.
    """
    path = shared_data / "cifar10" / "test-a.zip"
    if not path.is_file():
        pytest.skip(f"CIFAR-10's photos are not there: {path}")
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        folders = sorted({name.split("/")[-2] for name in names})
        labels = np.array([folders.index(name.split("/")[-2]) for name in names])
        rows = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names]
    values = np.stack(rows)
    assert values.shape == (5000, 32, 32, 3) and values.dtype == np.uint8
    assert np.bincount(labels).tolist() == [500] * 10
    values.flags.writeable = labels.flags.writeable = False
    return values, labels


def accuracy(
    model: Model, mean: NDArray[Any], shared_data: Path, *, mirrored: bool = False
) -> float:
    """Share of the photos whose class comes out on top: RGB from 0 to 255, minus the mean image.

    ``mean`` is C,H,W, or whatever else can be subtracted from N,3,32,32.  With ``mirrored`` each
    photo is shown from both sides, and the answers are added.
    """
    values, labels = photos(shared_data)
    parameters = {name: np.asarray(p, np.float32) for name, p in model.parameters.items()}
    plan = Plan(Network(model.architecture, parameters), BATCH, threads=2)
    right = 0
    for start in range(0, len(values), BATCH):
        batch = values[start : start + BATCH].transpose(0, 3, 1, 2)  # N,3,32,32
        x = batch.astype(np.float32) - mean
        scores = np.zeros((BATCH, model.architecture.classes))
        for view in (x, x[..., ::-1])[: 1 + mirrored]:
            plan.input[...] = view
            plan.run()
            (answers,) = plan.outputs.values()
            scores += answers.reshape(BATCH, -1)
        best = scores.argmax(1)
        right += int((best == labels[start : start + BATCH]).sum())
    return right / len(values)
