"""Small scenes for the tests of mid-level transfer: one drawn object at a known place in noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("bars", "disc", "rings")
SIZE = (96, 72)  # width, height


class Scene(NamedTuple):
    image: Image.Image
    label: str
    box: tuple[int, int, int, int]


def scene(number: int, seed: int) -> Scene:
    """Scene `number` of a series: classes in turn, all else random."""
    rng = np.random.default_rng([seed, number])
    label = CLASSES[number % len(CLASSES)]
    side = int(rng.integers(SIZE[1] // 4, SIZE[1] // 2 + 1))
    left = int(rng.integers(0, SIZE[0] - side + 1))
    top = int(rng.integers(0, SIZE[1] - side + 1))
    coarse = rng.integers(40, 216, (9, 12, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)
    image.paste(drawn(label, side, rng), (left, top))
    return Scene(image, label, (left, top, left + side, top + side))


def drawn(label: str, side: int, rng: np.random.Generator) -> Image.Image:
    """A square with the object in it, in any colour on any other."""
    dark, light = (
        tuple(int(value) for value in rng.integers(low, low + 80, 3)) for low in (0, 175)
    )
    ground, ink = (dark, light) if rng.random() < 0.5 else (light, dark)
    image = Image.new("RGB", (64, 64), ground)
    draw = ImageDraw.Draw(image)
    if label == "bars":
        for x in range(4, 64, 20):
            draw.rectangle((x, 0, x + 9, 64), fill=ink)
    elif label == "disc":
        draw.ellipse((10, 10, 54, 54), fill=ink)
    else:
        for radius in (28, 16):
            draw.ellipse((32 - radius, 32 - radius, 32 + radius, 32 + radius), outline=ink, width=6)
    return image.resize((side, side), Image.Resampling.BILINEAR)


def scenes(count: int, seed: int) -> list[Scene]:
    return [scene(number, seed) for number in range(count)]
