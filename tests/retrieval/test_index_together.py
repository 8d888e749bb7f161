"""Several that use one index at once: writers, readers, and what they mapped."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from subprocess import PIPE, Popen

import indexes
import numpy as np
import pytest
from indexes import INFO, make, names, rows, vectors
from processes import ENVIRONMENT

from decaf.errors import FeaturesError
from decaf.retrieval.index import Index

PATH = Path("x.index")


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_one_writer_at_a_time() -> None:
    index = make(PATH)
    with index.adding() as new:
        new.add(["b"], rows(1))
        for change in (
            lambda: Index.open(PATH).add(["c"], rows(1)),
            lambda: Index.open(PATH).remove(["a/001.jpg"]),
            lambda: Index.open(PATH).compact(),
            lambda: make(PATH),
        ):
            with pytest.raises(FeaturesError, match=r"must not be in use|must not exist"):
                change()
        assert len(Index.open(PATH)) == 9  # a reader sees nothing of it
    assert len(Index.open(PATH)) == 10


def test_writers_see_what_others_did() -> None:
    """Not what was there when they opened it: nothing of the others is lost."""
    one = make(PATH)
    two = Index.open(PATH)
    one.add(["b"], rows(1, seed=1))
    one.remove(["a/000.jpg"])
    one.compact()
    assert len(two) == 9 and "a/000.jpg" in list(two.paths)  # as it was when it was opened
    with pytest.raises(FeaturesError, match="again"):
        two.add(["b"], rows(1))
    two.add(["c"], rows(1, seed=2))
    assert list(two.paths) == [*names(9)[1:], "b", "c"]
    assert list(Index.open(PATH).paths) == list(two.paths)


def test_another_index_of_the_same_name_is_not_changed() -> None:
    index = make(PATH)
    PATH.unlink()
    Index.create(PATH, INFO, indexes.whitening(5))
    before = PATH.read_bytes()
    for change in (lambda: index.add(["b"], rows(1)), lambda: index.remove(["a/001.jpg"]),
                   index.compact):  # fmt: skip
        with pytest.raises(FeaturesError, match="must be the index that was opened"):
            change()
    assert PATH.read_bytes() == before
    PATH.unlink()
    with pytest.raises(FeaturesError, match=r"x\.index: must be an index that can be read"):
        index.add(["b"], rows(1))


READER = """
import sys
from decaf.retrieval.index import Index
index = Index.open("x.index")
blocks = list(index.blocks())
want = [(b.vectors.sum(dtype="f8"), b.squares.sum(dtype="f8")) for b in blocks]
print("open", flush=True)
for line in sys.stdin:
    assert [(b.vectors.sum(dtype="f8"), b.squares.sum(dtype="f8")) for b in blocks] == want
    assert len(list(index.paths)) == 9 and len(index) == 9
    index.verify()
    print("same", len(Index.open("x.index")), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no mapped file")
def test_a_reader_goes_on_with_what_it_mapped() -> None:
    """In another process, while this one adds, removes, compacts and deletes."""
    index = make(PATH)
    command = [sys.executable, "-c", READER]
    with Popen(command, stdin=PIPE, stdout=PIPE, env=ENVIRONMENT, text=True) as reader:
        assert reader.stdin and reader.stdout
        assert reader.stdout.readline() == "open\n"
        for change, left in (
            (lambda: index.add(names(500, "b"), rows(500)), 509),
            (lambda: index.remove(names(9)), 500),
            (index.compact, 500),
            (lambda: index.remove(names(500, "b")), 0),
            (index.compact, 0),
        ):
            change()
            reader.stdin.write("again\n")
            reader.stdin.flush()
            assert reader.stdout.readline() == f"same {left}\n"
        reader.stdin.close()
        assert reader.wait() == 0


def test_what_was_lent_lives_on_when_the_index_changes() -> None:
    """Vectors are views of the map; they must not go with the object that gave them."""
    index = make(PATH, 300)
    blocks = list(index.blocks())
    want = blocks[0].vectors.copy()
    index.remove(names(300)[:200])
    if sys.platform != "win32":
        index.compact()
    del index
    np.testing.assert_array_equal(blocks[0].vectors, want)


def test_windows_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """It replaces no file that is mapped anywhere."""
    index = make(PATH)
    index.remove(["a/001.jpg"])
    before = PATH.read_bytes()

    def refused(*_: object) -> None:
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(os, "replace", refused)
    monkeypatch.setattr("decaf.retrieval.index_file.WINDOWS", True)
    with pytest.raises(FeaturesError, match=r"x\.index: must be open nowhere.*Windows"):
        index.compact()
    assert PATH.read_bytes() == before and len(index) == 8  # and it can still be searched
    assert os.listdir() == ["x.index"]


def test_compacting_lets_go_of_the_map_before_it_replaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Windows needs it: nothing has the file mapped when its name is taken."""
    index = make(PATH)
    index.remove(["a/001.jpg"])
    maps: list[int] = []
    replace = os.replace

    def watched(*arguments: str) -> None:
        with open("/proc/self/maps") as file:
            maps.append(sum("x.index" in line for line in file))
        replace(*arguments)

    if not os.path.exists("/proc/self/maps"):
        pytest.skip("the system does not tell what is mapped")
    monkeypatch.setattr(os, "replace", watched)
    monkeypatch.setattr("decaf.retrieval.index.WINDOWS", True)  # elsewhere it may stay
    index.compact()
    assert maps == [0]


def test_threads_read_while_one_writes() -> None:
    index = make(PATH)
    stop = threading.Event()
    wrong: list[BaseException] = []

    def read() -> None:
        try:
            while not stop.is_set():
                found = Index.open(PATH)
                assert len(list(found.paths)) == len(found) == len(vectors(found))
                found.verify()
        except BaseException as error:
            wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(40):
        index.add(names(20, f"n{number}"), rows(20, seed=number))
        index.remove(names(20, f"n{number}")[:3])
        if number % 10 == 9 and sys.platform != "win32":
            index.compact()
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong, wrong
    assert len(index) == 9 + 40 * 17
