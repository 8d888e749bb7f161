"""Features in NumPy's ``.npz``: ``np.load(path)["relu6"]``, without pickle.

=============  =============================================================================
member         values
=============  =============================================================================
``<layer>``    (N, D) little-endian float32; a ``/`` in the name is one in the archive, too
``paths``      (N,) characters: the photo of each row
``labels``     (N,) characters
``failed``     (M, 2) characters: path and reason of each photo without a row
``info``       () characters: JSON, what made the features
=============  =============================================================================

Members are stored, not packed: features hardly get smaller.  ZIP's CRC-32 guards them, which
``np.load`` compares, and decaf as well.  The same features give the same bytes: there are no
dates in the file.  Archives whose members are packed, or hold anything else, are not read.
"""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from decaf.cursor import Buffer, Cursor
from decaf.errors import FeaturesError
from decaf.features.blocks import AT_ONCE, named, regroup, rows_at_once
from decaf.features.contents import Array, Features
from decaf.features.texts import (
    LARGEST_D,
    Pairs,
    Texts,
    check_layers,
    check_text,
    from_json,
    to_json,
)
from decaf.formats.npy import MAGIC
from decaf.formats.npz import NO_DATE, SUFFIX
from decaf.formats.zip import STORED, Entry, entries
from decaf.hdf5_data import give_back

TEXTS = {"paths": 1, "labels": 1, "failed": 2, "info": 0}  # and their axes
LARGEST_HEADER = 2**12  # bytes; NumPy writes 118
# What NumPy writes of float32 and of characters, which is the only thing that is read.
HEADER = re.compile(
    r"\{'descr': '<(f4|U\d{1,9})', 'fortran_order': False, "
    r"'shape': \(((?:\d{1,15}(?:,|, \d{1,15}))?)\), \} *\n",
    re.ASCII,
)
LAST_CHARACTER = 0x10FFFF


def write(stream: BinaryIO, features: Features) -> None:
    """Write a file, a block of rows in memory at a time.

    Parameters
    ----------
    stream : BinaryIO
        Open for writing, at its start; one that can seek.
    features : Features
        What to write.

    Raises
    ------
    FeaturesError
        If names or rows do not fit; whatever reading `features` raises.
    OSError
        If it cannot be written.
    """
    check_layers(features.layers)
    info = to_json("info", features.info)
    failed = [text for pair in features.failed for text in pair]
    count = len(features)
    with zipfile.ZipFile(stream, "w") as archive:
        for layer, width in features.layers.items():
            blocks = regroup(features, layer, rows_at_once(4 * width))
            _write(archive, layer, "<f4", (count, width), blocks)
        for name, texts, shape in (
            ("paths", features.paths, (count,)),
            ("labels", features.labels, (count,)),
            ("failed", failed, (len(failed) // 2, 2)),
            ("info", [info], ()),
        ):
            if len(texts) != math.prod(shape):
                raise FeaturesError(f"{name} must be {math.prod(shape):,}; got {len(texts):,}")
            if name != "info":
                for text in texts:
                    check_text(name, text)
            longest = max(1, max((len(_escaped(text)) for text in texts), default=1))
            dtype = f"<U{longest}"
            _write(archive, name, dtype, shape, _characters(texts, dtype))


def _escaped(text: str) -> str:
    return text.replace("\0", r"\x00")  # NumPy fills up with NULs


def _characters(texts: Sequence[str], dtype: str) -> Iterator[NDArray[np.str_]]:
    step = rows_at_once(np.dtype(dtype).itemsize)
    for start in range(0, len(texts), step):
        yield np.array([_escaped(text) for text in texts[start : start + step]], dtype)


def _write(
    archive: zipfile.ZipFile,
    name: str,
    dtype: str,
    shape: tuple[int, ...],
    blocks: Iterator[Array] | Iterator[NDArray[np.str_]],
) -> None:
    info = zipfile.ZipInfo(f"{name}{SUFFIX}", NO_DATE)
    with archive.open(info, "w", force_zip64=True) as member:
        header = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, header)
        for block in blocks:
            member.write(block.reshape(-1).view(np.uint8).data)


def read(data: Buffer, path: str) -> Features:
    """Read all of a file but the rows, which are read and checked when they are asked for.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.
    path : str
        For messages.

    Raises
    ------
    FeaturesError
        If it is another file, or damaged; the message starts with the path.
    """
    with named(path):
        members = {name.removesuffix(SUFFIX): entry for name, entry in entries(data).items()}
        missing = TEXTS.keys() - members.keys()
        if missing:
            raise FeaturesError(
                f"the archive must be a feature file, with a member {min(missing)}{SUFFIX}; "
                "got none"
            )
        found = {name: _array(data, name, entry) for name, entry in members.items()}
        texts = {name: found.pop(name) for name in TEXTS}
        for name, axes in TEXTS.items():
            _check_texts(data, name, texts[name], axes, members[name])
        info = from_json("info", str(texts["info"][()]))
        count = len(texts["paths"])
        if len(texts["labels"]) != count:
            raise FeaturesError(f"labels must be {count:,}; got {len(texts['labels']):,}")
        for name, array in found.items():
            if array.dtype != "<f4" or array.ndim != 2 or len(array) != count:
                raise FeaturesError(
                    f"{name:.100}: must be a matrix of float32 of {count:,} rows; got "
                    f"{array.dtype}, shape {array.shape}"
                )
        layers = {name: array.shape[1] for name, array in found.items()}
        check_layers(layers)

    def rows(layer: str) -> Iterator[Array]:
        with named(f"{path}: {layer}"):
            _check(data, members[layer])
            array, at = found[layer], members[layer].offset
            step = rows_at_once(4 * array.shape[1])
            for start in range(0, len(array), step):
                yield np.array(array[start : start + step], np.float32)
                give_back(data, at + 4 * array.shape[1] * start, AT_ONCE)

    failed = texts["failed"]
    pairs = Pairs(Texts(failed[:, 0]), Texts(failed[:, 1]))
    return Features(layers, Texts(texts["paths"]), Texts(texts["labels"]), pairs, info, rows)


def _array(data: Buffer, name: str, entry: Entry) -> NDArray[np.generic]:
    """View an array in the file; its checksum is not compared yet."""
    if entry.method != STORED:
        raise FeaturesError(f"{name:.100}: must be stored as it is; got packed data")
    part = Cursor(data, entry.offset, entry.size)
    if part.take(len(MAGIC)) != MAGIC:
        raise FeaturesError(f"{name:.100}: must be a .npy; got another beginning")
    part.expect(version=(1,), what="array")
    part.take(1)
    size = part.uint(2)
    if size > LARGEST_HEADER:
        raise FeaturesError(f"{name:.100}: must have a short header; got {size:,} bytes")
    text = part.take(size).decode("latin-1")
    match = HEADER.fullmatch(text)
    if match is None:
        raise FeaturesError(
            f"{name:.100}: must be float32 or characters, row by row, as decaf writes them; "
            f"got {text[:100]!r}"
        )
    shape = tuple(int(axis) for axis in re.findall(r"\d+", match[2]))
    itemsize = 4 if match[1] == "f4" else 4 * int(match[1][1:])
    if not 1 <= itemsize < 2**31 or itemsize * math.prod(shape) != part.left:
        raise FeaturesError(
            f"{name:.100}: must fill its place; expected {shape} of {itemsize:,} bytes, "
            f"got {part.left:,}"
        )
    count = math.prod(shape)
    if not count:
        if max(shape) > LARGEST_D:  # nothing else limits an axis beside one of 0
            raise FeaturesError(f"{name:.100}: axes must be at most {LARGEST_D:,}; got {shape}")
        return np.zeros(shape, f"<{match[1]}")
    return np.frombuffer(data, f"<{match[1]}", count, part.at).reshape(shape)


def _check_texts(
    data: Buffer, name: str, array: NDArray[np.generic], axes: int, entry: Entry
) -> None:
    """Check type, shape, checksum, and that all are characters."""
    if array.dtype.kind != "U" or array.ndim != axes or array.shape[1:] not in ((), (2,)):
        raise FeaturesError(
            f"{name} must be characters of {axes} axes; got {array.dtype}, shape {array.shape}"
        )
    _check(data, entry)
    flat = array.reshape(-1)
    step = rows_at_once(array.dtype.itemsize)
    for start in range(0, len(flat), step):
        part = np.ascontiguousarray(flat[start : start + step])
        largest = int(part.view("<u4").max())
        if largest > LAST_CHARACTER:
            raise FeaturesError(f"{name} must be characters; got number {largest:,}")


def _check(data: Buffer, entry: Entry) -> None:
    """Compare a stored member with its checksum, a piece in memory at a time."""
    crc = 0
    for start in range(entry.offset, entry.offset + entry.size, AT_ONCE):
        end = min(start + AT_ONCE, entry.offset + entry.size)
        crc = zlib.crc32(data[start:end], crc)
        give_back(data, start, end - start)
    if crc != entry.crc:
        raise FeaturesError(
            f"{entry.name:.100}: must have the checksum {entry.crc:08x}; got {crc:08x}"
        )
