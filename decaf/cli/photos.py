"""The photos that a command is given, and what is said of those that cannot be read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from decaf.cli.terminal import printable, say

if TYPE_CHECKING:
    from decaf.features.sources import Source

FAILURES_SHOWN = 20


def find(paths: Iterable[str | os.PathLike[str]]) -> Sequence[Source]:
    """Find the photos, and say how many other files are left out.

    Raises
    ------
    FeaturesError
        As ``decaf.features.find_photos`` does.
    """
    from decaf.features.sources import find_photos

    found = find_photos(paths)
    if found.ignored:
        files = "other file is" if found.ignored == 1 else "other files are"
        say(f"decaf: {found.ignored:,} {files} left out", sys.stderr, None)
    return found.photos


def say_failed(failed: Sequence[tuple[str, str]], count: int) -> None:
    """Say which of `count` photos could not be read; of many the first."""
    for path, reason in failed[:FAILURES_SHOWN]:
        say(f"decaf: {printable(path)}: {printable(reason)}", sys.stderr, None)
    if failed:
        say(f"decaf: {len(failed):,} of {count:,} photos could not be read", sys.stderr, None)
