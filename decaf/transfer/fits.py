"""Many small fits, some at once, each on one thread of BLAS; an error ends them all."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from decaf.blas import one_thread

Fit = TypeVar("Fit", bound=Hashable)
Found = TypeVar("Found")


def run_all(
    run: Callable[[Fit], Found],
    fits: Sequence[Fit],
    on_step: Callable[[int, int], None] | None,
    at_once: int,
) -> dict[Fit, Found]:
    """Return what `run` gives for each.

    Parameters
    ----------
    run : callable
        Called in other threads; what it gives may not depend on when.
    fits : sequence
        Different ones, the longest first.
    on_step : callable or None
        Called in the caller's thread after each, with how many are done and how many there are.
    at_once : int
        How many may run at a time.
    """
    found = {}
    with one_thread(), ThreadPoolExecutor(at_once) as pool:
        waiting = {pool.submit(run, fit): fit for fit in fits}
        try:
            for done, future in enumerate(as_completed(waiting), start=1):
                found[waiting[future]] = future.result()
                if on_step is not None:
                    on_step(done, len(fits))
        except BaseException:  # also Ctrl-C: wait for those that run, and for no other
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found
