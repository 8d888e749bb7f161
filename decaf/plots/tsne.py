"""A feature file as a picture: photos with similar features lie near each other.

As in Figures 1 and 2 of Donahue et al. 2014 (DeCAF): t-SNE of the features, a colour for each
label.  Where there is room, the photo itself stands at its place.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from decaf.features.contents import Features
from decaf.plots.canvas import (
    BLACK,
    GREY,
    LARGE,
    SMALL,
    axes_at,
    bare,
    need_matplotlib,
    new_figure,
    picture,
    shown,
    write,
)
from decaf.plots.embedding import choose, embed, rows_of, usable_perplexity
from decaf.plots.palette import DISTINCT, look
from decaf.plots.thumbnails import lay_out, thumbnail

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, MARGIN, HEAD = 9.0, 0.2, 0.65  # inches: the picture, around it, for the text above
FLATTEST, HIGHEST = 0.5, 1.2  # the picture's height by its width
FRAME = 1.5  # points
THUMBNAIL = 1 / 30  # of the picture's width
IN_A_COLUMN = 25  # entries of the legend: as many as fit beside the flattest picture
MOST_IN_LEGEND = 72
UNLABELLED = "(no label)"


def tsne(
    features: str | os.PathLike[str] | Features,
    layer: str | None = None,
    thumbnails: bool = True,
    perplexity: float = 30,
    seed: int = 0,
    sample: int = 2000,
) -> Figure:
    """Draw the photos of a feature file so that similar ones lie near each other.

    Parameters
    ----------
    features : path or Features
        A feature file, or what ``decaf.features.load_features`` gives.
    layer : str, optional
        Which of its layers; by default its first.
    thumbnails : bool
        Draw photos where there is room, framed in the colour of their label.  They are opened by
        the paths in the file; those that cannot be are dots.  Say False for a file from a
        stranger: its paths decide which photos of yours are opened and drawn.
    perplexity : float
        About how many neighbours each photo keeps near, at least 1; at most a third of the photos
        is used.
    seed : int
        Of the random numbers, below 2**32: the same seed gives the same picture, on any number
        of threads.
    sample : int
        Of more photos than this, so many are drawn, chosen at random; the picture says so.

    Returns
    -------
    matplotlib.figure.Figure
        Directions and units mean nothing in it, nor do distances between far groups.

    Raises
    ------
    FeaturesError
        If the file cannot be used, has no such layer, fewer than 4 photos, or values that are not
        finite or all the same; or an option is not usable.
    DecafError
        If matplotlib is missing.
    """
    need_matplotlib()
    features = _loaded(features)
    rows = choose(len(features), sample, seed)
    perplexity = usable_perplexity(perplexity, len(rows))
    layer = next(iter(features.layers)) if layer is None else layer
    places = embed(rows_of(features, layer, rows), perplexity, seed)
    labels = [features.labels[row] for row in rows]
    names = sorted(set(labels), key=lambda name: (not name, _natural(name)))

    figure, axes, side = _axes(places)
    number = {name: i for i, name in enumerate(names)}
    _dots(axes, places, labels, names)
    drawn = 0
    if thumbnails:
        paths = [features.paths[row] for row in rows]
        for i, image in lay_out(places, side, lambda i: thumbnail(paths[i])):
            _photo(axes, image, places[i], side, number[labels[i]], len(names))
            drawn += 1
    few = len(rows) < len(features)
    facts = [
        f"{len(rows):,} photos" + (f", a random sample of {len(features):,}" if few else ""),
        f"perplexity {perplexity:.3g}",
        f"seed {seed}",
    ]
    if drawn:
        facts.append(f"{drawn:,} drawn where there is room; they cover points")
    elif thumbnails:
        facts.append("no photo found by its path")
    if len(names) > DISTINCT:
        facts.append(f"looks repeat after {DISTINCT} of {len(names):,} labels")
    if len(names) > 1:
        _legend(figure, labels, names)
    network = features.info.get("architecture")
    of = f"{shown(network)}, " if isinstance(network, str) else ""
    _text(figure, f"t-SNE of {of}{shown(layer)}", "; ".join(facts))
    return figure


def _natural(name: str) -> list[str | int]:
    """Sort key by which c2 stands before c10."""
    parts: list[str | int] = list(re.split(r"([0-9]{1,18})", name))
    parts[1::2] = map(int, parts[1::2])
    return parts


def label_name(label: str, most: int = 32) -> str:
    """What the legend calls a label; in quotes where it would be taken for something else."""
    if not label:
        return UNLABELLED
    if label != label.strip() or label == UNLABELLED:
        return f"'{shown(label, most - 2)}'"
    return shown(label, most)


def _loaded(features: str | os.PathLike[str] | Features) -> Features:
    if isinstance(features, Features):
        return features
    from decaf.features.files import load_features

    return load_features(features)


def _axes(places: NDArray[np.float32]) -> tuple[Figure, Axes, float]:
    """Axes around the points, equal in x and y, and the side of a thumbnail in their units."""
    low, high = places.min(axis=0).astype(float), places.max(axis=0).astype(float)
    (wide, tall), middle = high - low, (low + high) / 2
    over = 1.5 * THUMBNAIL * WIDTH  # inches: photos stand over the outermost points
    # An inch in the units of places.
    unit = (max(wide, tall / HIGHEST) or 1.0) / (WIDTH - over)
    height = max(tall / unit + over, FLATTEST * WIDTH)
    figure = new_figure(WIDTH + 2 * MARGIN, height + MARGIN + HEAD)
    axes = bare(axes_at(figure, MARGIN, MARGIN, WIDTH, height))
    axes.set_frame_on(True)
    axes.spines[:].set_color("0.8")
    for set_limits, centre, inches in (
        (axes.set_xlim, middle[0], WIDTH),
        (axes.set_ylim, middle[1], height),
    ):
        set_limits(centre - unit * inches / 2, centre + unit * inches / 2)
    return figure, axes, unit * WIDTH * THUMBNAIL


def _dots(
    axes: Axes, places: NDArray[np.float32], labels: Sequence[str], names: Sequence[str]
) -> None:
    """A scatter for each label, ``axes.collections[k]``; its points in the order of the rows."""
    of = np.array(labels)
    for k, name in enumerate(names):
        x, y = places[of == name].T
        axes.scatter(x, y, s=20, c=look(k).colour, marker=look(k).marker, linewidths=0, zorder=1)


def _photo(
    axes: Axes,
    image: NDArray[np.uint8],
    place: NDArray[np.float32],
    side: float,
    k: int,
    classes: int,
) -> None:
    """Draw a thumbnail in its frame; where colours repeat, with its class's marker in a corner."""
    from matplotlib.patches import Rectangle

    inner = 0.92 * side  # the frame's line is within the square, too
    x, y = (float(value) - inner / 2 for value in place)
    picture(axes, image, extent=(x, x + inner, y, y + inner), zorder=2, aspect="auto")
    frame = Rectangle((x, y), inner, inner, fill=False, edgecolor=look(k).colour, lw=FRAME)
    axes.add_patch(frame).set_zorder(3)
    if classes > 10:
        corner: dict[str, Any] = {"c": look(k).colour, "marker": look(k).marker}
        axes.scatter(
            x + 0.87 * inner, y + 0.13 * inner, s=22, edgecolors="white", linewidths=0.5,
            zorder=4, **corner,
        )  # fmt: skip


def _legend(figure: Figure, labels: Sequence[str], names: Sequence[str]) -> None:
    """Write the legend to the right of the picture, and make the figure wider by it."""
    from matplotlib.lines import Line2D

    counts = Counter(labels)
    some = [
        Line2D(
            [], [], color=look(k).colour, marker=look(k).marker, linestyle="", markersize=6,
            markeredgecolor=look(k).colour, markeredgewidth=1,
        )
        for k in range(min(len(names), MOST_IN_LEGEND))
    ]  # fmt: skip
    texts = [f"{label_name(name)} ({counts[name]:,})" for name in names[:MOST_IN_LEGEND]]
    if len(names) > MOST_IN_LEGEND:
        some.append(Line2D([], [], linestyle="", marker=""))
        texts.append(f"and {len(names) - MOST_IN_LEGEND:,} more")
    w, h = figure.get_size_inches()
    legend = figure.legend(
        some, ["" for _ in texts], loc="upper left", borderaxespad=0, fontsize=SMALL,
        ncols=math.ceil(len(texts) / IN_A_COLUMN), frameon=False, labelcolor=BLACK, numpoints=1,
        markerscale=1, borderpad=0.4, labelspacing=0.5, columnspacing=2, handletextpad=0.3,
        handlelength=2, handleheight=0.7, alignment="left",
        bbox_to_anchor=((WIDTH + 2 * MARGIN) / w, 1 - HEAD / h),
    )  # fmt: skip
    for artist, text in zip(legend.get_texts(), texts, strict=True):
        artist.set_parse_math(False)  # before the text: it may hold a $
        artist.set_usetex(False)
        artist.set_text(text)
    figure.draw_without_rendering()
    wider = w + legend.get_window_extent().width / figure.dpi + MARGIN
    figure.set_size_inches(wider, h)
    legend.set_bbox_to_anchor(((WIDTH + 2 * MARGIN) / wider, 1 - HEAD / h))
    box = figure.axes[0].get_position()
    figure.axes[0].set_position((MARGIN / wider, box.y0, WIDTH / wider, box.height))


def _text(figure: Figure, title: str, facts: str) -> None:
    w, h = figure.get_size_inches()
    x = MARGIN / w
    write(figure, x, 1 - 0.15 / h, title, LARGE, va="top")
    write(figure, x, 1 - 0.4 / h, facts, va="top", color=GREY)
