"""JSON that people can read, too: a row of a matrix is a line, not a line a number."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 8  # deeper levels are in one line: what comes from a file may be nested without end


def as_json(value: Any, depth: int = 0) -> str:
    """Write as ``json.dumps(value, indent=1)`` does, but lists of numbers in one line.

    Parameters
    ----------
    value : dict, list, str, number, bool or None
        Keys of dictionaries must be strings, numbers finite.
    depth : int
        By how many spaces it is indented.

    Returns
    -------
    str
        ASCII, without a newline at the end.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    if depth < DEEPEST and isinstance(value, dict) and value:
        inner = [f"{json.dumps(key)}: {as_json(each, depth + 1)}" for key, each in value.items()]
        first, last = "{}"
    elif depth < DEEPEST and isinstance(value, list) and not _numbers(value):
        inner = [as_json(each, depth + 1) for each in value]
        first, last = "[]"
    else:
        return json.dumps(value, allow_nan=False)
    line = "\n" + " " * depth
    return first + line + " " + f",{line} ".join(inner) + line + last


def _numbers(value: list[Any]) -> bool:
    return not any(isinstance(each, dict | list | str) for each in value)
