"""``MidLevel``: photos and what they show -> scores of photos, and maps of where.

    >>> from decaf.transfer.midlevel import MidLevel
    >>> model = MidLevel(net, "fire9/concat", pooling="average")           # doctest: +SKIP
    >>> model.fit(photos, ["cat", ["dog", "cat"]], [None, [box, other]])   # doctest: +SKIP
    >>> model.predict_scores(["a.jpg"])                                    # doctest: +SKIP
    array([[0.41, 0.02]])
    >>> model.where("a.jpg", "cat").shape                                  # doctest: +SKIP
    (480, 640)

The network stays as it is; what learns are two layers on top of one of its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError
from decaf.features.pipeline import Openable, check_numbers, widths
from decaf.image import Photo
from decaf.net import DecafNet, at_least_one
from decaf.transfer.boxes import Box
from decaf.transfer.midlevel.examples import Chosen, examples_of
from decaf.transfer.midlevel.labels import BACKGROUND_SHARE
from decaf.transfer.midlevel.options import check_number
from decaf.transfer.midlevel.patches import MOST, SCALES, patches
from decaf.transfer.midlevel.pictures import openables, patch_features, size_of
from decaf.transfer.midlevel.scores import POWER, check_power, photo_scores, where
from decaf.transfer.midlevel.training import Epoch, Trained, Training, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OnPhotos = Callable[[int], None] | None


class MidLevel:
    """Adaptation layers on a network's features of patches.

    Parameters
    ----------
    net : DecafNet
        The network.
    layer : str
        Its layer that gives the features of a patch; the paper takes ``"relu7"``.
    pooling : {None, "average", "max"}
        For layers of maps, see ``decaf.features.pooling``.
    scales, most_patches
        As for ``patches``.
    background : float
        Share of the background's patches to learn from, from 0 to 1.
    power : float
        Of the patches' scores, at least 1.
    training : Training, optional
        How to train the two layers.
    seed : int, optional
        Of all random numbers: the background, the first weights, the order, the dropout; by
        default that of `training`.
    batch_size, workers
        As for ``decaf.features.pipeline.compute``; change only the speed.

    Attributes
    ----------
    classes_ : tuple of str
        After `fit`: in sorted order, without the background.
    trained_ : Trained
        After `fit`: weights and history; a last class is the background if there was any.

    Raises
    ------
    FeaturesError, ArchitectureError, ShapeError
        If an option is none that it may be.
    """

    classes_: tuple[str, ...]
    trained_: Trained

    def __init__(
        self,
        net: DecafNet,
        layer: str = "relu7",
        *,
        pooling: str | None = None,
        scales: Sequence[float] = SCALES,
        most_patches: int = MOST,
        background: float = BACKGROUND_SHARE,
        power: float = POWER,
        training: Training | None = None,
        seed: int | None = None,
        batch_size: int = 16,
        workers: int | None = None,
    ) -> None:
        widths(net, [layer], pooling)
        check_numbers(batch_size, workers)
        check_power(power)
        at_least_one("most_patches", most_patches)
        patches(1, 1, scales=scales)
        check_number("background", background, "0 to 1", lambda share: 0 <= share <= 1)
        how = training or Training()
        if not isinstance(how, Training):
            raise FeaturesError(f"training must be a Training or None; got {how!r}")
        self.net, self.layer, self.pooling = net, layer, pooling
        self.scales, self.most_patches = tuple(scales), most_patches
        self.background, self.power = background, power
        self.training = how if seed is None else replace(how, seed=seed)
        self.batch_size, self.workers = batch_size, workers

    def fit(
        self,
        photos: Sequence[Photo | Openable],
        labels: Sequence[str | Sequence[str]],
        boxes: Sequence[Sequence[Box] | None] | None = None,
        *,
        on_photos: OnPhotos = None,
        on_epoch: Callable[[Epoch], None] | None = None,
    ) -> MidLevel:
        """Learn from photos, and where in them objects are.

        Parameters
        ----------
        photos : sequence of photo
            N photos as ``DecafNet`` takes them, or of ``decaf.features.find_photos``.
        labels : sequence
            For each photo with boxes a label for each of them, or one for all; for one without
            its label.
        boxes : sequence, optional
            For each photo its boxes, ``(left, top, right, bottom)`` in pixels of the upright
            photo; None where they are not known, an empty list where there is no object.
        on_photos : callable, optional
            Called with 1 after each photo.
        on_epoch : callable, optional
            Called with each ``Epoch`` of training.

        Returns
        -------
        MidLevel
            Itself.

        Raises
        ------
        FeaturesError
            Before work starts: if there is not a label for each photo or box, there are not two
            classes (with background), a box is not within its photo, or no patch shows an object.
        ImageError
            If a photo cannot be read.
        """
        found, rows = self.examples(photos, labels, boxes, on_photos=on_photos)
        self.trained_ = train(
            rows, found.targets, len(found.classes) + found.background, found.photos,
            self.training, on_epoch=on_epoch,
        )  # fmt: skip
        self.classes_ = found.classes
        return self

    def examples(
        self,
        photos: Sequence[Photo | Openable],
        labels: Sequence[str | Sequence[str]],
        boxes: Sequence[Sequence[Box] | None] | None = None,
        *,
        on_photos: OnPhotos = None,
    ) -> tuple[Chosen, NDArray[np.float32]]:
        """Return what `fit` learns from, so that another classifier can learn from the same.

        Parameters and errors are those of `fit`.

        Returns
        -------
        chosen : Chosen
            Patches, what each shows, and of which photo it is.
        features : ndarray
            (n, D) float32, of each patch.
        """
        given = openables(photos)
        found = examples_of(
            given, labels, boxes, self._patches, background=self.background,
            max_pixels=self.net.max_pixels, seed=self.training.seed,
        )  # fmt: skip
        width = widths(self.net, [self.layer], self.pooling)[self.layer]
        rows, filled = np.empty((len(found.targets), width), np.float32), 0
        for part in self._features(given, found.places, on_photos):
            rows[filled : filled + len(part)] = part
            filled += len(part)
        return found, rows

    def predict_scores(
        self, photos: Sequence[Photo | Openable], *, on_photos: OnPhotos = None
    ) -> NDArray[np.float64]:
        """Return the score of each class for each photo.

        Parameters
        ----------
        photos, on_photos
            As for `fit`.

        Returns
        -------
        ndarray
            (N, K) float64, from 0 to 1, in the order of `classes_`; they need not add up to 1.

        Raises
        ------
        FeaturesError
            If nothing was learned yet.
        ImageError
            If a photo cannot be read.
        """
        self._must_be_fitted()
        each = self.patch_features(photos, on_photos=on_photos)
        found = [photo_scores(self._said(rows), self.power) for _, _, rows in each]
        return np.stack(found) if found else np.empty((0, len(self.classes_)))

    def where(self, photo: Photo | Openable, label: str) -> NDArray[np.float32]:
        """Return the map of a class over a photo.

        Parameters
        ----------
        photo
            As for `fit`.
        label : str
            One of `classes_`.

        Returns
        -------
        ndarray
            (H, W) float32, from 0 to 1, a value a pixel; ``scores.peak`` gives its highest place.

        Raises
        ------
        FeaturesError
            If nothing was learned yet, or there is no such class.
        ImageError
            If the photo cannot be read.
        """
        self._must_be_fitted()
        if label not in self.classes_:
            raise FeaturesError(
                f"label must be one of the classes; expected {', '.join(self.classes_)}, "
                f"got {label!r}"
            )
        [(size, place, rows)] = self.patch_features([photo])
        return where(place, self._said(rows)[:, self.classes_.index(label)], *size, self.power)

    def plot(self, photo: Photo | Openable, label: str, boxes: Sequence[Box] = ()) -> Figure:
        """Draw a photo, and the map of a class beside it, as ``drawing.draw_where`` says."""
        from decaf.transfer.midlevel.drawing import draw_where

        return draw_where(self, photo, label, boxes)

    def patch_scores(
        self, photo: Photo | Openable
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the patches of a photo, (P, 4), and their probabilities, (P, K)."""
        self._must_be_fitted()
        [(_, place, rows)] = self.patch_features([photo])
        return place, self._said(rows)

    def patch_features(
        self, photos: Sequence[Photo | Openable], *, on_photos: OnPhotos = None
    ) -> Iterator[tuple[tuple[int, int], NDArray[np.int64], NDArray[np.float32]]]:
        """Yield (width, height), patches (P, 4) and their features (P, D), photo after photo."""
        given = openables(photos)
        sizes = [size_of(photo, self.net.max_pixels) for photo in given]
        places = [self._patches(*size) for size in sizes]
        features = self._features(given, places, on_photos)
        yield from zip(sizes, places, features, strict=True)

    def _said(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities of the classes, without the background."""
        return self.trained_.probabilities(rows)[:, : len(self.classes_)]

    def _features(
        self,
        photos: Sequence[Openable],
        places: Sequence[NDArray[np.int64]],
        on_photos: OnPhotos,
    ) -> Iterator[NDArray[np.float32]]:
        for rows in patch_features(
            self.net, photos, places, self.layer, pooling=self.pooling,
            batch_size=self.batch_size, workers=self.workers,
        ):  # fmt: skip
            yield rows
            if on_photos:
                on_photos(1)

    def _patches(self, width: int, height: int) -> NDArray[np.int64]:
        return patches(width, height, scales=self.scales, most=self.most_patches)

    def _must_be_fitted(self) -> None:
        if not hasattr(self, "trained_"):
            raise FeaturesError("MidLevel must have learned; expected a call of fit before")
