"""The contest: decaf against PyTorch, ONNX Runtime, OpenVINO and OpenCV on this machine.

    python benchmarks/peers.py            # all of it, a quarter of an hour on two cores
    python benchmarks/peers.py --quick    # 2 rounds, batch 1 and 8, to see that it works
    python benchmarks/peers.py --parts contest --batches 1 --threads 2 --nets alexnet
    python benchmarks/peers.py --plot     # draws results/peers.json again, measures nothing

contest    one forward pass from the input to fc8: torchvision's AlexNet, and with half as many
           rounds CaffeNet with its normalisation and groups, up to batch 32; the same He-scaled
           random weights for all (``peers_contestants.py``)
processes  from the start of a fresh process to its first answer, and the memory of it
           (``peers_processes.py``)
alone      decaf beside what the machine can do at most (``probe.py``), its growth with the batch,
           and two Python threads that share a network (``peers_decaf.py``)

Every float32 result must agree with PyTorch's to 1e-4 of its largest magnitude, or nothing is
timed; for those that compute with fewer bits, which are a class of their own, the difference is
reported, and must be below a tenth.  Then the contestants take turns; ``timing.py`` says how.
Engines that are not installed are left out.

Prints the tables of the README, and for every aim whether it was reached (``peers_targets.py``);
writes ``results/peers.json`` and ``results/peers.png``.  The exit status is 0 however long it
takes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import peers_decaf
import peers_processes
import peers_tables
import probe
from peers_contestants import DECAF, Array, Contestant, Work, contestants, decaf_networks
from peers_decaf import Rate, limit_seconds
from peers_plot import draw
from peers_targets import verdicts
from probe import Ceiling
from random_weights import he_parameters, normal
from report import RESULTS, write_report
from threadpoolctl import ThreadpoolController
from timing import Timing, interleave

from decaf.architectures import ARCHITECTURES
from decaf.plan import Network

AGREE = 1e-4  # of the largest magnitude of fc8
AGREE_REDUCED = 0.1
PARTS = ("contest", "processes", "alone")
LARGE = 32  # batches beyond take so long that a third of the rounds must do, and one network
LEAST = 0.03  # seconds of a turn of the others
GROWTH = (8, 32, 128, 512)  # batch sizes


class Case(NamedTuple):
    """All contestants on one network, batch size and number of threads."""

    network: str
    threads: int
    batch: int
    precisions: dict[str, str]
    errors: dict[str, float]  # largest difference from PyTorch, of fc8's largest magnitude
    timings: dict[str, Timing]

    def fastest_rival(self) -> str | None:
        """Of those that compute in float32; None if there is none."""
        rivals = [n for n, p in self.precisions.items() if p == "float32" and n != DECAF]
        return min(rivals, key=lambda name: self.timings[name].median, default=None)

    def as_dict(self, ceilings: Sequence[Ceiling]) -> dict[str, Any]:
        """For JSON, beside what the ceiling of as many threads allows; None where it is unknown."""
        architecture = ARCHITECTURES[self.network](1000)
        limit = None
        for ceiling in ceilings:
            if ceiling.threads == self.threads:
                limit = limit_seconds(architecture, self.batch, ceiling) * 1e3
        ours = self.timings[DECAF].median
        return {
            "network": self.network,
            "threads": self.threads,
            "batch": self.batch,
            "precisions": self.precisions,
            "errors": self.errors,
            "times": {name: timing.as_dict() for name, timing in self.timings.items()},
            "decaf_divided_by": {n: ours / t.median for n, t in self.timings.items()},
            "fastest_float32_rival": self.fastest_rival(),
            "limit_ms": limit,
        }


def main() -> None:
    options = parsed()
    if options.plot:
        draw()
        return
    nets = {name: he_parameters(ARCHITECTURES[name](1000)) for name in options.nets}
    alexnet = nets.get("alexnet") or he_parameters(ARCHITECTURES["alexnet"](1000))
    ceilings = probe.measure(options.threads)
    figures: dict[str, Any] = {}
    rates: list[Rate] = []
    cases: list[Case] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "processes" in options.parts:
            starts = peers_processes.measure(alexnet, folder, max(2, options.rounds // 2))
            figures["processes"] = {name: start.as_dict() for name, start in starts.items()}
        if "alone" in options.parts:
            networks = decaf_networks(ARCHITECTURES["alexnet"](1000), alexnet)
            rates = peers_decaf.rates(networks, options.threads, options.rounds)
            weights = peers_processes.save_decaf(alexnet, folder)[DECAF]
            figures |= alone(networks[DECAF], weights, options)
            del networks
    if "contest" in options.parts:
        for name, parameters in nets.items():
            cases += contest(name, parameters, options)
    ceilings = probe.best_of(ceilings, probe.measure(options.threads))

    figures["ceilings"] = [ceiling._asdict() for ceiling in ceilings]
    figures["rates"] = [rate._asdict() | {"share": rate.share(ceilings)} for rate in rates]
    figures["contest"] = [case.as_dict(ceilings) for case in cases]
    found = list(verdicts(figures))
    figures["aims"] = [verdict.as_dict() for verdict in found]
    print(peers_tables.everything(figures, found))
    write_report("peers", figures)
    if cases:
        draw()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 10, 32, 128])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--nets", nargs="+", default=["alexnet", "caffenet"])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--quick", action="store_true", help="2 rounds, batch 1 and 8")
    parser.add_argument("--plot", action="store_true", help=f"only draw {RESULTS.name}/peers.json")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.batches = 2, [1, 8]
    return options


def contest(name: str, parameters: Mapping[str, Array], options: argparse.Namespace) -> list[Case]:
    """All cases of one network; for any but the first fewer rounds, and no large batch."""
    architecture = ARCHITECTURES[name](1000)
    networks = decaf_networks(architecture, parameters)
    first = name == options.nets[0]
    rounds = options.rounds if first else max(2, options.rounds // 2)
    blas = ThreadpoolController()
    cases = []
    for threads in options.threads:
        for batch in options.batches:
            if first or batch <= LARGE:
                x = normal(batch, *architecture.input_shape)
                work = Work(architecture, parameters, networks, x, threads)
                with blas.limit(limits=threads, user_api="blas"):
                    cases.append(measure(work, rounds))
    return cases


def measure(work: Work, rounds: int) -> Case:
    """Check all contestants, then time them in turn."""
    name, batch = work.architecture.name, len(work.input)
    print(f"{name}, batch {batch}, {work.threads} threads", file=sys.stderr)
    ready = list(contestants(work))
    errors = differences(ready)
    calls = {one.name: one.call for one in ready}
    if batch <= LARGE:
        timings = interleave(calls, rounds, least=LEAST)
    else:  # a call takes so long that waking up does not count
        timings = interleave(calls, max(2, rounds // 3), warm=False)
    precisions = {one.name: one.precision for one in ready}
    return Case(name, work.threads, batch, precisions, errors, timings)


def differences(ready: Sequence[Contestant]) -> dict[str, float]:
    """Compare all with the first, PyTorch where it is there; stop where one is wrong."""
    expected = ready[0].call().astype(np.float64)
    largest = np.abs(expected).max()
    found = {}
    for one in ready:
        found[one.name] = float(np.abs(one.call() - expected).max() / largest)
        allowed = AGREE if one.exact else AGREE_REDUCED
        if not found[one.name] <= allowed:
            sys.exit(
                f"{one.name}: fc8 must agree with {ready[0].name} to {allowed}; "
                f"differs by {found[one.name]:.1e}"
            )
    return found


def alone(network: Network, weights: Path, options: argparse.Namespace) -> dict[str, Any]:
    """How decaf grows with the batch, and with the threads of its user."""
    most, rounds = max(options.threads), max(2, options.rounds // 3)
    growth = peers_decaf.growth(network, GROWTH, most, rounds)
    return {
        "growth_threads": most,
        "growth": [one.as_dict() for one in growth],
        "two_python_threads": peers_decaf.two_python_threads(weights, rounds),
    }


if __name__ == "__main__":
    main()
