"""Real files of other programs, converted, then shown real photos: do they answer as they did?"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import support_cifar as cifar
from numpy.typing import NDArray

from decaf import DecafNet
from decaf.convert import convert

# How the record of torchvision's answers was made: the folder's squeezenet-reference-100.json.
REFERENCE = {
    "resize": [227, 227],
    "crop": [227, 227],
    "channels": "BGR",
    "divide": 1,
    "mean": [104, 117, 123],
}
SQUEEZENET = ("squeezenet_v1.1.caffemodel", "squeezenet_v1.1.pth")


def converted(folder: Path, source: str, target: Path, **options: Any) -> DecafNet:
    """Convert a file of the shared data; options that name files of it are made paths."""
    if "preprocessing" in options:
        recipe = target.with_suffix(".json")
        recipe.write_text(json.dumps(options["preprocessing"]))
        options["preprocessing"] = recipe
    for name in options.keys() & {"prototxt", "mean"}:
        options[name] = folder / options[name]
    assert convert(folder / source, target, **options).made
    return DecafNet(target)


# The .h5 is of iteration 4,000, before the learning rate fell; PyTorch in float64 gets 71.22 %.
@pytest.mark.parametrize(
    ("source", "prototxt", "least"),
    [
        ("nets-v1/cifar10_quick_iter_5000.caffemodel", "nets-v1/cifar10_quick.prototxt", 0.72),
        ("nets-v1/cifar10_full_iter_70000.caffemodel", "nets-v1/cifar10_full.prototxt", 0.78),
        (
            "nets-v1/cifar10_full_iter_70000.caffemodel",
            "nets-v1/cifar10_full_train_test.prototxt",
            0.78,
        ),
        ("nets-h5/cifar10_quick_iter_4000.caffemodel.h5", "nets-h5/cifar10_quick.prototxt", 0.71),
    ],
)
def test_caffes_networks_on_cifar_10(
    shared_data: Path, tmp_path: Path, source: str, prototxt: str, least: float
) -> None:
    net = converted(
        shared_data,
        f"caffe/{source}",
        tmp_path / "net.h5",
        prototxt=f"caffe/{prototxt}",
        mean="caffe/nets-h5/mean.binaryproto",
        preprocessing={"channels": "RGB", "divide": 1},
    )
    photos, classes = cifar.photos(shared_data)
    share = float(np.mean(net.classify(photos).argmax(axis=1) == classes))
    print(f"{source}, {prototxt}: {share:.2%}")
    assert share >= least


@pytest.fixture(scope="module")
def photos(shared_data: Path) -> tuple[dict[str, bytes], NDArray[np.int64]]:
    """The 100 photos of ImageNet by name, and their classes."""
    with zipfile.ZipFile(shared_data / "imagenet" / "photos-100.zip") as archive:
        found = {name: archive.read(name) for name in sorted(archive.namelist())}
    return found, np.array([int(name[:4]) for name in found])


def top(scores: NDArray[np.float32], classes: NDArray[np.int64], k: int) -> float:
    best = np.argsort(-scores, axis=1)[:, :k]
    return float(np.mean((best == classes[:, None]).any(axis=1)))


@pytest.mark.parametrize("source", SQUEEZENET)
def test_squeezenet_answers_as_its_reference(
    shared_data: Path, tmp_path: Path, photos: Any, source: str
) -> None:
    net = converted(
        shared_data, f"squeezenet/{source}", tmp_path / "net.h5", preprocessing=REFERENCE
    )
    data, classes = photos
    scores = net.classify(data.values())
    record = json.loads((shared_data / "imagenet" / "squeezenet-reference-100.json").read_text())
    expected = [record["predictions"][name][0][0] for name in data]
    np.testing.assert_array_equal(scores.argmax(axis=1), expected)
    assert top(scores, classes, 1) == pytest.approx(0.68)
    assert top(scores, classes, 5) == pytest.approx(0.92)


@pytest.mark.parametrize(
    ("recipe", "share"),
    [
        ({}, 0.63),  # its authors': squash to 256, cut out 227
        ({"resize": [227, 227]}, 0.68),
        ({**REFERENCE, "channels": "RGB", "mean": [123, 117, 104]}, 0.41),
    ],
)
def test_what_docs_say_of_recipes(
    shared_data: Path, tmp_path: Path, photos: Any, recipe: dict[str, Any], share: float
) -> None:
    """The figures of docs/formats.md and docs/which-alexnet.md."""
    net = converted(
        shared_data, f"squeezenet/{SQUEEZENET[0]}", tmp_path / "net.h5", preprocessing=recipe
    )
    data, classes = photos
    assert top(net.classify(data.values()), classes, 1) == pytest.approx(share)


def test_what_docs_say_of_the_order_of_channels(shared_data: Path, tmp_path: Path) -> None:
    """In docs/which-alexnet.md, in whole per cent."""
    photos, classes = cifar.photos(shared_data)
    for channels, share in (("RGB", 74), ("BGR", 56)):
        net = converted(
            shared_data,
            "caffe/nets-v1/cifar10_quick_iter_5000.caffemodel",
            tmp_path / f"{channels}.h5",
            prototxt="caffe/nets-v1/cifar10_quick.prototxt",
            mean="caffe/nets-h5/mean.binaryproto",
            preprocessing={"channels": channels},
        )
        assert round(100 * np.mean(net.classify(photos).argmax(axis=1) == classes)) == share


@pytest.mark.parametrize("source", ["squeezenet_v1.1.pth", "squeezenet_v1.0.deep_compression.net"])
def test_float16_halves_the_file_and_changes_no_answer(
    shared_data: Path, tmp_path: Path, photos: Any, source: str
) -> None:
    """The values of 1.1 are of float16 already, those of 1.0 are not."""
    options: dict[str, Any] = {"preprocessing": REFERENCE}
    if source.endswith(".net"):
        options["prototxt"] = "squeezenet/squeezenet_v1.0.prototxt"
    nets = [
        converted(
            shared_data, f"squeezenet/{source}", tmp_path / f"{dtype}.h5", dtype=dtype, **options
        )
        for dtype in ("float32", "float16")
    ]
    sizes = [Path(net.weights_path).stat().st_size for net in nets]
    assert sizes[1] < 0.52 * sizes[0]  # layers and labels take the same room in both
    single, half = (net.classify(photos[0].values()).argmax(axis=1) for net in nets)
    np.testing.assert_array_equal(half, single)


@pytest.mark.parametrize("by", ["prototxt", "architecture"])
def test_deep_compression_unpacks_to_a_network_that_sees(
    shared_data: Path, tmp_path: Path, photos: Any, by: str
) -> None:
    layers = {
        "prototxt": "squeezenet/squeezenet_v1.0.prototxt",
        "architecture": "squeezenet1_0",
    }
    net = converted(
        shared_data,
        "squeezenet/squeezenet_v1.0.deep_compression.net",
        tmp_path / "net.h5",
        **{by: layers[by]},
    )
    data, classes = photos
    scores = net.classify(data.values())
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)  # its prototxt has no Softmax
    share = top(scores, classes, 1)
    print(f"by {by}: {share:.0%}")
    assert share >= 0.60
