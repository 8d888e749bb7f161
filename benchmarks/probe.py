"""What this machine can do at most: multiply-adds and reads from memory, a second.

    python benchmarks/probe.py            # a few seconds

No engine can compute faster than the first (unless it needs fewer multiplications), nor read its
weights faster than the second.  ``probe.c`` is compiled for the instruction set of this processor
by the C compiler of the system (``CC``, else ``cc``); ctypes releases the GIL, so that Python
threads run it side by side.

  peak       float32 multiply-adds on values in registers, each counted as two operations
  bandwidth  bytes read from a buffer many times as large as the caches

The best of several rounds counts: this is a ceiling, and whatever else runs only lowers it.  The
bandwidth that a virtual machine gets may change by a third within a minute, so that whoever needs
it for a longer run measures before and after.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from report import machine
from timing import table

SOURCE = Path(__file__).with_name("probe.c")
ROUNDS = 15
BUFFER = 2**28  # bytes
PASSES = 4  # over the buffer, in each round
SECONDS = 0.1  # of multiply-adds, in each round
FACTOR, TERM = 0.999, 0.001  # values stay near 1

# The instruction set, if the processor has the flag: bytes of a register, chains, options.
VARIANTS = (
    ("avx512f", 64, 24, ("-mavx512f", "-mprefer-vector-width=512")),
    ("fma", 32, 12, ("-mavx2", "-mfma")),
    ("asimd", 16, 24, ()),
)
BASELINE = ("baseline", 16, 12, ())  # 16 registers on x86-64


class Ceiling(NamedTuple):
    """What some number of threads can do together."""

    threads: int
    peak: float  # GFLOP/s in float32
    bandwidth: float  # GB/s read from memory


def main() -> None:
    ceilings = measure((1, 2))
    if not ceilings:
        sys.exit("probe: needs a C compiler; got none that works")
    print(table(("threads", "GFLOP/s", "GB/s"), [rounded(ceiling) for ceiling in ceilings]))


def rounded(ceiling: Ceiling) -> tuple[str, ...]:
    return str(ceiling.threads), f"{ceiling.peak:.0f}", f"{ceiling.bandwidth:.1f}"


def measure(threads: Sequence[int]) -> list[Ceiling]:
    """The ceilings for these numbers of threads; none where there is no C compiler."""
    try:
        library = compiled()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"probe: left out, for the C compiler does not work: {error}", file=sys.stderr)
        return []
    buffer = np.ones(BUFFER // 4, np.float32)  # ones: every page is there
    return [Ceiling(n, peak(library, n), bandwidth(library, buffer, n)) for n in threads]


def best_of(first: Sequence[Ceiling], second: Sequence[Ceiling]) -> list[Ceiling]:
    """The higher figures of two measurements, some time apart."""
    return [
        Ceiling(a.threads, max(a.peak, b.peak), max(a.bandwidth, b.bandwidth))
        for a, b in zip(first, second, strict=True)
    ]


def peak(library: ctypes.CDLL, threads: int) -> float:
    """GFLOP/s of multiply-adds in registers."""

    def work(rounds: int) -> Callable[[int], None]:
        return lambda _: library.multiply_add(rounds, FACTOR, TERM)

    rounds = 100_000
    rounds = round(rounds * SECONDS / least(work(rounds), 1))
    operations = 2 * library.multiply_adds_a_round() * rounds * threads
    return operations / least(work(rounds), threads) / 1e9


def bandwidth(library: ctypes.CDLL, buffer: np.ndarray, threads: int) -> float:
    """GB/s read from a buffer, of which each thread reads a part of its own."""
    share = len(buffer) // threads
    parts = [buffer[i * share : (i + 1) * share] for i in range(threads)]

    def work(thread: int) -> None:
        for _ in range(PASSES):
            library.read_all(parts[thread].ctypes.data, share)

    return PASSES * share * threads * buffer.itemsize / least(work, threads) / 1e9


def reader(threads: int) -> Callable[[], float] | None:
    """Return a call that reads a buffer once and gives the GB/s, to be taken in turn with others.

    None where there is no C compiler.
    """
    try:
        library = compiled()
    except (OSError, subprocess.CalledProcessError):
        return None
    buffer = np.ones(BUFFER // 4, np.float32)
    share = len(buffer) // threads
    pool = ThreadPoolExecutor(threads)

    def read(thread: int) -> None:
        library.read_all(buffer[thread * share :].ctypes.data, share)

    def call() -> float:
        start = time.perf_counter()
        list(pool.map(read, range(threads)))
        return share * threads * buffer.itemsize / (time.perf_counter() - start) / 1e9

    return call


def least(work: Callable[[int], None], threads: int) -> float:
    """Least seconds in which so many threads do ``work(0)``, ``work(1)``, …, all at once."""
    with ThreadPoolExecutor(threads) as pool:
        seconds = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            list(pool.map(work, range(threads)))
            seconds.append(time.perf_counter() - start)
    return min(seconds)


def compiled() -> ctypes.CDLL:
    """Compile the probe for this processor, and load it."""
    flags = machine()["flags"]
    _, width, chains, options = next((v for v in VARIANTS if v[0] in flags), BASELINE)
    compiler = os.environ.get("CC", "cc").split()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "probe.so")
        sizes = (f"-DWIDTH={width}", f"-DCHAINS={chains}")
        command = [*compiler, "-O3", "-ffp-contract=fast", "-fPIC", "-shared", *options, *sizes]
        subprocess.run([*command, "-o", str(path), str(SOURCE)], check=True)
        library = ctypes.CDLL(str(path))
    library.multiply_add.argtypes = (ctypes.c_size_t, ctypes.c_float, ctypes.c_float)
    library.multiply_add.restype = ctypes.c_float
    library.multiply_adds_a_round.restype = ctypes.c_size_t
    library.read_all.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    library.read_all.restype = ctypes.c_float
    return library


if __name__ == "__main__":
    main()
