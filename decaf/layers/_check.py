"""Checks that the layers share: each returns what it checked, or raises ``ShapeError``.

``name`` is the function that checks and begins the message; ``argument`` is what it checks.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decaf.errors import ShapeError

FloatArray: TypeAlias = NDArray[np.floating[Any]]  # float32 or float64
Pair: TypeAlias = int | tuple[int, int]


LARGEST = 2**31 - 1  # of any whole number: more could only overflow


def integer(name: str, argument: str, value: SupportsIndex, least: int) -> int:
    """``value`` as a plain int from ``least`` to ``LARGEST``; a float or a string is refused."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ShapeError(f"{name}: {argument} must be an integer; got {value!r}") from None
    if number < least:
        raise ShapeError(f"{name}: {argument} must be at least {least}; got {value!r}")
    if number > LARGEST:
        raise ShapeError(f"{name}: {argument} must be at most {LARGEST}; got {value!r}")
    return number


def real(name: str, argument: str, value: Any, least: float, most: float = math.inf) -> float:
    """``value`` as a finite plain float from ``least`` to ``most``."""
    if not isinstance(value, numbers.Real):
        raise ShapeError(f"{name}: {argument} must be a number; got {value!r}")
    number = float(value)
    if not (math.isfinite(number) and least <= number <= most):
        raise ShapeError(
            f"{name}: {argument} must be a finite number; "
            f"expected one from {least} to {most}, got {value!r}"
        )
    return number


def pair(name: str, argument: str, value: Any, least: int) -> tuple[int, int]:
    """``3`` becomes ``(3, 3)``; ``(h, w)`` stays; both numbers are at least ``least``."""
    if not isinstance(value, (tuple, list)):
        both = integer(name, argument, value, least)
        return both, both
    if len(value) != 2:
        raise ShapeError(f"{name}: {argument} must be an integer or a pair (h, w); got {value!r}")
    return integer(name, argument, value[0], least), integer(name, argument, value[1], least)


def array(
    name: str, argument: str, value: Any, axes: str = "", like: FloatArray | None = None
) -> FloatArray:
    """A float32 or float64 array; with the axes named, as in ``"N,C,H,W"``; of ``like``'s dtype."""
    if not isinstance(value, np.ndarray):
        raise ShapeError(
            f"{name}: {argument} must be an array; "
            f"expected numpy.ndarray, got {type(value).__name__}"
        )
    expected = "float32 or float64" if like is None else f"{like.dtype}, as input is"
    accepted = (np.float32, np.float64) if like is None else (like.dtype,)
    if value.dtype not in accepted:
        raise ShapeError(
            f"{name}: {argument} must be of one float dtype; expected {expected}, got {value.dtype}"
        )
    if axes and value.ndim != axes.count(",") + 1:
        raise ShapeError(
            f"{name}: {argument} must be {axes}; "
            f"expected {axes.count(',') + 1} axes, got shape {value.shape}"
        )
    return value


def shape(name: str, argument: str, axes: str, value: FloatArray, expected: Sequence[int]) -> None:
    """The array must have exactly this shape; ``axes`` names it in the message."""
    if value.shape != tuple(expected):
        raise ShapeError(
            f"{name}: {argument} must be {axes}; expected {tuple(expected)}, got {value.shape}"
        )


def axis(name: str, dim: SupportsIndex, ndim: int) -> int:
    """``dim`` counted from the front; negative values count from the back, as in NumPy."""
    number = integer(name, "dim", dim, -ndim)
    if number >= ndim:
        raise ShapeError(
            f"{name}: dim must name an axis; expected {-ndim} to {ndim - 1}, got {number}"
        )
    return number % ndim


def output(
    name: str,
    out: FloatArray | None,
    expected: Sequence[int],
    inputs: Sequence[FloatArray],
    *,
    in_place: bool = False,
) -> FloatArray:
    """The array to write the result to: ``out`` if it is given and fits, else a new one.

    Its dtype is that of ``inputs[0]``.  It must not overlap any of ``inputs``, whose values would
    be lost before they are read; ``in_place`` allows it to be ``inputs[0]`` itself, whole.
    """
    dtype = inputs[0].dtype
    if out is None:
        return np.empty(tuple(expected), dtype)
    if not isinstance(out, np.ndarray):
        raise ShapeError(
            f"{name}: out must be an array; expected numpy.ndarray, got {type(out).__name__}"
        )
    if out.shape != tuple(expected) or out.dtype != dtype:
        raise ShapeError(
            f"{name}: out must have the shape and dtype of the result; "
            f"expected {tuple(expected)} {dtype}, got {out.shape} {out.dtype}"
        )
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise ShapeError(
            f"{name}: out must be C-contiguous and writeable; "
            f"got strides {out.strides}{'' if out.flags.writeable else ', read-only'}"
        )
    for number, read in enumerate(inputs):
        allowed = in_place and number == 0 and _same_memory(out, read)
        if not allowed and np.shares_memory(out, read):
            raise ShapeError(
                f"{name}: out must not overlap what is read; "
                f"expected memory of its own{' or input itself' if in_place else ''}, "
                f"got an overlap with array {number} of {len(inputs)}"
            )
    return out


def _same_memory(a: FloatArray, b: FloatArray) -> bool:
    same_start = a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
    return bool(same_start) and a.shape == b.shape and a.strides == b.strides
