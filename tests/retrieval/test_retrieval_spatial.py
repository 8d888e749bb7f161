"""Parts of photos, and the search by parts, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.distance import cdist

from decaf.errors import FeaturesError, ShapeError
from decaf.retrieval import spatial
from decaf.retrieval.blocks import Block, as_block, squared_lengths
from decaf.retrieval.exact import top_k
from decaf.retrieval.spatial import part_boxes, part_count, part_makers, spatial_top_k


def test_four_levels_have_thirty_parts_and_three_fourteen() -> None:
    assert [part_count(levels) for levels in (1, 2, 3, 4)] == [1, 5, 14, 30]
    for levels in (1, 2, 3, 4):
        assert len(part_boxes(levels, 100, 80)) == len(part_makers(levels)) == part_count(levels)


def test_parts_of_a_level_cover_the_photo_and_overlap() -> None:
    for width, height in ((90, 60), (37, 101), (1, 5), (2, 2)):
        boxes = part_boxes(4, width, height)
        assert boxes[0] == (0, 0, width, height)
        first = 0
        for level in (1, 2, 3, 4):
            covered = np.zeros((height, width), int)
            for left, top, right, bottom in boxes[first : first + level**2]:
                assert 0 <= left < right <= width
                assert 0 <= top < bottom <= height
                covered[top:bottom, left:right] += 1
            assert covered.min() >= 1
            first += level**2
    assert part_boxes(2, 90, 60)[1:] == [
        (0, 0, 60, 40), (30, 0, 90, 40), (0, 20, 60, 60), (30, 20, 90, 60)
    ]  # fmt: skip


def test_makers_cut_the_parts() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    photo = Image.fromarray(pixels)
    for maker, box in zip(part_makers(3), part_boxes(3, 70, 50), strict=True):
        left, top, right, bottom = box
        assert (np.asarray(maker(photo)) == pixels[top:bottom, left:right]).all()


def plain(vectors, query):
    """For each photo the mean over the query's parts of the least distance."""
    return np.array([cdist(query, photo).min(axis=1).mean() for photo in vectors.astype(float)])


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 30),
    parts=st.integers(1, 6),
    query_parts=st.integers(1, 4),
    k=st.integers(1, 35),
    cut=st.integers(0, 30),
    scores=st.sampled_from([1, 50, 2**20]),
    removed=st.booleans(),
)
def test_the_nearest_are_those_of_float64(
    seed, n, parts, query_parts, k, cut, scores, removed
) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, parts, 7)).astype(np.float32)
    vectors[-1] = vectors[0]  # equal distances
    queries = rng.standard_normal((2, query_parts, 7)).astype(np.float32)
    alive = np.ones(n, bool)
    if removed:
        alive[1:] = rng.random(n - 1) < 0.6
    blocks = [
        Block(part, squared_lengths(part), first, alive[first : first + len(part)])
        for first, part in ((0, vectors[:cut]), (cut, vectors[cut:]))
        if len(part)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spatial, "SCORES", scores)
        distances, numbers = spatial_top_k(blocks, queries, k)
    for query, found, whose in zip(queries, distances, numbers, strict=True):
        wanted = np.where(alive, plain(vectors, query), np.inf)
        order = np.argsort(wanted, kind="stable")[: min(k, alive.sum())]
        np.testing.assert_allclose(found, wanted[order], rtol=1e-6)
        assert whose.tolist() == order.tolist()


def test_with_one_part_it_is_the_plain_search() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((500, 1, 20)).astype(np.float32)
    queries = vectors[:4, 0]
    for ours, theirs in zip(
        spatial_top_k([as_block(vectors)], queries[:, None], 7),
        top_k([as_block(vectors)], queries, 7),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_an_empty_index() -> None:
    assert spatial_top_k([], np.zeros((2, 3, 4)), 5)[1].shape == (2, 0)


def test_what_cannot_be_searched_for_is_refused() -> None:
    blocks = [as_block(np.zeros((2, 5, 3)))]
    with pytest.raises(FeaturesError, match="Q,P,d"):
        spatial_top_k(blocks, np.zeros((1, 3)))
    with pytest.raises(FeaturesError, match="expected d = 3, got 4"):
        spatial_top_k(blocks, np.zeros((1, 2, 4)))
    with pytest.raises(FeaturesError, match="finite"):
        spatial_top_k(blocks, np.full((1, 2, 3), np.nan))
    with pytest.raises(ShapeError, match="k must"):
        spatial_top_k(blocks, np.zeros((1, 2, 3)), 0)
    with pytest.raises(ShapeError, match="levels"):
        part_boxes(0, 3, 3)
