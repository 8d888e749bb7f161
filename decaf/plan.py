"""Specs + parameters + batch size -> buffers and bound calls.  ``run`` only computes.

This is the only place that knows about buffers, fusion and threads.

- A :class:`Network` holds the parameters, packed once for one backend.  Plans share it.
- A :class:`Plan` is for one batch size and one choice of layers.  When it is built it
  decides what has to be computed at all, which layers cost nothing (Dropout, Flatten),
  which ReLUs join the layer in front of them, and where in one block of memory each value
  lies: two values share memory when their lives do not overlap.

A layer that is asked for is never fused away: ``fc6`` is the value before ReLU, ``relu6``
the value after.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from decaf.backends import Array, Call, get_backend
from decaf.errors import DecafError, ShapeError
from decaf.memory import Block, MemoryTable, aligned_empty, place
from decaf.specs import (
    INPUT,
    LRN,
    Architecture,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    ReLU,
)
from decaf.threads import lend_team

WORTH_A_TEAM = 1_000_000  # multiply-adds below which waking helpers costs more than it gains


class Network:
    """An architecture with its parameters, packed for one backend; not changed afterwards.

    Parameters
    ----------
    architecture : Architecture
    parameters : mapping of str to ndarray, float32
        ``{"conv1/weight": …, "conv1/bias": …}``, exactly what
        ``architecture.parameter_shapes`` lists.
    backend : {"auto", "cython", "numpy"}

    Raises
    ------
    ShapeError
        If a parameter is missing, unknown, or of another shape or dtype.
    """

    def __init__(
        self,
        architecture: Architecture,
        parameters: Mapping[str, NDArray[np.float32]],
        backend: str = "auto",
    ) -> None:
        self.architecture = architecture
        self.engine = get_backend(backend)
        self.backend = self.engine.name
        arrays = _checked(architecture, parameters)
        self.parameter_bytes = sum(array.nbytes for array in arrays.values())
        self.packed = {
            layer.name: self.engine.pack(
                layer, arrays[f"{layer.name}/weight"], arrays[f"{layer.name}/bias"]
            )
            for layer in architecture.layers
            if isinstance(layer, (Conv, Linear))
        }


@dataclass(frozen=True)
class Step:
    """One piece of work: a layer, with the ReLU that was fused into it."""

    layers: tuple[str, ...]  # names, in order of execution
    multiply_adds: int  # for the whole batch
    call: Call
    team: bool  # whether the work is worth several threads

    @property
    def name(self) -> str:
        """``"conv1+relu1"``."""
        return "+".join(self.layers)


class Plan:
    """A network made ready for one batch size.  Not for two threads at once.

    Parameters
    ----------
    network : Network
    batch : int
        N, at least 1.
    outputs : sequence of str
        Names of the layers whose values are wanted; the last layer by default.
    threads : int

    Attributes
    ----------
    input : ndarray, N,C,H,W float32
        Write the photos here, then call ``run``.  It keeps its values.
    outputs : dict of str to ndarray, float32
        The wanted values; the next ``run`` overwrites them.
    steps : tuple of Step

    Raises
    ------
    ArchitectureError
        If a wanted layer does not exist.
    """

    def __init__(
        self, network: Network, batch: int, outputs: Sequence[str] = (), *, threads: int = 1
    ) -> None:
        if batch < 1:
            raise ShapeError(f"batch must be at least 1; got {batch}")
        architecture = network.architecture
        wanted = tuple(outputs) or (architecture.layers[-1].name,)
        self._threads = threads
        self._tasks = network.engine.new_tasks()
        self._network = network

        source, *jobs = _fuse(architecture, wanted)
        self._blocks = _blocks(architecture, (source, *jobs), wanted, batch)
        arena = self._allocate(max(block.end for block in self._blocks))
        arrays = {block.name: block.array(arena) for block in self._blocks}
        for job in (source, *jobs):  # layers that cost nothing are another name for their input
            for alias in job.aliases:
                shape = (batch, *architecture.shapes[alias])
                arrays[alias] = arrays[job.result].reshape(shape)

        scratch = max((self._workspace(job, arrays) for job in jobs), default=0)
        scratch = -(-scratch // 16) * 16  # whole cache lines, so that threads share none
        memory = self._allocate(threads * scratch * 4).view(np.float32)
        self._scratch = memory.reshape(threads, scratch)  # THREADS,floats
        self.input: Array = arrays[INPUT]
        self.outputs: dict[str, Array] = {name: arrays[name] for name in wanted}
        self.steps = tuple(self._step(job, arrays, batch) for job in jobs)
        self._team_size = threads if any(step.team for step in self.steps) else 1
        self._running = False

    def run(self) -> None:
        """Compute ``outputs`` from ``input``.

        With the compiled kernels it allocates no arrays; the NumPy layers make temporary ones.

        Raises
        ------
        DecafError
            If another thread runs this plan, or an interrupt cut its last run short: helpers
            may still be at work on it then.
        """
        for _ in self._run():
            pass

    def time_steps(self) -> list[float]:
        """Run once; return the seconds that each step took."""
        ends = [time.perf_counter(), *(time.perf_counter() for _ in self._run())]
        return [end - start for start, end in pairwise(ends)]

    def _run(self) -> Iterator[None]:
        """Do step by step, and stop behind each."""
        if self._running:
            raise DecafError(
                f"{self._network.architecture.name}: a plan must be run by one thread at a time, "
                "to the end; expected one at rest, got one that is running or was interrupted"
            )
        self._running = True
        with lend_team(self._team_size) as team:
            for step in self.steps:
                self._tasks.reset()
                if step.team:
                    team.run(step.call, self._tasks)
                else:
                    step.call(self._tasks)
                yield
        self._running = False

    def memory(self) -> MemoryTable:
        """Where every value lies, and how much memory the plan takes in all."""
        parameters = self._network.parameter_bytes
        return MemoryTable(self._blocks, self._scratch.nbytes, parameters)

    def _allocate(self, nbytes: int) -> NDArray[np.uint8]:
        try:
            return aligned_empty(nbytes)
        except MemoryError as error:
            raise DecafError(
                f"{self._network.architecture.name}: a batch must fit into memory; "
                f"expected room for {nbytes:,} bytes, got none: take a smaller batch"
            ) from error

    def _workspace(self, job: _Job, arrays: Mapping[str, Array]) -> int:
        engine, packed = self._network.engine, self._network.packed.get(job.layer.name)
        return engine.workspace(job.layer, packed, [arrays[name] for name in job.inputs])

    def _step(self, job: _Job, arrays: Mapping[str, Array], batch: int) -> Step:
        architecture, layer = self._network.architecture, job.layer
        call = self._network.engine.bind(
            layer,
            self._network.packed.get(layer.name),
            [arrays[name] for name in job.inputs],
            arrays[job.result],
            job.relu is not None,
            self._threads,
            self._scratch,
        )
        shapes = architecture.input_shapes(layer)
        multiply_adds = batch * layer.multiply_adds(*shapes)
        # What is not a product costs as much as some products; LRN's square roots as many more.
        values = batch * sum(map(math.prod, (*shapes, architecture.shapes[layer.name])))
        work = multiply_adds + values * (20 if isinstance(layer, LRN) else 10)
        team = (
            self._threads > 1
            and work >= WORTH_A_TEAM
            and self._network.backend != "numpy"
            and not isinstance(layer, Concat)
        )
        names = (layer.name,) if job.relu is None else (layer.name, job.relu)
        return Step(names, multiply_adds, call, team)


@dataclass
class _Job:
    """A layer that is computed, with what follows it at no cost; or the input itself."""

    layer: Layer
    inputs: tuple[str, ...]  # names of the layers that it reads
    reads: tuple[str, ...]  # names of the values behind them, which have memory of their own
    result: str  # the name of the value: the layer's, or that of a fused ReLU
    relu: str | None = None  # the ReLU that joins this layer
    aliases: tuple[str, ...] = ()  # Dropout, Flatten: other names of the same value


def _fuse(architecture: Architecture, wanted: Sequence[str]) -> list[_Job]:
    """Decide what is computed at all, which layers cost nothing, which ReLUs are fused.

    The first job is the input.
    """
    needed, readers = _needed(architecture, wanted)
    jobs = [_Job(Layer(INPUT), (), (), INPUT)]
    source = {INPUT: jobs[0]}  # layer -> the job that gives its value
    for layer in architecture.layers:
        if layer.name not in needed:
            continue
        inputs = architecture.inputs[layer.name]
        before = source[inputs[0]]
        if isinstance(layer, (Dropout, Flatten)):
            before.aliases += (layer.name,)
            source[layer.name] = before
        elif (
            isinstance(layer, ReLU)
            and isinstance(before.layer, (Conv, Linear))
            and before.result == inputs[0]  # no ReLU, no Dropout in between
            and readers[inputs[0]] == 1
            and inputs[0] not in wanted
        ):
            before.relu = before.result = layer.name
            source[layer.name] = before
        else:
            reads = tuple(source[name].result for name in inputs)
            source[layer.name] = _Job(layer, inputs, reads, layer.name)
            jobs.append(source[layer.name])
    return jobs


def _blocks(
    architecture: Architecture, jobs: Sequence[_Job], wanted: Sequence[str], batch: int
) -> tuple[Block, ...]:
    """Give every value its place; the input and what is wanted keep theirs to the end."""
    end = len(jobs)
    last_use = {
        name: number for number, job in enumerate(jobs) for name in (*job.reads, job.result)
    }
    for job in jobs:
        if job.result == INPUT or {job.result, *job.aliases} & set(wanted):
            last_use[job.result] = end
    return place(
        (job.result, (batch, *architecture.shapes[job.result]), number, last_use[job.result])
        for number, job in enumerate(jobs)
    )


def _needed(architecture: Architecture, wanted: Sequence[str]) -> tuple[set[str], dict[str, int]]:
    """Names of the layers that ``wanted`` rests on, and how many of those read each."""
    for name in wanted:
        if name != INPUT:
            architecture.layer(name)  # raises for an unknown name
    needed = set(wanted)
    readers: dict[str, int] = dict.fromkeys(architecture.shapes, 0)
    for layer in reversed(architecture.layers):
        if layer.name in needed:
            for name in architecture.inputs[layer.name]:
                needed.add(name)
                readers[name] += 1
    return needed, readers


def _checked(
    architecture: Architecture, parameters: Mapping[str, NDArray[np.float32]]
) -> dict[str, Array]:
    """Return the parameters C-contiguous, or say which one is not as the architecture wants."""
    expected = architecture.parameter_shapes
    for problem, names in (
        ("missing", expected.keys() - parameters.keys()),
        ("unknown", parameters.keys() - expected.keys()),
    ):
        if names:
            raise ShapeError(
                f"{architecture.name}: parameters must be those of its layers; "
                f"expected {len(expected)}, got {problem}: {', '.join(sorted(names))}"
            )
    arrays = {}
    for name, shape in expected.items():
        array = np.asarray(parameters[name])
        if array.shape != shape or array.dtype != np.float32:
            raise ShapeError(
                f"{name}: must be as {architecture.name} says; expected {shape} float32, "
                f"got {array.shape} {array.dtype}"
            )
        arrays[name] = np.ascontiguousarray(array)
    return arrays
