"""The memory of a plan: values that live at the same time never overlap."""

from __future__ import annotations

import mmap
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import cases

from decaf.memory import ALIGNMENT, Block, MemoryTable, aligned_empty, place, release

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
    text = str(MemoryTable(place([("conv1", (2, 3), 0, 1), ("fc6", (2, 4), 1, 2)]), 100, 640, 4000))
    assert "conv1" in text and "2x4" in text and "4,000" in text and "640" in text
    assert "128   (56 if each had its own)" in text


def resident() -> int:
    """Bytes of mapped files that lie in the memory of this process."""
    status = Path("/proc/self/status")
    if not status.exists() or "RssFile" not in status.read_text():
        pytest.skip("this system does not say how much of a file is in memory")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("RssFile"))
    return int(line.split()[1]) * 1024


def test_released_pages_are_given_back_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "values"
    values = np.arange(2**21, dtype=np.float32)  # 8 MiB
    path.write_bytes(b"head" + values.tobytes() + b"tail")
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    array = np.frombuffer(mapped, np.float32, values.size, 4).reshape(2048, 1024)
    path.unlink()
    assert array.sum() > 0
    before = resident()
    release(array[:1024])
    assert 3.5 * 2**20 < before - resident() < 4.5 * 2**20
    release(array)
    assert before - resident() > 7.5 * 2**20
    np.testing.assert_array_equal(array.ravel(), values)
    release(array[:, ::2])  # not in one piece: left alone
    np.testing.assert_array_equal(array.ravel(), values)


def test_what_is_no_file_mapped_for_reading_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "values"
    path.write_bytes(bytes(2**16))
    with path.open("rb") as file:
        copied = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    array = np.frombuffer(copied, np.uint8)
    array[:] = 7  # in memory only: given back, it would be lost
    read_only = np.frombuffer(memoryview(copied).toreadonly(), np.uint8)
    for values in (
        array,
        read_only,
        np.full(2**16, 7, np.uint8),
        np.frombuffer(bytes([7]) * 2**16, np.uint8),
    ):
        release(values)
        assert (values == 7).all()


def test_pages_that_are_locked_stay(tmp_path: Path) -> None:
    class Locked(mmap.mmap):
        def madvise(self, *arguments: int) -> None:
            raise OSError(22, "Invalid argument")

    path = tmp_path / "values"
    path.write_bytes(bytes([7]) * 2**16)
    with path.open("rb") as file:
        values = np.frombuffer(Locked(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    release(values)
    assert (values == 7).all()
