"""The tables of ``convert.py``: for the terminal, and for the pages (``tables.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timing import table

MB = 1e6


def conversions(found: Mapping[str, Any]) -> str:
    """A row a conversion."""
    rows = [
        (
            name,
            f"{one['seconds']:.2f}",
            *(f"{one[key] / MB:.0f}" for key in ("child", "parent", "result")),
        )
        for name, one in found.items()
    ]
    return table(("from torch", "seconds", "child, MB", "parent, MB", "result, MB"), rows)


def loading(found: Mapping[str, Any]) -> str:
    """A row a call."""
    rows = [(name, f"{one['ms']:.1f}", f"{one['bytes'] / MB:.1f}") for name, one in found.items()]
    return table(("call", "ms", "resident, MB"), rows)
