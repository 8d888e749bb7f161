"""What a layer makes of a photo: some of its maps, beside the photo."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from decaf.errors import ArchitectureError
from decaf.image import Photo
from decaf.names import layer_name
from decaf.net import DecafNet
from decaf.plots.canvas import (
    LARGE,
    SMALL,
    axes_at,
    bare,
    colour_bar,
    fitted,
    need_matplotlib,
    new_figure,
    picture,
    shown,
    write,
)
from decaf.plots.photo import see
from decaf.plots.tiles import draw, places
from decaf.specs import Conv

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 24  # maps, where the caller does not say which
MOST_ASKED = 512  # that the caller may ask for
COLUMNS = 6
INSIDE = 0.99  # of the values other than 0, the part that the scale does justice to
TILE, GAP, NUMBER = 1.05, 0.1, 0.2  # inches: a map, between maps, for the channel's number
PHOTO, MARGIN, BAR = 3.0, 0.25, 0.15  # inches


def activations(
    net: DecafNet,
    photo: Photo,
    layer: str | None = None,
    channels: Sequence[int] | None = None,
) -> Figure:
    """Draw maps of a layer, and the photo as the network sees it.

    Parameters
    ----------
    net : DecafNet
        The network.
    photo : photo
        See :class:`~decaf.net.DecafNet`.
    layer : str, optional
        A layer that gives C,H,W; by default the first convolution.
    channels : sequence of int, optional
        Which maps, up to 512, in this order, counted from 0.  By default the 24 with the largest
        values, that with the largest first; of equal ones the lower channel.

    Returns
    -------
    matplotlib.figure.Figure
        Each map has the number of its channel.  All have one scale, which the bar shows: dark is
        0; or where there are negative values white is 0, blue negative and red positive.  The
        scale ends where 99 % of the values other than 0 do, because a few extreme ones would
        leave nothing to see of all others; the bar has a point where it leaves some out.

    Raises
    ------
    ImageError
        If the photo cannot be used.
    ArchitectureError
        If there is no such layer or channel, or it has no maps.
    DecafError
        If matplotlib is missing.
    """
    need_matplotlib()
    name = _with_maps(net, layer)
    which = _checked(name, net.architecture.shapes[name][0], channels)
    seen = see(net, photo)
    maps = net.forward(seen.x, name)[0]  # C,H,W
    c, h, w = maps.shape
    if which is None:
        which = strongest(maps)[:MOST]
    tiles = maps[which]

    columns = min(COLUMNS, len(which))
    per_row = h / max(h, w) * TILE + NUMBER  # inches
    rows = -(-len(which) // columns)
    where = places(len(which), columns, 1 + GAP / TILE, per_row / TILE)
    high = max(rows * per_row, NUMBER + PHOTO)
    wide = columns * (TILE + GAP) - GAP
    left = MARGIN + PHOTO + MARGIN
    figure = new_figure(left + wide + MARGIN + BAR + 0.75, high + MARGIN + 0.5)

    left_axes = bare(axes_at(figure, MARGIN, MARGIN + high - NUMBER - PHOTO, PHOTO, PHOTO))
    picture(left_axes, seen.crop)
    left_axes.set_anchor("NW")
    size = f"{seen.crop.shape[1]}×{seen.crop.shape[0]}"
    name_and_size = f"{fitted(seen.name, PHOTO - 1.0, SMALL)}, cut to {size}"
    above = 1 + 0.03 / PHOTO
    write(left_axes, 0, above, name_and_size, va="bottom", transform=left_axes.transAxes)

    bottom = MARGIN + high - rows * per_row
    maps_axes = bare(axes_at(figure, left, bottom, wide, rows * per_row - NUMBER))
    low, top = _limits(tiles)
    colours = "RdBu_r" if low < 0 else "inferno"
    draw(maps_axes, tiles, where, vmin=low, vmax=top, cmap=colours)
    for channel, (x, y) in zip(which, where, strict=True):
        write(maps_axes, x, y - 0.03, str(channel), va="bottom")
    all_of_them = "" if len(which) == c else f" of {c:,}"
    order = ", largest values first" if channels is None else ""
    write(
        figure,
        MARGIN / figure.get_figwidth(),
        1 - 0.15 / figure.get_figheight(),
        f"{shown(net.architecture.name)}, {shown(name)}: {len(which)}{all_of_them} maps of "
        f"{w}×{h}{order}; numbers: channels",
        LARGE,
        va="top",
    )
    bar = axes_at(figure, left + wide + MARGIN, bottom, BAR, rows * per_row - NUMBER)
    beyond = "neither" if not np.nanmax(np.abs(tiles)) > top else "both" if low < 0 else "max"
    colour_bar(figure, maps_axes.images[0], bar, beyond)
    return figure


def strongest(maps: NDArray[np.float32]) -> list[int]:
    """Channels of C,H,W by their largest value, that with the largest first."""
    peaks = np.nan_to_num(maps.max(axis=(1, 2)), nan=-np.inf, neginf=-np.inf)
    return [int(channel) for channel in np.argsort(-peaks, kind="stable")]


def _with_maps(net: DecafNet, layer: str | None) -> str:
    """Name of the layer, which must give C,H,W."""
    architecture = net.architecture
    if layer is None:
        first = [spec.name for spec in architecture.layers if isinstance(spec, Conv)][:1]
        layer = first[0] if first else architecture.layers[0].name
    name = layer_name(architecture, layer)
    shape = architecture.shapes[name]
    if len(shape) != 3 or shape[1] * shape[2] == 1:
        raise ArchitectureError(
            f"{name}: a layer that is drawn must have maps; expected C,H,W of several pixels, "
            f"got {shape}"
        )
    return name


def _checked(name: str, c: int, channels: Sequence[int] | None) -> list[int] | None:
    if channels is None:
        return None
    which = list(channels) if isinstance(channels, Iterable) else []
    fit = all(isinstance(k, Integral) and not isinstance(k, bool) and 0 <= k < c for k in which)
    if not fit or not 0 < len(which) <= MOST_ASKED:
        raise ArchitectureError(
            f"{name}: channels must be those of the layer; expected 1 to {MOST_ASKED} numbers "
            f"from 0 to {c - 1}, got {reprlib.repr(channels)}"
        )
    return [int(k) for k in which]


def _limits(tiles: NDArray[np.float32]) -> tuple[float, float]:
    """The scale: from 0, or the same way to both sides of 0; as far as most values go.

    Those that are 0, behind a ReLU most of all, say nothing about the size of the others.
    """
    some = tiles[np.isfinite(tiles) & (tiles != 0)]
    if not some.size:
        return 0.0, 1.0
    high = float(np.quantile(np.abs(some), INSIDE))
    return (-high if some.min() < 0 else 0.0), high
