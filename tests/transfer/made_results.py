"""Results of experiments that nobody made: hand-made numbers whose tables can be worked out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from decaf.transfer.results import Mistake, Scores, TransferResult

# Long, mathematics that cannot be parsed, letters that a font lacks, what HTML, a terminal or a
# codec would obey, and nothing.
NASTY = (
    "", " ", "'\"><script>alert(1)</script>", "&amp;", "$x^^2$ \\frac", "dog 犬", "line\nbreak",
    "x" * 300, "\u202egnp.exe", "\udcff half", "\0",
)  # fmt: skip
NAMES = ("logistic", "svm, dropout")


def matrix(classes: int, tested: int = 20) -> NDArray[np.int64]:
    """Of each class 3 are taken for the next one, and of the first 5; the others are right."""
    found = np.diag(np.full(classes, tested - 3))
    for row in range(classes):
        found[row, (row + 1) % classes] += 3
    found[0, 0] -= 2
    found[0, 1 % classes] += 2
    return found.astype(np.int64)


def made(
    classes: Sequence[str] = ("ant", "bee", "cat"),
    *,
    splits: int = 2,
    curve: bool = True,
    protocol: str = "decaf",
    mistakes: int = 3,
) -> TransferResult:
    """A result whose second classifier is the best, by a point."""
    accuracies = {
        "logistic": tuple(0.80 + 0.02 * split for split in range(splits)),
        "svm, dropout": tuple(0.81 + 0.02 * split for split in range(splits)),
    }
    measured = dict.fromkeys(classes, 0.5) if protocol == "offtheshelf" else {}
    scores = tuple(
        Scores(name, accuracies[name], (0.1, 10.0)[:splits], matrix(len(classes)), measured)
        for name in NAMES
    )
    lines = {
        name: {10: accuracies[name], 1: tuple(value / 2 for value in accuracies[name])}
        for name in NAMES
    }
    wrong = tuple(
        Mistake(photo, classes[photo % len(classes)], classes[(photo + 1) % len(classes)], 3.0)
        for photo in range(mistakes)
    )
    settings = {"per_class": 10, "splits": splits, "seed": 0, "standardise": False}
    return TransferResult(protocol, tuple(classes), scores, lines if curve else {}, wrong, settings)
