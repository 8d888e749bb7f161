"""Ways to keep two cores busy with photos and a network; one of them is shipped.

Each computes the same features from files in memory, and ``features.py`` compares them before it
takes the time.

    in turn       decode a batch on all threads, then compute it on all threads
    one stream    decode ahead; all threads share each batch
    own batches   each thread decodes a batch and computes it with a plan of its own
    streams       decode ahead; each thread computes batches of its own: ``decaf.features.pipeline``
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decaf.features.pipeline import BATCH_SIZE, compute
from decaf.features.pooling import pool
from decaf.image import load_rgb
from decaf.net import DecafNet
from decaf.plan import Plan
from decaf.plan_pool import PlanPool
from decaf.prepare import cut, normalise

BATCH = BATCH_SIZE
AHEAD = 2  # batches

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Work:
    """Photos, and what is to be made of them."""

    net: DecafNet
    photos: Sequence[bytes]
    layer: str
    pooling: str | None

    def batches(self) -> Iterator[Sequence[bytes]]:
        for first in range(0, len(self.photos), BATCH):
            yield self.photos[first : first + BATCH]

    def cut(self, photo: bytes) -> list[NDArray[np.uint8]]:
        return cut(load_rgb(photo), self.net.preprocessing)

    def run(self, plan: Plan, crops: Sequence[list[NDArray[np.uint8]]]) -> Rows:
        for row, photo in enumerate(crops):
            normalise(photo, self.net.preprocessing, plan.input[row : row + 1])
        plan.run()
        pooled = pool(plan.outputs[self.layer], self.pooling)
        return pooled.reshape(len(pooled), -1).copy()


def in_turn(work: Work) -> Rows:
    found = []
    with ThreadPoolExecutor(work.net.threads) as readers:
        for batch in work.batches():
            crops = list(readers.map(work.cut, batch))
            with work.net.plans.lend(len(batch), (work.layer,)) as plan:
                found.append(work.run(plan, crops))
    return np.concatenate(found)


def one_stream(work: Work) -> Rows:
    found, reading = [], deque()
    batches = work.batches()
    with ThreadPoolExecutor(work.net.threads) as readers:
        for batch in itertools.islice(batches, AHEAD):
            reading.append([readers.submit(work.cut, photo) for photo in batch])
        while reading:
            crops = [future.result() for future in reading.popleft()]
            for batch in itertools.islice(batches, 1):
                reading.append([readers.submit(work.cut, photo) for photo in batch])
            with work.net.plans.lend(len(crops), (work.layer,)) as plan:
                found.append(work.run(plan, crops))
    return np.concatenate(found)


def own_batches(work: Work) -> Rows:
    plans = PlanPool(work.net.network, threads=1, idle=work.net.threads + 1)
    batches, lock = enumerate(work.batches()), threading.Lock()
    found: dict[int, Rows] = {}

    def each() -> None:
        while True:
            with lock:
                number, batch = next(batches, (0, ()))
            if not batch:
                return
            with plans.lend(len(batch), (work.layer,)) as plan:
                found[number] = work.run(plan, [work.cut(photo) for photo in batch])

    threads = [threading.Thread(target=each) for _ in range(work.net.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return np.concatenate([found[number] for number in sorted(found)])


def streams(work: Work) -> Rows:
    photos = [_Held(photo) for photo in work.photos]
    blocks = compute(work.net, photos, [work.layer], pooling=work.pooling, batch_size=BATCH)
    return np.concatenate([block.values[work.layer] for block in blocks])


@dataclass(frozen=True)
class _Held:
    photo: bytes
    path: str = "photo"

    @contextmanager
    def open(self) -> Iterator[bytes]:
        yield self.photo


IDEAS: dict[str, Callable[[Work], Rows]] = {
    "in turn": in_turn,
    "one stream": one_stream,
    "own batches": own_batches,
    "streams": streams,
}
