"""decaf by itself: how near it comes to the machine's ceiling, and how it grows.

- Convolutions at a large batch against the peak of multiply-adds, fully connected layers at
  batch 1 against the bandwidth of memory.  Multiplications are counted as a direct convolution
  has them: an algorithm with fewer may go over 100 %.  The bandwidth drifts by a third within a
  minute, so the probe reads in turn with the layers, and medians are compared.
- Time an image and memory over the batch size.
- Two Python threads that share one ``DecafNet``.
"""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import probe
from numpy.typing import NDArray
from peers_contestants import DECAF, decaf_keywords, decaf_precisions
from peers_models import OUTPUT
from probe import Ceiling
from random_weights import normal
from timing import PAUSE, Timing, interleave

from decaf.net import DecafNet
from decaf.plan import Network, Plan
from decaf.specs import Architecture, Linear

CONV, LINEAR = "conv", "fc"  # how the names of the steps begin
CONV_BATCH, LINEAR_BATCH = 32, 1
SECONDS = 1.0  # of each round of the two threads


class Rate(NamedTuple):
    """All layers of one kind together."""

    name: str
    layers: str  # CONV or LINEAR
    threads: int
    batch: int
    rate: float  # GFLOP/s, or GB/s of weights
    steps_ms: dict[str, float]
    read: float | None  # GB/s of the probe, in turn with fully connected layers

    def share(self, ceilings: Sequence[Ceiling]) -> float | None:
        """Of the ceiling of as many threads; None where there is none."""
        if self.read is not None:
            return self.rate / self.read
        for ceiling in ceilings:
            if ceiling.threads == self.threads:
                return self.rate / (ceiling.peak if self.layers == CONV else ceiling.bandwidth)
        return None


def rates(networks: Mapping[str, Network], threads: Sequence[int], rounds: int) -> list[Rate]:
    """Convolutions and fully connected layers of each precision, on each number of threads."""
    found = []
    for name, network in networks.items():
        weight_bytes = _linear_bytes(network, decaf_precisions()[name])
        for number in threads:
            for kind, batch in ((CONV, CONV_BATCH), (LINEAR, LINEAR_BATCH)):
                steps, multiply_adds, read = _steps(network, kind, batch, number, rounds)
                seconds = sum(steps.values())
                work = 2 * multiply_adds if kind == CONV else weight_bytes
                steps_ms = {step: each * 1e3 for step, each in steps.items()}
                found.append(Rate(name, kind, number, batch, work / seconds / 1e9, steps_ms, read))
    return found


def _steps(
    network: Network, kind: str, batch: int, threads: int, rounds: int
) -> tuple[dict[str, float], int, float | None]:
    """Median seconds of each step of one kind, the multiply-adds of all, and GB/s meanwhile."""
    plan = Plan(network, batch, (OUTPUT,), threads=threads)
    plan.input[...] = normal(*plan.input.shape)
    plan.run()
    read = probe.reader(threads) if kind == LINEAR else None
    times, reads = [], []
    for _ in range(rounds if kind == CONV else 3 * rounds):
        if read is not None:
            reads.append(read())
            plan.run()  # what is cached is of the network again
        times.append(plan.time_steps())
    medians = [statistics.median(each) for each in zip(*times, strict=True)]
    chosen = [
        (step, seconds)
        for step, seconds in zip(plan.steps, medians, strict=True)
        if step.name.startswith(kind)
    ]
    return (
        {step.name: seconds for step, seconds in chosen},
        sum(step.multiply_adds for step, _ in chosen),
        statistics.median(reads) if reads else None,
    )


def _linear_bytes(network: Network, precision: str) -> int:
    """Bytes of the weights of the fully connected layers, each of which is read once."""
    shapes = network.architecture.parameter_shapes
    values = sum(
        shape[0] * shape[1]
        for name, shape in shapes.items()
        if name.startswith(LINEAR) and len(shape) == 2
    )
    return values * (4 if precision == "float32" else 2)


def limit_seconds(architecture: Architecture, batch: int, ceiling: Ceiling) -> float:
    """The least time of one forward pass in float32 without an algorithm that multiplies less.

    Convolutions at the peak; a fully connected layer at the peak, or as fast as its weights
    come from memory, whichever takes longer.
    """
    seconds = 0.0
    for layer in architecture.layers:
        shapes = architecture.input_shapes(layer)
        computing = 2 * batch * layer.multiply_adds(*shapes) / ceiling.peak
        values = math.prod(layer.parameter_shapes(*shapes).get("weight", (0,)))
        reading = 4 * values / ceiling.bandwidth if isinstance(layer, Linear) else 0.0
        seconds += max(computing, reading) / 1e9
    return seconds


class Growth(NamedTuple):
    """A plan of one batch size."""

    batch: int
    timing: Timing
    beyond: int  # bytes besides input and output

    @property
    def image_ms(self) -> float:
        return self.timing.median / self.batch * 1e3

    def as_dict(self) -> dict[str, Any]:
        return {
            "batch": self.batch,
            "time": self.timing.as_dict(),
            "image_ms": self.image_ms,
            "beyond_bytes": self.beyond,
        }


def growth(network: Network, batches: Sequence[int], threads: int, rounds: int) -> list[Growth]:
    """Time and memory of plans for these batch sizes."""
    plans = {str(batch): Plan(network, batch, (OUTPUT,), threads=threads) for batch in batches}
    beyond = {}
    for name, plan in plans.items():
        plan.input[...] = normal(*plan.input.shape)
        memory = plan.memory()
        beyond[name] = memory.arena_bytes + memory.scratch_bytes
    timings = interleave({name: plan.run for name, plan in plans.items()}, rounds)
    return [Growth(int(name), timing, beyond[name]) for name, timing in timings.items()]


def two_python_threads(weights: Path, rounds: int) -> dict[str, Any]:
    """Photos a second of one and of two Python threads on one ``DecafNet`` of one thread each."""
    net = DecafNet(weights, threads=1, **decaf_keywords(decaf_precisions()[DECAF]))
    x = normal(1, *net.architecture.input_shape)
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for threads, each in rates.items():
            time.sleep(PAUSE)
            each.append(_throughput(net, x, threads))
    one, two = (statistics.median(each) for each in rates.values())
    return {"one_per_second": one, "two_per_second": two, "ratio": two / one}


def _throughput(net: DecafNet, x: NDArray[Any], threads: int) -> float:
    """Calls a second of all threads together."""
    rates = []

    def work() -> None:
        net.forward(x)  # makes the plan of this thread
        ready.wait()
        start, calls = time.perf_counter(), 0
        while (passed := time.perf_counter() - start) < SECONDS:
            net.forward(x)
            calls += 1
        rates.append(calls / passed)

    ready = threading.Barrier(threads)
    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(rates)
