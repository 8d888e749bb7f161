"""NumPy's ``.npz``: a ZIP archive of ``.npy`` files, one an array, named as the arrays are.

``numpy.savez`` stores them, and their values are then read where they lie; ``savez_compressed``
deflates them.  What pickle would have to read (arrays of objects) is refused.

Source: ``numpy.savez``, ``numpy.lib.format``; :mod:`decaf.formats.zip` and
:mod:`decaf.formats.npy` say what the two layers are.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from decaf.cursor import Buffer
from decaf.errors import WeightsError
from decaf.files import replacing
from decaf.formats import npy
from decaf.formats.model import Tensors
from decaf.formats.zip import DEFLATED, contents, entries

SUFFIX = ".npy"
LARGEST_RATIO = 1032  # of deflate: 258 bytes in 2 bits
NO_DATE = (1980, 1, 1, 0, 0, 0)  # the first date that ZIP knows: the same bytes every time


def tensors(data: Buffer) -> Tensors:
    """View the arrays of an archive.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.

    Returns
    -------
    dict
        Read-only arrays by the names that the file gives them (``conv1/weight``,
        ``features.0.weight``): floats or integers in any byte order, perhaps unaligned.
        Stored ones are views of `data`, deflated ones take memory of their own.

    Raises
    ------
    WeightsError
        If it is no such archive, a checksum differs, a member is no array of numbers, or
        deflated ones would take more than twice the file and 64 MB.
    """
    members = entries(data)
    packed = [member for member in members.values() if member.method == DEFLATED]
    sizes = [member.size for member in packed]
    for member in packed:
        if member.size > LARGEST_RATIO * member.compressed:
            raise WeightsError(
                f"{member.name!r:.100}: must be no larger than deflate can make it; expected at "
                f"most {LARGEST_RATIO * member.compressed:,} bytes, got {member.size:,}"
            )
    most = 2 * len(data) + 2**26
    if sum(sizes) + max(sizes, default=0) > most:  # the largest stands there twice for a moment
        raise WeightsError(
            f"arrays must not be many times as large as the file; expected at most {most:,} "
            f"bytes in all, got {sum(sizes):,}"
        )
    found: Tensors = {}
    for name, member in members.items():
        if not name.endswith(SUFFIX) or name == SUFFIX:
            raise WeightsError(f"members must be arrays, NAME.npy; got {name!r:.100}")
        buffer, offset = contents(data, member)
        try:
            found[name.removesuffix(SUFFIX)] = npy.array(buffer, offset, member.size)
        except WeightsError as error:
            raise WeightsError(f"{name!r:.100}: {error}") from error
    return found


def write(path: str | os.PathLike[str], arrays: Mapping[str, ArrayLike]) -> None:
    """Write arrays of numbers as ``numpy.savez`` does, stored; ``numpy.load`` reads them.

    The same arrays give the same bytes: there are no dates in the file.

    Parameters
    ----------
    path : path
        Where to; the folder must exist.
    arrays : Mapping
        Arrays of floats or integers by name, such as ``{"conv1/weight": …}``.

    Raises
    ------
    WeightsError
        If one is no array of numbers, or the file cannot be written.
    """
    try:
        with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
            for name, values in arrays.items():
                array = np.asarray(values)
                if array.dtype.kind not in "fiu":
                    raise WeightsError(f"{name}: must be an array of numbers; got {array.dtype}")
                info = zipfile.ZipInfo(f"{name}{SUFFIX}", NO_DATE)
                with archive.open(info, "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: must be a place to write arrays to; got {error}") from error
