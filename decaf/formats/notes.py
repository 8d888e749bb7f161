"""What decaf leaves beside the parameters when it writes the format of another program.

Formats that hold strings by name (safetensors, ONNX) take these, as JSON::

    decaf.architecture    decaf.preprocessing    decaf.labels    decaf.label_ids

so that the file, read again, is the network that it was; but for a mean image, of which there is
only the hash.  Other programs ignore them; decaf trusts them no more than the rest of the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from decaf.errors import DecafError, WeightsError
from decaf.json_file import parse_json
from decaf.preprocessing import Preprocessing
from decaf.serialize import architecture_from_dict, architecture_to_dict
from decaf.specs import Architecture

PREFIX = "decaf."
LONGEST = 2**20  # characters of all notes; a thousand names of classes take 30,000
NAMES = ("architecture", "preprocessing", "labels", "label_ids")


@dataclass(frozen=True)
class Notes:
    """What a file says beside its parameters; None for what it does not say."""

    architecture: Architecture | None = None
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] | None = None
    label_ids: tuple[str, ...] | None = None
    needs_mean: bool = False  # the preprocessing lacks a mean image, which a note only identifies


def to_strings(
    architecture: Architecture,
    preprocessing: Preprocessing | None = None,
    labels: Sequence[str] | None = None,
    label_ids: Sequence[str] | None = None,
) -> dict[str, str]:
    """Return the notes on a network, by name.

    Raises
    ------
    ArchitectureError
        If the architecture has no form that can be written and read.
    WeightsError
        If labels are no strings, or not one for each class.
    """
    notes: dict[str, Any] = {"architecture": architecture_to_dict(architecture)}
    if preprocessing is not None:
        notes["preprocessing"] = preprocessing.to_dict()
    for name, texts in (("labels", labels), ("label_ids", label_ids)):
        if texts is not None:
            notes[name] = list(_texts(name, list(texts), architecture))
    return {f"{PREFIX}{name}": json.dumps(value) for name, value in notes.items()}


def from_strings(strings: Mapping[str, str]) -> Notes:
    """Read the notes among the strings of a file; all others are passed over.

    Raises
    ------
    WeightsError
        If one is not what decaf writes.
    """
    length = sum(len(strings.get(f"{PREFIX}{name}", "")) for name in NAMES)
    if length > LONGEST:  # together: all are in memory at once
        raise WeightsError(f"notes of decaf must be at most {LONGEST:,} characters; got {length:,}")
    try:
        architecture = _json(strings, "architecture")
        preprocessing = _json(strings, "preprocessing")
        labels, label_ids = _json(strings, "labels"), _json(strings, "label_ids")
        built = None if architecture is None else architecture_from_dict(architecture)
        return Notes(
            built,
            None if preprocessing is None else _without_image(preprocessing),
            None if labels is None else _texts("labels", labels, built),
            None if label_ids is None else _texts("label_ids", label_ids, built),
            _has_image(preprocessing),
        )
    except (DecafError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise WeightsError(
            f"notes of decaf must be as decaf writes them; {str(error)[:200]}"
        ) from error


def _json(strings: Mapping[str, str], name: str) -> Any:
    text = strings.get(f"{PREFIX}{name}")
    return None if text is None else parse_json(text)


def _has_image(values: Any) -> bool:
    return isinstance(values, dict) and isinstance(values.get("mean"), dict)


def _without_image(values: Any) -> Preprocessing:
    """Build the recipe, of one with a mean image all but that."""
    return Preprocessing.from_dict({**values, "mean": [0.0]} if _has_image(values) else values)


def _texts(name: str, texts: Any, architecture: Architecture | None) -> tuple[str, ...]:
    """Check that these are strings, one for each class."""
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise WeightsError(f"{name}: must be a list of strings; got something else")
    "".join(texts).encode()  # half a character can hide in an escape
    if architecture is not None and len(texts) != architecture.classes:
        raise WeightsError(
            f"{name}: must be one string for each of {architecture.classes} classes; "
            f"got {len(texts)}"
        )
    return tuple(texts)
