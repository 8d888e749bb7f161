"""The filters that a convolution has learnt, as small images.

For the first layer they are images in the photo's own colours, as in Figure 3 of Krizhevsky et
al. 2012, "ImageNet classification with deep convolutional neural networks".  Each filter is scaled
by itself, symmetrically around grey:

    tile = 1/2 + weight / (2 * largest absolute weight of the filter)

so grey is a weight of 0, and a colour is one that the filter fires at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from decaf.errors import ArchitectureError
from decaf.names import layer_name
from decaf.net import DecafNet
from decaf.plots.canvas import axes_at, bare, need_matplotlib, new_figure, shown, title
from decaf.plots.tiles import columns_for, draw, places
from decaf.specs import INPUT, Architecture, Conv
from decaf.weights import load_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 512  # filters; more could not be told apart
GAP = 0.12  # between tiles, in tiles
WIDTH = 6.4  # inches
LEAST_TILE = 0.3  # inches


def filters(net: DecafNet, layer: str | None = None) -> Figure:
    """Draw the filters of a convolution, in order, row by row.

    Parameters
    ----------
    net : DecafNet
        The network; its weights file is read again.
    layer : str, optional
        The convolution; by default the first.

    Returns
    -------
    matplotlib.figure.Figure
        A tile for each of the first 512 filters.  Those that read a photo with three channels
        are in its colours (red where the recipe says red, also in networks that take BGR).  Of
        all others the mean over their input channels is drawn in grey: black is negative, white
        positive.  Each group begins a new row.

    Raises
    ------
    ArchitectureError
        If there is no such layer, it is no convolution, or its filters have one pixel only.
    WeightsError
        If the weights file cannot be read any more.
    DecafError
        If matplotlib is missing.
    """
    need_matplotlib()
    conv = _convolution(net.architecture, layer)
    weight = load_weights(net.weights_path).parameters[f"{conv.name}/weight"]  # O,C/G,KH,KW
    o, c, kh, kw = weight.shape
    if kh * kw == 1:
        raise ArchitectureError(
            f"{conv.name}: a layer whose filters are drawn must have filters of several pixels; "
            "got 1x1"
        )
    colour = c == 3 and net.architecture.inputs[conv.name] == (INPUT,)
    images = _images(weight[:MOST], colour, net.preprocessing.channels)

    groups = conv.groups if len(images) == o else 1
    columns = columns_for(len(images), groups)
    tile_w, tile_h = kw / max(kh, kw), kh / max(kh, kw)
    where = places(len(images), columns, tile_w + GAP, tile_h + GAP, groups)
    wide = max(left for left, _ in where) + tile_w
    high = max(top for _, top in where) + tile_h
    inch = max(WIDTH / wide, LEAST_TILE)

    figure = new_figure(wide * inch + 0.4, high * inch + 0.75)
    axes = bare(axes_at(figure, 0.2, 0.2, wide * inch, high * inch))
    if colour:
        draw(axes, images, where)
    else:
        draw(axes, images, where, cmap="gray", vmin=0, vmax=1)
    count = f"{o:,} filters" if len(images) == o else f"the first {len(images)} of {o:,} filters"
    facts = [f"{shown(net.architecture.name)}, {shown(conv.name)}: {count} of {kh}×{kw}"]
    if conv.groups > 1:
        facts.append(f"{conv.groups} groups")
    how = "grey is 0, each filter scaled by itself"
    if not colour:
        how = f"mean over {c} input channels, {how}" if c > 1 else how
    title(axes, f"{', '.join(facts)}\n{how}")
    return figure


def _convolution(architecture: Architecture, layer: str | None) -> Conv:
    convolutions = [spec for spec in architecture.layers if isinstance(spec, Conv)]
    if layer is None and convolutions:
        return convolutions[0]
    name = layer and layer_name(architecture, layer)
    for spec in convolutions:
        if spec.name == name:
            return spec
    raise ArchitectureError(
        f"{architecture.name}: a layer whose filters are drawn must be a convolution; expected "
        f"{', '.join(spec.name for spec in convolutions) or 'one in the network'}, got {layer!r}"
    )


def _images(weight: NDArray[np.float32], colour: bool, channels: str) -> list[NDArray[np.floating]]:
    """Filters O,C,KH,KW as images from 0 to 1: KH,KW,3 in colour, or KH,KW."""
    if colour:
        images = np.moveaxis(weight, 1, 3)  # O,KH,KW,C
        if channels == "BGR":
            images = images[..., ::-1]
    else:
        images = weight.mean(axis=1, dtype=np.float64)  # O,KH,KW
    return [_around_grey(image) for image in images]


def _around_grey(image: NDArray[np.floating]) -> NDArray[np.floating]:
    image = np.nan_to_num(image.astype(np.float64), posinf=0.0, neginf=0.0)
    largest = np.abs(image).max()
    return 0.5 + image / (2 * largest) if largest else np.full_like(image, 0.5)
