"""What labels of one domain are worth in another: ways to adapt, on Office-Caltech-10.

    python benchmarks/adaptation.py            # some minutes
    python benchmarks/adaptation.py --quick    # one draw, two domains, to see that it works

Ten classes in four domains: photos of amazon (A), caltech10 (C), dslr (D) and webcam (W).  As
features bags of SURF words and GoogLeNet's, both as published with the data, and SqueezeNet 1.1's
by decaf from the photos (last concatenation, averaged over positions).  Each domain is
standardised by itself; rows of SURF are divided by their sums first.

- Published figures.  The program that came with the data measured 1-nearest-neighbour from 20
  random photos a class (8 from dslr) to all photos of the target, ten draws without a seed.  The
  same here, over more draws; a line says which are not within the deviation published with them.
- Methods, as in Table 1 of Donahue et al. 2014: 20 photos a class (8 from dslr) of the source, 3 of
  the target, tested on the others.  A line says which adaptations are below source only with the
  same classifier, on the mean over all transfers.

Before 1-nearest-neighbour every method has photos divided by their lengths; the published figures,
and a second set of 1-nearest-neighbour, have their lengths kept.

Three choices were made with these data, on a few draws, some of them the first ones here, and are
the same for all features: unit length before 1-nearest-neighbour, C_source of MMDT, and which angle
counts as right in the subspace disagreement measure.  BLAS runs on one thread: the matrices are
small.

Writes ``results/adaptation.json``; the exit status is 0 whatever the figures are.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import adaptation_tables
import numpy as np
from flowers_features import Skipped, by_decaf, there
from numpy.typing import NDArray
from report import write_report

from decaf.errors import FeaturesError
from decaf.transfer.adaptation import METHODS, l1_normalised, standardised, table1

DRAWS, QUICK_DRAWS = 100, 2  # of the published protocol
SPLITS, QUICK_SPLITS = 5, 1
PER_CLASS = {"A": 20, "C": 20, "D": 8, "W": 20}
DOMAINS = {"A": "amazon", "C": "caltech10", "D": "dslr", "W": "webcam"}
# What each row of the table is called -> options of table1.
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "svm": {"classifier": "svm"},
    "logistic": {"classifier": "logistic"},
    "nearest": {"classifier": "nearest"},
    "nearest, lengths kept": {"classifier": "nearest", "unit_length": False},
}

# Printed in the repository that the features come from: mean and deviation in per cent.
PUBLISHED: dict[str, dict[str, tuple[float, float]]] = {
    "surf": {
        "A→C": (22.3, 2.4), "A→D": (23.6, 2.4), "A→W": (23.2, 1.8), "C→A": (21.4, 2.5),
        "C→D": (22.5, 2.2), "C→W": (21.5, 3.5), "D→A": (27.3, 1.3), "D→C": (24.3, 1.3),
        "D→W": (52.4, 2.3), "W→A": (22.9, 0.8), "W→C": (19.0, 0.8), "W→D": (52.1, 2.7),
    },
    "googlenet": {
        "A→D": (89.0, 2.3), "A→W": (82.3, 2.7), "D→A": (82.3, 2.0), "D→W": (96.9, 1.4),
        "W→A": (86.4, 1.2), "W→D": (99.2, 0.7),
    },
}  # fmt: skip
EARLIER = {"surf": {"A→W": (25.4, 2.2), "D→W": (52.7, 1.5), "W→D": (50.6, 4.3)}}

Figures = dict[str, Any]


class Domain(NamedTuple):
    """Features, (N, D) float64, and labels, (N,)."""

    features: NDArray[np.float64]
    labels: NDArray[Any]


Domains = dict[str, Domain]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one draw, domains D and W alone")
    options = parser.parse_args()
    started = time.perf_counter()
    draws, splits = (QUICK_DRAWS, QUICK_SPLITS) if options.quick else (DRAWS, SPLITS)
    figures: Figures = {
        "draws": draws, "splits": splits, "per_class": PER_CLASS, "target_per_class": 3,
        "published": {}, "methods": {}, "adaptations": METHODS[3:], "blas_threads": 1,
        "deviation_published": "of a population: divided by the number of draws",
        "deviation_methods": "of a sample: divided by the number of splits - 1",
    }  # fmt: skip
    for kind, read in KINDS.items():
        try:
            domains = read()
        except Skipped as reason:
            print(f"adaptation: {kind} left out: {reason}", file=sys.stderr)
            continue
        if options.quick:
            domains = {name: domains[name] for name in ("D", "W")}
        if kind in PUBLISHED:
            figures["published"][kind] = compare(kind, domains, draws)
        figures["methods"][kind] = {
            name: methods(domains, asked, splits) for name, asked in CLASSIFIERS.items()
        }
        print(f"{kind}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    if not figures["methods"]:
        return
    figures["seconds"] = round(time.perf_counter() - started)
    if figures["published"]:
        print(f"\n{adaptation_tables.published(figures)}\n")
    print(f"{adaptation_tables.methods(figures)}\n")
    write_report("adaptation", figures)


# --- features -------------------------------------------------------------------------------


def from_mat(kind: str, prepare: Callable[[Any], Any]) -> Domains:
    """Features published with the data; a domain that is missing there is left out."""
    from scipy.io import loadmat

    folder = there(f"features/office-caltech10-{kind}/amazon.mat").parent
    found = {}
    for short, name in DOMAINS.items():
        if (folder / f"{name}.mat").exists():
            read = loadmat(folder / f"{name}.mat")
            rows = standardised(prepare(read["fts"]))
            found[short] = Domain(rows, read["labels"].ravel().astype(np.int64))
    return found


def from_photos() -> Domains:
    """SqueezeNet's, by decaf."""
    names, photos = [], []
    with zipfile.ZipFile(there("images/office-caltech10.zip")) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith("/"):
                names.append(name.split("/")[-3:-1])  # domain, class
                photos.append(archive.read(name))
    rows = by_decaf(photos).features
    found = {}
    for short, domain in DOMAINS.items():
        members = [i for i, (name, _) in enumerate(names) if name == domain]
        labels = np.array([names[i][1] for i in members])
        found[short] = Domain(standardised(rows[members]), labels)
    return found


KINDS: dict[str, Callable[[], Domains]] = {
    "surf": lambda: from_mat("surf", l1_normalised),
    "googlenet": lambda: from_mat("googlenet", lambda rows: rows),
    "squeezenet": from_photos,
}


# --- experiments ----------------------------------------------------------------------------


def transfers(domains: Domains) -> Iterator[tuple[str, Domain, Domain, int]]:
    """Every pair of domains: its name, the source, the target, photos a class of the source."""
    for one, other in itertools.permutations(domains, 2):
        yield f"{one}→{other}", domains[one], domains[other], PER_CLASS[one]


def compare(kind: str, domains: Domains, draws: int) -> Figures:
    """1-nearest-neighbour as published: per cent, and whether it is within the deviation."""
    found = {}
    for name, source, target, per_class in transfers(domains):
        accuracies = table1(
            *source, *target,
            per_class=per_class, target_per_class=0, splits=draws, methods=("source only",),
            classifier="nearest", unit_length=False,
        ).accuracies["source only"]  # fmt: skip
        published = PUBLISHED[kind][name]
        mean = statistics.fmean(accuracies) * 100
        found[name] = {
            "mean": mean,
            "deviation": statistics.pstdev(accuracies) * 100,
            "published": published,
            "difference": mean - published[0],
            "within": abs(mean - published[0]) <= published[1],
        }
        if name in EARLIER.get(kind, {}):
            earlier = EARLIER[kind][name]
            found[name] |= {"earlier": earlier, "difference_earlier": mean - earlier[0]}
    return found


def methods(domains: Domains, options: Mapping[str, Any], splits: int) -> Figures:
    """Every method on every transfer, in per cent, and its mean over them."""
    found: Figures = {}
    for name, source, target, per_class in transfers(domains):
        result = table1(*source, *target, per_class=per_class, splits=splits, **options)
        if result.failures:  # a mean over the other transfers would be of other things
            raise FeaturesError(f"{name}: {result.table()}")
        for method, accuracies in result.accuracies.items():
            one = found.setdefault(method, {"mean": 0.0, "transfers": {}})
            one["transfers"][name] = {
                "mean": result.mean(method) * 100,
                "deviation": result.deviation(method) * 100 if splits > 1 else None,
                "accuracies": accuracies,
            }
    for one in found.values():
        one["mean"] = statistics.fmean(each["mean"] for each in one["transfers"].values())
    return found


if __name__ == "__main__":
    main()
