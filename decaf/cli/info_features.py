"""What ``decaf info`` says of a feature file."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from decaf.cli.terminal import printable, say

if TYPE_CHECKING:
    from decaf.features import Features

SHOWN = 10  # labels, and photos that failed
LONGEST = 300  # characters of a line


def describe(path: str, features: Features, as_json: bool) -> None:
    """Print what is in the file."""
    labels = Counter(features.labels)
    if as_json:
        facts: dict[str, Any] = {
            "path": path,
            "photos": len(features),
            "layers": features.layers,
            "labels": dict(labels),
            "failed": [list(pair) for pair in features.failed],
            "info": features.info,
        }
        say(json.dumps(facts), sys.stdout, None)
        return
    shown = ", ".join(f"{label or 'none'} ({n:,})" for label, n in labels.most_common(SHOWN))
    more = f", and {len(labels) - SHOWN:,} more" if len(labels) > SHOWN else ""
    lines = [
        ("file", path),
        ("photos", f"{len(features):,}"),
        *(("layer", f"{name}: {width:,} features") for name, width in features.layers.items()),
        (f"{len(labels):,} labels", shown + more),
        *(
            (key.replace("_", " "), value if isinstance(value, str) else json.dumps(value))
            for key, value in features.info.items()
            if key not in ("layers", "photos")
        ),
        *(("failed", f"{photo}: {reason}") for photo, reason in features.failed[:SHOWN]),
    ]
    if len(features.failed) > SHOWN:
        lines.append(("failed", f"{len(features.failed) - SHOWN:,} more: --json shows them"))
    width = max(len(printable(key)) for key, _ in lines)
    for key, value in lines:
        say(
            f"{printable(key)[:40]:{min(width, 40)}}  {printable(value)[:LONGEST]}",
            sys.stdout,
            None,
        )
