"""``decaf fetch``: get networks of the zoo."""

from __future__ import annotations

import argparse
import os
import sys

from decaf.cli.terminal import Commands, printable, say, unusable

HELP = """\
Download networks of the zoo, check them, and convert them to weights files.

Prints the path of each weights file.  What is here already is not downloaded again, and a
download that was cut is continued.  DECAF_HOME is the folder for it; with DECAF_OFFLINE=1 there
is no network.  Files that came another way: decaf zoo add.
"""


def add_to(commands: Commands) -> argparse.ArgumentParser:
    """Describe the command to argparse."""
    command = commands.add_parser(
        "fetch",
        help="get networks of the zoo",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(command=_fetch)
    command.add_argument("names", nargs="+", metavar="NAME", help="as `decaf zoo` lists them")
    return command


def _fetch(arguments: argparse.Namespace) -> int:
    from decaf import zoo
    from decaf.errors import DecafError

    names: list[str] = arguments.names
    try:
        for name in names:
            zoo.find(name)
    except DecafError as error:
        return unusable(error)
    status = 0
    for name in names:
        try:
            path = zoo.fetch(name)
        except DecafError as error:  # the others may still come
            status = unusable(error)
        else:
            say(printable(os.fspath(path)), sys.stdout, None)
    return status
