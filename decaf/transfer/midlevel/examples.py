"""From photos, their labels and boxes to patches to learn from; all is checked before work starts.

A photo may come with a box for each of its objects, with an empty list of boxes (it shows
background alone), or with None: only its class is known, see ``labels``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError
from decaf.features.pipeline import Openable
from decaf.transfer.box_checks import Box, check_box, check_boxes
from decaf.transfer.midlevel.labels import BACKGROUND, patch_labels, to_learn_from
from decaf.transfer.midlevel.options import check_list
from decaf.transfer.midlevel.pictures import size_of

Patches = Callable[[int, int], NDArray[np.int64]]


@dataclass(frozen=True)
class Chosen:
    """Patches to learn from.

    Attributes
    ----------
    classes : tuple of str
        K of them, in sorted order.
    background : bool
        Whether there is background; it is class K then.
    places : list of ndarray
        For each photo (P, 4), its patches; P may be 0.
    targets : ndarray
        (n,) intp, the class of each patch, photo after photo.
    photos : ndarray
        (n,) intp, the photo of each patch.
    """

    classes: tuple[str, ...]
    background: bool
    places: list[NDArray[np.int64]]
    targets: NDArray[np.intp]
    photos: NDArray[np.intp]


def examples_of(
    photos: Sequence[Openable],
    labels: Sequence[str | Sequence[str]],
    boxes: Sequence[Sequence[Box] | None] | None,
    patches_of: Patches,
    *,
    background: float,
    max_pixels: int,
    seed: int,
) -> Chosen:
    """Choose patches and say what they show.

    Parameters
    ----------
    photos : sequence of Openable
        N photos; each is decoded for its size.
    labels, boxes
        As for ``MidLevel.fit``.
    patches_of : callable
        Width and height of a photo -> its patches, (P, 4).
    background : float
        Share of the background to keep.
    max_pixels : int
        As for ``DecafNet``.
    seed : int
        Decides which.

    Returns
    -------
    Chosen

    Raises
    ------
    FeaturesError
        As ``MidLevel.fit`` says.
    ImageError
        If a photo cannot be read.
    """
    known: Sequence[Any] = [None] * len(photos) if boxes is None else boxes
    for name, each in (("labels", labels), ("boxes", known)):
        check_list(name, each)
        if len(each) != len(photos):
            raise FeaturesError(
                f"{name} must be a list, one a photo; expected {len(photos):,}, got {len(each):,}"
            )
    names = [
        _names(label, found, photo.path)
        for label, found, photo in zip(labels, known, photos, strict=True)
    ]
    classes = tuple(sorted({name for each in names for name in each}))
    rng = np.random.default_rng(seed)
    places, shows = [], []
    for photo, found, each in zip(photos, known, names, strict=True):
        width, height = size_of(photo, max_pixels)
        place, numbers = patches_of(width, height), [classes.index(name) for name in each]
        if found is None:
            shown = np.full(len(place), numbers[0], np.intp)
        else:
            checked = [
                check_box(box, width, height, f"{photo.path}: box {number}")
                for number, box in enumerate(found)
            ]
            shown = patch_labels(place, np.array(checked, np.float64).reshape(-1, 4), numbers)
        kept = to_learn_from(shown, background, rng)
        places.append(place[kept])
        shows.append(shown[kept])
    targets = np.concatenate([np.empty(0, np.intp), *shows])
    of_photo = np.repeat(np.arange(len(shows)), [len(each) for each in shows])
    is_background = targets == BACKGROUND
    _check_classes(classes, targets, bool(is_background.any()))
    targets[is_background] = len(classes)
    return Chosen(classes, bool(is_background.any()), places, targets, of_photo)


def _names(label: Any, boxes: Any, photo: str) -> list[str]:
    """Return the label of each box, or of the photo, whose boxes are not known.

    The boxes themselves are checked as far as they can be before the photo is decoded.
    """
    given = [label] if isinstance(label, str) else label
    is_list = isinstance(given, Sequence) and all(isinstance(name, str) for name in given)
    if boxes is not None:
        check_boxes(boxes, photo)
    count = 1 if boxes is None else len(boxes)
    if is_list and isinstance(label, str):
        given = [label] * count
    if not is_list or len(given) != count:
        raise FeaturesError(
            f"{photo}: labels must be text, one a box or one for all; "
            f"expected {count}, got {label!r}"
        )
    return list(given)


def _check_classes(classes: Sequence[str], targets: NDArray[np.intp], background: bool) -> None:
    unseen = [name for number, name in enumerate(classes) if not (targets == number).any()]
    if unseen:
        raise FeaturesError(
            "each class must have a patch that shows enough of it (a fifth of the patch, and 60 % "
            f"of the object); expected one of each class, got none of {unseen[0]!r}"
        )
    if len(classes) + background < 2:
        raise FeaturesError(
            "labels must name classes to tell apart; expected at least 2 with the background, "
            f"got {', '.join(map(repr, classes)) or 'none'}"
        )
