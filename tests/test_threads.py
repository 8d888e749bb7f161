"""How many threads, and the team that shares a step."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from decaf import threads
from decaf.errors import DecafError


class Counter:
    """Hands out numbers once each, like the kernels' Tasks."""

    def __init__(self) -> None:
        self._numbers = iter(range(10**9))

    def take(self) -> int:
        return next(self._numbers)


def test_by_default_as_many_as_this_process_may_use() -> None:
    assert 1 <= threads.resolve(None) <= len(os.sched_getaffinity(0))
    assert threads.resolve(3) == 3


@pytest.mark.parametrize("wrong", [0, -1, 1025, 2.0, "2"])
def test_other_numbers_of_threads_are_refused(wrong: Any) -> None:
    with pytest.raises(DecafError, match="whole number from 1 to 1024; got"):
        threads.resolve(wrong)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_every_member_takes_part(size: int) -> None:
    seen = []
    with threads.lend_team(size) as team:
        for _ in range(20):
            together = threading.Barrier(size)  # passes only when all are there at once

            def step(tasks: Counter, together: threading.Barrier = together) -> None:
                together.wait(timeout=20)
                seen.append((threading.get_ident(), tasks.take()))

            team.run(step, Counter())
    assert len({ident for ident, _ in seen}) == size
    assert sorted(number for _, number in seen) == sorted(list(range(size)) * 20)


def test_an_idle_team_is_lent_again_and_two_at_once_are_two_teams() -> None:
    with threads.lend_team(2) as first, threads.lend_team(2) as second:
        assert first is not second
    with threads.lend_team(2) as again:
        assert again in (first, second)


def test_a_helpers_error_reaches_the_caller_and_the_team_does_not_come_back() -> None:
    caller = threading.get_ident()

    def step(tasks: Any) -> None:
        if threading.get_ident() != caller:
            raise ValueError("in a helper")

    with pytest.raises(ValueError, match="in a helper"), threads.lend_team(3) as broken:
        broken.run(step, None)
    with threads.lend_team(3) as team:
        assert team is not broken


def test_an_interrupt_in_a_step_leaves_nothing_that_hangs() -> None:
    def step(tasks: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGINT)
        time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt), threads.lend_team(2) as team:
        team.run(step, None)
    with threads.lend_team(2) as other:
        done: list[int] = []
        other.run(lambda tasks: done.append(1), None)
    assert other is not team and len(done) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_makes_a_team_of_its_own() -> None:
    with threads.lend_team(2) as team:
        team.run(lambda tasks: None, None)
    child = os.fork()
    if child == 0:
        done: list[int] = []
        with threads.lend_team(2) as team:
            team.run(lambda tasks: done.append(1), None)
        os._exit(0 if len(done) == 2 else 1)
    assert _status(child) == 0


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


def test_idle_teams_are_few() -> None:
    with ExitStack() as stack:
        for _ in range(threads.MOST_IDLE + 3):
            stack.enter_context(threads.lend_team(3))
    assert len(threads._idle[3]) == threads.MOST_IDLE


def test_a_thread_that_cannot_start_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(DecafError, match="expected 6, got 1: can't start new thread"):
        threads.Team(6)


@pytest.mark.parametrize(("limit", "expected"), [("150000 100000", 2), ("max 100000", 64)])
def test_a_containers_quota_counts(
    monkeypatch: pytest.MonkeyPatch, limit: str, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: limit)
    assert threads.resolve(None) == expected
