"""``decaf info``: describe a weights file, a file of features, or an index of photos."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decaf.cli import info_features, info_index
from decaf.cli.terminal import Commands, printable, say, unusable

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS_SHOWN = 10
LINES_SHOWN = 100  # of the provenance, which may hold anything; --json has the rest
LONGEST = 300  # characters of a key, a label or a value
WIDEST_KEY = 40  # characters that the other lines are indented for

HELP = """\
Describe a weights file: its layers, preprocessing, labels and where it comes from; a file of
features: photos, layers, labels, what failed, and what made it; or an index: photos, vectors,
layer, network, and how vectors are made of features.

Bytes are those in the file.  With --json one JSON document with the keys path, sha256,
architecture, precision, input_shape, preprocessing, labels, provenance, parameters,
multiply_adds, bytes, layers and description, the JSON that `decaf convert --architecture` takes.
Downloads nothing: a network of the zoo must be here.
"""


def add_to(commands: Commands) -> argparse.ArgumentParser:
    """Describe the command to argparse."""
    command = commands.add_parser(
        "info",
        help="describe a weights file, a file of features, or an index",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(command=_info)
    command.add_argument(
        "weights",
        nargs="?",
        metavar="W",
        help="weights file, name in the zoo, file of features, or index (default: the network "
        "inside the package)",
    )
    command.add_argument("--json", action="store_true", help="one JSON document")
    return command


def _info(arguments: argparse.Namespace) -> int:
    from decaf.errors import DecafError, WeightsError
    from decaf.report import summarise
    from decaf.serialize import architecture_to_dict
    from decaf.weights import load_weights

    try:
        path = _path(arguments.weights)
    except DecafError as error:
        return unusable(error)
    try:
        weights = load_weights(path, widen=False)
    except WeightsError as error:
        return _info_of_others(path, arguments.json, error)

    sizes = {name: array.nbytes for name, array in weights.parameters.items()}
    summary = summarise(weights.architecture, sizes)
    facts: dict[str, Any] = {
        "path": os.fspath(weights.path),
        "sha256": weights.sha256,
        "architecture": weights.architecture.name,
        "precision": _precision(weights.parameters.values()),
        "preprocessing": weights.preprocessing.to_dict(),
        "labels": list(weights.labels),
        "provenance": weights.provenance,
    }
    if arguments.json:
        numbers = summary.as_dict()
        del numbers["name"]
        description = architecture_to_dict(weights.architecture)
        say(json.dumps({**facts, **numbers, "description": description}), sys.stdout, None)
        return 0

    shown = ", ".join(map(_brief, weights.labels[:LABELS_SHOWN]))
    more = len(weights.labels) - LABELS_SHOWN
    lines = [
        ("file", facts["path"]),
        ("SHA-256", facts["sha256"]),
        ("architecture", facts["architecture"]),
        ("precision", facts["precision"]),
        ("preprocessing", str(weights.preprocessing)),
        (f"{len(weights.labels)} labels", f"{shown}, and {more} more" if more > 0 else shown),
        *_provenance(weights.provenance),
    ]
    width = min(WIDEST_KEY, max(len(key) for key, _ in lines))
    for key, value in lines:
        say(f"{printable(key):{width}}  {printable(value)}", sys.stdout, None)
    for line in ("", *str(summary).splitlines()):
        say(printable(line), sys.stdout, None)
    return 0


def _path(name: str | None) -> Path:
    from decaf import zoo
    from decaf.errors import WeightsError
    from decaf.weights import default_weights

    if name is None:
        return default_weights()
    if not zoo.is_name(name):
        return zoo.resolve(name)
    path = zoo.place(zoo.find(name))
    if not path.is_file():
        raise WeightsError(f"{name} is not here: decaf fetch {name}")
    return path


def _info_of_others(path: Path, as_json: bool, error: Exception) -> int:
    """Describe an index, or what may be a file of features; the error says: no weights file."""
    from decaf.errors import FeaturesError
    from decaf.features import load_features

    if info_index.is_index(path):
        try:
            info_index.describe(path, as_json)
        except FeaturesError as damage:
            return unusable(damage)
        return 0
    try:
        info_features.describe(os.fspath(path), load_features(path), as_json)
    except FeaturesError:
        return unusable(error)
    return 0


def _precision(arrays: Iterable[NDArray[Any]]) -> str:
    """What the parameters are stored as: ``"float32"``, ``"float16"``, or both."""
    return " and ".join(sorted({array.dtype.name for array in arrays}, reverse=True))


def _provenance(provenance: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Lines for what is in it; a dictionary in it gets a line for each of its keys."""
    lines = (
        (f"{key} {inner}".rstrip(), part)
        for key, value in provenance.items()
        for inner, part in (value.items() if isinstance(value, dict) else [("", value)])
    )
    for key, part in itertools.islice(lines, LINES_SHOWN):
        yield _brief(key), _brief(_plain(part))
    if more := sum(1 for _ in lines):
        yield "...", f"{more:,} more: --json shows them"


def _brief(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _plain(value: object) -> str:
    if isinstance(value, dict) and value.keys() == {"file", "sha256"}:  # as `convert` records it
        return f"{value['file']} (SHA-256 {value['sha256']})"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value)
