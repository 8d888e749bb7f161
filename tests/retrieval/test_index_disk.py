"""A disk that is full, or fails, and an interrupt: the index is as it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from indexes import CHANGES, make, rows, vectors

from decaf.errors import FeaturesError
from decaf.retrieval import index_file
from decaf.retrieval.index import Index

PATH = Path("x.index")


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("stop", range(12))
def test_a_disk_that_fails(
    change: Callable[[Index], None], stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make(PATH)
    size, left = PATH.stat().st_size, [stop]

    class Failing(FileIO):
        def write(self, data: Any) -> int:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device")
            return super().write(data[: len(data) // 2 + 1])  # a part at a time

    with monkeypatch.context() as patched:
        patched.setattr(index_file, "open_plain", Failing)
        with pytest.raises(FeaturesError, match=r"x\.index: must be an index that can be written"):
            change(index)
    assert len(index) == len(Index.open(PATH)) == 9
    Index.open(PATH).verify()
    assert PATH.stat().st_size == size  # the room was given back
    change(index)  # once there is room
    assert len(Index.open(PATH)) != 9


def test_a_sync_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its end refers to is not taken away: the end may have reached the disk."""
    for fails in (0, 1):
        PATH.unlink(missing_ok=True)
        index = make(PATH)
        left = [fails]
        sync = os.fsync

        def failing(descriptor: int, left: list[int] = left, sync: Any = sync) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(5, "Input/output error")
            sync(descriptor)

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", failing)
            with pytest.raises(FeaturesError, match="Input/output error"):
                index.add(["b"], rows(1))
        assert len(Index.open(PATH)) == 9 + fails
        Index.open(PATH).verify()


def test_an_interrupt_while_creating_or_compacting(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(index_file.Appender, "commit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make(PATH)
    assert os.listdir() == []
    index = make(PATH)
    index.remove(["a/001.jpg"])
    want = vectors(index).copy()
    with monkeypatch.context() as patched:
        patched.setattr(index_file.Appender, "rows", interrupted)
        with pytest.raises(KeyboardInterrupt):
            index.compact()
    assert os.listdir() == ["x.index"]
    np.testing.assert_array_equal(vectors(index), want)
