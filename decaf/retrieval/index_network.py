"""Which network an index is of: distances between features of two networks mean nothing."""

from __future__ import annotations

from typing import Any

from decaf.errors import FeaturesError
from decaf.features.pooling import POOLINGS
from decaf.features.request import differences
from decaf.names import layer_name
from decaf.net import DecafNet

# What must be equal.  Versions and processors change the last bits only.
OF_THE_NETWORK = ("architecture", "weights_sha256", "preprocessing")
DECISIVE = (*OF_THE_NETWORK, "layer", "oversample", "pooling")


def describe(
    net: DecafNet, layer: str, *, oversample: bool = False, pooling: str | None = None
) -> dict[str, Any]:
    """Return what makes features, as an index keeps it.

    Raises
    ------
    ArchitectureError
        If there is no such layer.
    """
    name = layer_name(net.architecture, layer)
    return {**net.info(), "layer": name, "oversample": oversample, "pooling": pooling}


def check_same(
    info: dict[str, Any],
    net: DecafNet,
    layer: str | None = None,
    oversample: bool | None = None,
    pooling: str | None = None,
) -> None:
    """Compare what an index is of with what is wanted; see ``Index.check_network``."""
    then = {key: info.get(key) for key in DECISIVE}
    found = net.info()
    now = {**then, **{key: found[key] for key in OF_THE_NETWORK}}
    if layer is not None:
        now["layer"] = layer_name(net.architecture, layer)
    if oversample is not None:
        now["oversample"] = oversample
    if pooling is not None:
        now["pooling"] = pooling
    if then["architecture"] != now["architecture"]:  # another recipe is no wonder
        del then["preprocessing"], now["preprocessing"]
    check_equal(then, now)
    # The file may say anything, and what is not asked for was compared with itself.
    has, crops, maps = then["layer"], then["oversample"], then["pooling"]
    named = isinstance(has, str) and has in net.architecture.inputs
    if not named or type(crops) is not bool or maps not in (None, *POOLINGS):
        raise FeaturesError(
            f"the index must say what made its features; expected a layer of "
            f"{net.architecture.name}, crops and pooling, got {_brief(has)}, {_brief(crops)} and "
            f"{_brief(maps)}"
        )


def _brief(value: object) -> str:
    return f"{value!r:.60}" if isinstance(value, str | bool | None) else type(value).__name__


def check_equal(then: dict[str, Any], now: dict[str, Any]) -> None:
    """Compare what an index is of with what is to come into it."""
    if then.get("architecture") != now.get("architecture"):
        raise FeaturesError(
            "the index must be of the same network, layer and recipe; expected architecture "
            f"{_brief(then.get('architecture'))}, got {_brief(now.get('architecture'))}: give the "
            "weights that it was made with"
        )
    if different := differences(then, now):
        raise FeaturesError(
            "the index must be of the same network, layer and recipe; expected no difference, "
            f"got {different}"
        )
