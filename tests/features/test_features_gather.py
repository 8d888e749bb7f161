"""Features in memory have the bits of the network's, and of a feature file's."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image, ImageOps

from decaf import ops
from decaf.errors import ArchitectureError, FeaturesError, ImageError, ShapeError
from decaf.features import extract, find_photos
from decaf.features.gather import gather
from decaf.features.pipeline import AHEAD
from decaf.net import DecafNet

COUNT = 11
BAD = (0, 4, 5, 10)


class Given:
    """A photo in memory."""

    def __init__(self, path: str, photo: Any) -> None:
        self.path, self.photo = path, photo

    @contextmanager
    def open(self) -> Iterator[Any]:
        if isinstance(self.photo, Exception):
            raise self.photo
        yield self.photo


def same(picture: Image.Image) -> Image.Image:
    return picture


def left(picture: Image.Image) -> Image.Image:
    return picture.crop((0, 0, picture.width // 2, picture.height))


MAKERS = (same, left, ImageOps.mirror)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("weights") / "tiny.h5")


@pytest.fixture(scope="module")
def net(weights: Path) -> DecafNet:
    return DecafNet(weights, backend=ops.available()[0], threads=2)


@pytest.fixture
def photos() -> list[Given]:
    return [Given(f"{n}.png", tiny.photo(n)) for n in range(COUNT)]


@pytest.mark.parametrize("oversample", [False, True])
@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (4, 3), (32, 2)])
def test_the_bits_are_those_of_the_network(
    weights: Path, photos: list[Given], oversample: bool, batch_size: int, threads: int
) -> None:
    net = DecafNet(weights, backend=ops.available()[0], threads=threads)
    found = gather(
        net, photos, "fc7", MAKERS, oversample=oversample, batch_size=batch_size, workers=3
    )
    assert found.rows.shape == (COUNT, 3, 9) and found.rows.dtype == np.float32
    assert found.photos.tolist() == list(range(COUNT)) and found.failed == {}
    for view, make in enumerate(MAKERS):
        pictures = [make(Image.fromarray(photo.photo)) for photo in photos]
        want = net.features(pictures, "fc7", oversample=oversample)
        np.testing.assert_array_equal(found.rows[:, view], want)


@pytest.mark.parametrize("pooling", [None, "average", "max"])
def test_the_bits_are_those_of_a_feature_file(
    net: DecafNet, tmp_path: Path, pooling: str | None
) -> None:
    for n in range(5):
        Image.fromarray(tiny.photo(n)).save(tmp_path / f"{n}.png")
    (tmp_path / "2.png").write_bytes(b"no photo")
    found = find_photos([tmp_path])
    file = extract(found, tmp_path / "f.h5", layers="pool5", net=net, pooling=pooling)
    alone = gather(net, found.photos, "pool5", pooling=pooling)
    np.testing.assert_array_equal(alone.rows[:, 0], file["pool5"])
    assert [found.photos[n].path for n in alone.photos] == list(file.paths)
    ((path, reason),) = file.failed
    assert alone.failed == {2: reason} and found.photos[2].path == path


def test_photos_turned_by_their_file_are_upright(net: DecafNet, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(tiny.photo(0)).save(tmp_path / "0.png", exif=exif)
    found = gather(net, find_photos([tmp_path]).photos, "fc7")
    np.testing.assert_array_equal(found.rows[0, 0], net.features(tmp_path / "0.png", "fc7"))


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_photos_that_fail_are_left_out(net: DecafNet, photos: list[Given], batch_size: int) -> None:
    good = [n for n in range(COUNT) if n not in BAD]
    want = gather(net, [photos[n] for n in good], "fc7", MAKERS)
    for n in BAD:
        photos[n].photo = b"no photo"
    found = gather(net, photos, "fc7", MAKERS, batch_size=batch_size)
    np.testing.assert_array_equal(found.rows, want.rows)
    assert found.photos.tolist() == good
    assert set(found.failed) == set(BAD)
    assert all(reason.startswith("must be a photo") for reason in found.failed.values())


def test_a_photo_of_which_one_picture_fails_is_left_out(net: DecafNet, photos: list[Given]) -> None:
    narrow = Image.fromarray(photos[3].photo[:, :1])
    photos[3].photo = narrow

    def fussy(picture: Image.Image) -> Image.Image:
        if picture.width == 1:
            raise ImageError("3.png: must not be so narrow")
        return picture

    found = gather(net, photos, "fc7", [same, fussy, same], batch_size=4)
    assert found.failed == {3: "must not be so narrow"}
    assert found.rows.shape == (COUNT - 1, 3, 9)
    want = net.features([p.photo for n, p in enumerate(photos) if n != 3], "fc7")
    for view in range(3):
        np.testing.assert_array_equal(found.rows[:, view], want)


def test_all_photos_may_fail_and_there_may_be_none(net: DecafNet) -> None:
    found = gather(net, [Given(f"{n}.png", b"") for n in range(5)], "fc7", MAKERS)
    assert found.rows.shape == (0, 3, 9) and found.photos.shape == (0,) and len(found.failed) == 5
    found = gather(net, [], "fc7", MAKERS)
    assert found.rows.shape == (0, 3, 9) and found.failed == {}


def test_it_says_how_many_photos_are_finished(net: DecafNet, photos: list[Given]) -> None:
    for batch_size in (1, 4, 32):
        told: list[int] = []
        gather(net, photos, "fc7", MAKERS, batch_size=batch_size, on_photos=told.append)
        assert sum(told) == COUNT and all(count > 0 for count in told)


def test_photos_are_forgotten_on_the_way(net: DecafNet) -> None:
    """However many photos there are, only those of the batches under way are in memory."""
    many, views, size, lock = 60, 4, 4, threading.Lock()
    alive: list[weakref.ref[Image.Image]] = []
    most = 0

    def noting(picture: Image.Image) -> Image.Image:
        nonlocal most
        with lock:
            if not any(one() is picture for one in alive):
                alive.append(weakref.ref(picture))
            most = max(most, sum(one() is not None for one in alive))
        return picture.crop((0, 0, 10, 10))

    photos = [Given(f"{n}.png", tiny.photo(n)) for n in range(many)]
    gather(net, photos, "fc7", [noting] * views, batch_size=size, workers=2)
    assert len(alive) == many
    # One photo a batch; two batches a stream, and what the streams and readers still hold.
    assert most <= (AHEAD + 1) * net.threads + 2
    gc.collect()
    assert not any(one() is not None for one in alive)


def test_an_error_that_is_no_photos_fault_comes_out(net: DecafNet, photos: list[Given]) -> None:
    photos[5].photo = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        gather(net, photos, "fc7", MAKERS, batch_size=4)

    class Broken:
        def read(self, _: int = -1) -> bytes:
            raise OSError(24, "Too many open files")

    photos[5].photo = Broken()
    with pytest.raises(FeaturesError, match=r"^5\.png: .*resume later"):
        gather(net, photos, "fc7", MAKERS, batch_size=4)


def test_wrong_options_are_refused_before_a_photo_is_read(net: DecafNet) -> None:
    class Never:
        path = "1.png"

        def open(self) -> Any:
            raise AssertionError("opened")

    with pytest.raises(ArchitectureError, match="fc9"):
        gather(net, [Never()], "fc9")
    with pytest.raises(FeaturesError, match="'mean'"):
        gather(net, [Never()], "pool5", pooling="mean")
    with pytest.raises(ShapeError, match="batch_size"):
        gather(net, [Never()], "fc7", batch_size=0)
    with pytest.raises(ShapeError, match="workers"):
        gather(net, [Never()], "fc7", workers=0)
