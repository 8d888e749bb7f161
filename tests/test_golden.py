"""Numbers recorded from torchvision (``golden/record.py``), checked without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden import seeded
from numpy.typing import NDArray

from decaf import ops
from decaf.architectures import ARCHITECTURES
from decaf.image import TORCHVISION_IMAGENET, prepare
from decaf.plan import Network, Plan

FOLDER = Path(__file__).parent / "golden"
TOLERANCE = 1e-5  # of a layer's largest magnitude

Recorded = dict[str, NDArray[np.generic]]


def recorded(name: str) -> Recorded:
    with np.load(FOLDER / f"{name}.npz") as file:
        return dict(file)


@pytest.fixture(scope="module", params=seeded.RECORDED)
def made(
    request: pytest.FixtureRequest,
) -> tuple[str, dict[str, NDArray[np.float32]], NDArray[np.float32]]:
    architecture = ARCHITECTURES[request.param](1000)
    return request.param, *seeded.recorded_network(architecture)


def errors(
    name: str, parameters: dict[str, NDArray[np.float32]], x: NDArray[np.float32], backend: str
) -> dict[str, float]:
    """Error of every layer, its norm included, relative to its largest magnitude."""
    want = recorded(name)
    layers = [str(layer) for layer in want["layers"]]
    architecture = ARCHITECTURES[name](1000)
    assert layers == [layer.name for layer in architecture.layers]
    plan = Plan(Network(architecture, parameters, backend), len(x), layers, threads=2)
    plan.input[...] = x
    plan.run()
    found = {}
    for layer, values, norm, largest in zip(
        layers, want["values"], want["norm"], want["largest"], strict=True
    ):
        got = plan.outputs[layer].astype(np.float64)
        found[layer] = max(
            np.abs(seeded.sample(got) - values).max() / largest,
            abs(np.abs(got).max() - largest) / largest,
            abs(np.linalg.norm(got) - norm) / norm,
        )
    return found


@pytest.mark.parametrize("backend", ops.available())
def test_every_layer(
    backend: str, made: tuple[str, dict[str, NDArray[np.float32]], NDArray[np.float32]]
) -> None:
    found = errors(*made, backend)
    assert max(found.values()) <= TOLERANCE, found


def test_a_planted_error_is_found() -> None:
    """A slip in one small layer shows in it and in what follows, and not before."""
    parameters, x = seeded.recorded_network(ARCHITECTURES["squeezenet1_1"](1000))
    parameters["fire6/squeeze1x1/bias"][7] += 0.001
    found = errors("squeezenet1_1", parameters, x, ops.available()[0])
    layers = list(found)
    slip = layers.index("fire6/squeeze1x1")
    assert all(found[layer] <= TOLERANCE for layer in layers[:slip])
    assert found["fire6/concat"] > TOLERANCE
    assert found["pool10"] > TOLERANCE


def test_preprocessing() -> None:
    want = recorded("photos")
    for number, size in enumerate(want["sizes"]):
        x = prepare(seeded.photo(*size.tolist(), seed=number), TORCHVISION_IMAGENET)
        values = want["values"][number]
        got = seeded.sample(x, len(values))
        np.testing.assert_allclose(got, values, rtol=0, atol=1e-6, err_msg=str(size))
        assert x.mean(dtype=np.float64) == pytest.approx(want["mean"][number], abs=1e-6)


def test_seeded_numbers_are_fixed() -> None:
    """If these change, so did the weights, and every recorded number with them."""
    values = seeded.uniform((3,), 1.0, 7, 8)
    assert [float(v).hex() for v in values] == [
        "0x1.61ceba0000000p+0",
        "0x1.7e68300000000p-1",
        "0x1.6916ee0000000p-1",
    ]


def test_the_files_are_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.glob("*.npz")) < 300_000
