"""What must hold before an extraction starts, and how its journal is found or begun.

Nothing is written until everything has been checked that can be known by then, and nothing of
others is touched.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from decaf.errors import FeaturesError
from decaf.features.beside import (
    OUTPUTS,
    acquire,
    clear,
    journal_of,
    lock_of,
    output_of,
    release,
)
from decaf.features.journal import Journal
from decaf.features.request import differences
from decaf.features.sources import Source
from decaf.features.texts import check_text


@contextmanager
def usable(target: Path) -> Iterator[None]:
    """Say of what stands in the way which output it was for."""
    try:
        yield
    except (OSError, ValueError) as error:  # a NUL in the path
        raise FeaturesError(f"{target}: must be a place to read and write; got {error}") from error


def check_free(target: Path, resume: bool) -> None:
    """Make sure that the output can be created, and would replace nothing."""
    if not target.parent.is_dir():
        raise FeaturesError(f"{target}: must lie in a folder that exists; got {target.parent}")
    if target.is_dir():
        raise FeaturesError(f"{target}: must be the name of a file; got a folder")
    taken = os.path.lexists(target)
    if taken and not resume:
        raise FeaturesError(f"{target}: must not exist; remove it, or choose another name")
    if taken and not target.exists():
        raise FeaturesError(f"{target}: must not exist, or be a file; got a link to nothing")
    with suppress(FileNotFoundError):
        os.lstat(output_of(journal_of(target)))  # the longest name: raises where it is too long


def check_same(path: Path, now: dict[str, Any], then: dict[str, Any]) -> None:
    """Raise a FeaturesError if two requests are not the same."""
    if different := differences(then, now):
        raise FeaturesError(
            f"{path}: must be of the same extraction to be resumed; expected no difference, "
            f"got {different}"
        )


def begin(path: Path, request: dict[str, Any], width: dict[str, int], resume: bool) -> Journal:
    """Open the journal of this extraction, or create it."""
    if not os.path.lexists(path):
        if os.path.lexists(output_of(path)):  # no journal of ours: no leftover of ours
            raise FeaturesError(f"{output_of(path)}: must not exist; remove or rename it")
        return Journal.create(path, request, width)
    if not resume:
        release(acquire(path))  # or it is not begun, but going on
        raise FeaturesError(
            f"{path}: must not exist; an extraction was begun here and not finished: go on with "
            "it (--resume), or remove the file"
        )
    journal = Journal.open(path, partial(check_same, path, request))
    try:
        clear(output_of(path), *OUTPUTS)
    except BaseException:
        journal.close()
        raise
    return journal


def tidy(journal: Path, request: dict[str, Any]) -> None:
    """Remove what a kill left beside an output that was just finished, and nothing else."""
    with suppress(FeaturesError, OSError):
        if os.path.lexists(journal):
            Journal.open(journal, partial(check_same, journal, request)).remove()
        elif os.path.lexists(lock_of(journal)):
            release(acquire(journal))


def check_space(target: Path, output: int, rows: int, journal: Path) -> None:
    """Refuse what cannot fit: for a moment the output and the rows in the journal are there."""
    begun = os.lstat(journal).st_size if os.path.lexists(journal) else 0
    needed = output + rows - min(begun, rows)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise FeaturesError(
            f"{target}: must fit on its disk; expected {needed:,} bytes free for the features "
            f"and their journal, got {free:,}"
        )


def size_of_texts(sources: Sequence[Source], kind: str) -> int:
    """Bytes of paths and labels in the output; all are as long as the longest but in Parquet."""
    paths = [check_text("a path", source.path) for source in sources]
    labels = [check_text("a label", source.label) for source in sources]
    if kind == "parquet":
        return sum(paths) + sum(labels)
    each = max(paths, default=0) + max(labels, default=0)
    return len(sources) * each * (4 if kind == "npz" else 1)
