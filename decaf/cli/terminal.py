"""What the commands share: lines for people and for pipes, a bar, an exit status."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

SEEDS = 2**32
MANY = 8  # from more photos than this a progress bar helps


def positive(text: str) -> int:
    """Convert an argument that must be a whole number of at least 1."""
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return value


def seed(text: str) -> int:
    """Convert an argument that must be a whole number from 0 to 2**32-1."""
    if not (text.isascii() and text.isdecimal() and int(text) < SEEDS):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 2**32-1, got {text!r}")
    return int(text)


def unusable(error: Exception) -> int:
    """Say why there is nothing to work with; return the exit status for it."""
    lines: tuple[str, ...] = getattr(error, "lines", (str(error),))  # of decaf.zoo.by_hand
    say(f"decaf: error: {printable(lines[0])}", sys.stderr, None)
    for line in lines[1:]:
        say(f"  {printable(line)}", sys.stderr, None)
    return 2


class _Warnings(logging.Handler):
    """Says what the library logs as a warning."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"decaf: {printable(record.getMessage())}", sys.stderr, None)


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Show the library's warnings, which Python would show otherwise, without a name in front."""
    handler = _Warnings(logging.WARNING)
    logger = logging.getLogger("decaf")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def progress_bar(total: int, done: int = 0) -> Any:
    """Return a tqdm bar where it helps somebody: many photos, and a person who looks on."""
    if total <= MANY or not (sys.stderr and sys.stderr.isatty()):
        return None
    from tqdm import tqdm

    return tqdm(initial=done, total=total, unit="photo", file=sys.stderr)


def say(text: str, stream: TextIO | None, bar: Any) -> None:
    """Write a line at once: a reader at the other end of a pipe waits for it."""
    if stream is None:  # Python's way to say that it was closed
        return
    if bar is None:
        stream.write(f"{text}\n")
    else:
        bar.write(text, file=stream)  # moves the bar out of the way
    stream.flush()


def printable(text: str) -> str:
    """Escape what a terminal would obey, and what no encoding can write."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
