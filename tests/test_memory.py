"""The memory of a plan: values that live at the same time never overlap."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support import cases

from decaf.memory import ALIGNMENT, Block, MemoryTable, aligned_empty, place

lives = st.tuples(st.integers(1, 300), st.integers(0, 9), st.integers(0, 9)).map(
    lambda v: ((v[0],), min(v[1:]), max(v[1:]))
)


@cases
@given(st.lists(lives, min_size=1, max_size=25))
def test_values_that_meet_lie_apart(wanted: list[tuple[tuple[int], int, int]]) -> None:
    blocks = place((f"v{i}", *life) for i, life in enumerate(wanted))
    for a, b in combinations(blocks, 2):
        if a.first <= b.last and b.first <= a.last:
            assert a.end <= b.offset or b.end <= a.offset
    assert all(block.offset % ALIGNMENT == 0 for block in blocks)


def test_a_chain_needs_no_more_than_its_two_largest_neighbours() -> None:
    sizes = [64, 160, 32, 96, 96, 16]
    blocks = place((f"v{i}", (s,), i, i + 1) for i, s in enumerate(sizes))
    assert max(block.end for block in blocks) == 4 * (64 + 160)


def test_arrays_are_aligned_views_of_the_arena() -> None:
    block = Block("a", (2, 3), 0, 1, 64)
    arena = aligned_empty(256)
    array = block.array(arena)
    assert array.shape == (2, 3) and array.dtype == np.float32
    assert array.ctypes.data % ALIGNMENT == 0
    assert np.shares_memory(array, arena)


def test_the_table_prints_every_value_and_the_totals() -> None:
    text = str(MemoryTable(place([("conv1", (2, 3), 0, 1), ("fc6", (2, 4), 1, 2)]), 640, 4000))
    assert "conv1" in text and "2x4" in text and "4,000" in text and "640" in text
    assert "128   (56 if each had its own)" in text
