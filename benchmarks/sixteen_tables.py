"""What ``sixteen.py`` says: for the terminal, and for the pages (``tables.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timing import table

Figures = Mapping[str, Any]


def sixteen(figures: Figures) -> str:
    """A row for each choice of views."""
    names = list(figures["rows"][0]["scores"])
    head = ["learned from and tested on", "views"]
    for name in names:
        head += [name, "mAP"]
    rows = []
    for row in figures["rows"]:
        cells = [row["title"], row["views"]]
        for name in names:
            one = row["scores"][name]
            cells += [_accuracy(one), f"{one['map'] * 100:.1f} %"]
        rows.append(cells)
    return table(head, rows)


def accuracies(row: Figures) -> str:
    """Of each classifier, for a line of progress."""
    return ", ".join(f"{name} {_accuracy(one)}" for name, one in row["scores"].items())


def cost(figures: Figures) -> str:
    """What sixteen views gain and cost, in sentences."""
    one, every = figures["rows"][0], figures["rows"][-1]
    seconds = figures["features_seconds"]
    gains = ", ".join(
        f"{(every['scores'][name]['mean'] - found['mean']) * 100:+.1f} points ({name})"
        for name, found in one["scores"].items()
    )
    return (
        f"Sixteen views against one: {gains}. Features of {figures['photos']:,} photos took "
        f"{seconds['1']:.1f} s with one view and {seconds['16']:.1f} s with sixteen, "
        f"{seconds['16'] / seconds['1']:.1f} times as long, on {figures['threads']} threads; to "
        f"learn and test all {figures['splits']} splits, with both classifiers, "
        f"{one['seconds']:.1f} and {every['seconds']:.1f} s."
    )


def _accuracy(one: Figures) -> str:
    """``87.2 ± 1.0 %``: mean and standard deviation over the splits."""
    return f"{one['mean'] * 100:.1f} ± {one['deviation'] * 100:.1f} %"
