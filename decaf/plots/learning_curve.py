"""How accuracy grows with the number of photos that are learned from.

As in Figure 4 of Donahue et al. 2014 (DeCAF): a line a classifier, the mean over the splits, and
one standard deviation up and down.  The classifiers stand a little beside each other, so that
none hides the others where they are equally good.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from decaf.errors import FeaturesError
from decaf.plots.canvas import (
    GREY,
    LARGE,
    NORMAL,
    SMALL,
    axes_at,
    axis_title,
    fitted,
    need_matplotlib,
    new_figure,
    text_width,
    write,
)
from decaf.plots.palette import COLOURS, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from decaf.transfer.results import TransferResult

Curve = dict[int, tuple[float, float]]  # photos a class -> mean and deviation, %

# Inches.
WIDE, HIGH = 4.5, 2.8  # the axes
LEFT, RIGHT, ABOVE, BELOW = 0.65, 0.15, 0.7, 0.6  # around them
A_ROW, SAMPLE = 0.22, 0.36  # of the legend: a row's height, the room for a piece of a line
APART = 3.0  # points between classifiers
LEAST_RANGE = 2.0  # %: noise must not fill the picture


def learning_curve(result: TransferResult) -> Figure:
    """Draw mean accuracy a class against photos a class.

    Parameters
    ----------
    result : TransferResult
        What a protocol gave.  Where it has no curve, its one number of photos a class is drawn.

    Returns
    -------
    matplotlib.figure.Figure
        ``axes[0].lines[k]`` are the means of classifier k, in percent.

    Raises
    ------
    FeaturesError
        If there is no classifier, or nothing to say for one.
    DecafError
        If matplotlib is missing.
    """
    need_matplotlib()
    curves = curves_of(result)
    texts = [f"{name}: {said(*list(curve.values())[-1])}" for name, curve in curves.items()]
    texts = [fitted(text, WIDE - SAMPLE, SMALL) for text in texts]
    column = SAMPLE + max(text_width(text, SMALL) for text in texts) + 0.2
    columns = max(1, min(len(texts), int((LEFT + WIDE) / column)))
    legend = A_ROW * -(-len(texts) // columns)
    wide, high = LEFT + WIDE + RIGHT, BELOW + legend + HIGH + ABOVE
    figure = new_figure(wide, high)
    axes = axes_at(figure, LEFT, BELOW + legend, WIDE, HIGH)
    for k, curve in enumerate(curves.values()):
        _line(figure, axes, curve, k, (k - (len(curves) - 1) / 2) * APART)
    _scales(axes, curves)
    for k, text in enumerate(texts):
        row, place = divmod(k, columns)
        x, y = 0.15 + place * column, legend - A_ROW * (row + 0.5) + 0.05
        _sample(figure, x / wide, (x + SAMPLE - 0.1) / wide, y / high, k)
        write(figure, (x + SAMPLE) / wide, y / high, text, va="center")
    largest = max(max(curve) for curve in curves.values())
    splits = max(len(score.accuracies) for score in result.scores)
    facts = f"in the legend: with {largest:,} photos a class"
    if splits > 1:
        facts = f"mean ± standard deviation of {splits:,} splits; {facts}"
    write(figure, 0.15 / wide, 1 - 0.15 / high, "Learning curve", LARGE, va="top")
    write(figure, 0.15 / wide, 1 - 0.4 / high, facts, va="top", color=GREY)
    return figure


def curves_of(result: TransferResult) -> dict[str, Curve]:
    """Mean and deviation of each classifier, in percent, by rising number of photos a class.

    Raises
    ------
    FeaturesError
        If there is nothing to draw.
    """
    given = result.curve or {
        score.name: {int(result.settings["per_class"]): score.accuracies} for score in result.scores
    }
    if not given or not all(curve and all(curve.values()) for curve in given.values()):
        raise FeaturesError("a learning curve must have accuracies; expected some, got none")
    return {
        name: {count: _summary(curve[count]) for count in sorted(curve)}
        for name, curve in given.items()
    }


def said(mean: float, deviation: float) -> str:
    """Write a percentage, and its deviation where there is one."""
    return f"{mean:.1f} ± {deviation:.1f} %" if deviation == deviation else f"{mean:.1f} %"


def _summary(accuracies: Sequence[float]) -> tuple[float, float]:
    percent = [100 * value for value in accuracies]
    deviation = statistics.stdev(percent) if len(percent) > 1 else float("nan")
    return statistics.fmean(percent), deviation


def _line(figure: Figure, axes: Axes, curve: Curve, k: int, beside: float) -> None:
    """The means as a line with markers, the deviations as bars, some points to the right."""
    from matplotlib.transforms import ScaledTranslation

    place = axes.transData + ScaledTranslation(beside / 72, 0, figure.dpi_scale_trans)
    colour = COLOURS[k % len(COLOURS)]
    counts = list(curve)
    axes.plot(
        counts, [mean for mean, _ in curve.values()], color=colour, linestyle="-", linewidth=1.5,
        marker=MARKERS[k % len(MARKERS)], markersize=5, markeredgewidth=0, markerfacecolor=colour,
        transform=place, zorder=3,
    )  # fmt: skip
    spread = [(n, m - d, m + d) for n, (m, d) in curve.items() if d == d]
    if spread:
        at, low, high = zip(*spread, strict=True)
        axes.vlines(
            at, low, high, colors=colour, linewidths=1, linestyles="solid", transform=place,
            zorder=2,
        )  # fmt: skip


def _scales(axes: Axes, curves: dict[str, Curve]) -> None:
    from matplotlib.ticker import FormatStrFormatter, MaxNLocator

    pairs = [pair for curve in curves.values() for pair in curve.values()]
    low = min(mean - (deviation if deviation == deviation else 0) for mean, deviation in pairs)
    high = max(mean + (deviation if deviation == deviation else 0) for mean, deviation in pairs)
    more = max(0.06 * (high - low), (LEAST_RANGE - (high - low)) / 2)
    low, high = low - more, high + more
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.grid(True, axis="y", color="0.9", linewidth=0.8, linestyle="-", alpha=1)

    counts = sorted({count for curve in curves.values() for count in curve})
    beside = 0.07 * (counts[-1] - counts[0]) or 1.0
    axes.set_xlim(counts[0] - beside, counts[-1] + beside)
    inches = WIDE / (counts[-1] - counts[0] + 2 * beside)
    shown: list[int] = []
    for count in reversed(counts):  # the largest counts most
        need = text_width(f"{count:,}", SMALL) + 0.1
        if not shown or (shown[-1] - count) * inches >= need:
            shown.append(count)
    axes.set_xticks(shown, [f"{count:,}" for count in shown])
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    axis_title(axes, "x", "photos a class learned from", NORMAL)
    axis_title(axes, "y", "mean accuracy a class, %", NORMAL)


def _sample(figure: Figure, left: float, right: float, y: float, k: int) -> None:
    """A piece of a line for the legend; in parts of the figure."""
    from matplotlib.lines import Line2D

    figure.add_artist(
        Line2D(
            (left, (left + right) / 2, right), (y, y, y), linestyle="-", linewidth=1.5,
            color=COLOURS[k % len(COLOURS)], marker=MARKERS[k % len(MARKERS)], markevery=[1],
            markersize=5, markeredgewidth=0, transform=figure.transFigure,
        )
    )  # fmt: skip
