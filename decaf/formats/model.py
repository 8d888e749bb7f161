"""What a reader of :mod:`decaf.formats` finds in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from numpy.typing import NDArray

from decaf.preprocessing import Preprocessing
from decaf.specs import Architecture

Tensors: TypeAlias = dict[str, NDArray[Any]]  # by the names that the file gives them


@dataclass(frozen=True, eq=False)
class Model:
    """A network that came out of a foreign file.

    Attributes
    ----------
    architecture : Architecture
        The layers, under decaf's names.
    parameters : Mapping
        Exactly those of ``architecture.parameter_shapes``, of these shapes: float16, float32 or
        float64, in any byte order, as they lie in the file where that is possible (views into
        the mapped file; nothing is copied that need not be).  bfloat16, which NumPy has not, is
        widened to float32, which loses nothing.
    preprocessing : Preprocessing or None
        What the file itself says of it; None where it says nothing.
    """

    architecture: Architecture
    parameters: Mapping[str, NDArray[Any]] = field(repr=False)
    preprocessing: Preprocessing | None = None
