"""What a patch shows: an object, background, or nothing to learn from.

A patch P is an example of the class of an object in box B if

    |P n B| >= 0.2 |P|     the object fills a fifth of the patch,
    |P n B| >= 0.6 |B|     the patch shows most of the object, and
    it shows a part of no other object;

and background otherwise, also where it shows a part of an object.  Background is most of all
patches, so only a random tenth of it is kept.

Source
    Oquab et al. 2014, section 3.2 and figure 3.

What the paper leaves open
    - A patch that would be an example but shows a part of another object is left out: it is no
      background, and has no single class.
    - A photo without boxes, of which only the class is known, teaches that class with all its
      patches, and no background.  The many patches that show little of the object teach the
      network to be unsure about such patches; the power in a photo's score (``scores``) then
      lets those count that show it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BACKGROUND = -1
LEFT_OUT = -2
OF_PATCH = 0.2
OF_OBJECT = 0.6
BACKGROUND_SHARE = 0.1


def areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area of each box, (B,) float64, of (B, 4)."""
    found: NDArray[np.float64] = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return found


def overlaps(patches: NDArray[np.int64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area that each patch shares with each box.

    Parameters
    ----------
    patches : ndarray
        (P, 4): left, top, right, bottom.
    boxes : ndarray
        (B, 4).

    Returns
    -------
    ndarray
        (P, B) float64, in pixels; 0 where they only touch.
    """
    first = np.maximum(patches[:, None, :2], boxes[None, :, :2])  # P,B,2
    last = np.minimum(patches[:, None, 2:], boxes[None, :, 2:])
    shared: NDArray[np.float64] = np.prod(np.maximum(last - first, 0.0), axis=2)
    return shared


def patch_labels(
    patches: NDArray[np.int64], boxes: NDArray[np.float64], classes: Sequence[int]
) -> NDArray[np.intp]:
    """Return what each patch of a photo shows.

    Parameters
    ----------
    patches : ndarray
        (P, 4): left, top, right, bottom in pixels.
    boxes : ndarray
        (B, 4): the objects; B may be 0.
    classes : sequence of int
        (B,) the class of each object, from 0.

    Returns
    -------
    ndarray
        (P,) intp: a class, ``BACKGROUND`` or ``LEFT_OUT``.
    """
    found = np.full(len(patches), BACKGROUND, np.intp)
    if not len(boxes):
        return found
    shared = overlaps(patches, boxes)  # P,B
    # Quotients, since 3 / 15 is 0.2 to the last bit and 0.2 * 15 need not be 3.
    shows = (shared / areas(patches.astype(np.float64))[:, None] >= OF_PATCH) & (
        shared / areas(boxes) >= OF_OBJECT
    )
    example = shows.any(axis=1)
    found[example] = np.asarray(classes, np.intp)[shows[example].argmax(axis=1)]
    found[example & ((shared > 0).sum(axis=1) > 1)] = LEFT_OUT
    return found


def to_learn_from(
    labels: NDArray[np.intp], share: float, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return which patches to learn from: all objects, and a part of the background.

    Parameters
    ----------
    labels : ndarray
        (P,) as `patch_labels` returns them.
    share : float
        Of the background, from 0 to 1; each patch of it stays with this probability.
    rng : numpy.random.Generator
        Is asked for P numbers.

    Returns
    -------
    ndarray
        (n,) intp, their numbers, in order.
    """
    stays = rng.random(len(labels)) < share
    return np.flatnonzero((labels >= 0) | ((labels == BACKGROUND) & stays))
