"""How many threads, and the team that runs a program."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decaf import ops, threads
from decaf.errors import DecafError
from decaf.plan import Network, Plan
from decaf.specs import Architecture, Linear, ReLU, Softmax

cython = pytest.mark.skipif("cython" not in ops.available(), reason="kernels are not built")

# Some milliseconds of many small tasks, so that helpers that are awake get some of them.
NET = Architecture("wide", (8, 40, 40), (ReLU("a"), Softmax("b"), Linear("c", 60), ReLU("d")))


def plan(batch: int = 4, size: int = 2) -> Plan:
    """A plan of NET for a team of that size, with an input."""
    random = np.random.default_rng(0)
    parameters = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in NET.parameter_shapes.items()
    }
    made = Plan(Network(NET, parameters), batch, ["b", "d"], threads=size)
    made.input[...] = random.standard_normal(made.input.shape)
    return made


def answer(made: Plan) -> bytes:
    for value in made.outputs.values():
        value[...] = np.nan
    made.run()
    return b"".join(value.tobytes() for value in made.outputs.values())


class Witness:
    """A program that only notes what it was given."""

    def __init__(self) -> None:
        self.helpers: list[Any] = []

    def run(self, helpers: Any) -> None:
        self.helpers.append(helpers)


class Interrupted(Witness):
    """A program behind which an interrupt waits."""

    def run(self, helpers: Any) -> None:
        signal.raise_signal(signal.SIGINT)


def test_by_default_as_many_as_this_process_may_use() -> None:
    assert 1 <= threads.resolve(None) <= (os.cpu_count() or 1)
    assert threads.resolve(3) == 3


@pytest.mark.parametrize("wrong", [0, -1, 1025, 2.0, "2"])
def test_other_numbers_of_threads_are_refused(wrong: Any) -> None:
    with pytest.raises(DecafError, match="whole number from 1 to 1024; got"):
        threads.resolve(wrong)


def test_a_team_of_one_has_no_helpers_and_needs_no_kernels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("decaf.threads.kernel", None)
    before = threading.active_count()
    program = Witness()
    threads.Team(1).run(program)
    assert program.helpers == [None]
    assert threading.active_count() == before


@cython
@pytest.mark.parametrize("size", [2, 5])
def test_helpers_sleep_when_idle_and_wake_for_a_run(size: int) -> None:
    team = threads.Team(size)
    helpers = team._helpers
    assert helpers.size == size
    for _ in range(20):
        program = Witness()
        team.run(program)
        assert program.helpers == [helpers]
        until = time.monotonic() + 20
        asleep: list[int] = []
        while len(asleep) < size - 1:  # whom this finds asleep counts as awake from now on
            assert time.monotonic() < until, "a helper does not go to sleep"
            asleep += helpers.sleepers()
        for member in asleep:
            team._wake[member].release()
    team.dismiss()


@cython
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_team_of_any_size_gives_the_same_answer(size: int) -> None:
    want = answer(plan(size=1))
    made = plan(size=size)
    for _ in range(50):
        assert answer(made) == want
    time.sleep(0.01)  # the helpers are asleep again
    assert answer(made) == want


@cython
def test_helpers_that_never_come_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    want = answer(plan(size=1))
    monkeypatch.setattr(threads, "_idle", {})
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    made = plan(size=4)
    for _ in range(3):
        assert answer(made) == want
    ((team,),) = threads._idle.values()
    assert team.size == 4  # it did try
    team.dismiss()


@cython
def test_helpers_that_come_late_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    want = answer(plan(size=1))
    help_ = threads._help

    def late(helpers: Any, member: int, wake: threading.Lock) -> None:
        time.sleep(0.001 * member)
        help_(helpers, member, wake)

    monkeypatch.setattr(threads, "_help", late)
    monkeypatch.setattr(threads, "_idle", {})
    for _ in range(10):
        threads._idle.clear()
        made = plan(size=3)
        for _ in range(5):
            assert answer(made) == want


@cython
def test_dismissed_helpers_end() -> None:
    before = set(threading.enumerate())
    team = threads.Team(4)
    helpers = set(threading.enumerate()) - before
    assert len(helpers) == 3
    team.run(Witness())
    team.dismiss()
    for helper in helpers:
        helper.join(20)
        assert not helper.is_alive()
    awake = threads.Team(2)  # never run: its helper sleeps on its lock
    awake.dismiss()
    forgotten = threads.Team(3)  # as after an interrupt
    forgotten.run(Witness())
    del forgotten
    for helper in set(threading.enumerate()) - before:
        helper.join(20)
        assert not helper.is_alive()


@cython
def test_an_idle_team_is_lent_again_and_two_at_once_are_two_teams() -> None:
    with threads.lend_team(2) as first, threads.lend_team(2) as second:
        assert first is not second
    with threads.lend_team(2) as again:
        assert again in (first, second)


@cython
def test_after_an_interrupt_or_an_error_the_team_does_not_come_back() -> None:
    with pytest.raises(KeyboardInterrupt), threads.lend_team(2) as interrupted:
        interrupted.run(Interrupted())
    with pytest.raises(ValueError), threads.lend_team(2) as failed:
        raise ValueError
    with threads.lend_team(2) as other:
        other.run(Witness())
    assert other is not interrupted and other is not failed
    made = plan()
    want = answer(made)
    program, made._program = made._program, Interrupted()
    with pytest.raises(KeyboardInterrupt):
        made.run()
    made._program = program
    assert answer(made) == want  # and the plan is at rest


@cython
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_makes_a_team_of_its_own() -> None:
    made = plan()
    want = answer(made)
    with threads.lend_team(2) as team:
        pass
    child = os.fork()
    if child == 0:
        good = answer(made) == want
        with threads.lend_team(2) as other:
            good = good and other is not team and other.process == os.getpid()
        os._exit(0 if good else 1)
    assert _status(child) == 0
    assert answer(made) == want


def _status(child: int) -> int:
    """Exit status of a child; it is killed if it hangs."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the forked child hangs")


@cython
def test_idle_teams_are_few() -> None:
    with ExitStack() as stack:
        for _ in range(threads.MOST_IDLE + 3):
            stack.enter_context(threads.lend_team(3))
    assert len(threads._idle[3]) == threads.MOST_IDLE


@cython
def test_a_thread_that_cannot_start_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = threading.Thread.start, []

    def refuse_the_third(self: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        start(self)
        started.append(self)

    monkeypatch.setattr(threading.Thread, "start", refuse_the_third)
    with pytest.raises(DecafError, match="expected 6, got 3: can't start new thread"):
        threads.Team(6)
    for helper in started:  # those that did start are sent home
        helper.join(20)
        assert not helper.is_alive()


@pytest.mark.parametrize(("limit", "expected"), [("150000 100000", 2), ("max 100000", 64)])
def test_a_containers_quota_counts(
    monkeypatch: pytest.MonkeyPatch, limit: str, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: limit)
    assert threads.resolve(None) == expected
