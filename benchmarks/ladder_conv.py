"""The ladder: convolution from seven nested loops to the layer that decaf ships.

    python benchmarks/ladder_conv.py            # about two minutes
    python benchmarks/ladder_conv.py --quick    # one round at batch 1, to see that it works
    python benchmarks/ladder_conv.py --plot     # draws the JSON again, measures nothing

Each rung adds one idea to the one before, in a few lines of ``ladder_conv.c`` (or of NumPy, here),
on three layers of AlexNet (torchvision).  Ideas that failed keep their number and their figures.

Every rung is checked before it is timed, against ``decaf.layers.conv2d`` in float64: the largest
error must be below 1e-4 of the largest value (1e-3 for what failed).  Times are for the whole
batch, without bias, with weights laid out beforehand and images as the rung wants them (N,C,H,W
or N,H,W,C), on one thread if nothing else is said.  The rungs take turns; the table shows the
best of all calls, because here only the code is asked about and not the machine, and the JSON has
the medians as well.

GFLOP/s count the multiplications and additions of the formula, two an element of the sum, also
where a rung does with fewer: Winograd's share of the peak may pass 100 %.  The peak is what as
many threads reach with nothing but multiply-adds (``probe.py``), measured in the same run.

The C is compiled when this file runs, by the system's compiler (``CC``, else ``cc``; GCC or Clang)
for the widest vectors of this processor.  Writes ``results/ladder_conv.json`` and, from it,
``results/ladder_conv.png`` (``ladder_plot.py``).
"""

from __future__ import annotations

import argparse
import ctypes
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import probe
import scipy.fft
from ladder_plot import draw
from random_weights import Array, he_parameter, normal
from report import machine, write_report
from threadpoolctl import ThreadpoolController
from timing import table
from toom_cook import toom_cook

from decaf.layers import conv2d
from decaf.memory import aligned_empty
from decaf.plan import Network, Plan
from decaf.specs import Architecture, Conv

AGREE = 1e-4  # of the largest magnitude
AGREE_FAILED = 1e-3  # for ideas that failed, some of them just because of their error
SOURCE = Path(__file__).with_suffix(".c")
SLOW, ROUNDS_OF_SLOW = 0.2, 2  # what takes more than so many seconds is timed in fewer rounds
TURN = 0.03  # seconds that a turn lasts at least

LAYERS = (
    Architecture("conv1", (3, 224, 224), (Conv("conv1", 64, 11, stride=4, padding=2),)),
    Architecture("conv2", (64, 27, 27), (Conv("conv2", 192, 5, padding=2),)),
    Architecture("conv4", (384, 13, 13), (Conv("conv4", 256, 3, padding=1),)),
)

AXES = ("N", "C", "H", "W", "O", "KH", "KW", "S", "P", "OH", "OW")


class Shape(ctypes.Structure):
    """The same in C."""

    _fields_ = tuple((name, ctypes.c_long) for name in AXES)


class Problem:
    """A layer with its weights, input and exact result, all as the formula has them."""

    def __init__(self, net: Architecture, batch: int) -> None:
        (layer,) = net.layers
        assert isinstance(layer, Conv)
        self.net, self.name, self.batch = net, net.name, batch
        self.input = np.maximum(normal(batch, *net.input_shape), 0)  # as behind a ReLU
        self.weight = he_parameter(layer.parameter_shapes(net.input_shape)["weight"])
        stride, padding = layer.stride, layer.padding  # whole numbers here
        self.exact = conv2d(
            self.input.astype(float), self.weight.astype(float), None, stride, padding
        )
        self.operations = 2 * batch * layer.multiply_adds(net.input_shape)
        o, c, kh, kw = self.weight.shape
        h, w = self.input.shape[2:]
        oh, ow = self.exact.shape[2:]
        self.shape = Shape(batch, c, h, w, o, kh, kw, stride, padding, oh, ow)

    def __str__(self) -> str:
        s = self.shape
        return (
            f"{self.name}: {s.N} x {s.C} x {s.H} x {s.W}, {s.O} filters {s.KH} x {s.KW}, "
            f"stride {s.S}, padding {s.P}; {self.operations / 1e9:.2f} GFLOP"
        )


class Run(NamedTuple):
    """A rung made ready for a problem."""

    seconds: Callable[[], float]  # computes once
    result: Callable[[], Array]  # of the last run, N,O,OH,OW


Measured = dict[int, dict[str, float]]  # what was found, by rung

# Makes a rung ready; None where it does not apply, such as Winograd to conv1.
Make = Callable[[Problem, ctypes.CDLL], Run | None]


@dataclass(frozen=True)
class Rung:
    number: int
    name: str
    idea: str
    make: Make
    failed: bool = False
    threads: int = 1


# --- how a rung is made ready ---


def compiled() -> ctypes.CDLL:
    """The rungs in C, for the widest vectors of this processor."""
    flags = machine()["flags"]
    options = []
    if "avx512f" in flags:
        options = ["-mavx512f", "-mfma", "-mprefer-vector-width=512"]
    elif "avx2" in flags and "fma" in flags:
        options = ["-mavx2", "-mfma"]
    compiler = os.environ.get("CC", "cc").split()
    with tempfile.TemporaryDirectory() as folder:
        library = str(Path(folder, "ladder.so"))
        command = [*compiler, "-O3", "-ffp-contract=fast", *options, "-fPIC", "-shared"]
        subprocess.run([*command, "-o", library, str(SOURCE)], check=True)
        return ctypes.CDLL(library)  # the file may go once it is loaded


def aligned(*shape: int) -> Array:
    """Return zeros that begin where a vector may."""
    array = aligned_empty(math.prod(shape) * 4).view(np.float32).reshape(shape)
    array[...] = 0
    return array


def copied(array: Array) -> Array:
    """Return the array as C wants it: contiguous and aligned."""
    copy = aligned(*array.shape)
    copy[...] = array
    return copy


def clocked(call: Callable[[], object]) -> Callable[[], float]:
    """The same call, which returns the seconds that it took."""

    def seconds() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return seconds


def clocked_c(function: Any, *arguments: Array | ctypes.Structure | int) -> Callable[[], float]:
    """A call of a function of ladder_conv.c; arrays and the shape go as pointers."""
    given = []
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            given.append(argument.ctypes.data_as(ctypes.c_void_p))  # keeps the array alive
        elif isinstance(argument, ctypes.Structure):
            given.append(ctypes.byref(argument))
        else:
            given.append(ctypes.c_long(argument))
    return clocked(lambda: function(*given))


def planar(name: str, rows: str | None = None) -> Make:
    """A function of ladder_conv.c that takes and gives N,C,H,W.

    ``rows`` names the function that says how many output channels are packed side by side.
    """

    def make(problem: Problem, library: ctypes.CDLL) -> Run:
        s = problem.shape
        weight = problem.weight.reshape(s.O, -1)  # O,K
        if rows:
            weight = weight.reshape(-1, getattr(library, rows)(), weight.shape[1])  # O/ROWS,ROWS,K
            weight = weight.swapaxes(1, 2)  # O/ROWS,K,ROWS
        width = s.OH * s.OW + 3 * library.lanes()
        scratch = aligned(s.C * s.KH * s.KW, width)
        x, w, y = copied(problem.input), copied(weight), aligned(*problem.exact.shape)
        return Run(clocked_c(getattr(library, name), s, x, w, scratch, y), lambda: y)

    return make


def blas(problem: Problem, library: ctypes.CDLL) -> Run:
    """Columns as in rung 3; NumPy's BLAS multiplies."""
    s = problem.shape
    weight = problem.weight.reshape(s.O, -1)  # O,K
    columns = aligned(s.N, weight.shape[1], s.OH * s.OW)
    x, y = copied(problem.input), aligned(*problem.exact.shape)
    unfold = clocked_c(library.unfold, s, x, columns)

    def call() -> None:
        unfold()
        np.matmul(weight, columns, out=y.reshape(s.N, s.O, -1))

    return Run(clocked(call), lambda: y)


def channels_last(name: str, vectors: int | None = None) -> Make:
    """A function of ladder_conv.c that takes and gives N,H,W,C; ``vectors`` as in its tile."""

    def make(problem: Problem, library: ctypes.CDLL) -> Run | None:
        s = problem.shape
        block = vectors * library.lanes() if vectors else library.block()
        if s.O % block:
            return None  # it would need a second, narrower tile
        scratch = aligned(s.N, s.H + 2 * s.P, s.W + 2 * s.P, s.C)
        x = copied(problem.input.transpose(0, 2, 3, 1))  # N,H,W,C
        w, y = copied(blocks(problem.weight, block)), aligned(s.N, s.OH, s.OW, s.O)
        seconds = clocked_c(getattr(library, name), s, x, w, scratch, y)
        return Run(seconds, lambda: y.transpose(0, 3, 1, 2))

    return make


def blocks(weight: Array, block: int) -> Array:
    """O,C,KH,KW -> O/BLOCK,KH*KW*C,BLOCK."""
    o = len(weight)
    columns = weight.transpose(2, 3, 1, 0).reshape(-1, o // block, block)  # K,O/BLOCK,BLOCK
    return columns.swapaxes(0, 1)


def winograd(points: dict[tuple[int, int], tuple[Fraction | int, ...]], group: int = 24) -> Make:
    """F(m x m, r x r) of ladder_conv.c, for the (m, r) for which there are points."""

    def make(problem: Problem, library: ctypes.CDLL) -> Run | None:
        s = problem.shape
        m = next((m for m, r in points if r == s.KH and s.S == 1), None)
        if m is None:
            return None
        n = m + s.KH - 1
        AT, G, BT = (matrix.astype(float) for matrix in toom_cook(m, s.KH, points[m, s.KH]))
        spectrum = G @ problem.weight.astype(float) @ G.T  # O,C,n,n
        w = spectrum.transpose(2, 3, 1, 0).reshape(n * n, s.C, -1, library.block())
        w = copied(w.swapaxes(1, 2))  # n*n,O/BLOCK,C,BLOCK
        AT, BT = copied(AT), copied(BT)
        sides = [-(-size // m) * m + s.KH - 1 for size in (s.OH, s.OW)]
        scratch = aligned(s.N * math.prod(sides) * s.C + n * n * group * (s.C + s.O))
        x = copied(problem.input.transpose(0, 2, 3, 1))  # N,H,W,C
        y = aligned(s.N, s.OH, s.OW, s.O)
        function = getattr(library, f"winograd_{n}_{m}")
        seconds = clocked_c(function, s, x, w, BT, AT, group, scratch, y)
        return Run(seconds, lambda: y.transpose(0, 3, 1, 2))

    return make


def fourier(problem: Problem, library: ctypes.CDLL) -> Run:
    """A product at each frequency, over the channels.  A stride is not used: most goes to waste."""
    s = problem.shape
    size = [scipy.fft.next_fast_len(side + 2 * s.P, real=True) for side in (s.H, s.W)]
    frequencies = size[0] * (size[1] // 2 + 1)
    x = np.pad(problem.input, ((0, 0), (0, 0), (s.P, s.P), (s.P, s.P)))
    w = np.conj(scipy.fft.rfft2(problem.weight, size)).reshape(s.O, s.C, frequencies)
    w = np.ascontiguousarray(w.transpose(2, 1, 0))  # F,C,O
    result: list[Array] = []

    def call() -> None:
        spectrum = scipy.fft.rfft2(x, size).reshape(s.N, s.C, frequencies)
        product = np.ascontiguousarray(spectrum.transpose(2, 0, 1)) @ w  # F,N,O
        planes = product.transpose(1, 2, 0).reshape(s.N, s.O, size[0], -1)
        y = scipy.fft.irfft2(planes, size)
        result[:] = [y[:, :, :: s.S, :: s.S][:, :, : s.OH, : s.OW]]

    return Run(clocked(call), lambda: result[0])


def shipped(threads: int) -> Make:
    """A plan of this layer alone, bias included, as in a network.

    Only the step that multiplies counts: inside a network nothing changes the order of axes.
    """

    def make(problem: Problem, library: ctypes.CDLL) -> Run:
        name = problem.name
        bias = np.zeros(problem.shape.O, np.float32)
        network = Network(
            problem.net, {f"{name}/weight": problem.weight, f"{name}/bias": bias}, "cython"
        )
        plan = Plan(network, problem.batch, threads=threads)
        plan.input[...] = problem.input

        def seconds() -> float:
            each = zip(plan.steps, plan.time_steps(), strict=True)
            return sum(seconds for step, seconds in each if step.multiply_adds)

        return Run(seconds, lambda: plan.outputs[name])

    return make


# --- the ladder ---

HALF, QUARTERS, HALVES = Fraction(1, 2), Fraction(3, 4), Fraction(3, 2)
POINTS: dict[tuple[int, int], tuple[Fraction | int, ...]] = {
    (4, 3): (0, QUARTERS, -QUARTERS, HALVES, -HALVES),
    (4, 5): (0, 1, -1, 2, -2, HALF, -HALF),
}

RUNGS = (
    Rung(
        1, "seven nested loops",
        "The formula, word by word: image, filter, row, column, channel, and the kernel's two.",
        planar("rung1"),
    ),
    Rung(
        2, "columns innermost",
        "The same sums in another order: the innermost loop runs along a row of pixels, so that "
        "the compiler finds vectors of neighbours.",
        planar("rung2"),
    ),
    Rung(
        3, "im2col",
        "Copy what each pixel's kernel meets into a column; all that is left is a matrix product "
        "with long rows and no borders.",
        planar("rung3"),
    ),
    Rung(
        4, "im2col + BLAS",
        "Matrix products have been tuned by others: hand it to BLAS, as Caffe did.",
        blas,
    ),
    Rung(
        5, "register tile",
        "Keep a block of sums in registers for the whole inner loop: a vector of pixels that is "
        "loaded once serves several filters, a weight several vectors.",
        planar("rung5", "rows"),
    ),
    Rung(
        6, "columns panel by panel",
        "Make the columns of one tile's pixels only, just before they are multiplied: they stay "
        "in the cache, and the matrix is never written out.",
        planar("rung6", "rows"),
    ),
    Rung(
        7, "channels innermost",
        "Lay images out as N,H,W,C and put output channels into the vectors: what a row of the "
        "kernel meets is then contiguous in the image itself, and nothing is copied at all.",
        channels_last("rung7"),
    ),
    Rung(
        8, "Winograd",
        "Compute 4 x 4 pixels together from products of transformed patches: 36 multiplications "
        "for the 144 of a 3 x 3 kernel, 64 for the 400 of a 5 x 5 one.",
        winograd(POINTS),
    ),
    Rung(
        9, "decaf",
        "What decaf ships: rungs 7 and 8 for any shape and instruction set, with long sums cut "
        "into pieces, which makes the error smaller.",
        shipped(1),
    ),
    Rung(
        10, "decaf, 2 threads",
        "The same work, cut into numbered tasks by shape alone, which two threads take in turn.",
        shipped(2), threads=2,
    ),
    Rung(
        11, "FFT",
        "Convolution is a product at every frequency: good for 5 x 5, though behind Winograd, but "
        "most of the work is wasted where the kernel is small or has a stride.",
        fourier, failed=True,
    ),
    Rung(
        12, "Winograd, points 1, 2, 3",
        "Rung 8 with the points 0, 1, -1, 2, -2 of the textbook (and 3, -3 for 5 x 5): nicer "
        "matrices, no faster, and far less exact.",
        winograd({(4, 3): (0, 1, -1, 2, -2), (4, 5): (0, 1, -1, 2, -2, 3, -3)}), failed=True,
    ),
    Rung(
        13, "Winograd, 6 x 6 pixels",
        "64 multiplications for 324, but 13 pixels need 3 x 3 patches of 6, which cover 18: "
        "nothing is saved over 4 x 4, and the error grows.",
        winograd({(6, 3): (0, 1, -1, 2, -2, HALF, -HALF)}), failed=True,
    ),
    Rung(
        14, "Winograd, 2 x 2 pixels",
        "16 multiplications for 36, small matrices and the smallest error, but less is saved: 1.9 "
        "times on 13 pixels, against 2.6.",
        winograd({(2, 3): (0, 1, -1)}), failed=True,
    ),
    Rung(
        15, "tile of 8 pixels x 3 vectors",
        "Rung 7, whose tile is 6 x 4, with as many sums in another shape: no faster. (decaf takes "
        "8 x 3 and shares vectors out evenly: 8 tiles of pixels fit small images better.)",
        channels_last("tile_8x3", 3), failed=True,
    ),
    Rung(
        16, "tile of 12 x 2",
        "The same again: as many sums, more pixels to load for fewer weights.",
        channels_last("tile_12x2", 2), failed=True,
    ),
    Rung(
        17, "tile of 8 x 2",
        "16 sums in place of 24 still hide the latency of a multiply-add, but gain nothing.",
        channels_last("tile_8x2", 2), failed=True,
    ),
    Rung(
        18, "tile of 8 x 1",
        "8 sums just hide it, and then every multiply-add waits for a pixel of its own.",
        channels_last("tile_8x1", 1), failed=True,
    ),
    Rung(
        19, "row by row of the kernel",
        "Rung 7, but all pixels with one row of the kernel before the next row, so that the "
        "weights in use fit the cache; the sums travel to memory and back instead.",
        channels_last("tile_blocked"), failed=True,
    ),
    Rung(
        20, "prefetch",
        "Rung 7, asking for weights before they are needed; the processor has done so already.",
        channels_last("tile_prefetch"), failed=True,
    ),
)  # fmt: skip


# --- the measurement ---


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="1 round at batch 1")
    parser.add_argument("--plot", action="store_true", help="only draw results/ladder_conv.json")
    options = parser.parse_args()
    if options.plot:
        draw()
        return
    if options.quick:
        options.rounds, options.batch = 1, 1

    library = compiled()
    problems = [Problem(net, options.batch) for net in LAYERS]
    peaks = fma_peaks()
    pools = ThreadpoolController().select(user_api="blas")
    with pools.limit(limits=1):
        found = {problem.name: measure(problem, library, options.rounds) for problem in problems}
    if not options.quick:  # twice, for whatever else runs only lowers it
        peaks = {threads: max(peak, peaks[threads]) for threads, peak in fma_peaks().items()}
    kernels = " ".join(sorted({pool.get("architecture", "?") for pool in pools.info()}))

    for rung in RUNGS:
        print(f"{rung.number}. {rung.name}{' (failed)' if rung.failed else ''}: {rung.idea}")
    for problem in problems:
        print(f"\n{problem}\n")
        print(table(HEAD, lines(problem, found[problem.name], peaks)))
    print(f"\npeak: {peaks[1]:.0f} GFLOP/s on one thread, {peaks[2]:.0f} on two")
    print(f"BLAS of rung 4: OpenBLAS with its kernels for {kernels}")
    write_report(
        "ladder_conv",
        {
            "batch": options.batch,
            "lanes": library.lanes(),
            "blas_kernels": kernels,
            "peak_gflops": peaks,
            "layers": {
                problem.name: {"text": str(problem), "operations": problem.operations}
                for problem in problems
            },
            "rungs": [report(rung, problems, found, peaks) for rung in RUNGS],
        },
    )
    draw()


def fma_peaks() -> dict[int, float]:
    """GFLOP/s of nothing but multiply-adds, by number of threads."""
    library = probe.compiled()
    return {threads: probe.peak(library, threads) for threads in (1, 2)}


def measure(problem: Problem, library: ctypes.CDLL, rounds: int) -> Measured:
    """Check every rung that applies, then time all of them in turn."""
    found: Measured = {}
    runs: dict[int, Run] = {}
    slow = set()
    for rung in RUNGS:
        run = rung.make(problem, library)
        if run is None:
            continue
        if run.seconds() > SLOW:
            slow.add(rung.number)
        error = float(np.abs(run.result() - problem.exact).max() / np.abs(problem.exact).max())
        bound = AGREE_FAILED if rung.failed else AGREE
        if not error <= bound:
            where = f"{problem.name}: rung {rung.number} ({rung.name})"
            sys.exit(f"{where} must agree to {bound} with float64; differs by {error:.1e}")
        runs[rung.number], found[rung.number] = run, {"error": error}

    times: dict[int, list[float]] = {number: [] for number in runs}
    for done in range(rounds):
        for number, run in runs.items():
            if number in slow:
                if done < ROUNDS_OF_SLOW:
                    times[number].append(run.seconds())
            else:
                times[number] += turn(run)
    for number, seconds in times.items():
        found[number]["best_ms"] = min(seconds) * 1e3
        found[number]["median_ms"] = statistics.median(seconds) * 1e3
        found[number]["calls"] = len(seconds)
    return found


def turn(run: Run) -> list[float]:
    """Seconds of each call; a first one brings its data back into the cache, and does not count."""
    run.seconds()
    seconds: list[float] = []
    while sum(seconds) < TURN:
        seconds.append(run.seconds())
    return seconds


def speed(problem: Problem, measured: dict[str, float]) -> float:
    """GFLOP/s."""
    return problem.operations / measured["best_ms"] / 1e6


HEAD = ("rung", "idea", "ms", "GFLOP/s", "share of peak", "largest error")


def lines(problem: Problem, found: Measured, peaks: dict[int, float]) -> list[tuple[str, ...]]:
    """The table of a layer: first the ladder, then what failed."""
    return [
        (
            f"{rung.number}{' (failed)' if rung.failed else ''}",
            rung.name,
            f"{found[rung.number]['best_ms']:.2f}",
            f"{speed(problem, found[rung.number]):.1f}",
            f"{speed(problem, found[rung.number]) / peaks[rung.threads]:.1%}",
            f"{found[rung.number]['error']:.1e}",
        )
        for rung in RUNGS
        if rung.number in found
    ]


def report(
    rung: Rung, problems: list[Problem], found: dict[str, Measured], peaks: dict[int, float]
) -> dict[str, Any]:
    """All about a rung, for JSON.  A layer to which it does not apply has no entry."""
    layers = {}
    for problem in problems:
        measured = found[problem.name].get(rung.number)
        if measured is not None:
            gflops = speed(problem, measured)
            share = gflops / peaks[rung.threads]
            layers[problem.name] = {**measured, "gflops": gflops, "share_of_peak": share}
    return {
        "rung": rung.number,
        "name": rung.name,
        "idea": rung.idea,
        "failed": rung.failed,
        "threads": rung.threads,
        "layers": layers,
    }


if __name__ == "__main__":
    main()
