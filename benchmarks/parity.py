"""How far decaf is from PyTorch, from Caffe, and from itself in other company.

    python benchmarks/parity.py            needs torch and torchvision for all but two parts

Prints the Markdown tables of the README and writes ``benchmarks/results/parity.json``.  Parts
whose data or libraries are missing are left out, and the output says which and why.

The comparisons are those of the tests, which this file imports from ``tests/``; so it needs
pytest, too.  Errors are largest absolute differences to a run in float64.  Limits are checked
(exit status 1), here as there.

Engines are ``numpy``, ``blas``, and ``cython`` on each instruction set of this processor, which
computes some convolutions by Winograd's algorithm.  All of these are float32; what
``precision="float16"`` loses is a part of its own (``parity_compact.py``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from report import ROOT, write_report
from timing import table

sys.path.insert(0, str(ROOT / "tests"))

import parity_data as data
import support_parity as parity
import test_caffe_outputs as caffe
import test_parity_alexnet as alexnet_tests
from conftest import SHARED_DATA
from golden import seeded
from parity_compact import compact
from parity_data import Skipped
from support_torch import alexnet_parameters, he_alexnet, import_torch, import_torchvision
from test_parity_squeezenet import RECIPE

from decaf import architectures, ops
from decaf.image import TORCHVISION_IMAGENET, load_image, prepare

SEEDS = (1, 2, 3)  # AlexNets, each with weights and 8 inputs of its own
THREADS = 2
PROBABILITY = 1e-4  # largest difference, with real weights on real photos

Figures = dict[str, Any]


def main() -> int:
    figures: Figures = {"limits": _limits()}
    good = True
    for title, part in PARTS.items():
        print(f"\n### {title}\n", flush=True)
        try:
            figures[part.__name__] = part()
        except (Skipped, pytest.skip.Exception) as reason:
            figures[part.__name__] = {"skipped": str(reason)}
            print(f"skipped: {reason}")
        else:
            good = good and figures[part.__name__]["good"]
    print()
    write_report("parity", figures)
    if not good:
        print("a limit was missed", file=sys.stderr)
    return 0 if good else 1


def _limits() -> Figures:
    return {
        "error_of_largest_value": parity.LARGEST_ERROR,  # Winograd's layers, too
        "ratio_to_pytorch": parity.LARGEST_RATIO,
        "preprocessing": 1e-6,
        "caffe_relative": 1e-5,
        "squeezenet_probability": PROBABILITY,
    }


# --- layers ---------------------------------------------------------------------------------


def alexnet() -> Figures:
    """Every layer of torchvision's AlexNet, the worst of several random networks."""
    import_torchvision()
    torch = import_torch()

    def networks() -> Iterator[Network]:
        for seed in SEEDS:
            model = he_alexnet(seed)
            generator = torch.Generator().manual_seed(1000 + seed)
            x = torch.randn(8, 3, 224, 224, generator=generator).numpy()
            torch32 = parity.alexnet_values(model, x)
            exact = parity.alexnet_values(parity.in_float64(model), x)
            yield alexnet_parameters(model), x, torch32, exact

    return {"seeds": SEEDS, "inputs": 8, **_layers(architectures.alexnet(), networks())}


def caffenet() -> Figures:
    """CaffeNet's groups and LRN against torch's functions."""
    architecture = architectures.caffenet()
    parameters, x = seeded.network(architecture, 4, seed=3)
    torch32, exact = (
        parity.caffenet_values(parameters, x, dtype, norm_first=False)
        for dtype in ("float32", "float64")
    )
    networks = [(parameters, x, torch32, exact)]
    return {"inputs": 4, **_layers(architecture, networks, largest=False)}


Network = tuple[parity.Values, NDArray[np.float32], parity.Values, parity.Values]


def _layers(architecture: Any, networks: Any, *, largest: bool = True) -> Figures:
    """Compare every layer for every engine, and print the layers that compute something.

    With ``largest``, twice PyTorch's largest error is the limit for all layers but ``prob``,
    where it depends on the one most certain answer of the network; see ``assert_good``.
    """
    layers = [layer.name for layer in architecture.layers]
    strict = [layer for layer in layers if layer != "prob"] if largest else []
    engines = parity.engines()
    good = True
    winograd: dict[str, tuple[str, ...]] = {}
    found: dict[str, dict[str, list[parity.Comparison]]] = {
        layer: {engine: [] for engine in engines} for layer in layers
    }
    for parameters, x, torch32, exact in networks:
        for engine in engines:
            net = parity.network(architecture, parameters, engine)
            winograd[engine] = parity.winograd_layers(net)
            values = parity.run(net, x, layers, THREADS)
            compared = parity.compare(values, torch32, exact)
            for layer, comparison in compared.items():
                found[layer][engine].append(comparison)
            try:
                parity.assert_good(compared, direct=engine in parity.DIRECT, largest=strict)
            except AssertionError as error:
                print(f"{engine}: {error}", file=sys.stderr)
                good = False
    rows = {
        layer: {
            "torch": max(c.torch / c.largest for c in by_engine[engines[0]]),
            **{engine: _worst(comparisons) for engine, comparisons in by_engine.items()},
        }
        for layer, by_engine in found.items()
    }
    shown = [layer for layer in layers if not layer.startswith(("relu", "drop"))]
    print(
        table(
            ["layer", "PyTorch", *(f"decaf {engine}" for engine in engines)],
            [
                [
                    layer,
                    f"{rows[layer]['torch']:.1e}",
                    *(
                        f"{rows[layer][e]['error']:.1e} ({rows[layer][e]['ratio']:.2f}, "
                        f"{rows[layer][e]['rms_ratio']:.2f}){' W' * (layer in winograd[e])}"
                        for e in engines
                    ),
                ]
                for layer in shown
            ],
        )
    )
    print(
        "\nLargest error, relative to the layer's largest magnitude; in brackets decaf's error "
        "divided by PyTorch's, for the largest error and for the root mean square.  W: by "
        "Winograd's algorithm."
    )
    return {
        "layers": rows,
        "winograd": winograd,
        "largest_error": {e: max(rows[layer][e]["error"] for layer in layers) for e in engines},
        "largest_ratio": {e: max(rows[layer][e]["ratio"] for layer in layers) for e in engines},
        "largest_rms_ratio": {
            e: max(rows[layer][e]["rms_ratio"] for layer in layers) for e in engines
        },
        "good": good,
    }


def _worst(comparisons: list[parity.Comparison]) -> Figures:
    return {
        "error": max(c.relative for c in comparisons),
        "ratio": max(c.ratio for c in comparisons),
        "rms_ratio": max(c.rms_ratio for c in comparisons),
    }


# --- photos ---------------------------------------------------------------------------------


def preprocessing() -> Figures:
    """Photos of many shapes and modes against torchvision's transforms."""
    transforms = import_torchvision().models.AlexNet_Weights.IMAGENET1K_V1.transforms()
    differences = {}
    for name, make in alexnet_tests.PHOTOS.items():
        given, image = make()
        x = prepare(load_image(given), TORCHVISION_IMAGENET)[0]
        differences[name] = parity.difference(x, transforms(image).numpy())
    worst = max(differences.values())
    print(f"{len(differences)} photos against torchvision's transforms: largest difference {worst}")
    return {"photos": differences, "largest_difference": worst, "good": worst <= 1e-6}


def squeezenet() -> Figures:
    """Real weights on real photos: PyTorch in float64, and the predictions that came with them."""
    photos, parameters, recorded = data.imagenet(), data.squeezenet(), data.recorded()
    x = np.concatenate([prepare(load_image(photo), RECIPE) for photo in photos.files.values()])
    exact = _squeezenet_in_float64(parameters, x)
    best = np.argsort(-exact, axis=1)[:, :5]
    theirs = [recorded[Path(name).name] for name in photos.files]
    found: Figures = {"photos": len(x)}
    for engine in parity.engines():
        net = parity.network(architectures.squeezenet1_1(), parameters, engine)
        batches = [
            parity.run(net, x[start : start + 20], threads=THREADS)["prob"].reshape(-1, 1000)
            for start in range(0, len(x), 20)
        ]
        probabilities = np.concatenate(batches)
        order = np.argsort(-probabilities, axis=1)[:, :5]
        found[engine] = {
            "same_top1": int((order[:, 0] == best[:, 0]).sum()),
            "same_top5_order": int((order == best).all(axis=1).sum()),
            "same_top5_order_as_recorded": sum(
                [index for index, _ in five] == row.tolist()
                for five, row in zip(theirs, order, strict=True)
            ),
            "largest_probability_difference": parity.difference(probabilities, exact),
            "largest_probability_difference_to_recorded": max(
                abs(float(row[index]) - probability)
                for row, five in zip(probabilities, theirs, strict=True)
                for index, probability in five
            ),
            **data.scores(probabilities, photos.truth),
        }
    engines = parity.engines()
    print(
        table(
            [
                f"{len(x)} photos",
                "same top-1",
                "same top-5 in the same order (recorded)",
                "largest difference of a probability (recorded)",
                "top-1, top-5",
            ],
            [[f"decaf {engine}", *_answers(found[engine])] for engine in engines],
        )
    )
    print(
        "\nCompared with PyTorch in float64 on the same input; in brackets with the recorded "
        "predictions of torchvision in float32, which hold the best five."
    )
    found["good"] = all(
        one[same] == len(x) and one["largest_probability_difference" + to] <= PROBABILITY
        for one in (found[engine] for engine in engines)
        for same in ("same_top1", "same_top5_order", "same_top5_order_as_recorded")
        for to in ("", "_to_recorded")
    )
    return found


def _answers(one: Figures) -> list[str]:
    return [
        str(one["same_top1"]),
        f"{one['same_top5_order']} ({one['same_top5_order_as_recorded']})",
        f"{one['largest_probability_difference']:.1e} "
        f"({one['largest_probability_difference_to_recorded']:.1e})",
        f"{one['top1']:.0%}, {one['top5']:.0%}",
    ]


def _squeezenet_in_float64(parameters: parity.Values, x: NDArray[np.float32]) -> NDArray[Any]:
    """Probabilities N,K by torchvision's model."""
    torch = import_torch()
    model = parity.in_float64(parity.load(parity.torchvision_squeezenet("1_1"), parameters))
    with torch.inference_mode():
        logits = [model(torch.from_numpy(batch).double()) for batch in np.split(x, len(x) // 20)]
    return torch.softmax(torch.cat(logits), 1).numpy()


# --- Caffe ----------------------------------------------------------------------------------


def caffe_outputs() -> Figures:
    """Caffe's own outputs, one layer a file."""
    folder = SHARED_DATA / "caffe" / "layer-outputs"
    if not folder.is_dir():
        raise Skipped("Caffe's outputs are not beside the repository")
    blob = np.load(folder / "blob.npy")
    conv = caffe.parameters(folder / "layer_convolution.caffemodel")
    weight, bias = caffe.parameters(folder / "layer_inner_product.caffemodel")
    rows = blob.reshape(-1, blob.shape[-1])  # N*C*H,W: each row of pixels is an input
    cases: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
        "convolution": (
            "conv2d",
            (blob, *conv),
            {"stride": (2, 3), "padding": (0, 1), "groups": 3},
        ),
        "inner_product": ("linear", (rows, weight.reshape(2, -1), bias), {}),
        "lrn_channels": ("local_response_norm", (blob, 5, 1.1, 0.75), {}),
        "lrn_spatial": ("local_response_norm", (blob, 5, 0.9, 0.75), {"region": "within"}),
        "pooling_max": ("max_pool2d", (blob,), caffe.POOLING),
        "pooling_ave": ("avg_pool2d", (blob,), caffe.POOLING),
        "softmax": ("softmax", (blob,), {}),
    }
    backends = [name for name in ops.available() if name != "blas"]  # its functions are cython's
    found: dict[str, dict[str, float]] = {}
    for case, (function, arguments, options) in cases.items():
        want = np.load(folder / f"layer_{case}.npy")
        found[case] = {}
        for backend in backends:
            got = ops.function(function, backend)(*arguments, **options).reshape(want.shape)
            found[case][backend] = parity.difference(got, want) / float(np.abs(want).max())
    print(
        table(
            ["Caffe's output", *(f"decaf {backend}" for backend in backends)],
            [[case, *(f"{error:.1e}" for error in by.values())] for case, by in found.items()],
        )
    )
    worst = max(error for by in found.values() for error in by.values())
    return {"layers": found, "largest_relative_error": worst, "good": worst <= 1e-5}


# --- itself ---------------------------------------------------------------------------------


def same_bits() -> Figures:
    """The same bits alone, in batches of 7 and 32, on 1 and 2 threads."""
    cases = dict.fromkeys(("alexnet", "squeezenet1_1", "decaf_mini"), (1, 7, 32))
    found: Figures = {}
    for name, batches in cases.items():
        architecture = architectures.ARCHITECTURES[name](10 if name == "decaf_mini" else 1000)
        parameters, x = seeded.network(architecture, batches[-1], seed=5)
        layers = [layer.name for layer in architecture.layers if "/" not in layer.name]
        found[name] = {"batches": batches}
        for engine in parity.engines():
            net = parity.network(architecture, parameters, engine)
            want = parity.run(net, x, layers)
            found[name][engine] = all(
                parity.same_bits(value, want[layer][-batch:])
                for batch in batches
                for threads in (1, 2)
                for layer, value in parity.run(net, x[-batch:], layers, threads).items()
            )
    engines = parity.engines()
    print(
        table(
            ["batches, each on 1 and 2 threads", *(f"decaf {engine}" for engine in engines)],
            [
                [
                    f"{name}, {', '.join(map(str, by['batches']))}",
                    *("same bits" if by[engine] else "DIFFERENT" for engine in engines),
                ]
                for name, by in found.items()
            ],
        )
    )
    good = all(by[engine] for by in found.values() for engine in engines)
    return {**found, "good": good}


PARTS: dict[str, Callable[[], Figures]] = {
    "torchvision's AlexNet, He-scaled random weights, every layer": alexnet,
    "CaffeNet, He-scaled random weights": caffenet,
    "Photos to tensors": preprocessing,
    "Caffe's own layer outputs": caffe_outputs,
    "SqueezeNet 1.1 on 100 ImageNet photos, against torchvision": squeezenet,
    "compact: weights in float16, arithmetic in float32": compact,
    "The same answer in any company": same_bits,
}


if __name__ == "__main__":
    sys.exit(main())
