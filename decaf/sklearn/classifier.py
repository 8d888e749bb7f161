"""``DecafClassifier``: photos -> labels, by a network that is trained already."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from decaf.errors import ArchitectureError, ShapeError
from decaf.features.pipeline import BATCH_SIZE
from decaf.sklearn.base import OnPhotos
from decaf.sklearn.photos import short
from decaf.specs import Softmax


class DecafClassifier(ClassifierMixin, OnPhotos):  # type: ignore[misc]  # as its base
    """Say what photos show, with the labels of the network.

    It is trained: ``predict`` works without ``fit``, and ``fit`` changes nothing that is
    predicted.  ``fit`` reads the network and checks that it knows every label in y, since one
    that it never predicts would make every score wrong.  A y with few of its labels is fine.

    scikit-learn takes it for fitted, as in ``StackingClassifier(cv="prefit")`` and
    ``CalibratedClassifierCV(FrozenEstimator(DecafClassifier()))``.  There every class must occur
    in y, and nobody checks it: a frozen estimator is not fitted, and of fewer classes scikit-learn
    takes the wrong columns.

    What makes numbers of y first, as ``VotingClassifier`` (with ``voting="soft"``) and
    ``cross_val_predict`` do, needs a y in which every class occurs, too; ``fit`` checks that.
    Such numbers are places in ``classes_``, which is sorted, not in ``net_.labels``.

    Metrics of probabilities (``neg_log_loss``, ``roc_auc_ovr``, ``top_k_accuracy``) need all
    classes in the y of each part, or ``labels=classifier.classes_``.  ``permutation_importance``
    needs X as a table of one column.

    ``classes_`` is sorted, and ``predict_proba`` has its order, as scikit-learn's metrics and
    ensembles take for granted; ``net_.labels`` is the network's order.  Where several classes of
    the network have one label (ImageNet has a crane that is a bird and one that is a machine)
    they are one class here, and their probabilities are added.

    X is as for :class:`~decaf.sklearn.DecafFeatures`.

    Parameters
    ----------
    weights : str or path, optional
        A weights file or a name in the zoo, as for :class:`decaf.DecafNet`; by default the
        network inside the package.  Its last layer must be a softmax.  Pickles are as those of
        :class:`~decaf.sklearn.DecafFeatures`.
    oversample : bool
        Average the probabilities of ten crops; ten times the work.
    batch_size : int
        How many crops are computed at once; decides memory and speed, never the result.
    threads, workers : int, optional
        As for :class:`~decaf.sklearn.DecafFeatures`: with ``n_jobs=2`` set ``threads=1``.

    Attributes
    ----------
    classes_ : ndarray of str
        (K,) the labels, sorted, each once.
    net_ : DecafNet
        The network, which is read when it is first needed.
    n_features_in_, feature_names_in_
        After ``fit``, as for :class:`~decaf.sklearn.DecafFeatures`.

    Examples
    --------
    >>> import numpy as np
    >>> photos = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), np.uint8)
    >>> classifier = DecafClassifier()
    >>> classifier.predict(photos).shape, classifier.predict_proba(photos).shape
    ((3,), (3, 10))
    >>> print(classifier.classes_[:3])
    ['airplane' 'automobile' 'bird']
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = None,
        oversample: bool = False,
        *,
        batch_size: int = BATCH_SIZE,
        threads: int | None = None,
        workers: int | None = None,
    ) -> None:
        self.weights = weights
        self.oversample = oversample
        self.batch_size = batch_size
        self.threads = threads
        self.workers = workers

    @property
    def classes_(self) -> NDArray[np.str_]:
        """The labels, sorted, each once."""
        return np.unique(self.net_.labels)

    def fit(self, X: Any, y: Any = None) -> DecafClassifier:
        """Read the network, and check the parameters, the form of X, and y; open no photo.

        Parameters
        ----------
        X : N photos
            See the class.
        y : array of str, optional
            (N,) labels, each one of ``classes_``; or their places there (not in ``net_.labels``),
            if every class occurs.

        Returns
        -------
        DecafClassifier
            Itself.

        Raises
        ------
        WeightsError
            If the weights cannot be used.
        ArchitectureError
            If the last layer is no softmax.
        ShapeError
            If the network has no such label, X is something else, or empty, or a parameter is
            no number that it may be.
        ValueError
            By scikit-learn: if y has another length than X, a missing value, or values that can
            be no classes.
        """
        self._start_fit()
        self._last_layer()
        self._check(X)
        if y is not None:
            labels = column_or_1d(y, warn=True)
            check_consistent_length(X, labels)
            assert_all_finite(labels, input_name="y")
            check_classification_targets(labels)
            self._check_labels(labels)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Return the probability of each class.

        Parameters
        ----------
        X : N photos
            See the class.

        Returns
        -------
        ndarray, float32
            (N, K) in the order of ``classes_``; each row sums to one.

        Raises
        ------
        ImageError
            If a photo cannot be read; the message has its name and number.
        WeightsError, ArchitectureError, ShapeError
            As :meth:`fit`.
        """
        last, labels = self._last_layer(), self.net_.labels
        classes, column = np.unique(labels, return_inverse=True)
        found = self._run(X, last, len(labels), None)
        merged = np.zeros((len(found), len(classes)), np.float32)
        np.add.at(merged.T, column, found.T)  # merged[:, column[k]] += found[:, k]
        return merged

    def predict(self, X: Any) -> NDArray[np.str_]:
        """Return the most probable label of each photo.

        Parameters
        ----------
        X : N photos
            See the class.

        Returns
        -------
        ndarray of str
            (N,)

        Raises
        ------
        ImageError, WeightsError, ArchitectureError, ShapeError
            As :meth:`predict_proba`.
        """
        best: NDArray[np.str_] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return best

    def _check_labels(self, y: NDArray[Any]) -> None:
        known = sorted(set(self.net_.labels))
        found = dict.fromkeys(y.tolist())  # each once, in order
        if y.dtype.kind in "iu":
            # Fewer numbers would be other places among fewer labels, and the answers wrong.
            if set(found) != set(range(len(known))):
                raise ShapeError(
                    f"y, if numbers, must be places in classes_, and every class occur; "
                    f"expected 0 to {len(known) - 1}, got {min(found)} to {max(found)}, "
                    f"{len(found)} different"
                )
            return
        strange = [label for label in found if label not in known]
        if strange:
            more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
            raise ShapeError(
                f"y must be labels of the network; expected some of its {len(known)} "
                f"(see classes_), got {short(repr(strange[0]))}{more}"
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.classifier_tags.poor_score = True  # on other labels than its own
        return tags

    def _more_tags(self) -> dict[str, Any]:
        return {"requires_y": False, "poor_score": True}  # before scikit-learn 1.6

    def _last_layer(self) -> str:
        """Return the name of the layer that gives probabilities."""
        last = self.net_.architecture.layers[-1]
        if not isinstance(last, Softmax):
            raise ArchitectureError(
                f"{last.name}: must be a Softmax, the last layer of a classifier; got "
                f"{type(last).__name__} (DecafFeatures takes any layer)"
            )
        return last.name
