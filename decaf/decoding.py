"""The bytes of an image file -> an upright RGB image, by way of Pillow.

Pillow reads almost everything, but what it hands over is what the file stores: a grey of 16
bits, inks, a palette with a transparent entry, an image lying on its side.  :func:`to_rgb`
and :func:`orientation` make of each of these what a viewer would show.  Colour profiles are
ignored, as they were when the networks were trained.

This module imports Pillow, which takes a while: import it inside functions.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
from PIL import Image, JpegImagePlugin
from PIL.ImageFile import ImageFile

from decaf.errors import ImageError


@dataclass(frozen=True)
class Format:
    """A kind of file that decaf opens, and the class of Pillow that reads it."""

    name: str
    start: bytes  # pattern of the first bytes
    module: str
    reader: str
    may_warn: bool = False  # can the reader call warnings.warn?  See `_quiet`


# The formats of photos, and no others.  Pillow knows forty more; among them are some that run
# an external program (EPS: Ghostscript), ask the operating system (WMF), or read other files.
# A photo of several frames gives its first one; of a stereo JPEG (MPO) the base image.
FORMATS = (
    Format(
        "JPEG",
        rb"\xff\xd8\xff",
        "decaf.decoding",
        "QuietJpeg",
        may_warn=not hasattr(JpegImagePlugin.JpegImageFile, "_read_dpi_from_exif"),
    ),
    Format("PNG", rb"\x89PNG\r\n\x1a\n", "PIL.PngImagePlugin", "PngImageFile"),
    Format("GIF", rb"GIF8[79]a", "PIL.GifImagePlugin", "GifImageFile", may_warn=True),
    Format("BMP", rb"BM", "PIL.BmpImagePlugin", "BmpImageFile"),
    Format(
        "TIFF", rb"II[*+]\x00|MM\x00[*+]", "PIL.TiffImagePlugin", "TiffImageFile", may_warn=True
    ),
    Format("PNM", rb"P[1-6f][\s#]", "PIL.PpmImagePlugin", "PpmImageFile"),
    Format("WebP", rb"RIFF....WEBP", "PIL.WebPImagePlugin", "WebPImageFile"),
    Format(
        "AVIF",
        rb"....ftyp(avif|avis|mif1|msf1)",
        "PIL.AvifImagePlugin",
        "AvifImageFile",
        may_warn=True,
    ),
    Format(
        "JPEG 2000",
        rb"\xff\x4f\xff\x51|\x00\x00\x00\x0cjP  \r\n\x87\n",
        "PIL.Jpeg2KImagePlugin",
        "Jpeg2KImageFile",
    ),
)
FORMAT_NAMES = ", ".join(f.name for f in FORMATS[:-1]) + " or " + FORMATS[-1].name
LONGEST_START = 16  # bytes that tell the formats apart


class QuietJpeg(JpegImagePlugin.JpegImageFile):
    """Pillow's JPEG reader, without its search for dots per inch in the EXIF data.

    That search is the only thing in it that warns (of damaged EXIF data, which decaf does not
    need), and it happens to every photo of a camera.  A Pillow that has no such method to
    replace (the oldest that decaf supports) is handled as other readers that may warn.
    """

    def _read_dpi_from_exif(self) -> None:
        pass


def identify(start: bytes) -> Format:
    """Which format a file has, by its first `LONGEST_START` bytes; ImageError if none."""
    for candidate in FORMATS:
        if re.match(candidate.start, start, re.DOTALL):
            return candidate
    came = f"a file that starts with {start[:LONGEST_START]!r}" if start else "an empty file"
    raise ImageError(f"must be a photo; expected {FORMAT_NAMES}, got {came}")


def decode(data: bytes, max_pixels: int) -> Image.Image:
    """Upright RGB image in `data`, refused before decoding if larger than `max_pixels`.

    Raises ImageError, and whatever Pillow's parsers trip over.
    """
    kind = identify(data[:LONGEST_START])
    try:
        reader: type[ImageFile] = getattr(importlib.import_module(kind.module), kind.reader)
    except ImportError:
        raise ImageError(f"must be of a format that this Pillow reads, got {kind.name}") from None
    # The readers are called directly, not through Image.open: that one warns of every image
    # above a limit that is global to the process, and refuses those twice as large.
    try:
        with _quiet() if kind.may_warn or b"acTL" in data else nullcontext():
            image = reader(io.BytesIO(data))
            check_size(image.size, max_pixels)
            if kind.name == "PNG":
                _mend_png_transparency(image, depth=data[24])
            image.load()
    except Image.DecompressionBombError as error:  # from the readers of GIF, TIFF and WebP
        raise ImageError(f"must not be too large, even for Pillow: {error}") from error
    return upright_rgb(image, ours=True)


def load_quietly(image: Image.Image, max_pixels: int) -> Image.Image:
    """Upright RGB copy of an image that the caller opened or made with Pillow."""
    check_size(image.size, max_pixels)
    with _quiet() if image.format in ("TIFF", "GIF", "AVIF", "PNG") else nullcontext():
        image.load()
    return upright_rgb(image)


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """ImageError unless width x height is at most `max_pixels`."""
    width, height = size
    if width * height > max_pixels:
        raise ImageError(
            f"must not be too large; expected at most {max_pixels:,} pixels "
            f"(raise max_pixels for more), got {width}x{height} = {width * height:,}"
        )


# warnings.catch_warnings swaps lists that belong to the whole process: while it is active,
# other threads lose their warnings too, two threads that overlap can leave the wrong lists
# behind, and each use makes Python forget which warnings it has shown once.  So it is used
# only for the formats whose readers may warn of damaged side information (none of which can be
# told not to), never for JPEG, WebP and plain PNG, and by one thread at a time.
_lock = threading.Lock()


@contextmanager
def _quiet() -> Iterator[None]:
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _new_lock() -> None:
    """A child of fork must not wait for a thread that exists only in its parent."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


# ---- what a viewer would show ---------------------------------------------------------------


def upright_rgb(image: Image.Image, *, ours: bool = False) -> Image.Image:
    """RGB version of a loaded image, turned as its orientation asks; a copy unless it is ours."""
    rgb = image if ours and image.mode == "RGB" and not _is_transparent(image) else to_rgb(image)
    turn = _TURNS.get(orientation(image))
    return rgb if turn is None else rgb.transpose(turn)


def to_rgb(image: Image.Image) -> Image.Image:
    """RGB version of a loaded image of any mode; what is transparent shows white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep_grey(image)
    if image.mode in ("La", "RGBa"):  # colours multiplied by alpha already
        values = np.asarray(image).astype(np.uint16)
        on_white = np.minimum(values[..., :-1] + (255 - values[..., -1:]), 255).astype(np.uint8)
        return Image.fromarray(np.broadcast_to(on_white, (*on_white.shape[:2], 3)).copy())
    if image.mode == "LAB":
        from PIL import ImageCms

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        # Without the flag it interpolates in a coarse table, and is wrong by up to 17 of 255.
        exact = ImageCms.Flags.NOOPTIMIZE
        return ImageCms.buildTransform(lab, srgb, "LAB", "RGB", flags=exact).apply(image)
    if _is_transparent(image):
        rgba = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, "white")
        canvas.paste(rgba, mask=rgba)  # (c * a + 255 * (255 - a)) / 255, rounded to nearest
        return canvas
    return image.convert("RGB")  # a copy where it is RGB: the caller's image stays as it is


def _is_transparent(image: Image.Image) -> bool:
    if image.mode in ("LA", "PA", "RGBA"):
        return True
    if image.mode == "P" and image.palette is not None and image.palette.mode.endswith("A"):
        return True
    # One colour, or entries of the palette, declared transparent.
    return image.mode in ("1", "L", "P", "RGB") and "transparency" in image.info


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits: white, whatever its number, becomes 255.

    - 16 bits: v / 257, rounded, because 65535 / 257 is 255 exactly (v / 256 would never be
      white).  So are `I` images, of 32 bits: Pillow makes them of 16-bit files.  In TIFF, 12
      bits and signed 16 bits have their own white.
    - `F`, floating point: 0 to 1 if nothing exceeds 1, else 0 to 255.
    """
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    tags = getattr(image, "tag_v2", {})
    if image.mode == "F":
        white = 1 if high <= 1 else 255
        expected = "values from 0 to 1, or from 0 to 255"
    else:
        signed = tags.get(_SAMPLE_FORMAT, (1,))[0] == 2 and tags.get(_BITS, (16,))[0] == 16
        white = 32767 if signed else 4095 if tags.get(_BITS) == (12,) else 65535
        expected = f"values from 0 to {white}"
    if not (low >= 0 and high <= (255 if image.mode == "F" else white)):  # NaN fails too
        raise ImageError(
            f"grey of mode {image.mode} must have a known white; expected {expected}, "
            f"got {low:g} to {high:g}"
        )
    scaled = np.multiply(values, 255 / white, dtype=np.float32, casting="same_kind")
    grey = np.rint(scaled, out=scaled).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == 0:  # white is zero; Pillow turns over 8 bits only
        grey = 255 - grey
    if "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    return Image.fromarray(grey).convert("RGB")


# Tags of TIFF, and so of EXIF.
_BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLE_FORMAT = 258, 262, 274, 339


def _mend_png_transparency(image: Image.Image, depth: int) -> None:
    """Bring the one transparent colour of a PNG to the scale of the pixels.

    The file gives it at its own depth; Pillow scales the pixels to 8 bits, but not that
    colour.  Of 16-bit colours Pillow keeps the upper 8 bits, so the same is done here.
    """
    colour = image.info.get("transparency")
    if image.mode == "L" and isinstance(colour, int) and depth in (2, 4):
        image.info["transparency"] = colour * (255 // (2**depth - 1))
    elif image.mode == "RGB" and isinstance(colour, tuple) and depth == 16:
        image.info["transparency"] = tuple(value >> 8 for value in colour)


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) to 8; from XMP where EXIF has none; 1 if unreadable.

    Pillow's own reader of EXIF warns of whatever is damaged elsewhere in it; this one looks
    at nothing but the orientation.  Pillow turns TIFF files itself when it loads them.
    """
    if image.format == "TIFF":
        return 1
    exif = image.info.get("exif")
    if exif is None and "Raw profile type exif" in image.info:  # PNG of before the eXIf chunk
        lines = str(image.info["Raw profile type exif"]).split("\n")[3:]
        try:
            exif = bytes.fromhex("".join(lines))
        except ValueError:  # not hexadecimal
            pass
    if isinstance(exif, bytes):
        found = _exif_orientation(exif)
        if found is not None:
            return found
    xmp = image.info.get("xmp", image.info.get("XML:com.adobe.xmp"))
    if isinstance(xmp, str):
        xmp = xmp.encode(errors="replace")
    if not isinstance(xmp, bytes):  # anything may stand in `info`
        return 1
    match = re.search(rb'tiff:Orientation(?:="|>)([1-8])', xmp)
    return int(match[1]) if match else 1


def _exif_orientation(exif: bytes) -> int | None:
    """The orientation in the first directory of EXIF data, or None."""
    exif = re.sub(b"^(Exif\0\0)+", b"", exif)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    try:
        if order is None:
            return None
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, directory)
        for i in range(count):
            entry = directory + 2 + 12 * i
            tag, kind = struct.unpack_from(order + "HH", exif, entry)
            if tag == _ORIENTATION:
                code = {1: "B", 3: "H", 4: "I"}.get(kind)  # byte, short (the standard), long
                return struct.unpack_from(order + code, exif, entry + 8)[0] if code else None
    except struct.error:  # cut off
        pass
    return None
