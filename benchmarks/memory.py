"""Memory while a plan runs: all its buffers are made beforehand, and nothing piles up.

    python benchmarks/memory.py            # 1,000 runs of each plan; a minute or two
    python benchmarks/memory.py --quick    # 20 runs

For plans of three networks (groups and LRN; branches; the default's), on 1 and on 2 threads:

  buffers   made when the plan was built: values and scratch, without the weights
  growth    resident memory at the end less that after the first 10 runs (``/proc``: Linux only)
  traced    the most that Python's allocators, NumPy's included, held at once during a run that
            was not the first (``tracemalloc``), beyond what they held before it

A run makes some short-lived Python objects, and so traces a kilobyte or two, but no array.

Writes ``results/memory.json``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tracemalloc
from pathlib import Path
from typing import Any

from random_weights import he_parameters, normal
from report import write_report
from timing import table

from decaf.architectures import caffenet, decaf_mini, squeezenet1_1
from decaf.plan import Network, Plan

PLANS = ((caffenet(), 1), (squeezenet1_1(), 1), (decaf_mini(), 32))  # with the batch
THREADS = (1, 2)
SETTLED = 10  # runs
STATUS = Path("/proc/self/statm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=1000, help="runs of each plan")
    parser.add_argument("--quick", action="store_true", help="20 runs")
    options = parser.parse_args()
    rounds = 20 if options.quick else options.rounds
    if not STATUS.exists():
        sys.exit(f"memory: resident memory is read from {STATUS}, which is not here")

    cases = []
    for architecture, batch in PLANS:
        network = Network(architecture, he_parameters(architecture), "cython")
        cases += [measure(network, batch, threads, rounds) for threads in THREADS]
    print(f"{rounds} runs of each plan, in bytes\n")
    head = ("network", "batch", "threads", "buffers", "resident", "growth", "traced")
    lines = [
        [f"{value:,}" if isinstance(value, int) else value for value in case.values()]
        for case in cases
    ]
    print(table(head, lines))
    write_report("memory", {"runs": rounds, "cases": cases})


def measure(network: Network, batch: int, threads: int, rounds: int) -> dict[str, Any]:
    plan = Plan(network, batch, threads=threads)
    plan.input[...] = normal(*plan.input.shape)
    for _ in range(SETTLED):
        plan.run()
    settled = resident_bytes()
    for _ in range(rounds - SETTLED):
        plan.run()
    growth = resident_bytes() - settled
    memory = plan.memory()
    return {
        "network": network.architecture.name,
        "batch": batch,
        "threads": threads,
        "buffers": memory.end_bytes + memory.arena_bytes + memory.scratch_bytes,
        "resident": settled,
        "growth": growth,
        "traced": traced_bytes(plan),
    }


def traced_bytes(plan: Plan) -> int:
    tracemalloc.start()
    plan.run()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    plan.run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak - before


def resident_bytes() -> int:
    pages = int(STATUS.read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
