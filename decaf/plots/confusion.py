"""What photos show against what a classifier said of them.

A row is a class, and its cells are what was said of the photos that show it, as a share of them;
so a row sums to 100 %, and a perfect classifier has a diagonal of 100 % and nothing else.  Colour
grows with the square root of the share: a mistake of 1 % can still be seen beside it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError
from decaf.plots.canvas import (
    BLACK,
    GREY,
    LARGE,
    NORMAL,
    SMALL,
    axes_at,
    axis_title,
    colour_bar,
    fitted,
    need_matplotlib,
    new_figure,
    picture,
    text_width,
    write,
)
from decaf.plots.tsne import label_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from decaf.transfer.results import Scores, TransferResult

MOST_NUMBERS = 30  # classes: of more, the cells are too small for numbers

# Inches.
A_CELL, A_LABEL = 0.29, 0.145  # a cell with a number; the closest that labels may stand
SMALLEST, LARGEST = 2.4, 14.5  # the matrix
NAMES = 1.6  # the longest label
MARGIN, ABOVE, GAP, BAR = 0.15, 0.65, 0.2, 0.15


def confusion(result: TransferResult, classifier: str | None = None) -> Figure:
    """Draw the confusion matrix of a classifier.

    Parameters
    ----------
    result : TransferResult
        What a protocol gave.
    classifier : str, optional
        Name of one of its classifiers; by default the one with the highest mean accuracy.

    Returns
    -------
    matplotlib.figure.Figure
        ``axes[0].images[0]`` holds the shares in percent, (K, K), NaN where no photo was tested.
        With more classes than have room, only some are named.

    Raises
    ------
    FeaturesError
        If there is no such classifier.
    DecafError
        If matplotlib is missing.
    """
    need_matplotlib()
    scores = _scores_of(result, classifier)
    percent = percentages(scores.confusion)
    count = len(percent)
    numbers = count <= MOST_NUMBERS
    side = A_CELL * count if numbers else min(A_LABEL * count, LARGEST)
    side = max(side, SMALLEST)
    every = math.ceil(A_LABEL * count / side)  # class is named
    names = [fitted(label_name(name), NAMES, SMALL) for name in result.classes[::every]]
    longest = max(text_width(name, SMALL) for name in names) + 0.1

    left = MARGIN + 0.25 + longest
    below = MARGIN + 0.25 + longest
    right = GAP if numbers else GAP + BAR + 0.6
    who = f"Confusion of {scores.name}"
    facts = "a row: what photos show; a column: what was said; a cell: % of the photos of its row"
    need = max(text_width(who, LARGE), text_width(facts, SMALL)) + 2 * MARGIN
    wide, high = max(left + side + right, need), below + side + ABOVE
    figure = new_figure(wide, high)
    axes = axes_at(figure, left, below, side, side)
    image = _cells(axes, percent)
    ticks = range(0, count, every)
    for axis, rotation in ((axes.xaxis, 90), (axes.yaxis, 0)):
        axis.set_ticks(
            ticks, names, fontsize=SMALL, rotation=rotation, parse_math=False, usetex=False
        )
    axes.tick_params(length=0 if every == 1 else 3.5, pad=3)
    axis_title(axes, "x", "said", NORMAL)
    axis_title(axes, "y", "shows", NORMAL)
    axes.xaxis.set_label_coords(0.5, (MARGIN - below) / side, transform=axes.transAxes)
    axes.xaxis.label.set_verticalalignment("bottom")
    axes.yaxis.set_label_coords((MARGIN - left) / side, 0.5, transform=axes.transAxes)
    axes.yaxis.label.set_verticalalignment("top")
    if numbers:
        _numbers(axes, percent)
    else:
        bar = axes_at(figure, left + side + GAP, below + side - SMALLEST, BAR, SMALLEST)
        colour_bar(figure, image, bar)
        bar.set_yticks([0, 1, 5, 20, 50, 100], ["0", "1", "5", "20", "50", "100 %"])
    if every > 1:
        facts += f"; 1 of {every} classes is named"
    write(figure, MARGIN / wide, 1 - 0.15 / high, who, LARGE, va="top")
    write(figure, MARGIN / wide, 1 - 0.4 / high, facts, va="top", color=GREY)
    return figure


def percentages(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each row's photos in percent, (K, K); NaN in a row without photos."""
    total = confusion.sum(axis=1, keepdims=True)
    whole = np.where(total > 0, total, 1)
    return np.where(total > 0, 100 * confusion / whole, np.nan)


def _scores_of(result: TransferResult, classifier: str | None) -> Scores:
    names = [scores.name for scores in result.scores]
    if not names:
        raise FeaturesError("a confusion matrix must be of a classifier; got a result of none")
    if classifier is None:
        return result.best
    if classifier not in names:
        raise FeaturesError(
            f"the classifier must be one of the result; expected {', '.join(names)}, "
            f"got {classifier!r}"
        )
    return result.scores[names.index(classifier)]


def _cells(axes: Axes, percent: NDArray[np.float64]) -> AxesImage:
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    # White to a dark blue; lightness falls all the way, so it can be printed.
    shades = ["#ffffff", "#3f90da", "#0b2f57"]
    colours = LinearSegmentedColormap.from_list("shares", shades).with_extremes(bad="0.9")
    image = picture(
        axes, percent, cmap=colours, norm=PowerNorm(0.5, 0, 100), interpolation="nearest"
    )
    axes.spines[:].set_color("0.6")
    return image


def _numbers(axes: Axes, percent: NDArray[np.float64]) -> None:
    """Write the share into each cell where there is one."""
    for (row, column), value in np.ndenumerate(percent):
        if value > 0:
            text = f"{value:.0f}" if value >= 0.5 else "·"
            colour = "white" if value > 35 else BLACK
            write(axes, column, row, text, color=colour, ha="center", va="center")
