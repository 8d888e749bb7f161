"""BLAS on one thread, where the same bits must come out whatever the machine's cores.

Matrix products on several threads add in another order than on one; the last bits differ, and with
them ties and signs.  For small products the threads also mostly wait for each other.  OpenBLAS has
one number of threads for the whole process: others that use it meanwhile are slower, and get their
threads back.

Whoever is inside counts, from whatever thread; the last one out restores.  The lock is held only
while somebody enters or leaves, never while they work: inside, anybody may call anything, also
what enters again, and may fork.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.RLock()  # a signal handler in the thread that holds it gets it, too
_inside: Counter[int] = Counter()  # how often each thread has entered and not left
_limits: list[Any] = []  # what each that entered found; undone from the last to the first


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep BLAS on one thread for the whole process while inside; needs threadpoolctl.

    May be nested, and entered by several threads at once; it ends with the last of them, also
    when they raise.  A process forked meanwhile has only the thread that forked: if that one is
    not inside, BLAS has its threads back there at once.
    """
    thread = threading.get_ident()
    with _lock:
        _limit()
        _inside[thread] += 1
    try:
        yield
    finally:
        _leave(thread)


def _limit() -> None:
    """Limit again for each that enters: a library may have been loaded since the first came."""
    import threadpoolctl

    _take_control()
    # Not as a context: that counts in the thread that opens it, and another may close it.
    _limits.append(threadpoolctl.threadpool_limits(1, user_api="blas"))


def _restore() -> None:
    _take_control()
    while _limits:
        _limits.pop().restore_original_limits()
    _take_control()  # and leave it to nobody


def _take_control() -> None:
    """Threadpoolctl 3.7 and later heeds only the first thread that ever set OpenBLAS's number."""
    import threadpoolctl

    clear = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


def _leave(thread: int) -> None:
    with _lock:
        if thread not in _inside:
            return  # of a thread that this process does not have, being forked
        _inside[thread] -= 1
        if not _inside[thread]:
            del _inside[thread]
        if not _inside:
            _restore()


def _in_child() -> None:
    """Forget the threads that were not forked; no other was entering, as the lock is held."""
    me = threading.get_ident()
    for thread in [each for each in _inside if each != me]:
        del _inside[thread]
    if _limits and not _inside:
        _restore()
    _lock.release()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_in_child
    )
