"""Whatever stops a change, and whatever the disk keeps of it: it is there whole or not at all."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from indexes import CHANGES, add, make, names, remove, rows, state
from processes import python

from decaf.errors import FeaturesError
from decaf.retrieval import index_file
from decaf.retrieval.index import Index

PATH = Path("x.index")


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


Op = tuple[str, int, bytes]  # "write", place, what; "cut", place; "sync"


class Recorded(FileIO):
    """A file that keeps account of what is done to it."""

    ops: list[Op]

    def write(self, data: Any) -> int:
        self.ops.append(("write", self.tell(), bytes(data)))
        return super().write(data)

    def truncate(self, size: int | None = None) -> int:
        self.ops.append(("cut", size or 0, b""))
        return super().truncate(size)


def apply(data: bytearray, op: Op, random: random.Random | None = None) -> None:
    """Do it to a disk; with `random` only a part of it, or zeros in its place, as disks may."""
    kind, at, what = op
    if kind == "cut":
        del data[at:]
        return
    if random is not None:
        chance = random.random()
        if chance < 0.3:
            what = what[: random.randrange(len(what) + 1)]
        elif chance < 0.5:
            what = bytes(len(what))
        elif chance < 0.6:
            start = random.randrange(len(what) + 1)
            at, what = at + start, what[start:]
    data.extend(bytes(max(0, at + len(what) - len(data))))
    data[at : at + len(what)] = what


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("torn", [b"", b"left by a kill" * 1000])
def test_a_power_failure_at_any_moment(
    change: Callable[[Index], None], torn: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what was written since the last sync the disk keeps any part; of the rest all."""
    index = make(PATH)
    remove(index)
    index.add(["a/001.jpg", "a/007.jpg"], rows(2, seed=7))
    with PATH.open("ab") as file:
        file.write(torn)
    before = PATH.read_bytes()
    old = state(before)
    Recorded.ops = ops = []
    sync = os.fsync

    def synced(descriptor: int) -> None:
        ops.append(("sync", 0, b""))
        sync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", synced)
        patched.setattr(index_file, "open_plain", Recorded)
        change(index)
    new = state(PATH.read_bytes())
    assert new != old
    syncs = [number for number, (kind, *_) in enumerate(ops) if kind == "sync"]
    assert len(syncs) == 2 and syncs[1] == len(ops) - 1
    chance = random.Random(0)
    seen = []
    for stop in range(len(ops) + 1):
        safe = max((number + 1 for number in syncs if number < stop), default=0)
        for trial in range(30):
            disk = bytearray(before)
            for op in ops[:safe]:
                if op[0] != "sync":
                    apply(disk, op)
            pending = [op for op in ops[safe:stop] if op[0] != "sync"]
            chance.shuffle(pending)  # in any order
            for op in pending:
                if trial == 0 or chance.random() < 0.7:
                    apply(disk, op, chance if trial and op[0] == "write" else None)
            found = state(bytes(disk))
            # What was cut off by a later cut is not there to be found; else old or new, whole.
            assert found in (old, new), (stop, trial)
            if safe < syncs[0] + 1:
                assert found == old
            if safe == len(ops):
                assert found == new
            seen.append(found == new)
            if trial < 3:  # and it can be changed further
                PATH.write_bytes(disk)
                Index.open(PATH).add(["z"], rows(1))
                after = state(PATH.read_bytes())
                assert after.names == (*found.names, b"z")
    assert {True, False} == set(seen)


def test_an_end_is_never_written_before_the_disk_has_what_it_refers_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The test above would find it: a planted error."""
    monkeypatch.setattr(index_file.Appender, "_sync", lambda self: os.fsync(self._file.fileno()))
    commit = index_file.Appender.commit

    def hasty(self: index_file.Appender) -> None:
        sync, self._sync = self._sync, lambda: None  # type: ignore[method-assign]
        commit(self)
        sync()

    monkeypatch.setattr(index_file.Appender, "commit", hasty)
    with pytest.raises((AssertionError, FeaturesError)):
        test_a_power_failure_at_any_moment(add, b"", monkeypatch)


# --- killed: every call that reaches the disk is the last one of a process ---

KILLED = """
import json, os, signal, sys
from io import FileIO
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from indexes import INFO, make, names, rows, whitening
from decaf.retrieval import index_file
from decaf.retrieval.index import Index

PATH = Path("x.index")

def counted(function):
    def call(*arguments, **options):
        global calls
        if calls == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        calls -= 1
        return function(*arguments, **options)
    return call

def look():
    if not PATH.exists():
        return None
    index = Index.open(PATH)
    index.verify()
    return list(index.paths)

changes = {
    "create": lambda: make(PATH, 0),
    "add": lambda: Index.open(PATH).add(names(3, "b"), rows(3)),
    "remove": lambda: Index.open(PATH).remove(["a/001.jpg"]),
    "compact": lambda: Index.open(PATH).compact(),
}
for name, change in changes.items():
    for step in range(1000):
        for path in Path().iterdir():
            path.unlink()
        if name != "create":
            made = make(PATH)
            if name == "compact":
                made.remove(["a/001.jpg"])
        before = look()
        child = os.fork()
        if child == 0:
            calls = step
            for module, function in ((os, "fsync"), (os, "replace"), (os, "rename"),
                                     (os, "unlink"), (index_file.Appender, "_write")):
                setattr(module, function, counted(getattr(module, function)))
            try:
                change()
            finally:
                os._exit(0)
        killed = os.waitpid(child, 0)[1] != 0
        between = look()
        again = None
        try:
            change()
        except Exception as error:
            again = str(error)
        print(json.dumps([name, step, killed, before, between, look(), again,
                          sorted(os.listdir())]))
        if not killed:
            break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_killed_at_every_step_that_touches_the_disk() -> None:
    done = python("-W", "ignore", "-c", KILLED, str(Path(__file__).parent))
    assert done.returncode == 0, done.stderr.decode()
    results = [json.loads(line) for line in done.stdout.splitlines()]
    both = {
        "create": (None, []),
        "add": (names(9), names(9) + names(3, "b")),
        "remove": (names(9), names(9)[:1] + names(9)[2:]),
        "compact": (names(9)[:1] + names(9)[2:],) * 2,
    }
    steps = dict.fromkeys(both, 0)
    for name, step, killed, before, between, after, again, left in results:
        old, new = both[name]
        assert before == old
        assert between in (old, new), (name, step)
        assert between == new or killed
        assert after == new, (name, step)  # the same once more goes on, or says that it is done
        assert again is None or between == new
        finished = name == "create" and between == new  # an empty lock may stay, which locks nobody
        assert left in (["x.index"], ["x.index", "x.index.lock"][: 1 + finished]), (name, step)
        steps[name] += killed
    assert steps["create"] >= 8 and steps["compact"] >= 8
    assert steps["add"] >= 5 and steps["remove"] >= 5
