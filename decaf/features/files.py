"""Feature files: which format, written whole or not at all, read lazily."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from decaf.errors import FeaturesError
from decaf.features import file_h5, file_npz, file_parquet
from decaf.features.blocks import named
from decaf.features.contents import Features
from decaf.features.journal_records import MAGIC as JOURNAL
from decaf.files import map_file, replacing
from decaf.hdf5 import SIGNATURE as HDF5

FORMATS: dict[str, tuple[str, ...]] = {  # and how the names of their files end
    "h5": (".h5", ".hdf5"),
    "npz": (".npz",),
    "parquet": (".parquet",),
}
WRITERS: dict[str, Callable[[BinaryIO, Features], None]] = {
    "h5": file_h5.write,
    "npz": file_npz.write,
    "parquet": file_parquet.write,
}


def choose_format(output: str | os.PathLike[str], asked: str | None = None) -> str:
    """Return the format in which to write a file.

    Parameters
    ----------
    output : path
        Its name decides where nothing is asked for.
    asked : {None, "h5", "npz", "parquet"}
        Wins over any name; but Parquet is read only under a name of its own, see
        :func:`load_features`.

    Returns
    -------
    str
        One of `FORMATS`.

    Raises
    ------
    FeaturesError
        For a format that is not known, a name that says none, and Parquet under another.
    """
    suffix = Path(output).suffix.lower()
    if asked is not None:
        if asked not in FORMATS:
            raise FeaturesError(f"the format must be {', '.join(FORMATS)}; got {asked!r}")
        if asked == "parquet" and suffix not in FORMATS[asked]:
            raise FeaturesError(f"{output}: must end with .parquet to be Parquet; got {suffix!r}")
        return asked
    for name, suffixes in FORMATS.items():
        if suffix in suffixes:
            return name
    expected = ", ".join(suffix for suffixes in FORMATS.values() for suffix in suffixes)
    raise FeaturesError(
        f"{output}: must end with {expected}, or a format be asked for (--format); got {suffix!r}"
    )


def write_features(
    path: str | os.PathLike[str],
    features: Features,
    format: str,
    temporary: str | os.PathLike[str] | None = None,
    *,
    replace: bool = True,
) -> None:
    """Write a feature file under a temporary name, and rename it when it is on the disk.

    The same features give the same bytes, however their rows are cut into blocks.

    Parameters
    ----------
    path : path
        Where to; the folder must exist.
    features : Features
        What to write; read a block at a time.
    format : {"h5", "npz", "parquet"}
        How; see ``file_h5``, ``file_npz`` and ``file_parquet``.
    temporary : path, optional
        As for `decaf.files.replacing`.
    replace : bool
        Whether a file that is there is replaced, or refused.

    Raises
    ------
    FeaturesError
        If it cannot be written, names or rows do not fit, or `features` cannot be read; there
        is then what was there before.
    """
    writer = WRITERS[choose_format(path, format)]
    try:
        with replacing(path, temporary, replace=replace) as stream:
            writer(stream, features)
    except FileExistsError as error:
        raise FeaturesError(
            f"{error.filename or path}: must not exist; got a file that appeared meanwhile: "
            "remove or rename it"
        ) from error
    except (OSError, ValueError) as error:  # a NUL in the path
        raise FeaturesError(
            f"{path}: must be a place to write to, with room for the features; got {error}"
        ) from error


def load_features(path: str | os.PathLike[str]) -> Features:
    """Open a feature file of any format, which is told by its contents.

    Rows are read, and compared with their checksums, when they are asked for; the rest is in
    memory.  Only what is named ``.parquet`` is read as such, for that is left to a library that
    trusts files.  The file must not be overwritten or cut in place meanwhile; it may be replaced.

    Raises
    ------
    FeaturesError
        If it cannot be read, is another file, or damaged; the message starts with the path.
    """
    name = str(path)
    with named(name):
        data = map_file(path, "a feature file")
        if data[: len(HDF5)] == HDF5:
            return file_h5.read(data, name)
        if data[:4] in (b"PK\3\4", b"PK\5\6"):
            return file_npz.read(data, name)
        if data[:4] == b"PAR1":
            if Path(name).suffix.lower() not in FORMATS["parquet"]:
                raise FeaturesError("a Parquet file must be named .parquet; got another name")
            return file_parquet.read(name)
        if data[: len(JOURNAL)] == JOURNAL:
            raise FeaturesError(
                "the file must be a feature file; got the journal of an extraction that is not "
                "finished: resume it (decaf features --resume)"
            )
        raise FeaturesError(
            f"the file must be a feature file, HDF5, .npz or Parquet; got {bytes(data[:8])!r} "
            "in front"
        )


def export(
    source: str | os.PathLike[str], target: str | os.PathLike[str], format: str | None = None
) -> None:
    """Write a feature file again in another format.

    Parameters
    ----------
    source : path
        A feature file of any format.
    target : path
        Must not exist.
    format : {None, "h5", "npz", "parquet"}
        By default as the name of `target` ends.

    Raises
    ------
    FeaturesError
        As for :func:`load_features` and :func:`write_features`; also if `target` exists.
    """
    chosen = choose_format(target, format)
    if os.path.lexists(target):
        raise FeaturesError(f"{target}: must not exist; got a file")
    write_features(target, load_features(source), chosen, replace=False)
