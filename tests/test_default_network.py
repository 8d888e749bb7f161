"""The network that ships: its size, its card, its accuracy, and the cat."""

from __future__ import annotations

import hashlib
import math
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from decaf.net import DecafNet
from decaf.weights import default_weights, load_weights

ROOT = Path(__file__).resolve().parents[1]
CARD = ROOT / "weights" / "README.md"


@pytest.fixture(scope="module")
def net() -> DecafNet:
    return DecafNet()


def test_it_is_small() -> None:
    assert default_weights().stat().st_size <= 4_000_000
    shapes = load_weights(default_weights()).architecture.parameter_shapes
    assert sum(map(math.prod, shapes.values())) <= 2_000_000


def test_it_has_the_layers_of_caffenet(net: DecafNet) -> None:
    from decaf.architectures import caffenet

    ours, theirs = net.architecture.layers, caffenet().layers
    assert [(type(a), a.name) for a in ours] == [(type(a), a.name) for a in theirs]
    assert net.architecture.input_shape == (3, 32, 32)
    assert net.architecture.classes == len(net.labels) == 10


def test_the_card_is_that_of_this_file() -> None:
    digest = hashlib.sha256(default_weights().read_bytes()).hexdigest()
    assert digest in CARD.read_text(encoding="utf-8")
    assert load_weights(default_weights()).provenance["licence"] in CARD.read_text(encoding="utf-8")


def test_accuracy_is_what_the_card_says(net: DecafNet, shared_data: Path) -> None:
    archive = shared_data / "cifar10" / "test-a.zip"
    if not archive.exists():
        pytest.skip("shared/data/cifar10/test-a.zip is missing")
    evaluate = runpy.run_path(str(ROOT / "weights" / "training" / "evaluate.py"))["evaluate"]
    truth, guess = evaluate(archive, net)
    accuracy = float(np.mean(truth == guess))
    assert accuracy >= 0.85
    claimed = re.search(r"\*\*all 5,000\*\* \| \*\*([\d.]+)%", CARD.read_text(encoding="utf-8"))
    assert claimed is not None
    assert abs(accuracy - float(claimed[1]) / 100) < 0.001  # a photo or two, on other processors


@pytest.mark.parametrize("oversample", [False, True])
def test_chelsea_is_a_cat(net: DecafNet, oversample: bool) -> None:
    skimage = pytest.importorskip("skimage")
    photo = Path(skimage.__file__).parent / "data" / "chelsea.png"
    scores = net.classify(photo, oversample=oversample)
    (best,) = net.top_k(scores, k=1)
    assert best.label == "cat" and best.score > 0.5
