"""Where in the photo is what the network sees?  Cover a place, and look what it says then.

A plain square covers one place after the other; where the probability of the class falls, the
network needs what was there (Zeiler & Fergus 2014, "Visualizing and understanding convolutional
networks", section 4.2 and Figure 7).

The square is put over the network's input, after preprocessing, and is 0 there: the colour that
the recipe subtracts, which tells the network nothing.  For most networks that is the mean colour
of their photos; a recipe that subtracts nothing makes it black.

A map has a cell for every `stride` pixels in both directions; the cells cover the input, and stand
over its edges equally on both sides.  The value of a cell is the probability while a square of
`window` pixels is centred on the cell, cut off at the edges of the input.  Where `stride` -
`window` is odd there are no such pixels, and the square is half a pixel above and left of there.

Cost: the network runs once a cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from decaf.errors import ShapeError
from decaf.image import Photo, Preprocessing
from decaf.mean_image import MeanImage
from decaf.net import DecafNet
from decaf.plots.canvas import (
    NORMAL,
    SMALL,
    axes_at,
    axis_title,
    bare,
    colour_bar,
    fitted,
    need_matplotlib,
    new_figure,
    picture,
    title,
    write,
)
from decaf.plots.classes import class_index, score_name
from decaf.plots.photo import see

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE, GAP, BAR = 3.2, 0.3, 0.15  # inches
LEAST_RANGE = 0.02  # of the scale, so that no colours are given to rounding


def occlusion(
    net: DecafNet,
    photo: Photo,
    label: int | str | None = None,
    window: int | None = None,
    stride: int | None = None,
    *,
    batch_size: int = 32,
) -> Figure:
    """Draw the photo, the probability of a class by place of a plain square, and both together.

    Parameters
    ----------
    net : DecafNet
        The network.
    photo : photo
        See :class:`~decaf.net.DecafNet`.
    label : int or str, optional
        The class, by number or by name; by default the most probable.
    window : int, optional
        Side of the square, in pixels of the network's input; by default a fifth of its shorter
        side.
    stride : int, optional
        From one place to the next, in pixels; by default a quarter of `window`.
    batch_size : int
        How many places are computed at once; decides memory and speed, never the result.

    Returns
    -------
    matplotlib.figure.Figure
        Photo as the network sees it; map; the map over the photo in grey.

    Raises
    ------
    ImageError
        If the photo cannot be used.
    ArchitectureError
        If there is no such class.
    ShapeError
        If window, stride or batch_size are no whole numbers of at least 1.
    DecafError
        If matplotlib is missing.
    """
    need_matplotlib()
    _, h, w = net.architecture.input_shape
    window = max(1, round(min(h, w) / 5)) if window is None else window
    stride = max(1, window // 4) if stride is None else stride
    given = {"window": window, "stride": stride, "batch_size": batch_size}
    for name, value in given.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise ShapeError(f"{name} must be a whole number; expected at least 1, got {value!r}")
    index = None if label is None else class_index(net, label)
    seen = see(net, photo)
    scores = net.forward(seen.x).reshape(-1)  # K
    index = net.top_k(scores, 1)[0].index if index is None else index
    found = occlusion_map(net, seen.x, index, window, stride, batch_size)

    high = SIDE * h / w
    figure = new_figure(3 * SIDE + 3 * GAP + BAR + 0.95, high + 1.2)
    panels = [bare(axes_at(figure, GAP + i * (SIDE + GAP), 0.45, SIDE, high)) for i in range(3)]
    what = score_name(net)
    low, top = _limits(np.append(found, scores[index]))
    top_edge, left_edge = first_cell(h, stride), first_cell(w, stride)
    box = (
        left_edge - 0.5,
        left_edge + found.shape[1] * stride - 0.5,
        top_edge + found.shape[0] * stride - 0.5,
        top_edge - 0.5,
    )
    grey = seen.crop @ np.array([0.299, 0.587, 0.114])  # luma; ITU-R 601
    picture(panels[0], seen.crop)
    picture(panels[2], grey, cmap="gray", vmin=0, vmax=255)
    for panel, alpha in ((panels[1], 1.0), (panels[2], 0.55)):
        picture(
            panel, found, extent=box, vmin=low, vmax=top, cmap="viridis", alpha=alpha,
            interpolation="nearest",
        )  # fmt: skip
    for panel in panels:
        panel.set_xlim(-0.5, w - 0.5)
        panel.set_ylim(h - 0.5, -0.5)
    photo_name, class_name = (fitted(name, SIDE, NORMAL) for name in (seen.name, net.labels[index]))
    title(panels[0], f"{photo_name}\n{class_name}\n{what} {scores[index]:.3f}", NORMAL)
    square = square_name(net.preprocessing)
    title(panels[1], f"{what} with {square}\nof {window}×{window} pixels there", NORMAL)
    title(panels[2], "both: where it falls,\nthe network needs the photo", NORMAL)
    write(
        figure,
        GAP / figure.get_figwidth(),
        0.15 / figure.get_figheight(),
        f"input {w}×{h} pixels, a place every {stride}; the line in the bar: nothing covered",
        va="bottom",
    )
    bar = axes_at(figure, 3 * (SIDE + GAP) + 0.6 * GAP, 0.45, BAR, high)
    colour_bar(figure, panels[1].images[0], bar)
    bar.axhline(scores[index], color="white", linewidth=2, linestyle="-", marker="")
    axis_title(bar, "y", f"{what} of the class", SMALL)
    return figure


def occlusion_map(
    net: DecafNet,
    x: NDArray[np.float32],
    index: int,
    window: int,
    stride: int,
    batch_size: int = 32,
) -> NDArray[np.float32]:
    """Return the score of class `index` for each place of the square: (rows, columns) float32.

    `x` is 1,C,H,W, the network's input.
    """
    _, _, h, w = x.shape
    rows, columns = -(-h // stride), -(-w // stride)
    found = np.empty(rows * columns, np.float32)
    squares = _squares(h, w, window, stride)
    block = np.empty((min(batch_size, len(found)), *x.shape[1:]), np.float32)
    done = 0
    while places := list(islice(squares, len(block))):
        n = len(places)
        block[:n] = x
        for image, (ys, xs) in zip(block, places, strict=False):
            image[:, ys, xs] = 0
        scores = net.forward(block[:n], batch_size=batch_size).reshape(n, -1)  # n,K
        found[done : done + n] = scores[:, index]
        done += n
    return found.reshape(rows, columns)


def square_name(recipe: Preprocessing) -> str:
    """What a square of zeros looks like, before preprocessing."""
    if isinstance(recipe.mean, MeanImage):
        return "a square of the mean image"
    means = set(recipe.mean)  # of the channels
    if means == {0.0}:
        return "a black square"
    return "a grey square" if len(means) == 1 else "a square of the mean colour"


def first_cell(side: int, stride: int) -> int:
    """Where the first cell begins: 0, or before it where the cells are longer than the side."""
    return -((-side % stride) // 2)


def _squares(h: int, w: int, window: int, stride: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns that each square covers, row by row."""

    def covered(side: int) -> list[slice]:
        starts = range(first_cell(side, stride), side, stride)
        tops = [start + (stride - window) // 2 for start in starts]
        return [slice(max(0, top), max(0, min(side, top + window))) for top in tops]

    across = covered(w)
    return ((ys, xs) for ys in covered(h) for xs in across)


def _limits(found: NDArray[np.float32]) -> tuple[float, float]:
    finite = found[np.isfinite(found)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if high - low >= LEAST_RANGE:
        return low, high
    start = (low + high - LEAST_RANGE) / 2
    if low >= 0 and high <= 1:  # probabilities, and so is all of the scale
        start = min(max(start, 0.0), 1 - LEAST_RANGE)
    return start, start + LEAST_RANGE
