"""A photo of any kind -> one array: uint8, H,W,3, RGB, upright.

    >>> import numpy as np
    >>> load_image(np.zeros((2, 3), np.float32)).shape       # a grey array of floats
    (2, 3, 3)

What the network makes of that array is a recipe, :class:`~decaf.preprocessing.Preprocessing`,
in its own file and exported here too.

Photos of more than 89 million pixels are refused before they are decoded, because a file of a
few kilobytes can claim to be an image of many gigabytes.  Raise the limit for one photo with
``load_image(photo, max_pixels=400_000_000)``; nothing global changes.  Of TIFF and GIF, and of
WebP, Pillow then refuses images of more than twice ``PIL.Image.MAX_IMAGE_PIXELS`` itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from decaf.errors import ImageError
from decaf.prepare import CROPS, prepare
from decaf.preprocessing import CAFFE_IMAGENET, TORCHVISION_IMAGENET, Preprocessing

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "CAFFE_IMAGENET",
    "CROPS",
    "MAX_PIXELS",
    "TORCHVISION_IMAGENET",
    "Photo",
    "Preprocessing",
    "load_image",
    "prepare",
]

MAX_PIXELS = 89_000_000  # just below where Pillow begins to warn

Loaded = TypeVar("Loaded")
Photo: TypeAlias = "str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | npt.NDArray[Any]"


def load_image(
    photo: Photo, *, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> npt.NDArray[np.uint8]:
    """Decode a photo.

    Parameters
    ----------
    photo
        - a path, bytes, or a binary file object (read from where it stands to its end, and not
          closed), of an image file: JPEG, PNG, GIF, BMP, TIFF, PNM, WebP, AVIF, JPEG 2000.
          Of an animation, the first frame; colour profiles are ignored;
        - a ``PIL.Image``;
        - an array of shape H,W or H,W,1 (grey), H,W,3 (RGB) or H,W,4 (RGB and alpha): uint8,
          or float32 or float64 from 0 to 1, of which ``x * 255`` is rounded.
    max_pixels
        More are refused, before decoding.
    name
        What an error calls the photo; left out, its path, or ``bytes (1234 bytes)``,
        ``<file>``, ``image (RGB, 640x480)``, ``array (480, 640, 3)``.

    Returns
    -------
    ndarray
        uint8, shape H,W,3, RGB, C-contiguous; turned as the EXIF orientation asks; what is
        transparent is white.  An array that is already so is returned itself.

    Raises
    ------
    ImageError
        Whatever is wrong with the photo, in one line.
    """
    return _one_line(lambda: _as_array(_load(photo, max_pixels)), photo, name)


def load_rgb(
    photo: Photo, *, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> Image.Image | npt.NDArray[np.uint8]:
    """Decode a photo as `load_image` does, but leave with Pillow what Pillow decoded."""
    return _one_line(lambda: _load(photo, max_pixels), photo, name)


def _one_line(load: Callable[[], Loaded], photo: Photo, name: str | None) -> Loaded:
    """Give what `load` gives; whatever it raises becomes an ImageError of one line."""
    try:
        return load()
    except ImageError as error:
        raise ImageError(f"{printable(name or describe(photo))}: {error}") from error.__cause__
    except Exception as error:
        # Everything: on a damaged file Pillow's parsers raise whatever they trip over, among
        # others SyntaxError, struct.error, OverflowError, zlib.error and MemoryError; and a
        # file object raises what its author thought of.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageError(
            f"{printable(name or describe(photo))}: must be a photo that Pillow can read; "
            f"expected an undamaged file, got the error {reason!r}"
        ) from error


def printable(name: str) -> str:
    """What an error calls a photo of this name: an error is one line, whatever a file is called."""
    return name if name.isprintable() else ascii(name)


def _as_array(rgb: Image.Image | npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return rgb if isinstance(rgb, np.ndarray) else np.array(rgb)


def _load(photo: object, max_pixels: int) -> Image.Image | npt.NDArray[np.uint8]:
    if isinstance(photo, np.ndarray):
        return _from_array(photo, max_pixels)

    from PIL import Image

    from decaf import decoding  # imports Pillow, so not at the top

    if isinstance(photo, Image.Image):
        if 0 in photo.size:
            raise ImageError(f"must have pixels; expected at least 1x1, got {photo.size}")
        return decoding.load_quietly(photo, max_pixels)
    if isinstance(photo, (bytes, bytearray, memoryview)):
        return decoding.decode(bytes(photo), max_pixels)
    if isinstance(photo, (str, os.PathLike)):
        return decoding.decode(_read_path(photo, max_pixels), max_pixels)
    if hasattr(photo, "read"):
        return decoding.decode(_read(photo, max_pixels), max_pixels)
    raise ImageError(
        "must be a photo; expected a path, bytes, a binary file, a PIL.Image or an array, "
        f"got {type(photo).__name__}"
    )


def describe(photo: Any) -> str:
    """Name a photo for an error message: its path, or what it is."""
    if isinstance(photo, (str, os.PathLike)):
        return os.fsdecode(photo)
    if isinstance(photo, (bytes, bytearray)):
        return f"bytes ({len(photo)} bytes)"
    if isinstance(photo, memoryview):
        try:
            return f"bytes ({photo.nbytes} bytes)"
        except ValueError:  # it has been released
            return "memoryview"
    if isinstance(photo, np.ndarray):
        return f"array {photo.shape}"
    if hasattr(photo, "read"):
        name = getattr(photo, "name", None)  # a path; "<stdin>"; a number for a bare descriptor
        return name if isinstance(name, str) else "<file>"
    if hasattr(photo, "mode") and isinstance(getattr(photo, "size", None), tuple):
        return f"image ({photo.mode}, {'x'.join(map(str, photo.size))})"
    return type(photo).__name__


def _read_path(path: str | os.PathLike[str], max_pixels: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return _read(file, max_pixels)
    except OSError as error:
        raise ImageError(
            f"must be a readable file; expected a photo, got {error.strerror or error}"
        ) from error


def _read(file: Any, max_pixels: int) -> bytes:
    """All of an open file, unless its start is that of no photo, or it is far too long."""
    from decaf import decoding

    # No format stores more than 16 bytes for a pixel; the rest is for previews and notes.
    limit = 16 * max_pixels + 2**26
    chunks: list[bytes] = []
    length = 0
    while chunk := file.read(2**20):
        if not isinstance(chunk, bytes):
            raise ImageError(f"must be opened in binary mode, got {type(chunk).__name__}")
        chunks.append(chunk)
        length += len(chunk)
        if length == len(chunk) >= decoding.LONGEST_START:  # the first one
            decoding.identify(chunk[: decoding.LONGEST_START])
        if length > limit:
            raise ImageError(
                f"must be a photo of at most {max_pixels:,} pixels (raise max_pixels for more); "
                f"expected at most {limit:,} bytes, got more"
            )
    return b"".join(chunks)


def _from_array(array: npt.NDArray[Any], max_pixels: int) -> npt.NDArray[np.uint8]:
    """An array of any of the accepted kinds, as H,W,3."""
    shape_fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if not shape_fits or array.size == 0:
        raise ImageError(
            "must hold an image; expected shape H,W or H,W,C with 1, 3 or 4 channels C, "
            f"got {array.shape}"
        )
    if array.shape[0] * array.shape[1] > max_pixels:
        raise ImageError(
            f"must not be too large; expected at most {max_pixels:,} pixels, "
            f"got {array.shape[0] * array.shape[1]:,}"
        )
    if array.dtype.kind == "f" and array.dtype.itemsize in (4, 8):
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):  # written so that NaN fails too
            raise ImageError(
                f"floats must be from 0 to 1, got {low:g} to {high:g} (divide by 255 first?)"
            )
        scaled = array * 255
        array = np.rint(scaled, out=scaled).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ImageError(
            f"must have a dtype for images; expected uint8, float32 or float64, got {array.dtype}"
        )

    pixels = array.reshape(*array.shape[:2], -1)  # H,W,C
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:].astype(np.uint16)
        on_white = pixels[..., :3] * alpha + 255 * (255 - alpha) + 127  # at most 65152: it fits
        pixels = (on_white // 255).astype(np.uint8)
    elif pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels)
