"""What a reader of :mod:`decaf.formats` finds in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from numpy.typing import NDArray

from decaf.preprocessing import Preprocessing
from decaf.specs import Architecture

Tensors: TypeAlias = dict[str, NDArray[Any]]  # by the names that the file gives them


@dataclass(frozen=True)
class Transform:
    """What a data layer of Caffe did to photos: ``(pixel - mean) * scale``, cut to ``crop_size``.

    ``mean_value`` has as many values as channels, or one, or none; ``mean_file`` names a
    ``.binaryproto`` instead; ``crop_size`` 0 means the whole photo.  It does not say in which
    order the channels were, nor how photos were resized before.
    """

    scale: float = 1.0
    mean_value: tuple[float, ...] = ()
    mean_file: str = ""
    crop_size: int = 0


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
        The whole recipe, if the file says it or the network has only one; else None.
    needs_mean : bool
        Whether `preprocessing` lacks a mean image, which the file only identifies.
    transform : Transform or None
        Of Caffe's files: what they say of it, which is not the whole.
    """

    architecture: Architecture
    parameters: Mapping[str, NDArray[Any]] = field(repr=False)
    preprocessing: Preprocessing | None = None
    needs_mean: bool = False
    transform: Transform | None = None
