"""What ``flowers.py`` says: for the terminal, and for the pages (``tables.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timing import table

Figures = Mapping[str, Any]


def features(figures: Figures) -> str:
    """A row for each kind of features; what was left out follows, with its reason."""
    found: Mapping[str, Figures] = figures["features"]
    rows = [
        (one["title"], f"{one['d']:,}", accuracy(one))
        for one in found.values()
        if "skipped" not in one
    ]
    left_out = [
        f"Left out: {one['title']}: {one['skipped']}." for one in found.values() if "skipped" in one
    ]
    return "\n\n".join([table(("features", "D", "accuracy"), rows), *left_out])


def accuracy(one: Figures) -> str:
    """``87.2 ± 1.0 %``: mean and standard deviation over the splits."""
    return f"{one['mean'] * 100:.1f} ± {one['std'] * 100:.1f} %"


def compared(figures: Figures) -> str:
    """Whether decaf's features are worth as much as PyTorch's, in a sentence."""
    one: Figures = figures["compared"]
    if "skipped" in one:
        return f"decaf and PyTorch were not compared: {one['skipped']}."
    ours, theirs = (figures["features"][name]["mean"] for name in ("decaf", "torch"))
    text = (
        f"With SqueezeNet's features from decaf {ours * 100:.2f} % of the test photos are "
        f"classified correctly, with those from PyTorch {theirs * 100:.2f} %: "
        f"{one['points']:.2f} points apart; {one['different_predictions']:,} of "
        f"{one['predictions']:,} predictions differ. The features themselves differ by at most "
        f"{one['largest_relative_difference']:.0e} of the largest."
    )
    if one["points"] > one["allowed_points"]:
        text += f" This falls short: at most {one['allowed_points']:g} point is wanted."
    return text
