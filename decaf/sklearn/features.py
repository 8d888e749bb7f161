"""``DecafFeatures``: photos -> what a layer of the network makes of them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import TransformerMixin
from sklearn.exceptions import NotFittedError

from decaf.errors import ShapeError
from decaf.features.pipeline import BATCH_SIZE, widths
from decaf.sklearn.base import OnPhotos
from decaf.sklearn.photos import short


class DecafFeatures(TransformerMixin, OnPhotos):  # type: ignore[misc]  # as its base
    """Turn photos into features: the values of one layer of a trained network.

    The transformer learns nothing from photos, so it cannot leak from test to training data,
    and ``transform`` works without ``fit``.  ``fit`` reads the network and checks the
    parameters.  They may be set again at any time; what they are when ``transform`` is called
    counts.  What a photo gives is the same to the last bit in any batch, on any number of
    threads and processes.

    X is N photos in a list, an array (N,) or (N, 1), a column of a pandas or polars table, or
    an array N,H,W,C.  A photo is a path, bytes, a ``PIL.Image`` or an array
    (:func:`decaf.image.load_image`).  One photo is a list of one.

    Parameters
    ----------
    weights : str or path, optional
        A weights file or a name in the zoo, as for :class:`decaf.DecafNet`; by default the
        network inside the package.  A pickle holds the path, made absolute, and never the
        weights: where it is used the file must be there, and after ``fit`` the same.
    layer : str
        As for :meth:`decaf.DecafNet.features`: ``"fc6"`` is before the ReLU, ``"relu6"`` after.
    oversample : bool
        Average the features of ten crops; ten times the work.
    pooling : {None, "average", "max"}
        Make one number of each channel of a convolutional layer (:mod:`decaf.features.pooling`).
    batch_size : int
        How many crops are computed at once; decides memory and speed, never the result.
    threads : int, optional
        Of the network, in each process; by default as many as the process may use cores.  With
        ``n_jobs=2`` or more set ``threads=1``, or the processes are in each other's way.
    workers : int, optional
        Threads that decode photos meanwhile; by default `threads`, if that is set.

    Attributes
    ----------
    net_ : DecafNet
        The network, which is read when it is first needed.
    n_features_in_ : int
        1 after ``fit``: a photo.
    feature_names_in_ : ndarray of str
        After ``fit`` on a table: the name of its column.

    Examples
    --------
    >>> import numpy as np
    >>> photos = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), np.uint8)
    >>> features = DecafFeatures(layer="pool5", pooling="average")
    >>> features.fit_transform(photos).shape
    (3, 128)
    >>> features.get_feature_names_out()[:2]
    array(['pool5_0', 'pool5_1'], dtype=object)
    >>> features.set_params(layer="fc7").transform(photos).shape
    (3, 256)
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = None,
        layer: str = "relu6",
        oversample: bool = False,
        pooling: str | None = None,
        *,
        batch_size: int = BATCH_SIZE,
        threads: int | None = None,
        workers: int | None = None,
    ) -> None:
        self.weights = weights
        self.layer = layer
        self.oversample = oversample
        self.pooling = pooling
        self.batch_size = batch_size
        self.threads = threads
        self.workers = workers

    def fit(self, X: Any, y: Any = None) -> DecafFeatures:
        """Read the network, and check the parameters and the form of X; open no photo.

        Parameters
        ----------
        X : N photos
            See the class.
        y : ignored

        Returns
        -------
        DecafFeatures
            Itself.

        Raises
        ------
        WeightsError
            If the weights cannot be used.
        ArchitectureError
            If the network has no such layer.
        FeaturesError
            If there is no such pooling.
        ShapeError
            If X is something else, or empty, or a parameter is no number that it may be.
        """
        self._start_fit()
        width = self._width()
        self._check(X)
        self._fitted_width = (self.layer, self.pooling, width)
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the features of photos.

        Parameters
        ----------
        X : N photos
            See the class.

        Returns
        -------
        ndarray, float32
            (N, D), flattened in the order C,H,W; a table after ``set_output``.

        Raises
        ------
        ImageError
            If a photo cannot be read; the message has its name and number.
        WeightsError, ArchitectureError, FeaturesError, ShapeError
            As :meth:`fit`; WeightsError also if this was unpickled, and the weights are others
            than in ``fit``.
        """
        width = self._width()
        return self._run(X, self.layer, width, self.pooling)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the features, once ``fit`` or ``transform`` has read the network.

        Parameters
        ----------
        input_features : array of str, optional
            Changes nothing; if given, it must be the column that ``fit`` saw.

        Returns
        -------
        ndarray of str
            (D,) ``relu6_0``, ``relu6_1``, …: the layer as asked for, and the place in C,H,W.

        Raises
        ------
        NotFittedError
            If it has not been read: a notebook asks for the names of what it only shows, and
            should not have to wait for a download.
        ShapeError
            If `input_features` is something else.
        """
        width = self._width_of_fit() if self._net_at_hand() is None else self._width()
        if input_features is not None:
            given, seen = list(input_features), getattr(self, "feature_names_in_", None)
            if seen is not None and given != list(seen):
                raise ShapeError(
                    "input_features is not equal to feature_names_in_; expected "
                    f"{short(repr(list(seen)))}, got {short(repr(given))}"
                )
            if len(given) != 1:
                raise ShapeError(
                    "input_features should have length equal to 1, for the column of photos; "
                    f"got {short(repr(given))}"
                )
        return np.array([f"{self.layer}_{i}" for i in range(width)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # always float32
        return tags

    def _more_tags(self) -> dict[str, Any]:
        return {"preserves_dtype": []}  # before scikit-learn 1.6

    def _width_of_fit(self) -> int:
        """Return D without the network, if this is unpickled and still as it was fitted."""
        path, _ = vars(self).get("_fitted_with", (False, None))
        layer, pooling, width = vars(self).get("_fitted_width", (None, None, 0))
        if (path, layer, pooling) != (self.weights, self.layer, self.pooling):
            raise NotFittedError(
                "the network must be read before its features have names; call fit"
            )
        return int(width)

    def _width(self) -> int:
        """Return D; all that can be wrong with layer and pooling is found here."""
        return widths(self.net_, [self.layer], self.pooling)[self.layer]
