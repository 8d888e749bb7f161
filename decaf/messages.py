"""What errors say about files: what must hold, what came; short, whatever a file holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from decaf.errors import WeightsError

NAMES_SHOWN = 8
LONGEST_NAME, LONGEST_MESSAGE = 60, 1000  # characters


def refuse(what: str, expected: str, got: object) -> NoReturn:
    """Raise a :class:`~decaf.errors.WeightsError` in the form of all of them."""
    raise WeightsError(f"{what} must be {expected}; got {got}")


def names(of: Iterable[object]) -> str:
    """List a few names, sorted and in ASCII, and say how many more there are."""
    every = sorted(map(str, of))
    more = f" and {len(every) - NAMES_SHOWN:,} more" if len(every) > NAMES_SHOWN else ""
    return ", ".join(ascii(name[:LONGEST_NAME])[1:-1] for name in every[:NAMES_SHOWN]) + more


def brief(error: Exception) -> str:
    """Return what an error says, on one line of reasonable length."""
    text = "".join(c if c.isprintable() else "?" for c in str(error))
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}..."
