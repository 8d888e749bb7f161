"""Threads that decode ahead of threads that compute, so that neither waits for the other.

    workers    read a photo, decode, resize, crop                    -> bytes, h,w,C
    streams    normalise a batch of those, run it through the net    -> features
    caller     gets the blocks in the order of the photos

A stream computes with a plan of one thread.  As many streams as threads do more in a second
than one stream whose threads share each batch: nobody waits at the end of a layer, also where
a core is lent to a worker meanwhile.  The bits are the same, as they are for any number of
threads.  A single batch, and backends that leave threads to BLAS, get one stream with all threads.

Only so many batches are under way at a time (`AHEAD` for each stream), so memory does not grow
with the number of photos.  Workers hand over bytes, which take a quarter of the memory of what
the first layer sees, and stay in the cache of a core.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError, ImageError
from decaf.features.contents import Block
from decaf.features.naming import shown
from decaf.features.pooling import check_pooling, pool, pooled_shape
from decaf.image import Photo, load_rgb
from decaf.names import layer_name
from decaf.net import DecafNet, at_least_one, mean_of_crops
from decaf.plan_pool import PlanPool
from decaf.prepare import CROPS, cut, normalise
from decaf.threads import resolve

BATCH_SIZE = 16  # a stream's values then stay in the cache of its core
MOST_AT_ONCE = 512  # crops a block: more would save no time
AHEAD = 2  # batches for each stream: one that is computed, and one that is decoded meanwhile

Crops = list[NDArray[np.uint8]]


class Openable(Protocol):
    """A photo that may be read, such as a ``decaf.features.sources.Source``."""

    @property
    def path(self) -> str:
        """What errors call it."""

    def open(self) -> AbstractContextManager[Photo]:
        """Give the photo; called in any thread."""


def widths(net: DecafNet, layers: Sequence[str], pooling: str | None = None) -> dict[str, int]:
    """Return the number of features of each layer, as they come out of `compute`.

    Raises
    ------
    ArchitectureError
        If there is no such layer.
    FeaturesError
        If there is no such pooling.
    """
    check_pooling(pooling)
    shapes = {
        layer: net.architecture.shapes[layer_name(net.architecture, layer)] for layer in layers
    }
    return {layer: int(np.prod(pooled_shape(shape, pooling))) for layer, shape in shapes.items()}


def check_numbers(batch_size: int, workers: int | None) -> None:
    """Check options of `compute`.

    Raises
    ------
    ShapeError, DecafError
        If one is no number that it may be.
    """
    at_least_one("batch_size", batch_size)
    if workers is not None:
        at_least_one("workers", workers)
        resolve(workers)


def compute(
    net: DecafNet,
    photos: Sequence[Openable],
    layers: Sequence[str],
    *,
    oversample: bool = False,
    pooling: str | None = None,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    start: int = 0,
) -> Generator[Block, None, None]:
    """Yield what the photos give, a block at a time, in their order.

    Parameters
    ----------
    net : DecafNet
        Its ``threads`` is the number of streams.
    photos : sequence of Openable
        What to read.
    layers : sequence of str
        Names as ``DecafNet.features`` takes them.
    oversample : bool
        Average over ten crops.
    pooling : {None, "average", "max"}
        For layers of maps, see ``decaf.features.pooling``; done before crops are averaged.
    batch_size : int
        How many crops a stream computes at once, all of a photo together, and 512 at most;
        decides memory and speed, never the result.
    workers : int, optional
        Threads that read and decode; by default one more than this process may use cores.
        More help where photos come from a slow disk or a network.
    start : int
        The first photo to compute; the numbers of the photos remain those of the list.

    Yields
    ------
    Block
        Of up to ``batch_size`` photos.

    Raises
    ------
    FeaturesError
        If the machine and no photo is to blame: no memory, too many open files, a disk that does
        not answer, an archive that was changed meanwhile.
    ShapeError, DecafError
        If `batch_size` or `workers` is no number that it may be.
    """
    names = {layer: layer_name(net.architecture, layer) for layer in layers}
    outputs = tuple(name for name in net.architecture.inputs if name in names.values())
    crops = CROPS if oversample else 1
    check_numbers(batch_size, workers)
    size = max(1, min(batch_size, MOST_AT_ONCE) // crops)
    streams = net.threads if net.backend == "cython" and len(photos) - start > size else 1
    plans = net.plans if streams == 1 else PlanPool(net.network, threads=1, idle=streams + 1)

    def read(photo: Openable) -> Crops | str:
        try:
            with photo.open() as opened:
                rgb = load_rgb(opened, max_pixels=net.max_pixels, name=shown(photo.path))
            return cut(rgb, net.preprocessing, oversample=oversample)
        except ImageError as error:
            if _of_the_machine(error.__cause__):
                raise FeaturesError(f"{error} (no fault of the photo: resume later)") from error
            return str(error).removeprefix(f"{shown(photo.path)}: ")

    def run(first: int, results: list[Crops | str]) -> Block:
        failed = {i: r for i, r in enumerate(results, first) if isinstance(r, str)}
        good = [r for r in results if not isinstance(r, str)]
        with plans.lend(len(results) * crops, outputs) as plan:
            for index, photo in enumerate(good):
                rows = slice(index * crops, (index + 1) * crops)
                normalise(photo, net.preprocessing, plan.input[rows])
            plan.input[len(good) * crops :] = 0
            if good:
                plan.run()
            values = {}
            for layer, name in names.items():
                found = plan.outputs[name][: len(good) * crops]
                values[layer] = mean_of_crops(pool(found, pooling), crops)
        return Block(first, len(results), failed, values)

    if len(photos) - start == 1:  # threads would take longer to start than it takes
        yield run(start, [read(photos[start])])
        return

    def run_when_read(first: int, reading: list[Future[Crops | str]]) -> Block:
        return run(first, [future.result() for future in reading])

    under_way: deque[Future[Block]] = deque()
    readers = ThreadPoolExecutor(
        resolve(None) + 1 if workers is None else resolve(workers), thread_name_prefix="decaf-read"
    )
    computers = ThreadPoolExecutor(streams, thread_name_prefix="decaf-compute")
    try:
        for first in range(start, len(photos), size):
            part = photos[first : first + size]
            reading = [readers.submit(read, photo) for photo in part]
            under_way.append(computers.submit(run_when_read, first, reading))
            if len(under_way) == AHEAD * streams:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:  # also when the caller asks for no more
        readers.shutdown(wait=False, cancel_futures=True)
        computers.shutdown(wait=True, cancel_futures=True)


# What the system says when it lacks something, not the photo.
_OF_THE_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE)


def _of_the_machine(cause: BaseException | None) -> bool:
    if isinstance(cause, OSError):
        return cause.errno in _OF_THE_MACHINE
    return isinstance(cause, MemoryError)
