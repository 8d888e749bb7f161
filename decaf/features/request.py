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
from decaf.names import layer_name
from decaf.net import DecafNet


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
        "photos": {"count": len(photos), "sha256": digest.hexdigest()},
    }


def differences(then: dict[str, Any], now: dict[str, Any]) -> str:
    """Say in words what differs between two requests; nothing where they are equal."""
    return "; ".join(
        f"{key.replace('_', ' ')}: {_brief(then.get(key))} then, {_brief(now.get(key))} now"
        for key in {**now, **then}
        if then.get(key) != now.get(key)
    )


def _brief(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
