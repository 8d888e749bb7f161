"""A spec and its arrays, bound to what a program runs: all that a plan needs of a backend.

==========  ==========================================================================
``cython``  the compiled kernels
``blas``    im2col and one matrix product by BLAS for the layers that multiply, the kernels
            for the others: the reference of the fast path
``numpy``   the reference layers, N,C,H,W throughout; needs no compiler
==========  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from decaf.backends.blas import BlasBackend
from decaf.backends.cython import CythonBackend
from decaf.backends.numpy import NumpyBackend
from decaf.ops import choose
from decaf.specs import Layer, Shape

__all__ = ["Backend", "BlasBackend", "CythonBackend", "NumpyBackend", "get_backend"]

Array = NDArray[np.float32]


class Backend(Protocol):
    """What a plan asks of a backend.

    Attributes
    ----------
    name : str
    channels_last : bool
        Whether layers read and write N,H,W,C inside a plan; else N,C,H,W.
    shared : bool
        Whether the steps of its programs may be shared by several threads.
    precisions : tuple of str
        In which the weights of fully connected layers may be stored.
    """

    name: str
    channels_last: bool
    shared: bool
    precisions: tuple[str, ...]

    def pack(self, layer: Layer, input_shape: Shape, weight: NDArray[Any], bias: Array) -> Any:
        """Prepare the parameters of a Conv or a Linear that reads C,H,W or D.

        What it returns is not changed afterwards; that of a Conv has ``nbytes``.
        """

    def channels_first(self, layer: Layer, packed: Any) -> bool:
        """Whether this layer reads N,C,H,W even where ``channels_last`` holds."""

    def workspace(
        self, layer: Layer, packed: Any, inputs: Sequence[Array], out: Array, threads: int
    ) -> int:
        """Floats of scratch memory that this layer needs, for all threads together."""

    def bind(
        self,
        layer: Layer,
        packed: Any,
        inputs: Sequence[Array],
        out: Array,
        relu: bool,
        threads: int,
        workspace: Array,
    ) -> list[Any]:
        """Return steps that compute ``layer`` (and ReLU, if wanted) into ``out``."""

    def reorder(self, input: Array, out: Array, channels_last: bool) -> list[Any]:
        """Return steps that copy N,C,H,W to N,H,W,C, if ``channels_last``, or the other way."""

    def program(self, steps: Sequence[Any]) -> Any:
        """Return what does these steps in turn: ``program.run(helpers)``, helpers or None."""


def get_backend(name: str) -> Backend:
    """Return the backend of that name, or the best one for ``"auto"``; see ``ops.choose``."""
    backends: dict[str, type[Backend]] = {
        "cython": CythonBackend,
        "blas": BlasBackend,
        "numpy": NumpyBackend,
    }
    return backends[choose(name)]()
