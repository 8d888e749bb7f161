"""Tell somebody without a network, or without luck, which file to get and what to type then."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable

from decaf.errors import WeightsError
from decaf.zoo.entries import Entry


class ByHandError(WeightsError):
    """What is wrong, and what a person can do about it, in several lines."""

    @property
    def lines(self) -> tuple[str, ...]:
        """What is wrong comes first; no line has a line break of decaf's own."""
        return self.args

    def __str__(self) -> str:
        return "\n  ".join(self.args)


def get_by_hand(
    entry: Entry, reason: str, failures: Iterable[tuple[str, str]] | None = None
) -> ByHandError:
    """Return an error that names the file, where it lies and the command for it.

    Parameters
    ----------
    entry : Entry
        The network.
    reason : str
        Why it is not here.
    failures : iterable of (str, str), optional
        Addresses that were tried, and what came of each; by default they were not.
    """
    addresses = entry.urls if failures is None else [f"{url} ({why})" for url, why in failures]
    return ByHandError(
        f"{entry.name}: {reason}; get this file, and type the command:",
        f"file:     {entry.file}, {entry.size:,} bytes",
        f"SHA-256:  {entry.sha256}",
        *(f"from:     {address}" for address in addresses),
        f"command:  decaf zoo add {entry.name} {entry.file}",
    )


def another_file(entry: Entry, path: str | os.PathLike[str], got: str) -> ByHandError:
    """Return an error for a file that is not the one, but may be of the same network."""
    name = shlex.quote(os.fspath(path))
    return ByHandError(
        f"{path}: must be {entry.file}, {entry.size:,} bytes with SHA-256 {entry.sha256}; "
        f"got {got}",
        f"another file of the same network: decaf convert {name} {entry.name}.h5, "
        f"then --weights {entry.name}.h5",
    )
