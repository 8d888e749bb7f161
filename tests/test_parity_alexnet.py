"""torchvision's AlexNet with He-scaled weights: every layer, and the whole path from photos."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.seeded import photo
from numpy.typing import NDArray
from PIL import Image, ImageOps
from support_parity import (
    DIRECT,
    Values,
    alexnet_values,
    assert_good,
    assert_same_bits,
    compare,
    difference,
    engines,
    in_float64,
    network,
    run,
    winograd_layers,
)
from support_torch import alexnet_parameters, he_alexnet, import_torch, import_torchvision

from decaf import DecafNet, ops
from decaf.architectures import alexnet
from decaf.image import TORCHVISION_IMAGENET
from decaf.plan import Network

LAYERS = tuple(layer.name for layer in alexnet().layers)


@dataclass(frozen=True)
class Oracle:
    """torchvision's model in both precisions, and what it makes of eight inputs."""

    model: Any
    model64: Any
    parameters: Values
    x: NDArray[np.float32]
    torch32: Values
    exact: Values


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    model = he_alexnet(seed=1)
    model64 = in_float64(model)
    torch = import_torch()
    x = torch.randn(8, 3, 224, 224, generator=torch.Generator().manual_seed(2)).numpy()
    return Oracle(
        model,
        model64,
        alexnet_parameters(model),
        x,
        alexnet_values(model, x),
        alexnet_values(model64, x),
    )


# --- every layer ----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=engines())
def net(request: pytest.FixtureRequest, oracle: Oracle) -> Network:
    return network(alexnet(), oracle.parameters, request.param)


@pytest.fixture(scope="module")
def values(net: Network, oracle: Oracle) -> Values:
    """Every layer of a plan that fuses nothing, because all values are asked for."""
    return run(net, oracle.x, LAYERS, threads=2)


def test_the_oracle_is_alive(oracle: Oracle) -> None:
    """The signal keeps its size to the end: a dead one would hide errors."""
    assert oracle.exact.keys() == set(LAYERS)
    for name, value in oracle.exact.items():
        assert value.dtype == np.float64
        assert value.std() > (1e-4 if name == "prob" else 0.5), name
        assert not np.array_equal(value[0], value[1])


def test_every_layer(net: Network, values: Values, oracle: Oracle) -> None:
    assert tuple(values) == LAYERS
    direct = net.backend in DIRECT
    assert_good(compare(values, oracle.torch32, oracle.exact), direct=direct)


def test_winograd_is_where_the_figures_say(net: Network) -> None:
    """``benchmarks/parity.py`` marks these layers; the kernels use it for 3x3 and 5x5."""
    assert bool(winograd_layers(net)) == (net.backend not in DIRECT)
    assert "conv1" not in winograd_layers(net)  # 11x11, stride 4


def test_fused(net: Network, values: Values, oracle: Oracle) -> None:
    """Asked for alone, each layer has the bits that it has beside all others."""
    assert_same_bits(run(net, oracle.x), values)
    two = oracle.x[3:5]
    for name in LAYERS:
        assert_same_bits(run(net, two, [name], threads=2), {name: values[name][3:5]})


def test_any_company(net: Network, values: Values, oracle: Oracle) -> None:
    """The same bits alone, in a batch of 2 or 7, in any place, on 1 or 2 threads."""
    layers = ("pool5", "fc6", "relu7", "prob")
    for threads in (1, 2):
        for order in ([5], [5, 2], [7, 6, 5, 4, 3, 2, 1]):
            want = {name: values[name][order] for name in layers}
            assert_same_bits(run(net, oracle.x[order], layers, threads), want)


def test_a_planted_error_is_found(oracle: Oracle) -> None:
    """One weight of 61 million, off by a hundredth of a typical weight."""
    parameters = dict(oracle.parameters)
    parameters["conv3/weight"] = parameters["conv3/weight"].copy()
    parameters["conv3/weight"][17, 5, 1, 2] += 3e-4
    net = network(alexnet(), parameters, "numpy")
    comparisons = compare(run(net, oracle.x[:2], LAYERS), *_first(2, oracle))
    before = LAYERS[: LAYERS.index("conv3")]
    assert_good({name: comparisons.pop(name) for name in before}, direct=True)
    for name, comparison in comparisons.items():
        with pytest.raises(AssertionError, match=f"^{name}: error"):
            assert_good({name: comparison}, direct=True)


def _first(n: int, oracle: Oracle) -> tuple[Values, Values]:
    """PyTorch's and the exact values of the first n inputs."""
    torch32 = {name: value[:n] for name, value in oracle.torch32.items()}
    return torch32, {name: value[:n] for name, value in oracle.exact.items()}


# --- from photos to logits ------------------------------------------------------------------


def _file(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _opened(data: bytes) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")


def _on_white(colours: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> Image.Image:
    """Composited on white, by the definition."""
    a = alpha[..., None] / 255
    return Image.fromarray(np.rint(colours * a + 255 * (1 - a)).astype(np.uint8))


def _plain(height: int, width: int) -> tuple[Image.Image, Image.Image]:
    image = Image.fromarray(photo(height, width, 1))
    return image, image


def _converted(mode: str) -> tuple[Image.Image, Image.Image]:
    image = Image.fromarray(photo(260, 333, 2)).convert(mode)
    return image, image.convert("RGB")


def _encoded(kind: str, **options: Any) -> tuple[bytes, Image.Image]:
    data = _file(Image.fromarray(photo(300, 411, 3)), kind, **options)
    return data, _opened(data)


def _turned() -> tuple[bytes, Image.Image]:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: the camera was held upright
    data, _ = _encoded("JPEG", exif=exif)
    upright = _opened(data)
    assert upright.size == (300, 411)
    return data, upright


def _alpha() -> NDArray[np.uint8]:
    return photo(260, 333, 4)[..., 0]


def _rgba() -> tuple[Image.Image, Image.Image]:
    colours = photo(260, 333, 2)
    return Image.fromarray(np.dstack((colours, _alpha()))), _on_white(colours, _alpha())


def _la() -> tuple[Image.Image, Image.Image]:
    grey = photo(260, 333, 2)[..., 0]
    image = Image.merge("LA", (Image.fromarray(grey), Image.fromarray(_alpha())))
    return image, _on_white(np.dstack((grey, grey, grey)), _alpha())


def _transparent_palette() -> tuple[bytes, Image.Image]:
    image = Image.fromarray(photo(260, 333, 2)).quantize(16)
    seen_through = 3
    alpha = np.where(np.asarray(image) == seen_through, 0, 255).astype(np.uint8)
    assert (alpha == 0).any()
    data = _file(image, "PNG", transparency=seen_through)
    return data, _on_white(np.asarray(image.convert("RGB")), alpha)


def _deep_grey() -> tuple[bytes, Image.Image]:
    grey = photo(260, 333, 2)[..., 0].astype(np.uint16) * 257
    grey[::3] -= np.minimum(grey[::3], 100)  # not all multiples of 257
    eight_bits = np.rint(grey / 257).astype(np.uint8)
    return _file(Image.fromarray(grey), "PNG"), Image.fromarray(eight_bits).convert("RGB")


def _array() -> tuple[NDArray[np.uint8], Image.Image]:
    pixels = photo(250, 240, 5)
    return pixels, Image.fromarray(pixels)


def _float_array() -> tuple[NDArray[np.float32], Image.Image]:
    pixels = photo(250, 240, 6)
    return pixels.astype(np.float32) / 255, Image.fromarray(pixels)


# What decaf is given, and the RGB image that torchvision is given.
PHOTOS: dict[str, Callable[[], tuple[Any, Image.Image]]] = {
    "ordinary": lambda: _plain(480, 640),
    "tall": lambda: _plain(900, 100),
    "wide": lambda: _plain(101, 899),
    "large": lambda: _plain(2000, 3001),
    "tiny": lambda: _plain(3, 2),
    "one pixel": lambda: _plain(1, 1),
    "of the input's size": lambda: _plain(224, 224),
    "not to be resized": lambda: _plain(256, 321),
    "odd crop": lambda: _plain(257, 300),
    "grey": lambda: _converted("L"),
    "palette": lambda: _converted("P"),
    "inks": lambda: _converted("CMYK"),
    "one bit": lambda: _converted("1"),
    "luminance and colour": lambda: _converted("YCbCr"),
    "alpha": _rgba,
    "grey and alpha": _la,
    "transparent palette": _transparent_palette,
    "16-bit grey": _deep_grey,
    "JPEG": lambda: _encoded("JPEG", quality=80),
    "progressive JPEG": lambda: _encoded("JPEG", progressive=True),
    "JPEG on its side": _turned,
    "PNG": lambda: _encoded("PNG"),
    "WebP": lambda: _encoded("WEBP", quality=70),
    "array": _array,
    "array of floats": _float_array,
}


@dataclass(frozen=True)
class Photos:
    """What decaf is given, what torchvision makes of it, and what its model answers."""

    given: list[Any]
    x: NDArray[np.float32]
    torch32: Values
    exact: Values


@pytest.fixture(scope="module")
def photos(oracle: Oracle) -> Photos:
    torch, torchvision = import_torch(), import_torchvision()
    transforms = torchvision.models.AlexNet_Weights.IMAGENET1K_V1.transforms()
    given, images = zip(*(make() for make in PHOTOS.values()), strict=True)
    x = torch.stack([transforms(image) for image in images])
    found = []
    with torch.inference_mode():
        for model, numbers in ((oracle.model, x), (oracle.model64, x.double())):
            logits = model(numbers)
            found.append({"fc8": logits.numpy(), "prob": torch.softmax(logits, 1).numpy()})
    return Photos(list(given), x.numpy(), *found)


@pytest.fixture(scope="module")
def weights(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    from decaf.weights import save_weights

    path = tmp_path_factory.mktemp("alexnet") / "alexnet.h5"
    save_weights(
        path,
        alexnet(),
        oracle.parameters,
        preprocessing=TORCHVISION_IMAGENET,
        labels=[f"class {i}" for i in range(1000)],
        provenance={"source": "random numbers"},
    )
    yield path
    path.unlink()  # 244 MB


def test_photos_are_many() -> None:
    assert len(PHOTOS) >= 20


@pytest.mark.parametrize("backend", ops.available())
def test_photo_to_logits(backend: str, weights: Path, photos: Photos) -> None:
    net = DecafNet(weights, backend=backend, threads=2)
    x = net.preprocess(photos.given)
    off = {name: difference(*two) for name, *two in zip(PHOTOS, x, photos.x, strict=True)}
    assert max(off.values()) <= 1e-6, {name: d for name, d in off.items() if d > 1e-6}

    got = net.features(photos.given, ["fc8", "prob"], batch_size=7)
    assert_good(compare(got, photos.torch32, photos.exact), direct=backend in DIRECT)
    assert_same_bits(net.forward(x, ["fc8", "prob"]), got)
    assert_same_bits({"prob": net.classify(photos.given)}, got)
