"""What is a search worth?  Mean average precision on photos of 17 flowers and of 10 objects.

    python benchmarks/retrieval.py            # a quarter of an hour: 44 pictures of each photo
    python benchmarks/retrieval.py --quick    # a few photos of each class, to see that it works

Photos of Flowers-17 and Office-Caltech-10 become features (SqueezeNet 1.1, its last concatenation,
averaged over positions).  Two questions are asked of them:

- same class: each photo is a query in turn; those of its class are relevant, itself is passed over.
- same photo: a crop of each photo, 15 to 50 % of it, turned by up to 20 degrees, lighter or
  darker, is a query; only the photo that it came from is relevant.  The figure is the mean of 1
  over its place.

Answers come from whole photos (L2 alone, and the options of ``Whitening``), and from parts, by
spatial search (2 levels, and the paper's: 4 for the index, 3 for queries), where PCA is fitted on
the parts.  Wanted is for the same class: L2 < whitened < spatial; a line says where it is not so,
the exit status is 0.  Why whitening in full does harm, the share of the variance that lies between
classes tells, direction by direction.  Approximate search (faiss) follows, on random
combinations of the photos' vectors.

Writes ``results/retrieval.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import retrieval_tables
from flowers_features import LAYER, RECIPE, SQUEEZENET, Skipped, there
from PIL import Image, ImageEnhance
from report import write_report

from decaf.convert import convert
from decaf.errors import FeaturesError
from decaf.features import find_photos
from decaf.features.gather import gather
from decaf.net import DecafNet
from decaf.retrieval.approximate import Approximate, recall
from decaf.retrieval.blocks import as_block
from decaf.retrieval.exact import top_k
from decaf.retrieval.measures import mean_average_precision
from decaf.retrieval.spatial import part_count, part_makers, spatial_top_k
from decaf.retrieval.whitening import CLASSES, DEFAULT, INSTANCES, PAPER, Whitening
from decaf.vectors import l2_normalised

SETS = {"flowers17": "flowers17.zip", "office-caltech10": "office-caltech10.zip"}
QUICK = 8  # of so many photos one is taken
PARTS, QUERY_PARTS = part_count(4), part_count(3)
K, FAISS_VECTORS, FAISS_QUERIES = 10, 100_000, 200

Array = np.ndarray[Any, Any]
Figures = dict[str, Any]

WAYS: dict[str, Any] = {
    "L2 alone": None,
    "PCA to 500, not whitened": {"dimensions": 500, "whiten": 0.0, "power": 1.0},
    "PCA to 500, a tenth whitened (DEFAULT)": DEFAULT,
    "PCA to 500, half whitened (INSTANCES)": INSTANCES,
    "PCA to 500, whitened": {"dimensions": 500, "whiten": 1.0, "power": 1.0},
    "PCA to 500, whitened, power 2 (PAPER)": PAPER,
    "PCA to 32, a quarter whitened (CLASSES)": CLASSES,
    "PCA to 16, half whitened": {"dimensions": 16, "whiten": 0.5, "power": 1.0},
    "PCA to 16, whitened": {"dimensions": 16, "whiten": 1.0, "power": 1.0},
}
BANDS = ((0, 8), (8, 16), (16, 32), (32, 64), (64, 128), (128, 256), (256, 512))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"one photo of {QUICK}")
    options = parser.parse_args()
    try:
        data = {name: features(file, QUICK if options.quick else 1) for name, file in SETS.items()}
    except Skipped as reason:
        print(f"retrieval: left out: {reason}")
        return
    rows = []
    for title, asked in WAYS.items():
        rows.append({"title": title, "options": asked})
        for name, (parts, labels) in data.items():
            whole = parts[:, [0, PARTS]]  # n, 2, D: photo and crop
            rows[-1][name] = answers(transformed(whole, asked, whole[:, :1]), labels, 1, 1)
            others = [one for other, (one, _) in data.items() if other != name]
            if asked:
                foreign = transformed(whole, asked, others[0][:, :1])
                rows[-1][f"{name}, learned elsewhere"] = answers(foreign, labels, 1, 1)
        print(title, rows[-1], file=sys.stderr, flush=True)
    spatial = []
    for title, asked in (
        ("L2 alone", None), ("DEFAULT, fitted on parts", DEFAULT),
        ("INSTANCES, fitted on parts", INSTANCES),
    ):  # fmt: skip
        for levels, count, wanted in (("whole", 1, 1), ("2 levels", 5, 5), ("4 and 3", 30, 14)):
            spatial.append({"title": f"{title}: {levels}"})
            for name, (parts, labels) in data.items():
                found = transformed(parts, asked, parts[:, :PARTS])
                spatial[-1][name] = answers(found, labels, count, wanted)
            print(spatial[-1], file=sys.stderr, flush=True)
    figures: Figures = {
        "sets": list(SETS),
        "photos": {name: len(labels) for name, (_, labels) in data.items()},
        "layer": LAYER,
        "rows": rows,
        "spatial": spatial,
        "between": {name: between(parts[:, 0], labels) for name, (parts, labels) in data.items()},
        "faiss": approximate(data["flowers17"][0][:, 0], 5000 if options.quick else FAISS_VECTORS),
    }
    for part in ("quality", "spatial", "order", "why", "recall"):
        print(f"\n{getattr(retrieval_tables, part)(figures)}")
    write_report("retrieval", figures)


def features(file: str, step: int) -> tuple[Array, Array]:
    """(n, 44, D): 30 parts of each photo, then the 14 of a crop of it; and the classes."""
    photos = find_photos([there(f"images/{file}")]).photos[::step]
    with tempfile.TemporaryDirectory() as folder:
        said, path = Path(folder, "recipe.json"), Path(folder, "squeezenet.h5")
        said.write_text(json.dumps(RECIPE.to_dict()), encoding="utf-8")
        convert(there(f"{SQUEEZENET}.caffemodel"), path, preprocessing=said)
        net = DecafNet(path)
        makers = [*part_makers(4), *(of_crop(part) for part in part_makers(3))]
        found = gather(net, photos, LAYER, makers, pooling="average")
    labels = np.array([photo.path.split("/")[-2] for photo in photos])
    return found.rows, labels[found.photos]


def of_crop(part: Callable[[Image.Image], Image.Image]) -> Callable[[Image.Image], Image.Image]:
    """Make a part of a random crop; of one photo always the same crop."""

    def make(photo: Image.Image) -> Image.Image:
        rng = np.random.default_rng(zlib.crc32(photo.tobytes()))
        share = rng.uniform(0.15, 0.5) ** 0.5
        width, height = int(photo.width * share), int(photo.height * share)
        left = int(rng.integers(photo.width - width + 1))
        top = int(rng.integers(photo.height - height + 1))
        crop = photo.crop((left, top, left + width, top + height))
        crop = crop.rotate(rng.uniform(-20, 20), resample=Image.Resampling.BILINEAR)
        return part(ImageEnhance.Brightness(crop).enhance(rng.uniform(0.6, 1.4)))

    return make


def transformed(parts: Array, asked: Any, learned_from: Array) -> Array:
    """(n, V, d) vectors of (n, V, D) features."""
    if asked is None:
        return l2_normalised(parts)
    model = Whitening(**asked).fit(learned_from.reshape(-1, parts.shape[2]))
    return model.transform(parts)


def answers(vectors: Array, labels: Array, parts: int, query_parts: int) -> dict[str, float]:
    """Both figures, in per cent; crops begin behind the photos' own parts."""
    n = len(vectors)
    crop = PARTS if vectors.shape[1] > PARTS else 1
    blocks = [as_block(vectors[:, :parts])]
    own, crops = vectors[:, :query_parts], vectors[:, crop : crop + query_parts]
    places = np.arange(n)
    precision = mean_average_precision(ranked(blocks, own, n), labels, labels, itself=places)
    rank = np.argmax(ranked(blocks, crops, n) == places[:, None], axis=1)
    return {"classes": 100 * precision, "instances": 100 * float((1 / (rank + 1)).mean())}


def ranked(blocks: Sequence[Any], queries: Array, n: int) -> Array:
    """(Q, n) numbers of all photos, nearest first.

    From products alone, for the searches compute each distance that they return anew; they must
    agree on the nearest of a few queries.
    """
    vectors = blocks[0].vectors
    flat = vectors.reshape(-1, vectors.shape[2])
    found = []
    for query in queries:
        products = (flat @ query.T).reshape(n, vectors.shape[1], len(query))
        scores = (blocks[0].squares[:, :, None] - 2 * products).min(axis=1)  # n, P'
        squares = np.square(query.astype(np.float64)).sum(axis=1)
        distances = np.sqrt(np.maximum(scores + squares, 0)).mean(axis=1)
        found.append(np.argsort(distances, kind="stable"))
    some = slice(None, None, max(1, n // 10))
    if queries.shape[1] == 1 == vectors.shape[1]:
        nearest = top_k(blocks, queries[some, 0], 1)[1][:, 0]
    else:
        nearest = spatial_top_k(blocks, queries[some], 1)[1][:, 0]
    if (nearest != np.array(found)[some, 0]).mean() > 0.1:  # equal ones may change places
        sys.exit("retrieval: a search must find what all distances have first")
    return np.array(found)


def between(rows: Array, labels: Array) -> dict[str, float]:
    """Share of the variance that lies between classes, by band of directions; chance: (K-1)/n."""
    model = Whitening(rows.shape[1], whiten=0.0).fit(rows)
    turned = (l2_normalised(rows.astype(np.float64)) - model.mean) @ model.matrix.T
    classes, numbers = np.unique(labels, return_inverse=True)
    sums = np.array([turned[numbers == c].sum(axis=0) for c in range(len(classes))])
    shares = (sums**2 / np.bincount(numbers)[:, None]).sum(axis=0) / (turned**2).sum(axis=0)
    found = {f"{a + 1} to {b}": float(shares[a:b].mean()) for a, b in BANDS if a < len(shares)}
    return {**found, "by chance": (len(classes) - 1) / (len(rows) - 1)}


def approximate(rows: Array, count: int) -> Figures:
    """Recall and time of faiss: random mixtures of three photos each, in default vectors."""
    rng = np.random.default_rng(0)
    chosen = rng.integers(len(rows), size=(count + FAISS_QUERIES, 3))
    mixed = np.einsum("nvd,nv->nd", rows[chosen], rng.dirichlet((1, 1, 1), len(chosen)))
    vectors = Whitening().fit(rows).transform(mixed)
    blocks, queries = [as_block(vectors[:count])], vectors[count:]
    try:
        start = time.perf_counter()
        graph = Approximate(blocks)
        build = time.perf_counter() - start
    except FeaturesError as error:
        return {"skipped": str(error)}
    start = time.perf_counter()
    exact = top_k(blocks, queries, K)[1]
    exact_ms = (time.perf_counter() - start) * 1e3 / len(queries)
    found = []
    for search in (50, 200, 800):
        start = time.perf_counter()
        numbers = graph.top_k(queries, K, search=search)[1]
        ms = (time.perf_counter() - start) * 1e3 / len(queries)
        found.append({"search": search, "recall": recall(exact, numbers), "ms": ms})
    return {"vectors": count, "k": K, "build_s": build, "exact_ms": exact_ms, "rows": found}


if __name__ == "__main__":
    main()
