"""Read JSON of others: strictly, and of limited size."""

from __future__ import annotations

import json
import os
from typing import Any, NoReturn

from decaf.errors import WeightsError
from decaf.files import read_file

# Bytes.  The description of SqueezeNet takes 8,000, that of 3,000 convolutions 430,000.
# Python needs up to 50 times as much, for small dictionaries in each other beside a character
# that makes each of the text take four bytes.
LARGEST_JSON = 2**19


def read_json(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """Return the dictionary that a JSON file holds.

    Parameters
    ----------
    path : path
        UTF-8 text, at most 512 KiB.
    what : str
        What it should describe, for the messages: ``"an architecture"``.

    Raises
    ------
    WeightsError
        If it cannot be read or is no dictionary in JSON; also for a key that stands twice and
        numbers that are not finite.  The message starts with the path.
    """
    data = read_file(path, LARGEST_JSON, f"a file with {what} in JSON")
    try:
        values = parse_json(data.decode("utf-8-sig"))
    except ValueError as error:
        raise WeightsError(f"{path}: must be {what} in JSON; got {str(error)[:200]}") from error
    if not isinstance(values, dict):
        raise WeightsError(f"{path}: must be {what} in JSON; got a {type(values).__name__}")
    return values


def parse_json(text: str) -> Any:
    """Return what a JSON text says; the caller limits its length.

    Raises
    ------
    ValueError
        If it is no JSON, too deep, or cannot be written again as it is: for a key that stands
        twice, numbers that are not finite, and half characters.
    """

    def constant(word: str) -> NoReturn:
        raise ValueError(f"numbers must be finite, got {word}")

    def without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key stands twice")
        return found

    try:
        value = json.loads(text, parse_constant=constant, object_pairs_hook=without_repetition)
        # An infinity can hide in 1e999, and half a character in an escape.
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("lists and dictionaries are too deep in each other") from error
    return value
