"""A photo, and the most probable classes as bars."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING

from decaf.errors import ShapeError
from decaf.image import Photo
from decaf.net import DecafNet
from decaf.plots.canvas import (
    BAR,
    NORMAL,
    axes_at,
    axis_title,
    bare,
    bars,
    fitted,
    need_matplotlib,
    new_figure,
    picture,
    shown,
    text_width,
    title,
    write,
)
from decaf.plots.classes import score_name
from decaf.plots.photo import reduced, see

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 50  # classes, that the picture stays one

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
        How many classes; at most 50.

    Returns
    -------
    matplotlib.figure.Figure
        The whole photo, and a bar a class from top to bottom.

    Raises
    ------
    ImageError
        If the photo cannot be used.
    ShapeError
        If `k` is no whole number from 1 to 50.
    DecafError
        If matplotlib is missing.
    """
    need_matplotlib()
    if not isinstance(k, Integral) or isinstance(k, bool) or not 1 <= k <= MOST:
        raise ShapeError(f"k must be a whole number; expected 1 to {MOST}, got {k!r}")
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
    picture(left, pixels)
    left.set_anchor("NW")
    title(left, fitted(seen.name, width, NORMAL), NORMAL)
    right = axes_at(figure, right_edge, BELOW, BARS, high)

    bars(right, names, scores, BAR, NORMAL)
    if what == "probability":
        right.set_xlim(0, 1.15)  # room for the number behind a full bar
        right.spines["bottom"].set_bounds(0, 1)
        right.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    else:
        right.margins(x=0.2)
    for row, score in enumerate(scores):
        text = _percent(score) if what == "probability" else f"{score:.3g}"
        write(right, max(score, 0), row, f" {text}", NORMAL, va="center")
    right.tick_params(axis="x", labelsize=NORMAL)
    axis_title(right, "x", what, NORMAL)
    title(
        right,
        f"top {len(best)} of the {len(net.labels):,} classes of {shown(net.architecture.name)}",
        NORMAL,
    )
    return figure


def _percent(score: float) -> str:
    return "< 0.1 %" if 0 < score < 0.0005 else f"{100 * score:.1f} %"
