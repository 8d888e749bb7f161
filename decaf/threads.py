"""The one place that decides a number of threads, and the team that shares a step.

Python threads run kernels that release the GIL.  That needs no OpenMP runtime in a wheel,
costs some tens of microseconds a step, and survives ``fork``: a child finds the teams of
its parent without their threads, and makes its own.  (GNU OpenMP hangs there.)

BLAS has threads of its own, but a plan of compiled kernels never calls it, so the two
never work at the same time.  The NumPy layers leave all threading to BLAS, whose number of
threads (``OPENBLAS_NUM_THREADS``) may change their last bits; no team helps them.
"""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from decaf.errors import DecafError

MOST = 1024  # more threads than this are a mistake in the argument
MOST_IDLE = 4  # teams of one size that wait for work; more would only hold threads

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
        return min(MOST, _cores())
    try:
        number = operator.index(threads)
    except TypeError:
        number = 0
    if not 1 <= number <= MOST:
        raise DecafError(f"threads must be a whole number from 1 to {MOST}; got {threads!r}")
    return number


def _cores() -> int:
    """Cores that this process may use: those it may run on, less what a container withholds."""
    if not hasattr(os, "sched_getaffinity"):  # not Linux
        return os.cpu_count() or 1
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores, -(-int(quota) // int(period))))  # rounded up
    except (OSError, ValueError):  # no such file, or "max": no limit
        return cores


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
    if len(idle) < MOST_IDLE:
        idle.append(team)
    else:
        team.dismiss()


_idle: dict[int, list[Team]] = {}


class Team:
    """The calling thread and ``size - 1`` helpers that do one step at a time together."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.process = os.getpid()
        self._step: Step = _nothing
        self._tasks: Any = None
        self._error: BaseException | None = None
        self._signals: list[tuple[threading.Lock, threading.Lock]] = []
        for _ in range(size - 1):
            wake, done = _locked(), _locked()
            helper = threading.Thread(
                target=self._help, args=(wake, done), name="decaf", daemon=True
            )
            try:
                helper.start()
            except RuntimeError as error:
                self.dismiss()
                raise DecafError(
                    f"threads must be as many as the system allows; expected {size}, "
                    f"got {len(self._signals) + 1}: {error}"
                ) from error
            self._signals.append((wake, done))

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
