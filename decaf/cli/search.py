"""``decaf search``: the photos of an index that look like another photo."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from decaf.cli.network import add_network_options, load_network
from decaf.cli.terminal import Commands, positive, printable, say, unusable

if TYPE_CHECKING:
    from decaf.image import Photo
    from decaf.retrieval.index import Hit

HELP = """\
Find the photos of an index that look most like a photo.

  decaf search flowers.index rose.jpg
  decaf search flowers.index flowers.zip/rose/1.jpg --top 20 --json

For each PHOTO its name, then distance and path of the nearest photos, nearest first; 0 is the
same photo.  With --json one JSON document a photo and line:

  {"photo": "rose.jpg", "hits": [{"path": "flowers/rose/12.jpg", "distance": 0.71}, ...]}
  {"photo": "notes.txt", "error": "notes.txt: must be ..."}

Weights that were given to `decaf index` must be given again; layer, crops and pooling are those
of the index.  --method faiss finds most of the nearest in very large indexes sooner; it needs
faiss: pip install faiss-cpu.

A photo that cannot be used does not stop the others; the exit status is then 1.  It is 2 for
wrong usage, unusable weights, or an index that is unusable or of another network.
"""


def add_to(commands: Commands) -> argparse.ArgumentParser:
    """Describe the command to argparse."""
    command = commands.add_parser(
        "search",
        help="find photos that look like another one",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(command=_search)
    add = command.add_argument
    add("index", metavar="INDEX", help="as `decaf index` writes it")
    add(
        "photos",
        nargs="+",
        metavar="PHOTO",
        help="an image file, also in an archive (photos.zip/1.jpg); - reads one from stdin",
    )
    add("--top", type=positive, default=10, metavar="K", help="photos to find (default: 10)")
    add("--json", action="store_true", help="one JSON document a photo and line")
    add(
        "--method",
        choices=("exact", "faiss"),
        default="exact",
        help="compare all photos, or find most of the nearest sooner (default: exact)",
    )
    add_network_options(add)
    return command


@dataclass(frozen=True)
class _Named:
    """A photo by its name, on the disk, in an archive, or from stdin."""

    path: str

    @contextmanager
    def open(self) -> Iterator[Photo]:
        """Give the photo."""
        from decaf.features.sources import open_photo

        if self.path == "-":
            yield sys.stdin.buffer if sys.stdin else b""  # None where it was closed
        else:
            with open_photo(self.path) as photo:
                yield photo


def _search(arguments: argparse.Namespace) -> int:
    from decaf.errors import DecafError
    from decaf.features.naming import slashes
    from decaf.retrieval.build import search_photos
    from decaf.retrieval.index import Index

    names: list[str] = arguments.photos
    photos = [_Named(slashes(name)) for name in names]
    try:
        index = Index.open(arguments.index)
        net = load_network(arguments)
        answers = search_photos(index, net, photos, arguments.top, arguments.method)
    except DecafError as error:
        return unusable(error)
    failed = 0
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, str):
            failed += 1
            reason = f"{name}: {answer}"
            if arguments.json:
                say(json.dumps({"photo": name, "error": reason}), sys.stdout, None)
            else:
                say(f"decaf: {printable(reason)}", sys.stderr, None)
        elif arguments.json:
            hits = [hit._asdict() for hit in answer]
            say(json.dumps({"photo": name, "hits": hits}, allow_nan=False), sys.stdout, None)
        else:
            say(_as_text(name, answer), sys.stdout, None)
    if failed and len(names) > 1:
        say(f"decaf: {failed} of {len(names)} photos could not be used", sys.stderr, None)
    return 1 if failed else 0


def _as_text(name: str, hits: list[Hit]) -> str:
    lines = (f"{hit.distance:8.4f}  {printable(hit.path)}" for hit in hits)
    return "\n".join((printable(name), *lines))
