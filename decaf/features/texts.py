r"""Paths, labels, reasons, names and JSON: what may stand in feature files, and how it is kept.

Paths come from the file system, which lets them hold anything.  Bytes that are not UTF-8 arrive
in Python as half characters (PEP 383), and are written as the bytes they were, or in formats
that hold characters alone, as the half characters or as escapes.  No text fails: a feature file
is written when hours of work are done.  What one format cannot hold is written as an escape,
``\x00``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from numpy.typing import NDArray

from decaf.errors import FeaturesError
from decaf.json_file import LARGEST_JSON

# Members and columns of the formats: no layer can have these names.
RESERVED = ("paths", "path", "labels", "label", "failed", "info")
LONGEST_LAYER_NAME = 1000  # bytes
MOST_PARTS, MOST_LAYERS = 16, 1000  # of a name, of a file
LONGEST_TEXT = 2**16  # bytes; HDF5 and NumPy fill all texts up to the length of the longest
LARGEST_D = 2**28  # features of a photo in a layer; a row of HDF5 must be below 4 GiB


class Texts(Sequence[str]):
    """Strings as a file holds them, in an array; each becomes a str when it is asked for.

    Parameters
    ----------
    values : ndarray
        (N,) bytes, which are UTF-8 or any others, or (N,) of characters.
    """

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Texts: ...
    def __getitem__(self, index: int | slice) -> str | Texts:
        if isinstance(index, slice):
            return Texts(self._values[index])
        return _text(self._values[index])

    def __iter__(self) -> Iterator[str]:
        return map(_text, self._values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list has none

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3])) + (", ..." if len(self) > 3 else "")
        return f"<{len(self):,} texts: {shown}>"


class Pairs(Sequence[tuple[str, str]]):
    """Two :class:`Texts` of one length, as a sequence of pairs."""

    def __init__(self, first: Sequence[str], second: Sequence[str]) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first)

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, index: slice) -> Pairs: ...
    def __getitem__(self, index: int | slice) -> tuple[str, str] | Pairs:
        if isinstance(index, slice):
            return Pairs(self._first[index], self._second[index])
        return self._first[index], self._second[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(
            a == tuple(b) for a, b in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self):,} pairs>"


def _text(value: bytes | str) -> str:
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value)


def as_bytes(text: str) -> bytes:
    """Return what a file system would hold: UTF-8, and bytes that are none as they were."""
    try:
        encoded = text.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # half characters of another kind, which Windows allows in names
        encoded = text.encode(errors="backslashreplace")
    return encoded.replace(b"\0", rb"\x00")  # files fill up with NULs


def as_unicode(text: str) -> str:
    r"""Return whole characters, with escapes (``\udcff``) in place of halves."""
    return text.encode(errors="backslashreplace").decode().replace("\0", r"\x00")


def check_text(what: str, text: str) -> int:
    """Return the bytes that a path, label or reason takes in a file.

    Raises
    ------
    FeaturesError
        If they are too many.
    """
    size = len(as_bytes(text))
    if size > LONGEST_TEXT:
        raise FeaturesError(
            f"{what} must be at most {LONGEST_TEXT:,} bytes; got {size:,}: {text!r:.100}"
        )
    return size


def check_layer_names(names: Iterable[str]) -> None:
    """Check that features of layers of these names can be written, in every format.

    Raises
    ------
    FeaturesError
        For no name or more than 1,000; for one that stands twice, that the formats use
        themselves, or that makes no path in HDF5, where ``/`` makes groups.
    """
    names = list(names)
    if not 1 <= len(names) <= MOST_LAYERS:
        got = f"{len(names):,}" if names else "none"
        raise FeaturesError(f"layers must be at least one and at most {MOST_LAYERS:,}; got {got}")
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str):
            raise FeaturesError(f"the name of a layer must be a str; got {type(name).__name__}")
        parts = name.split("/")
        if parts[0] in RESERVED:
            raise FeaturesError(
                f"the name of a layer must be none that feature files use themselves "
                f"({', '.join(RESERVED)}); got {name!r:.100}"
            )
        printable = name.isprintable() and "\\" not in name
        # "relu:0" is a name that TensorFlow gives, "C:" a drive for who unpacks a .npz.
        drive = any(part.endswith(":") for part in parts)
        if not {"", ".", ".."}.isdisjoint(parts) or not printable or drive:
            raise FeaturesError(
                "the name of a layer must be printable parts between single '/', without a ':' at "
                f"their end; got {name!r:.100}"
            )
        if len(parts) > MOST_PARTS:
            raise FeaturesError(
                f"the name of a layer must be at most {MOST_PARTS} parts; got {name!r:.100}"
            )
        if len(name.encode()) > LONGEST_LAYER_NAME:
            raise FeaturesError(
                f"the name of a layer must be at most {LONGEST_LAYER_NAME:,} bytes; "
                f"got {name!r:.100}..."
            )
        if name in seen:
            raise FeaturesError(f"layers must be different; got {name!r:.100} twice")
        seen.add(name)
    for name in names:
        parts = name.split("/")
        for end in range(1, len(parts)):
            group = "/".join(parts[:end])
            if group in seen:
                raise FeaturesError(
                    f"layers must not lie inside others, for '/' makes groups; "
                    f"got {group!r:.100} and {name!r:.100}"
                )


def check_layers(layers: dict[str, int]) -> None:
    """Check names as :func:`check_layer_names` does, and that each has a number of features.

    Raises
    ------
    FeaturesError
        Likewise.
    """
    check_layer_names(layers)
    for layer, width in layers.items():
        if type(width) is not int or not 1 <= width <= LARGEST_D:
            raise FeaturesError(
                f"{layer}: features must be 1 to {LARGEST_D:,}; got {str(width)[:30]}"
            )


def to_json(what: str, value: dict[str, Any], most: int = LARGEST_JSON) -> str:
    """Return a dictionary as JSON in ASCII, in the order of its keys.

    Raises
    ------
    FeaturesError
        If JSON cannot hold it, or it takes more than `most` bytes.
    """
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise FeaturesError(f"{what} must be something that JSON can hold; got {error}") from error
    if len(text) > most:
        raise FeaturesError(f"{what} must be at most {most:,} bytes of JSON; got {len(text):,}")
    return text


def from_json(what: str, text: str | bytes, most: int = LARGEST_JSON) -> dict[str, Any]:
    """Return the dictionary that :func:`to_json` wrote; `text` may be anything.

    Raises
    ------
    FeaturesError
        If it is too long, no JSON, or no dictionary.
    """
    if len(text) > most:
        raise FeaturesError(f"{what} must be at most {most:,} bytes of JSON; got {len(text):,}")
    try:
        # json itself would take bytes for UTF-16 and UTF-32, too.
        value = json.loads(text.decode() if isinstance(text, bytes) else text)
        json.dumps(value, allow_nan=False)  # an infinity can hide in 1e999
    except (ValueError, RecursionError) as error:
        raise FeaturesError(f"{what} must be valid JSON; got {str(error)[:200]}") from error
    if not isinstance(value, dict):
        raise FeaturesError(f"{what} must be a dictionary in JSON; got {type(value).__name__}")
    return value
