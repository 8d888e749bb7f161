"""The protocol: the same draws for all, no peeping at labels, and errors before work starts."""

from __future__ import annotations

import json
import statistics
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from sklearn.svm import LinearSVC
from threadpoolctl import ThreadpoolController, threadpool_limits

from decaf.errors import FeaturesError, ShapeError
from decaf.transfer.adaptation import (
    METHODS,
    AdaptationResult,
    draw_domains,
    standardised,
    table1,
)
from decaf.transfer.adaptation.domains import MeanLength


def domain(seed: int, photos: int, turn: float = 0.0) -> tuple[Any, Any]:
    """Four classes in ten dimensions; the target has part of what tells them apart elsewhere."""
    rng = np.random.default_rng(seed)
    labels = np.tile(["ant", "bee", "cat", "dog"], photos)
    rows = rng.standard_normal((len(labels), 10))
    which = np.tile(range(4), photos)
    rows[np.arange(len(labels)), which] += 3 * np.cos(turn)
    rows[np.arange(len(labels)), which + 4] += 3 * np.sin(turn)
    return standardised(rows), labels


SOURCE, TARGET = domain(0, 15), domain(1, 12, turn=1.2)
SMALL: dict[str, Any] = {"per_class": 10, "splits": 2}


@pytest.mark.parametrize(
    ("classifier", "methods"),
    [("svm", METHODS), ("logistic", METHODS[:5]), ("nearest", METHODS[:5])],
)
def test_all_methods_that_suit_are_compared(classifier: str, methods: tuple[str, ...]) -> None:
    result = table1(*SOURCE, *TARGET, classifier=classifier, **SMALL)
    assert tuple(result.accuracies) == methods
    for accuracies in result.accuracies.values():
        assert len(accuracies) == 2
        assert all(0.25 < one <= 1 for one in accuracies)
    assert result.mean("both") > result.mean("source only")


def test_the_scores_are_those_of_a_plain_script() -> None:
    (Xs, ys), (Xt, yt) = SOURCE, TARGET
    result = table1(*SOURCE, *TARGET, methods=("source only", "target only"), **SMALL)
    for i, draw in enumerate(draw_domains(ys, yt, 10, 3, 2)):
        for method, X, y in (
            ("source only", Xs[draw.source], ys[draw.source]),
            ("target only", Xt[draw.labelled], yt[draw.labelled]),
        ):
            length = np.mean([sum(x**2) ** 0.5 for x in X])
            model = LinearSVC(dual=False).fit(X / length, y)
            right = [model.predict([Xt[j] / length])[0] == yt[j] for j in draw.tested]
            assert result.accuracies[method][i] == pytest.approx(np.mean(right))


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("method", ["source only", "target only", "both"])
def test_nearest_neighbours_are_found_among_photos_of_unit_length(method: str, unit: bool) -> None:
    """For all methods alike, unless lengths are to be kept."""
    (Xs, ys), (Xt, yt) = SOURCE, TARGET
    asked = {} if unit else {"unit_length": False}
    result = table1(*SOURCE, *TARGET, methods=[method], classifier="nearest", **asked, **SMALL)
    assert result.settings["unit_length"] is unit
    for i, draw in enumerate(draw_domains(ys, yt, 10, 3, 2)):
        parts = {"source only": [0], "target only": [1], "both": [0, 1]}[method]
        pairs = [(Xs[draw.source], ys[draw.source]), (Xt[draw.labelled], yt[draw.labelled])]
        rows, labels = (np.concatenate([pairs[part][which] for part in parts]) for which in (0, 1))
        right = []
        for j in draw.tested:
            x, z = Xt[j], rows
            if unit:
                x, z = x / np.linalg.norm(x), z / np.linalg.norm(z, axis=1, keepdims=True)
            right.append(labels[np.linalg.norm(z - x, axis=1).argmin()] == yt[j])
        assert result.accuracies[method][i] == pytest.approx(np.mean(right))


def test_the_geodesic_flow_has_photos_of_unit_length_too() -> None:
    (Xs, ys), (Xt, yt) = SOURCE, TARGET
    options: dict[str, Any] = {"methods": ["GFK"], "dimensions": 3, **SMALL}
    result = table1(*SOURCE, *TARGET, classifier="nearest", **options)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (Xs, Xt)]
    same = table1(unit[0], ys, unit[1], yt, classifier="nearest", unit_length=False, **options)
    other = table1(*SOURCE, *TARGET, classifier="nearest", unit_length=False, **options)
    assert result.accuracies == same.accuracies != other.accuracies


def test_linear_classifiers_keep_lengths_unless_asked() -> None:
    (Xs, ys), (Xt, yt) = SOURCE, TARGET
    options: dict[str, Any] = {"methods": ["both"], **SMALL}
    plain = table1(*SOURCE, *TARGET, **options)
    assert plain.settings["unit_length"] is False
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (Xs, Xt)]
    asked = table1(*SOURCE, *TARGET, unit_length=True, **options)
    assert asked.accuracies == table1(unit[0], ys, unit[1], yt, **options).accuracies
    assert asked.accuracies != plain.accuracies


def test_daume_weighs_a_domains_own_photos_double() -> None:
    (Xs, ys), (Xt, yt) = SOURCE, TARGET
    result = table1(*SOURCE, *TARGET, methods=["Daumé"], classifier="nearest", **SMALL)
    for i, draw in enumerate(draw_domains(ys, yt, 10, 3, 2)):
        rows = np.concatenate([Xs[draw.source], Xt[draw.labelled]])
        labels = np.concatenate([ys[draw.source], yt[draw.labelled]])
        cosines = Xt[draw.tested] @ (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T
        cosines[:, 40:] *= 2  # within a domain
        right = labels[cosines.argmax(axis=1)] == yt[draw.tested]
        assert result.accuracies["Daumé"][i] == pytest.approx(np.mean(right))


def test_a_method_gives_the_same_alone_and_among_others() -> None:
    everything = table1(*SOURCE, *TARGET, **SMALL)
    for method in METHODS:
        alone = table1(*SOURCE, *TARGET, methods=[method], **SMALL)
        assert alone.accuracies[method] == everything.accuracies[method]


@pytest.mark.parametrize("classifier", ["svm", "logistic", "nearest"])
def test_noise_stays_noise(classifier: str) -> None:
    """Who saw the labels of tested photos would know more than chance, which is 1 in 4."""
    rng = np.random.default_rng(0)
    labels = np.tile(["ant", "bee", "cat", "dog"], 60)
    noise = rng.standard_normal((2, 240, 20))
    result = table1(
        noise[0], labels, noise[1], labels, classifier=classifier, dimensions=5, **SMALL
    )
    for method in result.accuracies:
        assert result.mean(method) < 0.35


def test_without_labels_of_the_target() -> None:
    result = table1(*SOURCE, *TARGET, target_per_class=0, dimensions=3, **SMALL)
    assert tuple(result.accuracies) == ("source only", "GFK")
    with pytest.raises(FeaturesError, match="0 labelled photos .* got 'both'"):
        table1(*SOURCE, *TARGET, target_per_class=0, methods=["both"], **SMALL)


def test_more_splits_begin_with_the_same() -> None:
    options = {"methods": ["both"], "per_class": 10}
    few, many = (table1(*SOURCE, *TARGET, splits=n, **options) for n in (2, 3))
    assert many.accuracies["both"][:2] == few.accuracies["both"]
    other = table1(*SOURCE, *TARGET, splits=3, seed=1, **options)
    assert other.accuracies != many.accuracies


def test_steps_are_told() -> None:
    told: list[tuple[int, int]] = []
    table1(*SOURCE, *TARGET, methods=["both"], on_step=lambda *step: told.append(step), **SMALL)
    assert told == [(1, 2), (2, 2)]


def test_the_result_says_its_numbers() -> None:
    result = AdaptationResult({"both": (0.5, 0.75), "Daumé": (1.0, 1.0)}, {"seed": 0})
    assert result.mean("both") == 0.625
    assert result.deviation("both") == statistics.stdev([0.5, 0.75])
    assert result.table() == "both    62.5 ± 17.7\nDaumé  100.0 ± 0.0"
    found = json.loads(json.dumps(result.to_dict()))
    assert found["accuracies"] == {"both": [0.5, 0.75], "Daumé": [1.0, 1.0]}
    assert found["methods"]["Daumé"] == {"mean": 1.0, "deviation": 0.0}
    assert found["settings"] == {"seed": 0}


def test_numpys_numbers_can_be_written_as_json() -> None:
    options = {"per_class": np.int64(10), "seed": np.int64(1), "C": np.float32(0.5)}
    result = table1(*SOURCE, *TARGET, methods=["both"], splits=1, **options)
    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert found["settings"]["C"] == 0.5
    assert found["settings"]["per_class"] == 10


def test_labels_may_be_objects() -> None:
    (Xs, ys), (Xt, yt) = SOURCE, TARGET
    found = table1(Xs, ys.astype(object), Xt, yt.astype(object), **SMALL)
    assert found.accuracies == table1(*SOURCE, *TARGET, **SMALL).accuracies


def test_a_method_that_fails_takes_no_other_with_it() -> None:
    """MMDT, where a few photos are a thousand times as long as others, misses its minimum."""
    rng = np.random.default_rng(0)
    labels = np.tile(list("abc"), 20)
    Xs, Xt = rng.standard_normal((2, 60, 10))
    Xs[::7] *= 1000
    options: dict[str, Any] = {"per_class": 10, "splits": 2}
    told: list[int] = []
    result = table1(
        Xs, labels, Xt, labels, methods=["both", "MMDT"], on_step=lambda done, _: told.append(done),
        **options,
    )  # fmt: skip
    assert told == [1, 2]
    assert list(result.accuracies) == ["both"]
    assert len(result.accuracies["both"]) == 2
    assert "must reach its minimum" in result.failures["MMDT"]
    assert "\nMMDT  failed: in draw " in result.table()
    assert "MMDT" in json.loads(json.dumps(result.to_dict()))["failures"]
    with pytest.raises(FeaturesError, match="MMDT in draw 1: the max-margin transform must reach"):
        table1(Xs, labels, Xt, labels, methods=["MMDT"], **options)


def test_a_draw_of_photos_all_the_same_is_refused_before_work() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile(["a", "b"], 10)
    same = np.ones((20, 3))
    same[0] = 2  # which the first draw here has, and another has not
    other = rng.standard_normal((20, 3))
    steps: list[Any] = []
    options: dict[str, Any] = {"splits": 20, "on_step": lambda *_: steps.append(1)}
    for rows, domain in (((same, other), "source"), ((other, same), "target")):
        with pytest.raises(FeaturesError, match=f"features of the {domain} in draw .* must differ"):
            table1(rows[0], labels, rows[1], labels, per_class=2, **options)
    assert not steps


def test_an_adaptation_too_large_for_memory_is_refused_before_work() -> None:
    labels = np.arange(101).repeat(5)
    rows = np.random.default_rng(0).standard_normal((2, 505, 3))
    with pytest.raises(FeaturesError, match="must fit into memory; .* got 30,603"):
        table1(rows[0], labels, rows[1], labels, per_class=2, splits=1, methods=["both", "MMDT"])


def test_dimensions_a_draw_does_not_have_are_refused_before_work() -> None:
    (Xs, ys), (Xt, yt) = SOURCE, TARGET
    steps: list[Any] = []
    for source, target in ((Xs[:, [0, 1, 2] * 3], Xt[:, :9]), (Xs[:, :9], Xt[:, [0, 1, 2] * 3])):
        with pytest.raises(FeaturesError, match="expected at most 3, .* got 5"):
            table1(
                source, ys, target, yt, dimensions=5, on_step=lambda *_: steps.append(1), **SMALL
            )
    assert not steps


@pytest.mark.parametrize("classifier", ["svm", "nearest"])
def test_the_same_on_any_number_of_threads_which_callers_keep(
    classifier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, within, inside = [], [], set()
    blas = ThreadpoolController().select(user_api="blas")
    module = import_module(table1.__module__)
    said = module._said

    def spied(*arguments: Any) -> Any:
        inside.update(each["num_threads"] for each in blas.info())
        return said(*arguments)

    monkeypatch.setattr(module, "_said", spied)
    for threads in (1, 2):
        with threadpool_limits(threads):
            result = table1(
                *SOURCE, *TARGET, classifier=classifier, **SMALL,
                on_step=lambda *_: within.append([each["num_threads"] for each in blas.info()]),
            )  # fmt: skip
            found.append(result.accuracies)
    assert found[0] == found[1]
    assert inside == {1}
    assert {n for each in within[:2] for n in each} == {1}
    assert {n for each in within[2:] for n in each} == {2}


def test_a_single_draw_has_no_deviation() -> None:
    result = table1(*SOURCE, *TARGET, methods=["both"], per_class=10, splits=1)
    assert "±" not in result.table()
    json.dumps(result.to_dict(), allow_nan=False)


def test_lengths_are_divided_by_their_mean() -> None:
    rows = np.array([[3.0, 4.0], [0.0, 1.0]])
    np.testing.assert_allclose(MeanLength().fit(rows).transform(rows), rows / 3)
    for scale in (1e200, 1e-200):
        np.testing.assert_allclose(MeanLength().fit(rows * scale).transform(rows * scale), rows / 3)
    np.testing.assert_array_equal(MeanLength().fit(rows * 0).transform(rows), rows)


def test_a_scale_common_to_all_features_changes_nothing() -> None:
    plain, scaled = (
        table1(SOURCE[0] * one, SOURCE[1], TARGET[0] * one, TARGET[1], **SMALL)
        for one in (1.0, 1024.0)
    )
    assert plain.accuracies == scaled.accuracies


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classifier": "forest"}, "classifier must be known; expected svm, .* got 'forest'"),
        ({"methods": ["magic"]}, "expected some of source only, .* got 'magic'"),
        ({"methods": ["MMDT"], "classifier": "nearest"}, "must suit 'nearest' .* got 'MMDT'"),
        ({"methods": []}, r"some, each once; got \[\]"),
        ({"methods": ["both", "both"]}, "some, each once"),
        ({"C": 0.0}, "C must be a number"),
        ({"C": float("nan")}, "C must be a number"),
        ({"C": "1"}, "C must be a number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": None}, "seed must be a whole number"),
        ({"methods": "GFK"}, "expected a list, got 'GFK'"),
        ({"methods": 5}, "expected a list, got 5"),
        ({"classifier": 5}, "classifier must be known; .* got 5"),
        ({"dimensions": 11}, "dimensions must be fewer .* at most 10, got 11"),
        ({"per_class": 16}, "class of the source must have 16"),
        ({"target_per_class": 12}, "class of the target must have 13"),
    ],
)
def test_what_cannot_be_is_refused_before_work(options: dict[str, Any], message: str) -> None:
    steps: list[Any] = []
    with pytest.raises(FeaturesError, match=message):
        table1(*SOURCE, *TARGET, **{"per_class": 10, **options}, on_step=lambda *_: steps.append(1))
    assert not steps


def test_bad_features_and_labels_are_refused() -> None:
    (Xs, ys), (Xt, yt) = SOURCE, TARGET
    for bad, message in (
        ((Xs, ys, Xt * np.nan, yt), "features of the target must be finite"),
        ((Xs * 0, ys, Xt, yt), "features of the source must differ"),
        ((Xs, ys[1:], Xt, yt), "labels of the source must be one a photo"),
        ((Xs, ys, Xt, yt[:, None]), "labels of the target must be one a photo"),
        ((Xs, None, Xt, yt), "labels of the source must be one a photo"),
        ((Xs, ys, Xt, 5), "labels of the target must be one a photo"),
        ((Xs, np.arange(60) % 4, Xt, yt), "labels of both domains must be .* of a kind"),
        ((Xs, ys, Xt[:, 1:], yt), "same features; expected D = 10"),
        ((Xs, ["ant"] * 60, Xt, yt), "must name classes to tell apart"),
    ):
        with pytest.raises(FeaturesError, match=message):
            table1(*bad)
    with pytest.raises(ShapeError, match="splits must be a whole number"):
        table1(*SOURCE, *TARGET, splits=0)
    with pytest.raises(ShapeError, match="dimensions must be a whole number"):
        table1(*SOURCE, *TARGET, dimensions=0, per_class=10)
