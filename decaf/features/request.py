"""What was asked for, as plain values: kept in the file, and compared before work is resumed.

Two requests are equal when they give the same file.  Batch size, workers and threads are not
part of them, since they change no bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from decaf.features.pooling import pooled_shape
from decaf.features.sources import Source
from decaf.messages import brief
from decaf.names import layer_name
from decaf.net import DecafNet

MOST_SHOWN = 8  # differences


def describe(
    net: DecafNet,
    photos: Sequence[Source],
    layers: Sequence[str],
    oversample: bool,
    pooling: str | None,
) -> dict[str, Any]:
    """Return what decides the contents of a feature file, as JSON can hold it."""
    digest = hashlib.sha256()
    for photo in photos:
        digest.update(f"{photo.path}\0{photo.label}\0".encode("utf-8", "surrogatepass"))
    names = {layer: layer_name(net.architecture, layer) for layer in layers}
    return {
        **net.info(),
        "max_pixels": net.max_pixels,
        "layers": {
            layer: {
                "layer": name,
                "shape": list(pooled_shape(net.architecture.shapes[name], pooling)),
            }
            for layer, name in names.items()
        },
        "oversample": oversample,
        "pooling": pooling,
        "photos": {"count": len(photos), "sha256_of_names": digest.hexdigest()},
    }


def differences(then: dict[str, Any], now: dict[str, Any]) -> str:
    """Say in words what differs between two requests; nothing where they are equal.

    `then` may be anything that JSON holds; what is said is short and printable.
    """
    changed = [key for key in {**now, **then} if then.get(key) != now.get(key)]
    said = [_difference(key, then.get(key), now.get(key)) for key in changed[:MOST_SHOWN]]
    more = len(changed) - MOST_SHOWN
    return brief(Exception("; ".join(said) + (f"; and {more:,} more" if more > 0 else "")))


def _difference(key: str, then: object, now: object) -> str:
    if key == "photos" and isinstance(then, dict) and isinstance(now, dict):
        if then.get("count") == now["count"]:
            return "photos: others by their names (as they were given) or labels"
        then, now = then.get("count"), now["count"]
    return f"{_brief(key.replace('_', ' '), 60)}: {_brief(then)} then, {_brief(now)} now"


def _brief(value: object, most: int = 200) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= most else f"{text[:most]}..."
