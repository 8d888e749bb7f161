"""Pictures of networks, of what they see in photos, and of features.  Needs matplotlib.

    >>> from decaf import DecafNet, plots                               # doctest: +SKIP
    >>> plots.occlusion(DecafNet(), "cat.jpg").savefig("cat.png")       # doctest: +SKIP

Each function returns a ``matplotlib.figure.Figure``: save it with ``savefig``, show it in a
notebook as a cell's value.  pyplot is never touched, nor any setting of matplotlib, and the same
input gives the same picture.

A map: ``canvas`` is the figure and its text, ``tiles`` a grid of small images, ``photo`` what a
network sees of a photo; ``palette``, ``embedding`` and ``thumbnails`` are the parts of ``tsne``.
"""

from __future__ import annotations

from decaf.plots.activations import activations
from decaf.plots.filters import filters
from decaf.plots.occlusion import occlusion
from decaf.plots.times import times
from decaf.plots.top_k import top_k
from decaf.plots.tsne import tsne

__all__ = ["activations", "filters", "occlusion", "times", "top_k", "tsne"]
