"""The dispatch table: twins alike in all but speed, and what happens where they are not built."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest

from decaf import layers, ops
from decaf.errors import ArchitectureError, ShapeError

cython = pytest.mark.skipif("cython" not in ops.available(), reason="kernels are not built")


def test_every_layer_function_has_a_twin() -> None:
    assert sorted(ops.TWINS) == sorted(layers.__all__)


@cython
@pytest.mark.parametrize("name", sorted(ops.TWINS))
def test_twins_have_the_same_signature(name: str) -> None:
    def signature(backend: str) -> list[tuple[str, object, object]]:
        parameters = inspect.signature(ops.function(name, backend)).parameters.values()
        return [(p.name, p.kind, p.default) for p in parameters]

    assert signature("cython") == signature("numpy")


@cython
@pytest.mark.parametrize("name", sorted(set(ops.TWINS) - {"concat"}))
def test_twins_refuse_float64(name: str) -> None:
    x = np.ones((1, 2, 4, 4))
    rest = {
        "im2col": (2,),
        "conv2d": (np.ones((2, 2, 3, 3)),),
        "max_pool2d": (2,),
        "avg_pool2d": (2,),
        "adaptive_avg_pool2d": (2,),
        "local_response_norm": (3,),
        "linear": (np.ones((3, 4)),),
    }
    with pytest.raises(ShapeError, match=f"^{name}: kernels take one dtype; expected float32"):
        ops.function(name, "cython")(x, *rest.get(name, ()))


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="expected auto or .*numpy, got 'cuda'$"):
        ops.choose("cuda")


def test_backends_best_first() -> None:
    assert ops.available() in (("cython", "blas", "numpy"), ("numpy",))
    assert ops.choose("auto") == ops.available()[0]
    assert [ops.choose(name) for name in ops.available()] == list(ops.available())


@cython
def test_blas_has_the_layers_of_the_kernels() -> None:
    assert ops.function("relu", "blas") is ops.function("relu", "cython")


def test_without_kernels_auto_warns_once_and_numpy_answers() -> None:
    code = """
import sys, warnings
sys.modules["decaf._kernels.conv"] = None  # as if it had not been built
from decaf import ops
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("default")
    for _ in range(3):
        assert ops.choose("auto") == "numpy"
assert len(caught) == 1 and "make build" in str(caught[0].message), caught
for backend in ("cython", "blas"):
    try:
        ops.choose(backend)
    except Exception as error:
        print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for line, backend in zip(done.stdout.splitlines(), ("cython", "blas"), strict=True):
        assert line == (
            "ArchitectureError backend must be one that is built; expected auto or numpy, "
            f"got {backend!r}; {backend} needs the compiled kernels"
        )
