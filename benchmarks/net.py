"""The whole network against PyTorch: torchvision's AlexNet, from its input to fc8.

    python benchmarks/net.py            # the table of the README, some minutes
    python benchmarks/net.py --quick    # two rounds, to see that it works

Measures one forward pass at batch 1, 8 and 32, on 1 and on 2 threads, with the same He-scaled
random weights and the same random input for all:

  decaf           the input copied into the plan, ``Plan.run``, fc8 copied out
  decaf numpy     the readable layers alone, a few rounds only
  PyTorch         torchvision's model in eval mode, under ``torch.inference_mode()``
  channels_last   the same, model and input laid out as N,H,W,C beforehand

Every fc8 must agree with PyTorch's to 1e-4 of its largest magnitude, or nothing is timed.  Then
the contestants take turns in this one process; ``timing.py`` says how, and why none of them has
its threads told how long to wait for more work.  NumPy's BLAS gets as many threads as the others.

Prints a Markdown table of medians and quartiles in milliseconds, and a line for each ratio that
is over the 1.3 which decaf allows itself; writes ``results/net.json``.  The exit status is 0
however long it takes: a time is no pass or fail.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from random_weights import Array, normal
from report import write_report
from threadpoolctl import ThreadpoolController
from timing import Timing, interleave, ratios, table

from decaf.architectures import alexnet
from decaf.plan import Network, Plan

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from support_torch import alexnet_parameters, he_alexnet, import_torch

AGREE = 1e-4  # of the largest magnitude of fc8
ALLOWED = 1.3  # times PyTorch's time
RIVALS = ("PyTorch", "channels_last")
SLOW_ROUNDS = 3  # for NumPy, many times slower than the others

Call = Callable[[], Array]


class Case(NamedTuple):
    """All contestants at one batch size on one number of threads."""

    threads: int
    batch: int
    errors: dict[str, float]  # largest difference from PyTorch, of fc8's largest magnitude
    timings: dict[str, Timing]

    def ratios(self) -> dict[str, float]:
        """Median of decaf divided by each rival's: above 1, decaf is slower."""
        return {name: 1 / ratio for name, ratio in ratios(self.timings, "decaf").items()}

    def row(self) -> tuple[object, ...]:
        against = self.ratios()
        return (
            self.threads,
            self.batch,
            *self.timings.values(),
            *(f"{against[rival]:.2f}" for rival in RIVALS),
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "threads": self.threads,
            "batch": self.batch,
            "errors": self.errors,
            "times": {name: timing.as_dict() for name, timing in self.timings.items()},
            "decaf_divided_by": self.ratios(),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--quick", action="store_true", help="2 rounds, batch 1 and 8")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.batches = 2, [1, 8]

    model = he_alexnet(seed=0)
    parameters = alexnet_parameters(model)
    networks = {
        "decaf": Network(alexnet(), parameters, "cython"),
        "decaf numpy": Network(alexnet(), parameters, "numpy"),
    }
    layout = import_torch().channels_last
    models = {
        "PyTorch": model,
        "channels_last": copy.deepcopy(model).to(memory_format=layout),
    }
    blas = ThreadpoolController()
    cases = []
    for threads in options.threads:
        for batch in options.batches:
            with blas.limit(limits=threads, user_api="blas"):
                cases.append(measure(networks, models, threads, batch, options.rounds))

    names = cases[0].timings
    print("torchvision AlexNet, float32, in milliseconds: median (quartiles)\n")
    head = ("threads", "batch", *names, *(f"decaf / {rival}" for rival in RIVALS))
    print(table(head, [case.row() for case in cases]))
    for case in cases:
        for rival in RIVALS:
            if (ratio := case.ratios()[rival]) > ALLOWED:
                print(
                    f"falls short: batch {case.batch}, {case.threads} threads: decaf takes "
                    f"{ratio:.2f} times as long as {rival}; at most {ALLOWED} is wanted"
                )
    write_report("net", {"cases": [case.as_dict() for case in cases]})


def measure(
    networks: Mapping[str, Network],
    models: Mapping[str, Any],
    threads: int,
    batch: int,
    rounds: int,
) -> Case:
    """Check all contestants, then time them in turn."""
    import_torch().set_num_threads(threads)
    x = normal(batch, *alexnet().input_shape)
    calls = {name: decaf_call(network, x, threads) for name, network in networks.items()}
    calls |= {name: torch_call(model, x, name == "channels_last") for name, model in models.items()}
    expected = calls["PyTorch"]()
    errors = {
        name: float(np.abs(call() - expected).max() / np.abs(expected).max())
        for name, call in calls.items()
    }
    for name, error in errors.items():
        if not error <= AGREE:
            sys.exit(f"{name}: fc8 must agree with PyTorch to {AGREE}; differs by {error:.1e}")
    slow = {"decaf numpy": calls.pop("decaf numpy")}
    timings = interleave(calls, rounds) | interleave(slow, min(rounds, SLOW_ROUNDS))
    return Case(threads, batch, errors, timings)


def decaf_call(network: Network, x: Array, threads: int) -> Call:
    plan = Plan(network, len(x), ("fc8",), threads=threads)

    def call() -> Array:
        np.copyto(plan.input, x)
        plan.run()
        return plan.outputs["fc8"].copy()

    return call


def torch_call(model: Any, x: Array, channels_last: bool) -> Call:
    torch = import_torch()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    input = torch.from_numpy(x).to(memory_format=layout)

    def call() -> Array:
        with torch.inference_mode():
            return model(input).numpy()

    return call


if __name__ == "__main__":
    main()
