"""What ``precision="float16"`` loses: weights rounded to float16, arithmetic in float32.

Compared with decaf's own float32.  Of four networks two cannot lose anything: SqueezeNet has no
fully connected layer and weights that were rounded when they were published, and decaf-mini is
stored as float16.  They show that nothing else is rounded.  What rounding does to trained
float32 weights is seen in Caffe's ``cifar10_quick``; what it does to matrices as large as
AlexNet's, in random ones, for want of trained ones.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import parity_data as data
import support_parity as parity
from numpy.typing import NDArray
from parity_data import Skipped
from random_weights import he_parameters, normal
from test_parity_squeezenet import RECIPE
from timing import table

from decaf import DecafNet, architectures, ops
from decaf.errors import WeightsError
from decaf.plan import Network
from decaf.specs import Architecture
from decaf.weights import load_weights, save_weights

Array = NDArray[np.float32]
Figures = dict[str, Any]
PRECISIONS = ("float32", "float16")
BATCH = 50
RANDOM_INPUTS = 200


def compact() -> Figures:
    """Answers with float16 weights beside those with float32 weights, for four networks."""
    if "cython" not in ops.available():
        raise Skipped("the kernels are not built, and NumPy has no float16")
    found = {"squeezenet1_1": _squeezenet(), "cifar10_quick": _quick()}
    try:
        found["decaf_mini"] = _mini()
    except WeightsError as error:
        print(f"decaf_mini: left out: {error}")
    head = (
        "",
        "weights",
        "photos",
        "float32: top-1, top-5",
        "compact",
        "same top-1",
        "probability",
    )
    print(table(head, [_row(name, one) for name, one in found.items()]))
    print("\nThe last column is the largest change of a probability.\n")
    random = _random_alexnet()
    print(
        f"AlexNet with random weights, {RANDOM_INPUTS} random inputs: fc8 changes by at most "
        f"{random['fc8_error']:.1e} of its largest magnitude, {random['fc8_rms_error']:.1e} in the "
        f"root mean square; top-1 changes for {random['changed_top1']}."
    )
    # What is float16 already is the same network; only sums may be taken in another order.
    exact = [one for one in found.values() if one["weights"] == "float16"]
    good = all(one["same_top1"] == one["photos"] and one["largest_change"] <= 1e-5 for one in exact)
    return {**found, "alexnet_random": random, "good": good}


def _row(name: str, one: Figures) -> list[str]:
    hits = [", ".join(f"{share:.2%}" for share in one[p].values()) for p in PRECISIONS]
    same = f"{one['same_top1']:,} of {one['photos']:,}"
    change = f"{one['largest_change']:.1e}" if one["largest_change"] else "0"
    return [name, one["weights"], f"{one['photos']:,}", *hits, same, change]


def _squeezenet() -> Figures:
    """Stored as float32 and as float16, then loaded with either precision: 100 photos."""
    photos, parameters = data.imagenet(), data.squeezenet()
    architecture = architectures.squeezenet1_1()
    labels = [str(i) for i in range(architecture.classes)]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for precision in PRECISIONS:
            path = Path(folder, f"{precision}.h5")
            save_weights(path, architecture, parameters, RECIPE, labels, dtype=precision)
            net = DecafNet(path, backend="cython", precision=precision)
            found.append(net.classify(list(photos.files.values()), batch_size=BATCH))
    return _compared(parameters, photos, *found)


def _mini() -> Figures:
    """The network inside the package, whose file is float16."""
    photos = data.cifar10()
    nets = [DecafNet(backend="cython", precision=precision) for precision in PRECISIONS]
    files = list(photos.files.values())
    parameters = load_weights(nets[0].weights_path, widen=False).parameters
    return _compared(parameters, photos, *(net.classify(files, batch_size=BATCH) for net in nets))


def _quick() -> Figures:
    photos, parameters = data.cifar10(), data.quick()
    x = data.quick_input(photos)
    return _compared(
        parameters, photos, *(_run(data.QUICK, parameters, p, x, "prob") for p in PRECISIONS)
    )


def _random_alexnet() -> Figures:
    """The largest matrices, He-scaled random."""
    architecture = architectures.alexnet()
    parameters, x = he_parameters(architecture), normal(RANDOM_INPUTS, *architecture.input_shape)
    full, half = (_run(architecture, parameters, p, x, "fc8") for p in PRECISIONS)
    largest = float(np.abs(full).max())
    change = half.astype(np.float64) - full
    return {
        "inputs": RANDOM_INPUTS,
        "fc8_error": float(np.abs(change).max()) / largest,
        "fc8_rms_error": float(np.sqrt(np.square(change).mean() / np.square(full).mean())),
        "changed_top1": int((full.argmax(axis=1) != half.argmax(axis=1)).sum()),
    }


def _run(
    architecture: Architecture, parameters: parity.Values, precision: str, x: Array, layer: str
) -> Array:
    """One layer, N,D, for all inputs."""
    net = Network(architecture, parameters, "cython", precision)
    batches = (x[start : start + BATCH] for start in range(0, len(x), BATCH))
    return np.concatenate([parity.run(net, batch, [layer], threads=2)[layer] for batch in batches])


def _compared(parameters: parity.Values, photos: data.Photos, full: Array, half: Array) -> Figures:
    """Probabilities N,K with float32 weights, and with float16 weights."""
    return {
        "weights": "float16" if all(map(_fits_float16, parameters.values())) else "float32",
        "photos": len(photos.truth),
        "float32": data.scores(full, photos.truth),
        "float16": data.scores(half, photos.truth),
        "same_top1": int((full.argmax(axis=1) == half.argmax(axis=1)).sum()),
        "largest_change": float(np.abs(half - full).max()),
        "same_bits": parity.same_bits(half, full),
    }


def _fits_float16(array: Array) -> bool:
    return bool((array == array.astype(np.float16)).all())
