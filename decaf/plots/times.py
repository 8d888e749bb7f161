"""Where the time goes, as in Figure 3 of Donahue et al. 2014 (DeCAF).

There (a) is the time of each layer, the dearest of them labelled, and (b) the share of each kind
of layer.  A layer is here what decaf computes at once: ``conv1+relu1`` is one step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from decaf.net import DecafNet
from decaf.photos import Photos
from decaf.plots.canvas import (
    ACCENT,
    BAR,
    GREY,
    LARGE,
    NORMAL,
    SMALL,
    axes_at,
    axis_title,
    bars,
    need_matplotlib,
    new_figure,
    shown,
    title,
    write,
)
from decaf.report import Profile
from decaf.specs import Architecture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOISE = (480, 640, 3)  # the photo, where none is given
LABELLED = 5  # steps: the dearest
A_BAR = 0.19  # inches
NAMES, STEPS, KINDS, GAP = 3.0, 3.6, 2.3, 1.6  # inches
KIND_NAMES = {
    "Conv": "convolution",
    "ReLU": "ReLU",
    "MaxPool": "max pooling",
    "AvgPool": "average pooling",
    "AdaptiveAvgPool": "average pooling",
    "LRN": "normalisation",
    "Linear": "fully connected",
    "Softmax": "softmax",
    "Concat": "concatenation",
}
OTHER = "order of axes"  # copies that the plan puts in between


def times(
    net: DecafNet,
    photos: Photos | None = None,
    *,
    repeat: int = 10,
    profile: Profile | None = None,
) -> Figure:
    """Draw the time of each step for one image, and the share of each kind of layer.

    Parameters
    ----------
    net : DecafNet
        The network.
    photos : photo or iterable of photos, optional
        What to measure with, as one batch; by default an array of noise of 640×480 pixels.
    repeat : int
        How often each step is timed; the median counts.
    profile : Profile, optional
        What ``net.profile`` measured; nothing is measured then.

    Returns
    -------
    matplotlib.figure.Figure
        On the left (a) milliseconds an image for each step of the profile but preprocessing, in
        order of execution; the five dearest are red and labelled.  On the right (b) their percent
        for each kind of layer, dearest first; a fused ReLU belongs to its layer.  What it takes
        to read and prepare a photo stands above.

    Raises
    ------
    ImageError
        If a photo cannot be used, or there is none.
    ShapeError
        If `repeat` is no whole number of at least 1.
    DecafError
        If matplotlib is missing.
    """
    need_matplotlib()
    if profile is None:
        if photos is None:
            photos = np.random.default_rng(0).integers(0, 256, NOISE, np.uint8)
        profile = net.profile(photos, repeat)
    steps = profile.steps[1:]
    reading, *milliseconds = (1e3 * step.seconds / profile.images for step in profile.steps)
    total = sum(milliseconds) or 1.0
    dearest = sorted(range(len(steps)), key=lambda i: -milliseconds[i])[:LABELLED]

    high = max(len(steps), 8) * A_BAR
    figure = new_figure(NAMES + STEPS + GAP + KINDS + 0.5, high + 1.5)
    left = axes_at(figure, NAMES, 0.55, STEPS, high)
    colours = [ACCENT if i in dearest else BAR for i in range(len(steps))]
    bars(left, [step_name(step.name) for step in steps], milliseconds, colours, SMALL)
    left.tick_params(axis="x", labelsize=SMALL)
    left.locator_params(axis="x", nbins=5)
    left.set_xlim(0, 1.4 * max(milliseconds) or 1.0)  # room for the numbers
    axis_title(left, "x", "milliseconds an image", NORMAL)
    for i in dearest:
        text = f" {milliseconds[i]:.3g} ms, {milliseconds[i] / total:.0%}".replace("%", " %")
        write(left, milliseconds[i], i, text, va="center", color=ACCENT)
    title(left, "(a) time of each step, in order; the dearest in red", NORMAL)

    kinds = by_kind(net.architecture, profile)
    right_high = len(kinds) * A_BAR * 1.3
    right = axes_at(figure, NAMES + STEPS + GAP, 0.55 + high - right_high, KINDS, right_high)
    percent = [1e5 * seconds / profile.images / total for seconds in kinds.values()]
    bars(right, list(kinds), percent, BAR, SMALL)
    right.tick_params(axis="x", labelsize=SMALL)
    right.locator_params(axis="x", nbins=5)
    right.set_xlim(0, 1.3 * max(percent) or 1.0)
    axis_title(right, "x", "% of the time", NORMAL)
    for row, value in enumerate(percent):
        write(right, value, row, f" {value:.1f} %", va="center")
    title(right, "(b) share of each kind of layer", NORMAL)

    w, h = figure.get_size_inches()
    threads = f"{profile.threads} thread" + ("s" if profile.threads > 1 else "")
    write(
        figure,
        0.2 / w,
        1 - 0.2 / h,
        f"{shown(profile.name)}: {total:.3g} ms an image, and {reading:.3g} ms to read "
        "and prepare it",
        LARGE,
        va="top",
    )
    write(
        figure,
        0.2 / w,
        1 - 0.45 / h,
        f"batch of {profile.images}, median of {profile.repeat}, {threads}, backend "
        f"{profile.backend}, precision {profile.precision}",
        va="top",
        color=GREY,
    )
    return figure


def by_kind(architecture: Architecture, profile: Profile) -> dict[str, float]:
    """Seconds of each kind of layer, the dearest first."""
    found: dict[str, float] = {}
    for step in profile.steps[1:]:  # the first is preprocessing
        kind = _kind(architecture, step.name)
        found[kind] = found.get(kind, 0.0) + step.seconds
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def step_name(name: str) -> str:
    """Shorten what fused layers share: ``fire2/conv+relu`` for ``fire2/conv+fire2/relu``."""
    first, plus, second = name.partition("+")
    folder = first.rpartition("/")[0] + "/"
    return shown(f"{first}{plus}{second.removeprefix(folder)}", 44)


def _kind(architecture: Architecture, step: str) -> str:
    """What the first layer of a step is."""
    for layer in architecture.layers:
        if step == layer.name or step.startswith(f"{layer.name}+"):
            kind = type(layer).__name__
            return KIND_NAMES.get(kind, kind)
    return OTHER
