"""scikit-learn's own checks, as far as photos allow.

The checks pass rows of numbers.  The estimators here turn a 2-D array of finite numbers into
photos, a row each: an S-shaped curve makes 0 to 255 of each number, and the numbers fill a
square of grey pixels, again and again.  Numbers that are stored as objects are numbers, and an
object among them that is none counts as 0.  Everything else, from NaN to sparse matrices, goes on
as it came, so that it is the estimators of decaf that must refuse it.  Besides, the classifier's
``classes_`` are numbers, as those of the checks are; and the tag is changed that says that there
may be 2-D numbers, without which scikit-learn skips the checks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

checks = pytest.importorskip("sklearn.utils.estimator_checks")
if not hasattr(checks, "estimator_checks_generator"):
    pytest.skip("scikit-learn before 1.6 has no list of checks", allow_module_level=True)

from decaf.sklearn import DecafClassifier, DecafFeatures  # noqa: E402
from decaf.sklearn.checks import CLASSIFIER, FEATURES  # noqa: E402


def photos(X: Any) -> Any:
    """A photo for each row of a 2-D array of finite real numbers; all else as it came."""
    try:
        rows = np.asarray(X)
        if rows.ndim == 2 and rows.dtype.kind == "O" and isinstance(X, np.ndarray):
            rows = np.array([[v if isinstance(v, float) else 0.0 for v in row] for row in rows])
        if rows.ndim != 2 or rows.size == 0 or rows.dtype.kind not in "fiu":
            return X
    except (TypeError, ValueError):  # a sparse matrix, a ragged list
        return X
    if not np.isfinite(rows).all():
        return X
    side = math.ceil(math.sqrt(rows.shape[1]))
    levels = np.rint(255 / (1 + np.exp(-rows.astype(np.float64).clip(-30, 30)))).astype(np.uint8)
    return [np.resize(row, (side, side)) for row in levels]


def labels(y: Any) -> Any:
    """The label of each number of a class; all else as it came."""
    if y is None:
        return y
    numbers = np.asarray(y)
    if numbers.dtype.kind not in "fiu" or not np.isin(numbers, range(10)).all():
        return y
    return DecafClassifier().classes_[numbers.astype(int)]


class Rows:
    """Between an estimator and X."""

    def _check(self, X: Any) -> None:
        super()._check(photos(X))

    def _run(self, X: Any, *rest: Any) -> Any:
        return super()._run(photos(X), *rest)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = False, True
        return tags


class Features(Rows, DecafFeatures):
    pass


class Classifier(Rows, DecafClassifier):
    """Its labels are numbers, for those of the checks are."""

    @property
    def classes_(self) -> Any:
        return np.arange(len(super().classes_))

    def fit(self, X: Any, y: Any = None) -> Any:
        return super().fit(X, labels(y))


# What scikit-learn runs on its own estimators alone.
MORE = {
    "check_dataframe_column_names_consistency",
    "check_inplace_ensure_writeable",
}
MORE_OF_TRANSFORMERS = {
    "check_get_feature_names_out_error",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
}
BOTH = pytest.mark.parametrize(
    ("estimator", "listed", "more"),
    [
        pytest.param(Features(), FEATURES, MORE | MORE_OF_TRANSFORMERS, id="features"),
        pytest.param(Classifier(), CLASSIFIER, MORE, id="classifier"),
    ],
)


def statuses(estimator: Any, listed: dict[str, str], more: set[str]) -> dict[str, set[str]]:
    """Name of each check -> how it ended; several times where it is run with several options."""
    found: dict[str, set[str]] = {}
    for result in checks.check_estimator(
        estimator, expected_failed_checks=listed, on_skip=None, on_fail=None
    ):
        found.setdefault(result["check_name"], set()).add(result["status"])
    for name in more & set(dir(checks)):
        try:
            getattr(checks, name)(type(estimator).__name__, estimator)
            status = "passed"
        except checks.SkipTest:
            status = "skipped"
        except Exception:
            status = "xfail" if name in listed else "failed"
        found[name] = {status}
    return found


@BOTH
def test_all_checks_pass_but_those_listed(
    estimator: Any, listed: dict[str, str], more: set[str]
) -> None:
    found = statuses(estimator, listed, more)
    assert {name for name, ended in found.items() if "failed" in ended} == set()
    fails = {name for name, ended in found.items() if "xfail" in ended}
    assert fails == listed.keys() & found.keys()
    assert not [name for name in fails if "passed" in found[name]]
    # scikit-learn skips all of them where a tag tells it to, and says so only in a warning.
    passed = {name for name, ended in found.items() if ended == {"passed"}}
    assert len(passed) > 30
    assert {"check_estimators_pickle", "check_methods_subset_invariance"} <= passed
    # Those that need a switch in the environment, or a package.
    skipped = {name for name, ended in found.items() if "skipped" in ended}
    assert skipped <= {"check_array_api_input", *(name for name in more if "_output_" in name)}


@BOTH
def test_every_listed_check_exists(estimator: Any, listed: dict[str, str], more: set[str]) -> None:
    assert not [name for name in listed if not hasattr(checks, name)]
    assert all(len(reason) > 20 for reason in listed.values())


def test_the_test_sees_a_check_that_fails_and_one_that_passes() -> None:
    class Broken(Features):
        def transform(self, X: Any) -> Any:
            self.calls = 1  # an attribute that appears in transform
            return super().transform(X)

    listed = {**FEATURES, "check_fit_idempotent": "it passes, in truth"}
    found = statuses(Broken(), listed, set())
    assert found["check_dict_unchanged"] == {"failed"}
    assert found["check_fit_idempotent"] == {"passed"}
