"""What ``transfer.py`` says: for the terminal, and for the pages (``tables.py``)."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from timing import table

Figures = Mapping[str, Any]


def protocol(figures: Figures) -> str:
    """A row for each classifier: decaf, and the script in scikit-learn alone."""
    rows = [
        (
            name,
            accuracy(one["accuracies"]),
            accuracy(one["script"]),
            f"{one['points']:.2f}",
            chosen(one["chosen"]),
        )
        for name, one in figures["classifiers"].items()
    ]
    return table(
        ("classifier", "`decaf_protocol`", "plain scikit-learn", "points apart", "C"), rows
    )


def curve(figures: Figures) -> str:
    """A row for each classifier, a column for each number of photos a class."""
    found: Mapping[str, Mapping[str, Sequence[float]]] = figures["curve"]
    counts = list(next(iter(found.values())))
    rows = [(name, *(accuracy(each[count]) for count in counts)) for name, each in found.items()]
    return table(("photos a class", *counts), rows)


def verdict(figures: Figures) -> str:
    """What was measured, how long it took, and what falls short."""
    text = (
        f"{figures['photos']:,} photos of {figures['classes']} classes, {figures['per_class']} a "
        f"class to learn from, {figures['splits']} splits, D = {figures['dimensions']:,}: "
        f"{figures['fits']} trained classifiers, each with its C chosen, in "
        f"{figures['seconds']:.0f} s."
    )
    far = {
        name: one["points"]
        for name, one in figures["classifiers"].items()
        if one["points"] > figures["allowed_points"]
    }
    for name, points in far.items():
        text += (
            f" This falls short: with {name} the script is {points:.2f} points away; at most "
            f"{figures['allowed_points']:g} is wanted."
        )
    for name, each in figures["curve"].items():
        means = [statistics.fmean(accuracies) for accuracies in each.values()]
        if means != sorted(means):
            text += f" This falls short: the learning curve of {name} does not rise everywhere."
    return text


def accuracy(accuracies: Sequence[float]) -> str:
    """``87.2 ± 1.0 %``: mean and standard deviation over the splits."""
    deviation = statistics.stdev(accuracies) * 100
    return f"{statistics.fmean(accuracies) * 100:.1f} ± {deviation:.1f} %"


def chosen(values: Sequence[float]) -> str:
    """The C of all splits, in order of size."""
    return ", ".join(f"{value:g}" for value in sorted(values))
