"""t-SNE pictures: scikit-learn's own places, colours that mean labels, photos that do not touch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl
import tiny
from numpy.typing import NDArray
from PIL import Image, ImageOps
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from decaf.errors import FeaturesError
from decaf.features.contents import Features

pytest.importorskip("matplotlib")

from matplotlib.colors import to_hex, to_rgba
from matplotlib.patches import Rectangle
from pictures import check_legible, overlap, same_picture
from processes import ENVIRONMENT, python

from decaf import plots
from decaf.plots.embedding import embed
from decaf.plots.palette import COLOURS, DISTINCT, look
from decaf.plots.thumbnails import lay_out

D = 70  # more than PCA keeps
MAX = np.finfo(np.float32).max


def matrix(count: int, classes: int) -> NDArray[np.float32]:
    """Clusters, one after the other in turn."""
    random = np.random.default_rng(count)
    centres = 8 * random.standard_normal((classes, D))
    return (centres[np.arange(count) % classes] + random.standard_normal((count, D))).astype("f4")


def features(
    values: NDArray[np.float32], labels: Sequence[str], paths: Sequence[str] | None = None
) -> Features:
    def read(layer: str) -> Iterator[NDArray[np.float32]]:
        whole = values if layer == "fc6" else -values[:, :3]
        return (whole[start : start + 7] for start in range(0, len(whole), 7))

    paths = [f"nowhere/{i}.png" for i in range(len(values))] if paths is None else paths
    return Features({"fc6": D, "fc7": 3}, paths, labels, [], {}, read)


def in_turn(count: int, names: Sequence[str]) -> list[str]:
    return [names[i % len(names)] for i in range(count)]


def dots(figure: Any) -> list[NDArray[np.float64]]:
    """The points of each label."""
    return [np.asarray(points.get_offsets()) for points in figure.axes[0].collections]


def unit(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Around 0, and with a largest absolute value of 1."""
    around = values.astype(np.float64) - values.astype(np.float64).mean(axis=0)
    return around / np.abs(around).max()


@pytest.mark.parametrize(("layer", "dimensions"), [(None, 50), ("fc7", 3)])
def test_the_points_are_those_of_scikit_learn(layer: str | None, dimensions: int) -> None:
    values = matrix(62, 3)
    labels = in_turn(62, "cab")
    figure = plots.tsne(features(values, labels), layer, perplexity=12, seed=4)
    seen = -values[:, :3] if layer else values
    with threadpoolctl.threadpool_limits(1):
        small = PCA(dimensions, random_state=4).fit_transform(unit(seen))
        expected = TSNE(perplexity=12, init="pca", random_state=4).fit_transform(small)
    for name, points, k in zip("abc", dots(figure), range(3), strict=True):
        np.testing.assert_array_equal(points, expected[np.array(labels) == name])
        colour = figure.axes[0].collections[k].get_facecolor()
        assert to_hex(colour[0]) == COLOURS[k]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a (21)", "b (20)", "c (21)"]
    for k, handle in enumerate(legend.legend_handles):
        assert handle.get_color() == COLOURS[k] and handle.get_marker() == look(k).marker
    scale = figure.axes[0].transData.transform(np.eye(3, 2)) / figure.dpi
    assert np.ptp(scale[:, 0]) == pytest.approx(np.ptp(scale[:, 1]))  # equal in x and y


def test_a_seed_gives_one_picture_and_another_seed_another() -> None:
    data = features(matrix(30, 3), in_turn(30, "ab"))
    assert same_picture(plots.tsne(data), plots.tsne(data))
    few = [plots.tsne(features(matrix(80, 3), in_turn(80, "a")), seed=s, sample=20) for s in (0, 1)]
    assert not same_picture(*few)


def test_of_many_photos_a_random_sample_is_drawn() -> None:
    values = matrix(90, 3)
    figure = plots.tsne(features(values, in_turn(90, "a")), sample=25, seed=3)
    rows = np.sort(np.random.default_rng(3).choice(90, 25, replace=False))
    assert len(set(rows)) == 25
    with threadpoolctl.threadpool_limits(1):
        small = PCA(25, random_state=3).fit_transform(unit(values[rows]))
        expected = TSNE(perplexity=8, init="pca", random_state=3).fit_transform(small)
    np.testing.assert_array_equal(dots(figure)[0], expected)
    assert any("25 photos, a random sample of 90; perplexity 8" in t for t in check_legible(figure))
    assert not figure.legends  # one label only


@pytest.fixture
def album(tmp_path: Path) -> list[str]:
    """Sixty photos on the disk, of which every tenth is missing and the first is damaged."""
    paths = [str(tmp_path / f"{i}.png") for i in range(60)]
    for i, path in enumerate(paths):
        if i % 10 != 9:
            Image.fromarray(tiny.photo(i, 20 + i, 60)).save(path)
    Path(paths[0]).write_bytes(b"no photo")
    return paths


def boxes_of(figure: Any) -> list[Any]:
    return [image.get_window_extent() for image in figure.axes[0].images]


@pytest.mark.parametrize("classes", [4, 13])
def test_photos_stand_at_their_places_and_none_touches_another(
    album: list[str], classes: int
) -> None:
    names = [f"{k:02}" for k in range(classes)]
    labels = in_turn(60, names)
    figure = plots.tsne(features(matrix(60, 1), labels, album), perplexity=9)
    axes = figure.axes[0]
    figure.canvas.draw()
    places = np.empty((60, 2))
    for name, points in zip(names, dots(figure), strict=False):
        places[np.array(labels) == name] = points
    of = []
    for image in axes.images:
        left, right, bottom, top = image.get_extent()
        gone = np.abs(places - [(left + right) / 2, (bottom + top) / 2]).max(axis=1)
        of.append(int(gone.argmin()))
        assert gone.min() < 1e-4
        photo = ImageOps.fit(Image.open(album[of[-1]]).convert("RGB"), (96, 96))
        np.testing.assert_array_equal(image.get_array(), np.asarray(photo))
    assert len(of) > 15 and len(set(of)) == len(of)
    assert 0 not in of and not any(i % 10 == 9 for i in of)  # these could not be opened
    drawn = boxes_of(figure)
    assert len({round(box.width, 3) for box in drawn} | {round(b.height, 3) for b in drawn}) == 1
    for box in drawn:
        assert axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
        assert axes.bbox.y0 <= box.y0 and box.y1 <= axes.bbox.y1
    grown = [box.padded(1) for box in drawn]  # with their frames
    assert not any(overlap(a, b, 0.0) for a, b in itertools.combinations(grown, 2))
    frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    colours = [to_rgba(look(names.index(labels[i])).colour) for i in of]
    assert [frame.get_edgecolor() for frame in frames] == colours
    # A photo was left out only where it would touch one that came before it.
    side = max(abs(np.subtract(*axes.images[0].get_extent()[:2])) / 0.92, 0)
    for i in {*range(60)} - {*of, 0, *range(9, 60, 10)}:
        before = [j for j in of if j < i]
        assert min(np.abs(places[i] - places[j]).max() for j in before) < side * 1.001
    assert any(f"{len(of)} drawn where there is room" in text for text in check_legible(figure))


@pytest.mark.parametrize("side", [0.3, 1.0, 4.0])
def test_squares_are_as_many_as_fit_in_their_order(side: float) -> None:
    places = np.random.default_rng(0).uniform(-5, 5, (300, 2)).astype(np.float32)
    picture = np.zeros((1, 1, 3), np.uint8)
    found = [i for i, _ in lay_out(places, side, lambda i: None if i % 7 == 3 else picture)]
    expected: list[int] = []
    for i in range(300):
        gaps = [np.abs(places[i] - places[j]).max() for j in expected]
        if i % 7 != 3 and (not gaps or min(gaps) >= side):
            expected.append(i)
    assert found == expected and len(expected) > 3


def test_without_photos(album: list[str]) -> None:
    data = features(matrix(60, 4), in_turn(60, "ab"), album)
    assert not plots.tsne(data, thumbnails=False).axes[0].images
    assert not plots.tsne(features(matrix(60, 4), in_turn(60, "ab"))).axes[0].images


@pytest.mark.parametrize("count", [2, 10, 17, 120])
def test_the_legend_can_be_read_and_is_beside_the_picture(count: int, album: list[str]) -> None:
    nasty = [f"{k:03} $x^^{k}$ a long label, naïve café 犬" for k in range(count - 1)]
    size = 240 // count  # photos a label
    labels = in_turn(size * count, ["", *nasty])
    values = matrix(len(labels), 4)
    figure = plots.tsne(features(values, labels, (album * 4)[: len(labels)]), perplexity=5)
    said = check_legible(figure)
    (legend,) = figure.legends
    assert not overlap(legend.get_window_extent(), figure.axes[0].get_window_extent())
    entries = [text for text in said if text.endswith(f"({size})")]
    assert len(entries) == min(count, 72)
    assert (f"and {count - 72} more" in said) == (count > 72)
    if count <= 72:
        assert entries[-1].startswith("(no label)")
        looks = [(handle.get_color(), handle.get_marker()) for handle in legend.legend_handles]
        assert len(set(looks)) == count
    assert any("looks repeat" in text for text in said) == (count > DISTINCT)


def test_labels_that_look_alike_are_told_apart() -> None:
    alike = "a garden flower of the family Asteraceae, "
    names = [alike + "annual", alike + "biennial", "(no label)", " ", "b ", "b"]
    data = features(matrix(28, 3), in_turn(28, [*names, ""]))
    figure = plots.tsne(data, perplexity=5)
    check_legible(figure)
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(said) == len(set(said)) == 7
    assert said[-1] == "(no label) (4)"
    assert {"'(no label)' (4)", "' ' (4)", "'b ' (4)", "b (4)"} <= set(said)
    assert any(text.startswith("a garden") and text.endswith("biennial (4)") for text in said)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"layer": "fc8"}, "fc8"),
        ({"perplexity": 0.9}, "perplexity must be a number of at least 1"),
        ({"perplexity": float("nan")}, "perplexity must"),
        ({"seed": -1}, "seed must"),
        ({"seed": 2**32}, "seed must be below"),
        ({"sample": 3}, "sample must"),
        ({"sample": 10.0}, "sample must"),
    ],
)
def test_wrong_options(options: Any, reason: str) -> None:
    with pytest.raises(FeaturesError, match=reason):
        plots.tsne(features(matrix(10, 2), in_turn(10, "ab")), **options)


def test_features_that_cannot_be_drawn() -> None:
    with pytest.raises(FeaturesError, match="at least 4, got 3"):
        plots.tsne(features(matrix(3, 2), list("abc")))
    with pytest.raises(FeaturesError, match="same for every photo"):
        plots.tsne(features(np.ones((9, D), np.float32), ["a"] * 9))
    values = matrix(9, 2)
    for bad in (np.nan, np.inf):
        values[4, 5] = bad
        with pytest.raises(FeaturesError, match="finite"):
            plots.tsne(features(values, ["a"] * 9))


def test_the_unit_of_features_does_not_matter() -> None:
    """Without a unit of their own, 1e-30 ended the process and 1e20 was refused."""
    values = matrix(12, 3)
    places = embed(values, 3, 0)
    for power in (-100, -60, 60, 120):  # of two, so that no bit changes but the exponent's
        np.testing.assert_array_equal(embed(values * np.float32(2.0**power), 3, 0), places)
    for extreme in (values * np.float32(1e-42), values * np.float32(1e37), np.sign(values) * MAX):
        assert np.isfinite(embed(extreme, 3, 0)).all()
    far = values.copy()
    far[0] = MAX  # beside which the others are one
    assert np.isfinite(embed(far, 3, 0)).all()


def test_a_layer_of_one_feature() -> None:
    assert np.isfinite(embed(matrix(20, 2)[:, :1], 5, 0)).all()
    places = embed((np.arange(20) == 3).astype("f4")[:, None], 5, 0)
    assert np.isfinite(places).all()


def test_places_that_are_not_finite_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TSNE, "fit_transform", lambda self, X: np.full((len(X), 2), np.nan))
    with pytest.raises(FeaturesError, match="must find places"):
        embed(matrix(9, 2), 2, 0)


def test_the_number_of_threads_changes_no_bit() -> None:
    code = """
import hashlib, numpy, threadpoolctl
from decaf.plots.embedding import embed
random = numpy.random.default_rng(0)
values = numpy.maximum(random.standard_normal((500, 512)), 0).astype("f4")
values[:, :20] += random.integers(0, 17, 500)[:, None]
import sklearn.manifold
before = {pool["filepath"]: pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
print(hashlib.sha256(embed(values, 30, 0).tobytes()).hexdigest())
after = {pool["filepath"]: pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
assert before == {path: after[path] for path in before}
"""
    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    one, two = (
        python("-c", code, env={**ENVIRONMENT, **dict.fromkeys(names, str(threads))})
        for threads in (1, 2)
    )
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    assert one.stdout == two.stdout


@pytest.mark.parametrize("count", [4, 5])
def test_as_few_photos_as_possible(count: int) -> None:
    figure = plots.tsne(features(matrix(count, 2), in_turn(count, "ab")))
    assert np.isfinite(np.concatenate(dots(figure))).all()
    check_legible(figure)


def test_photos_of_which_two_are_alike_in_all() -> None:
    values = np.repeat(matrix(2, 2), 5, axis=0)  # one dimension is all there is
    check_legible(plots.tsne(features(values, in_turn(10, "ab"))))
