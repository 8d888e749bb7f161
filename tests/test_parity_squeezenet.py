"""SqueezeNet: every layer against torchvision, and real weights on real photos."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from golden import seeded
from numpy.typing import NDArray
from support_parity import (
    DIRECT,
    Values,
    assert_good,
    assert_same_bits,
    compare,
    engines,
    in_float64,
    load,
    network,
    run,
    squeezenet_values,
    torchvision_squeezenet,
)
from support_torch import squeezenet_parameters

from decaf import DecafNet, ops
from decaf.architectures import squeezenet1_0, squeezenet1_1
from decaf.image import Preprocessing, load_image, prepare
from decaf.specs import Architecture

# --- random weights: every layer -------------------------------------------------------------


@dataclass(frozen=True)
class Oracle:
    architecture: Architecture
    parameters: Values
    x: NDArray[np.float32]
    torch32: Values
    exact: Values


@pytest.fixture(scope="module", params=["1_0", "1_1"])
def oracle(request: pytest.FixtureRequest) -> Oracle:
    version = request.param
    architecture = {"1_0": squeezenet1_0, "1_1": squeezenet1_1}[version]()
    parameters, x = seeded.network(architecture, 3, seed=4)
    model = load(torchvision_squeezenet(version), parameters)
    torch32, exact = (squeezenet_values(m, x, version) for m in (model, in_float64(model)))
    return Oracle(architecture, parameters, x, torch32, exact)


@pytest.mark.parametrize("engine", engines())
def test_every_layer(engine: str, oracle: Oracle) -> None:
    layers = tuple(layer.name for layer in oracle.architecture.layers)
    assert oracle.exact.keys() == set(layers)
    net = network(oracle.architecture, oracle.parameters, engine)
    values = run(net, oracle.x, layers, threads=2)
    direct = engine in DIRECT
    assert_good(compare(values, oracle.torch32, oracle.exact), direct=direct, largest=())
    assert_same_bits(run(net, oracle.x), values)  # fused


# --- real weights: real photos ----------------------------------------------------------------

RECIPE = Preprocessing(  # "resize to 227x227 bilinear (aspect ignored), BGR, minus (104,117,123)"
    resize=(227, 227), crop=(227, 227), channels="BGR", divide=1.0, mean=(104, 117, 123)
)


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    if not (shared_data / "squeezenet").is_dir() or not (shared_data / "imagenet").is_dir():
        pytest.skip(f"SqueezeNet's weights and the photos are not there: {shared_data}")
    return shared_data


@pytest.fixture(scope="module")
def parameters(folder: Path) -> Values:
    return squeezenet_parameters(folder / "squeezenet" / "squeezenet_v1.1.pth")


@pytest.fixture(scope="module")
def weights(
    folder: Path, parameters: Values, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    from decaf.weights import save_weights

    lines = (folder / "imagenet" / "synset_words.txt").read_text().splitlines()
    path = tmp_path_factory.mktemp("squeezenet") / "squeezenet1_1.h5"
    save_weights(
        path,
        squeezenet1_1(),
        parameters,
        preprocessing=RECIPE,
        labels=[line.partition(" ")[2] for line in lines],
        provenance={"source": "squeezenet_v1.1.pth"},
    )
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def photos(folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / "imagenet" / "photos-100.zip") as archive:
        return {Path(name).name: archive.read(name) for name in sorted(archive.namelist())}


@pytest.fixture(scope="module")
def predictions(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The five best classes of each photo, with their probabilities, best first.

    Recorded: torchvision in float32.  The closest two of them are 4e-4 of their size apart.
    """
    text = (folder / "imagenet" / "squeezenet-reference-100.json").read_text()
    return json.loads(text)["predictions"]


@pytest.mark.parametrize("backend", ops.available())
def test_photos(
    backend: str,
    weights: Path,
    photos: dict[str, bytes],
    predictions: dict[str, list[tuple[int, float]]],
) -> None:
    """The reference's answers on all photos; the NumPy backend, being slow, on every fifth."""
    assert photos.keys() == predictions.keys() and len(photos) == 100
    names = list(photos)[:: 5 if backend == "numpy" else 1]
    net = DecafNet(weights, backend=backend, threads=2)
    scores = net.classify([photos[name] for name in names])
    assert scores.shape == (len(names), 1000)
    top1 = top5 = 0
    for name, score in zip(names, scores, strict=True):
        best = assert_as_predicted(score, predictions[name], name)
        truth = int(name[:4])
        top1 += truth == best[0]
        top5 += truth in best
    if len(names) == 100:
        assert (top1, top5) == (68, 92)


@pytest.mark.parametrize("engine", engines())
def test_instruction_sets(
    engine: str,
    parameters: Values,
    photos: dict[str, bytes],
    predictions: dict[str, list[tuple[int, float]]],
) -> None:
    names = list(photos)[::10]
    x = np.concatenate([prepare(load_image(photos[name]), RECIPE) for name in names])
    scores = run(network(squeezenet1_1(), parameters, engine), x, threads=2)["prob"]
    for name, score in zip(names, scores.reshape(len(names), -1), strict=True):
        assert_as_predicted(score, predictions[name], name)


def assert_as_predicted(
    score: NDArray[np.float32], predicted: list[tuple[int, float]], name: str
) -> list[int]:
    """Fail unless the same five classes are best, in the same order; return them."""
    classes, probabilities = zip(*predicted, strict=True)
    best = np.argsort(-score)[:5].tolist()
    assert best == list(classes), name
    np.testing.assert_allclose(score[best], probabilities, rtol=0, atol=1e-4)
    return best


def test_car(folder: Path, weights: Path) -> None:
    """The five classes that OpenCV's samples publish for this photo.

    They were computed without subtracting a mean, and OpenCV's bilinear resize looks at four
    pixels however much smaller it makes, so what the network sees is made here.
    """
    pixels = load_image(folder / "squeezenet" / "car.png")
    x = _four_pixel_resize(pixels[..., ::-1], 227, 227).transpose(2, 0, 1)[None]
    net = DecafNet(weights, threads=2)
    (best,) = net.top_k(net.forward(x).reshape(1, -1))
    assert [prediction.index for prediction in best] == [817, 511, 479, 751, 436]
    assert best[0].score == pytest.approx(0.836, abs=0.005)
    assert "sports car" in best[0].label


def _four_pixel_resize(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float64]:
    """Bilinear between the four nearest pixels, H,W,C; no antialiasing."""
    values = pixels.astype(np.float64)
    for axis, size in enumerate((height, width)):
        length = values.shape[axis]
        centre = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = np.floor(centre).astype(int)
        high = np.minimum(low + 1, length - 1)
        share = (centre - low).reshape([-1 if a == axis else 1 for a in range(3)])
        values = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return values
