"""Linear SVMs whose responses are summed over the views of a photo, one class against what?

    one against all:  a row of weights a class; the response r_k speaks for class k
    one against one:  a row for each pair i < j, learned from photos of the two alone; r_ij > 0
                      votes for j, else for i

Responses are linear, so the sum over a photo's views is the response of the views' sum: one matrix
product for all views of all photos.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.transfer.classifiers import converged, svm

Array = NDArray[np.float64]

SCHEMES = ("one-vs-all", "one-vs-one")


@dataclass(frozen=True)
class LinearResponses:
    """Linear SVMs for K classes.

    Attributes
    ----------
    weight : ndarray
        (R, D): a row a class, or one a pair of classes.
    bias : ndarray
        (R,)
    pairs : tuple of (int, int) or None
        For one against one: which classes each row tells apart; a response above 0 says the
        second.
    converged : bool
        Whether every solver ended before its last step.
    """

    weight: Array
    bias: Array
    pairs: tuple[tuple[int, int], ...] | None
    converged: bool

    def class_scores(self, views: Array) -> Array:
        """Return a score of each class for photos (M, V, D): (M, K).

        One against all, it is the sum of the responses of the views.  One against one, it is the
        number of votes, each pair voting by the sign of that sum; of classes with equal votes the
        one whose summed responses are larger is ahead, by less than a vote.
        """
        return self.scores_of_sums(views.sum(axis=1), views.shape[1])

    def scores_of_sums(self, summed_views: Array, views: int) -> Array:
        """Return the same, (M, K), of the sums (M, D) of so many views."""
        responses: Array = summed_views @ self.weight.T + views * self.bias  # M,R
        if self.pairs is None:
            return responses
        classes = 1 + max(second for _, second in self.pairs)
        votes, summed = np.zeros((2, len(responses), classes))
        for (first, second), response in zip(self.pairs, responses.T, strict=True):
            votes[:, first] += response <= 0
            votes[:, second] += response > 0
            summed[:, first] -= response
            summed[:, second] += response
        scores: Array = votes + summed / (3 * (np.abs(summed) + 1))
        return scores


def fit_responses(
    views: Array, numbers: NDArray[np.intp], scheme: str, C: float
) -> LinearResponses:
    """Learn from all views of photos.

    Parameters
    ----------
    views : ndarray
        (N, V, D) float64.
    numbers : ndarray
        (N,) class of each photo, from 0 to K - 1; none of them is missing.
    scheme : {"one-vs-all", "one-vs-one"}
        What is told from what.
    C : float
        For a photo; each of its views has C / V.

    Returns
    -------
    LinearResponses
    """
    classes = 1 + int(numbers.max())
    if scheme == "one-vs-one":
        pairs = tuple(itertools.combinations(range(classes), 2))
        photos = [np.isin(numbers, pair) for pair in pairs]
        fitted = [_fit(views[each], numbers[each], C) for each in photos]
        return LinearResponses(
            np.concatenate([model.coef_ for model in fitted]),
            np.concatenate([model.intercept_ for model in fitted]),
            pairs,
            all(map(converged, fitted)),
        )
    model = _fit(views, numbers, C)
    weight, bias = model.coef_, model.intercept_
    if classes == 2:  # learned once: what speaks for one speaks against the other
        weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
    return LinearResponses(weight, bias, None, converged(model))


def _fit(views: Array, numbers: NDArray[np.intp], C: float) -> Any:
    V, D = views.shape[1:]
    return svm(C / V).fit(views.reshape(-1, D), np.repeat(numbers, V))
