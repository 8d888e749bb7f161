"""Indexes: what is in them after they were changed, what is refused, who may have them open."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import indexes
import numpy as np
import pytest
from indexes import INFO, make, names, rows, vectors

from decaf.errors import FeaturesError, ShapeError
from decaf.retrieval import index_changes
from decaf.retrieval.index import Index
from decaf.retrieval.index_contents import Contents
from decaf.retrieval.whitening import Whitening


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


PATH = Path("x.index")


def test_what_was_put_in_comes_out() -> None:
    index = make(PATH, 0)
    assert len(index) == 0 and list(index.paths) == [] and list(index.blocks()) == []
    index.add(names(5), rows(5, seed=1))
    index.add(names(3, "b"), rows(3, seed=2))
    for found in (index, Index.open(PATH)):
        assert list(found.paths) == names(5) + names(3, "b")
        want = indexes.whitening().transform(np.concatenate([rows(5, seed=1), rows(3, seed=2)]))
        np.testing.assert_array_equal(vectors(found)[:, 0], want)
        assert len(found) == 8 and found.info == INFO and found.levels == 1
        assert (found.parts, found.dimensions, found.features) == (1, 6, indexes.D)
        found.verify()
    assert os.listdir() == ["x.index"]


def test_blocks_say_what_searches_need() -> None:
    index = make(PATH, 5)
    index.add(names(4, "b"), rows(4, seed=2))
    index.remove(["a/001.jpg", "b/000.jpg", "b/003.jpg"])
    one, two = index.blocks()
    assert (one.first, two.first) == (0, 5)
    assert one.alive is not None and one.alive.tolist() == [True, False, True, True, True]
    assert two.alive is not None and two.alive.tolist() == [False, True, True, False]
    for block in (one, two):
        assert block.vectors.dtype == block.squares.dtype == np.float32
        assert block.vectors.ctypes.data % 64 == 0 and block.squares.ctypes.data % 64 == 0
        assert not block.vectors.flags.writeable
        want = (block.vectors.astype(np.float64) ** 2).sum(axis=2)
        np.testing.assert_allclose(block.squares, want, rtol=1e-6)
    index.remove(names(5)[:1] + names(5)[2:])
    (left,) = index.blocks()  # a block of which nothing is left is none
    assert left.first == 5


def test_parts() -> None:
    index = make(PATH, 4, levels=3)
    assert (index.levels, index.parts) == (3, 14)
    want = indexes.whitening().transform(rows(4, parts=14))
    np.testing.assert_array_equal(vectors(index), want)
    with pytest.raises(FeaturesError, match=r"must be n,P,d|must be n,P,D; expected \(2, 14, 12\)"):
        index.add(names(2, "b"), rows(2))
    for levels in (0, 17, 2.0):
        with pytest.raises((FeaturesError, ShapeError)):
            Index.create("y.index", INFO, indexes.whitening(), levels)  # type: ignore[arg-type]
    assert os.listdir() == ["x.index"]


def test_names_of_any_kind() -> None:
    odd = ["é.jpg", "b\udcff.jpg", "a\nb", "x" * 4000, "日本/1.jpg", " "]
    index = make(PATH, 0)
    index.add(odd, rows(6))
    assert list(Index.open(PATH).paths) == odd
    index.remove(odd[:2])
    assert list(index.paths) == odd[2:]


def test_removed_and_added_again() -> None:
    index = make(PATH)
    index.remove(["a/004.jpg"])
    with pytest.raises(FeaturesError, match=r"x\.index: the index must have.*such as a/004\.jpg"):
        index.remove(["a/000.jpg", "a/004.jpg"])
    assert len(index) == 8
    index.add(["a/004.jpg"], rows(1, seed=5))
    assert list(index.paths)[-1] == "a/004.jpg"
    want = indexes.whitening().transform(rows(1, seed=5))
    np.testing.assert_array_equal(vectors(index)[-1], want)
    index.remove("a/004.jpg")  # one as a str
    index.remove([])
    assert len(index) == 8


def test_matching_finds_folders() -> None:
    index = make(PATH, 3)
    index.add(["a.jpg", "ab/1.jpg", "b.zip/1.jpg"], rows(3, seed=1))
    assert index.matching(["a"]) == index.matching(["a/"]) == names(3)
    assert index.matching(["b.zip", "a/001.jpg", "a.jpg"]) == ["a/001.jpg", "a.jpg", "b.zip/1.jpg"]
    with pytest.raises(FeaturesError, match=r"x\.index: c must be a photo of .*such as a/000\.jpg"):
        index.matching(["a", "c"])


def test_compact_gives_room_back() -> None:
    index = make(PATH, 0)
    for number in range(7):
        index.add([f"{number}.jpg"], rows(1, seed=number))
    index.remove(["0.jpg", "3.jpg"])
    want, left, size = vectors(index).copy(), list(index.paths), PATH.stat().st_size
    index.compact()
    for found in (index, Index.open(PATH)):
        assert list(found.paths) == left
        np.testing.assert_array_equal(vectors(found), want)
        (block,) = found.blocks()
        assert block.alive is None and block.first == 0
        found.verify()
    assert PATH.stat().st_size < size
    before = PATH.read_bytes()
    index.compact()
    assert PATH.read_bytes() == before  # nothing to do, nothing changes
    index.remove(list(index.paths))
    index.compact()
    assert len(Index.open(PATH)) == 0
    index.add(["8.jpg"], rows(1))
    assert os.listdir() == ["x.index"]


@pytest.mark.parametrize("size", [1, 24, 60, 10**6])
def test_compact_makes_records_of_any_size(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make(PATH, 9)
    index.add(names(8, "b"), rows(8, seed=1))
    index.remove(["a/001.jpg", "b/002.jpg"])
    want, left = vectors(index).copy(), list(index.paths)
    monkeypatch.setattr(index_changes, "RECORD_BYTES", size)
    index.compact()
    np.testing.assert_array_equal(vectors(index), want)
    assert list(index.paths) == left


def test_the_same_changes_give_the_same_bytes() -> None:
    for path in ("x.index", "y.index"):
        index = make(Path(path))
        index.remove(["a/002.jpg"])
        index.add(["z.jpg"], rows(1, seed=3))
    assert Path("x.index").read_bytes() == Path("y.index").read_bytes()


# --- all or nothing, also when it is refused ---


def test_what_does_not_fit_changes_nothing() -> None:
    index = make(PATH)
    before = PATH.read_bytes()
    nan = rows(2)
    nan[1, 3] = np.nan
    for photos, features in (
        (["b", "b"], rows(2)),
        (["b", "a/001.jpg"], rows(2)),
        (["b", ""], rows(2)),
        (["b", "x" * 70_000], rows(2)),
        (["b"], rows(2)),
        (["b", "c"], rows(2)[:, :5]),
        (["b", "c"], nan),
        (["b", "c"], rows(2)[0]),
    ):
        with pytest.raises(FeaturesError):
            index.add(photos, features)
        assert PATH.read_bytes() == before and list(index.paths) == names(9)
    with pytest.raises(ZeroDivisionError), index.adding() as new:
        new.add(["b", "c"], rows(2))
        new.add(["d"], rows(1))
        raise ZeroDivisionError
    assert PATH.read_bytes() == before and os.listdir() == ["x.index"]


def test_photos_added_some_at_a_time_are_new_to_each_other() -> None:
    index = make(PATH)
    with index.adding() as new:
        new.add(["b", "c"], rows(2))
        with pytest.raises(FeaturesError, match="got c again"):
            new.add(["d", "c"], rows(2))
        new.add(["d"], rows(1))  # what was refused left nothing behind
    assert list(index.paths) == [*names(9), "b", "c", "d"]


def test_nothing_is_replaced() -> None:
    PATH.write_bytes(b"mine")
    with pytest.raises(FeaturesError, match=r"x\.index: must not exist"):
        make(PATH)
    with pytest.raises(FeaturesError, match=r"x\.index: the file must be an index of decaf"):
        Index.open(PATH)
    assert PATH.read_bytes() == b"mine"
    with pytest.raises(FeaturesError, match="nowhere"):
        make(Path("nowhere/x.index"))
    PATH.unlink()
    Path("x.index.new").write_bytes(b"mine")  # where an index is written before it has its name
    with pytest.raises(FeaturesError, match=r"x\.index\.new: must not exist"):
        make(PATH)
    assert os.listdir() == ["x.index.new"]


def test_what_a_kill_left_is_written_over() -> None:
    Path("x.index.new").write_bytes(b"decaf-index 1\n and half of it")
    make(PATH)
    assert os.listdir() == ["x.index"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_leads_to_its_index() -> None:
    make(PATH)
    Path("link").symlink_to("x.index")
    index = Index.open("link")
    index.add(["b"], rows(1))
    index.compact()
    assert Path("link").is_symlink() and len(Index.open(PATH)) == 10


# --- opening is quick, whatever the index holds ---


def test_opening_reads_heads_only(monkeypatch: pytest.MonkeyPatch) -> None:
    make(PATH, 3000)
    data = PATH.read_bytes()

    class Watched(bytes):
        """Counts what is taken out of it."""

        def __getitem__(self, at: slice) -> bytes:  # type: ignore[override]
            taken.append(len(range(*at.indices(len(self)))))
            return bytes.__getitem__(self, at)

    taken: list[int] = []
    contents = Contents(Watched(data))  # type: ignore[arg-type]
    assert contents.left == 3000 and sum(taken) < 20_000 < len(data) // 6
    assert contents.name(2999) == b"a/2999.jpg"
    assert sum(taken) < 20_000


def test_a_whitening_of_another_kind_is_refused() -> None:
    class Other(Whitening):
        def to_arrays(self) -> dict[str, np.ndarray]:
            return {**super().to_arrays(), "mean": np.zeros(3, np.float32)}

    other = Other(4).fit(rows(30))
    with pytest.raises(FeaturesError, match="whitening: mean, matrix and options must fit"):
        Index.create(PATH, INFO, other)
    with pytest.raises(FeaturesError, match="call fit first"):
        Index.create(PATH, INFO, Whitening())
    assert os.listdir() == []
