"""Time several ways of doing the same thing, in turn, on a machine that others use too.

    A B C   A B C   A B C   …

Each turn of a contestant is: a pause, one call that does not count, then the calls that do.

- In turn: what disturbs the machine for a while disturbs all of them, and medians of what is
  left can be compared although each alone may be off.
- The pause lets the threads of the one before fall asleep.  Those of OpenMP (PyTorch) and of
  OpenBLAS (NumPy, SciPy) keep a core busy for a while after their work, in the hope of more:
  OpenBLAS for 2**26 ticks, some 30 ms; with a pause of 50 ms decaf on two threads still seemed
  no faster than on one.  No environment variable is set that would change this.
- The call that does not count wakes each contestant's own threads and brings its data back
  into the caches, so that it is timed as in a steady stream of its own work.

Nothing is checked here: the benchmarks compare results before they take times.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

PAUSE = 0.25  # seconds


@dataclass(frozen=True)
class Timing:
    """Seconds that one call took, once for each round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third: half of all rounds lie between them."""
        if len(self.seconds) == 1:
            return self.seconds[0], self.seconds[0]
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return first, third

    def as_dict(self) -> dict[str, float | int | list[float]]:
        """In milliseconds, for JSON."""
        return {
            "median_ms": round(self.median * 1e3, 5),
            "quartiles_ms": [round(quartile * 1e3, 5) for quartile in self.quartiles],
            "rounds": len(self.seconds),
        }

    def __str__(self) -> str:
        """``12.3 (12.1–12.6)``: milliseconds, the median and the quartiles."""
        low, high = self.quartiles
        digits = max(0, 2 - math.floor(math.log10(self.median * 1e3)))  # three that count
        return f"{self.median * 1e3:.{digits}f} ({low * 1e3:.{digits}f}–{high * 1e3:.{digits}f})"


def interleave(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    pause: float = PAUSE,
    warm: bool = True,
    least: float = 0.0,
) -> dict[str, Timing]:
    """Time the contestants in turn.

    Parameters
    ----------
    contestants : mapping of str to callable
    rounds : int
        At least 1.
    pause : float
        Seconds of rest before each turn.
    warm : bool
        Whether each turn begins with a call that does not count.  All are called once before
        the first round in any case.
    least : float
        Seconds that a turn shall last: a shorter call is repeated, and its mean counts.

    Returns
    -------
    dict of str to Timing
        In the order of ``contestants``.
    """
    repeats = {name: _repeats(call, least) for name, call in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            time.sleep(pause)
            if warm:
                call()
            start = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            seconds[name].append((time.perf_counter() - start) / repeats[name])
    return {name: Timing(tuple(each)) for name, each in seconds.items()}


def ratios(timings: Mapping[str, Timing], to: str) -> dict[str, float]:
    """Each median divided by that of the contestant ``to``, which is left out."""
    return {
        name: timing.median / timings[to].median for name, timing in timings.items() if name != to
    }


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table, its columns in line."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _repeats(call: Callable[[], object], least: float) -> int:
    """How often to call for ``least`` seconds; the first call, which finds nothing ready, waits."""
    call()
    if not least:
        return 1
    start = time.perf_counter()
    call()
    return max(1, math.ceil(least / (time.perf_counter() - start)))
