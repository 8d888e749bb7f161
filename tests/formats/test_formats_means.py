"""Mean images: those that Caffe and people wrote, and those that nobody should have."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import support_cifar as cifar
import wire
from damage import assert_only_decaf_errors

from decaf.errors import WeightsError
from decaf.formats import means
from decaf.formats.caffe_schema import BLOB
from tests.support import normal


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array))
    return file.getvalue()


def blob(run: Any = wire.packed, **fields: Any) -> bytes:
    return wire.encode(fields, BLOB, run=run)


def sides(c: int, h: int, w: int) -> dict[str, int]:
    return {"num": 1, "channels": c, "height": h, "width": w}


MEAN = 128 + 30 * normal(3, 4, 5)
FLAT = MEAN.ravel()


def test_cifars_mean_is_that_of_its_photos(shared_data: Path) -> None:
    """The photos are of the test set, and JPEGs: the mean of the training set is near theirs."""
    path = shared_data / "caffe" / "nets-h5" / "mean.binaryproto"
    if not path.is_file():
        pytest.skip(f"the mean image is not there: {path}")
    mean = means.read(path.read_bytes())
    photos, _ = cifar.photos(shared_data)
    assert mean.shape == (3, 32, 32) and mean.dtype == np.float32
    assert not mean.flags.writeable
    np.testing.assert_allclose(mean, photos.mean(0).transpose(2, 0, 1), atol=6)
    # Red, green and blue are 125, 123 and 114 on average: in any other order this would fail.
    np.testing.assert_allclose(mean.mean((1, 2)), photos.mean((0, 1, 2)), atol=1)


@pytest.mark.parametrize(
    "data",
    [
        blob(**sides(3, 4, 5), data=FLAT),
        blob(wire.unpacked, **sides(3, 4, 5), data=FLAT),
        blob(shape={"dim": [3, 4, 5]}, data=FLAT),
        blob(shape={"dim": [1, 3, 4, 5]}, data=FLAT),
        blob(**sides(3, 4, 5), double_data=FLAT.astype("<f8")),
        npy(MEAN),
        npy(MEAN[None]),
        npy(MEAN.astype(">f8")),
        npy(np.asfortranarray(MEAN)),
    ],
)
def test_forms(data: bytes) -> None:
    mean = means.read(data)
    assert mean.dtype == np.float32 and mean.flags.c_contiguous and mean.flags.aligned
    np.testing.assert_array_equal(mean, MEAN)


def test_a_colour() -> None:
    colour = np.array([104.007, 116.669, 122.679])
    mean = means.read(npy(colour))
    np.testing.assert_array_equal(mean, colour.astype(np.float32).reshape(3, 1, 1))


def test_grey() -> None:
    assert means.read(npy(np.ones((1, 2, 3), np.float16))).shape == (1, 2, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a mean must be C,H,W"),
        (b"\x93NUMPY", "must end by"),
        (npy(MEAN.transpose(1, 2, 0)), r"C 1 or 3 .* got \(4, 5, 3\)"),
        (npy(np.ones((2, 4, 5))), r"C 1 or 3 .* got \(2, 4, 5\)"),
        (npy(np.ones((4, 5))), r"C 1 or 3 .* got \(4, 5\)"),
        (npy(np.ones((2, 3, 4, 5))), r"C 1 or 3 .* got \(2, 3, 4, 5\)"),
        (npy(np.ones((3, 1, 4097))), r"sides from 1 to 4,096, got \(3, 1, 4097\)"),
        (npy(np.ones((3, 4, 5), np.uint8)), "floats; got uint8"),
        (npy(np.full((3, 1, 1), np.nan)), "finite"),
        (npy(np.full((3, 1, 1), 1e39)), "finite"),
        (npy(np.full((3, 1, 1), 0x7FF0000000000001, "<u8").view("<f8")), "finite"),  # signalling
        (npy(MEAN)[:-1], "must fill its file"),
        (npy(np.array([None, 1.0], object)), "floats or integers"),
        (blob(**sides(3, 4, 6), data=FLAT), "the mean: .* got 60"),
        (blob(**sides(3, 4, 2**40), data=FLAT), "the mean: .* got 60"),
        (blob(**sides(3, -4, -5), data=FLAT), "the mean: .* got 60"),
        (blob(shape={"dim": [60]}, data=FLAT), r"C 1 or 3 .* got \(60,\)"),
        (blob(shape={"dim": [1] * 40}, data=FLAT[:1]), "the mean: a blob must"),
        (blob(**sides(1, 1, 1), data=np.array([np.inf], "<f4")), "finite"),
        (wire.field(1, 2, b""), "C,H,W|as many numbers"),
        (blob(shape={"dim": [0, 2**62, 2**62]}), "C,H,W|as many numbers"),
        (b"<!DOCTYPE html><html>Not Found</html>", "."),
    ],
)
def test_refused(data: bytes, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        means.read(data)


@pytest.mark.parametrize(
    "data",
    [blob(**sides(3, 4, 5), data=FLAT), blob(shape={"dim": [3, 4, 5]}, data=FLAT), npy(MEAN)],
)
def test_damage(data: bytes) -> None:
    assert_only_decaf_errors(means.read, data)
