"""Mid-level transfer: a network adapted on patches, which says what a photo shows, and where.

Oquab, Bottou, Laptev and Sivic, CVPR 2014, section 3.

    >>> from decaf.transfer.midlevel import MidLevel

A map, in the order in which data flows:

- ``patches``: nine scales of squares over a photo; ``pictures`` shows them to the network whole.
- ``labels``: what a patch shows, by its overlap with boxes; ``examples`` does so for many photos.
- ``adaptation``: the two layers that learn, with their gradients; ``training`` teaches them.
- ``scores``: from the patches back to the photo, and the map of where.
- ``model``: all of it together; ``drawing``: the photo and its map, side by side.
- ``options``: what must hold for the numbers and lists that a user gives.
"""

from __future__ import annotations

from decaf.transfer.midlevel.model import MidLevel
from decaf.transfer.midlevel.patches import patches
from decaf.transfer.midlevel.scores import peak, photo_scores
from decaf.transfer.midlevel.training import Training

__all__ = ["MidLevel", "Training", "patches", "peak", "photo_scores"]
