"""How long does exact search take, beside what it cannot do without?

    python benchmarks/search.py            # some minutes; needs 3 GB
    python benchmarks/search.py --quick    # a twentieth of the vectors, to see that it works

A million vectors of 500 float32 lie in memory, as an index on disk does once it was read.

- 1 query cannot be faster than reading the vectors once: ``probe.c`` reads them with all cores.
  Beside it what NumPy's matrix-vector product takes.
- 100 queries cannot be faster than their matrix product: NumPy's, of the whole matrix at once.

At most 1.3 times as long is wanted; a line says so where it takes longer, the exit status is 0.
The answer of both is compared with float64 distances, sorted, before anything is timed.
Contestants take turns (``timing.py``), because the bandwidth of a shared machine varies.  Run it
on a quiet machine: BLAS waits for all of its threads once a block, and where other programs hold
a core each wait lasts until the system takes it from them, several milliseconds.

Writes ``results/search.json``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import probe
import retrieval_tables
from report import write_report
from timing import interleave

from decaf import threads
from decaf.retrieval.blocks import Block, squared_lengths
from decaf.retrieval.exact import top_k

VECTORS, WIDTH, QUERIES, K = 1_000_000, 500, 100, 10
BLOCK = 250_000  # vectors, as an index has them that was added to three times
STEP = 50_000  # vectors that are made, or checked, at once
ROUNDS = 15
ALLOWED = 1.3

Array = np.ndarray[Any, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a twentieth of the vectors")
    options = parser.parse_args()
    count = VECTORS // 20 if options.quick else VECTORS
    rounds = 3 if options.quick else ROUNDS

    vectors, queries = unit_vectors(count, seed=0), unit_vectors(QUERIES, seed=1)
    queries[0] = vectors[count // 3]  # a photo that is in the index
    blocks = [
        Block(part[:, None], squared_lengths(part[:, None]), first)
        for first in range(0, count, BLOCK)
        for part in [vectors[first : first + BLOCK]]
    ]
    check(blocks, vectors, queries)

    one = np.empty((count, 1), np.float32)
    many = np.empty((count, QUERIES), np.float32)
    contestants: dict[str, Callable[[], object]] = {
        "product_1": lambda: np.matmul(vectors, queries[:1].T, out=one),
        "search_1": lambda: top_k(blocks, queries[:1], K),
        "product_100": lambda: np.matmul(vectors, queries.T, out=many),
        "search_100": lambda: top_k(blocks, queries, K),
    }
    read = reader(vectors)
    if read is not None:
        contestants = {"read": read, **contestants}
    timings = interleave(contestants, rounds)
    figures = {
        "vectors": count,
        "width": WIDTH,
        "queries": QUERIES,
        "k": K,
        "block": BLOCK,
        "GB": vectors.nbytes / 1e9,
        "allowed": ALLOWED,
        "timings": {name: timing.as_dict() for name, timing in timings.items()},
    }
    print(f"\n{retrieval_tables.search(figures)}\n")
    write_report("search", figures)


def unit_vectors(count: int, seed: int) -> Array:
    """Random directions, (count, WIDTH) float32."""
    rng = np.random.default_rng(seed)
    vectors = np.empty((count, WIDTH), np.float32)
    for start in range(0, count, STEP):
        part = vectors[start : start + STEP]
        rng.standard_normal(out=part, dtype=np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return vectors


def check(blocks: list[Block], vectors: Array, queries: Array) -> None:
    """Stop unless the search finds what sorted float64 distances have first."""
    distances, numbers = top_k(blocks, queries, K)
    for query in (0, 1, QUERIES - 1):
        all_distances = np.concatenate(
            [
                np.linalg.norm(
                    vectors[start : start + STEP].astype(np.float64) - queries[query], axis=1
                )
                for start in range(0, len(vectors), STEP)
            ]
        )
        order = np.argsort(all_distances, kind="stable")[:K]
        if order.tolist() != numbers[query].tolist():
            sys.exit(f"search: query {query} must find {order.tolist()}; got {numbers[query]}")
        np.testing.assert_allclose(distances[query], all_distances[order], rtol=1e-6)
    alone = top_k(blocks, queries[:1], K)
    if alone[1].tolist() != numbers[:1].tolist() or alone[0].tobytes() != distances[:1].tobytes():
        sys.exit("search: a query must find the same alone and among others")


def reader(vectors: Array) -> Callable[[], object] | None:
    """Read the vectors once, with all cores; None where there is no C compiler."""
    try:
        library = probe.compiled()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"search: nothing reads memory, for the C compiler fails: {error}", file=sys.stderr)
        return None
    size = threads.resolve(None)
    flat = vectors.reshape(-1)
    share = len(flat) // size
    pool = ThreadPoolExecutor(size)

    def part(thread: int) -> None:
        library.read_all(flat[thread * share :].ctypes.data, share)

    return lambda: list(pool.map(part, range(size)))


if __name__ == "__main__":
    main()
