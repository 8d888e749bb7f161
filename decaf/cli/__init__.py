"""The command ``decaf``: results on stdout, everything else on stderr; one file a command.

Exit status: 0; 1 when some photos could not be used (the others are answered); 2 for wrong
usage, unusable weights or an unexpected error, of which ``--debug`` shows the traceback; 130
after Ctrl-C; 141 when the reader of stdout went away.

What computes is imported once the arguments are known to be right, inside the commands.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from decaf import __version__
from decaf.cli import classify, convert, features, fetch, index, info, plot, search, transfer, zoo
from decaf.cli.terminal import printable, say

COMMANDS = (classify, features, transfer, index, search, plot, info, convert, fetch, zoo)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Raises
    ------
    SystemExit
        With status 2 for wrong usage, as argparse does; 0 after ``--help`` and ``--version``.
    """
    arguments = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a label or a name must not stop an answer
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status: int = arguments.command(arguments)
        if sys.stdout:  # None where it was closed from the start
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _discard_stdout()
        return 141
    except Exception as error:
        return _unexpected(error, arguments.debug)
    return status


def _unexpected(error: Exception, debug: bool) -> int:
    """Say what nobody foresaw, such as a lack of memory or a full disk."""
    if debug:
        import traceback

        lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    else:
        what = f"{type(error).__name__}: {error}".removesuffix(": ")  # MemoryError says no more
        lines = [f"decaf: unexpected error: {what}"]
    for line in lines:
        say(printable(line), sys.stderr, None)
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        _discard_stdout()
    return 2


def _discard_stdout() -> None:
    """Python flushes stdout once more at the end; what is left has nowhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="decaf",
        description="AlexNet and its contemporaries, without a deep-learning framework.",
    )
    parser.add_argument("--version", action="version", version=f"decaf {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in COMMANDS:
        command = module.add_to(commands)
        command.add_argument(
            "--debug", action="store_true", help="show the traceback of an unexpected error"
        )
    return parser
