"""What must hold for the numbers that a user chooses; all is checked before work starts."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from decaf.errors import FeaturesError

Holds = Callable[[float], bool]


def check_number(name: str, value: Any, expected: str, holds: Holds) -> None:
    """Raise a FeaturesError unless it is a real number for which `holds`."""
    try:
        fits = isinstance(value, Real) and not isinstance(value, bool) and holds(float(value))
    except OverflowError:  # a whole number beyond all floats
        fits = False
    if not fits:
        raise FeaturesError(f"{name} must be a number; expected {expected}, got {value!r}")


def check_seed(seed: Any) -> None:
    """Raise a FeaturesError unless it is a whole number of at least 0."""
    whole = isinstance(seed, Integral) and not isinstance(seed, bool)
    if not (whole and int(seed) >= 0):
        raise FeaturesError(f"seed must be a whole number; expected at least 0, got {seed!r}")


def check_list(name: str, value: Any) -> None:
    """Raise a FeaturesError unless it can be gone through, has a length, and is no text."""
    is_list = hasattr(value, "__len__") and hasattr(value, "__iter__")
    if not is_list or isinstance(value, (str, bytes)):
        raise FeaturesError(f"{name} must be a list, one a photo; got {type(value).__name__}")
