"""A photo, and the most probable classes as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from decaf.image import Photo
from decaf.net import DecafNet
from decaf.plots.canvas import (
    BAR,
    NORMAL,
    axes_at,
    bare,
    fitted,
    need_matplotlib,
    new_figure,
    shown,
    text_width,
    title,
)
from decaf.plots.classes import score_name
from decaf.plots.photo import reduced, see

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches.
A_BAR, BARS = 0.3, 3.6  # a bar's height, the width of all
HIGH, NARROWEST, WIDEST = 2.6, 2.4, 4.4  # the photo
MARGIN, GAP, ABOVE, BELOW = 0.25, 0.1, 0.4, 0.55


def top_k(net: DecafNet, photo: Photo, k: int = 5) -> Figure:
    """Draw a photo beside the probabilities of its most probable classes, best first.

    Parameters
    ----------
    net : DecafNet
        The network.
    photo : photo
        See :class:`~decaf.net.DecafNet`.
    k : int
        How many classes.

    Returns
    -------
    matplotlib.figure.Figure
        The whole photo, and a bar a class from top to bottom.

    Raises
    ------
    ImageError
        If the photo cannot be used.
    ShapeError
        If `k` is no whole number of at least 1.
    DecafError
        If matplotlib is missing.
    """
    need_matplotlib()
    seen = see(net, photo)
    best = net.top_k(net.forward(seen.x).reshape(-1), k)
    scores = [prediction.score for prediction in best]
    what = score_name(net)

    names = [shown(prediction.label) for prediction in best]
    pixels = reduced(seen.pixels)
    width = min(max(HIGH * pixels.shape[1] / pixels.shape[0], NARROWEST), WIDEST)
    high = max(HIGH, A_BAR * len(best))
    middle = 2 * MARGIN + width  # where the names begin
    right_edge = middle + max(text_width(name, NORMAL) for name in names) + GAP
    figure = new_figure(right_edge + BARS + MARGIN, high + BELOW + ABOVE)
    left = bare(axes_at(figure, MARGIN, BELOW + high - HIGH, width, HIGH))
    left.imshow(pixels)
    left.set_anchor("NW")
    title(left, fitted(seen.name, width, NORMAL), NORMAL)
    right = axes_at(figure, right_edge, BELOW, BARS, high)

    right.barh(range(len(best)), scores, height=0.7, color=BAR)
    right.set_yticks(range(len(best)), names, fontsize=NORMAL, parse_math=False)
    right.set_ylim(len(best) - 0.5, -0.5)  # the first on top
    if what == "probability":
        right.set_xlim(0, 1.15)  # room for the number behind a full bar
        right.spines["bottom"].set_bounds(0, 1)
        right.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    else:
        right.margins(x=0.2)
    for row, score in enumerate(scores):
        text = _percent(score) if what == "probability" else f"{score:.3g}"
        right.text(max(score, 0), row, f" {text}", va="center", fontsize=NORMAL)
    right.tick_params(axis="x", labelsize=NORMAL)
    right.tick_params(axis="y", length=0)
    right.spines[["top", "right"]].set_visible(False)
    right.set_xlabel(what, fontsize=NORMAL)
    title(right, f"top {len(best)} of {len(net.labels):,} classes", NORMAL)
    return figure


def _percent(score: float) -> str:
    return "< 0.1 %" if 0 < score < 0.0005 else f"{100 * score:.1f} %"
