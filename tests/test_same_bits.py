"""The same answer every time: alone, in a batch of 7 or 32, in any place, on 1 or 2 threads.

Equal to the last bit, for every layer, with every instruction set, in both precisions, and with
BLAS where it multiplies.  (AlexNet's turn is in ``test_parity_alexnet.py``.)
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from golden import seeded
from numpy.typing import NDArray
from support_parity import DIRECT, Values, assert_same_bits, engines, network, run, same_bits

from decaf import DecafNet, ops
from decaf.architectures import decaf_mini, squeezenet1_1
from decaf.image import Preprocessing
from decaf.plan import Network

NETWORKS = {
    "decaf_mini": decaf_mini(),
    # At half the size, which is a quarter of the work.
    "squeezenet1_1": replace(squeezenet1_1(), input_shape=(3, 115, 115)),
}
LAYERS = {
    "decaf_mini": tuple(layer.name for layer in decaf_mini().layers),
    "squeezenet1_1": ("conv1", "pool1", "fire5/concat", "conv10", "pool10", "prob"),
}


@pytest.fixture(scope="module", params=NETWORKS)
def made(request: pytest.FixtureRequest) -> tuple[Values, NDArray[np.float32], str]:
    return (*seeded.network(NETWORKS[request.param], 32, seed=5), request.param)


COMPACT = tuple((engine, "float16") for engine in engines() if engine not in DIRECT)


@pytest.fixture(
    scope="module", params=(*((engine, "float32") for engine in engines()), *COMPACT), ids="-".join
)
def net(request: pytest.FixtureRequest, made: tuple[Values, NDArray[np.float32], str]) -> Network:
    parameters, _, name = made
    return network(NETWORKS[name], parameters, *request.param)


def test_any_batch_and_any_threads(
    net: Network, made: tuple[Values, NDArray[np.float32], str]
) -> None:
    _, x, name = made
    layers = LAYERS[name]
    want = run(net, x, layers, threads=1)
    assert_same_bits(run(net, x, layers, threads=2), want)
    for order in ([0], [13], [31], [31, 5, 13, 6, 0, 1, 2]):
        for threads in (1, 2):
            got = run(net, x[order], layers, threads)
            assert_same_bits(got, {layer: want[layer][order] for layer in layers})


@pytest.mark.parametrize("backend", ops.available())
def test_photos(backend: str, tmp_path: Path) -> None:
    """The same through ``DecafNet``, which fills batches from a list and leaves a rest."""
    from decaf.weights import save_weights

    path = tmp_path / "mini.h5"
    save_weights(
        path,
        decaf_mini(),
        seeded.he_parameters(decaf_mini(), seed=6),
        preprocessing=Preprocessing(resize=32, crop=(32, 32), mean=(0.5,) * 3, std=(0.25,) * 3),
        labels=[f"class {i}" for i in range(10)],
        provenance={"source": "random numbers"},
    )
    photos = [seeded.photo(30 + i, 60 - i, seed=i) for i in range(33)]
    layers = ["relu7", "prob"]
    nets = [DecafNet(path, backend=backend, threads=threads) for threads in (1, 2)]
    want = nets[0].features(photos, layers)
    for net in nets:
        for batch_size in (1, 7, 32):
            assert_same_bits(net.features(photos, layers, batch_size=batch_size), want)
            assert same_bits(net.classify(photos, batch_size=batch_size), want["prob"])
        for i in (0, 32):
            assert same_bits(net.classify(photos[i]), want["prob"][i])
            assert same_bits(net.features(photos[i]), want["relu7"][i])
