"""Turn the last checkpoint of ``train.py`` into ``weights/decaf-mini.h5``.

    python weights/training/export.py --work build/training

Batch normalisation is folded into the layer in front of it,

    gamma * (w x + b - mean) / sqrt(var + eps) + beta
        = (gamma / sqrt(var + eps)) w x  +  gamma * (b - mean) / sqrt(var + eps) + beta

in float64; the result is checked against the trained net, then stored as float16 (which
halves the file and changes no digit of the accuracy; see ``weights/README.md``).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from decaf.architectures import decaf_mini
from decaf.plan import Network, Plan
from decaf.preprocessing import Preprocessing
from decaf.weights import save_weights

sys.path.insert(0, str(Path(__file__).parent))
from train import CLASSES, CROP, MEAN, RESIZE, STD, make_net

ROOT = Path(__file__).resolve().parents[2]


def fold(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Parameters of the network without batch normalisation, float32."""
    parameters = {}
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"):
        weight, bias = (state[f"{name}.{part}"].double().numpy() for part in ("weight", "bias"))
        norm = f"bn{name[-1]}"
        if f"{norm}.weight" in state:
            gamma, beta, mean, var = (
                state[f"{norm}.{part}"].double().numpy()
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            scale = gamma / np.sqrt(var + 1e-5)
            weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
            bias = scale * (bias - mean) + beta
        parameters[f"{name}/weight"] = weight.astype(np.float32)
        parameters[f"{name}/bias"] = bias.astype(np.float32)
    return parameters


def check(parameters: dict[str, np.ndarray], state: dict[str, torch.Tensor]) -> None:
    """The folded network must give the trained one's scores."""
    net = make_net()
    net.load_state_dict(state)
    x = np.random.default_rng(0).standard_normal((16, 3, CROP, CROP)).astype(np.float32)
    with torch.inference_mode():
        want = net.eval()(torch.from_numpy(x)).numpy()
    plan = Plan(Network(decaf_mini(), parameters), len(x), ["fc8"])
    plan.input[...] = x
    plan.run()
    error = np.abs(plan.outputs["fc8"] - want).max() / np.abs(want).max()
    if error > 1e-4:
        raise SystemExit(f"the folded network is not the trained one: error {error:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder with checkpoint.pt")
    parser.add_argument("--out", type=Path, default=ROOT / "weights" / "decaf-mini.h5")
    args = parser.parse_args()
    checkpoint = torch.load(args.work / "checkpoint.pt", weights_only=True)
    parameters = fold(checkpoint["net"])
    check(parameters, checkpoint["net"])
    save_weights(
        args.out,
        decaf_mini(),
        parameters,
        preprocessing=Preprocessing(
            resize=RESIZE, crop=(CROP, CROP), channels="RGB", divide=255.0, mean=MEAN, std=STD
        ),
        labels=CLASSES,
        provenance={
            "made by": "weights/training/train.py and export.py",
            "data": "CIFAR-10 (Krizhevsky 2009), 49,000 of the 50,000 training photos",
            "epochs": checkpoint["epoch"],
            "licence": "BSD-3-Clause",
        },
        dtype="float16",
    )


if __name__ == "__main__":
    main()
