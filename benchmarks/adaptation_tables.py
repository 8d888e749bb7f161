"""What ``adaptation.py`` says: for the terminal, and for the pages (``tables.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timing import table

Figures = Mapping[str, Any]

TITLES = {"surf": "SURF", "googlenet": "GoogLeNet", "squeezenet": "SqueezeNet 1.1"}
CLASSIFIERS = {
    "svm": "SVM",
    "logistic": "logistic regression",
    "nearest": "1-nearest-neighbour",
    "nearest, lengths kept": "1-nearest-neighbour, lengths kept",
}
UNIT = (
    "Every method has photos divided by their lengths before 1-nearest-neighbour, but for the last "
    "rows, which keep them, as the published figures do. This was chosen on the same data."
)


def published(figures: Figures) -> str:
    """1-nearest-neighbour beside what was published, then how many are within a deviation."""
    rows = []
    found: Mapping[str, Figures] = figures["published"]
    for kind, transfers in found.items():
        for name, one in transfers.items():
            rows.append(
                (
                    TITLES[kind],
                    name,
                    f"{one['published'][0]:.1f} ± {one['published'][1]:.1f}",
                    f"{one['mean']:.1f} ± {one['deviation']:.1f}",
                    f"{one['difference']:+.1f}",
                    "yes" if one["within"] else "no",
                )
            )
    head = ("features", "transfer", "published", "decaf", "difference", "within a deviation")
    return f"{table(head, rows)}\n\n{verdict(figures)}"


def verdict(figures: Figures) -> str:
    """Say which of the published figures were met."""
    every = [
        (f"{TITLES[kind]} {name}", one)
        for kind, transfers in figures["published"].items()
        for name, one in transfers.items()
    ]
    missed = [name for name, one in every if not one["within"]]
    text = (
        f"Mean ± deviation of {figures['draws']:,} draws; {len(every) - len(missed)} of "
        f"{len(every)} are within the deviation that was published with them."
    )
    if missed:
        text += f" This falls short: {', '.join(missed)}."
    again = [
        f"{name} {one['earlier'][0]:.1f} ± {one['earlier'][1]:.1f} "
        f"({one['difference_earlier']:+.1f})"
        for name, one in every
        if "earlier" in one
    ]
    if again:
        text += (
            " An earlier run of the same program as the published one printed other figures "
            f"(in brackets the difference of decaf's): {'; '.join(again)}."
        )
    return text


def methods(figures: Figures) -> str:
    """Every method on the mean of all transfers, a column for each kind of features."""
    found: Mapping[str, Figures] = figures["methods"]
    rows = []
    for classifier, title in CLASSIFIERS.items():
        names = next(iter(found.values()))[classifier]
        for method in names:
            rows.append(
                (
                    title,
                    method,
                    *(f"{one[classifier][method]['mean']:.1f}" for one in found.values()),
                )
            )
    head = ("classifier", "method", *(TITLES[kind] for kind in found))
    below = [
        f"{TITLES[kind]}, {CLASSIFIERS[classifier]}: {method}"
        for kind, one in found.items()
        for classifier, names in one.items()
        for method, scores in names.items()
        if method in figures["adaptations"] and scores["mean"] < names["source only"]["mean"]
    ]
    text = (
        "Every adaptation is at or above source only with the same classifier, on the mean of the "
        "transfers."
    )
    if below:
        text = f"This falls short, below source only with the same classifier: {'; '.join(below)}."
    return f"{table(head, rows)}\n\n{text} {UNIT}"


def transfers(figures: Figures, kind: str, classifier: str) -> str:
    """Every method on every transfer, for one kind of features."""
    names: Mapping[str, Figures] = figures["methods"][kind][classifier]
    pairs = list(next(iter(names.values()))["transfers"])
    rows = [
        (pair, *(f"{one['transfers'][pair]['mean']:.1f}" for one in names.values()))
        for pair in pairs
    ]
    return table(("transfer", *names), rows)
