"""What ``decaf info`` says of an index of photos."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from decaf.cli.terminal import printable, say

LONGEST = 300  # characters of a line


def is_index(path: Path) -> bool:
    """Return whether a file begins as indexes do, of any version."""
    from decaf.retrieval.index_records import MAGIC

    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False


def describe(path: Path, as_json: bool) -> None:
    """Print what an index is of, and what is in it.

    Raises
    ------
    FeaturesError
        If it cannot be opened.
    """
    from decaf.retrieval.index import Index

    index = Index.open(path)
    info, transform = index.info, index.transform
    facts: dict[str, Any] = {
        "path": os.fspath(path),
        "photos": len(index),
        "removed": index.removed,
        "vectors": len(index) * index.parts,
        "levels": index.levels,
        "layer": info.get("layer"),
        "network": {key: info.get(key) for key in ("architecture", "weights_sha256")},
        "recipe": info.get("preprocessing"),
        "transform": {
            "features": index.features,
            "dimensions": index.dimensions,
            "whiten": transform.whiten,
            "power": transform.power,
        },
        "bytes": os.path.getsize(path),
    }
    if as_json:
        say(json.dumps({**facts, "info": info}), sys.stdout, None)
        return
    parts = f", {index.parts} a photo" if index.parts > 1 else ""
    lines = [
        ("file", facts["path"]),
        ("photos", f"{len(index):,}"),
        ("removed", f"{index.removed:,}"),
        ("vectors", f"{facts['vectors']:,} of {index.dimensions:,} numbers{parts}"),
        ("levels", str(index.levels)),
        ("layer", _plain(facts["layer"])),
        ("crops", "ten, averaged" if info.get("oversample") is True else "one"),
        ("pooling", _plain(info.get("pooling") or "none")),
        ("network", _plain(info.get("architecture"))),
        ("SHA-256", _plain(info.get("weights_sha256"))),
        ("recipe", _plain(facts["recipe"])),
        ("transform", f"{index.features:,} features, whitened by {transform.whiten:g}, to "
         f"{index.dimensions:,} numbers, power {transform.power:g}"),
        ("bytes", f"{facts['bytes']:,}"),
    ]  # fmt: skip
    for key, value in lines:
        say(f"{key:9}  {printable(value[:LONGEST])}", sys.stdout, None)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
