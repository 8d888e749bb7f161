"""Pictures show what they promise, in the right place and colour, and their text can be read."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from numpy.typing import NDArray
from PIL import Image
from processes import python

from decaf import DecafNet, ops
from decaf.architectures import squeezenet1_1
from decaf.errors import ArchitectureError, DecafError, ImageError, ShapeError
from decaf.features.contents import Features
from decaf.image import CAFFE_IMAGENET, Preprocessing
from decaf.labels import imagenet
from decaf.mean_image import MeanImage
from decaf.report import Profile, StepTime
from decaf.specs import Architecture, Conv, Linear
from decaf.weights import save_weights

pytest.importorskip("matplotlib")

from pictures import check_legible, same_picture

from decaf import plots
from decaf.plots.canvas import shown
from decaf.plots.occlusion import occlusion_map

BACKEND = ops.available()[0]
# 40 characters, mathematics that cannot be parsed, and letters that matplotlib's font lacks.
NASTY = ("x" * 40, r"cost $x^^2$ & \frac", "naïve Café, Škoda", "dog 犬", "line\nbreak")


def network(
    path: Path,
    weights: dict[str, NDArray[np.float32]],
    recipe: Preprocessing = tiny.PREPROCESSING,
    labels: Sequence[str] = NASTY,
    architecture: Architecture = tiny.ARCHITECTURE,
) -> DecafNet:
    save_weights(path, architecture, weights, preprocessing=recipe, labels=labels)
    return DecafNet(path, backend=BACKEND)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> DecafNet:
    return network(tmp_path_factory.mktemp("net") / "tiny.h5", tiny.parameters())


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> DecafNet:
    """Of the real size with the real labels; random weights draw as well as trained ones."""
    architecture = squeezenet1_1()
    random = np.random.default_rng(0)
    weights = {
        name: (random.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))).astype("f4")
        for name, shape in architecture.parameter_shapes.items()
    }
    path = tmp_path_factory.mktemp("net") / "squeezenet.h5"
    return network(path, weights, CAFFE_IMAGENET, imagenet()[0], architecture)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / ("a long name of a photo $1^^2$ " + "y" * 60 + ".png")
    pixels = tiny.photo(3, 30, 40)
    Image.fromarray(pixels).resize((400, 300)).save(path)
    return path


def bars(axes: Any) -> list[float]:
    return [float(bar.get_width()) for bar in axes.patches]


def names(axes: Any) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


# Filters.


def test_filters_have_the_colours_of_the_photo(net: DecafNet) -> None:
    weight = tiny.parameters()["conv1/weight"]  # O,C,KH,KW; C is blue, green, red
    images = plots.filters(net).axes[0].images
    assert len(images) == len(weight) == 16
    for image, filter in zip(images, weight, strict=True):
        blue, green, red = 0.5 + filter / (2 * np.abs(filter).max())
        shown = np.asarray(image.get_array())
        np.testing.assert_allclose(shown, np.stack((red, green, blue), axis=2), atol=1e-6)
        assert np.isclose(shown, 0).any() or np.isclose(shown, 1).any()


def test_filters_of_twins_that_differ_in_the_order_of_channels(
    net: DecafNet, tmp_path: Path
) -> None:
    weights = tiny.parameters()
    weights["conv1/weight"] = np.ascontiguousarray(weights["conv1/weight"][:, ::-1])
    recipe = tiny.PREPROCESSING
    turned = replace(recipe, channels="RGB", mean=recipe.mean[::-1], std=recipe.std[::-1])
    twin = network(tmp_path / "rgb.h5", weights, turned)
    photo = tiny.photo(1)
    np.testing.assert_allclose(twin.classify(photo), net.classify(photo), rtol=1e-4)
    assert same_picture(plots.filters(net), plots.filters(twin))


def test_filters_of_a_deeper_layer_are_means_in_grey_by_group(net: DecafNet) -> None:
    weight = tiny.parameters()["conv2/weight"].astype(np.float64)  # 10,8,3,2 in 2 groups
    figure = plots.filters(net, "conv2")
    images = figure.axes[0].images
    for image, filter in zip(images, weight, strict=True):
        mean = filter.sum(axis=0) / 8
        expected = 0.5 + mean / (2 * np.abs(mean).max())
        np.testing.assert_allclose(image.get_array(), expected, atol=1e-6)
        assert image.get_clim() == (0, 1) and image.get_cmap().name == "gray"
    lefts, rights, bottoms, tops = np.array([image.get_extent() for image in images]).T
    assert lefts[5] == lefts[0] == 0
    # The second group is below all of the first, further than tiles are from each other.
    assert tops[5:].min() - bottoms[:5].max() > 2 * (lefts[1] - rights[0]) > 0
    assert "2 groups" in " ".join(check_legible(figure))


def test_a_filter_of_zeros_is_grey(tmp_path: Path) -> None:
    weights = tiny.parameters()
    weights["conv1/weight"][3] = 0
    images = plots.filters(network(tmp_path / "zero.h5", weights)).axes[0].images
    assert np.all(images[3].get_array() == 0.5) and np.any(images[2].get_array() != 0.5)


@pytest.mark.parametrize("layer", ["pool1", "fc6", "nothing"])
def test_filters_of_what_has_none(net: DecafNet, layer: str) -> None:
    with pytest.raises(ArchitectureError, match=layer):
        plots.filters(net, layer)


def test_filters_of_one_pixel(squeezenet: DecafNet) -> None:
    pointwise = next(
        layer.name
        for layer in squeezenet.architecture.layers
        if isinstance(layer, Conv) and layer.kernel_size == 1
    )
    with pytest.raises(ArchitectureError, match=f"{pointwise}: .*1x1"):
        plots.filters(squeezenet, pointwise)


def test_a_network_that_takes_grey_photos_and_subtracts_a_mean_image(tmp_path: Path) -> None:
    architecture = replace(tiny.ARCHITECTURE, input_shape=(1, 12, 12))
    weights = {**tiny.parameters(), "conv1/weight": tiny.parameters()["conv1/weight"][:, :1]}
    mean = MeanImage(np.random.default_rng(1).random((1, 12, 12)).astype("f4"))
    recipe = Preprocessing((12, 12), (12, 12), "L", mean=mean)
    net = network(tmp_path / "grey.h5", weights, recipe, architecture=architecture)
    figure = plots.filters(net)
    for image, (filter,) in zip(figure.axes[0].images, weights["conv1/weight"], strict=True):
        expected = 0.5 + filter / (2 * np.abs(filter).max())
        np.testing.assert_allclose(image.get_array(), expected, atol=1e-6)
    assert not any("mean" in text for text in check_legible(figure))
    pixels = tiny.photo(1, 12, 12)
    shown = plots.activations(net, pixels).axes[0].images[0].get_array()
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    np.testing.assert_array_equal(shown, np.stack([grey] * 3, axis=2))
    check_legible(plots.occlusion(net, pixels))


# Activations.


def test_activations_are_the_maps_with_the_largest_values(net: DecafNet, photo: Path) -> None:
    maps = net.forward(net.preprocess(str(photo)), "relu1")[0]
    figure = plots.activations(net, photo, "relu1")
    picture, tiles, _ = figure.axes
    channels = [int(text.get_text()) for text in tiles.texts]
    assert sorted(channels) == list(range(16))
    peaks = maps[channels].max(axis=(1, 2))
    assert list(peaks) == sorted(peaks, reverse=True)
    for channel, image in zip(channels, tiles.images, strict=True):
        np.testing.assert_array_equal(image.get_array(), maps[channel])
    assert len({image.get_clim() for image in tiles.images}) == 1
    for text, image in zip(tiles.texts, tiles.images, strict=True):  # each above its map
        left, _, _, top = image.get_extent()
        assert text.get_position()[0] == left and 0 < top - text.get_position()[1] < 0.1
    assert picture.images[0].get_array().shape == (12, 12, 3)


def test_activations_of_chosen_channels(net: DecafNet, photo: Path) -> None:
    maps = net.forward(net.preprocess(str(photo)), "conv2")[0]
    figure = plots.activations(net, photo, "conv2", [7, 0, 7])
    tiles = figure.axes[1]
    assert [text.get_text() for text in tiles.texts] == ["7", "0", "7"]
    for channel, image in zip((7, 0, 7), tiles.images, strict=True):
        np.testing.assert_array_equal(image.get_array(), maps[channel])
    low, high = tiles.images[0].get_clim()
    assert low == -high < 0  # white is 0


def test_the_photo_beside_the_maps_is_what_the_network_sees(net: DecafNet, photo: Path) -> None:
    shown = plots.activations(net, photo).axes[0].images[0].get_array()  # h,w,RGB
    mean, std = (np.array(v)[::-1] for v in (net.preprocessing.mean, net.preprocessing.std))
    x = (np.asarray(shown) / 255 - mean) / std
    blue_first = np.moveaxis(x[..., ::-1], 2, 0)
    np.testing.assert_allclose(blue_first, net.preprocess(str(photo))[0], atol=1e-5)


@pytest.mark.parametrize("layer", ["fc6", "prob", "nothing"])
def test_activations_of_what_has_no_maps(net: DecafNet, photo: Path, layer: str) -> None:
    with pytest.raises(ArchitectureError, match=layer):
        plots.activations(net, photo, layer)


@pytest.mark.parametrize("channels", [[], [16], [-1], [0.5], 5, [True], "0", [0] * 513])
def test_activations_of_channels_that_are_none(net: DecafNet, photo: Path, channels: Any) -> None:
    with pytest.raises(ArchitectureError, match="conv1: channels must .* from 0 to 15") as caught:
        plots.activations(net, photo, "conv1", channels)
    assert len(str(caught.value)) < 200


def test_zeros_do_not_decide_the_scale(net: DecafNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a ReLU most values are 0; the scale ends where 99 % of the others do."""
    shape = (1, *net.architecture.shapes["relu1"])
    maps = np.zeros(shape, np.float32)
    maps.reshape(-1)[:200] = np.arange(1, 201)
    monkeypatch.setattr(net, "forward", lambda *_: maps)
    figure = plots.activations(net, tiny.photo(1), "relu1")
    assert figure.axes[1].images[0].get_clim() == (0, pytest.approx(198, abs=0.1))
    monkeypatch.setattr(net, "forward", lambda *_: np.zeros(shape, np.float32))
    assert plots.activations(net, tiny.photo(1)).axes[1].images[0].get_clim() == (0, 1)


# Occlusion.


@pytest.mark.parametrize(("window", "stride"), [(4, 3), (3, 5), (1, 1), (12, 7), (30, 4)])
def test_an_occlusion_map_cell_by_cell(net: DecafNet, window: int, stride: int) -> None:
    x = net.preprocess(tiny.photo(2))
    found = occlusion_map(net, x, 2, window, stride, batch_size=5)
    count = math.ceil(12 / stride)
    assert found.shape == (count, count)
    first = -((count * stride - 12) // 2)  # the cells stand over both edges alike
    for i, j in np.ndindex(found.shape):
        covered = x.copy()
        for y, x_ in np.ndindex(12, 12):
            # The square is centred on the cell, or half a pixel before its centre.
            above, before = y - (first + i * stride), x_ - (first + j * stride)
            start = (stride - window) // 2
            if start <= above < start + window and start <= before < start + window:
                covered[:, :, y, x_] = 0
        assert found[i, j] == net.forward(covered).reshape(-1)[2]


def test_occlusion_is_a_grey_square_painted_over_the_photo(tmp_path: Path) -> None:
    recipe = Preprocessing((12, 12), (12, 12), "BGR", 255.0, (0.4,) * 3, (0.2, 0.25, 0.3))
    net = network(tmp_path / "grey.h5", tiny.parameters(), recipe)
    pixels = tiny.photo(5, 12, 12)
    figure = plots.occlusion(net, pixels, "dog 犬", 4, 4)
    found = np.asarray(figure.axes[1].images[0].get_array())
    for i, j in np.ndindex(3, 3):
        painted = pixels.copy()
        painted[4 * i : 4 * i + 4, 4 * j : 4 * j + 4] = 102  # 0.4 of 255
        np.testing.assert_allclose(found[i, j], net.classify(painted)[3], rtol=1e-4)


@pytest.mark.parametrize(
    ("mean", "said"),
    [
        ((0.0, 0.0, 0.0), "a black square"),
        ((0.4, 0.4, 0.4), "a grey square"),
        ((0.4, 0.5, 0.6), "a square of the mean colour"),
        (MeanImage(np.full((3, 12, 12), 0.5, np.float32)), "a square of the mean image"),
    ],
    ids=["black", "grey", "colour", "image"],
)
def test_what_the_square_looks_like_is_said(mean: Any, said: str, tmp_path: Path) -> None:
    recipe = Preprocessing((12, 12), (12, 12), "BGR", 255.0, mean, (0.2, 0.25, 0.3))
    net = network(tmp_path / "net.h5", tiny.parameters(), recipe)
    texts = check_legible(plots.occlusion(net, tiny.photo(5, 12, 12), 0, 6, 6))
    assert any(f"probability with {said}\n" in text for text in texts)


def test_an_occlusion_map_lies_over_the_photo(net: DecafNet, photo: Path) -> None:
    figure = plots.occlusion(net, photo, window=4, stride=5)
    plain, alone, both = figure.axes[:3]
    grey, over = both.images
    for image in (alone.images[0], over):
        assert image.get_extent() == [-1.5, 13.5, 13.5, -1.5]  # 3 cells of 5 around 12 pixels
        np.testing.assert_array_equal(image.get_array(), alone.images[0].get_array())
    for image in (plain.images[0], grey):
        assert image.get_extent() == [-0.5, 11.5, 11.5, -0.5]
    best = net.top_k(net.classify(str(photo)), 1)[0]
    x = net.preprocess(str(photo))
    expected = occlusion_map(net, x, best.index, 4, 5)
    np.testing.assert_array_equal(over.get_array(), expected)


def test_the_class_by_number_and_by_any_of_its_names(tmp_path: Path) -> None:
    labels = ("tench, Tinca tinca", "crane", "crane, bird", "4", "ox")
    net = network(tmp_path / "names.h5", tiny.parameters(), labels=labels)
    x = net.preprocess(tiny.photo(1))
    for label, index in (("Tinca tinca", 0), ("tench, Tinca tinca", 0), ("crane", 1), ("bird", 2),
                         ("4", 3), ("2", 2), (4, 4), (np.int64(0), 0)):  # fmt: skip
        figure = plots.occlusion(net, tiny.photo(1), label, 6, 6)
        found = figure.axes[1].images[0].get_array()
        np.testing.assert_array_equal(found, occlusion_map(net, x, index, 6, 6))
    for wrong in (5, -1, "5", "ten", "", True, 1.0):
        with pytest.raises(ArchitectureError, match="label must be one class"):
            plots.occlusion(net, tiny.photo(1), wrong)  # type: ignore[arg-type]


def test_a_name_that_several_classes_have(tmp_path: Path) -> None:
    net = network(tmp_path / "cranes.h5", tiny.parameters(), labels=("a", "b", "ox", "c, d", "ox"))
    with pytest.raises(ArchitectureError, match="'ox', which is 2 and 4"):
        plots.occlusion(net, tiny.photo(1), "ox")


@pytest.mark.parametrize("options", [{"window": 0}, {"stride": 1.5}, {"batch_size": True}])
def test_occlusion_of_wrong_numbers(net: DecafNet, options: Any) -> None:
    with pytest.raises(ShapeError, match=f"{next(iter(options))} must be a whole number"):
        plots.occlusion(net, tiny.photo(1), **options)


# The most probable classes.


def test_bars_are_probabilities(net: DecafNet, photo: Path) -> None:
    best = net.top_k(net.classify(str(photo)), 4)
    left, right = plots.top_k(net, photo, 4).axes
    assert bars(right) == pytest.approx([p.score for p in best], abs=0)
    shown = {"x" * 40: "x" * 40, "dog 犬": r"dog \u72ac", "line\nbreak": r"line\nbreak"}
    assert names(right) == [shown.get(p.label, p.label) for p in best]
    assert right.yaxis_inverted()
    assert [t.get_text().strip() for t in right.texts] == [f"{100 * p.score:.1f} %" for p in best]
    np.testing.assert_array_equal(left.images[0].get_array(), np.asarray(Image.open(photo)))


def test_scores_that_are_no_probabilities(tmp_path: Path) -> None:
    layers = tiny.ARCHITECTURE.layers[:-1]
    assert isinstance(layers[-1], Linear)
    architecture = replace(tiny.ARCHITECTURE, layers=layers)
    net = network(tmp_path / "fc8.h5", tiny.parameters(), architecture=architecture)
    figure = plots.top_k(net, tiny.photo(1), 5)
    scores = sorted(net.classify(tiny.photo(1)), reverse=True)
    assert bars(figure.axes[1]) == pytest.approx(scores) and min(scores) < 0
    said = check_legible(figure)
    assert "score" in said and not any("%" in text for text in said)
    said = check_legible(plots.occlusion(net, tiny.photo(1)))
    assert any("score with" in text for text in said)
    assert not any("probability" in text for text in said)


def test_a_small_probability_is_no_zero(net: DecafNet, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.array([[0.99914, 0.0005, 0.00036, 0.0, 0.0]], np.float32)
    monkeypatch.setattr(net, "forward", lambda *_: scores)
    said = [text.get_text().strip() for text in plots.top_k(net, tiny.photo(1)).axes[1].texts]
    assert said == ["99.9 %", "0.1 %", "< 0.1 %", "0.0 %", "0.0 %"]


@pytest.mark.parametrize("k", [0, -1, 51, 10**9, 2.0, True, None])
def test_a_number_of_bars_that_cannot_be_drawn(net: DecafNet, k: Any) -> None:
    with pytest.raises(ShapeError, match="k must be a whole number; expected 1 to 50"):
        plots.top_k(net, tiny.photo(1), k)


# Times.


def test_bars_are_the_times_of_the_profile(net: DecafNet) -> None:
    steps = (
        StepTime("preprocess", 9.0, 0), StepTime("conv1+relu1", 0.4, 1), StepTime("pool1", 0.02, 0),
        StepTime("norm1", 0.1, 0), StepTime("conv2+relu2", 0.2, 1), StepTime("pool5", 0.08, 0),
        StepTime("pool5 as N,C,H,W", 0.01, 0), StepTime("fc6+relu6", 0.1, 1),
        StepTime("prob", 0.09, 0),
    )  # fmt: skip
    profile = Profile("tiny $x^^2$", 4, 3, 2, "cython", "float32", steps)
    figure = plots.times(net, profile=profile)
    left, right = figure.axes
    assert names(left) == [step.name for step in steps[1:]]
    assert bars(left) == pytest.approx([100, 5, 25, 50, 20, 2.5, 25, 22.5])  # ms, of 4 images
    labelled = [text.get_text().strip() for text in left.texts]
    assert labelled == ["100 ms, 40 %", "50 ms, 20 %", "25 ms, 10 %", "25 ms, 10 %", "22.5 ms, 9 %"]
    assert dict(zip(names(right), bars(right), strict=True)) == pytest.approx(
        {"convolution": 60, "max pooling": 10, "normalisation": 10, "fully connected": 10,
         "softmax": 9, "order of axes": 1}
    )  # fmt: skip
    assert bars(right) == sorted(bars(right), reverse=True)
    said = check_legible(figure)
    assert any("250 ms an image, and 2.25e+03 ms" in text for text in said)


def test_times_measures_what_profile_does(net: DecafNet) -> None:
    steps = net.profile(tiny.photo(1), 1).steps
    assert names(plots.times(net, repeat=1).axes[0]) == [step.name for step in steps[1:]]


# All of them.


@pytest.mark.parametrize("which", ["tiny", "decaf-mini", "squeezenet"])
def test_every_picture_can_be_read(
    which: str, net: DecafNet, photo: Path, request: pytest.FixtureRequest
) -> None:
    if which != "tiny":
        squeeze = which == "squeezenet"
        net = request.getfixturevalue(which) if squeeze else DecafNet(backend=BACKEND)
    middle = net.architecture.layers[10].name if which == "squeezenet" else "relu2"
    tall = np.ascontiguousarray(np.swapaxes(np.asarray(Image.open(photo)), 0, 1)[:, :40])
    for source in (photo, tall):
        check_legible(plots.activations(net, source))
        check_legible(plots.activations(net, source, middle, range(3)))
        check_legible(plots.top_k(net, source))
        check_legible(plots.top_k(net, source, 30))
        check_legible(plots.occlusion(net, source, 0, 60, 40))
    check_legible(plots.filters(net))
    check_legible(plots.times(net, photo, repeat=1))


@pytest.mark.parametrize("draw", [plots.activations, plots.occlusion, plots.top_k, plots.times])
def test_a_photo_that_cannot_be_used(net: DecafNet, draw: Any, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nowhere\.png"):
        draw(net, tmp_path / "nowhere.png")


def test_the_same_picture_twice_from_a_file_that_is_read_once(net: DecafNet, photo: Path) -> None:
    for draw in (plots.activations, plots.occlusion, plots.top_k):
        with photo.open("rb") as file:
            assert same_picture(draw(net, file), draw(net, photo))


# What styles set, each to something that would be seen.
STYLE = {
    "axes.axisbelow": False, "axes.edgecolor": "red", "axes.facecolor": "black", "axes.grid": True,
    "axes.labelcolor": "white", "axes.labelpad": 20, "axes.labelweight": "bold",
    "axes.linewidth": 3, "axes.spines.left": False, "axes.titlecolor": "white",
    "axes.titleweight": "bold", "axes.titley": 0.5, "figure.constrained_layout.use": True,
    "figure.edgecolor": "red", "figure.facecolor": "black", "figure.frameon": False,
    "font.size": 20, "image.aspect": "auto", "image.cmap": "gray", "image.interpolation": "bicubic",
    "image.origin": "lower", "legend.fontsize": 20, "legend.labelcolor": "red",
    "legend.labelspacing": 3, "lines.marker": "o", "lines.markeredgewidth": 4,
    "patch.edgecolor": "red", "patch.force_edgecolor": True, "patch.linewidth": 3,
    "scatter.marker": "x", "text.color": "white", "xtick.color": "white", "xtick.direction": "in",
    "xtick.major.size": 9, "xtick.minor.visible": True, "xtick.top": True, "ytick.color": "white",
    "ytick.direction": "in", "ytick.major.pad": 9, "ytick.minor.visible": True,
}  # fmt: skip


def test_a_style_changes_nothing(net: DecafNet) -> None:
    """White text on the white of the figure could not be read."""
    import matplotlib

    profile = net.profile(tiny.photo(1), 1)
    values = np.random.default_rng(0).standard_normal((12, 5)).astype(np.float32)
    labels = ["a", "b"] * 6
    data = Features({"fc6": 5}, [""] * 12, labels, [], {}, lambda _: iter((values,)))

    def draw() -> list[Any]:
        return [
            plots.filters(net),
            plots.activations(net, tiny.photo(1)),
            plots.occlusion(net, tiny.photo(1)),
            plots.top_k(net, tiny.photo(1)),
            plots.times(net, profile=profile),
            plots.tsne(data),
        ]

    plain = draw()
    with matplotlib.rc_context(STYLE):
        styled = draw()
    for one, other in zip(plain, styled, strict=True):
        assert same_picture(one, other)


def test_latex_sees_no_name(net: DecafNet, photo: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"text.usetex": True}):
        figure = plots.top_k(net, photo)
    left, right = figure.axes
    named = [left.get_title(loc="left"), *names(right)]
    texts = figure.findobj(lambda artist: hasattr(artist, "get_usetex"))
    of_names = [text for text in texts if text.get_text() in named and text.get_text()]
    assert len(of_names) >= 6 and not any(text.get_usetex() for text in of_names)


def test_a_long_name_keeps_its_end() -> None:
    assert shown("x" * 40) == "x" * 40
    assert shown("abcdefghijklmnopqrstuvwxyz", 13) == "abcdefgh…wxyz"
    assert shown("a photo of a cat 7.jpg", 16) == "a photo of…7.jpg"
    assert len(shown("x" * 10**7)) == 40
    assert shown("x" * 30 + "1", 20) != shown("x" * 30 + "2", 20)


def test_nothing_global_changes(tmp_path: Path) -> None:
    code = f"""
import json, sys, matplotlib
before = matplotlib.rcParams.copy()
from decaf import DecafNet, plots
net = DecafNet(backend={BACKEND!r})
photo = {str(tmp_path / "a.png")!r}
plots.filters(net), plots.activations(net, photo), plots.top_k(net, photo)
plots.occlusion(net, photo, stride=16), plots.times(net, repeat=1)
same = all(before[k] == matplotlib.rcParams[k] for k in before if k != "backend")  # asks pyplot
print(json.dumps(["matplotlib.pyplot" in sys.modules, same]))
"""
    Image.fromarray(tiny.photo(1)).save(tmp_path / "a.png")
    done = python("-c", code)
    assert json.loads(done.stdout) == [False, True], done.stderr


def test_decaf_plots_is_imported_without_matplotlib_and_says_what_it_needs(
    net: DecafNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = python("-c", "import sys, decaf.plots; print('matplotlib' in sys.modules)")
    assert loaded.stdout.strip() == b"False", loaded.stderr
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    for draw in (plots.filters, plots.times):
        with pytest.raises(DecafError, match="matplotlib.*pip install matplotlib"):
            draw(net)
    for draw in (plots.activations, plots.occlusion, plots.top_k):
        with pytest.raises(DecafError, match="matplotlib.*pip install matplotlib"):
            draw(net, tiny.photo(1))
