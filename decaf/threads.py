"""The one place that decides a number of threads, and the team that shares a step.

Python threads run kernels that release the GIL.  That needs no OpenMP runtime in a wheel,
costs some tens of microseconds a step, and survives ``fork``: a child finds the teams of
its parent without their threads, and makes its own.  (GNU OpenMP hangs there.)

BLAS has threads of its own, but a plan of compiled kernels never calls it, so the two
never work at the same time.
"""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from decaf.errors import DecafError

MOST = 1024  # more threads than this are a mistake in the argument

Step = Callable[[Any], None]  # takes part in a step: called with a Tasks counter


def resolve(threads: int | None) -> int:
    """Return how many threads to use.

    Parameters
    ----------
    threads : int or None
        A number from 1 to 1024; None for as many as this process may use cores.

    Raises
    ------
    DecafError
        If it is no such number.
    """
    if threads is None:
        if hasattr(os, "sched_getaffinity"):  # what taskset and containers leave us
            return min(MOST, len(os.sched_getaffinity(0)))
        return min(MOST, os.cpu_count() or 1)
    try:
        number = operator.index(threads)
    except TypeError:
        number = 0
    if not 1 <= number <= MOST:
        raise DecafError(f"threads must be a whole number from 1 to {MOST}; got {threads!r}")
    return number


@contextmanager
def lend_team(size: int) -> Iterator[Team]:
    """Lend a team that nobody else uses meanwhile, made if none is idle.

    A team whose work an error or an interrupt cut short does not come back.
    """
    idle = _idle.setdefault(size, [])
    team = None
    while team is None and idle:
        try:
            team = idle.pop()  # atomic; a lock could stay locked in a forked child
        except IndexError:
            break
        if team.process != os.getpid():
            team = None
    if team is None:
        team = Team(size)
    try:
        yield team
    except BaseException:
        team.dismiss()
        raise
    idle.append(team)


_idle: dict[int, list[Team]] = {}


class Team:
    """The calling thread and ``size - 1`` helpers that do one step at a time together."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.process = os.getpid()
        self._step: Step = _nothing
        self._tasks: Any = None
        self._error: BaseException | None = None
        self._signals = [(_locked(), _locked()) for _ in range(size - 1)]
        for wake, done in self._signals:
            threading.Thread(
                target=self._help, args=(wake, done), name="decaf", daemon=True
            ).start()

    def run(self, step: Step, tasks: Any) -> None:
        """Have every member call ``step(tasks)``; return when all have returned."""
        self._step, self._tasks = step, tasks
        for wake, _ in self._signals:
            wake.release()
        step(tasks)
        for _, done in self._signals:
            done.acquire()
        if self._error is not None:
            raise self._error

    def dismiss(self) -> None:
        """Let the helpers end once they have done what they are at."""
        self._step = _leave
        for wake, _ in self._signals:
            if wake.locked():
                wake.release()

    def _help(self, wake: threading.Lock, done: threading.Lock) -> None:
        while True:
            wake.acquire()
            step = self._step
            if step is _leave:
                return
            try:
                step(self._tasks)
            except BaseException as error:  # handed to the caller by run()
                self._error = error
            done.release()


def _locked() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


def _nothing(tasks: Any) -> None:
    pass


def _leave(tasks: Any) -> None:
    pass
