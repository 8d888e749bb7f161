"""How far a long piece of work is."""

from __future__ import annotations

import sys
import time
from typing import Any

from decaf.cli.features import SECONDS_BETWEEN_LINES
from decaf.cli.terminal import MANY, say


class Progress:
    """A bar for a person who looks on; a line a minute for a log."""

    def __init__(self, what: str, total: int = 0) -> None:
        self.what, self.total, self.done = what, total, 0
        self.said = time.monotonic()
        self.bar: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def more(self, count: int) -> None:
        """Show that so many more are finished."""
        self.upto(self.done + count, self.total)

    def upto(self, done: int, total: int) -> None:
        """Show that so many of all are finished."""
        if self.bar is None and total > MANY and sys.stderr and sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, unit=f" {self.what}", file=sys.stderr)
        if self.bar is not None:
            self.bar.update(done - self.done)
        elif time.monotonic() - self.said >= SECONDS_BETWEEN_LINES:
            self.said = time.monotonic()
            say(f"decaf: {done:,} of {total:,} {self.what}", sys.stderr, None)
        self.done = done
