"""Indexes from strangers: numbers that are none, long texts, many small records."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from indexes import INFO, make, names, rows, whitening

from decaf import ops
from decaf.cli import main
from decaf.errors import FeaturesError
from decaf.net import DecafNet
from decaf.retrieval import blocks as blocks_module
from decaf.retrieval.blocks import Block, as_block, joined
from decaf.retrieval.build import search_photos
from decaf.retrieval.exact import top_k
from decaf.retrieval.index import Index
from decaf.retrieval.index_file import Appender
from decaf.retrieval.whitening import WHITEN, Whitening

PATH = Path("x.index")


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(
    put: Callable[[Appender], None], dimensions: int = 6, info: dict[str, Any] = INFO, **arrays: Any
) -> Path:
    """An index with records as decaf would not write them, but with checksums that are right."""
    made = {**whitening(dimensions).to_arrays(), **arrays}
    header = {"info": info, "levels": 1, "parts": 1, "dimensions": dimensions, "features": 12}
    with PATH.open("wb") as file:
        appender = Appender(file)
        appender.begin(header, made)
        put(appender)
        appender.commit()
    return PATH


def squares(vectors: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.square(vectors).sum(axis=2)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3.4e38])
@pytest.mark.parametrize("parts", [None, 2])
def test_a_distance_that_is_no_number(value: float, parts: int | None) -> None:
    vectors = np.ones((5, 1, 6), np.float32)
    vectors[2:] = value
    index = Index(
        written(lambda a: a.rows(vectors, squares(vectors), [b"%d" % n for n in range(5)]))
    )
    found = index.search(rows(2, parts=parts), 2)  # those that are near are found
    assert [{hit.path for hit in hits} for hits in found] == [{"0", "1"}] * 2
    for k in (3, 5, 9):
        with pytest.raises(FeaturesError, match=r"x\.index: distances must be finite.*damaged"):
            index.search(rows(2, parts=parts), k)
    with pytest.raises(FeaturesError, match=r"x\.index: vectors must be finite"):
        index.verify()
    with pytest.raises(FeaturesError, match=r"x\.index: vectors must be finite"):
        index.compact()


def test_squared_lengths_that_are_others() -> None:
    vectors = np.ones((5, 1, 6), np.float32)
    wrong = np.full((5, 1), -3.0, np.float32)
    index = Index(written(lambda a: a.rows(vectors, wrong, [b"%d" % n for n in range(5)])))
    with pytest.raises(FeaturesError, match=r"x\.index: vectors must be as long as noted"):
        index.verify()


def test_a_transform_beyond_float32() -> None:
    put = lambda a: a.rows(np.ones((3, 1, 6), "f4"), np.full((3, 1), 6, "f4"), [b"a", b"b", b"c"])  # noqa: E731
    large = {"mean": np.full(12, -1, np.float32), "matrix": np.full((6, 12), 3e38, np.float32)}
    with pytest.raises(FeaturesError, match=r"x\.index: whitening must give finite vectors"):
        Index(written(put, **large)).search(rows(2))
    index = Index(written(put, options=np.array([6, 0.5, 1e308])))
    assert len(index.search(rows(2))[0]) == 3  # and nothing is warned of


@pytest.mark.parametrize("asked", [2**31, 10**40])
def test_dimensions_that_no_index_may_have(asked: int) -> None:
    """Said at once, not when all features are computed and `from_arrays` refuses them."""
    with pytest.raises(FeaturesError, match="dimensions must be at most 2,147,483,647"):
        Whitening(asked)
    assert Whitening(2**31 - 1).dimensions == 2**31 - 1


# --- texts as long as the file wants ---


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> DecafNet:
    path = tiny.save(tmp_path_factory.mktemp("weights") / "tiny.h5")
    return DecafNet(path, backend=ops.available()[0])


LONG = "x" * 100_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"layer": LONG}, {"pooling": LONG}, {"oversample": LONG}, {"layer": None},
        {"layer": [LONG]}, {"pooling": {LONG: LONG}}, {"architecture": LONG},
        {"preprocessing": LONG}, {"weights_sha256": [LONG]},
    ],
)  # fmt: skip
def test_what_an_index_is_of_may_be_anything(wrong: dict[str, Any], net: DecafNet) -> None:
    info = {**net.info(), "layer": "relu6", "oversample": False, "pooling": None}
    index = Index(written(lambda a: None, info={**info, **wrong}))
    for use in (
        lambda: index.check_network(net),
        lambda: search_photos(index, net, []),
    ):
        with pytest.raises(FeaturesError, match=r"^x\.index: |^/.*x\.index: ") as refused:
            use()
        assert len(str(refused.value)) < 2000 + len(str(index.path))


# --- many small records ---


def test_a_photo_is_removed_once() -> None:
    vectors = np.ones((2, 1, 6), np.float32)

    def put(appender: Appender) -> None:
        appender.rows(vectors, squares(vectors), [b"a", b"b"])
        appender.gone([1])
        appender.gone([1])

    with pytest.raises(FeaturesError, match=r"x\.index: a removal must be of photos that are"):
        Index.open(written(put))


def test_memory_for_short_names() -> None:
    """Naming, removing and verifying take no object a photo."""
    count = 100_000
    vectors = np.zeros((count, 1, 1), np.float32)
    put = lambda a: a.rows(vectors, vectors[:, 0], [b"%x" % n for n in range(count)])  # noqa: E731
    index = Index(written(put, dimensions=1))
    size = PATH.stat().st_size
    for use in (
        index.verify,
        lambda: index.matching(["7"]),
        lambda: index.remove(["8"]),
    ):
        tracemalloc.start()
        use()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2 * size, (peak, size)


def test_small_blocks_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).random((40, 1, 3), np.float32)
    alive = np.random.default_rng(1).random(40) < 0.7
    whole = as_block(vectors)
    cuts = [0, 1, 2, 3, 9, 10, 30, 31, 33, 40]
    pieces = [
        Block(whole.vectors[a:b], whole.squares[a:b], a, None if alive[a:b].all() else alive[a:b])
        for a, b in pairwise(cuts)
    ]
    del pieces[2]  # nothing of it is left
    alive[2] = False
    for small, size, most in ((120, 200, 9), (120, 10**6, 2), (10**6, 10**6, 10**6), (1, 1, 1)):
        monkeypatch.setattr(blocks_module, "SMALL", small)
        monkeypatch.setattr(blocks_module, "JOINED", size)
        monkeypatch.setattr(blocks_module, "MOST", most)
        found = list(joined(iter(pieces)))
        assert (len(found) < len(pieces)) == (small > 1)
        seen = np.zeros(40, bool)
        for block in found:
            end = block.first + len(block.vectors)
            assert not seen[block.first : end].any()
            seen[block.first : end] = True
            np.testing.assert_array_equal(block.vectors, vectors[block.first : end])
            np.testing.assert_array_equal(block.squares, whole.squares[block.first : end])
            want = alive[block.first : end]
            assert want.all() if block.alive is None else (block.alive == want).all()
        assert seen.sum() == 39
        one, two = top_k(found, vectors[:5, 0], 4), top_k(pieces, vectors[:5, 0], 4)
        np.testing.assert_array_equal(one, two)


def test_a_search_joins_what_was_added_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    index = make(PATH)
    with index.adding() as new:
        for number in range(50):
            new.add([f"b/{number}"], rows(1, seed=number))
    index.remove(["b/7"])
    given: list[int] = []

    def counted(blocks: Any, queries: Any, k: int) -> Any:
        blocks = list(blocks)
        given.append(len(blocks))
        return top_k(blocks, queries, k)

    monkeypatch.setattr("decaf.retrieval.index_search.top_k", counted)
    assert index.search(rows(1, seed=9), 1)[0][0].path == "b/9"
    assert given == [2]  # what lies between them is gone
    assert len(list(index.blocks())) == 50


# --- names ---


@pytest.mark.parametrize("name", ["", "/", "//"])
def test_a_name_that_is_empty_names_nothing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    index = make(PATH)
    index.add(["/home/1.jpg", "/home/2.jpg"], rows(2, seed=1))
    with pytest.raises(FeaturesError, match=r"x\.index: a photo or folder must be named"):
        index.matching([name])
    assert main(["index", name, "-o", "x.index", "--remove"]) == 2
    assert "must be named" in capsys.readouterr().err
    assert len(Index.open(PATH)) == 11
    assert index.matching(["/home"]) == ["/home/1.jpg", "/home/2.jpg"]


def test_verify_finds_a_name_that_stands_twice() -> None:
    vectors = np.ones((3, 1, 6), np.float32)
    with pytest.raises(FeaturesError, match="must have different names"):
        Index(written(lambda a: a.rows(vectors, squares(vectors), [b"a", b"b", b"a"]))).verify()

    def gone(appender: Appender) -> None:
        appender.rows(vectors, squares(vectors), [b"a", b"b", b"a"])
        appender.gone([0])

    Index(written(gone)).verify()


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    index = make(PATH, 12, levels=2)
    index.remove(names(3))
    assert main(["info", "x.index"]) == 0
    said = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    said = {key.strip(): value.strip() for key, value in said.items()}
    assert said["photos"] == "9" and said["removed"] == "3" and said["levels"] == "2"
    assert said["vectors"] == "45 of 6 numbers, 5 a photo" and said["layer"] == "relu6"
    assert said["network"] == "tiny" and said["bytes"] == f"{PATH.stat().st_size:,}"
    assert said["transform"] == f"12 features, whitened by {WHITEN:g}, to 6 numbers, power 1"
    assert main(["info", "x.index", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["photos"], facts["removed"], facts["vectors"]) == (9, 3, 45)
    assert facts["recipe"] == INFO["preprocessing"] and facts["info"] == INFO
    assert facts["transform"] == {"features": 12, "dimensions": 6, "whiten": WHITEN, "power": 1.0}
    Path("x.index").write_bytes(PATH.read_bytes()[:-64])
    assert main(["info", "x.index"]) == 2
    assert "cut off" in capsys.readouterr().err
    written(lambda a: None, info={"layer": LONG, "architecture": "\x1b[31m", "pooling": [LONG]})
    assert main(["info", "x.index"]) == 0
    out = capsys.readouterr().out
    assert len(out) < 3000 and "\x1b" not in out
