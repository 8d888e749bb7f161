"""Approximate search beside exact search."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from decaf.errors import FeaturesError
from decaf.retrieval.approximate import Approximate, load_faiss, recall
from decaf.retrieval.blocks import Block, as_block, squared_lengths
from decaf.retrieval.exact import top_k


@pytest.fixture(autouse=True)
def faiss(request: pytest.FixtureRequest) -> None:
    if "without" not in request.node.name:
        pytest.importorskip("faiss")


def some(n: int, width: int = 16):
    return np.random.default_rng(0).standard_normal((n, width)).astype(np.float32)


def test_finds_nearly_what_exact_search_finds() -> None:
    vectors, queries = some(3000), some(3040)[3000:]
    blocks = [as_block(vectors[:1000]), as_block(vectors[1000:], 1000)]
    distances, numbers = top_k(blocks, queries, 10)
    ours, found = Approximate(blocks).top_k(queries, 10)
    assert ours.dtype == np.float32 and found.dtype == np.int64
    assert recall(numbers, found) > 0.95
    same = numbers == found
    np.testing.assert_allclose(ours[same], distances[same], rtol=1e-4)
    assert (np.diff(ours, axis=1) >= 0).all()
    again = Approximate(blocks).top_k(queries, 10)
    assert again[1].tobytes() == found.tobytes()


def test_numbers_are_those_of_the_index_and_the_removed_are_gone() -> None:
    vectors = some(60)
    alive = np.arange(60) % 2 == 0
    rows = vectors[:, None].copy()
    block = Block(rows, squared_lengths(rows), 100, alive)
    distances, numbers = Approximate([block]).top_k(vectors[[4, 5]], 100)
    assert numbers.shape == (2, 30)
    assert set(numbers[0].tolist()) == set((100 + np.flatnonzero(alive)).tolist())
    assert numbers[0, 0] == 104 and distances[0, 0] == 0
    assert 105 not in numbers[1].tolist()


def test_an_empty_index() -> None:
    assert Approximate([]).top_k(np.zeros((2, 3)), 4)[0].shape == (2, 0)


def test_bad_input() -> None:
    with pytest.raises(FeaturesError, match="one a photo"):
        Approximate([as_block(np.zeros((2, 5, 3)))])
    with pytest.raises(FeaturesError, match="expected d = 16, got 3"):
        Approximate([as_block(some(5))]).top_k(np.zeros((1, 3)))
    block = as_block(some(5))
    block.vectors[0] = np.nan
    with pytest.raises(FeaturesError, match="finite"):
        Approximate([block])


def test_recall_by_hand() -> None:
    assert recall([[1, 2], [3, 4]], [[2, 9], [4, 3]]) == 0.75
    with pytest.raises(FeaturesError, match="same queries"):
        recall([[1]], [[1], [2]])


def test_without_faiss_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(FeaturesError, match="pip install faiss-cpu;"):
        load_faiss()
