"""Small images in rows: how many to a row, and drawing them into one pair of axes.

Tile k is an image of its own, ``axes.images[k]``, one unit wide or high, whichever is longer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from decaf.plots.canvas import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BROADER = 1.5  # a grid is about so much broader than high


def columns_for(count: int, groups: int = 1) -> int:
    """How many tiles to a row: rows full where that gives a reasonable shape."""
    ideal = math.sqrt(BROADER * count)
    size = math.ceil(count / groups)
    near = range(math.ceil(ideal / 1.4), int(ideal * 1.4) + 1)
    full = [c for c in near if size % c == 0]
    return min(full, key=lambda c: abs(c - ideal)) if full else min(size, math.ceil(ideal))


def places(
    count: int, columns: int, across: float, down: float, groups: int = 1, between: float = 0.4
) -> list[tuple[float, float]]:
    """Left and top of each tile, row by row; each group begins a row, some way below the last.

    Parameters
    ----------
    count, columns : int
        How many tiles there are, and in a row.
    across, down : float
        Steps from one tile to the next.
    groups : int
        Of equal size, one after the other.
    between : float
        Additional room between groups.
    """
    size = math.ceil(count / groups)
    rows = math.ceil(size / columns)
    found = []
    for k in range(count):
        group, inside = divmod(k, size)
        row, column = divmod(inside, columns)
        found.append((column * across, (group * rows + row) * down + group * between))
    return found


def draw(
    axes: Axes,
    tiles: Iterable[NDArray[Any]],
    where: Sequence[tuple[float, float]],
    **options: Any,
) -> None:
    """Draw each tile with its left top corner at a place, in a thin frame; y points down.

    `options` are those of ``Axes.imshow``.
    """
    from matplotlib.patches import Rectangle

    right = bottom = 0.0
    for tile, (left, top) in zip(tiles, where, strict=True):
        h, w = np.array(tile.shape[:2]) / max(tile.shape[:2])
        box = (left, left + w, top + h, top)
        picture(axes, tile, extent=box, interpolation="nearest", **options)
        axes.add_patch(Rectangle((left, top), w, h, fill=False, edgecolor="0.7", linewidth=0.5))
        right, bottom = max(right, left + w), max(bottom, top + h)
    axes.set_xlim(0, right)
    axes.set_ylim(bottom, min(top for _, top in where))
    axes.set_aspect("equal")
