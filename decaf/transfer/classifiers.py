"""Linear classifiers on features, with and without dropout on the features.

    logistic:  min  |W|²/2 + C Σ_n -log softmax(W x_n + b)[y_n]           all classes at once
    svm:       min  |w|²/2 + C Σ_n max(0, 1 - ±(w x_n + b))²              one class against the rest

Donahue et al. 2014, section 4.1, train a logistic regression or a support vector machine, each
also with dropout: while training a random half of the features is set to zero, and at test all are
multiplied by 0.5.  What the paper leaves open, and what is done here:

- Which SVM: LIBLINEAR's default, with squared loss, its bias among what is kept small.  It is
  solved in the primal, which needs no random numbers, and takes few steps for any C.  It stops at
  its own tolerance, 1e-4: at its minimum up to C = 100 (to 4e-4), at 1000 with a loss 5 % above;
  there 1e-5 takes ten times as long, and half a point of accuracy comes or goes.
- Which logistic regression: the multinomial one, as a network's last layer is; bias left free.
  Solved by Newton's method with a tolerance of 1e-6.  Scikit-learn's default (L-BFGS, 1e-4) stops
  at C = 1000 with a loss 7 % above its minimum, some tenths of a point of accuracy away; this one
  less than a millionth above it, and sooner than L-BFGS with the same tolerance.
- When masks are drawn.  Stochastic gradient descent draws a new one whenever it sees a photo.  The
  solvers here see all photos at once, and so they get `copies` copies of each, each with a mask of
  its own, each copy with the weight 1 / copies.  That is the same loss, its mean over all masks
  replaced by one over a few, and C means the same for any number of copies.  Measured on 17
  flowers (SqueezeNet, D = 512, 30 photos a class, C = 100; logistic, svm): 89.4, 89.3 % with one
  copy, 90.2, 91.4 with 2, 91.7, 92.2 with 4, 92.2, 93.3 with 8, the same with 16.  Hence 8.
- Halving features or weights at test comes to the same; the bias, which was never dropped, stays.

Features are divided by one number, the mean length of the rows to learn from (`scale_of`).  Such a
division is the same as another C: it changes nothing but that C = 1 means about the same for any
layer of any network, so that one grid of C serves all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, check_X_y

from decaf.errors import FeaturesError
from decaf.net import at_least_one

COPIES = 8
# Far above what features like those of networks need (some 100), so that "did not converge" means
# that something is wrong.
MAX_ITER = 10_000
TOLERANCE = 1e-6  # of the gradient of the mean loss of a photo, its largest number


def logistic(C: float = 1.0) -> LogisticRegression:
    """Return a multinomial logistic regression; its score of a class is the logit."""
    return LogisticRegression(C=C, solver="newton-cg", tol=TOLERANCE, max_iter=MAX_ITER)


def svm(C: float = 1.0) -> LinearSVC:
    """Return a linear SVM, one class against the rest; its score is the signed margin."""
    return LinearSVC(C=C, dual=False, max_iter=MAX_ITER)


def with_dropout(
    estimator: Any, *, copies: int = COPIES, seed: int | Sequence[int] = 0
) -> DropoutClassifier:
    """Return the classifier, trained with half of the features set to zero."""
    return DropoutClassifier(estimator, copies=copies, seed=seed)


class DropoutClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # no type hints
    """Train a linear classifier on copies with half of the features zero; halve them at test.

    Each feature of each copy is zero with probability 1/2, independently.

    Parameters
    ----------
    estimator : classifier of scikit-learn
        Its ``fit`` must take ``sample_weight``; it is cloned, not changed.
    copies : int
        How many copies of each photo to learn from; each weighs 1 / copies.
    seed : int or sequence of int
        Of the masks, for ``numpy.random.default_rng``.

    Attributes
    ----------
    estimator_ : classifier
        Fitted; it expects features halved.
    classes_ : ndarray
        (K,) in sorted order.
    n_features_in_ : int
        D.
    """

    def __init__(
        self, estimator: Any, *, copies: int = COPIES, seed: int | Sequence[int] = 0
    ) -> None:
        self.estimator = estimator
        self.copies = copies
        self.seed = seed

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> DropoutClassifier:
        """Learn.

        Parameters
        ----------
        X : array_like
            (N, D).
        y : array_like
            (N,) classes.
        sample_weight : array_like, optional
            (N,) how much each photo counts.

        Returns
        -------
        DropoutClassifier
            Itself.

        Raises
        ------
        ShapeError
            If `copies` is not at least 1.
        ValueError
            By scikit-learn, if X or y cannot be learned from.
        """
        at_least_one("copies", self.copies)
        X, y = check_X_y(X, y, dtype=[np.float64, np.float32], estimator=self)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        self.n_features_in_ = X.shape[1]
        weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        rng = np.random.default_rng(self.seed)
        dropped = np.empty((self.copies, *X.shape), X.dtype)  # copies,N,D
        for copy in dropped:
            np.multiply(X, rng.random(X.shape, np.float32) >= 0.5, out=copy)
        self.estimator_ = clone(self.estimator).fit(
            dropped.reshape(-1, X.shape[1]),  # copies*N,D
            np.tile(y, self.copies),
            sample_weight=np.tile(weight / self.copies, self.copies),
        )
        return self

    @property
    def n_iter_(self) -> Any:
        """Steps that the solver took, as the estimator counts them."""
        return self.estimator_.n_iter_

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return the scores, (N, K), or (N,) of two classes, as the estimator does."""
        rows = self._halved(X)
        scores: NDArray[np.float64] = self.estimator_.decision_function(rows)
        return scores

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class of each row, (N,)."""
        rows = self._halved(X)
        classes: NDArray[Any] = self.estimator_.predict(rows)
        return classes

    @available_if(lambda self: hasattr(self.estimator, "predict_proba"))  # type: ignore
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class, (N, K), where the estimator has them."""
        rows = self._halved(X)
        probabilities: NDArray[np.float64] = self.estimator_.predict_proba(rows)
        return probabilities

    def _halved(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self)
        rows = check_array(X, dtype=[np.float64, np.float32], estimator=self)
        halved: NDArray[Any] = rows * rows.dtype.type(0.5)
        return halved


Make = Callable[[float, Sequence[int]], Any]

# How each is made from C and a seed.
CLASSIFIERS: Mapping[str, Make] = {
    "logistic": lambda C, seed: logistic(C),
    "logistic, dropout": lambda C, seed: with_dropout(logistic(C), seed=seed),
    "svm": lambda C, seed: svm(C),
    "svm, dropout": lambda C, seed: with_dropout(svm(C), seed=seed),
}


@dataclass(frozen=True)
class Scale:
    """What rows are taken less of, and divided by; `scale_of` finds it.

    Attributes
    ----------
    shift : ndarray or None
        (D,), or nothing.
    largest, length : ndarray or float
        Numbers, or of standardised features (D,); in two steps, so that nothing overflows between.
    """

    shift: NDArray[np.float64] | None
    largest: NDArray[np.float64] | float
    length: float

    def __call__(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return rows (M, D) divided, a new array.

        Raises
        ------
        FeaturesError
            If numbers overflow: when rows are 1e300 times longer than those learned from.
        """
        with np.errstate(all="ignore"):  # what overflows is refused below
            if self.shift is None:
                out = rows / self.largest
            else:
                out = rows - self.shift
                out /= self.largest
            out /= self.length
        if not np.isfinite(out).all():
            raise FeaturesError(
                "features must be of a like size in all photos; expected numbers to compute with, "
                "got some that overflow when divided by the mean length of the rows to learn from"
            )
        return out


def scale_of(train: NDArray[np.float64], *, standardise: bool = False) -> Scale:
    """Find what divides features by the mean length of the rows to learn from.

    Parameters
    ----------
    train : ndarray
        (N, D) float64.
    standardise : bool
        First bring each feature to mean 0 and variance 1 over `train`; one that is the same in
        all rows becomes 0.

    Returns
    -------
    Scale
        If all rows are zero they stay so.
    """
    with np.errstate(all="ignore"):  # what overflows is refused when it is divided
        if not standardise:
            largest = np.abs(train).max() or 1.0  # first, lest squares overflow or vanish
            return Scale(None, largest, np.linalg.norm(train / largest, axis=1).mean() or 1.0)
        mean, deviation = train.mean(axis=0), train.std(axis=0)  # D, D
        # Of a feature that is the same everywhere rounding may leave a deviation of 1e-17.
        steady = (train == train[0]).all(axis=0) | (deviation == 0)
        # Nothing was learned of it: infinity makes it 0, wherever it lies.
        deviation = np.where(steady, np.inf, deviation)
        length = np.linalg.norm((train - mean) / deviation, axis=1).mean()
        return Scale(mean, deviation, length or 1.0)


def class_scores(model: Any, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a score for each class, (N, K), also of two classes: then plus and minus the half."""
    scores: NDArray[np.float64] = model.decision_function(rows)
    return scores if scores.ndim == 2 else np.stack([-scores / 2, scores / 2], axis=1)


def converged(model: Any) -> bool:
    """Say whether a fitted classifier's solver ended before its last step."""
    return int(np.max(model.n_iter_)) < MAX_ITER
