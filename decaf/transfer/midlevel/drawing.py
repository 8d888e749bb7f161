"""Where in a photo does an adapted network see a class?  The photo, and the map beside it.

The map is that of ``decaf.transfer.midlevel``: what a pixel adds to the photo's score.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from decaf.image import Photo, load_image
from decaf.plots.canvas import (
    ACCENT,
    NORMAL,
    axes_at,
    bare,
    colour_bar,
    fitted,
    need_matplotlib,
    new_figure,
    picture,
    title,
)
from decaf.plots.photo import LARGEST_SHOWN, reduced
from decaf.transfer.boxes import Box, check_box
from decaf.transfer.midlevel.pictures import openable
from decaf.transfer.midlevel.scores import peak

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from decaf.features.pipeline import Openable
    from decaf.transfer.midlevel import MidLevel

SIDE, GAP, BAR = 3.6, 0.3, 0.15  # inches
THICK = 2  # points
ALPHA = 0.6  # of the map over the photo
LEAST = 1e-30  # a map of zeros stays one


def draw_where(
    model: MidLevel, photo: Photo | Openable, label: str, boxes: Sequence[Box] = ()
) -> Figure:
    """Draw a photo, and beside it the map of a class over the photo in grey.

    Parameters
    ----------
    model : MidLevel
        Which has learned.
    photo
        As for ``MidLevel.fit``.
    label : str
        One of its classes.
    boxes : sequence of Box, optional
        To be drawn into both: ``(left, top, right, bottom)`` in pixels of the photo.

    Returns
    -------
    matplotlib.figure.Figure
        A cross marks the map's peak.

    Raises
    ------
    FeaturesError
        If the model has not learned or has no such class, or a box is not within the photo.
    ImageError
        If the photo cannot be read.
    DecafError
        If matplotlib is missing.
    """
    need_matplotlib()
    given = openable(photo)
    with given.open() as opened:
        pixels = load_image(opened, max_pixels=model.net.max_pixels, name=given.path)
    h, w = pixels.shape[:2]
    checked = [check_box(box, w, h, f"{given.path}: box {n}") for n, box in enumerate(boxes)]
    found = model.where(pixels, label)
    x, y = peak(found)
    found = found / max(float(found[y, x]), LEAST)

    wide, high = SIDE * min(1, w / h), SIDE * min(1, h / w)
    wide, high = max(wide, SIDE / 8), max(high, SIDE / 8)  # of a very long photo something is seen
    figure = new_figure(2 * (SIDE + GAP) + BAR + 0.8, high + 0.9)
    panels = [bare(axes_at(figure, GAP + i * (SIDE + GAP), 0.25, wide, high)) for i in range(2)]
    whole = (0, w, h, 0)
    small = reduced(pixels, LARGEST_SHOWN)
    picture(panels[0], small, extent=whole, aspect="auto")
    grey = small @ np.array([0.299, 0.587, 0.114])  # luma; ITU-R 601
    picture(panels[1], grey, extent=whole, aspect="auto", cmap="gray", vmin=0, vmax=255)
    picture(
        panels[1], found, extent=whole, aspect="auto", cmap="viridis", alpha=ALPHA, vmin=0,
        vmax=1, interpolation="nearest",
    )  # fmt: skip
    for panel in panels:
        panel.set_xlim(0, w)
        panel.set_ylim(h, 0)
        for box in checked:
            _outline(panel, box)
    panels[1].plot(
        [x + 0.5], [y + 0.5], marker="+", markersize=12, markeredgewidth=THICK, color=ACCENT
    )
    name = fitted(os.path.basename(given.path) or given.path, SIDE, NORMAL)
    title(panels[0], name, NORMAL)
    said = "by place, relative to the peak (cross)"
    title(panels[1], f"{fitted(label, SIDE, NORMAL)}\n{said}", NORMAL)
    bar = axes_at(figure, 2 * (SIDE + GAP) + 0.5 * GAP, 0.25, BAR, high)
    colour_bar(figure, panels[1].images[1], bar)
    return figure


def _outline(axes: Axes, box: Box) -> None:
    left, top, right, bottom = box
    axes.plot(
        [left, right, right, left, left], [top, top, bottom, bottom, top], color=ACCENT,
        linewidth=THICK, linestyle="-", marker="",
    )  # fmt: skip
