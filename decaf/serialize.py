"""An architecture as a plain dictionary, the way it stands in a weights file, and back.

    >>> from decaf.specs import ReLU
    >>> architecture_to_dict(Architecture("one layer", (3, 4, 4), (ReLU("relu1"),)))
    {'name': 'one layer', 'input_shape': [3, 4, 4], 'layers': [{'kind': 'ReLU', 'name': 'relu1'}]}

Every field is written out, also where it has its default, so that a file means the same when
a later version has other defaults.  Only ``inputs`` is left out where the layer before is meant.
The way back is strict: a field too many, too few or of the wrong type is an error.  Names of
layers with parameters become paths in a file, so that none may be in another, nor lead out of it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from decaf import specs
from decaf.errors import ArchitectureError
from decaf.specs import Architecture, Layer

KINDS: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        specs.Conv,
        specs.ReLU,
        specs.MaxPool,
        specs.AvgPool,
        specs.AdaptiveAvgPool,
        specs.LRN,
        specs.Linear,
        specs.Dropout,
        specs.Softmax,
        specs.Flatten,
        specs.Concat,
    )
}
MOST_LAYERS = 10_000
LONGEST_NAME = 200


def architecture_to_dict(architecture: Architecture) -> dict[str, Any]:
    """Return the description as dictionaries, lists, strings and numbers, ready for JSON.

    Raises
    ------
    ArchitectureError
        If :func:`architecture_from_dict` would not take it back: a layer of a kind of your own,
        a name that is too long or not printable.
    """
    described = {
        "name": architecture.name,
        "input_shape": list(architecture.input_shape),
        "layers": [_layer_to_dict(layer) for layer in architecture.layers],
    }
    if architecture_from_dict(described) != architecture:
        raise ArchitectureError(
            f"{architecture.name}: a description must survive being written and read; "
            "it holds values that compare equal to nothing, or of types of their own"
        )
    return described


def architecture_from_dict(values: Any) -> Architecture:
    """Return the architecture that a dictionary describes; nothing in it is trusted.

    Raises
    ------
    ArchitectureError
        If anything is missing, unknown, or of the wrong type, or the layers do not fit
        together; the message names the layer.
    """
    fields = _fields(values, {"name", "input_shape", "layers"}, set(), "architecture")
    name = _name(fields["name"], "architecture")
    shape, layers = fields["input_shape"], fields["layers"]
    if not isinstance(shape, list):
        raise ArchitectureError(f"{name}: input_shape must be a list C,H,W; got {_brief(shape)}")
    if not isinstance(layers, list) or len(layers) > MOST_LAYERS:
        got = f"{len(layers):,}" if isinstance(layers, list) else _brief(layers)
        raise ArchitectureError(
            f"{name}: layers must be a list of at most {MOST_LAYERS:,}; got {got}"
        )
    built = tuple(_layer_from_dict(layer, i) for i, layer in enumerate(layers))
    architecture = Architecture(name, tuple(shape), built)
    _check_paths(architecture)
    return architecture


def _check_paths(architecture: Architecture) -> None:
    """The parameters are ``conv1/weight`` and so on: each must be a path of its own."""
    paths = architecture.parameter_shapes.keys()
    for path in paths:
        parts = path.split("/")
        above = {"/".join(parts[:i]) for i in range(1, len(parts))}
        if not {"", ".", ".."}.isdisjoint(parts) or above & paths:
            raise ArchitectureError(
                f"{path}: must be a path of its own, without empty parts and dots; got {path!r}"
            )


def _layer_to_dict(layer: Layer) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": type(layer).__name__, "name": layer.name}
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if field.name != "inputs" or value:
            found[field.name] = list(value) if isinstance(value, tuple) else value
    return found


def _layer_from_dict(values: Any, index: int) -> Layer:
    where = f"layer {index}"
    if isinstance(values, dict) and "name" in values:
        where = _name(values["name"], where)
    kind_name = values.get("kind") if isinstance(values, dict) else None
    kind = KINDS.get(kind_name) if isinstance(kind_name, str) else None
    if kind is None:
        got = _brief(kind_name if isinstance(values, dict) else values)
        raise ArchitectureError(f"{where}: kind must be one of {', '.join(KINDS)}; got {got}")
    names = {field.name for field in dataclasses.fields(kind)}
    fields = _fields(values, {"kind", *names} - {"inputs"}, {"inputs"}, where)
    inputs = fields.get("inputs", [])
    if not isinstance(inputs, list) or not all(isinstance(i, str) for i in inputs):
        raise ArchitectureError(
            f"{where}: inputs must be a list of names of layers; got {_brief(inputs)}"
        )
    arguments: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in fields.items()
        if key != "kind"
    }
    try:
        return kind(**arguments)
    except ArchitectureError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise ArchitectureError(f"{where}: fields must be numbers that fit; {error}") from error


def _fields(values: Any, required: set[str], optional: set[str], where: str) -> dict[str, Any]:
    """Check which fields there are."""
    if not isinstance(values, dict):
        raise ArchitectureError(f"{where}: must be a dictionary; got {_brief(values)}")
    names = set(values)
    if not required <= names <= required | optional:
        raise ArchitectureError(
            f"{where}: must have every field and no other; expected "
            f"{', '.join(sorted(required))}, got {_brief(sorted(map(str, names)))}"
        )
    return values


def _name(value: Any, where: str) -> str:
    """Check a name: it ends up in messages, tables and paths."""
    if not (isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable()):
        raise ArchitectureError(
            f"{where}: name must be 1 to {LONGEST_NAME} printable characters; got {_brief(value)}"
        )
    return value


def _brief(value: Any) -> str:
    """Show a value of unknown size and kind in an error message."""
    text = ascii(value) if isinstance(value, (str, int, float, type(None))) else ""
    if isinstance(value, list):
        text = ", ".join(map(ascii, value[:8])) + (", ..." if len(value) > 8 else "")
    text = text or type(value).__name__
    return text if len(text) <= 100 else f"{text[:100]}..."
