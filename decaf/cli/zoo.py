"""``decaf zoo``: what the zoo has, and what is here; files carried by hand."""

from __future__ import annotations

import argparse
import json
import os
import sys

from decaf.cli.terminal import Commands, printable, say, unusable

HELP = """\
List the networks that decaf knows by name: what they are, their licence, their published
accuracy on ImageNet (one crop a photo), the size of the download, and whether they are here.

With --json one JSON document, a list with the keys name, title, licence, top1, top5, file, size,
sha256, urls, path and here of each.
"""
ADD_HELP = """\
Convert a file that was downloaded elsewhere into the zoo.

It must be the very file that `decaf fetch NAME` would download, which its size and SHA-256
show; its own name and place do not matter.  Prints the path of the weights file.
"""


def add_to(commands: Commands) -> argparse.ArgumentParser:
    """Describe the command to argparse."""
    command = commands.add_parser(
        "zoo",
        help="list the networks that have names; add files by hand",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(command=_list)
    command.add_argument("--json", action="store_true", help="one JSON document")
    actions = command.add_subparsers(title="commands", metavar="COMMAND")
    action = actions.add_parser(
        "add",
        help="convert a file that was carried here by hand",
        description=ADD_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    action.set_defaults(command=_add)
    action.add_argument("name", metavar="NAME", help="as `decaf zoo` lists it")
    action.add_argument("file", metavar="FILE", help="the file as it was downloaded")
    action.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
    return command


def _list(arguments: argparse.Namespace) -> int:
    from decaf import zoo
    from decaf.table import Table

    here = {entry.name: zoo.is_here(entry) for entry in zoo.ENTRIES}
    if arguments.json:
        keys = ("name", "title", "licence", "top1", "top5", "file", "size", "sha256", "urls")
        facts = [
            {
                **{key: getattr(entry, key) for key in keys},
                "path": os.fspath(zoo.place(entry)),
                "here": here[entry.name],
            }
            for entry in zoo.ENTRIES
        ]
        say(json.dumps(facts), sys.stdout, None)
        return 0
    table = Table(
        ("name", "network", "licence", "top-1 %", "top-5 %", "download", "here"),
        tuple(
            (
                entry.name,
                entry.title,
                entry.licence,
                f"{entry.top1:.1f}",
                f"{entry.top5:.1f}",
                _megabytes(entry.size),
                "yes" if here[entry.name] else "no",
            )
            for entry in zoo.ENTRIES
        ),
        (
            "all",
            "",
            "",
            "",
            "",
            _megabytes(sum(e.size for e in zoo.ENTRIES)),
            str(sum(here.values())),
        ),
        words=3,
    )
    for line in (*str(table).splitlines(), "", f"kept in {zoo.home()}"):
        say(printable(line), sys.stdout, None)
    return 0


def _add(arguments: argparse.Namespace) -> int:
    from decaf import zoo
    from decaf.errors import DecafError

    try:
        path = zoo.add(arguments.name, arguments.file)
    except DecafError as error:
        return unusable(error)
    say(printable(os.fspath(path)), sys.stdout, None)
    return 0


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
