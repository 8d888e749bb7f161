"""The folder of a report: there whole, or not at all.

A new folder takes its name when its files are on the disk.  A folder that is there stays the same
one, with its permissions: it may be where a shell stands, or where a disk is mounted.  Its two
files are replaced one after the other, each whole; if that stops between the two, the first is put
back.  Only a kill just there leaves the numbers of one report beside the page of another, or
without; they are still taken for a report that may be replaced.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from decaf.errors import FeaturesError
from decaf.files import sync_folder
from decaf.transfer.report.content import Report
from decaf.transfer.report.json_text import as_json
from decaf.transfer.report.page import page
from decaf.transfer.report.place import (
    NUMBERS,
    OLD,
    PAGE,
    check_place,
    discard,
    left_by_kills,
    work_folder,
)


def write_report(report: Report, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a report: ``index.html`` and ``report.json`` in a new folder, or an empty one.

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
    check_place(path, overwrite)
    files = {NUMBERS: f"{as_json(report.to_dict())}\n".encode(), PAGE: page(report).encode()}
    place = check_place(path, overwrite)  # photos were opened and pictures drawn meanwhile
    try:
        for left in left_by_kills(place):
            discard(left)
        work = work_folder(place)
        try:
            _fill(work, files, private=work.parent == place)
            _take(place, work)
        finally:
            discard(work)
    except OSError as error:
        raise FeaturesError(f"{place}: must be a place to write; got {error}") from error
    sync_folder(place)
    sync_folder(place.parent)
    return place / PAGE


def _fill(work: Path, files: dict[str, bytes], *, private: bool) -> None:
    """Write files; nobody else may look at them before they have the permissions of old ones."""
    work.mkdir(0o700 if private else 0o777)
    for name, data in files.items():
        with (work / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    sync_folder(work)


def _take(place: Path, work: Path) -> None:
    """Give the folder its name; or its files theirs, in a folder that is there."""
    if work.parent != place:
        os.rename(work, place)
        return
    for name in (NUMBERS, PAGE):
        if (place / name).exists():
            shutil.copymode(place / name, work / name)
    numbers = place / NUMBERS
    replaced = numbers.exists()
    if replaced:
        shutil.copy2(numbers, work / OLD)
    try:
        # The numbers first: by them a report is known, also where a kill left nothing else.
        os.replace(work / NUMBERS, numbers)
        os.replace(work / PAGE, place / PAGE)
    except BaseException:
        if (work / PAGE).exists() and not (work / NUMBERS).exists():  # between the two
            with suppress(OSError):
                if replaced:
                    os.replace(work / OLD, numbers)
                else:
                    numbers.unlink()
        raise
