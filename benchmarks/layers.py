"""Layer by layer: the readable reference against its compiled twin.

    python benchmarks/layers.py            # batch 1, one thread; about a minute
    python benchmarks/layers.py --quick    # one round, to see that it works

Every layer function of ``decaf.layers`` has at least one row, at a shape of CaffeNet's (average
pooling and concatenation, which CaffeNet does without: of SqueezeNet's).  Reference and twin are
called as a plan calls them: parameters packed and results allocated beforehand, no ReLU fused in.
im2col and dropout, which a plan does without, are called with ``out=``.

Both results must agree to 1e-4 of the largest magnitude, or nothing is timed.  Then the two take
turns (``timing.py``), on as many threads as ``--threads`` says, the BLAS that the reference calls
included; NumPy itself has only one.

GFLOP/s counts two operations a multiply-add.  GB/s counts every input, parameter and result
once, wherever it comes from: small layers find theirs in the cache.  Writes
``results/layers.json``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from random_weights import Array, he_parameter, normal
from report import write_report
from threadpoolctl import ThreadpoolController
from timing import Timing, interleave, table

from decaf.architectures import caffenet, squeezenet1_1
from decaf.backends import Backend, CythonBackend, NumpyBackend
from decaf.memory import aligned_empty
from decaf.ops import TWINS, function
from decaf.specs import (
    LRN,
    AdaptiveAvgPool,
    Architecture,
    AvgPool,
    Concat,
    Conv,
    Linear,
    MaxPool,
    ReLU,
    Softmax,
)
from decaf.threads import Team

AGREE = 1e-4  # of the largest magnitude
FUNCTIONS = {
    Conv: "conv2d",
    ReLU: "relu",
    MaxPool: "max_pool2d",
    AvgPool: "avg_pool2d",
    AdaptiveAvgPool: "adaptive_avg_pool2d",
    LRN: "local_response_norm",
    Linear: "linear",
    Softmax: "softmax",
    Concat: "concat",
}
# Not CaffeNet's: SqueezeNet averages each whole channel, in one window or as many as are wanted.
AVERAGE = Architecture("squeezenet1_1", (1000, 14, 14), (AvgPool("pool10", 14, 14),))
WITHIN = Architecture("caffenet", (96, 27, 27), (LRN("norm1", region="within"),))

Call = Callable[[], object]


class Row(NamedTuple):
    """A layer, computed by both, each into an array of its own."""

    function: str
    layer: str
    multiply_adds: int
    bytes: int
    reference: Call
    twin: Call
    results: tuple[Array, Array]  # the reference's, the twin's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="1 round")
    options = parser.parse_args()
    rounds, least = (1, 0.0) if options.quick else (options.rounds, 0.005)

    head = ("function", "layer", "reference, ms", "twin, ms", "ratio", "GFLOP/s", "GB/s")
    lines, report = [], []
    with ThreadpoolController().limit(limits=options.threads, user_api="blas"):
        for row in rows(options.batch, Team(options.threads)):
            error = check(row)
            calls = {"reference": row.reference, "twin": row.twin}
            times = interleave(calls, rounds, least=least)
            lines.append(line(row, times))
            report.append(
                {
                    "function": row.function,
                    "layer": row.layer,
                    "error": error,
                    "multiply_adds": row.multiply_adds,
                    "bytes": row.bytes,
                    **{name: timing.as_dict() for name, timing in times.items()},
                }
            )
    if missing := TWINS.keys() - {row["function"] for row in report}:
        sys.exit(f"every layer function must have a row; missing: {', '.join(sorted(missing))}")

    print(f"batch {options.batch}, {options.threads} threads: median (quartiles)\n")
    print(table(head, lines))
    write_report("layers", {"batch": options.batch, "threads": options.threads, "rows": report})


def rows(batch: int, team: Team) -> list[Row]:
    """All rows, in the order in which ``decaf.layers`` is best read."""
    whole, squeezenet = caffenet(), squeezenet1_1()
    convolutions = [f"conv{i}" for i in range(1, 6)]
    return [
        layer_row(whole, "relu1", batch, team),
        *(layer_row(whole, name, batch, team) for name in ("fc6", "fc7", "fc8")),
        im2col_row(batch),
        *(layer_row(whole, name, batch, team) for name in convolutions),
        *(layer_row(whole, name, batch, team) for name in ("pool1", "pool2", "pool5")),
        layer_row(AVERAGE, "pool10", batch, team),
        layer_row(squeezenet, "pool10", batch, team),
        *(layer_row(whole, name, batch, team) for name in ("norm1", "norm2")),
        layer_row(WITHIN, "norm1", batch, team),
        dropout_row(batch),
        layer_row(whole, "prob", batch, team),
        layer_row(squeezenet, "fire2/concat", batch, team),
    ]


def layer_row(architecture: Architecture, name: str, batch: int, team: Team) -> Row:
    """A layer of a network, as a plan calls it."""
    layer = architecture.layer(name)
    shapes = architecture.input_shapes(layer)
    inputs = [normal(batch, *shape, seed=i) for i, shape in enumerate(shapes)]
    parameters = {
        kind: he_parameter(shape) for kind, shape in layer.parameter_shapes(*shapes).items()
    }
    shape = (batch, *architecture.shapes[name])

    def bound(backend: Backend) -> tuple[Call, Array]:
        """A call that computes the layer, and its result as N,C,H,W or N,D."""
        packed = backend.pack(layer, shapes[0], **parameters) if parameters else None
        turned = backend.channels_last and not backend.channels_first(layer, packed)
        arrays = [channels_last(x) if turned and x.ndim == 4 else x for x in inputs]
        result = np.zeros(shape, np.float32)
        out = channels_last(result) if backend.channels_last and result.ndim == 4 else result
        floats = backend.workspace(layer, packed, arrays, out, team.size)
        workspace = aligned_empty(4 * floats).view(np.float32)
        program = backend.program(
            backend.bind(layer, packed, arrays, out, False, team.size, workspace)
        )
        run = team.run if backend.shared else lambda program: program.run(None)
        return lambda: run(program), out if out is result else out.transpose(0, 3, 1, 2)

    reference, expected = bound(NumpyBackend())
    twin, found = bound(CythonBackend())
    return Row(
        FUNCTIONS[type(layer)],
        f"{architecture.name} {name}" + (", within" if architecture is WITHIN else ""),
        batch * layer.multiply_adds(*shapes),
        sum(array.nbytes for array in (*inputs, *parameters.values(), expected)),
        reference,
        twin,
        (expected, found),
    )


def channels_last(x: Array) -> Array:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))  # N,H,W,C


def im2col_row(batch: int) -> Row:
    """The columns of conv2, as they would be without groups."""
    net = caffenet()
    layer: Any = net.layer("conv2")
    (shape,) = net.input_shapes(layer)
    input = normal(batch, *shape)
    options = (layer.kernel_size, layer.stride, layer.padding)
    return function_row("im2col", "caffenet conv2", input, *options)


def dropout_row(batch: int) -> Row:
    """drop6, as a trained network has it: a copy."""
    return function_row("dropout", "caffenet drop6", normal(batch, *caffenet().shapes["drop6"]))


def function_row(name: str, layer: str, input: Array, *options: Any) -> Row:
    """A layer function called with ``out=``."""
    reference, twin = function(name, "numpy"), function(name, "cython")
    results = (reference(input, *options), twin(input, *options))
    return Row(
        name,
        layer,
        0,
        input.nbytes + results[0].nbytes,
        lambda: reference(input, *options, out=results[0]),
        lambda: twin(input, *options, out=results[1]),
        results,
    )


def check(row: Row) -> float:
    """Compute both; return the largest difference, of the largest magnitude, if it is small."""
    row.reference()
    row.twin()
    reference, twin = row.results
    error = float(np.abs(twin - reference).max() / np.abs(reference).max())
    if not error <= AGREE:
        sys.exit(f"{row.layer}: {row.function} must agree to {AGREE}; differs by {error:.1e}")
    return error


def line(row: Row, times: dict[str, Timing]) -> tuple[object, ...]:
    seconds = times["twin"].median
    return (
        row.function,
        row.layer,
        times["reference"],
        times["twin"],
        f"{times['reference'].median / seconds:.1f}",
        f"{2e-9 * row.multiply_adds / seconds:.0f}" if row.multiply_adds else "",
        f"{1e-9 * row.bytes / seconds:.1f}",
    )


if __name__ == "__main__":
    main()
