"""Pictures of networks, of what they see in photos, of features and of experiments with them.

    >>> from decaf import DecafNet, plots                               # doctest: +SKIP
    >>> plots.occlusion(DecafNet(), "cat.jpg").savefig("cat.png")       # doctest: +SKIP

Needs matplotlib.  Each function returns a ``matplotlib.figure.Figure``: save it with ``savefig``,
show it in a notebook as a cell's value.  pyplot is never touched, nor any setting of matplotlib,
and the same input gives the same picture.

A map: ``canvas`` is the figure and its text, ``tiles`` a grid of small images, ``photo`` what a
network sees of a photo; ``palette``, ``embedding`` and ``thumbnails`` are the parts of ``tsne``.
"""

from __future__ import annotations

from decaf.plots.activations import activations
from decaf.plots.confusion import confusion
from decaf.plots.filters import filters
from decaf.plots.learning_curve import learning_curve
from decaf.plots.occlusion import occlusion
from decaf.plots.times import times
from decaf.plots.top_k import top_k
from decaf.plots.tsne import tsne

__all__ = [
    "activations", "confusion", "filters", "learning_curve", "occlusion", "times", "top_k", "tsne",
]  # fmt: skip
