"""Read a JSON file that somebody wrote by hand: strictly, and of limited size."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NoReturn

from decaf.errors import WeightsError

LARGEST = 2**22  # bytes; the description of SqueezeNet takes 8,000


def read_json(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """Return the dictionary that a JSON file holds.

    Parameters
    ----------
    path : path
        UTF-8 text, at most 4 MiB.
    what : str
        What it should describe, for the messages: ``"an architecture"``.

    Raises
    ------
    WeightsError
        If it cannot be read or is no dictionary in JSON; also for a key that stands twice and
        numbers that are not finite.  The message starts with the path.
    """

    def constant(word: str) -> NoReturn:
        raise ValueError(f"numbers must be finite, got {word}")

    def without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key stands twice")
        return found

    try:
        if not Path(path).is_file():  # also for a pipe, which would be waited for
            raise WeightsError(f"{path}: must be a file with {what} in JSON; got no file")
        with Path(path).open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise WeightsError(f"{path}: must be at most {LARGEST:,} bytes; got more")
        values = json.loads(
            data.decode("utf-8-sig"),
            parse_constant=constant,
            object_pairs_hook=without_repetition,
        )
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: must be {what} in JSON; got {str(error)[:200]}") from error
    if not isinstance(values, dict):
        raise WeightsError(f"{path}: must be {what} in JSON; got a {type(values).__name__}")
    return values
