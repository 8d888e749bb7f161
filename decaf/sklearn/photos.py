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
from typing import Any, overload

import numpy as np
from scipy.sparse import issparse

from decaf.errors import ShapeError
from decaf.features.pipeline import Source
from decaf.image import Photo, describe
from decaf.photos import is_single

PHOTO_KINDS = "OUST"  # of an array's dtype: objects, and text in its three forms
KINDS = "expected paths or photos in a list, an array (N,) or (N, 1), or pixels (N, H, W, C)"


@dataclass(frozen=True, slots=True)
class Given:
    """A photo that the caller holds, or the path of one; a ``Source``."""

    path: str  # what errors call it
    photo: Photo

    @contextmanager
    def open(self) -> Iterator[Photo]:
        """Give the photo."""
        yield self.photo


class Batch(Sequence[Source]):
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
            X = array.ravel() if _is_column(array) else array
            fits = X.ndim == 1 if array.dtype.kind in PHOTO_KINDS else X.ndim == 4
            if not fits:
                raise ShapeError(f"X must be photos; {KINDS}, got {array.dtype} {array.shape}")
        elif (
            is_single(X)
            or isinstance(X, Mapping)
            or not (hasattr(X, "__len__") and hasattr(X, "__getitem__"))
        ):
            raise ShapeError(
                f"X must be several photos, or a list of one; {KINDS}, got {describe(X)}"
            )
        elif X and all(isinstance(row, (list, tuple)) and len(row) == 1 for row in X):
            X = [photo for (photo,) in X]  # a column, written as a list of rows
        self._photos: Any = X
        if len(X) == 0:  # in the words that scikit-learn's users know
            raise ShapeError(
                f"X must not be empty. Found array with 0 sample(s) (shape={np.shape(X)}) "
                "while a minimum of 1 is required"
            )

    def __len__(self) -> int:
        return len(self._photos)

    @overload
    def __getitem__(self, index: int) -> Source: ...
    @overload
    def __getitem__(self, index: slice) -> list[Source]: ...
    def __getitem__(self, index: int | slice) -> Source | list[Source]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        photo = self._photos[index]
        return Given(describe(photo), photo)


def _as_array(X: Any) -> np.ndarray[Any, Any] | None:
    """Return an array of photos, or a table or a column of one, as an array."""
    # str and bytes too: NumPy's own, which an array of them is made of, offer it.
    if isinstance(X, (str, bytes)) or not hasattr(X, "__array__"):
        return None
    return np.asarray(X)


def _is_column(array: np.ndarray[Any, Any]) -> bool:
    return array.ndim == 2 and array.shape[1] == 1 and array.dtype.kind in PHOTO_KINDS
