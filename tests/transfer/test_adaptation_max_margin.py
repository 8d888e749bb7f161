"""Max-margin domain transforms: the objective, its two problems, and what they are good for."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import lsq_linear, minimize
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from decaf.errors import FeaturesError, ShapeError
from decaf.transfer.adaptation import MaxMarginTransform
from decaf.transfer.adaptation.box import box_minimum

Array = NDArray[np.float64]
Labels = NDArray[np.intp]


def two_domains(
    seed: int = 0, D: int = 2
) -> tuple[Array, NDArray[np.intp], Array, NDArray[np.intp]]:
    """Three classes; the target is the source turned by 60 degrees and moved."""
    rng = np.random.default_rng(seed)
    corners = np.zeros((3, D))
    corners[:, :2] = [[0, 1], [1, -0.5], [-1, -0.5]]
    ys, yt = np.tile([0, 1, 2], 8), np.tile([0, 1, 2], 30)
    turn = np.eye(D)
    turn[:2, :2] = [[0.5, -(0.75**0.5)], [0.75**0.5, 0.5]]
    Xs = corners[ys] + rng.standard_normal((24, D)) * 0.25
    Xt = (corners[yt] + rng.standard_normal((90, D)) * 0.25) @ turn + 0.3
    return Xs, ys, Xt, yt


def objective(
    W: Array, planes: Array, Xs: Array, ys: Array, Xt: Array, yt: Array, C: tuple[float, float]
) -> float:
    """J as the paper writes it: a loop over everything."""
    total = ((W - np.eye(len(W))) ** 2).sum() / 2 + (planes**2).sum() / 2
    for k, plane in enumerate(planes):
        for x, y in zip(Xs, ys, strict=True):
            total += C[0] * max(0, 1 - (1 if y == k else -1) * plane @ [*x, 1])
        for x, y in zip(Xt, yt, strict=True):
            total += C[1] * max(0, 1 - (1 if y == k else -1) * plane @ W @ [*x, 1])
    return float(total)


@pytest.mark.parametrize("C", [(0.05, 1.0), (1.0, 1.0), (3.0, 20.0)])
@pytest.mark.parametrize("D", [2, 40])  # fewer and more features than photos
def test_the_objective_is_the_papers_and_falls(C: tuple[float, float], D: int) -> None:
    Xs, ys, Xt, yt = two_domains(D=D)
    model = MaxMarginTransform(*C, iterations=6, tolerance=1e-9).fit(Xs, ys, Xt[:9], yt[:9])
    wanted = objective(model.transform_, model.hyperplanes_, Xs, ys, Xt[:9], yt[:9], C)
    assert model.objective_[-1] == pytest.approx(wanted, rel=1e-12)
    assert len(model.objective_) == 12
    for before, after in pairwise(model.objective_):
        assert after <= before * (1 + 1e-9)
    if (D, C) == (2, (1.0, 1.0)):  # else all of the target is right after the first step
        assert model.objective_[-1] < model.objective_[0] * 0.9


def test_the_first_hyperplanes_are_liblinears() -> None:
    Xs, ys, Xt, yt = two_domains()
    model = MaxMarginTransform(0.3, 2.0, iterations=1, tolerance=1e-10)
    model.fit(Xs, ys, Xt[:9], yt[:9])
    rows, labels = np.concatenate([Xs, Xt[:9]]), np.concatenate([ys, yt[:9]])
    oracle = LinearSVC(C=1, loss="hinge", dual=True, tol=1e-10, max_iter=10**6, random_state=0)
    oracle.fit(rows, labels, sample_weight=np.repeat([0.3, 2.0], [24, 9]))
    wanted = np.column_stack([oracle.coef_, oracle.intercept_])
    np.testing.assert_allclose(model.hyperplanes_, wanted, atol=1e-5)


def test_the_transform_is_that_of_a_generic_solver() -> None:
    """The second problem in its primal, with slack variables: SLSQP knows nothing of duals."""
    Xs, ys, Xt, yt = two_domains()
    few, labels, C = Xt[:6], yt[:6], 1.5
    model = MaxMarginTransform(0.5, C, iterations=1, tolerance=1e-10).fit(Xs, ys, few, labels)
    planes = model.hyperplanes_
    rows = np.column_stack([few, np.ones(6)])
    signs = np.where(labels[:, None] == np.arange(3), 1.0, -1.0)

    # A row a constraint: y θ_k'W x̄ + slack ≥ 1, W row after row.
    linear = np.einsum("jk,ka,jb->jkab", signs, planes, rows).reshape(18, 9)
    linear = np.hstack([linear, np.eye(18)])
    start = np.eye(3).ravel()
    found = minimize(
        lambda x: ((x[:9] - start) ** 2).sum() / 2 + C * x[9:].sum(),
        np.concatenate([start, np.full(18, 5.0)]),
        jac=lambda x: np.concatenate([x[:9] - start, np.full(18, C)]),
        bounds=[(None, None)] * 9 + [(0, None)] * 18,
        constraints={"type": "ineq", "fun": lambda x: linear @ x - 1, "jac": lambda x: linear},
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 1000},
    )
    assert found.success
    assert np.abs(model.transform_ - np.eye(3)).max() > 0.05  # there was something to learn
    np.testing.assert_allclose(model.transform_, found.x[:9].reshape(3, 3), atol=1e-5)


@pytest.mark.parametrize("rank", [3, 12, 30])
@pytest.mark.parametrize("seed", range(5))
def test_a_box_is_searched_as_scipy_does(rank: int, seed: int) -> None:
    """½ a'Q a - m'a with Q = F'F, m = F'b is least squares |F a - b|²."""
    rng = np.random.default_rng(seed)
    F, b = rng.standard_normal((rank, 12)), rng.standard_normal(rank) * 3
    C = rng.uniform(0.1, 1, 12)
    found = box_minimum(F.T @ F, F.T @ b, C, np.zeros(12), 1e-12)
    wanted = lsq_linear(F, b, (0, C), tol=1e-14, method="bvls")
    assert ((found >= 0) & (found <= C)).all()
    np.testing.assert_allclose(F @ found, F @ wanted.x, atol=1e-6)  # all that is unique
    if rank >= 12:
        np.testing.assert_allclose(found, wanted.x, atol=1e-6)


def test_it_stops_where_nothing_is_to_be_gained() -> None:
    start, C = np.array([0.0, 1.0]), np.ones(2)
    found = box_minimum(np.zeros((2, 2)), np.array([-1.0, 1.0]), C, start, 1e-9)
    np.testing.assert_array_equal(found, start)
    # Q without curvature: to the edge that the linear part points at.
    found = box_minimum(np.zeros((2, 2)), np.array([1.0, -1.0]), C, start, 1e-9)
    np.testing.assert_array_equal(found, [1, 0])


def test_it_undoes_a_turn_that_an_svm_of_the_source_does_not() -> None:
    Xs, ys, Xt, yt = two_domains()
    model = MaxMarginTransform(1.0, 1.0, iterations=5).fit(Xs, ys, Xt[:9], yt[:9])
    source_only = LinearSVC(dual=False).fit(Xs, ys).score(Xt[9:], yt[9:])
    assert (model.predict(Xt[9:]) == yt[9:]).mean() > source_only + 0.15


def test_the_target_may_lack_classes() -> None:
    Xs, ys, Xt, yt = two_domains()
    few = np.flatnonzero(yt[:12] != 2)
    model = MaxMarginTransform().fit(Xs, ys, Xt[few], yt[few])
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.decision_function(Xt).shape == (90, 3)


def test_scores_go_with_labels_of_any_kind_and_are_repeatable() -> None:
    Xs, ys, Xt, yt = two_domains()
    names = np.array(["ant", "bee", "cat"])
    one = MaxMarginTransform().fit(Xs, ys, Xt[:9], yt[:9])
    two = MaxMarginTransform().fit(Xs, names[ys], Xt[:9], names[yt[:9]])
    np.testing.assert_array_equal(one.transform_, two.transform_)
    np.testing.assert_array_equal(names[one.predict(Xt)], two.predict(Xt))
    scores = one.decision_function(Xt)
    assert scores.shape == (90, 3)
    np.testing.assert_array_equal(scores.argmax(axis=1), one.predict(Xt))


@pytest.mark.parametrize("name", ["C_source", "C_target", "tolerance"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_numbers_that_must_be_positive(name: str, value: float) -> None:
    Xs, ys, Xt, yt = two_domains()
    with pytest.raises(FeaturesError, match=f"{name} must be a number; expected more than 0"):
        MaxMarginTransform(**{name: value}).fit(Xs, ys, Xt, yt)


def test_bad_input_is_refused() -> None:
    Xs, ys, Xt, yt = two_domains()
    with pytest.raises(ShapeError, match="iterations must be a whole number"):
        MaxMarginTransform(iterations=0).fit(Xs, ys, Xt, yt)
    with pytest.raises(FeaturesError, match="same features; expected D = 2 .* got 1"):
        MaxMarginTransform().fit(Xs, ys, Xt[:, :1], yt)
    with pytest.raises(FeaturesError, match="features of the source must be finite"):
        MaxMarginTransform().fit(Xs * np.nan, ys, Xt, yt)
    for value in ("1", None, np.ones(2)):
        with pytest.raises(FeaturesError, match="C_source must be a number"):
            MaxMarginTransform(value).fit(Xs, ys, Xt, yt)


@pytest.mark.parametrize(
    ("source", "target", "classes", "message"),
    [(9_990, 20, 10, "photos of both domains, got 10,010"), (200, 303, 101, "got 30,603")],
)
def test_what_would_not_fit_into_memory_is_refused_first(
    source: int, target: int, classes: int, message: str
) -> None:
    rng = np.random.default_rng(0)
    Xs, Xt = rng.standard_normal((source, 2)), rng.standard_normal((target, 2))
    tracemalloc.start()
    with pytest.raises(FeaturesError, match=message):
        MaxMarginTransform().fit(Xs, np.arange(source) % classes, Xt, np.arange(target) % classes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6


def test_the_same_bits_on_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    Xs, Xt = rng.standard_normal((300, 400)) / 20, rng.standard_normal((40, 400)) / 20
    ys, yt = np.arange(300) % 3, np.arange(40) % 3
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            model = MaxMarginTransform().fit(Xs, ys, Xt, yt)
            found.append((model.transform_.tobytes(), model.decision_function(Xt).tobytes()))
    assert found[0] == found[1]
