"""A colour and a marker for each class.

The ten colours are told apart by people with all common kinds of colour vision (Petroff 2021,
"Accessible color sequences for data visualization").  From the eleventh class on they come again
with another marker.
"""

from __future__ import annotations

from typing import NamedTuple

COLOURS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
MARKERS = ("o", "^", "X", "s", "P", "v", "D", "*", "<", ">")
DISTINCT = len(COLOURS) * len(MARKERS)


class Look(NamedTuple):
    """How the points of a class look."""

    colour: str
    marker: str


def look(number: int) -> Look:
    """Return the look of class `number`; beyond the 100th they come again."""
    return Look(COLOURS[number % len(COLOURS)], MARKERS[number // len(COLOURS) % len(MARKERS)])
