"""What the tables of a report say: how good each class is, and which are taken for which."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from decaf.transfer.results import Scores


class ClassRow(NamedTuple):
    """How well a class is recognised."""

    name: str
    tested: int  # photos that show it, over all splits
    accuracy: float  # 0 to 1; NaN where none was tested
    average_precision: float  # likewise; NaN where not measured
    taken_for: str  # what was said most often of those that were mistaken; "" for none
    times: int  # how often


class Confused(NamedTuple):
    """A class that was taken for another."""

    shows: str
    said: str
    times: int
    share: float  # of the photos that show it, 0 to 1


def class_rows(scores: Scores, classes: Sequence[str]) -> list[ClassRow]:
    """Return a row a class, the worst first; of equals, in the order of the classes."""
    rows = []
    for number, name in enumerate(classes):
        said = scores.confusion[number].astype(np.int64)
        tested, right = int(said.sum()), int(said[number])
        said[number] = 0
        most = int(said.argmax())
        rows.append(
            ClassRow(
                name,
                tested,
                right / tested if tested else math.nan,
                scores.average_precision.get(name, math.nan),
                classes[most] if said[most] else "",
                int(said[most]),
            )
        )
    return sorted(rows, key=lambda row: 2.0 if math.isnan(row.accuracy) else row.accuracy)


def most_confused(scores: Scores, classes: Sequence[str], most: int) -> list[Confused]:
    """Return the pairs with the most mistakes, at most so many; of equals, in matrix order."""
    counts = scores.confusion.copy()
    totals = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:most]
    pairs = [divmod(int(cell), len(counts)) for cell in order]
    return [
        Confused(classes[row], classes[column], times, times / int(totals[row]))
        for row, column in pairs
        if (times := int(counts[row, column]))
    ]


def span(values: Sequence[float]) -> str:
    """Write from which to which number, or the one."""
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
