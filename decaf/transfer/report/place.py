"""Where a report may be written, so that nothing of others is replaced.

A report is made in a work folder, ``.decaf-<of its place>-<random>.tmp``: inside its place if that
is there, else beside it.  A kill leaves it behind; the next report of the same place removes it.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from decaf.errors import FeaturesError
from decaf.transfer.report.content import FORMAT

PAGE, NUMBERS = "index.html", "report.json"
OLD = "old.json"  # in a work folder, the numbers that are being replaced
# A report.json begins so; the rest of it is not read.
BEGINNING = f'{{\n "format": "{FORMAT}"'.encode()


def check_place(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Make sure that a report can be written and nothing of others is replaced.

    Parameters
    ----------
    path : path
        The folder to make, or an empty one; the one that it lies in must exist.
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
    if not os.fspath(path):  # which would be the current folder
        raise FeaturesError("the folder of a report must have a name; got an empty one")
    try:
        place = Path(os.path.realpath(path))
        if not place.parent.is_dir():
            raise FeaturesError(
                f"{path}: the folder of a report must be there; got no {place.parent}"
            )
        if os.path.lexists(place):
            _check_old(place, overwrite)
            if not os.access(place, os.W_OK | os.X_OK):
                raise FeaturesError(f"{path}: must be a folder that can be written to")
        elif not os.access(place.parent, os.W_OK | os.X_OK):
            raise FeaturesError(f"{path}: must be in a folder that can be written to; got none")
    except (OSError, ValueError) as error:  # a NUL in the path
        raise FeaturesError(
            f"{os.fspath(path)!r}: must be a place for a report; got {error}"
        ) from error
    return place


def _check_old(place: Path, overwrite: bool) -> None:
    """Only what is empty, or a report and nothing more, may be replaced."""
    if not place.is_dir():
        raise FeaturesError(f"{place}: must be a folder to make; got a file")
    left = {folder.name for folder in _left_in(place, place)}
    names = sorted(set(os.listdir(place)) - left)
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
    odd = [name for name in names if not _is_file(place / name)]
    if odd:
        raise FeaturesError(
            f"{place}: must hold a report to be replaced, two plain files; got {odd[0]!r}, "
            "which is something else"
        )
    if NUMBERS not in names or _start(place / NUMBERS) != BEGINNING:
        raise FeaturesError(f"{place}: must be a report of decaf to be replaced; got another")


def _is_file(path: Path) -> bool:
    """Whether it is a file itself, no link to one."""
    return stat.S_ISREG(os.lstat(path).st_mode)


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(BEGINNING))


def work_folder(place: Path) -> Path:
    """Name a folder, not there yet, in which to make the report of a place."""
    home = place if place.exists() else place.parent
    return home / f"{_mark(place)}{os.urandom(8).hex()}.tmp"


def discard(work: Path) -> None:
    """Remove a work folder, and no file in it but those of a report."""
    for name in (PAGE, NUMBERS, OLD):
        with suppress(OSError):
            (work / name).unlink()
    with suppress(OSError):
        work.rmdir()


def left_by_kills(place: Path) -> list[Path]:
    """Find work folders of a place, in it and beside it, that no run has removed.

    Those of a run that goes on are among them; it fails if they are removed, and has a few
    milliseconds for that.
    """
    found = []
    for home in {place, place.parent}:
        with suppress(OSError):  # not there, or not to be listed
            found += _left_in(home, place)
    return found


def _left_in(home: Path, place: Path) -> list[Path]:
    pattern = re.compile(re.escape(_mark(place)) + r"[0-9a-f]{16}\.tmp")
    names = [name for name in os.listdir(home) if pattern.fullmatch(name)]
    return [home / name for name in names if _is_work(home / name)]


def _is_work(folder: Path) -> bool:
    """Whether it is a folder of this user, no link, with files of a report and nothing else.

    In a folder where all may write, such as /tmp, somebody else could swap their own for a link.
    """
    try:
        status = os.lstat(folder)
        ours = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
        return (
            stat.S_ISDIR(status.st_mode)
            and ours
            and all(
                name in (PAGE, NUMBERS, OLD) and _is_file(folder / name)
                for name in os.listdir(folder)
            )
        )
    except OSError:
        return False


def _mark(place: Path) -> str:
    """How the names of a place's work folders begin; the place's own name may be too long."""
    return f".decaf-{hashlib.sha256(os.fsencode(place.name)).hexdigest()[:8]}-"
