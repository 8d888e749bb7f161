r"""NumPy's ``.npy``: one array behind a line of text that says what it is.

=======  =====================================================================================
bytes    what
=======  =====================================================================================
6        ``\x93NUMPY``
2        version: 1.0, 2.0 or 3.0
2 or 4   size of the header; 2 bytes in version 1
header   ``{'descr': '<f4', 'fortran_order': False, 'shape': (96, 3, 11, 11), }``, padded with
         spaces and ended by a newline
rest     the values; in Fortran order the first index runs fastest
=======  =====================================================================================

The header is a Python literal.  It is not evaluated here but matched: three keys in any order,
one of NumPy's numbers as the type.  Objects (which are pickles), records, strings and complex
numbers are refused.

Source: ``numpy.lib.format``, NEP 1.
"""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from decaf.cursor import Buffer, Cursor
from decaf.errors import WeightsError

MAGIC = b"\x93NUMPY"
LARGEST_HEADER = 2**16  # bytes, with the padding; NumPy itself writes 118 for a filter
LONGEST_LITERAL = 1000  # characters, without it
MOST_DIMENSIONS = 32
ITEM = r"'(\w+)'\s*:\s*('[^']*'|True|False|\([\dL,\s]*\))"
HEADER = re.compile(rf"\{{\s*{ITEM}\s*,\s*{ITEM}\s*,\s*{ITEM}\s*,?\s*\}}", re.ASCII)
DTYPE = re.compile(r"'([<>]f[248]|[<>][iu][248]|\|[iu]1)'")
ORDER = re.compile(r"(True|False)")
SHAPE = re.compile(r"\(((?:\s*\d{1,18}L?\s*,)*(?:\s*\d{1,18}L?)?)\s*\)", re.ASCII)  # L: Python 2


def array(data: Buffer, start: int = 0, size: int | None = None) -> NDArray[np.number]:
    """View the array of a ``.npy`` file, or of one that lies inside another file.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.
    start, size : int
        Where in it the ``.npy`` lies, in bytes; by default all of it.

    Returns
    -------
    ndarray
        Read-only view of `data`, of the shape and type that the header says: floats or
        integers in any byte order, perhaps unaligned, perhaps in Fortran order.

    Raises
    ------
    WeightsError
        If it is no ``.npy``, holds anything but numbers, has no values, or a header that does
        not agree with its size.
    """
    part = Cursor(data, start, size)
    if part.left < len(MAGIC) or part.take(len(MAGIC)) != MAGIC:
        raise WeightsError(f"an array must be a .npy; expected {MAGIC!r}, got another beginning")
    version = part.expect(version=(1, 2, 3), what="array")
    part.expect(minor_version=(0,), what="array")
    header_size = part.uint(2 if version == 1 else 4)
    if header_size > LARGEST_HEADER:
        raise WeightsError(
            f"the header of an array must be at most {LARGEST_HEADER:,} bytes; got {header_size:,}"
        )
    dtype, fortran_order, shape = _header(part.take(header_size))
    if dtype.itemsize * math.prod(shape) != part.left:
        raise WeightsError(
            f"the values of an array must fill its file; expected {shape} {dtype} in "
            f"{dtype.itemsize * math.prod(shape):,} bytes, got {part.left:,}"
        )
    values = np.frombuffer(data, dtype, math.prod(shape), part.at)
    values.flags.writeable = False
    return values.reshape(shape[::-1]).T if fortran_order else values.reshape(shape)


def _header(raw: bytes) -> tuple[np.dtype[np.number], bool, tuple[int, ...]]:
    """Match the literal: type, order and shape."""
    text = raw.decode("latin-1").strip()
    match = HEADER.fullmatch(text) if len(text) <= LONGEST_LITERAL else None
    items = dict(zip(match.groups()[::2], match.groups()[1::2], strict=True)) if match else {}
    if items.keys() != {"descr", "fortran_order", "shape"}:
        raise WeightsError(
            "the header of an array must be a dictionary of descr, fortran_order and shape; "
            f"got {text[:100]!r}"
        )
    dtype = DTYPE.fullmatch(items["descr"])
    if dtype is None:
        raise WeightsError(
            f"the type of an array must be floats or integers; got {items['descr'][:100]}"
        )
    order, sizes = ORDER.fullmatch(items["fortran_order"]), SHAPE.fullmatch(items["shape"])
    if order is None or sizes is None:
        raise WeightsError(
            "the order of an array must be True or False, and its shape a tuple of sizes; "
            f"got {items['fortran_order'][:50]!r} and {items['shape'][:100]!r}"
        )
    shape = tuple(int(size) for size in re.findall(r"\d+", sizes[1]))
    if 0 in shape or len(shape) > MOST_DIMENSIONS:
        raise WeightsError(
            f"the shape of an array must be at most {MOST_DIMENSIONS} sizes of at least 1; "
            f"got {items['shape'][:100]}"
        )
    return np.dtype(dtype[1]), order[1] == "True", shape
