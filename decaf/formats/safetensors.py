"""safetensors: a JSON header that says where each tensor lies, and then the tensors.

=======  ======================================================================================
bytes    what
=======  ======================================================================================
8        size of the header, little-endian
header   ``{"features.0.weight": {"dtype": "F32", "shape": [64, 3, 11, 11], "data_offsets":
         [0, 92928]}, …, "__metadata__": {"format": "pt"}}``, padded with spaces
rest     the values, little-endian, in C order; offsets count from here
=======  ======================================================================================

The format has no code and no compression in it, so that reading it safely is a matter of
checking numbers: tensors follow each other without gap or overlap and fill the file, each is as
large as its shape and type say, and no name stands twice.

The package ``safetensors`` is not used, but tested against.  Its version 0.8 copies the file
(its views need a file that it opens by itself), takes the second of two tensors of the same
name, and answers BF16 with a KeyError; what it does well fits on this page.

Source: the section "Format" of https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf.cursor import Buffer, Cursor
from decaf.errors import WeightsError
from decaf.files import replacing
from decaf.formats import notes
from decaf.formats.bfloat16 import widen
from decaf.formats.model import Tensors
from decaf.formats.parameters import check_parameters
from decaf.formats.state_dict import torch_names
from decaf.preprocessing import Preprocessing
from decaf.specs import Architecture

BFLOAT16 = "BF16"
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", BFLOAT16: "<u2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1",
}  # fmt: skip
FIELDS = {"dtype", "shape", "data_offsets"}
METADATA = "__metadata__"
LARGEST_HEADER = 2**20  # bytes; AlexNet's takes 2,000.  JSON may take 30 times as much unpacked
MOST_DIMENSIONS = 32
ALIGNMENT = 8  # bytes, of the values in files that are written


def tensors(data: Buffer) -> Tensors:
    """View the tensors of a file.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.

    Returns
    -------
    dict
        Read-only arrays by the names that the file gives them, in the order of their values:
        views of `data`, little-endian and perhaps unaligned; BF16 is widened to float32.

    Raises
    ------
    WeightsError
        If this is no such file; for types that are not numbers; for tensors without values.
    """
    header, start = _header(data)
    header.pop(METADATA, None)
    places = {name: _place(name, fields) for name, fields in header.items()}
    end = 0
    for name in sorted(places, key=lambda name: places[name][2]):
        _, shape, begin, size = places[name]
        if begin != end:
            raise WeightsError(
                f"{name!r:.100}: tensors must follow each other; expected to start at {end:,}, "
                f"got {begin:,}"
            )
        end += size
    if start + end != len(data):
        raise WeightsError(
            f"tensors must fill the file; expected {start + end:,} bytes, got {len(data):,}"
        )
    found: Tensors = {}
    for name, (dtype, shape, begin, _) in sorted(places.items(), key=lambda item: item[1][2]):
        values: NDArray[Any] = np.frombuffer(data, DTYPES[dtype], math.prod(shape), start + begin)
        found[name] = (widen(values) if dtype == BFLOAT16 else values).reshape(shape)
        found[name].flags.writeable = False
    return found


def metadata(data: Buffer) -> dict[str, str]:
    """Return the strings that the file holds beside its tensors; empty where it has none.

    Raises
    ------
    WeightsError
        If the header is not JSON as it must be.
    """
    found = _header(data)[0].get(METADATA, {})
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise WeightsError(f"{METADATA} must map names to strings; got something else")
    return found


def _header(data: Buffer) -> tuple[dict[str, Any], int]:
    """Parse the header, and return it with where the values start."""
    file = Cursor(data)
    size = file.uint(8)
    if size > LARGEST_HEADER:
        raise WeightsError(
            f"the header of safetensors must be at most {LARGEST_HEADER:,} bytes; got {size:,}"
        )

    def constant(word: str) -> NoReturn:
        raise WeightsError(f"numbers must be finite; got {word}")

    def without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise WeightsError("names must be different from each other; got one twice")
        return found

    try:
        text = file.take(size).decode()
        header = json.loads(text, parse_constant=constant, object_pairs_hook=without_repetition)
        "".join(header).encode()  # half a character can hide in an escape
    except (ValueError, TypeError, RecursionError, WeightsError) as error:
        raise WeightsError(f"the header of safetensors must be JSON; {str(error)[:200]}") from error
    if not isinstance(header, dict):
        raise WeightsError("the header of safetensors must be a dictionary; got something else")
    return header, file.at


def _place(name: str, fields: Any) -> tuple[str, tuple[int, ...], int, int]:
    """Check one tensor by itself; type, shape, start and size in bytes."""
    if not isinstance(fields, dict) or fields.keys() != FIELDS:
        raise WeightsError(f"{name!r:.100}: must have {', '.join(sorted(FIELDS))}; got others")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise WeightsError(
            f"{name!r:.100}: type must be one of {', '.join(DTYPES)}; got {dtype!r:.50}"
        )
    if not _whole(shape, MOST_DIMENSIONS) or 0 in shape:
        raise WeightsError(
            f"{name!r:.100}: shape must be at most {MOST_DIMENSIONS} whole numbers of at least 1; "
            f"got {shape!r:.100}"
        )
    size = np.dtype(DTYPES[dtype]).itemsize * math.prod(shape)
    if not _whole(offsets, 2) or len(offsets) != 2 or offsets[1] - offsets[0] != size:
        raise WeightsError(
            f"{name!r:.100}: offsets must enclose {tuple(shape)} {dtype}, {size:,} bytes; "
            f"got {offsets!r:.100}"
        )
    return dtype, tuple(shape), offsets[0], size


def _whole(numbers: Any, most: int) -> bool:
    """Whether this is a list of whole numbers of a size to compute with."""
    return (
        isinstance(numbers, list)
        and len(numbers) <= most
        and all(type(number) is int and 0 <= number < 2**63 for number in numbers)
    )


def write(
    path: str | os.PathLike[str],
    architecture: Architecture,
    parameters: Mapping[str, ArrayLike],
    *,
    preprocessing: Preprocessing | None = None,
    labels: Sequence[str] | None = None,
    label_ids: Sequence[str] | None = None,
) -> None:
    """Write a network under torch's names where torchvision has it, else under decaf's.

    Parameters
    ----------
    path : path
        Where to; the folder must exist.
    architecture : Architecture
        The network.
    parameters : Mapping
        Floats by decaf's names, exactly those of ``architecture.parameter_shapes``; stored as
        float16, float32 or float64, as they are.
    preprocessing, labels, label_ids : optional
        Kept as notes (:mod:`decaf.formats.notes`).

    Raises
    ------
    WeightsError
        If anything does not fit, or the file cannot be written.
    """
    strings = notes.to_strings(architecture, preprocessing, labels, label_ids)
    arrays = check_parameters(architecture, parameters)
    names = torch_names(architecture)
    codes = {dtype: code for code, dtype in DTYPES.items() if dtype[1] == "f"}
    header: dict[str, Any] = {METADATA: {"format": "pt", **strings}}  # "pt": as torch names them
    at = 0
    for name, array in arrays.items():
        header[names[name]] = {
            "dtype": codes[array.dtype.newbyteorder("<").str],
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    if len(text) > LARGEST_HEADER:
        raise WeightsError(
            f"the header must be at most {LARGEST_HEADER:,} bytes; got {len(text):,}"
        )
    try:
        with replacing(path) as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for array in arrays.values():
                file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
    except (OSError, ValueError) as error:  # a NUL in the path
        raise WeightsError(f"{path}: must be a place to write to; got {error}") from error
