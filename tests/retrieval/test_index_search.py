"""Searching in an index: the answers of a plain loop, and of a scikit-learn neighbour search."""

from __future__ import annotations

from pathlib import Path

import indexes
import numpy as np
import pytest
import tiny
from indexes import D, make, names, rows
from sklearn.neighbors import NearestNeighbors

from decaf import ops
from decaf.errors import FeaturesError, ShapeError
from decaf.net import DecafNet
from decaf.retrieval.index import Hit, Index, describe


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> DecafNet:
    path = tiny.save(tmp_path_factory.mktemp("weights") / "tiny.h5")
    return DecafNet(path, backend=ops.available()[0])


PATH = Path("x.index")


def changed() -> tuple[Index, list[str], np.ndarray]:
    """An index of several records, with removals; what is left of its photos and features."""
    index = make(PATH, 0)
    every, features = [], []
    for number, folder in enumerate("abc"):
        every += names(20, folder)
        features.append(rows(20, seed=number))
        index.add(names(20, folder), features[-1])
    gone = ["a/000.jpg", "b/007.jpg", *names(20, "c")[3:]]
    index.remove(gone)
    left = [name not in gone for name in every]
    return index, [n for n, keep in zip(every, left, strict=True) if keep], (
        np.concatenate(features)[left]
    )  # fmt: skip


def test_the_same_as_a_neighbour_search_of_scikit_learn() -> None:
    index, left, features = changed()
    queries = np.concatenate([rows(6, seed=50), features[:2]])
    whitening = indexes.whitening()
    search = NearestNeighbors(n_neighbors=5, algorithm="brute")
    search.fit(whitening.transform(features).astype(np.float64))
    distances, numbers = search.kneighbors(whitening.transform(queries).astype(np.float64))
    found = index.search(queries, k=5)
    assert [[hit.path for hit in hits] for hits in found] == [
        [left[n] for n in row] for row in numbers.tolist()
    ]
    got = np.array([[hit.distance for hit in hits] for hits in found])
    np.testing.assert_allclose(got, distances, atol=1e-6)
    assert found[6][0] == Hit(left[0], 0.0)  # itself
    index.compact()
    assert index.search(queries, k=5) == found
    assert Index.open(PATH).search(queries, k=5) == found


def test_k_is_at_most_what_is_left() -> None:
    index, left, features = changed()
    (hits,) = index.search(features[:1], k=1000)
    assert sorted(hit.path for hit in hits) == sorted(left)
    assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)
    index.remove(left)
    assert index.search(features[:2], k=3) == [[], []]
    assert index.search(features[:0], k=3) == []
    assert make(Path("y.index"), 0).search(rows(1)) == [[]]


def test_of_equal_distances_the_photo_that_came_first() -> None:
    index = make(PATH, 0)
    index.add(["b", "a", "c"], np.repeat(rows(1), 3, axis=0))
    assert [hit.path for hit in index.search(rows(1))[0]] == ["b", "a", "c"]


def test_parts() -> None:
    """For each of the query the nearest of the photo's, and of these distances the mean."""
    index = make(PATH, 12, levels=2)
    index.remove(["a/004.jpg"])
    features = rows(12, parts=5)
    whitening = indexes.whitening()
    vectors = whitening.transform(features).astype(np.float64)
    for queries in (rows(3, seed=5, parts=4), features[:2, :1], rows(2, seed=6)):
        asked = whitening.transform(queries if queries.ndim == 3 else queries[:, None])
        for query, hits in zip(asked.astype(np.float64), index.search(queries, k=4), strict=True):
            want = []
            for number in range(12):
                nearest = [min(np.linalg.norm(q - v) for v in vectors[number]) for q in query]
                want.append((sum(nearest) / len(nearest), f"a/{number:03}.jpg"))
            want = sorted(pair for pair in want if pair[1] != "a/004.jpg")[:4]
            assert [hit.path for hit in hits] == [path for _, path in want]
            got = [hit.distance for hit in hits]
            np.testing.assert_allclose(got, [distance for distance, _ in want], atol=1e-6)


def test_what_cannot_be_searched_for() -> None:
    index = make(PATH)
    nan = rows(2)
    nan[1, 2] = np.nan
    for features in (rows(2)[:, :5], rows(2)[0], nan, np.zeros((2, 0, D)), np.zeros((1, 1, 1, D))):
        with pytest.raises(FeaturesError):
            index.search(features)
    with pytest.raises(FeaturesError, match="backend must be exact or faiss; got 'annoy'"):
        index.search(rows(1), backend="annoy")
    with pytest.raises(FeaturesError, match="backend must be exact for 5 parts|must be installed"):
        make(Path("y.index"), levels=2).search(rows(1), backend="faiss")
    for k in (0, -1, 1.5, True):
        with pytest.raises(ShapeError, match="k must be"):
            index.search(rows(1), k=k)  # type: ignore[arg-type]


def test_faiss() -> None:
    pytest.importorskip("faiss")
    index, left, features = changed()
    exact = index.search(features, k=3)
    found = index.search(features, k=3, backend="faiss")
    same = [a.path == b.path for x, y in zip(exact, found, strict=True)
            for a, b in zip(x, y, strict=True)]  # fmt: skip
    assert np.mean(same) > 0.9
    assert {hit.path for hits in found for hit in hits} <= set(left)
    index.remove([exact[0][1].path])  # what was built before the change must not answer
    again = index.search(features[:1], k=5, backend="faiss")[0]
    assert exact[0][1].path not in {hit.path for hit in again}


# --- of which network ---


def test_another_network_is_refused(net: DecafNet, tmp_path: Path) -> None:
    index = Index.create(PATH, describe(net, "decaf6"), indexes.whitening())
    assert index.info["layer"] == "relu6"
    index.check_network(net)
    index.check_network(net, "relu6", oversample=False)
    index.check_network(net, "decaf6")
    with pytest.raises(FeaturesError, match=r"x\.index: .*layer: relu6 then, fc7 now"):
        index.check_network(net, "fc7")
    with pytest.raises(FeaturesError, match="oversample: false then, true now"):
        index.check_network(net, oversample=True)
    with pytest.raises(FeaturesError, match="pooling: null then, max now"):
        index.check_network(net, pooling="max")
    other = DecafNet()
    with pytest.raises(FeaturesError) as caught:
        index.check_network(other)
    for text in ("expected architecture 'tiny <&>', got 'decaf_mini'", "give the weights"):
        assert text in str(caught.value)


def test_another_recipe_is_refused(net: DecafNet, tmp_path: Path) -> None:
    info = describe(net, "relu6")
    info["preprocessing"] = {**info["preprocessing"], "channels": "RGB"}
    index = Index.create(PATH, info, indexes.whitening())
    with pytest.raises(FeaturesError, match=r'preprocessing: .*"RGB".* then, .*"BGR".* now'):
        index.check_network(net)


def test_another_version_is_not_another_network(net: DecafNet) -> None:
    """Nor is another processor: distances differ in their last digits."""
    info = {**describe(net, "relu6"), "decaf": "99", "pillow": "1", "instructions": "avx512"}
    Index.create(PATH, info, indexes.whitening()).check_network(net)
