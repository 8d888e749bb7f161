"""Several pictures of a photo: read once, the right way up, forgotten afterwards."""

from __future__ import annotations

import gc
import io
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image, ImageOps

from decaf.errors import ImageError
from decaf.features.views import Views


class Given:
    """A photo in memory, that counts how often it is opened."""

    def __init__(self, path: str, photo: Any) -> None:
        self.path, self.photo, self.opened = path, photo, 0

    @contextmanager
    def open(self) -> Iterator[Any]:
        self.opened += 1
        if isinstance(self.photo, Exception):
            raise self.photo
        yield self.photo


def same(picture: Image.Image) -> Image.Image:
    return picture


def left(picture: Image.Image) -> Image.Image:
    return picture.crop((0, 0, picture.width // 2, picture.height))


def seen(view: Any) -> Any:
    with view.open() as picture:
        return picture


def turned(pixels: Any, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", exif=exif)
    return file.getvalue()


def test_a_sequence_of_the_pictures_of_all_photos_in_order() -> None:
    views = Views([Given(f"{n}.png", tiny.photo(n)) for n in range(3)], [same, left])
    assert len(views) == 6
    assert [view.path for view in views] == ["0.png", "0.png", "1.png", "1.png", "2.png", "2.png"]
    for number, view in enumerate(views):
        want = tiny.photo(number // 2)[:, : 8 if number % 2 else None]
        np.testing.assert_array_equal(np.asarray(seen(view)), want)
    assert seen(Views([Given("1.png", tiny.photo(1))], [same, left])[-1]).size == (8, 20)
    assert [view.path for view in views[1:4]] == ["0.png", "1.png", "1.png"]
    with pytest.raises(IndexError):
        views[6]


def test_a_photo_is_decoded_once_a_pass() -> None:
    photos = [Given(f"{n}.png", tiny.photo(n)) for n in range(3)]
    views = Views(photos, [same, left, same])
    assert not any(photo.opened for photo in photos)  # not before the first is asked for
    for expected in (1, 2):
        for view in views:
            seen(view)
        assert [photo.opened for photo in photos] == [expected] * 3


def test_a_pass_may_begin_in_the_middle_of_a_photo() -> None:
    photo = Given("1.png", tiny.photo(1))
    views = Views([photo], [same, left, same])
    assert [seen(view).size for view in views[1:]] == [(8, 20), (17, 20)]
    assert photo.opened == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_picture_of_a_photo_is_upright(orientation: int) -> None:
    from decaf.image import load_rgb

    data = turned(tiny.photo(0), orientation)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    for view in Views([Given("1.png", data)], [same, left, same]):
        # As the pipeline reads it: what it is given may still say how it once lay.
        picture = np.asarray(load_rgb(seen(view)))
        np.testing.assert_array_equal(picture, upright[:, : picture.shape[1]])
        assert picture.shape[1] in (upright.shape[1], upright.shape[1] // 2)


def test_a_photo_that_cannot_be_read_fails_in_each_picture_with_one_reason() -> None:
    photo = Given("bad.png", b"no photo")
    reasons = set()
    for view in Views([photo], [same, left, same]):
        with pytest.raises(ImageError, match=r"^bad\.png: ") as error:
            seen(view)
        reasons.add(str(error.value))
    assert len(reasons) == 1
    assert photo.opened == 1


def test_the_limit_of_pixels_is_that_of_the_photo() -> None:
    views = Views([Given("large.png", tiny.photo(0))], [left], max_pixels=20 * 17 - 1)
    with pytest.raises(ImageError, match="340"):
        seen(views[0])
    assert seen(Views([Given("1.png", tiny.photo(0))], [left], max_pixels=340)[0]).size == (8, 20)


def test_what_a_picture_was_made_of_is_forgotten_after_the_last() -> None:
    given: list[weakref.ref[Image.Image]] = []

    def noting(picture: Image.Image) -> Image.Image:
        given.append(weakref.ref(picture))
        return Image.new("RGB", (2, 2))

    views = list(Views([Given("1.png", tiny.photo(1))], [noting] * 3))
    for view in views:
        assert all(one() is not None for one in given)
        seen(view)
    gc.collect()
    assert len(given) == 3 and all(one() is None for one in given)  # though the views are there
    with pytest.raises(ImageError, match="too often"):
        seen(views[0])


def test_many_threads_may_look_at_one_photo() -> None:
    count, start = 16, threading.Barrier(16)
    photo = Given("1.png", tiny.photo(1))

    def look(view: Any) -> Any:
        start.wait()
        return np.asarray(seen(view))

    with ThreadPoolExecutor(count) as pool:
        for found in pool.map(look, Views([photo], [same] * count)):
            np.testing.assert_array_equal(found, tiny.photo(1))
    assert photo.opened == 1
