"""What a network is made of (``Summary``), and where its time goes (``Profile``).

Both print as a table, also when typed at a prompt, and show as HTML in a notebook.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from decaf.specs import Architecture, Shape
from decaf.table import Table


class LayerSummary(NamedTuple):
    """One layer of a :class:`Summary`; shape and multiply-adds are those of one image."""

    name: str
    kind: str
    output_shape: Shape
    parameters: int
    multiply_adds: int
    bytes: int  # of the parameters, as they lie in memory


@dataclass(frozen=True, repr=False)
class Summary:
    """Layers, shapes, parameters and cost of a network; ``print`` it.

    Attributes
    ----------
    name : str
        Name of the architecture.
    input_shape : tuple
        (C, H, W) of the input.
    layers : tuple of LayerSummary
        In order of execution.
    backend, precision : str
        What computes, and how the weights of fully connected layers are kept; empty where
        nothing was made ready to compute.
    """

    name: str
    input_shape: Shape
    layers: tuple[LayerSummary, ...]
    backend: str = ""
    precision: str = ""

    @property
    def parameters(self) -> int:
        """Number of parameters of the whole network."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Multiplications (each with its addition) for one image."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def bytes(self) -> int:
        """Bytes of all parameters."""
        return sum(layer.bytes for layer in self.layers)

    @property
    def _caption(self) -> str:
        caption = f"{self.name}: input {_times(self.input_shape)}"
        return caption + _by(self.backend, self.precision) if self.backend else caption

    def _table(self) -> Table:
        rows = tuple(
            (
                layer.name,
                layer.kind,
                _times(layer.output_shape),
                *map(_count, (layer.parameters, layer.multiply_adds, layer.bytes)),
            )
            for layer in self.layers
        )
        total = map(_count, (self.parameters, self.multiply_adds, self.bytes))
        head = ("layer", "kind", "output", "parameters", "multiply-adds", "bytes")
        return Table(head, rows, ("total", "", "", *total), words=3)

    def as_dict(self) -> dict[str, Any]:
        """Return it as lists, numbers and strings, ready for JSON."""
        computed_by = {"backend": self.backend, "precision": self.precision}
        return {
            "name": self.name,
            **(computed_by if self.backend else {}),
            "input_shape": list(self.input_shape),
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "bytes": self.bytes,
            "layers": [
                {**layer._asdict(), "output_shape": list(layer.output_shape)}
                for layer in self.layers
            ],
        }

    def __str__(self) -> str:
        return f"{self._caption}\n\n{self._table()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._table().html(self._caption)


def summarise(
    architecture: Architecture,
    parameter_bytes: Mapping[str, int],
    backend: str = "",
    precision: str = "",
) -> Summary:
    """Build the summary of a network.

    Parameters
    ----------
    architecture : Architecture
        The network.
    parameter_bytes : Mapping
        Bytes that each parameter takes: ``{"conv1/weight": 139968, …}``.
    backend, precision : str
        As in :class:`Summary`.
    """
    rows = []
    for layer in architecture.layers:
        inputs = architecture.input_shapes(layer)
        parameters = layer.parameter_shapes(*inputs)
        rows.append(
            LayerSummary(
                layer.name,
                type(layer).__name__,
                architecture.shapes[layer.name],
                sum(map(math.prod, parameters.values())),
                layer.multiply_adds(*inputs),
                sum(parameter_bytes[f"{layer.name}/{name}"] for name in parameters),
            )
        )
    return Summary(architecture.name, architecture.input_shape, tuple(rows), backend, precision)


class StepTime(NamedTuple):
    """One step of a :class:`Profile`; several layers computed at once are one step."""

    name: str
    seconds: float  # median over the repetitions, for the whole batch
    multiply_adds: int  # for the whole batch

    @property
    def gflops(self) -> float:
        """Billions of additions and multiplications a second."""
        return 2e-9 * self.multiply_adds / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, repr=False)
class Profile:
    """Where the time of a batch goes, step by step; ``print`` it.

    Attributes
    ----------
    name : str
        Name of the architecture.
    images, repeat, threads : int
        Size of the batch, number of repetitions, number of threads.
    backend : str
        "cython", "blas" or "numpy".
    precision : str
        How the weights of fully connected layers are kept: "float32" or "float16".
    steps : tuple of StepTime
        In order of execution; the first, ``preprocess``, is reading the photos.
    """

    name: str
    images: int
    repeat: int
    threads: int
    backend: str
    precision: str
    steps: tuple[StepTime, ...]

    @property
    def seconds(self) -> float:
        """Seconds for the whole batch, preprocessing included: the sum of the medians."""
        return sum(step.seconds for step in self.steps)

    @property
    def multiply_adds(self) -> int:
        """Multiplications (each with its addition) for the whole batch."""
        return sum(step.multiply_adds for step in self.steps)

    @property
    def _caption(self) -> str:
        return (
            f"{self.name}: batch of {self.images}, median of {self.repeat}, threads {self.threads}"
        ) + _by(self.backend, self.precision)

    def _table(self) -> Table:
        whole = StepTime("total", self.seconds, self.multiply_adds)
        *rows, total = (
            (
                step.name,
                f"{1e3 * step.seconds:.3f}",
                f"{step.gflops:.1f}" if step.multiply_adds else "",
                f"{step.seconds / whole.seconds:.1%}" if whole.seconds else "",
            )
            for step in (*self.steps, whole)
        )
        return Table(("step", "ms", "GFLOP/s", "share"), tuple(rows), total)

    def __str__(self) -> str:
        return f"{self._caption}\n\n{self._table()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._table().html(self._caption)


def _by(backend: str, precision: str) -> str:
    return f", backend {backend}, precision {precision}"


def _times(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _count(number: int) -> str:
    """Thousands apart; nothing for none, so that the eye finds what costs."""
    return f"{number:,}" if number else ""
