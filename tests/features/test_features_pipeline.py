"""The pipeline gives what the network gives, in order, whatever the batches and threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from numpy.typing import NDArray

from decaf import ops
from decaf.errors import ArchitectureError, FeaturesError, ImageError, ShapeError
from decaf.features.pipeline import AHEAD, compute, widths
from decaf.features.pooling import pool
from decaf.net import DecafNet
from decaf.prepare import prepare

COUNT = 23
BAD = (0, 7, 8, 22)


@dataclass
class Given:
    """A photo in memory, that notes who opens it."""

    path: str
    photo: Any
    opened: list[str] = field(default_factory=list)

    @contextmanager
    def open(self) -> Iterator[Any]:
        self.opened.append(threading.current_thread().name)
        if isinstance(self.photo, Exception):
            raise self.photo
        yield self.photo


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("weights") / "tiny.h5")


@pytest.fixture(scope="module")
def net(weights: Path) -> DecafNet:
    return DecafNet(weights, backend=ops.available()[0], threads=2)


@pytest.fixture
def photos() -> list[Given]:
    return [Given(f"{n}.png", tiny.photo(n)) for n in range(COUNT)]


def rows(blocks: Any, layer: str) -> NDArray[np.float32]:
    return np.concatenate([block.values[layer] for block in blocks])


@pytest.mark.parametrize("oversample", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 32])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_bits_are_those_of_the_network(
    weights: Path, photos: list[Given], oversample: bool, batch_size: int, threads: int
) -> None:
    net = DecafNet(weights, backend=ops.available()[0], threads=threads)
    blocks = list(
        compute(
            net, photos, ["pool5", "fc7"], oversample=oversample, batch_size=batch_size, workers=3
        )
    )
    want = net.features([p.photo for p in photos], ["pool5", "fc7"], oversample=oversample)
    for layer in ("pool5", "fc7"):
        np.testing.assert_array_equal(rows(blocks, layer), want[layer])
    assert [block.first for block in blocks] == list(
        np.cumsum([0, *(block.count for block in blocks)])[:-1]
    )
    assert sum(block.count for block in blocks) == COUNT
    crops = 10 if oversample else 1
    assert max(block.count for block in blocks) == min(COUNT, max(1, batch_size // crops))


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_maps_are_pooled_before_crops_are_averaged(
    net: DecafNet, photos: list[Given], pooling: str
) -> None:
    found = rows(compute(net, photos[:3], ["pool5"], oversample=True, pooling=pooling), "pool5")
    for photo, row in zip(photos, found, strict=False):
        crops = prepare(photo.photo, net.preprocessing, oversample=True)
        maps = [net.forward(x[None], "pool5")[0] for x in crops]  # C,H,W each
        pooled = [each.max((1, 2)) if pooling == "max" else each.mean((1, 2)) for each in maps]
        np.testing.assert_allclose(row, np.mean(pooled, axis=0), rtol=1e-6)
    assert widths(net, ["pool5", "fc7"], pooling) == {"pool5": 10, "fc7": 9}
    assert widths(net, ["pool5"]) == {"pool5": 90}


def test_pooling_is_the_same_in_any_batch() -> None:
    maps = np.random.default_rng(0).standard_normal((9, 5, 13, 13)).astype(np.float32)
    for pooling in ("average", "max"):
        together = pool(maps, pooling)
        for n in range(len(maps)):
            np.testing.assert_array_equal(pool(maps[n : n + 1].copy(), pooling)[0], together[n])
    np.testing.assert_allclose(
        pool(maps, "average"), maps.astype(np.float64).mean(axis=(2, 3)), atol=1e-7
    )
    assert pool(maps, None) is maps
    flat = maps.reshape(9, -1)
    assert pool(flat, "average") is flat


def test_what_cannot_be_read_has_no_row(net: DecafNet, photos: list[Given]) -> None:
    photos[0].photo = b"no photo"
    photos[7].photo = ImageError("7.png: must be there; got nothing")
    photos[8].photo = np.full((3, 3), 7.0)
    photos[22].photo = b""
    blocks = list(compute(net, photos, ["fc7"], batch_size=4))
    failed = {index: reason for block in blocks for index, reason in block.failed.items()}
    assert tuple(sorted(failed)) == BAD
    assert failed[7] == "must be there; got nothing"
    assert failed[0].startswith("must be a photo")  # the name is not said twice
    good = [p.photo for n, p in enumerate(photos) if n not in BAD]
    np.testing.assert_array_equal(rows(blocks, "fc7"), net.features(good, "fc7"))


@pytest.mark.parametrize("oversample", [False, True])
@pytest.mark.parametrize("pooling", [None, "average", "max"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_block_without_a_good_photo(
    net: DecafNet, count: int, pooling: str | None, oversample: bool
) -> None:
    bad = [Given(f"{n}.png", b"") for n in range(count)]
    (block,) = compute(
        net, bad, ["fc7", "pool5"], pooling=pooling, oversample=oversample, batch_size=32
    )
    assert block.count == count and set(block.failed) == set(range(count))
    assert block.values["fc7"].shape == (0, 9)
    assert block.values["pool5"].shape == (0, 10 if pooling else 90)
    assert list(compute(net, [], ["fc7"])) == []


def test_it_starts_where_it_is_told(net: DecafNet, photos: list[Given]) -> None:
    blocks = list(compute(net, photos, ["fc7"], batch_size=4, start=9))
    assert blocks[0].first == 9
    assert not any(photo.opened for photo in photos[:9])
    np.testing.assert_array_equal(
        rows(blocks, "fc7"), net.features([p.photo for p in photos[9:]], "fc7")
    )


def test_photos_are_read_once_ahead_and_not_too_far_ahead(
    net: DecafNet, photos: list[Given]
) -> None:
    blocks = compute(net, photos, ["fc7"], batch_size=2, workers=2)
    first = next(blocks)
    assert first.count == 2
    time.sleep(0.2)
    ahead = sum(len(photo.opened) for photo in photos)
    streams = 2 if net.backend == "cython" else 1
    assert 2 < ahead <= 2 * AHEAD * streams
    list(blocks)
    assert all(len(photo.opened) == 1 for photo in photos)
    assert all(photo.opened[0].startswith("decaf-read") for photo in photos)


def threads() -> list[str]:
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith(("decaf-read", "decaf-compute"))]


def test_no_thread_is_left(net: DecafNet, photos: list[Given]) -> None:
    blocks = compute(net, photos, ["fc7"], batch_size=2)
    next(blocks)
    assert threads()
    blocks.close()
    until = time.monotonic() + 10
    while threads() and time.monotonic() < until:
        time.sleep(0.02)
    assert not threads()


def test_an_error_that_is_no_photos_fault_comes_out(net: DecafNet, photos: list[Given]) -> None:
    photos[5].photo = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        list(compute(net, photos, ["fc7"], batch_size=4))


def test_wrong_names() -> None:
    net = DecafNet(backend=ops.available()[0])
    with pytest.raises(ArchitectureError, match="fc9"):
        widths(net, ["fc9"])
    with pytest.raises(FeaturesError, match="'mean'"):
        widths(net, ["relu6"], "mean")


@pytest.mark.parametrize(
    "error",
    [OSError(24, "Too many open files"), OSError(5, "Input/output error"), MemoryError()],
    ids=str,
)
def test_what_is_no_fault_of_the_photo_stops_the_work(
    net: DecafNet, photos: list[Given], error: Exception
) -> None:
    class Broken:
        def read(self, _: int = -1) -> bytes:
            raise error

    photos[5].photo = Broken()
    with pytest.raises(FeaturesError, match=r"^5\.png: .*resume later"):
        list(compute(net, photos, ["fc7"], batch_size=4))


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"batch_size": True}, {"workers": 0}])
def test_wrong_numbers(net: DecafNet, photos: list[Given], options: dict[str, Any]) -> None:
    for count in (1, COUNT):
        with pytest.raises(ShapeError, match=next(iter(options))):
            list(compute(net, photos[:count], ["fc7"], **options))
