"""CaffeNet and bvlc_alexnet against twins in PyTorch: groups, LRN, and pooling that rounds up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from golden import seeded
from numpy.typing import NDArray
from support_parity import (
    DIRECT,
    Values,
    assert_good,
    assert_same_bits,
    caffenet_values,
    compare,
    engines,
    network,
    run,
)

from decaf.architectures import bvlc_alexnet, caffenet
from decaf.specs import Architecture


@dataclass(frozen=True)
class Oracle:
    architecture: Architecture
    parameters: Values
    x: NDArray[np.float32]
    torch32: Values
    exact: Values


@pytest.fixture(scope="module", params=[caffenet, bvlc_alexnet], ids=lambda make: make.__name__)
def oracle(request: pytest.FixtureRequest) -> Oracle:
    architecture = request.param()
    parameters, x = seeded.network(architecture, 4, seed=3)
    norm_first = architecture.name == "bvlc_alexnet"
    torch32, exact = (
        caffenet_values(parameters, x, dtype, norm_first=norm_first)
        for dtype in ("float32", "float64")
    )
    return Oracle(architecture, parameters, x, torch32, exact)


def test_the_oracle_is_alive(oracle: Oracle) -> None:
    """Normalisation does something, and the signal keeps its size to the end."""
    before = "relu1" if oracle.architecture.name == "bvlc_alexnet" else "pool1"
    shrunk = oracle.exact["norm1"].max() / oracle.exact[before].max()
    assert shrunk < 0.6
    assert oracle.exact["fc8"].std() > 0.2


@pytest.mark.parametrize("engine", engines())
def test_every_layer(engine: str, oracle: Oracle) -> None:
    layers = tuple(layer.name for layer in oracle.architecture.layers)
    assert oracle.exact.keys() == set(layers)
    net = network(oracle.architecture, oracle.parameters, engine)
    values = run(net, oracle.x, layers, threads=2)
    assert_good(compare(values, oracle.torch32, oracle.exact), direct=engine in DIRECT, largest=())
    assert_same_bits(run(net, oracle.x), values)  # fused
