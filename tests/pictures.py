"""What is in a picture: its texts as they are drawn, and whether any two of them overlap."""

from __future__ import annotations

import itertools
from typing import Any
from unittest import mock

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def texts(figure: Figure) -> list[Text]:
    """Every text that is really drawn; ticks beyond an axis are not, though they are visible."""
    found: dict[int, Text] = {}
    draw = Text.draw

    def record(self: Text, renderer: Any) -> None:
        if self.get_visible() and self.get_text():
            found[id(self)] = self
        draw(self, renderer)

    with mock.patch.object(Text, "draw", record):
        figure.canvas.draw()
    return list(found.values())


def overlap(one: Bbox, other: Bbox, spare: float = 0.5) -> bool:
    """Whether two boxes share more than half a pixel in both directions."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return bool(width > spare and height > spare)


def check_legible(figure: Figure) -> list[str]:
    """No text leaves the figure, covers another or an image, or is tiny; return all texts."""
    drawn = texts(figure)
    boxes = [text.get_window_extent() for text in drawn]
    assert drawn
    for text, box in zip(drawn, boxes, strict=True):
        said = text.get_text()
        assert text.get_fontsize() >= 8, said
        inside = box.x0 >= 0 and box.y0 >= 0
        assert inside and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, said
    for (one, a), (other, b) in itertools.combinations(zip(drawn, boxes, strict=True), 2):
        assert not overlap(a, b), (one.get_text(), other.get_text())
    for image in figure.findobj(AxesImage):
        seen = Bbox.intersection(image.get_window_extent(), image.axes.bbox)
        for text, box in zip(drawn, boxes, strict=True):
            assert seen and not overlap(seen, box, 1.0), text.get_text()
    return [text.get_text() for text in drawn]


def same_picture(one: Figure, other: Figure) -> bool:
    """Whether two figures have the same pixels."""
    return np.array_equal(*(np.asarray(f.canvas.buffer_rgba()) for f in map(drawn, (one, other))))


def drawn(figure: Figure) -> Any:
    figure.canvas.draw()
    return figure
