"""Why decaf multiplies matrices itself: its kernels against BLAS, at AlexNet's shapes.

    python benchmarks/gemm.py            # about ten minutes
    python benchmarks/gemm.py --quick    # one round at batch 1, to see that it works

Convolution as a matrix product is, for each image and group,

    weight (O/G, C/G*KH*KW)  @  columns (C/G*KH*KW, OH*OW)  ->  result (O/G, OH*OW)

and a fully connected layer is  input (N, D) @ weight.T (D, O) -> result (N, O).  Three ways:

  decaf   ``PackedConv2d.run``, which packs the columns of a few pixels at a time;
          ``PackedLinear.run``.  Weights packed beforehand, as in a plan
  numpy   ``numpy.matmul(out=)``, NumPy's own OpenBLAS
  scipy   ``scipy.linalg.blas.sgemm``, SciPy's own OpenBLAS: what ``scipy.linalg.cython_blas``
          calls.  Arrays are passed as they lie, transposed, so that none is copied.  (For one
          image its ``sgemv`` would be faster, and sum in another order.  numpy switches so.)

numpy and scipy first need the whole column matrix of an image, which decaf's ``run_im2col``
makes for them.  No way adds a bias.  All results must agree to 1e-4 of the largest magnitude, or
nothing is timed.  Then all take turns (``timing.py``), on 1 and on 2 threads: of BLAS for the
products of the two, of decaf's own ``Team`` for its kernels and for ``run_im2col``.

The second table says whether an image's result has the same bits (a) on 1 and on 2 threads and
(b) alone and anywhere in a batch of 7 or 32.  (BLAS multiplies the images of a convolution one by
one here, as Caffe did, so that (b) is in question for fully connected layers alone.)  The answer
depends on which of its kernels OpenBLAS picks for the processor, so it is given for those that it
picks here and for ``Haswell``, which it picks for many others; the environment variable
OPENBLAS_CORETYPE makes it, and a whole run of this file can be had with it too.

Writes ``results/gemm.json``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from random_weights import Array, he_parameter, normal
from report import write_report
from scipy.linalg.blas import sgemm
from threadpoolctl import ThreadpoolController
from timing import interleave, ratios, table

from decaf.architectures import ARCHITECTURES
from decaf.memory import aligned_empty
from decaf.ops import kernel
from decaf.specs import Architecture, Conv, Linear, pair
from decaf.threads import Team

AGREE = 1e-4  # of the largest magnitude
BATCHES = (7, 32)  # in which an image's result must be as it is alone
COMMON = "Haswell"  # the kernels that OpenBLAS has for most processors with AVX2
BLAS = ThreadpoolController().select(user_api="blas")
TEAMS = {threads: Team(threads) for threads in (1, 2)}

Call = Callable[[], object]
Make = Callable[["Problem", Array, Array, Team], Call]  # from input, out, team to a call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--architecture", choices=("alexnet", "caffenet"), default="alexnet")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--quick", action="store_true", help="1 round, batch 1")
    parser.add_argument("--bits", action="store_true", help="print the second table as JSON alone")
    options = parser.parse_args()
    least = 0.005
    if options.quick:
        options.rounds, options.batches, least = 1, [1], 0.0

    net = ARCHITECTURES[options.architecture](1000)
    problems = [Problem(net, layer) for layer in net.layers if isinstance(layer, (Conv, Linear))]
    if options.bits:
        print(json.dumps([same_bits(problem, way) for problem in problems for way in WAYS]))
        return

    cases, lines = [], []
    for problem in problems:
        for batch in options.batches:
            for team in TEAMS.values():
                case = measure(problem, batch, team, options.rounds, least)
                cases.append(case)
                lines.append(line(problem, case))
    print(f"{net.name}, in milliseconds: median (quartiles)\n")
    behind = [f"{name} / decaf" for name in WAYS if name != "decaf"]
    print(table(("layer", "product", "batch", "threads", *WAYS, *behind, "GFLOP/s"), lines))

    bits = bits_with("", net.name)
    if bits[0]["kernels"] != COMMON:
        bits += bits_with(COMMON, net.name)
    print("\nWhether an image's result has the same bits:\n")
    words = {True: "yes", False: "NO"}
    head = ("OpenBLAS", "layer", "way", "1 and 2 threads", *(f"alone and in {n}" for n in BATCHES))
    print(table(head, [[words.get(value, value) for value in row.values()] for row in bits]))

    measured = [
        {**case, "times": {way: timing.as_dict() for way, timing in case["times"].items()}}
        for case in cases
    ]
    write_report("gemm", {"architecture": net.name, "times": measured, "same_bits": bits})


class Problem:
    """The weights of one layer, and the shapes of what goes in and comes out."""

    def __init__(self, net: Architecture, layer: Conv | Linear) -> None:
        self.layer = layer
        (shape,) = net.input_shapes(layer)
        self.input_shape = shape if isinstance(layer, Conv) else (math.prod(shape),)
        self.output_shape = net.shapes[layer.name]
        self.weight = he_parameter(layer.parameter_shapes(shape)["weight"])
        self.multiply_adds = layer.multiply_adds(shape)
        if isinstance(layer, Conv):
            self.packed = kernel("conv").PackedConv2d(
                self.weight, None, *self.options[1:], layer.groups
            )
        else:
            self.packed = kernel("linear").PackedLinear(self.weight, None)

    @property
    def options(self) -> list[tuple[int, int]]:
        """Kernel size, stride, padding, dilation of a convolution, as pairs."""
        layer: Any = self.layer
        return [*map(pair, (layer.kernel_size, layer.stride, layer.padding, layer.dilation))]

    @property
    def name(self) -> str:
        return self.layer.name

    def product(self, batch: int) -> str:
        """``192 x 1600 x 729``: rows of the result, terms of each sum, columns of the result."""
        if isinstance(self.layer, Linear):
            return f"{batch} x {self.input_shape[0]} x {self.layer.out_features}"
        rows = self.layer.out_channels // self.layer.groups
        pixels = math.prod(self.output_shape[1:])
        many = batch * self.layer.groups
        return f"{many} of {rows} x {self.weight[0].size} x {pixels}"

    def input(self, batch: int) -> Array:
        return normal(batch, *self.input_shape)

    def output(self, batch: int) -> Array:
        return np.full((batch, *self.output_shape), np.nan, np.float32)


# --- the three ways ---


def decaf_call(problem: Problem, input: Array, out: Array, team: Team) -> Call:
    packed, n = problem.packed, len(input)
    tasks = kernel("tasks").Tasks()
    convolution = isinstance(problem.layer, Conv)
    scratch = -(-(packed.workspace if convolution else packed.workspace(n)) // 16) * 16
    workspace = aligned_empty(team.size * scratch * 4).view(np.float32)
    workspace = workspace.reshape(team.size, scratch)
    runs = (packed.runs(n, math.prod(out.shape[2:]), team.size),) if convolution else ()

    def call() -> None:
        tasks.reset()
        team.run(lambda tasks: packed.run(tasks, input, out, False, *runs, workspace), tasks)

    return call


def numpy_call(problem: Problem, input: Array, out: Array, team: Team) -> Call:
    if isinstance(problem.layer, Linear):
        return lambda: np.matmul(input, problem.weight.T, out=out)
    return convolution(problem, input, out, team, lambda a, b, c: np.matmul(a, b, out=c))


def scipy_call(problem: Problem, input: Array, out: Array, team: Team) -> Call:
    # Fortran order: a C-contiguous array is its own transpose, and c.T = b.T @ a.T.
    if isinstance(problem.layer, Linear):
        weight = problem.weight
        return lambda: sgemm(1, weight.T, input.T, c=out.T, trans_a=True, overwrite_c=True)
    return convolution(
        problem, input, out, team, lambda a, b, c: sgemm(1, b.T, a.T, c=c.T, overwrite_c=True)
    )


def convolution(
    problem: Problem,
    input: Array,
    out: Array,
    team: Team,
    product: Callable[[Array, Array, Array], object],  # c = a @ b
) -> Call:
    """Columns of an image, then a product for each group; and so on, image by image."""
    groups = problem.layer.groups
    kh, kw = problem.options[0]
    oh, ow = problem.output_shape[1:]
    columns = np.empty((problem.input_shape[0] * kh * kw, oh, ow), np.float32)
    a = problem.weight.reshape(groups, -1, problem.weight[0].size)  # G,O/G,C/G*KH*KW
    b = columns.reshape(groups, -1, oh * ow)  # G,C/G*KH*KW,OH*OW
    c = out.reshape(len(input), groups, -1, oh * ow)  # N,G,O/G,OH*OW
    tasks = kernel("tasks").Tasks()

    def im2col(image: Array) -> Callable[[Any], None]:
        return lambda tasks: kernel("im2col").run_im2col(tasks, image, columns, *problem.options)

    unfold = [im2col(image) for image in input]

    def call() -> None:
        for n in range(len(input)):
            tasks.reset()
            team.run(unfold[n], tasks)
            for g in range(groups):
                product(a[g], b[g], c[n, g])

    return call


WAYS: dict[str, Make] = {"decaf": decaf_call, "numpy": numpy_call, "scipy": scipy_call}


# --- the two measurements ---


def measure(problem: Problem, batch: int, team: Team, rounds: int, least: float) -> dict[str, Any]:
    """Check all ways against numpy, then time them in turn."""
    input = problem.input(batch)
    outs = {name: problem.output(batch) for name in WAYS}
    calls = {name: make(problem, input, outs[name], team) for name, make in WAYS.items()}
    with BLAS.limit(limits=team.size):
        for call in calls.values():
            call()
        errors = {
            name: float(np.abs(out - outs["numpy"]).max() / np.abs(outs["numpy"]).max())
            for name, out in outs.items()
        }
        for name, error in errors.items():
            if not error <= AGREE:
                sys.exit(f"{problem.name}: {name} must agree to {AGREE}; differs by {error:.1e}")
        times = interleave(calls, rounds, least=least)
    return {
        "layer": problem.name,
        "batch": batch,
        "threads": team.size,
        "multiply_adds": batch * problem.multiply_adds,
        "errors": errors,
        "times": times,
    }


def line(problem: Problem, measured: dict[str, Any]) -> list[object]:
    """A line of the first table; GFLOP/s are decaf's."""
    times = measured["times"]
    behind = ratios(times, "decaf")
    return [
        problem.name,
        problem.product(measured["batch"]),
        measured["batch"],
        measured["threads"],
        *times.values(),
        *(f"{ratio:.2f}" for ratio in behind.values()),
        f"{2e-9 * measured['multiply_adds'] / times['decaf'].median:.0f}",
    ]


def bits_with(kernels: str, architecture: str) -> list[dict[str, str | bool]]:
    """The second table with these kernels of OpenBLAS, or those it picks, in a fresh process."""
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernels} if kernels else None
    command = [sys.executable, __file__, "--bits", "--architecture", architecture]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def same_bits(problem: Problem, way: str) -> dict[str, str | bool]:
    """A line of the second table."""
    most = max(BATCHES)
    inputs = problem.input(most)

    def result(images: slice, threads: int = 1) -> Array:
        input = np.ascontiguousarray(inputs[images])
        out = problem.output(len(input))
        with BLAS.limit(limits=threads):
            WAYS[way](problem, input, out, TEAMS[threads])()
        return out

    alone = np.concatenate([result(slice(n, n + 1)) for n in range(most)])
    return {
        "kernels": " ".join(sorted({library.get("architecture", "?") for library in BLAS.info()})),
        "layer": problem.name,
        "way": way,
        "threads": all(
            np.array_equal(result(slice(n)), result(slice(n), threads=2)) for n in (1, most)
        ),
        **{f"batch_{n}": np.array_equal(alone[:n], result(slice(n))) for n in BATCHES},
    }


if __name__ == "__main__":
    main()
