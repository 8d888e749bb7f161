"""Specs + parameters + batch size -> buffers and a program.  ``run`` only computes.

This is the only place that knows about buffers, fusion, layout and threads.

- A :class:`Network` holds the parameters, packed once for one backend when the first plan asks
  for them.  Plans share it.
- A :class:`Plan` is for one batch size and one choice of layers.  When it is built it
  decides what has to be computed at all, which layers cost nothing (Dropout, Flatten),
  which ReLUs join the layer in front of them, in which order of its axes each value is needed,
  and where in one block of memory it lies: two values share memory when their lives do not
  overlap.

A layer that is asked for is never fused away: ``fc6`` is the value before ReLU, ``relu6``
the value after.

The kernels want the channels of a pixel side by side, N,H,W,C.  The input of a plan and its
outputs are N,C,H,W, and so is what a Linear reads, whose weights are in the order C,H,W.  Where a
value is needed in the other order, a step of its own copies it, once.

A large batch goes through the layers in pieces, one after the other in the same memory; only its
input and outputs grow with it (and a list of steps, by some kilobytes an image).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decaf.backends import Array, get_backend
from decaf.errors import ArchitectureError, DecafError, ShapeError
from decaf.memory import Block, MemoryTable, aligned_empty, place, release
from decaf.specs import INPUT, Architecture, Conv, Dropout, Flatten, Layer, Linear, ReLU, Shape
from decaf.threads import lend_team, resolve

WORTH_A_TEAM = 1_000_000  # multiply-adds below which waking helpers costs more than it gains
PRECISIONS = ("float32", "float16")
PIECE = 32  # images that are computed at a time: more would take more memory, and save no time
AT_ONCE = 2**20  # values that are rounded to float16 at a time


class Network:
    """An architecture with its parameters, packed for one backend; not changed afterwards.

    Parameters
    ----------
    architecture : Architecture
    parameters : mapping of str to ndarray, float32
        ``{"conv1/weight": …, "conv1/bias": …}``, exactly what
        ``architecture.parameter_shapes`` lists.  Also float16, where `precision` is.
    backend : {"auto", "cython", "blas", "numpy"}
    precision : {"float32", "float16"}
        How the weights of fully connected layers are kept: float16 halves their memory, and the
        time to read them.  All others are float32, and so is all arithmetic.

    Raises
    ------
    ShapeError
        If a parameter is missing, unknown, or of another shape or dtype.
    ArchitectureError
        If the backend has no such precision, or a weight is too large for it.
    """

    def __init__(
        self,
        architecture: Architecture,
        parameters: Mapping[str, NDArray[np.floating]],
        backend: str = "auto",
        precision: str = "float32",
    ) -> None:
        self.architecture = architecture
        self.engine = get_backend(backend)
        self.backend = self.engine.name
        self.precision = precision
        if precision not in PRECISIONS or precision not in self.engine.precisions:
            raise ArchitectureError(
                f"precision must be one that the backend {self.backend} has; expected "
                f"{' or '.join(self.engine.precisions)}, got {precision!r}"
            )
        _check(architecture, parameters, PRECISIONS if precision == "float16" else ("float32",))
        layers = {layer.name: layer for layer in architecture.layers}
        self.bytes: dict[str, int] = {}  # of each parameter in its dtype
        for name, shape in architecture.parameter_shapes.items():
            layer, _, part = name.rpartition("/")
            half = precision == "float16" and part == "weight" and isinstance(layers[layer], Linear)
            self.bytes[name] = math.prod(shape) * (2 if half else 4)
        self._packed = {
            layer.name: self._pack(layer, parameters)
            for layer in architecture.layers
            if isinstance(layer, Linear)
        }
        self._filters: dict[str, NDArray[np.floating]] | None = {  # until they are packed
            name: parameters[name]
            for name in architecture.parameter_shapes
            if isinstance(layers[name.rpartition("/")[0]], Conv)
        }

    @property
    def packed(self) -> Mapping[str, Any]:
        """Weight and bias of each layer as the backend wants them; filters when first asked for.

        Threads that meet here may each pack them; a lock might be found locked by a forked child.
        """
        filters = self._filters
        if filters is not None:
            self._packed = self._packed | {
                layer.name: self._pack(layer, filters)
                for layer in self.architecture.layers
                if isinstance(layer, Conv)
            }
            self._filters = None  # after the line above: who finds none finds them packed
        return self._packed

    @property
    def parameter_bytes(self) -> int:
        """Bytes of all parameters as they are kept: filters packed."""
        return sum(
            self.packed[layer.name].nbytes
            if isinstance(layer, Conv)
            else self.bytes[f"{layer.name}/weight"] + self.bytes[f"{layer.name}/bias"]
            for layer in self.architecture.layers
            if isinstance(layer, (Conv, Linear))
        )

    def _pack(self, layer: Layer, parameters: Mapping[str, NDArray[np.floating]]) -> Any:
        """Bring the parameters of a layer into the dtypes of `precision`, and pack them."""
        weight, bias = (parameters[f"{layer.name}/{part}"] for part in ("weight", "bias"))
        kept: NDArray[Any]
        if isinstance(layer, Linear) and self.precision == "float16":
            kept = _rounded(f"{layer.name}/weight", weight)
        else:
            kept = np.ascontiguousarray(weight, np.float32)
        bias = np.array(bias, np.float32)  # small; a copy, so that no page of a file is held
        (shape,) = self.architecture.input_shapes(layer)
        packed = self.engine.pack(layer, shape, kept, bias)
        if isinstance(layer, Conv):
            release(weight)  # its filters are packed, and not read again
        return packed


@dataclass(frozen=True)
class Step:
    """One piece of work: a layer, with the ReLU that was fused into it; or a change of order."""

    layers: tuple[str, ...]  # names, in order of execution
    multiply_adds: int  # for the whole batch
    calls: tuple[tuple[Any, ...], ...]  # what the backend makes of it, for each piece of the batch

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
        The wanted values, N,C,H,W or N,D; the next ``run`` overwrites them.
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
        threads = resolve(threads)
        architecture = network.architecture
        wanted = tuple(outputs) or (architecture.layers[-1].name,)
        self._network = network
        self._engine = network.engine

        jobs, wishes = _lay_out(_fuse(architecture, wanted), network, wanted)
        pieces = -(-batch // PIECE)
        ends = [batch * i // pieces for i in range(pieces + 1)]
        largest = max(stop - start for start, stop in pairwise(ends))
        kept: dict[str, Shape] = {
            view.value: (batch, *view.shape) for view in (*wishes.values(), jobs[0].writes)
        }
        self._blocks = _blocks(jobs, kept, largest)
        arena = self._allocate(max((block.end for block in self._blocks), default=0))
        passing = {block.name: block.array(arena) for block in self._blocks}
        whole: dict[str, Array] = {
            name: self._allocate(4 * math.prod(shape)).view(np.float32).reshape(shape)
            for name, shape in kept.items()
        }
        self._end_bytes = sum(array.nbytes for array in whole.values())

        def array(view: _View, start: int, stop: int) -> Array:
            """A value of the images from start to stop."""
            if view.value in whole:
                values = whole[view.value][start:stop]
            else:
                values = passing[view.value][: stop - start]
            return values.reshape(stop - start, *view.shape)

        self.input: Array = whole[INPUT]
        self.outputs: dict[str, Array] = {name: array(wishes[name], 0, batch) for name in wanted}
        ready = [
            [
                (job, [array(view, *piece) for view in job.reads], array(job.writes, *piece))
                for job in jobs[1:]
            ]
            for piece in pairwise(ends)
        ]
        floats = max((self._workspace(*each, threads) for each in chain(*ready)), default=0)
        self._scratch: Array = self._allocate(4 * floats).view(np.float32)
        calls = [[self._bind(*each, threads) for each in piece] for piece in ready]
        self.steps = tuple(
            self._step(job, batch, tuple(each)) for job, *each in zip(jobs[1:], *calls, strict=True)
        )
        self._program = self._engine.program([*chain(*chain(*calls))])
        # What is not a product costs as much as some products.
        work = sum(step.multiply_adds for step in self.steps)
        work += sum(10 * out.size for *_, out in chain(*ready))
        self._team_size = threads if self._engine.shared and work >= WORTH_A_TEAM else 1
        self._in_use = threading.Lock()

    def run(self) -> None:
        """Compute ``outputs`` from ``input``.

        With the compiled kernels it allocates no arrays, and an interrupt waits for its end; the
        other backends make temporary arrays.

        Raises
        ------
        DecafError
            If another thread runs this plan, or (seldom) if an interrupt hit it just as it
            started: build another one then.
        """
        with self._alone(), lend_team(self._team_size) as team:
            team.run(self._program)

    def time_steps(self) -> list[float]:
        """Run once; return the seconds that each step took."""
        seconds = [0.0] * len(self.steps)
        with self._alone(), lend_team(self._team_size) as team:
            for programs in self._programs:
                for number, program in enumerate(programs):
                    start = time.perf_counter()
                    team.run(program)
                    seconds[number] += time.perf_counter() - start
        return seconds

    def memory(self) -> MemoryTable:
        """Where every value lies, and how much memory the plan takes in all."""
        parameters = self._network.parameter_bytes
        return MemoryTable(self._blocks, self._end_bytes, self._scratch.nbytes, parameters)

    @cached_property
    def _programs(self) -> tuple[tuple[Any, ...], ...]:
        """For each piece of the batch a program for each step, for those who want to time them."""
        pieces = zip(*(step.calls for step in self.steps), strict=True)
        return tuple(tuple(map(self._engine.program, piece)) for piece in pieces)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._in_use.acquire(blocking=False):
            raise DecafError(
                f"{self._network.architecture.name}: a plan must be run by one thread at a time; "
                "expected one at rest, got one that is running"
            )
        try:
            yield
        finally:
            self._in_use.release()

    def _allocate(self, nbytes: int) -> NDArray[np.uint8]:
        try:
            return aligned_empty(nbytes)
        except (MemoryError, ValueError) as error:  # the latter beyond what can be addressed
            raise DecafError(
                f"{self._network.architecture.name}: a batch must fit into memory; "
                f"expected room for {nbytes:,} bytes, got none: take a smaller batch"
            ) from error

    def _workspace(self, job: _Job, inputs: list[Array], out: Array, threads: int) -> int:
        packed = self._network.packed.get(job.layer.name)
        return self._engine.workspace(job.layer, packed, inputs, out, threads)

    def _bind(self, job: _Job, inputs: list[Array], out: Array, threads: int) -> tuple[Any, ...]:
        """What the backend does for one job and one piece of the batch."""
        layer = job.layer
        if isinstance(layer, _Reorder):
            return tuple(self._engine.reorder(inputs[0], out, layer.channels_last))
        packed = self._network.packed.get(layer.name)
        fused = job.relu is not None
        return tuple(self._engine.bind(layer, packed, inputs, out, fused, threads, self._scratch))

    def _step(self, job: _Job, batch: int, calls: tuple[tuple[Any, ...], ...]) -> Step:
        layer = job.layer
        if isinstance(layer, _Reorder):
            return Step((job.writes.value,), 0, calls)
        shapes = self._network.architecture.input_shapes(layer)
        names = (layer.name,) if job.relu is None else (layer.name, job.relu)
        return Step(names, batch * layer.multiply_adds(*shapes), calls)


class _View(NamedTuple):
    """A value as it is read or written."""

    value: str  # the name of its memory
    shape: Shape  # C,H,W or H,W,C or D


NOWHERE = _View("", ())


@dataclass(frozen=True)
class _Reorder(Layer):
    """Copies a value into the other order of its axes."""

    channels_last: bool = False


@dataclass
class _Job:
    """A layer that is computed, with what follows it at no cost; or the input itself."""

    layer: Layer
    inputs: tuple[str, ...]  # names of the layers that it reads
    sources: tuple[str, ...]  # the results behind them
    result: str  # the layer's own name, or that of a fused ReLU
    relu: str | None = None  # the ReLU that joins this layer
    aliases: tuple[str, ...] = ()  # Dropout, Flatten: other names of the same value
    reads: tuple[_View, ...] = ()  # this and the next are known once orders are chosen
    writes: _View = NOWHERE


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
            sources = tuple(source[name].result for name in inputs)
            source[layer.name] = _Job(layer, inputs, sources, layer.name)
            jobs.append(source[layer.name])
    return jobs


def _lay_out(
    jobs: Sequence[_Job], network: Network, wanted: Sequence[str]
) -> tuple[list[_Job], dict[str, _View]]:
    """Choose the order in which each job reads and writes; add jobs that copy into the other.

    Returns
    -------
    list of _Job
        All jobs in order, each copy behind the job whose result it copies.
    dict of str to _View
        Where the wanted values lie, C,H,W or D.
    """
    shapes, engine = network.architecture.shapes, network.engine
    other: dict[str, bool] = {}  # results needed in another order: channels last?

    def view(result: str, name: str, channels_last: bool) -> _View:
        """The result of a job in an order, seen under one of its names."""
        written_last = engine.channels_last and result != INPUT
        value = result
        if channels_last != written_last and not _either_order(shapes[result]):
            other[result] = channels_last
            value = _other_name(result, channels_last)
        return _View(value, _ordered(shapes[name], channels_last))

    for job in jobs:
        first = engine.channels_first(job.layer, network.packed.get(job.layer.name))
        job.reads = tuple(
            view(source, name, engine.channels_last and not first and len(shapes[name]) == 3)
            for source, name in zip(job.sources, job.inputs, strict=True)
        )
        job.writes = view(job.result, job.result, engine.channels_last and job.result != INPUT)
    wishes = {
        name: view(job.result, name, False)
        for job in jobs
        for name in (job.result, *job.aliases)
        if name in wanted
    }
    ordered = []
    for job in jobs:
        ordered.append(job)
        if job.result in other:
            copy = _Reorder(job.result, channels_last=other[job.result])
            shape = shapes[job.result]
            ordered.append(
                _Job(
                    copy, (), (), "",
                    reads=(_View(job.result, _ordered(shape, not copy.channels_last)),),
                    writes=view(job.result, job.result, copy.channels_last),
                )
            )  # fmt: skip
    return ordered, wishes


def _ordered(shape: Shape, channels_last: bool) -> Shape:
    """C,H,W as it is or as H,W,C; D as it is."""
    return (*shape[1:], shape[0]) if channels_last else shape


def _either_order(shape: Shape) -> bool:
    """Whether a value lies in memory in the same way, channels first or last."""
    return len(shape) == 1 or shape[0] == 1 or math.prod(shape[1:]) == 1


def _other_name(result: str, channels_last: bool) -> str:
    return f"{result} as {'N,H,W,C' if channels_last else 'N,C,H,W'}"


def _blocks(jobs: Sequence[_Job], kept: Container[str], batch: int) -> tuple[Block, ...]:
    """Give every value its place but those that are kept, the input and what is wanted."""
    last_use = {
        view.value: number for number, job in enumerate(jobs) for view in (*job.reads, job.writes)
    }
    return place(
        (job.writes.value, (batch, *job.writes.shape), number, last_use[job.writes.value])
        for number, job in enumerate(jobs)
        if job.writes.value not in kept
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


def _check(
    architecture: Architecture,
    parameters: Mapping[str, NDArray[np.floating]],
    dtypes: Sequence[str],
) -> None:
    """Say which of the parameters is not as the architecture wants."""
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
    for name, shape in expected.items():
        array = np.asarray(parameters[name])
        if array.shape != shape or array.dtype.name not in dtypes or not array.dtype.isnative:
            raise ShapeError(
                f"{name}: must be as {architecture.name} says; expected {shape} "
                f"{' or '.join(dtypes)}, got {array.shape} {array.dtype}"
            )


def _rounded(name: str, weight: NDArray[np.floating]) -> NDArray[np.float16]:
    """Return float16 weights O,D as they are, or float32 ones rounded, a few rows at a time."""
    if weight.dtype == np.float16:
        return np.ascontiguousarray(weight)
    kept = aligned_empty(2 * weight.size).view(np.float16).reshape(weight.shape)
    count = max(1, AT_ONCE // weight.shape[1])
    for start in range(0, len(weight), count):
        rows = weight[start : start + count]
        try:
            with np.errstate(over="raise", under="ignore"):
                kept[start : start + count] = rows
        except FloatingPointError as error:
            raise ArchitectureError(
                f"{name}: must be at most {np.finfo(np.float16).max:g} in size to be kept as "
                f"float16; got {np.nanmax(np.abs(rows)):g}"
            ) from error
        release(rows)  # or the whole file would lie in memory beside what is made of it
    return kept
