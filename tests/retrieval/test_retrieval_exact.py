"""Exact search against sorted float64 distances, in whatever blocks the vectors come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decaf.errors import FeaturesError, ShapeError
from decaf.retrieval import exact
from decaf.retrieval.blocks import Block, as_block, squared_lengths
from decaf.retrieval.exact import top_k


def plain(vectors, queries, k, alive=None):
    """All distances, sorted; of equal ones the smaller number first."""
    distances, numbers = [], []
    for query in queries.astype(np.float64):
        found = sorted(
            (float(np.sqrt(sum((x - y) ** 2 for x, y in zip(row, query, strict=True)))), number)
            for number, row in enumerate(vectors.astype(np.float64))
            if alive is None or alive[number]
        )[:k]
        distances.append([each[0] for each in found])
        numbers.append([each[1] for each in found])
    return np.array(distances), np.array(numbers)


def in_blocks(vectors, sizes, alive=None):
    """The same vectors, cut into blocks."""
    first = 0
    for size in [*sizes, len(vectors)]:
        some = slice(first, first + size)
        if len(vectors[some]):
            rows = np.ascontiguousarray(vectors[some, None])
            left = None if alive is None else alive[some]
            yield Block(rows, squared_lengths(rows), first, left)
        first += size


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 90),
    width=st.integers(1, 9),
    count=st.integers(1, 5),
    k=st.integers(1, 100),
    sizes=st.lists(st.integers(1, 40), max_size=6),
    scores=st.sampled_from([1, 32, 100, 2**18]),
    removed=st.booleans(),
    grid=st.booleans(),
)
def test_the_nearest_are_those_of_float64(
    seed, n, width, count, k, sizes, scores, removed, grid
) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, width)).astype(np.float32) * rng.choice([1e-3, 1.0, 1e3])
    queries = rng.standard_normal((count, width)).astype(np.float32)
    if grid:  # many equal distances
        vectors, queries = np.round(vectors), np.round(queries)
    alive = rng.random(n) < 0.7 if removed else None
    if alive is not None and not alive.any():
        alive[0] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "SCORES", scores * max(32, count))
        patch.setattr(exact, "PAIRS", 7)
        patch.setattr(exact, "GROUP", 2)
        distances, numbers = top_k(in_blocks(vectors, sizes, alive), queries, k)
    wanted, whose = plain(vectors, queries, k, alive)
    assert numbers.tolist() == whose.tolist()
    assert distances.dtype == np.float32
    np.testing.assert_allclose(distances, wanted, rtol=1e-6)


def test_the_same_bits_in_any_blocks_and_any_company() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((5000, 61)).astype(np.float32)
    queries = rng.standard_normal((150, 61)).astype(np.float32)
    whole = top_k([as_block(vectors)], queries, 9)
    for sizes in ([1, 2, 3], [1000] * 4, [4999]):
        for found, wanted in zip(top_k(in_blocks(vectors, sizes), queries, 9), whole, strict=True):
            assert found.tobytes() == wanted.tobytes()
    alone = [top_k([as_block(vectors)], query[None], 9) for query in queries[:20]]
    assert np.concatenate([each[0] for each in alone]).tobytes() == whole[0][:20].tobytes()
    assert np.concatenate([each[1] for each in alone]).tobytes() == whole[1][:20].tobytes()


def test_a_photo_finds_itself_at_no_distance_among_photos_nearly_the_same() -> None:
    """In float32 alone |x|^2 - 2 x'q + |q|^2 of such vectors is nothing but rounding."""
    rng = np.random.default_rng(1)
    base = rng.standard_normal(256).astype(np.float32)
    vectors = base + rng.standard_normal((3000, 256)).astype(np.float32) * np.float32(1e-5)
    distances, numbers = top_k([as_block(vectors)], vectors[[7, 2999]], 3)
    assert numbers[:, 0].tolist() == [7, 2999]
    assert distances[:, 0].tolist() == [0, 0]
    _, whose = plain(vectors, vectors[[7, 2999]], 3)
    assert numbers.tolist() == whose.tolist()


def test_equal_photos_come_in_order_of_their_numbers() -> None:
    vectors = np.ones((20_000, 3), np.float32)
    distances, numbers = top_k([as_block(vectors)], vectors[:2], 4)
    assert numbers.tolist() == [[0, 1, 2, 3]] * 2
    assert not distances.any()


def test_photos_that_come_nearer_and_nearer_are_all_looked_at() -> None:
    vectors = np.linspace(2, 1, 30_000, dtype=np.float32)[:, None]
    _, numbers = top_k([as_block(vectors)], np.zeros((1, 1)), 3)
    assert numbers.tolist() == [[29_999, 29_998, 29_997]]


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e19, 1e30])
def test_numbers_at_the_ends_of_float32(scale) -> None:
    rng = np.random.default_rng(2)
    vectors = (rng.standard_normal((200, 8)) * scale).astype(np.float32)
    distances, numbers = top_k([as_block(vectors)], vectors[:3], 4)
    wanted, whose = plain(vectors, vectors[:3], 4)
    assert numbers.tolist() == whose.tolist()
    np.testing.assert_allclose(distances, wanted, rtol=1e-6)


def test_a_damaged_vector_is_far_from_everything() -> None:
    vectors = np.eye(4, dtype=np.float32)
    block = as_block(vectors)
    block.vectors[1] = np.nan
    distances, numbers = top_k([block], vectors[:1], 4)
    assert numbers.tolist() == [[0, 2, 3, 1]]
    assert distances[0, 3] == np.inf


def test_an_empty_index_and_no_query() -> None:
    assert [each.shape for each in top_k([], np.zeros((2, 3)), 5)] == [(2, 0), (2, 0)]
    none = top_k([as_block(np.eye(3))], np.zeros((0, 3)), 5)
    assert [each.shape for each in none] == [(0, 0), (0, 0)]
    block = as_block(np.eye(3))
    gone = Block(block.vectors, block.squares, 0, np.zeros(3, bool))
    assert top_k([gone], np.eye(3), 2)[1].shape == (3, 0)


@pytest.mark.parametrize(
    ("queries", "k", "error", "says"),
    [
        (np.zeros((1, 4)), 1, FeaturesError, "expected d = 3, got 4"),
        (np.zeros(3), 1, FeaturesError, "queries must be Q,d"),
        (np.full((1, 3), np.nan), 1, FeaturesError, "finite"),
        ([["a", "b", "c"]], 1, FeaturesError, "numbers"),
        (np.zeros((1, 3)), 0, ShapeError, "k must be"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(queries, k, error, says) -> None:
    with pytest.raises(error, match=says):
        top_k([as_block(np.eye(3))], queries, k)


def test_several_vectors_a_photo_are_for_spatial_search() -> None:
    with pytest.raises(FeaturesError, match="search spatially"):
        top_k([as_block(np.zeros((2, 5, 3)))], np.zeros((1, 3)))


def test_blocks_are_checked() -> None:
    with pytest.raises(FeaturesError, match="n,d or n,P,d"):
        as_block(np.zeros(3))
    with pytest.raises(FeaturesError, match="finite"):
        as_block([[np.inf]])
