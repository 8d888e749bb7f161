"""The dispatch table of the layer functions: a name, its reference, its fast twin.

    >>> function("relu", "numpy") is decaf.layers.relu
    True

No other file asks whether the kernels were built.  A plan does not call these functions, which
check their arguments and make their results anew at each call; ``decaf.backends`` binds the
loops behind them to buffers, once.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import decaf.layers
from decaf.errors import ArchitectureError

BUILD_COMMAND = "make build"
NEED_KERNELS = ("cython", "blas")

# name of the function -> module in decaf._kernels with its twin
TWINS = {
    "im2col": "im2col",
    "conv2d": "conv",
    "relu": "relu",
    "max_pool2d": "pool",
    "avg_pool2d": "pool",
    "adaptive_avg_pool2d": "pool",
    "local_response_norm": "lrn",
    "linear": "linear",
    "dropout": "dropout",
    "softmax": "softmax",
    "concat": "concat",
}

BESIDES = ("crew", "reorder", "winograd")  # what a plan needs besides


def kernel(module: str) -> Any:
    """Import one module of compiled kernels; ``ImportError`` where it was not built."""
    return importlib.import_module(f"decaf._kernels.{module}")


def function(name: str, backend: str) -> Callable[..., Any]:
    """Return the layer function of that name, of a backend as :func:`choose` takes it.

    The kernels answer for ``"blas"`` too, which is a way to run a whole network.
    """
    if choose(backend) == "numpy":
        return getattr(decaf.layers, name)  # type: ignore[no-any-return]
    return getattr(kernel(TWINS[name]), name)  # type: ignore[no-any-return]


@cache
def available() -> tuple[str, ...]:
    """Names of the backends that can be used here, best first."""
    try:
        for module in (*TWINS.values(), *BESIDES):
            kernel(module)
    except ImportError:
        return ("numpy",)
    return (*NEED_KERNELS, "numpy")


def choose(backend: str) -> str:
    """Return the backend to use for ``"auto"``, ``"cython"``, ``"blas"`` or ``"numpy"``.

    Warns
    -----
    RuntimeWarning
        If ``"auto"`` falls back to NumPy because the kernels were not built.

    Raises
    ------
    ArchitectureError
        If there is no such backend, or it was not built.
    """
    if backend == "auto":
        if available() == ("numpy",):
            _warn_once()
        return available()[0]
    if backend not in available():
        why = f"; {backend} needs the compiled kernels" if backend in NEED_KERNELS else ""
        raise ArchitectureError(
            "backend must be one that is built; expected "
            f"{' or '.join(('auto', *available()))}, got {backend!r}{why}"
        )
    return backend


def instructions(backend: str) -> str | None:
    """Return the instruction set that a built backend computes with; None where BLAS decides."""
    return str(kernel("isa").available()[0]) if backend == "cython" else None


@cache
def _warn_once() -> None:
    warnings.warn(
        "decaf's compiled kernels are not built, so NumPy answers, several times slower; "
        f"install a C compiler and type `{BUILD_COMMAND}` in the source folder, or "
        "`pip install --force-reinstall --no-binary decaf decaf`",
        RuntimeWarning,
        stacklevel=6,  # _warn_once, choose, get_backend, Network, DecafNet, its user
    )
