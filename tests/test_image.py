"""Photos of every kind come out right, or as one ImageError in one line.

Oracles: Pillow's own `ImageOps.exif_transpose` for orientation, the PNG suite's reference
renderings, formulas written out here, and files built here byte by byte.
"""

from __future__ import annotations

import concurrent.futures
import csv
import io
import logging
import os
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from decaf import decoding
from decaf.errors import ImageError
from decaf.image import MAX_PIXELS, load_image

# Pillow refuses these too, when they are loaded; INDEX.tsv says "ok" because it asked a second
# time, after a first failure (its column `exif_orientation` says "exif error").
REFUSED = {
    "pillow/apng/chunk_no_fctl.png": "damaged: its animation lacks a chunk",
    "pillow/truncated_end_chunk.png": "cut off before its end",
    "pngsuite/iphone/iphone_basi0g01.png": "not PNG but Apple's CgBI, without zlib headers",
    "pngsuite/iphone/iphone_basi3p02.png": "CgBI",
    "pngsuite/iphone/iphone_bgwn6a08.png": "CgBI",
    "pngsuite/iphone/iphone_tbyn3p08.png": "CgBI",
}


@pytest.fixture(scope="module")
def tricky(shared_data: Path) -> dict[str, bytes]:
    """Every file of tricky.zip, by its path in there."""
    with zipfile.ZipFile(shared_data / "images" / "tricky.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist() if name[-1] != "/"}


def rows_of_index(tricky: dict[str, bytes]) -> list[dict[str, str]]:
    text = tricky["INDEX.tsv"].decode()
    return list(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def pillow_loads(data: bytes) -> bool:
    """Asks the Pillow that is installed, in place of the one that wrote INDEX.tsv."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data)) as image:
                image.load()
        except Exception:
            return False
    return True


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).integers(0, 256, shape, dtype=np.uint8)


def png(depth: int, colour: int, width: int, *rows: bytes, trns: bytes = b"") -> bytes:
    """A PNG file from its packed rows: what no library that writes PNG would write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + (chunk(b"tRNS", trns) if trns else b"")
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
        + chunk(b"IEND", b"")
    )


def tiff(tags: dict[int, tuple[int, tuple[int, ...]]], pixels: bytes) -> bytes:
    """A little-endian TIFF file of one strip: {tag: (type, values)}, types 3 (short), 4 (long)."""
    size = 8 + 2 + 12 * len(tags) + 4
    entries, extra = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        data = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(data) > 4:
            data, extra = struct.pack("<I", size + len(extra)), extra + data
        entries += struct.pack("<HHI", tag, kind, len(values)) + data.ljust(4, b"\0")
    body = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0\0\0\0" + extra
    return body + pixels


def grey_tiff(
    values: np.ndarray, *, bits: int, photometric: int = 1, signed: bool = False
) -> bytes:
    h, w = values.shape
    tags = {
        256: (3, (w,)),
        257: (3, (h,)),
        258: (3, (bits,)),
        259: (3, (1,)),
        262: (3, (photometric,)),
        273: (4, (8 + 2 + 12 * 10 + 4,)),
        277: (3, (1,)),
        278: (3, (h,)),
        279: (4, (values.nbytes,)),
        339: (3, (2 if signed else 1,)),
    }
    return tiff(tags, values.tobytes())


def on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colour of 0-255 seen over white through alpha of 0-255, in float64."""
    a = alpha.astype(np.float64)[..., None] / 255
    return np.rint(colour * a + 255 * (1 - a)).astype(np.uint8)


# ---- every tricky file ----------------------------------------------------------------------


def test_tricky_files_give_an_array_or_one_error(
    tricky: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    loaded = refused = 0
    for row in rows_of_index(tricky):
        name = row["file"]
        should_load = row["load"] == "ok" and name not in REFUSED
        with warnings.catch_warnings(record=True) as leaked:
            warnings.simplefilter("always")
            try:
                pixels = load_image(tricky[name], name=name)
            except ImageError as error:
                assert not (should_load and pillow_loads(tricky[name])), error
                text = str(error)
                assert text.startswith(f"{name}: must ")
                assert "\n" not in text
                assert len(text) < 400
                refused += 1
                continue
            finally:
                assert [str(w.message) for w in leaked] == []
        assert should_load or pillow_loads(tricky[name]), f"{name} loads: is it right?"
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous
        assert pixels.shape[2:] == (3,)
        turned = row["exif_orientation"] in ("5", "6", "7", "8") and row["format"] != "TIFF"
        width, height = map(int, row["size"].split("x"))
        assert pixels.shape[:2] == ((width, height) if turned else (height, width)), name
        loaded += 1
    assert loaded > 450
    assert refused > 30
    # Pillow logs (it does not warn) of one file; nothing else.
    assert [r.name for r in caplog.records if r.levelno >= logging.WARNING] in (
        [],
        ["PIL.TiffImagePlugin"],
    )


def test_orientation_agrees_with_pillow_for_every_tricky_file(tricky: dict[str, bytes]) -> None:
    turned = 0
    for row in rows_of_index(tricky):
        if row["load"] != "ok" or row["file"] in REFUSED or row["mode"] != "RGB":
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(tricky[row["file"]]))
            if "transparency" in image.info:
                continue
            expected = np.asarray(ImageOps.exif_transpose(image))
        np.testing.assert_array_equal(load_image(tricky[row["file"]]), expected, row["file"])
        turned += row["exif_orientation"] in list("2345678")
    assert turned > 15


@pytest.mark.parametrize("shape", ["Landscape", "Portrait"])
def test_photos_lying_on_their_side_come_out_upright(tricky: dict[str, bytes], shape: str) -> None:
    def small(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(pixels).resize((60, 60), Image.Resampling.BOX), float)

    names = sorted(n for n in tricky if n.startswith(f"exif_orientation/{shape}_"))
    assert len(names) >= 2
    upright = load_image(tricky[names[0]])
    assert names[0].endswith("_1.jpg")
    for name in names[1:]:
        pixels = load_image(tricky[name])
        assert pixels.shape == upright.shape
        difference = small(pixels) - small(upright)
        # Each carries its own number, drawn in its middle: that part may differ.
        assert np.median(np.abs(difference)) < 2, name
        assert np.corrcoef(small(pixels).ravel(), small(upright).ravel())[0, 1] > 0.9, name


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_small_photos_lying_on_their_side(tricky: dict[str, bytes], suffix: str) -> None:
    upright = load_image(tricky["pillow/hopper.png"]).astype(float)
    names = [n for n in tricky if n.startswith("pillow/hopper_orientation") and n.endswith(suffix)]
    assert len(names) >= 3
    for name in names:
        difference = load_image(tricky[name]) - upright
        assert np.abs(difference).mean() < 10, name  # compressed, so not equal
        assert np.abs(difference[:, ::-1].mean()) < 5


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [1, 3, 4])
def test_orientation_in_exif_of_both_byte_orders(turn: int, order: str, kind: int) -> None:
    upright = noise(2, 3, 3)
    # For each orientation, how a camera held that way would have stored `upright`.
    stored: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    code = {1: "Bxxx", 3: "Hxx", 4: "I"}[kind]
    mark = b"II*\0" if order == "<" else b"MM\0*"
    exif = mark + struct.pack(order + "IH", 8, 2) + struct.pack(order + "HHII", 0x100, 4, 1, 7)
    exif += struct.pack(order + "HHI" + code, 0x112, kind, 1, turn) + b"\0\0\0\0"
    image = Image.fromarray(np.ascontiguousarray(stored[turn](upright)))
    np.testing.assert_array_equal(load_image(encode(image, exif=exif)), upright)
    image.info["exif"] = b"Exif\0\0" + exif  # and as an image in memory
    np.testing.assert_array_equal(load_image(image), upright)


@pytest.mark.parametrize("exif", [b"", b"II", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"])
def test_damaged_exif_is_ignored_without_a_word(exif: bytes) -> None:
    pixels = np.full((8, 8, 3), 77, np.uint8)
    data = encode(Image.fromarray(pixels), "JPEG", exif=b"Exif\0\0" + exif)
    np.testing.assert_array_equal(load_image(data), pixels)
    image = Image.fromarray(pixels)
    image.info["exif"] = exif
    np.testing.assert_array_equal(load_image(image), pixels)


@pytest.mark.parametrize("text", ["\nexif\n4\nzz", "\nexif\n 3\n4", "no hexadecimal", ""])
def test_damaged_exif_in_the_text_of_a_png_is_ignored(text: str) -> None:
    pixels = noise(4, 5, 3)
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Raw profile type exif", text)
    data = encode(Image.fromarray(pixels), pnginfo=notes)
    assert b"Raw profile type exif" in data
    np.testing.assert_array_equal(load_image(data), pixels)


def test_xmp_counts_where_the_exif_in_the_text_of_a_png_is_damaged() -> None:
    pixels = noise(4, 5, 3)
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Raw profile type exif", "\nexif\n4\nzz")
    notes.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="3"/>')
    data = encode(Image.fromarray(pixels), pnginfo=notes)
    np.testing.assert_array_equal(load_image(data), pixels[::-1, ::-1])


@pytest.mark.parametrize("key", ["exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"])
@pytest.mark.parametrize("value", [None, 6, ("6",), {"Orientation": 6}], ids=repr)
def test_what_is_no_metadata_is_ignored(key: str, value: object) -> None:
    pixels = noise(4, 5, 3)
    image = Image.fromarray(pixels)
    image.info[key] = value
    np.testing.assert_array_equal(load_image(image), pixels)


def test_orientation_in_xmp(tricky: dict[str, bytes]) -> None:
    data = tricky["pillow/xmp_tags_orientation_exiftool.png"]
    image = Image.open(io.BytesIO(data))
    image.load()
    rgba = np.asarray(image)
    expected = on_white(rgba[..., :3], rgba[..., 3])[::-1, ::-1]  # it says 3
    np.testing.assert_array_equal(load_image(data), expected)
    assert (expected != expected[::-1, ::-1]).any()


@pytest.mark.parametrize("tag", [1, 6])
def test_tiff_is_turned_once(tag: int) -> None:
    """By Pillow, as its tag says, whatever XMP says."""
    stored = noise(2, 3, 3)
    xmp = {700: b'<x tiff:Orientation="6"/>', 274: tag}
    data = encode(Image.fromarray(stored), "TIFF", tiffinfo=xmp)
    assert b'tiff:Orientation="6"' in data
    expected = np.rot90(stored, -1) if tag == 6 else stored
    np.testing.assert_array_equal(load_image(data), expected)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(load_image(image), expected)
        np.testing.assert_array_equal(load_image(image), expected)  # loaded already


# ---- more than 8 bits -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_sixteen_bit_grey_is_divided_by_257(mode: str) -> None:
    values = np.arange(65536, dtype=np.int32).reshape(256, 256)
    exact = np.array([round(v / 257) for v in range(65536)]).reshape(256, 256)
    if mode == "I":
        image = Image.fromarray(values)
    else:
        order = "<u2" if mode == "I;16" else ">u2"
        image = Image.frombytes(mode, (256, 256), values.astype(order).tobytes())
    assert image.mode == mode
    pixels = load_image(image)
    for channel in range(3):
        np.testing.assert_array_equal(pixels[..., channel], exact)


def test_sixteen_bit_grey_in_files() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    exact = (values.astype(int) + 128) // 257
    rows = [row.tobytes() for row in values.byteswap()]
    pgm = b"P5 256 256 65535\n" + b"".join(rows)
    for data in (png(16, 0, 256, *rows), grey_tiff(values, bits=16), pgm):
        np.testing.assert_array_equal(load_image(data)[..., 1], exact)
    np.testing.assert_array_equal(
        load_image(grey_tiff(values, bits=16, photometric=0))[..., 0], 255 - exact
    )


def test_tiff_of_12_bits_and_of_signed_16_bits_have_a_white_of_their_own() -> None:
    # Two values of 12 bits lie in three bytes.
    twelve = np.frombuffer(bytes.fromhex("000fff7ff800"), np.uint8).reshape(1, 6)
    data = bytearray(grey_tiff(twelve, bits=12))
    data[18:20] = struct.pack("<H", 4)  # six bytes hold a row of four pixels
    assert load_image(bytes(data))[0, :, 0].tolist() == [0, 255, 127, 128]
    signed = np.array([[0, 16384, 32767]], np.int16)
    assert load_image(grey_tiff(signed, bits=16, signed=True))[0, :, 0].tolist() == [0, 128, 255]


def test_deep_grey_without_a_known_white_is_refused() -> None:
    for values in ([[-1, 5]], [[0, 65536]]):
        with pytest.raises(ImageError, match=r"^image \(I, 2x1\): grey of mode I must have"):
            load_image(Image.fromarray(np.array(values, np.int32)))
    for bad in ([[0, 256]], [[-0.1, 0.5]], [[np.nan, 0.5]], [[0, np.inf]]):
        with pytest.raises(ImageError, match="from 0 to 1, or from 0 to 255"):
            load_image(Image.fromarray(np.array(bad, np.float32)))


def test_float_images_are_of_0_to_1_or_of_0_to_255() -> None:
    unit = np.array([[0, 0.25, 1]], np.float32)
    assert load_image(Image.fromarray(unit))[0, :, 2].tolist() == [0, 64, 255]
    byte = np.array([[0, 63.7, 255]], np.float32)
    assert load_image(Image.fromarray(byte))[0, :, 2].tolist() == [0, 64, 255]


def test_sixteen_bit_colour_keeps_its_upper_eight_bits(tricky: dict[str, bytes]) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    pixels = load_image(png(16, 2, 7, *(row.tobytes() for row in values.byteswap())))
    assert np.abs(pixels - values / 257.0).max() < 1
    striped = load_image(tricky["pillow/tiff_strip_planar_16bit_RGB.tiff"])
    tiled = load_image(tricky["pillow/tiff_tiled_planar_16bit_RGB.tiff"])
    np.testing.assert_array_equal(striped, tiled)


# ---- what is transparent shows white --------------------------------------------------------


def test_every_alpha_over_every_colour_exactly() -> None:
    colour, alpha = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    exact = on_white(colour[..., None], alpha)[..., 0]
    other = 255 - colour
    rgba = np.dstack([colour, other, colour, alpha])
    pixels = load_image(encode(Image.fromarray(rgba)))
    np.testing.assert_array_equal(pixels[..., 0], exact)
    np.testing.assert_array_equal(pixels[..., 1], on_white(other[..., None], alpha)[..., 0])
    np.testing.assert_array_equal(load_image(rgba), pixels)  # an array, by other code
    la = Image.merge("LA", [Image.fromarray(colour), Image.fromarray(alpha)])
    np.testing.assert_array_equal(load_image(la), np.dstack([exact] * 3))


@pytest.mark.parametrize("mode", ["RGBa", "La"])
def test_colours_multiplied_by_alpha_already(mode: str) -> None:
    bands = 4 if mode == "RGBa" else 2
    alpha = noise(16, 16, 1)
    stored = (noise(16, 16, bands - 1) * (alpha / 255.0)).astype(np.uint8)
    image = Image.frombytes(mode, (16, 16), np.dstack([stored, alpha]).tobytes())
    expected = np.broadcast_to(stored + (255 - alpha.astype(int)), (16, 16, 3))
    np.testing.assert_array_equal(load_image(image), expected)


def test_palettes_with_transparent_entries() -> None:
    index = np.array([[0, 1, 2, 3]], np.uint8)
    palette = np.array([[10, 20, 30], [200, 100, 0], [0, 0, 0], [255, 0, 255]], np.uint8)
    image = Image.frombytes("P", (4, 1), index.tobytes())
    image.putpalette(palette.tobytes())
    opaque = palette[None]
    np.testing.assert_array_equal(load_image(image), opaque)
    alphas = np.array([[255, 128, 0, 7]], np.uint8)
    several = encode(image, transparency=alphas.tobytes())
    np.testing.assert_array_equal(load_image(several), on_white(opaque, alphas))
    one = np.array([[255, 255, 0, 255]], np.uint8)
    for data in (encode(image, transparency=2), encode(image, "GIF", transparency=2)):
        np.testing.assert_array_equal(load_image(data), on_white(opaque, one))
    with_alpha = image.convert("PA")
    with_alpha.putalpha(Image.fromarray(alphas))
    np.testing.assert_array_equal(load_image(with_alpha), on_white(opaque, alphas))


@pytest.mark.parametrize(("depth", "row", "trns", "expected"), [
    (1, b"\x50", 1, [0, 255, 0, 255]),
    (1, b"\x50", 0, [255, 255, 255, 255]),
    (2, b"\x1b", 1, [0, 255, 170, 255]),
    (4, b"\x01\x2f", 2, [0, 17, 255, 255]),
    (8, b"\x01\x02\x2f\x2e", 0x2F, [1, 2, 255, 46]),
    (16, b"\x12\x34\x12\x35\0\0\xff\xff", 0x1234, [255, 18, 0, 255]),
])  # fmt: skip
def test_grey_png_with_one_transparent_value(
    depth: int, row: bytes, trns: int, expected: list[int]
) -> None:
    pixels = load_image(png(depth, 0, 4, row, trns=struct.pack(">H", trns)))
    assert pixels[0, :, 0].tolist() == expected


@pytest.mark.parametrize("depth", [8, 16])
def test_colour_png_with_one_transparent_colour(depth: int) -> None:
    values = np.array([[1000, 2000, 3000], [65535, 0, 0], [1000, 2000, 60000]], np.uint16)
    if depth == 8:
        values >>= 8
        row = values.astype(np.uint8).tobytes()
    else:
        row = values.byteswap().tobytes()
    pixels = load_image(png(depth, 2, 3, row, trns=struct.pack(">3H", *values[0].tolist())))
    assert pixels[0].tolist() == [[255, 255, 255], [255, 0, 0], [3, 7, 234]]


def test_png_suite_against_its_reference_renderings(tricky: dict[str, bytes]) -> None:
    """`primary_check` holds each picture again, written as 8-bit RGBA by other software."""
    compared = 0
    for name in tricky:
        folder, _, base = name.rpartition("/")
        if folder == "pngsuite/primary" and f"pngsuite/primary_check/{base}" in tricky:
            with Image.open(io.BytesIO(tricky[f"pngsuite/primary_check/{base}"])) as image:
                rgba = np.asarray(image.convert("RGBA"))
            expected = on_white(rgba[..., :3], rgba[..., 3])
            np.testing.assert_array_equal(load_image(tricky[name]), expected, name)
            compared += 1
    assert compared >= 20
    # The same cube, seen in 8 and in 16 bits.
    cubes = [
        load_image(tricky[f"pngsuite/{n}.png"]) for n in ("primary/tbrn2c08", "16bit/tbgn2c16")
    ]
    np.testing.assert_array_equal(cubes[0], cubes[1])


@pytest.mark.parametrize("name", ["bmp/g/pal8w124.bmp", "bmp/g/rgb24.bmp", "bmp/g/rgb16-565.bmp"])
def test_bmp_against_reference_renderings(tricky: dict[str, bytes], name: str) -> None:
    pixels = load_image(tricky["pillow/" + name]).astype(int)
    reference = load_image(tricky[f"pillow/bmp/html/{Path(name).stem}.png"])
    assert np.abs(pixels - reference).max() <= 1  # 5 bits may be stretched to 8 in two ways


def test_tiff_with_alpha_against_its_reference(tricky: dict[str, bytes]) -> None:
    expected = load_image(tricky["pillow/tiff_16bit_RGBa_target.png"])
    pixels = load_image(tricky["pillow/tiff_16bit_RGBa.tiff"])
    np.testing.assert_array_equal(pixels, expected)
    star = load_image(tricky["pillow/avif/star.png"]).astype(int)
    assert (star[0, 0] == 255).all()  # a transparent corner
    assert np.abs(star - load_image(tricky["pillow/avif/star.gif"])).mean() < 1


# ---- other colours --------------------------------------------------------------------------


def test_cmyk_jpeg_of_photoshop_against_its_rgb_twin(tricky: dict[str, bytes]) -> None:
    cmyk = load_image(tricky["pillow/pil_sample_cmyk.jpg"]).astype(int)
    rgb = load_image(tricky["pillow/pil_sample_rgb.jpg"]).astype(int)
    assert np.abs(cmyk - rgb).mean() < 5  # a negative would be near 230
    tiff_twin = load_image(tricky["pillow/tiff_strip_cmyk_16l_jpeg.tif"]).astype(int)
    assert np.abs(cmyk - tiff_twin).mean() < 2


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_is_ink(kind: str) -> None:
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[..., 0] = 255  # cyan alone
    options = {"quality": 100} if kind == "JPEG" else {}
    pixels = load_image(encode(Image.fromarray(ink, "CMYK"), kind, **options)).astype(int)
    assert np.abs(pixels - [0, 255, 255]).max() <= 2


def test_lab_against_the_formula() -> None:
    """CIE L*a*b* of D50 -> XYZ -> (Bradford) D65 -> linear sRGB -> sRGB, in float64."""
    srgb = np.random.default_rng(0).integers(20, 236, (16, 16, 3), dtype=np.uint8)
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    image = to_lab.apply(Image.fromarray(srgb))
    stored = np.frombuffer(image.tobytes(), np.uint8).reshape(16, 16, 3)
    lightness = stored[..., 0] * (100 / 255)
    a, b = (stored[..., i].astype(np.int8).astype(float) for i in (1, 2))
    fy = (lightness + 16) / 116
    f = np.stack([fy + a / 500, fy, fy - b / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    xyz_to_rgb = np.array([[3.1338561, -1.6168667, -0.4906146],
                           [-0.9787684, 1.9161415, 0.0334540],
                           [0.0719453, -0.2289914, 1.4052427]])  # fmt: skip
    linear = np.clip(xyz @ xyz_to_rgb.T, 0, 1)
    gamma = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    assert np.abs(load_image(image) - 255 * gamma).max() < 1


def test_lab_tiff(tricky: dict[str, bytes]) -> None:
    assert load_image(tricky["pillow/lab.tif"]).min() == 255  # white
    red, green, blue = load_image(tricky["pillow/lab-green.tif"])[0, 0].tolist()
    assert red < blue < green


@pytest.mark.parametrize("mode", ["1", "L", "HSV", "YCbCr", "RGBX"])
def test_modes_that_pillow_converts(mode: str) -> None:
    image = Image.fromarray(noise(9, 7, 3)).convert(mode)
    np.testing.assert_array_equal(load_image(image), np.asarray(image.convert("RGB")))


def test_first_frame_of_animations(tricky: dict[str, bytes]) -> None:
    frames = [Image.fromarray(np.full((4, 5, 3), v, np.uint8)) for v in (60, 200)]
    for kind in ("PNG", "GIF", "WEBP", "TIFF"):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        assert np.abs(load_image(data).astype(int) - 60).max() <= 2, kind
    mpo = load_image(tricky["pillow/sugarshack.mpo"])
    jpg = load_image(tricky["pillow/sugarshack_bad_mpo_header.jpg"])
    np.testing.assert_array_equal(mpo, jpg)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
@pytest.mark.parametrize("size", [(1, 1), (13, 7), (64, 3)])
def test_lossless_formats_give_the_pixels_back(kind: str, size: tuple[int, int]) -> None:
    pixels = np.repeat(noise(*size, 1), 3, axis=2)
    np.testing.assert_array_equal(load_image(encode(Image.fromarray(pixels[..., 0]), kind)), pixels)


@pytest.mark.parametrize("kind", ["WEBP", "JPEG2000", "AVIF"])
def test_formats_that_a_pillow_may_lack(kind: str) -> None:
    pixels = np.full((16, 24, 3), (200, 100, 50), np.uint8)
    try:
        data = encode(Image.fromarray(pixels), kind)
    except (KeyError, OSError) as error:
        pytest.skip(f"this Pillow does not write {kind}: {error}")
    assert np.abs(load_image(data).astype(int) - pixels).max() <= 6


# ---- ways to hand over a photo --------------------------------------------------------------


def test_paths_bytes_files_and_images_agree(tmp_path: Path) -> None:
    pixels = noise(6, 5, 3)
    data = encode(Image.fromarray(pixels))
    path = tmp_path / "a photo.png"
    path.write_bytes(data)
    image = Image.open(path)
    with open(path, "rb") as file, open(path, "rb", buffering=0) as unbuffered:
        for photo in (path, str(path), data, bytearray(data), file, unbuffered, image, pixels):
            np.testing.assert_array_equal(load_image(photo), pixels)
        assert not file.closed
    assert image.mode == "RGB"
    assert image.getpixel((0, 0)) == tuple(pixels[0, 0])  # neither closed nor changed
    image.close()


def test_a_file_is_read_from_where_it_stands() -> None:
    pixels = noise(6, 5, 3)
    file = io.BytesIO(b"something else" + encode(Image.fromarray(pixels), "TIFF"))
    file.seek(14)
    np.testing.assert_array_equal(load_image(file), pixels)
    assert file.read() == b""


def test_the_result_is_the_callers() -> None:
    image = Image.fromarray(noise(6, 5, 3))
    before = image.tobytes()
    pixels = load_image(image)
    pixels[...] = 0  # writable, and not the memory of the image
    assert image.tobytes() == before
    array = noise(6, 5, 3)
    assert load_image(array) is array or np.shares_memory(load_image(array), array)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, ">f8"])
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_arrays(dtype: Any, channels: int | None) -> None:
    values = noise(5, 4) if channels is None else noise(5, 4, channels)
    array = values if dtype is np.uint8 else (values / 255).astype(dtype)
    if channels == 4:
        expected = on_white(values[..., :3], values[..., 3])
    else:
        expected = np.broadcast_to(values.reshape(5, 4, -1), (5, 4, 3))
    for form in (array, np.asfortranarray(array), np.repeat(array, 2, axis=1)[:, ::2]):
        pixels = load_image(form)
        np.testing.assert_array_equal(pixels, expected)
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous


def test_floats_are_rounded_not_cut_off() -> None:
    array = np.array([[0.0, 0.001, 0.0039, 0.5, 0.999, 1.0]])
    assert load_image(array)[0, :, 0].tolist() == [0, 0, 1, 128, 255, 255]


# ---- what is wrong, and how it is said ------------------------------------------------------


@pytest.mark.parametrize(("array", "message"), [
    (np.zeros((3, 4), np.int64), "array (3, 4): must have a dtype for images; expected uint8"),
    (np.zeros((3, 4), bool), "got bool"),
    (np.zeros((3, 4), np.float16), "got float16"),
    (np.zeros((3, 4), np.uint16), "got uint16"),
    (np.zeros((3, 4), object), "got object"),
    (np.zeros((3, 4), complex), "got complex128"),
    (np.zeros((3, 224, 224), np.uint8), "array (3, 224, 224): must hold an image; expected shape"),
    (np.zeros((3, 4, 2), np.uint8), "1, 3 or 4 channels C, got (3, 4, 2)"),
    (np.zeros((2, 3, 4, 3), np.uint8), "got (2, 3, 4, 3)"),
    (np.zeros(5, np.uint8), "got (5,)"),
    (np.zeros((), np.uint8), "got ()"),
    (np.zeros((0, 4, 3), np.uint8), "got (0, 4, 3)"),
    (np.zeros((4, 0), np.uint8), "got (4, 0)"),
    (np.full((2, 2), 1.01), "floats must be from 0 to 1, got 1.01 to 1.01"),
    (np.full((2, 2), -0.01), "from 0 to 1"),
    (np.array([[0, np.nan]]), "from 0 to 1"),
    (np.array([[0, np.inf]]), "from 0 to 1"),
    (np.full((2, 2), 255.0), "divide by 255"),
])  # fmt: skip
def test_unusable_arrays(array: np.ndarray, message: str) -> None:
    with pytest.raises(ImageError) as caught:
        load_image(array)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("photo", [None, 5, [1, 2], {"a": 1}, object()])
def test_what_is_no_photo(photo: Any) -> None:
    with pytest.raises(ImageError, match="must be a photo; expected a path, bytes, a binary file"):
        load_image(photo)


def test_unusable_paths(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"missing.jpg: must be a readable file; .*got No such"):
        load_image(tmp_path / "missing.jpg")
    with pytest.raises(ImageError, match="must be a readable file"):
        load_image(tmp_path)  # a folder
    with pytest.raises(ImageError):
        load_image("")
    with pytest.raises(ImageError, match="null"):
        load_image("a\0b")
    empty = tmp_path / "empty.jpg"
    empty.touch()
    with pytest.raises(ImageError, match=r"empty.jpg: must be a photo; .*got an empty file"):
        load_image(empty)
    text = tmp_path / "two\nlines.txt"
    text.write_text("no photo at all")
    with pytest.raises(ImageError) as caught:
        load_image(text)
    assert "two\\nlines.txt" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "starts with b'no photo at all'" in str(caught.value)


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*args: Any) -> None:  # a real one would not stop root
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(ImageError, match=r"locked.png: must be .* got Permission denied$"):
        load_image(tmp_path / "locked.png")


def test_names_in_errors() -> None:
    with pytest.raises(ImageError, match=r"^bytes \(4 bytes\): must be a photo"):
        load_image(b"junk")
    with pytest.raises(ImageError, match=r"^<file>: must be a photo"):
        load_image(io.BytesIO(b"junk"))
    with pytest.raises(ImageError, match=r"^photo 3 of 10: must be a photo"):
        load_image(b"junk", name="photo 3 of 10")
    with pytest.raises(ImageError, match=r"^<file>: must be opened in binary mode, got str"):
        load_image(io.StringIO("junk"))  # type: ignore[arg-type]
    closed = io.BytesIO(b"junk")
    closed.close()
    with pytest.raises(ImageError, match=r"^<file>: .*closed file"):
        load_image(closed)


@pytest.mark.parametrize(
    "error", [OSError("disk"), RuntimeError("net"), MemoryError(), RecursionError()]
)
def test_a_file_object_may_raise_anything(error: Exception) -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise error

    with pytest.raises(ImageError, match=r"^<file>: ") as caught:
        load_image(Broken())  # type: ignore[arg-type]
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "start", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xd7\xcd\xc6\x9a", b"8BPS", b"%PDF-1.4"]
)
def test_formats_beyond_the_list_are_not_opened(start: bytes) -> None:
    with pytest.raises(ImageError, match="expected JPEG, PNG, GIF"):
        load_image(start.ljust(200, b"\n"))


def test_an_eps_file_runs_nothing(tmp_path: Path) -> None:
    eps = encode(Image.fromarray(noise(4, 4, 3)), "EPS")
    with pytest.raises(ImageError, match="must be a photo"):
        load_image(eps)
    assert Image.open(io.BytesIO(eps)).format == "EPS"  # Pillow would have


# ---- size -----------------------------------------------------------------------------------


def huge(kind: str, width: int, height: int) -> bytes:
    """A small file that claims to be a large image."""
    if kind == "BMP":
        return b"BM" + struct.pack(
            "<IIIIiiHHIIIIII", 200, 0, 54, 40, width, height, 1, 24, *[0] * 6
        )
    if kind == "PPM":
        return b"P6 %d %d 255\n" % (width, height)
    if kind == "TIFF":
        tags = {
            256: (4, (width,)),
            257: (4, (height,)),
            258: (3, (8,)),
            262: (3, (1,)),
            273: (4, (8,)),
        }
        return tiff(tags, b"")
    if kind == "GIF":
        return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b"," + struct.pack(
            "<HHHHB", 0, 0, width, height, 0
        ) + b"\x02\x00;"  # fmt: skip
    data = bytearray(encode(Image.fromarray(noise(8, 8, 3)), kind))
    if kind == "PNG":
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    else:  # JPEG: the frame header
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "PPM", "TIFF", "GIF"])
@pytest.mark.parametrize("size", [(9000, 9900), (20000, 20000), (60000, 60000)])
def test_bombs_are_refused_before_decoding(kind: str, size: tuple[int, int]) -> None:
    data = huge(kind, *size)
    assert len(data) < 2000
    with pytest.raises(ImageError, match="must not be too large") as caught:
        load_image(data)
    if size[0] < 10000:
        assert "at most 89,000,000 pixels" in str(caught.value)
        assert "got 9000x9900 = 89,100,000" in str(caught.value)


def test_the_limit_belongs_to_the_call() -> None:
    before = Image.MAX_IMAGE_PIXELS
    image = Image.fromarray(noise(10, 10, 3))
    for photo in (encode(image), image, np.asarray(image)):
        assert load_image(photo, max_pixels=100).shape == (10, 10, 3)
        with pytest.raises(ImageError, match="at most 99 pixels"):
            load_image(photo, max_pixels=99)
    assert before == Image.MAX_IMAGE_PIXELS
    assert before is None or before > MAX_PIXELS


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_raised_limit_is_not_warned_of(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.fromarray(noise(10, 10, 3)), kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)  # as if the image were a large one
    assert load_image(data, max_pixels=100).shape == (10, 10, 3)


def test_more_bytes_than_any_photo_are_not_read() -> None:
    class Endless(io.RawIOBase):
        read_so_far = 0

        def read(self, size: int = -1) -> bytes:
            self.read_so_far += size
            return b"\xff\xd8\xff".ljust(size, b"\0")

    file = Endless()
    with pytest.raises(ImageError, match="raise max_pixels"):
        load_image(file, max_pixels=1000)  # type: ignore[arg-type]
    assert file.read_so_far < 2**27


# ---- damage ---------------------------------------------------------------------------------


def test_cut_off_and_changed_files_give_an_array_or_an_image_error(
    tricky: dict[str, bytes],
) -> None:
    victims = [
        "pillow/hopper.jpg", "pillow/pil_sample_cmyk.jpg", "pillow/empty_gps_ifd.jpg",
        "pillow/icc_profile.png", "pngsuite/16bit/tbwn0g16.png", "pillow/p_trns_single.png",
        "pillow/apng/delay.png", "pillow/hopper.gif", "pillow/dispose_bgnd.gif",
        "pillow/16bit.MM.deflate.tif", "pillow/pil168.tif", "pillow/lab.tif",
        "pillow/bmp/q/pal4rletrns.bmp", "pillow/bmp/g/rgb24.bmp", "pillow/anim_frame2.webp",
        "pillow/hopper_orientation_4.webp", "pillow/hopper_1bit_plain.pbm", "pillow/frame_size.mpo",
    ]  # fmt: skip
    rng = np.random.default_rng(20130621)
    outcomes = {"array": 0, "error": 0}
    for name in victims:
        whole = tricky[name]
        for case in range(18):
            data = bytearray(whole)
            if case % 3 == 0:
                del data[int(rng.integers(len(data))) :]
            else:  # a few bytes, mostly where the headers are
                reach = len(data) if case % 3 == 1 else min(200, len(data))
                for at in rng.integers(0, reach, int(rng.integers(1, 9))):
                    data[at] = rng.integers(256)
            try:
                pixels = load_image(bytes(data), max_pixels=4_000_000)
            except ImageError as error:
                assert "\n" not in str(error)
                outcomes["error"] += 1
            else:
                assert pixels.ndim == 3
                assert pixels.dtype == np.uint8
                outcomes["array"] += 1
    assert min(outcomes.values()) > 50, outcomes


# ---- threads and processes ------------------------------------------------------------------


def test_eight_threads_at_once(tricky: dict[str, bytes]) -> None:
    names = [
        "pillow/flower.jpg", "pillow/hopper.tif", "pillow/hopper.gif", "pillow/icc_profile.png",
        "pillow/apng/delay.png", "pillow/apng/syntax_num_frames_zero_default.png",
        "pillow/16bit.MM.deflate.tif", "pillow/flower.webp", "pillow/lab.tif",
    ]  # fmt: skip
    alone = {name: load_image(tricky[name]) for name in names}
    filters = list(warnings.filters)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = [(name, pool.submit(load_image, tricky[name])) for name in names * 8]
        for name, job in jobs:
            np.testing.assert_array_equal(job.result(timeout=60), alone[name])
    assert list(warnings.filters) == filters


def test_readers_that_may_warn_take_turns_and_jpeg_does_not_wait() -> None:
    image = Image.fromarray(noise(4, 4, 3))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        with decoding._lock:
            jpeg = pool.submit(load_image, encode(image, "JPEG"))
            waiting = pool.submit(load_image, encode(image, "TIFF"))
            if not decoding.identify(b"\xff\xd8\xff").may_warn:  # so it is in an old Pillow
                jpeg.result(timeout=60)
            with pytest.raises(concurrent.futures.TimeoutError):
                waiting.result(timeout=0.3)
        assert waiting.result(timeout=60).shape == (4, 4, 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_of_fork_does_not_wait_for_a_lock_of_its_parent() -> None:
    script = """
import io, os, threading
from PIL import Image
from decaf import decoding
from decaf.image import load_image
file = io.BytesIO()
Image.new("RGB", (3, 2)).save(file, "TIFF")
with decoding._lock:  # as a thread that is reading a TIFF would hold it
    child = os.fork()
    if child == 0:
        threading.Timer(20, lambda: os._exit(9)).start()
        os._exit(load_image(file.getvalue()).shape[0])
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "2"


def test_importing_decaf_image_does_not_import_pillow() -> None:
    script = "import sys, decaf.image; print('PIL' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_no_file_stays_open(tmp_path: Path) -> None:
    paths = []
    for kind in ("PNG", "TIFF", "GIF", "BMP"):
        paths.append(tmp_path / kind)
        paths[-1].write_bytes(encode(Image.fromarray(noise(4, 4)), kind))
    paths.append(tmp_path / "broken")
    paths[-1].write_bytes(encode(Image.fromarray(noise(40, 40)))[:200])
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("needs /proc")
    before = len(list(folder.iterdir()))
    for _ in range(5):
        for path in paths:
            try:
                load_image(path)
            except ImageError:
                assert path.name == "broken"
    assert len(list(folder.iterdir())) == before


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_a_picture_without_pixels_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="must have pixels"):
        load_image(Image.new("RGB", size))
