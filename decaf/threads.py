"""The one place that decides a number of threads, and the team that runs a program.

The helpers are Python threads inside a kernel that has released the GIL.  That needs no
OpenMP runtime in a wheel, and survives ``fork``: a child finds the teams of its parent
without their threads, and makes its own.  (GNU OpenMP hangs there.)

The caller never waits for a helper to come (``_kernels/crew.h``).  A helper that finds nothing
to do for half a millisecond sleeps on a lock, which the next run releases.

BLAS has threads of its own, but a plan of compiled kernels never calls it, so the two
never work at the same time.  The other backends leave all threading to BLAS, whose number of
threads (``OPENBLAS_NUM_THREADS``) may change their last bits; no team helps them.
"""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from decaf.errors import DecafError
from decaf.ops import kernel

MOST = 1024  # more threads than this are a mistake in the argument
MOST_IDLE = 4  # teams of one size that wait for work; more would only hold threads


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

    A team whose run an error or an interrupt cut short does not come back.
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
    yield team
    if len(idle) < MOST_IDLE:
        idle.append(team)


_idle: dict[int, list[Team]] = {}


class Team:
    """The calling thread and ``size - 1`` helpers that run a program together.

    A team of one needs no helpers, and no compiled kernels.  Helpers hold only what they share
    with the team, and end when it goes.

    Raises
    ------
    DecafError
        If the system has no more threads.
    """

    _helpers: Any = None

    def __init__(self, size: int) -> None:
        self.size = size
        self.process = os.getpid()
        self._wake: dict[int, threading.Lock] = {}  # a sleeping helper waits for its lock
        if size > 1:
            self._helpers = kernel("crew").Helpers(size)
        for member in range(1, size):
            wake = threading.Lock()
            wake.acquire()
            self._wake[member] = wake
            helper = threading.Thread(
                target=_help, args=(self._helpers, member, wake), name="decaf", daemon=True
            )
            try:
                helper.start()
            except RuntimeError as error:
                raise DecafError(
                    f"threads must be as many as the system allows; expected {size}, "
                    f"got {member}: {error}"
                ) from error

    def run(self, program: Any) -> None:
        """Run a program, whose steps the helpers share as soon as they are awake."""
        if self._helpers is not None:
            for member in self._helpers.sleepers():
                self._wake[member].release()
        program.run(self._helpers)

    def dismiss(self) -> None:
        """Let the helpers end."""
        if self._helpers is not None:
            self._helpers.dismiss()
            for wake in self._wake.values():
                if wake.locked():
                    wake.release()

    def __del__(self) -> None:
        self.dismiss()


def _help(helpers: Any, member: int, wake: threading.Lock) -> None:
    """What a helper does all its life; it does not hold the team, only what they share."""
    wake.acquire()
    while helpers.help(member):
        wake.acquire()
