"""The folder of a report: there whole, or not at all.

It is made beside its place under a hidden name, and takes its name when it is on the disk.  Only
an empty folder, or when that is asked for a report of decaf and nothing else, gives its place up;
it is moved away first and removed last.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from decaf.errors import FeaturesError
from decaf.files import sync_folder
from decaf.transfer.report.content import FORMAT, Report
from decaf.transfer.report.page import page

PAGE, NUMBERS = "index.html", "report.json"
# A report.json begins so; the rest of it is not read.
BEGINNING = f'{{\n "format": "{FORMAT}"'.encode()


def check_place(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Make sure that a report can be written and nothing of others is replaced.

    Parameters
    ----------
    path : path
        The folder to make; the one that it lies in must exist.
    overwrite : bool
        Whether it may be a report that is there.

    Returns
    -------
    Path
        The folder; of a link, what it points to.

    Raises
    ------
    FeaturesError
        If it is there and no empty folder, or its own folder is not, or cannot be written to.
    """
    try:
        place = Path(os.path.realpath(path))
        if not place.parent.is_dir():
            raise FeaturesError(
                f"{path}: the folder of a report must be there; got no {place.parent}"
            )
        if not os.access(place.parent, os.W_OK):
            raise FeaturesError(f"{path}: must be in a folder that can be written to; got none")
        if os.path.lexists(place):
            _check_old(place, overwrite)
    except (OSError, ValueError) as error:  # a NUL in the path
        raise FeaturesError(
            f"{os.fspath(path)!r}: must be a place for a report; got {error}"
        ) from error
    return place


def _check_old(place: Path, overwrite: bool) -> None:
    """Only what is empty, or a report and nothing more, may be replaced."""
    if not place.is_dir():
        raise FeaturesError(f"{place}: must be a folder to make; got a file")
    names = sorted(os.listdir(place))
    if not names:
        return
    if not overwrite:
        raise FeaturesError(
            f"{place}: must not exist, or be empty; choose another name, or say --overwrite to "
            "replace a report"
        )
    others = [name for name in names if name not in (PAGE, NUMBERS)]
    if others:
        raise FeaturesError(
            f"{place}: must hold a report and nothing else to be replaced; got {others[0]!r}"
            f"{f' and {len(others) - 1:,} more' if len(others) > 1 else ''}"
        )
    numbers = place / NUMBERS
    if not numbers.is_file() or _start(numbers) != BEGINNING:
        raise FeaturesError(f"{place}: must be a report of decaf to be replaced; got another")


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(BEGINNING))


def write_report(report: Report, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a report: ``index.html`` and ``report.json`` in a new folder.

    Parameters
    ----------
    report : Report
        What to write; the same gives the same bytes.
    path : path
        The folder.
    overwrite : bool
        Replace a report that is there.

    Returns
    -------
    Path
        Its page.

    Raises
    ------
    FeaturesError
        As of `check_place`, or if it cannot be written; what was there stays.
    """
    place = check_place(path, overwrite)
    numbers = json.dumps(report.to_dict(), indent=1, allow_nan=False)
    files = {PAGE: page(report).encode(), NUMBERS: f"{numbers}\n".encode()}
    mark = os.urandom(8).hex()
    new, old = (place.with_name(f".decaf-{mark}.{kind}") for kind in ("tmp", "old"))
    try:
        try:
            _fill(new, files)
            check_place(path, overwrite)  # an hour may have passed
            _take(place, new, old)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        raise FeaturesError(f"{place}: must be a place to write; got {error}") from error
    sync_folder(place.parent)
    return place / PAGE


def _fill(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        with (folder / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    sync_folder(folder)


def _take(place: Path, new: Path, old: Path) -> None:
    """Give the folder its name; what had the name goes, or stays if that fails."""
    if not place.exists():
        os.rename(new, place)
        return
    os.rename(place, old)
    try:
        os.rename(new, place)
    except BaseException:
        with suppress(OSError):
            os.rename(old, place)
        raise
    shutil.rmtree(old, ignore_errors=True)
