"""What decaf leaves beside the parameters is read as strictly as the rest of a file."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
import tiny

from decaf.errors import WeightsError
from decaf.formats.notes import from_strings, to_strings

ALL = to_strings(tiny.ARCHITECTURE, tiny.PREPROCESSING, tiny.LABELS, list("abcde"))


def changed(**notes: str) -> dict[str, str]:
    return ALL | {f"decaf.{name}": text for name, text in notes.items()}


def test_there_and_back() -> None:
    found = from_strings(ALL | {"author": "[" * 2**21})
    assert (found.architecture, found.preprocessing) == (tiny.ARCHITECTURE, tiny.PREPROCESSING)
    assert (found.labels, found.label_ids) == (tiny.LABELS, tuple("abcde"))


def test_the_four_have_one_bound_together() -> None:
    spaces = " " * (2**20 - sum(map(len, ALL.values())))
    assert from_strings(changed(labels=ALL["decaf.labels"] + spaces)) == from_strings(ALL)
    for name in ("architecture", "preprocessing", "labels", "label_ids"):
        with pytest.raises(WeightsError, match="at most 1,048,576 characters; got 1,048,577"):
            from_strings(changed(**{name: ALL[f"decaf.{name}"] + spaces + " "}))


def test_many_dictionaries_take_little_memory() -> None:
    """Of two letters Python makes a dictionary of 64 bytes."""
    many = dict.fromkeys(ALL, "[" + "{}," * 340_000 + "{}]")
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError):
            from_strings(many)
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "notes",
    [
        {"preprocessing": ALL["decaf.preprocessing"][:-1] + ', "channels": "RGB"}'},
        {"architecture": '{"name": "other", ' + ALL["decaf.architecture"][1:]},
        {"preprocessing": json.dumps({**tiny.PREPROCESSING.to_dict(), "scale": float("nan")})},
        {"preprocessing": json.dumps({**tiny.PREPROCESSING.to_dict(), "scale": float("inf")})},
        {"labels": '["a", "b", "c", "d", "\\ud800"]'},
        {"labels": "[" * 100_000},
        {"label_ids": "{}"},
        {"architecture": ""},
    ],
    ids=lambda notes: f"{notes}"[:60],
)
def test_notes_that_are_not_strict_json(notes: Any) -> None:
    with pytest.raises(WeightsError, match="notes of decaf must be as decaf writes them"):
        from_strings(changed(**notes))
