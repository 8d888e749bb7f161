"""What features are worth for another task: which of 17 flowers does a photo show?

    python benchmarks/flowers.py            # a minute
    python benchmarks/flowers.py --quick    # a few photos of each class, to see that it works

Photos of Flowers-17 (Nilsback and Zisserman 2006; 17 classes of 80) become features, and a
linear SVM learns from 60 of each class and is tested on the other 20.  Three random splits, the
same for all features; those of the data set's authors did not come with the photos.

- SqueezeNet 1.1, trained on ImageNet: its last concatenation, averaged over positions.  Once by
  decaf from Caffe's file, once by torchvision's model and transforms from PyTorch's file of the
  same weights; both read and resize photos with Pillow, and share nothing else.  Mean accuracies
  must not be more than a point apart; a line says so where they are, the exit status is 0.
- decaf-mini, the network inside the package, trained on 32x32 photos of CIFAR-10: relu6.
- For comparison the pixels that decaf-mini looks at, and HOG (Dalal and Triggs 2005) of the same
  view in grey, four times as large.

The classifier, its C, the layers and the options of HOG were fixed before the first result, and
nothing was tuned.  Data or libraries that are missing leave out a row, with the reason.

Writes ``results/flowers.json``, and draws ``results/flowers.png``: SqueezeNet's features as t-SNE
puts them into two dimensions.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import flowers_tables
import numpy as np
import pytest
import sklearn
from flowers_features import HOG, KINDS, Array, Skipped, there
from report import RESULTS, write_report
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from decaf.features import Features
from decaf.plots import tsne

SEEDS = (1, 2, 3)  # one split each
TRAIN = 60  # photos a class
QUICK_PHOTOS, QUICK_TRAIN = 12, 9
ALLOWED_POINTS = 1.0  # between decaf and PyTorch, in per cent of the test photos

Figures = dict[str, Any]


def classifier() -> Pipeline:
    """A linear SVM, one against one, on features of mean 0 and variance 1."""
    return make_pipeline(StandardScaler(), SVC(kernel="linear", C=1.0))


def in_full(model: Pipeline) -> str:
    """With the options that have their default, which scikit-learn leaves out."""
    with sklearn.config_context(print_changed_only=False):
        return " ".join(repr(model).split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PHOTOS} photos a class")
    options = parser.parse_args()
    try:
        photos = read_photos(QUICK_PHOTOS if options.quick else None)
    except Skipped as reason:
        print(f"flowers: left out: {reason}")
        return
    train = QUICK_TRAIN if options.quick else TRAIN
    splits = [split(photos, seed, train) for seed in SEEDS]

    rows: Figures = {}
    matrices, predictions = {}, {}
    for name, (title, make) in KINDS.items():
        try:
            matrix, recipe = make(list(photos.values()))
        except (Skipped, pytest.skip.Exception) as reason:
            rows[name] = {"title": title, "skipped": str(reason)}
            print(f"{title}: left out: {reason}", file=sys.stderr)
            continue
        matrices[name] = matrix
        by_name = dict(zip(photos, matrix.astype(np.float64), strict=True))
        predictions[name] = [predict(by_name, one) for one in splits]
        rows[name] = {
            "title": title,
            "recipe": recipe,
            "d": matrix.shape[1],
            **scores(predictions[name], splits),
        }
        print(f"{title}: {flowers_tables.accuracy(rows[name])}", file=sys.stderr, flush=True)

    figures = {
        "photos": len(photos),
        "classes": len({label(name) for name in photos}),
        "train_a_class": train,
        "test_photos": len(splits[0].test),
        "seeds": SEEDS,
        "pipeline": in_full(classifier()),
        "hog": HOG,
        "std": "of a sample: divided by the number of splits - 1",
        "scikit-image": _version("scikit-image"),
        "features": rows,
        "compared": compare(matrices, predictions, rows),
    }
    print(f"\n{len(photos):,} photos, {train} a class for training, {len(SEEDS)} splits\n")
    print(f"{flowers_tables.features(figures)}\n\n{flowers_tables.compared(figures)}\n")
    write_report("flowers", figures)
    if "decaf" in matrices and not options.quick:
        draw(matrices["decaf"], list(photos), RESULTS / "flowers.png")


# --- photos and splits ----------------------------------------------------------------------


def read_photos(a_class: int | None = None) -> dict[str, bytes]:
    """The files by name, ``c1/image_0013.jpg``, in sorted order; the first of each class or all."""
    with zipfile.ZipFile(there("images/flowers17.zip")) as archive:
        names = by_class(name for name in archive.namelist() if not name.endswith("/"))
        return {name: archive.read(name) for each in names.values() for name in each[:a_class]}


def label(name: str) -> str:
    """The class that a photo's name says."""
    return name.rpartition("/")[0]


def by_class(names: Iterable[str]) -> dict[str, list[str]]:
    """The names of each class, all of it sorted."""
    found = defaultdict(list)
    for name in sorted(names):
        found[label(name)].append(name)
    return dict(sorted(found.items()))


class Split(NamedTuple):
    """Names of photos to learn from, and of others to be tested on."""

    train: list[str]
    test: list[str]


def split(names: Iterable[str], seed: int, train: int) -> Split:
    """`train` random photos of each class, and the rest; the order of the names plays no part."""
    rng = np.random.default_rng(seed)
    found = Split([], [])
    for each in by_class(names).values():
        shuffled = rng.permutation(each).tolist()
        found.train.extend(shuffled[:train])
        found.test.extend(shuffled[train:])
    return found


# --- learning -------------------------------------------------------------------------------


def predict(features: Mapping[str, Array], photos: Split) -> list[str]:
    """Learn from the one part of a split, and name the classes of the other."""
    model = classifier()
    model.fit([features[name] for name in photos.train], [label(name) for name in photos.train])
    return model.predict([features[name] for name in photos.test]).tolist()


def scores(predictions: Sequence[list[str]], splits: Sequence[Split]) -> Figures:
    """Accuracy of each split, their mean and standard deviation; shares, not per cent."""
    found = [
        sum(label(name) == said for name, said in zip(one.test, each, strict=True)) / len(each)
        for one, each in zip(splits, predictions, strict=True)
    ]
    return {"accuracies": found, "mean": statistics.mean(found), "std": statistics.stdev(found)}


def compare(
    matrices: Mapping[str, Array], predictions: Mapping[str, list[list[str]]], rows: Figures
) -> Figures:
    """SqueezeNet's features by decaf beside those by PyTorch."""
    missing = [rows[name]["skipped"] for name in ("decaf", "torch") if name not in matrices]
    if missing:
        return {"skipped": missing[0]}
    pairs = [
        (ours, theirs)
        for each in zip(predictions["decaf"], predictions["torch"], strict=True)
        for ours, theirs in zip(*each, strict=True)
    ]
    return {
        "largest_relative_difference": difference(matrices["decaf"], matrices["torch"]),
        "predictions": len(pairs),
        "different_predictions": sum(ours != theirs for ours, theirs in pairs),
        "points": abs(rows["decaf"]["mean"] - rows["torch"]["mean"]) * 100,
        "allowed_points": ALLOWED_POINTS,
    }


def difference(ours: Array, theirs: Array) -> float:
    """Largest absolute difference, relative to the largest magnitude."""
    return float(np.abs(ours.astype(np.float64) - theirs).max() / np.abs(theirs).max())


def draw(matrix: Array, names: list[str], path: Path) -> None:
    """SqueezeNet's features in two dimensions, without photos, which are not ours to publish."""
    found = Features(
        {"SqueezeNet 1.1, fire9/concat": matrix.shape[1]},
        names,
        [label(name) for name in names],
        [],
        {},
        lambda _: iter([matrix]),
    )
    tsne(found, thumbnails=False).savefig(path, dpi=100, metadata={"Software": None})


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
