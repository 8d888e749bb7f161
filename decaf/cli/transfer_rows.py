"""The features for ``decaf transfer``: out of a feature file, or of photos by a network."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from decaf.cli.network import default_layer, load_network
from decaf.cli.photos import find, say_failed
from decaf.cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from decaf.features.sources import Source

VIEWS, SCHEME = 16, "both"  # of a photo and of telling classes apart, for protocol offtheshelf


MOST_FEATURES = 2**14  # a photo; more take hours to learn from, and are maps that want pooling


@dataclass(frozen=True)
class Rows:
    """Features of photos, and where they come from."""

    values: NDArray[Any]  # (N, D) or (N, V, D)
    labels: Sequence[str]
    paths: Sequence[str]
    failed: Sequence[tuple[str, str]]
    layer: str
    info: dict[str, Any]  # as JSON can hold it


def of_file(arguments: argparse.Namespace) -> Rows:
    """Read a feature file."""
    from decaf.features import load_features

    features = load_features(arguments.path)
    _check_counts(arguments, features.labels)
    layer = arguments.layer or next(iter(features.layers))
    return Rows(
        features[layer], features.labels, features.paths, features.failed, layer, features.info
    )


def of_photos(arguments: argparse.Namespace) -> Rows:
    """Compute features of photos; say which cannot be read."""
    from decaf.errors import FeaturesError
    from decaf.features.gather import gather
    from decaf.features.pipeline import widths
    from decaf.transfer.sixteen import sixteen_views, whole

    photos = find([arguments.path])
    _check_counts(arguments, [photo.label for photo in photos])
    net = load_network(arguments)
    layer = arguments.layer or default_layer(net)
    width = widths(net, [layer], arguments.pooling)[layer]
    if width > MOST_FEATURES:
        raise FeaturesError(
            f"{layer}: features to learn from must be at most {MOST_FEATURES:,} a photo; got "
            f"{width:,} (with --pooling, a layer of maps gives one a channel)"
        )
    views = _views(arguments)
    makers = sixteen_views() if views > 1 else (whole,)
    with Progress("photos", len(photos)) as progress:
        gathered = gather(
            net, photos, layer, makers, pooling=arguments.pooling, workers=arguments.workers,
            on_photos=progress.more,
        )  # fmt: skip
    failed = [(photos[number].path, reason) for number, reason in gathered.failed.items()]
    left = [photos[number] for number in gathered.photos]
    if failed:
        say_failed(failed, len(photos))
        _check_left(arguments, photos, left)
    values = gathered.rows if views > 1 else gathered.rows[:, 0]
    info = {**net.info(), "layer": layer, "pooling": arguments.pooling, "views": views}
    labels, paths = [photo.label for photo in left], [photo.path for photo in left]
    return Rows(values, labels, paths, failed, layer, info)


def _views(arguments: argparse.Namespace) -> int:
    if arguments.protocol == "decaf":
        return 1
    return VIEWS if arguments.views is None else int(arguments.views)


def _check_counts(arguments: argparse.Namespace, labels: Sequence[str]) -> None:
    """There must not be too many classes, and each have enough photos."""
    from decaf.errors import FeaturesError
    from decaf.features.naming import shown
    from decaf.transfer.limits import check_class_count
    from decaf.transfer.splits import random_splits

    one_vs_one = arguments.protocol == "offtheshelf" and arguments.scheme != "one-vs-all"
    try:
        check_class_count(len(set(labels)), one_vs_one=one_vs_one)
        random_splits(list(labels), arguments.per_class, 1)
    except FeaturesError as error:
        raise FeaturesError(f"{shown(arguments.path)}: {error}") from error


def _check_left(
    arguments: argparse.Namespace, photos: Sequence[Source], left: Sequence[Source]
) -> None:
    """The same once more, of those that could be read; and no class may be lost."""
    from decaf.errors import FeaturesError
    from decaf.messages import names

    lost = {photo.label for photo in photos} - {photo.label for photo in left}
    if lost:
        raise FeaturesError(
            f"each class must have photos that can be read; got none of {names(lost)}"
        )
    _check_counts(arguments, [photo.label for photo in left])
