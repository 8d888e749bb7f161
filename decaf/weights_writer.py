"""Write the HDF5 file that :mod:`decaf.weights` describes, with h5py."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Sized
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf.errors import WeightsError
from decaf.hdf5 import text_cost
from decaf.hdf5_sink import writing
from decaf.json_file import LARGEST_JSON
from decaf.mean_image import MeanImage
from decaf.messages import names, refuse
from decaf.preprocessing import Preprocessing
from decaf.serialize import architecture_to_dict
from decaf.specs import Architecture

FORMAT = "decaf-weights"
FORMAT_VERSION = 1
ALIGNMENT = 64  # bytes; a cache line, and the widest vector
# Bytes of labels and label_ids together, as text_cost counts them, and of each in the file.
# The 21,841 classes of the whole ImageNet take 5 million.
LARGEST_LABELS = 2**23
CHECKED_AT_ONCE = 2**22  # bytes of parameters


def write_hdf5(
    stream: BinaryIO,
    architecture: Architecture,
    parameters: Mapping[str, ArrayLike],
    preprocessing: Preprocessing,
    labels: Sequence[str],
    label_ids: Sequence[str] | None,
    provenance: Mapping[str, Any] | None,
    dtype: str,
) -> None:
    """Write a file; each parameter is converted, checked and written before the next."""
    import h5py

    for name, given, kind, expected in (
        ("architecture", architecture, Architecture, "an Architecture"),
        ("parameters", parameters, Mapping, "a mapping from names to arrays"),
        ("preprocessing", preprocessing, Preprocessing, "a Preprocessing"),
        ("labels", labels, Sized, "a sequence of strings"),
        ("label_ids", label_ids, (Sized, type(None)), "a sequence of strings, or None"),
        ("provenance", provenance, (Mapping, type(None)), "a mapping, or None"),
    ):
        if not isinstance(given, kind):
            refuse(name, expected, type(given).__name__)
    if dtype not in ("float32", "float16"):
        refuse("dtype", "float32 or float16", repr(dtype))
    missing = architecture.parameter_shapes.keys() - parameters.keys()
    extra = parameters.keys() - architecture.parameter_shapes.keys()
    if missing or extra:
        refuse(
            "parameters",
            f"those of {architecture.name}",
            f"missing {names(missing) or 'none'}; extra {names(extra) or 'none'}",
        )
    attributes = {
        "architecture": architecture_to_dict(architecture),
        "preprocessing": preprocessing.to_dict(),
        "provenance": dict(provenance or {}),
    }
    # The oldest layout is what every HDF5 library reads, and decaf.hdf5 too.
    layout = {"libver": ("earliest", "v108"), "alignment_threshold": 1}
    with writing(stream, alignment_interval=ALIGNMENT, **layout) as (file, check):
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        described = {name: _to_json(name, value) for name, value in attributes.items()}
        check_json(described)
        for name, text in described.items():
            file.attrs[name] = text
        left = LARGEST_LABELS
        for name, texts in (("labels", labels), ("label_ids", label_ids)):
            if texts is not None:
                encoded = _encode(name, texts, architecture.classes)
                cost = sum(map(text_cost, encoded.tolist()))
                if cost > left:
                    expected = f"at most {LARGEST_LABELS:,} bytes, of which {left:,} are left"
                    refuse(name, expected, f"{len(encoded):,} that take {cost:,}")
                left -= cost
                kind = h5py.string_dtype("utf-8", encoded.dtype.itemsize)
                file.create_dataset(name, data=encoded.astype(kind), track_times=False)
        if isinstance(preprocessing.mean, MeanImage):
            mean = preprocessing.mean.values.astype("<f4")
            file.create_dataset("mean_image", data=mean, track_times=False)
        group = file.create_group("parameters")
        for name, shape in architecture.parameter_shapes.items():
            array = _to_array(name, parameters[name], shape, dtype)
            group.create_dataset(name, data=array, track_times=False)
            check()


def _to_json(name: str, value: Any) -> str:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        if json.loads(text) != value:
            refuse(name, "the same when read again from JSON", "keys or values that change")
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise WeightsError(f"{name}: must be something that JSON can hold; {error}") from error
    return text


def check_json(texts: Mapping[str, str]) -> None:
    """Check that what a file describes in JSON is together no longer than it may be."""
    size = sum(len(text.encode()) for text in texts.values())
    if size > LARGEST_JSON:
        refuse(names(texts), f"together at most {LARGEST_JSON:,} bytes of JSON", f"{size:,}")


def _encode(name: str, texts: Sequence[str], classes: int) -> NDArray[np.bytes_]:
    if isinstance(texts, str) or len(texts) != classes:
        refuse(name, f"one string for each of {classes} classes", len(texts))
    for text in texts:
        if not isinstance(text, str) or "\0" in text:
            refuse(name, "strings without NUL characters", repr(text))
    try:
        encoded = [text.encode() for text in texts]
    except UnicodeEncodeError as error:
        raise WeightsError(f"{name}: must be valid Unicode; {error}") from error
    longest = max(1, *map(len, encoded))
    if longest * classes > LARGEST_LABELS:  # all of them are stored as long as the longest
        refuse(name, f"at most {LARGEST_LABELS:,} bytes", f"{classes:,} of {longest:,}")
    return np.array(encoded, f"S{longest}")


def _to_array(
    name: str, values: ArrayLike, shape: tuple[int, ...], dtype: str
) -> NDArray[np.floating]:
    """Convert to what is stored: little-endian, contiguous, finite."""
    try:
        array = np.asarray(values)
    except ValueError as error:  # nested lists of uneven lengths
        raise WeightsError(f"{name}: must be an array; {error}") from error
    if array.dtype.kind != "f":
        refuse(name, "an array of floats", array.dtype)
    if array.shape != shape:
        refuse(name, f"of shape {shape}", array.shape)
    broken = array.size - _count_finite(array)
    if broken:
        refuse(name, "finite", f"{broken:,} NaN or infinite")
    with np.errstate(over="ignore", under="ignore"):
        stored = np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<"))
    if stored.dtype.itemsize < array.dtype.itemsize and _count_finite(stored) < stored.size:
        largest = np.finfo(dtype).max
        refuse(name, f"at most {largest:g} in size to be {dtype}", f"{np.abs(array).max():g}")
    return stored


def _count_finite(array: NDArray[np.floating]) -> int:
    """Count in pieces of some megabytes: a mask of all weights would be a quarter of them."""
    pieces = np.array_split(array, 1 + array.nbytes // CHECKED_AT_ONCE)
    return sum(int(np.count_nonzero(np.isfinite(piece))) for piece in pieces)
