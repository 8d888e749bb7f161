"""The index file: who may read it, what is left after a fault, what the disk must hold."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from indexes import make, names, rows

from decaf import files
from decaf.errors import FeaturesError
from decaf.retrieval import build, index, index_file
from decaf.retrieval.index import Index

PATH = Path("x.index")
POSIX = pytest.mark.skipif(os.name != "posix", reason="there are no modes")


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_who_may_read_it_stays_the_same(mode: int) -> None:
    made = make(PATH)
    PATH.chmod(mode)
    made.remove(names(3))
    made.compact()
    assert PATH.stat().st_mode & 0o777 == mode


@POSIX
def test_the_mode_is_there_before_the_contents() -> None:
    Path("x").write_bytes(b"old")
    Path("x").chmod(0o600)
    with files.replacing("x", "y") as file:
        assert Path("y").stat().st_mode & 0o777 == 0o600
        file.write(b"new")
    assert Path("x").read_bytes() == b"new" and Path("x").stat().st_mode & 0o777 == 0o600


@POSIX
def test_another_group_gets_no_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the group cannot be kept, its rights would be another group's."""
    Path("x").write_bytes(b"old")
    Path("x").chmod(0o660)
    stat, done = os.stat("x"), []

    def other(path: Any) -> Any:
        return SimpleNamespace(st_mode=stat.st_mode, st_uid=stat.st_uid, st_gid=stat.st_gid + 1)

    def refused(*arguments: int) -> None:
        done.append(arguments[1:])
        raise PermissionError(1, "Operation not permitted")

    with Path("y").open("xb") as file, monkeypatch.context() as patched:
        patched.setattr(os, "stat", other)
        patched.setattr(os, "fchown", refused)
        files._take_mode(file.fileno(), Path("x"))
    assert Path("y").stat().st_mode & 0o777 == 0o600
    assert done == [(-1, stat.st_gid + 1)]


def test_a_read_only_index_is_not_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(PATH)
    made.remove(names(3))
    before = PATH.read_bytes()

    def refused(path: Path, mode: str = "r") -> Any:
        assert path == made.path and mode == "r+"
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(index_file, "open_plain", refused)  # as the system does, but not for root
    with pytest.raises(FeaturesError, match=r"x\.index: must be an index that can be.*Perm"):
        made.compact()
    assert PATH.read_bytes() == before and os.listdir() == ["x.index"]


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize("gone", [False, True])
def test_a_fault_while_compacting(
    windows: bool, gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first error is the one that is said, and what was open stays so where it can."""
    made = make(PATH)

    def fails(path: Path) -> None:
        if gone:
            path.unlink()
        raise FeaturesError("the first error")

    monkeypatch.setattr(index, "WINDOWS", windows)
    monkeypatch.setattr(index, "rewrite", fails)
    if gone and sys.platform == "win32":
        pytest.skip("Windows deletes no file that is mapped")
    with pytest.raises(FeaturesError, match="the first error"):
        made.compact()
    if windows and gone:
        for use in (lambda: len(made), lambda: made.search(rows(1)), made.verify):
            with pytest.raises(FeaturesError, match=r"x\.index: must be open"):
                use()
    else:
        assert len(made) == 9 and len(made.search(rows(1), 3)[0]) == 3


def test_an_error_after_the_end_says_that_the_change_may_be_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for fails, said in ((0, False), (1, True)):
        PATH.unlink(missing_ok=True)
        made = make(PATH)
        left, sync = [fails], os.fsync

        def failing(descriptor: int, left: list[int] = left, sync: Any = sync) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(5, "Input/output error")
            sync(descriptor)

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", failing)
            with pytest.raises(FeaturesError) as refused:
                made.add(["b"], rows(1))
        assert ("may be in the index all the same" in str(refused.value)) == said
        assert len(Index.open(PATH)) == 9 + said


def test_the_space_that_is_asked_for_is_that_which_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not that of the dimensions asked for, where there can be no more than photos or features."""
    asked: list[int] = []

    @contextmanager
    def stop(path: Path) -> Iterator[None]:
        raise ZeroDivisionError
        yield

    def space(path: Path, photos: Any, size: int) -> None:
        asked.append(size)

    monkeypatch.setattr(build, "new_index", stop)
    monkeypatch.setattr(build, "check_space", space)
    from decaf.net import DecafNet
    from decaf.retrieval.whitening import Whitening

    net = DecafNet()
    photos = [SimpleNamespace(path=f"{number}.jpg") for number in range(9)]
    for levels, dimensions, want in ((1, 500, 8), (1, 5, 5), (2, 500, 44)):
        with pytest.raises(ZeroDivisionError):
            build.build_index(net, photos, PATH, Whitening(dimensions), levels=levels)  # type: ignore[arg-type]
        assert asked.pop() == (want + 1) * 4 * (1 if levels == 1 else 5)
    assert np.array_equal(asked, [])
