"""Plans that wait for their next batch, for any number of Python threads at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from decaf.plan import Network, Plan

# One each for single photos, full batches, what is left over at the end, and one to spare.
# More would only hold memory.
IDLE_PLANS = 4


class PlanPool:
    """Lends plans of one network, and keeps a few of those that come back.

    It holds no lock: ``append`` and ``popleft`` of a deque are atomic, and what is not locked
    cannot be left locked in a forked child.  Threads that meet here may at worst build a plan
    more than they need.
    """

    def __init__(self, network: Network, threads: int, idle: int = IDLE_PLANS) -> None:
        self._network = network
        self._threads = threads
        self._idle: deque[tuple[int, tuple[str, ...], Plan]] = deque(maxlen=idle)

    @contextmanager
    def lend(self, batch: int, outputs: tuple[str, ...]) -> Iterator[Plan]:
        """Lend a plan of this size to the caller alone.

        A plan whose work an error cut short does not come back.
        """
        plan = self._take(batch, outputs)
        if plan is None:
            plan = Plan(self._network, batch, outputs, threads=self._threads)
        yield plan
        self._idle.append((batch, outputs, plan))

    def _take(self, batch: int, outputs: tuple[str, ...]) -> Plan | None:
        for _ in range(len(self._idle)):
            try:
                idle = self._idle.popleft()
            except IndexError:  # other threads took the rest
                break
            if idle[:2] == (batch, outputs):
                return idle[2]
            self._idle.append(idle)
        return None
