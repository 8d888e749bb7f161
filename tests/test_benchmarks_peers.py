"""The parts of the contest that decide what is compared: the rivals' models, and the verdicts."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from support_torch import import_torch

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
import peers_models
from peers_targets import Verdict, verdicts
from random_weights import he_parameters, normal

from decaf.plan import Network, Plan
from decaf.specs import LRN, Architecture, Conv, Dropout, Linear, MaxPool, ReLU, Softmax

# What the two networks of the contest are made of, with an LRN that is far from the default.
SMALL = Architecture(
    "small",
    (3, 15, 13),
    (
        Conv("conv1", 8, (5, 3), stride=(2, 1), padding=(2, 1)),
        ReLU("relu1"),
        MaxPool("pool1", 3, stride=2, ceil_mode=True),
        LRN("norm1", size=5, alpha=0.7, beta=0.6, k=2.0),
        Conv("conv2", 6, 3, padding=1, groups=2),
        ReLU("relu2"),
        Linear("fc6", 10),
        ReLU("relu6"),
        Dropout("drop6", 0.5),
        Linear("fc8", 7),
        Softmax("prob"),
    ),
)


@pytest.fixture(scope="module")
def parameters():
    return he_parameters(SMALL)


@pytest.fixture(scope="module")
def expected(parameters):
    plan = Plan(Network(SMALL, parameters, "numpy"), 2, ("fc8",))
    plan.input[...] = normal(2, *SMALL.input_shape)
    plan.run()
    return plan.outputs["fc8"]


def test_torch_module_computes_the_same(parameters, expected):
    torch = import_torch()
    model = peers_models.torch_module(SMALL, parameters)
    with torch.inference_mode():
        scores = model(torch.from_numpy(normal(2, *SMALL.input_shape))).numpy()
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


def test_onnx_model_computes_the_same(parameters, expected):
    pytest.importorskip("onnx")
    # ONNX's own evaluator will not do: its LRN sums over as many channels as there are images.
    runtime = pytest.importorskip("onnxruntime")
    model = peers_models.onnx_model(SMALL, parameters, 2)
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"data": normal(2, *SMALL.input_shape)})
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("found", "more", "word"),
    [
        (1.1, False, "falls short"),
        (0.9, False, "reached"),
        (0.7, False, "reached, the stretch too"),
        (0.7, True, "falls short"),
    ],
)
def test_verdict(found, more, word):
    stretch = 1.5 if more else 0.8
    assert Verdict("x", found, 1.0, stretch, more).word == word


def test_only_the_float32_rivals_count():
    """An engine of fewer bits is faster, and is no rival of decaf in float32."""
    case = {
        "network": "alexnet",
        "threads": 2,
        "batch": 1,
        "precisions": {"decaf": "float32", "OpenVINO": "float32", "OpenVINO default": "bfloat16"},
        "times": {
            "decaf": {"median_ms": 6.0},
            "OpenVINO": {"median_ms": 8.0},
            "OpenVINO default": {"median_ms": 3.0},
        },
        "fastest_float32_rival": "OpenVINO",
    }
    (verdict,) = verdicts({"contest": [case]})
    assert verdict.found == pytest.approx(0.75)
    assert verdict.word == "reached, the stretch too"
