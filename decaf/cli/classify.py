"""``decaf classify``: say what photos show."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from decaf.cli.network import add_network_options, load_network
from decaf.cli.terminal import Commands, positive, printable, progress_bar, say, unusable

if TYPE_CHECKING:
    from decaf.net import Prediction

HELP = """\
Say what photos show.

For each photo its name, then the most probable classes, best first.  With --json one JSON
document a photo and line:

  {"photo": "cat.jpg", "top": [{"index": 3, "label": "cat", "score": 0.98}, ...]}
  {"photo": "notes.txt", "error": "notes.txt: must be ..."}

A photo that cannot be used does not stop the others; the exit status is then 1.  It is 2
for wrong usage, unusable weights or an unexpected error.
"""


def add_to(commands: Commands) -> argparse.ArgumentParser:
    """Describe the command to argparse."""
    command = commands.add_parser(
        "classify",
        help="say what photos show",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(command=_classify)
    add = command.add_argument
    add("photos", nargs="+", metavar="PHOTO", help="an image file; - reads one from stdin")
    add("--top", type=positive, default=5, metavar="K", help="classes a photo (default: 5)")
    add(
        "--oversample",
        action="store_true",
        help="average ten crops: slower, right a little more often",
    )
    add("--json", action="store_true", help="one JSON document a photo and line")
    add(
        "--batch-size",
        type=positive,
        default=32,
        metavar="N",
        help="photos computed at once (default: 32)",
    )
    add_network_options(add)
    return command


def _classify(arguments: argparse.Namespace) -> int:
    from decaf.errors import DecafError

    try:
        net = load_network(arguments)
    except DecafError as error:
        return unusable(error)

    names: list[str] = arguments.photos
    stdin = sys.stdin.buffer if sys.stdin else b""  # None where it was closed
    answers = net.classify_each(
        [stdin if name == "-" else name for name in names],
        oversample=arguments.oversample,
        batch_size=arguments.batch_size,
    )
    failed = 0
    bar = progress_bar(len(names))
    with bar or nullcontext():
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, Exception):
                failed += 1
                reason = _folder_reason(name) or str(answer)
                if arguments.json:
                    say(json.dumps({"photo": name, "error": reason}), sys.stdout, bar)
                else:
                    say(f"decaf: {printable(reason)}", sys.stderr, bar)
            else:
                top = net.top_k(answer, arguments.top)
                write = _as_json if arguments.json else _as_text
                say(write(name, top), sys.stdout, bar)
            if bar:
                bar.update()
    if failed and len(names) > 1:
        say(f"decaf: {failed} of {len(names)} photos could not be used", sys.stderr, None)
    return 1 if failed else 0


def _as_text(name: str, top: list[Prediction]) -> str:
    lines = (f"{p.score:8.2%}  {printable(p.label)}" for p in top)
    return "\n".join((printable(name), *lines))


def _as_json(name: str, top: list[Prediction]) -> str:
    # JSON has no NaN; a network with broken weights may give one.
    classes = [{**p._asdict(), "score": p.score if math.isfinite(p.score) else None} for p in top]
    return json.dumps({"photo": name, "top": classes})


def _folder_reason(name: str) -> str | None:
    if not os.path.isdir(name):
        return None
    inside = os.path.join(name, "*")
    return f"{name}: must be a photo; expected a file, got a folder (name its photos: {inside})"
