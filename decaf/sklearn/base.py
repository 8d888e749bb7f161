"""What a transformer and a classifier of photos share: the network, and how photos run through.

Neither learns anything.  ``fit`` only checks what can be checked before a photo comes, and may
be left out.  The network is read when it is first needed, and again when ``weights`` or
``threads`` changed since: what is computed is always what the parameters say now.

A pickle holds the parameters and never the network; the path of the weights is absolute in it,
as in a pickle of ``DecafNet``.  One of a fitted estimator also holds the SHA-256 of the weights:
other weights under that path would give other numbers, without a word.  Before ``fit`` there is
none, so a pickle, and with it ``joblib.hash``, does not depend on whether the network was read.
"""

from __future__ import annotations

import os
from contextlib import closing
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from decaf import zoo
from decaf.errors import ImageError, ShapeError, WeightsError
from decaf.features.pipeline import check_numbers, compute
from decaf.image import printable
from decaf.net import DecafNet, at_least_one
from decaf.sklearn.photos import Batch, short

FROM_NET = ("net_", "classes_")  # attributes that read the network


class Held:
    """A network, and the parameters that it was read for."""

    def __init__(self, weights: Any, threads: Any) -> None:
        self.weights, self.threads = weights, threads
        self.net = DecafNet(weights, threads=threads)
        self.path = self.net.__getstate__()["weights"]  # absolute, or a name in the zoo

    @cached_property
    def sha256(self) -> str:
        """Of the weights file."""
        digest: str = self.net.info()["weights_sha256"]
        return digest


class OnPhotos(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no type hints
    """An estimator whose X is photos.  Subclasses have the parameters named here.

    Attributes
    ----------
    n_features_in_ : int
        1 after ``fit``: what X has for each sample is one photo.
    feature_names_in_ : ndarray of str
        After ``fit`` on a table: the name of its column.
    """

    weights: Any
    oversample: bool
    batch_size: int
    threads: int | None
    workers: int | None

    @property
    def net_(self) -> DecafNet:
        """The network, which is read when it is first asked for."""
        net = self._net_at_hand()
        if net is None:
            held = Held(self.weights, self.threads)
            path, expected = vars(self).get("_fitted_with", (None, None))
            if expected is not None and path == held.path and expected != held.sha256:
                raise WeightsError(
                    f"{short(str(held.net.weights_path))}: must be the weights of fit; expected "
                    f"SHA-256 {expected}, got {held.sha256} (fit takes these)"
                )
            self._held = held  # one assignment: another thread sees all of it, or reads its own
            net = held.net
        return net

    def _net_at_hand(self) -> DecafNet | None:
        """Return the network if it has been read, and for the parameters as they are now."""
        held: Held | None = vars(self).get("_held")
        if held is None or (held.weights, held.threads) != (self.weights, self.threads):
            return None
        return held.net

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        held = state.pop("_held", None)
        if held is not None and held.weights == self.weights:
            state["weights"] = held.path
            if hasattr(self, "n_features_in_"):  # fitted
                state["_fitted_with"] = (held.path, held.sha256)
        elif isinstance(self.weights, (str, os.PathLike)) and not zoo.is_name(self.weights):
            state["weights"] = os.path.abspath(self.weights)
        return state

    def __dir__(self) -> list[str]:
        # scikit-learn looks at the value of each name, also for tab completion and notebooks.
        # That must not read a network, let alone download one.
        read = self._net_at_hand() is not None
        names = (name for name in object.__dir__(self) if read or name not in FROM_NET)
        return [name for name in names if hasattr(self, name)]

    def _check(self, X: Any) -> None:
        """What ``fit`` does: look at the parameters and at the form of X."""
        self._check_parameters()
        Batch(X)
        self.n_features_in_ = 1
        names = _column_names(X)
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_  # of an earlier fit

    def _start_fit(self) -> None:
        """Forget which weights an earlier fit had: these are the right ones now."""
        self.__dict__.pop("_fitted_with", None)

    def _check_parameters(self) -> None:
        if not isinstance(self.oversample, (bool, np.bool_)):
            raise ShapeError(f"oversample must be True or False; got {self.oversample!r}")
        check_numbers(self.batch_size, self.workers)
        if self.threads is not None:
            at_least_one("threads", self.threads)

    def _run(self, X: Any, layer: str, width: int, pooling: str | None) -> NDArray[np.float32]:
        """Return what one layer makes of the photos, (N, width)."""
        self._check_parameters()
        batch = Batch(X)
        seen, names = getattr(self, "feature_names_in_", None), _column_names(X)
        if seen is not None and names is not None and list(seen) != list(names):
            raise ShapeError(
                f"X must have the column that it had in fit; expected {short(repr(seen[0]))}, "
                f"got {short(repr(names[0]))}"
            )
        rows = np.empty((len(batch), width), np.float32)
        blocks = compute(
            self.net_,
            batch,
            [layer],
            oversample=self.oversample,
            pooling=pooling,
            batch_size=self.batch_size,
            # Who limits the threads of the network means those that decode as well.
            workers=self.threads if self.workers is None else self.workers,
        )
        # Closed, so that a photo that fails leaves no thread reading ahead.
        with closing(blocks):
            for block in blocks:
                if block.failed:
                    index, reason = min(block.failed.items())
                    name = printable(batch[index].path)
                    raise ImageError(f"photo {index + 1} of {len(batch)} ({name}): {reason}")
                rows[block.first : block.first + block.count] = block.values[layer]
        return rows

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False  # a column of photos is, numbers are not
        tags.input_tags.string = True
        return tags

    def _more_tags(self) -> dict[str, Any]:
        """What scikit-learn before 1.6 asks for instead of ``__sklearn_tags__``."""
        return {
            "requires_fit": False,
            "stateless": True,
            "X_types": ["1darray", "string"],
        }


def _column_names(X: Any) -> NDArray[Any] | None:
    """Return the names of a table's columns, where they are text."""
    columns = getattr(X, "columns", None)
    if columns is None or not all(isinstance(name, str) for name in columns):
        return None
    return np.asarray(list(columns), dtype=object)
