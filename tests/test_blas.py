"""BLAS on one thread while anybody is inside, and as it was when the last one is out."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from decaf.blas import one_thread

threadpoolctl = pytest.importorskip("threadpoolctl")
np.ones((2, 2)) @ np.ones((2, 2))  # BLAS is loaded


def threads() -> list[int]:
    """The number of threads of each BLAS that is loaded, but of those that use OpenMP's.

    With OpenMP each thread of the process has a number of its own; that of faiss is so.
    """
    found = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return [pool["num_threads"] for pool in found if pool.get("threading_layer") != "openmp"]


@pytest.fixture(autouse=True)
def several() -> Iterator[None]:
    """Three threads, on whatever machine, and afterwards what was found."""
    with threadpoolctl.threadpool_limits(3, user_api="blas"):
        if not threads() or set(threads()) != {3}:
            pytest.skip("a BLAS whose threads cannot be set")
        yield


def test_one_inside_and_as_before_outside() -> None:
    with one_thread():
        assert set(threads()) == {1}
    assert set(threads()) == {3}


def test_nested_it_ends_with_the_outermost() -> None:
    with one_thread():
        with one_thread():
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert set(threads()) == {3}


def test_an_error_gives_them_back() -> None:
    with pytest.raises(KeyError), one_thread(), one_thread():
        raise KeyError
    assert set(threads()) == {3}


@pytest.mark.parametrize("first_out", [0, 1])
def test_of_several_threads_the_last_one_out_gives_them_back(first_out: int) -> None:
    leave = [threading.Event(), threading.Event()]
    inside = threading.Semaphore(0)

    def stay(number: int) -> None:
        with one_thread():
            inside.release()
            assert leave[number].wait(10)

    workers = [threading.Thread(target=stay, args=(number,)) for number in range(2)]
    for worker in workers:
        worker.start()
        assert inside.acquire(timeout=10)  # nobody waits for the other to leave
    for number, left in ((first_out, {1}), (1 - first_out, {3})):
        leave[number].set()
        workers[number].join(10)
        assert set(threads()) == left


def test_many_come_and_go() -> None:
    wrong: list[int] = []

    def work() -> None:
        for _ in range(20):
            with one_thread():
                wrong.extend(each for each in threads() if each != 1)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert wrong == []
    assert set(threads()) == {3}


def test_another_thread_may_set_them_again_afterwards() -> None:
    with one_thread():
        pass
    found: list[set[int]] = []

    def limit() -> None:
        with threadpoolctl.threadpool_limits(2, user_api="blas"):
            found.append(set(threads()))

    worker = threading.Thread(target=limit)
    worker.start()
    worker.join(10)
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        found.append(set(threads()))
    # The first may be refused: this thread holds three, by the fixture.
    assert found[-1] == {2}


def forked(work: Callable[[], bool]) -> bool:
    """Whether it is so in a forked process, which has ten seconds."""
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        os._exit(0 if work() else 1)
    return os.waitpid(child, 0)[1] == 0


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
# Threads and forks do not go together in general; here the child calls nothing that waits.
may_fork = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@needs_fork
@may_fork
def test_a_fork_while_another_thread_is_inside() -> None:
    leave, inside = threading.Event(), threading.Event()

    def stay() -> None:
        with one_thread():
            inside.set()
            leave.wait(20)

    def child() -> bool:
        before = set(threads())
        with one_thread():
            during = set(threads())
        return (before, during, set(threads())) == ({3}, {1}, {3})

    worker = threading.Thread(target=stay)
    worker.start()
    try:
        assert inside.wait(10)
        assert forked(child)
        assert set(threads()) == {1}  # here the other is still inside
    finally:
        leave.set()
        worker.join(10)
    assert set(threads()) == {3}


@needs_fork
@may_fork
def test_a_fork_by_who_is_inside_stays_inside() -> None:
    context = one_thread()

    def child() -> bool:
        before = set(threads())
        with one_thread():
            pass
        during = set(threads())
        context.__exit__(None, None, None)
        return (before, during, set(threads())) == ({1}, {1}, {3})

    with context:
        assert forked(child)
    assert set(threads()) == {3}


@needs_fork
@may_fork
def test_a_fork_while_others_come_and_go_does_not_hang() -> None:
    end = threading.Event()

    def work() -> None:
        while not end.is_set():
            with one_thread():
                pass

    def child() -> bool:
        with one_thread():
            return set(threads()) == {1}

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        assert all(forked(child) for _ in range(10))
    finally:
        end.set()
        for worker in workers:
            worker.join(10)
    assert set(threads()) == {3}
