"""What scikit-learn's users pass as X -> photos that the pipeline reads.

    >>> import numpy as np
    >>> len(Batch(["cat.jpg", "dog.jpg"])), len(Batch(np.array([["cat.jpg"], ["dog.jpg"]])))
    (2, 2)

Always several, as in all of scikit-learn: one photo alone is refused.  Nothing is opened here,
and no photo copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, overload

import numpy as np
from scipy.sparse import issparse

from decaf.errors import ShapeError
from decaf.features.pipeline import Openable
from decaf.image import Photo, describe
from decaf.photos import is_single

LONGEST = 200  # characters of a path, in a message
PHOTO_KINDS = "OUST"  # of an array's dtype: objects, and text in its three forms
KINDS = "expected paths or photos in a list, an array (N,) or (N, 1), or pixels (N, H, W, C)"


@dataclass(frozen=True, slots=True)
class Given:
    """A photo that the caller holds, or the path of one; an ``Openable``."""

    path: str  # what errors call it
    photo: Photo

    @contextmanager
    def open(self) -> Iterator[Photo]:
        """Give the photo."""
        yield self.photo


class Batch(Sequence[Openable]):
    """The photos of an X, in order.

    Parameters
    ----------
    X : list, tuple, array, or column of a table
        N photos: paths, bytes, open files, ``PIL.Image``s or arrays (see
        :func:`decaf.image.load_image`).  An array of them, or a table, is (N,) or (N, 1); an
        array of numbers is N,H,W,C.

    Raises
    ------
    ShapeError
        If it is one photo, none, or something else.
    """

    def __init__(self, X: Any) -> None:
        if issparse(X):
            raise ShapeError(f"X must hold photos; {KINDS}, got a sparse matrix")
        array = _as_array(X)
        if array is not None:
            if array.ndim and len(array) == 0:
                _refuse_nothing(array.shape)
            X = array.ravel() if _is_column(array) else array
            fits = X.ndim == 1 if array.dtype.kind in PHOTO_KINDS else X.ndim == 4
            if not fits:
                raise ShapeError(
                    f"X must be photos; {KINDS}, got {array.dtype} {array.shape}{_why(array)}"
                )
        elif (
            is_single(X)
            or isinstance(X, Mapping)
            or not (hasattr(X, "__len__") and hasattr(X, "__getitem__"))
        ):
            raise ShapeError(
                f"X must be several photos, or a list of one; {KINDS}, got {short(describe(X))}"
            )
        elif X and all(isinstance(row, (list, tuple)) and len(row) == 1 for row in X):
            X = [photo for (photo,) in X]  # a column, written as a list of rows
        self._photos: Any = X
        if len(X) == 0:
            _refuse_nothing((0,))

    def __len__(self) -> int:
        return len(self._photos)

    @overload
    def __getitem__(self, index: int) -> Openable: ...
    @overload
    def __getitem__(self, index: slice) -> list[Openable]: ...
    def __getitem__(self, index: int | slice) -> Openable | list[Openable]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        photo = self._photos[index]
        return Given("a missing value" if _is_missing(photo) else short(describe(photo)), photo)


def short(text: str) -> str:
    """Return a path for a message, cut in the middle where it is very long."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}...{text[-LONGEST // 2 :]}"


def _refuse_nothing(shape: tuple[int, ...]) -> NoReturn:
    raise ShapeError(
        f"X must not be empty. Found array with 0 sample(s) (shape={shape}) "
        "while a minimum of 1 is required"
    )


def _why(array: np.ndarray[Any, Any]) -> str:
    """What is wrong with an array of numbers, in the words that scikit-learn's users know."""
    if array.dtype.kind == "c":
        return ". Complex data not supported"
    if array.size == 0:
        return (
            f". Found array with 0 feature(s) (shape={array.shape}) while a minimum of 1 is "
            "required."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return ". X contains NaN or infinity"
    if array.dtype.kind in "biuf":
        return ". Reshape your data if they are pixels: one photo is photo[None]"
    return ""


def _is_missing(photo: Any) -> bool:
    """Whether a table has no value there; those of pandas without importing it."""
    no_number = isinstance(photo, float) and np.isnan(photo)
    return photo is None or no_number or type(photo).__name__ in ("NAType", "NaTType")


def _as_array(X: Any) -> np.ndarray[Any, Any] | None:
    """Return an array of photos, or a table or a column of one, as an array."""
    # str and bytes too: NumPy's own, which an array of them is made of, offer it.
    if isinstance(X, (str, bytes)) or not hasattr(X, "__array__"):
        return None
    return np.asarray(X)


def _is_column(array: np.ndarray[Any, Any]) -> bool:
    return array.ndim == 2 and array.shape[1] == 1 and array.dtype.kind in PHOTO_KINDS
