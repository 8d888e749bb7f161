"""decaf beside PyTorch, layer by layer: run both, and say how far each is from float64."""

from __future__ import annotations

import copy
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from support_torch import ALEXNET_LAYERS, SQUEEZENET_FIRES, import_torch, import_torchvision

from decaf import ops
from decaf.backends import Backend, BlasBackend, CythonBackend, NumpyBackend
from decaf.plan import Network, Plan
from decaf.specs import Architecture

Values = dict[str, NDArray[Any]]

DIRECT = ("numpy", "blas")  # engines that add convolutions up directly, as PyTorch does

LARGEST_ERROR = 1e-5  # of a layer, relative to its largest magnitude
LARGEST_RATIO = 2.0  # to the error of PyTorch in float32, where convolutions are direct
# The same in the mean square, for Winograd's convolutions and what follows them (2.7 measured), and
# for softmax: where it is sure of its answer, a few values decide.
LOOSE_RATIO = 4.0


# --- decaf ----------------------------------------------------------------------------------


def engines() -> tuple[str, ...]:
    """``numpy``, ``blas``, and the kernels on every instruction set of this processor."""
    if "cython" not in ops.available():
        return ("numpy",)
    return (*DIRECT, *(f"cython-{isa}" for isa in ops.kernel("isa").available()))


def network(
    architecture: Architecture, parameters: Values, engine: str, precision: str = "float32"
) -> Network:
    """A network for one of ``engines()``."""
    backend: Backend
    if engine in DIRECT:
        backend = {"numpy": NumpyBackend, "blas": BlasBackend}[engine]()
    else:
        backend = CythonBackend(engine.partition("-")[2])
    with mock.patch("decaf.plan.get_backend", return_value=backend):
        return Network(architecture, parameters, precision=precision)


def winograd_layers(net: Network) -> tuple[str, ...]:
    """Names of the convolutions that are computed by Winograd's algorithm."""
    packed = net.packed.items()
    return tuple(name for name, how in packed if type(how).__name__ == "PackedWinograd")


def run(
    net: Network, x: NDArray[np.float32], layers: Iterable[str] = (), threads: int = 1
) -> Values:
    """Values of the layers (the last one by default) for one batch, in a plan of its own."""
    plan = Plan(net, len(x), tuple(layers), threads=threads)
    plan.input[...] = x
    plan.run()
    return {name: value.copy() for name, value in plan.outputs.items()}


# --- PyTorch --------------------------------------------------------------------------------


def load(model: Any, parameters: Values) -> Any:
    """Give a torchvision model these parameters, which stand in the same order; eval mode."""
    torch = import_torch()
    names = [name for name, _ in model.named_parameters()]
    tensors = (torch.from_numpy(array) for array in parameters.values())
    model.load_state_dict(dict(zip(names, tensors, strict=True)))
    return model.eval()


def in_float64(model: Any) -> Any:
    """A copy of the model that computes in float64."""
    return copy.deepcopy(model).double()


def alexnet_values(model: Any, x: NDArray[np.float32]) -> Values:
    """Every named layer of torchvision's AlexNet, and its logits' softmax, for N,C,H,W."""
    modules = {
        **ALEXNET_LAYERS,
        "relu1": "features.1",
        "pool1": "features.2",
        "relu2": "features.4",
        "pool2": "features.5",
        "relu3": "features.7",
        "relu4": "features.9",
        "relu5": "features.11",
        "pool5": "features.12",
        "relu6": "classifier.2",
        "drop6": "classifier.3",
        "relu7": "classifier.5",
    }
    found = _hooked(model, modules, x)
    found["drop7"] = found["relu7"]  # torchvision drops before fc6 and fc7, Caffe behind
    found["prob"] = _softmax(found["fc8"])
    return found


def squeezenet_values(model: Any, x: NDArray[np.float32], version: str) -> Values:
    """Every named layer of torchvision's SqueezeNet, ``version`` "1_0" or "1_1"."""
    if version == "1_1":
        fires = SQUEEZENET_FIRES
        pools = {"pool1": 2, "pool3": 5, "pool5": 8}
    else:
        fires = {2: 3, 3: 4, 4: 5, 5: 7, 6: 8, 7: 9, 8: 10, 9: 12}
        pools = {"pool1": 2, "pool4": 6, "pool8": 11}
    modules = {"conv1": "features.0", "relu_conv1": "features.1"}
    modules |= {name: f"features.{position}" for name, position in pools.items()}
    for fire, position in fires.items():
        modules[f"fire{fire}/concat"] = f"features.{position}"
        for ours, theirs in (
            ("squeeze1x1", "squeeze"),
            ("expand1x1", "expand1x1"),
            ("expand3x3", "expand3x3"),
        ):
            modules[f"fire{fire}/{ours}"] = f"features.{position}.{theirs}"
            modules[f"fire{fire}/relu_{ours}"] = f"features.{position}.{theirs}_activation"
    for position, name in enumerate(("drop9", "conv10", "relu_conv10", "pool10")):
        modules[name] = f"classifier.{position}"
    found = _hooked(model, modules, x)
    found["prob"] = _softmax(found["pool10"])
    return found


def caffenet_values(
    parameters: Values, x: NDArray[np.float32], dtype: str, *, norm_first: bool
) -> Values:
    """Every named layer of CaffeNet, or of bvlc_alexnet (``norm_first``), by torch's functions.

    Written from the papers' and Caffe's description, not from decaf's.
    """
    torch = import_torch()
    F = torch.nn.functional
    precision = getattr(torch, dtype)
    p = {name: torch.from_numpy(array).to(precision) for name, array in parameters.items()}
    found = {}

    def keep(name: str, value: Any) -> Any:
        found[name] = value.numpy()
        return value

    def conv(number: int, v: Any, **options: int) -> Any:
        weight, bias = p[f"conv{number}/weight"], p[f"conv{number}/bias"]
        v = keep(f"conv{number}", F.conv2d(v, weight, bias, **options))
        return keep(f"relu{number}", F.relu(v))

    def pool(number: int, v: Any) -> Any:
        return keep(f"pool{number}", F.max_pool2d(v, 3, 2, ceil_mode=True))

    def norm(number: int, v: Any) -> Any:
        return keep(f"norm{number}", F.local_response_norm(v, 5, 1e-4, 0.75, 1.0))

    def pool_and_norm(number: int, v: Any) -> Any:
        return pool(number, norm(number, v)) if norm_first else norm(number, pool(number, v))

    with torch.inference_mode():
        v = torch.from_numpy(x).to(precision)
        v = pool_and_norm(1, conv(1, v, stride=4))
        v = pool_and_norm(2, conv(2, v, padding=2, groups=2))
        v = conv(3, v, padding=1)
        v = conv(4, v, padding=1, groups=2)
        v = pool(5, conv(5, v, padding=1, groups=2)).flatten(1)
        for number in (6, 7):
            v = keep(f"fc{number}", F.linear(v, p[f"fc{number}/weight"], p[f"fc{number}/bias"]))
            v = keep(f"drop{number}", keep(f"relu{number}", F.relu(v)))
        v = keep("fc8", F.linear(v, p["fc8/weight"], p["fc8/bias"]))
        keep("prob", F.softmax(v, 1))
    return found


def _hooked(model: Any, modules: Mapping[str, str], x: NDArray[np.float32]) -> Values:
    """What each of the named modules gives for ``x``, in the model's own precision."""
    torch = import_torch()
    found: Values = {}

    def keep(name: str) -> Any:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            found[name] = output.clone().numpy()  # an in-place ReLU will overwrite it

        return hook

    handles = [
        model.get_submodule(module).register_forward_hook(keep(name))
        for name, module in modules.items()
    ]
    try:
        with torch.inference_mode():
            model(torch.from_numpy(x).to(next(model.parameters()).dtype))
    finally:
        for handle in handles:
            handle.remove()
    return found


def _softmax(scores: NDArray[Any]) -> NDArray[Any]:
    torch = import_torch()
    return torch.nn.functional.softmax(torch.from_numpy(scores), 1).numpy()


def torchvision_alexnet() -> Any:
    """Torchvision's model, with weights yet to be loaded."""
    return _empty("alexnet")


def torchvision_squeezenet(version: str) -> Any:
    """The same for SqueezeNet, ``version`` "1_0" or "1_1"."""
    return _empty(f"squeezenet{version}")


def _empty(name: str) -> Any:
    torch, torchvision = import_torch(), import_torchvision()
    with torch.random.fork_rng(devices=[]):
        return getattr(torchvision.models, name)(weights=None)


# --- both -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """The errors of one layer: absolute differences to a float64 run."""

    decaf: float  # the largest
    torch: float
    decaf_rms: float  # root of the mean square
    torch_rms: float
    largest: float  # magnitude of the layer's values

    @property
    def relative(self) -> float:
        """Decaf's error, relative to the layer's largest magnitude."""
        return self.decaf / self.largest

    @property
    def ratio(self) -> float:
        """Decaf's largest error relative to PyTorch's in float32."""
        return _ratio(self.decaf, self.torch)

    @property
    def rms_ratio(self) -> float:
        """The same for the root of the mean square, in which luck has no part."""
        return _ratio(self.decaf_rms, self.torch_rms)


def _ratio(ours: float, theirs: float) -> float:
    if theirs == 0:
        return 1.0 if ours == 0 else float("inf")
    return ours / theirs


def compare(got: Values, torch32: Values, exact: Values) -> dict[str, Comparison]:
    """Errors of every layer in ``got``."""
    return {
        name: Comparison(
            difference(value, exact[name]),
            difference(torch32[name], exact[name]),
            _rms(value - exact[name]),
            _rms(torch32[name] - exact[name]),
            float(np.abs(exact[name]).max()),
        )
        for name, value in got.items()
    }


def difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Largest absolute difference of two arrays of one shape."""
    assert a.shape == b.shape, f"shapes differ: {a.shape}, {b.shape}"
    return float(np.abs(a.astype(np.float64) - b).max())


def _rms(errors: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def assert_good(
    comparisons: Mapping[str, Comparison], *, direct: bool, largest: Container[str] | None = None
) -> None:
    """Fail with a line for each layer that misses one of the limits.

    ``direct`` says whether convolutions are added up directly, as the NumPy layers do.  Then the
    limit on the ratio to PyTorch holds for the root mean square of every layer, and for the
    largest error of those in ``largest`` (by default all); else ``LOOSE_RATIO`` holds, for the
    root mean square alone.  Where a largest error is that of a handful of values, as in a softmax
    that is sure of its answer, luck decides that ratio.
    """
    bad = []
    for name, c in comparisons.items():
        strict = direct and (largest is None or name in largest)
        ratio = max(c.rms_ratio, c.ratio) if strict else c.rms_ratio
        allowed = LARGEST_RATIO if direct and (strict or name != "prob") else LOOSE_RATIO
        if not (c.relative <= LARGEST_ERROR and ratio <= allowed):  # so NaN fails too
            bad.append(
                f"{name}: error {c.relative:.2g} of the largest value, "
                f"{c.ratio:.2f} times PyTorch's ({c.rms_ratio:.2f} in the mean square)"
            )
    assert not bad, "\n".join(bad)


def assert_same_bits(got: Values, want: Values) -> None:
    """Fail unless every value in ``got`` has the bits of its namesake in ``want``."""
    different = [name for name, value in got.items() if not same_bits(value, want[name])]
    assert not different, f"not the same bits: {', '.join(different)}"


def same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether shape, dtype and every bit are equal (so 0.0 differs from -0.0)."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
