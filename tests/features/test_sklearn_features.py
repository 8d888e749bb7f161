"""``DecafFeatures``: photos in scikit-learn's pipelines, searches, tables and processes."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted

from decaf import DecafNet
from decaf.errors import (
    ArchitectureError,
    DecafError,
    FeaturesError,
    ImageError,
    ShapeError,
    WeightsError,
)
from decaf.sklearn import DecafFeatures
from tests import tiny

N = 6
PIXELS = np.stack([tiny.photo(i, 40, 50) for i in range(N)])  # N,H,W,C
NET = DecafNet(threads=1)
RELU6 = NET.features(PIXELS, "relu6")


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """The photos as files, without loss."""
    names = [str(tmp_path / f"{i}.png") for i in range(N)]
    for name, pixels in zip(names, PIXELS, strict=True):
        Image.fromarray(pixels).save(name)
    return names


def other_process(code: str, folder: Path) -> bytes:
    root = str(Path(__file__).resolve().parents[2])
    program = f"import sys; sys.path.insert(0, {root!r})\n{code}"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder, check=True, capture_output=True, timeout=120,
    ).stdout  # fmt: skip


# --- what is computed ---


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layer": "fc6"},
        {"layer": "decaf7"},
        {"layer": "pool5"},
        {"oversample": True},
        {"batch_size": 4},
        {"threads": 1},
        {"threads": 2, "workers": 3},
    ],
    ids=str,
)
def test_features_are_those_of_the_network(options: dict[str, Any]) -> None:
    made = DecafFeatures(**options).fit_transform(PIXELS)
    assert made.dtype == np.float32
    want = NET.features(
        PIXELS, options.get("layer", "relu6"), oversample=options.get("oversample", False)
    )
    np.testing.assert_array_equal(made, want)


@pytest.mark.parametrize(("pooling", "function"), [("average", np.mean), ("max", np.max)])
def test_pooling(pooling: str, function: Any) -> None:
    made = DecafFeatures(layer="conv3", pooling=pooling).fit_transform(PIXELS)
    maps = NET.forward(NET.preprocess(PIXELS), "conv3").astype(np.float64)
    np.testing.assert_allclose(made, function(maps, axis=(2, 3)), rtol=1e-6, atol=1e-6)
    flat = DecafFeatures(layer="relu6", pooling=pooling).fit_transform(PIXELS)
    np.testing.assert_array_equal(flat, RELU6)  # nothing to pool


# --- parameters ---


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"weights": "missing.h5"}, WeightsError, "missing.h5"),
        ({"weights": 3}, WeightsError, "int"),
        ({"layer": "relu9"}, ArchitectureError, "relu9"),
        ({"layer": None}, ArchitectureError, "None"),
        ({"pooling": "median"}, FeaturesError, "median"),
        ({"batch_size": 0}, ShapeError, "batch_size"),
        ({"batch_size": None}, ShapeError, "batch_size"),
        ({"workers": 0}, ShapeError, "workers"),
        ({"threads": 0}, DecafError, "threads"),
        ({"threads": True}, ShapeError, "threads"),
        ({"oversample": "yes"}, ShapeError, "oversample must be True or False; got 'yes'"),
        ({"oversample": None}, ShapeError, "oversample"),
    ],
    ids=str,
)
def test_wrong_parameters_fail_when_they_are_used(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    features = DecafFeatures(**options)  # not here
    assert repr(features).startswith("DecafFeatures(")
    for method in (features.fit, features.transform):
        with pytest.raises(error, match=message):
            method(PIXELS)


def test_clone_keeps_the_parameters_and_nothing_else() -> None:
    options = {"weights": None, "layer": "fc7", "oversample": True, "pooling": "max",
               "batch_size": 7, "threads": 1, "workers": 2}  # fmt: skip
    features = DecafFeatures(**options).fit(PIXELS)
    copy = clone(features)
    assert copy.get_params() == options
    assert vars(copy).keys() == options.keys()
    weights = Path("x.h5")
    assert DecafFeatures(weights).weights is weights


def test_the_parameters_count_as_they_are_when_photos_come(tmp_path: Path) -> None:
    features = DecafFeatures().fit(PIXELS)
    np.testing.assert_array_equal(features.transform(PIXELS), RELU6)
    features.set_params(layer="fc7")
    np.testing.assert_array_equal(features.transform(PIXELS), NET.features(PIXELS, "fc7"))
    assert features.get_feature_names_out()[-1] == "fc7_255"

    weights = tiny.save(tmp_path / "tiny.h5")
    features.set_params(weights=weights)
    want = DecafNet(weights).features(PIXELS, "fc7")
    np.testing.assert_array_equal(features.transform(PIXELS), want)
    assert features.net_.labels == tiny.LABELS
    features.set_params(layer="conv3")  # which that network has not
    with pytest.raises(ArchitectureError, match="conv3"):
        features.transform(PIXELS)


def test_the_network_is_read_once() -> None:
    features = DecafFeatures().fit(PIXELS)
    net = features.net_
    features.transform(PIXELS)
    assert features.set_params(layer="fc6", pooling="max").fit(PIXELS).net_ is net
    assert features.set_params(threads=1).net_ is not net


def test_no_fit_is_needed() -> None:
    features = DecafFeatures()
    np.testing.assert_array_equal(features.transform(PIXELS), RELU6)
    check_is_fitted(DecafFeatures())


@pytest.mark.parametrize("weights", [None, "missing.h5"])
def test_looking_at_an_estimator_reads_no_network(weights: str | None) -> None:
    features = DecafFeatures(weights)
    assert "net_" not in dir(features)
    assert "DecafFeatures" in features._repr_html_()
    assert "_held" not in vars(features)


def test_the_html_of_a_pipeline() -> None:
    model = make_pipeline(DecafFeatures(), KNeighborsClassifier(1)).fit(PIXELS, list("ababab"))
    assert "DecafFeatures" in model._repr_html_()
    assert "net_" in dir(model[0])


def test_tags() -> None:
    utils = pytest.importorskip("sklearn.utils")
    if not hasattr(utils, "get_tags"):
        pytest.skip("scikit-learn before 1.6 has other tags")
    tags = utils.get_tags(DecafFeatures())
    assert not tags.requires_fit and not tags.target_tags.required
    assert tags.input_tags.string and tags.input_tags.one_d_array
    assert not tags.input_tags.two_d_array
    assert tags.transformer_tags.preserves_dtype == []


# --- names and tables ---


def test_names_of_the_features() -> None:
    names = DecafFeatures(layer="decaf5").fit(PIXELS).get_feature_names_out()
    assert names.shape == (2048,) and names.dtype == object
    assert list(names[[0, 2047]]) == ["decaf5_0", "decaf5_2047"]
    pooled = DecafFeatures(layer="pool5", pooling="average").fit(PIXELS)
    assert pooled.get_feature_names_out(["photo"]).shape == (128,)
    with pytest.raises(NotFittedError, match="call fit"):
        DecafFeatures().get_feature_names_out()
    with pytest.raises(ShapeError, match="input_features"):
        pooled.get_feature_names_out(["photo", "price"])


def test_tables_come_out(paths: list[str]) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"photo": paths}, index=list("uvwxyz"))
    made = DecafFeatures().set_output(transform="pandas").fit_transform(table)
    assert list(made.index) == list("uvwxyz") and made.columns[1] == "relu6_1"
    np.testing.assert_array_equal(made.to_numpy(), RELU6)
    with pytest.raises(ShapeError, match=r"expected \['photo'\], got \['file'\]"):
        DecafFeatures().fit(table).get_feature_names_out(["file"])


def test_polars_comes_out() -> None:
    polars = pytest.importorskip("polars")
    made = DecafFeatures().set_output(transform="polars").fit_transform(PIXELS)
    assert isinstance(made, polars.DataFrame) and made.columns[-1] == "relu6_511"
    np.testing.assert_array_equal(made.to_numpy(), RELU6)


# --- pickles, threads, processes ---


def test_a_pickle_holds_no_weights(tmp_path: Path) -> None:
    features = DecafFeatures(layer="fc6").fit(PIXELS)
    features.transform(PIXELS)
    data = pickle.dumps(features)
    assert len(data) < 2000
    np.testing.assert_array_equal(pickle.loads(data).transform(PIXELS), NET.features(PIXELS, "fc6"))


@pytest.mark.parametrize("used", [False, True])
def test_a_pickle_works_in_another_process_and_folder(
    used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.save(tmp_path / "tiny.h5")
    monkeypatch.chdir(tmp_path)
    features = DecafFeatures("tiny.h5", layer="fc7")
    if used:
        features.fit(PIXELS)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(features))
    np.save(tmp_path / "photos.npy", PIXELS)
    (tmp_path / "elsewhere").mkdir()
    code = (
        "import pickle, numpy, pathlib\n"
        "features = pickle.loads(pathlib.Path('../model.pickle').read_bytes())\n"
        "assert pathlib.Path(features.weights) == pathlib.Path('../tiny.h5').resolve()\n"
        "sys.stdout.buffer.write(features.transform(numpy.load('../photos.npy')).tobytes())"
    )
    made = np.frombuffer(other_process(code, tmp_path / "elsewhere"), np.float32)
    np.testing.assert_array_equal(made.reshape(N, -1), features.transform(PIXELS))


def test_what_is_unpickled_elsewhere_is_cloned_and_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.save(tmp_path / "tiny.h5")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    for weights in ("tiny.h5", Path("tiny.h5")):
        features = DecafFeatures(weights, "fc7")
        assert clone(features).weights == features.get_params()["weights"] == weights
        data = pickle.dumps(features), pickle.dumps(features.fit(PIXELS))
        want = features.transform(PIXELS)
        assert features.weights is weights
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert pickle.loads(pickle.dumps(features)).weights == str(tmp_path / "tiny.h5")
        for again in map(pickle.loads, data):
            for copy in (again, clone(again), again.set_params(threads=1)):
                np.testing.assert_array_equal(copy.transform(PIXELS), want)
            model = Pipeline([("features", again), ("nearest", KNeighborsClassifier(1))])
            grid = {"features__layer": ["fc6", "fc7"]}
            y = list("ab") * N
            GridSearchCV(model, grid, cv=2, error_score="raise").fit([*PIXELS] * 2, y)
        monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("weights", [None, "alexnet", "missing.h5", 3])
def test_names_and_what_is_none_stay_in_a_pickle(weights: Any, tmp_path: Path) -> None:
    kept = pickle.loads(pickle.dumps(DecafFeatures(weights))).weights
    assert kept == (str(Path.cwd() / "missing.h5") if weights == "missing.h5" else weights)


def test_the_hash_does_not_tell_whether_the_network_was_read(tmp_path: Path) -> None:
    """By it joblib.Memory finds what it has."""
    weights = tiny.save(tmp_path / "tiny.h5")
    for features in (DecafFeatures(), DecafFeatures(weights, "fc7")):
        before = joblib.hash(features)
        features.transform(PIXELS)
        assert joblib.hash(features) == before
        fitted = joblib.hash(features.fit(PIXELS))
        features.transform(PIXELS)
        again = pickle.loads(pickle.dumps(features))
        assert joblib.hash(features) == joblib.hash(again) == fitted != before
        again.transform(PIXELS)
        assert joblib.hash(again) == joblib.hash(pickle.loads(pickle.dumps(again))) == fitted


def test_other_weights_than_those_of_fit_are_refused(tmp_path: Path) -> None:
    weights = tiny.save(tmp_path / "tiny.h5")
    other = tiny.save(tmp_path / "other.h5", labels=tiny.LABELS[::-1])
    unfitted = pickle.dumps(DecafFeatures(weights, "fc7"))
    fitted = DecafFeatures(weights, "fc7").fit(PIXELS)
    data = pickle.dumps(fitted)
    for again in (pickle.loads(data), pickle.loads(pickle.dumps(pickle.loads(data)))):
        assert again.transform(PIXELS).shape == again.set_params(threads=1).transform(PIXELS).shape
    was, now = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (weights, other))
    weights.write_bytes(other.read_bytes())
    again = pickle.loads(data)
    for _ in range(2):
        with pytest.raises(WeightsError, match=rf"tiny\.h5: .*expected SHA-256 {was}, got {now}"):
            again.transform(PIXELS)
    assert again.fit(PIXELS).transform(PIXELS).shape  # to fit is to begin anew
    assert pickle.loads(data).set_params(weights=other).transform(PIXELS).shape
    assert pickle.loads(unfitted).transform(PIXELS).shape
    assert clone(pickle.loads(data)).transform(PIXELS).shape


def test_names_of_features_after_unpickling(tmp_path: Path) -> None:
    features = pickle.loads(pickle.dumps(DecafFeatures(layer="fc7").fit(PIXELS)))
    assert "DecafFeatures" in features._repr_html_()
    assert features.get_feature_names_out()[-1] == "fc7_255"
    assert "_held" not in vars(features)  # to show names nothing is read
    for changed in ({"layer": "fc6"}, {"pooling": "max"}, {"weights": tmp_path / "a.h5"}):
        with pytest.raises(NotFittedError):
            pickle.loads(pickle.dumps(features)).set_params(**changed).get_feature_names_out()


def test_several_threads_at_once() -> None:
    features = DecafFeatures(threads=1)  # not fitted: they also read the network at once
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(features.transform, [PIXELS, PIXELS[::-1]] * 8))
    for index, values in enumerate(made):
        np.testing.assert_array_equal(values, RELU6[:: -1 if index % 2 else 1])


def test_several_processes(paths: list[str]) -> None:
    fitted = DecafFeatures(threads=1).fit(paths)
    made = joblib.Parallel(n_jobs=2)(
        joblib.delayed(fitted.transform)([path]) for path in paths
    )  # the network goes there by its path
    np.testing.assert_array_equal(np.concatenate(made), RELU6)

    model = make_pipeline(DecafFeatures(threads=1), KNeighborsClassifier(1))
    X, y = paths * 2, list("aabbcc") * 2
    scores = [cross_val_score(model, X, y, cv=2, n_jobs=jobs) for jobs in (1, 2)]
    np.testing.assert_array_equal(*scores)
    assert scores[0].mean() == 1  # each photo has its twin in the other half


def test_a_search_over_layer_and_pooling() -> None:
    # Photos of one class are dark, and of the other bright.
    X = np.concatenate((PIXELS // 4, PIXELS // 4 + 190))
    y = np.repeat(["night", "day"], N)
    model = Pipeline([("features", DecafFeatures()), ("nearest", KNeighborsClassifier(1))])
    grid = {"features__layer": ["pool5", "relu6"], "features__pooling": [None, "average"]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_score_ == 1
    best = {name.partition("__")[2]: value for name, value in search.best_params_.items()}
    want = DecafFeatures(**best).transform(X)
    np.testing.assert_array_equal(search.best_estimator_[:-1].transform(X), want)


def test_a_pipeline_with_memory_computes_once(tmp_path: Path, paths: list[str]) -> None:
    y = list("aabbcc")

    def model(**options: Any) -> Pipeline:
        steps = (DecafFeatures(**options), KNeighborsClassifier(1))
        return make_pipeline(*steps, memory=joblib.Memory(tmp_path / "cache", verbose=0))

    model().fit(paths, y)
    Path(paths[0]).unlink()
    assert model().fit(paths, y)[0].get_feature_names_out()[0] == "relu6_0"  # from the cache
    with pytest.raises(ImageError, match="photo 1 of 6"):
        model(layer="fc6").fit(paths, y)  # another layer is not
    cached = sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*.pkl"))
    assert cached < RELU6.nbytes + 20_000  # the features, and no weights
