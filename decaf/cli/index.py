"""``decaf index``: an index of photos, to search in with ``decaf search``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from decaf.cli.network import add_network_options, default_layer, load_network
from decaf.cli.photos import find, say_failed
from decaf.cli.progress import Progress
from decaf.cli.terminal import (
    Commands,
    positive,
    printable,
    say,
    unusable,
    warnings_on_stderr,
)

if TYPE_CHECKING:
    from decaf.retrieval.build import Built, Options
    from decaf.retrieval.index import Index
    from decaf.retrieval.whitening import Whitening

TWICE = "came twice and count once"
KNOWN = "left out: the index has them, or they came twice"
OF_PHOTOS = ("oversample", "pooling", "weights")  # options that a feature file has behind it

HELP = """\
Make an index of photos, to find those that look like another one with `decaf search`.

  decaf index flowers                                  writes flowers.index
  decaf index flowers.zip more -o photos.index
  decaf index flowers.h5 -o photos.index               of a feature file
  decaf index new -o photos.index --add
  decaf index new/1.jpg old -o photos.index --remove
  decaf index -o photos.index --compact

A PATH is a folder, searched with the folders in it, a .zip or .tar archive, read in place, or a
photo.  From the photos of the first call is learned how to compare photos (from a random sample
of 10,000, if there are more); what is added later is compared in the same way.

A feature file of `decaf features` as the only PATH is indexed as it is: no photo is read and no
network runs, so a long extraction can be interrupted and resumed.  --layer picks one of its
layers (default: its first); network, crops and pooling are those that made it.

--add leaves out photos that the index has already, by their paths; weights that were given for
the first call must be given again.  --remove takes the photos out that the index calls by a PATH,
or by names within it; it opens no photo.  --compact gives their room back.

The index gets its name when all photos are in it; photos are added and removed all or, after an
error, none.  A photo that cannot be read does not stop the others; the exit status is then 1.  It
is 2 for wrong usage, unusable weights, nothing to read or nowhere to write.
"""


def add_to(commands: Commands) -> argparse.ArgumentParser:
    """Describe the command to argparse."""
    command = commands.add_parser(
        "index",
        help="make an index of photos, to search in",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(command=_index)
    add = command.add_argument
    add(
        "paths",
        nargs="*",
        metavar="PATH",
        help="folder, archive (.zip, .tar), photo or feature file",
    )
    add(
        "-o",
        "--output",
        metavar="INDEX",
        help="default: the name of the first PATH, with .index, in this folder",
    )
    change = command.add_mutually_exclusive_group()
    change.add_argument("--add", action="store_true", help="add the photos to the index")
    change.add_argument("--remove", action="store_true", help="remove the photos from the index")
    add("--compact", action="store_true", help="write the index anew, without what was removed")
    add("--layer", metavar="L", help="default: relu6; `decaf info` lists them")
    add("--oversample", action="store_true", default=None, help="average ten crops of each photo")
    add(
        "--pooling",
        choices=("average", "max"),
        help="of a layer with maps, keep one number a channel",
    )
    add(
        "--levels",
        type=int,
        choices=(1, 2, 3, 4),
        help="compare parts, too: level i has i x i; 4 takes 30 times the work and the "
        "room (default: 1)",
    )
    add("--dimensions", type=positive, metavar="D", help="numbers a vector (default: 500)")
    add(
        "--whiten",
        type=float,
        metavar="T",
        help="0: PCA alone; 1: all directions count the same (default: 0.1)",
    )
    add("--power", type=float, metavar="P", help="of each number, with its sign (default: 1)")
    add("--workers", type=positive, metavar="K", help="threads that read (default: cores + 1)")
    add(
        "--batch-size",
        type=positive,
        metavar="N",
        help="crops a thread computes at once (default: 16)",
    )
    add_network_options(add)
    return command


def _index(arguments: argparse.Namespace) -> int:
    from decaf.errors import DecafError, FeaturesError

    try:
        if not arguments.paths and not (arguments.compact and not arguments.add):
            raise FeaturesError("photos must be named; expected a PATH, got none")
        path = _output(arguments)
        failed = 0
        if _is_of_features(arguments):
            failed = _index_features(arguments, path)
        elif arguments.remove:
            _remove(arguments, path)
        elif arguments.add:
            failed = _add(arguments, path)
        elif arguments.paths:
            failed = _make(arguments, path)
        if arguments.compact:
            _compact(path)
    except DecafError as error:
        return unusable(error)
    say(printable(path), sys.stdout, None)
    return 1 if failed else 0


def _output(arguments: argparse.Namespace) -> str:
    from decaf.errors import FeaturesError
    from decaf.features.naming import folder_name, is_archive, slashes

    if arguments.output is not None:
        return str(arguments.output)
    if not arguments.paths or arguments.remove:
        raise FeaturesError("the index must be named; expected -o INDEX, got none")
    name = folder_name(slashes(arguments.paths[0]))
    if _is_of_features(arguments):
        return os.path.splitext(name)[0] + ".index"
    return (os.path.splitext(name)[0] if is_archive(name) else name) + ".index"


def _make(arguments: argparse.Namespace, path: str) -> int:
    from pathlib import Path

    from decaf.features.begin import check_free, usable
    from decaf.retrieval.build import build_index

    whitening = _whitening(arguments)
    with usable(Path(path)):
        check_free(Path(path), resume=False)
    photos = find(arguments.paths)
    net = load_network(arguments)
    with _options(arguments, len(photos)) as options:
        built = build_index(
            net, photos, path, whitening,
            layer=arguments.layer or default_layer(net),
            oversample=bool(arguments.oversample),
            pooling=arguments.pooling,
            levels=arguments.levels or 1,
            options=options,
        )  # fmt: skip
    _say_learned(built, whitening.dimensions)
    return _said(built, len(photos), TWICE)


def _whitening(arguments: argparse.Namespace) -> Whitening:
    from decaf.retrieval.whitening import Whitening

    asked = {name: getattr(arguments, name) for name in ("dimensions", "whiten", "power")}
    return Whitening(**{name: value for name, value in asked.items() if value is not None})


def _say_learned(built: Built, asked: int) -> None:
    learned = f"decaf: learned from {built.learned:,} photos how to compare photos"
    few = ""
    if built.index.dimensions < asked:
        few = f", not {asked:,}: they differ in no more directions"
    say(f"{learned}: {built.index.dimensions:,} numbers a vector{few}", sys.stderr, None)


def _add(arguments: argparse.Namespace, path: str) -> int:
    from decaf.retrieval.build import add_photos

    index = _opened(arguments, path)
    photos = find(arguments.paths)
    net = load_network(arguments)
    index.check_network(
        net, arguments.layer, oversample=arguments.oversample, pooling=arguments.pooling
    )
    with _options(arguments, len(photos)) as options:
        built = add_photos(index, net, photos, options=options)
    return _said(built, len(photos), KNOWN)


def _opened(arguments: argparse.Namespace, path: str) -> Index:
    """The index to add to, which what was asked for fits."""
    from decaf.errors import FeaturesError
    from decaf.retrieval.index import Index

    index = Index.open(path)
    for name in ("dimensions", "whiten", "power", "levels"):
        asked = getattr(arguments, name)
        has = index.levels if name == "levels" else getattr(index.transform, name)
        if asked is not None and asked != has:
            raise FeaturesError(f"--{name} must be that of {path}; expected {has}, got {asked}")
    return index


def _is_of_features(arguments: argparse.Namespace) -> bool:
    """Whether the only PATH is called as feature files are."""
    from decaf.features.files import FORMATS

    endings = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
    paths = arguments.paths
    if arguments.remove:
        return False
    of_features = [p for p in paths if p.lower().endswith(endings) and os.path.isfile(p)]
    if of_features and len(paths) > 1:
        from decaf.errors import FeaturesError

        raise FeaturesError(
            f"{of_features[0]}: a feature file must be the only PATH; got {len(paths)}"
        )
    return bool(of_features)


def _index_features(arguments: argparse.Namespace, path: str) -> int:
    """Make an index of a feature file, or add one to it."""
    from decaf.errors import FeaturesError
    from decaf.retrieval.from_features import add_features, index_features

    for name in OF_PHOTOS:
        if getattr(arguments, name) not in (None, False):
            raise FeaturesError(
                f"--{name} must not be given with a feature file, which says what made it"
            )
    if arguments.levels not in (None, 1):
        raise FeaturesError(
            f"--levels must be 1 for a feature file, which has no parts; got {arguments.levels}"
        )
    file = arguments.paths[0]
    if arguments.add:
        index = _opened(arguments, path)
        before = len(index)
        built = add_features(index, file, layer=arguments.layer)
        rows = len(index) - before + built.known
        return _said(built, rows + len(built.failed), KNOWN)
    whitening = _whitening(arguments)
    built = index_features(file, path, whitening, layer=arguments.layer)
    _say_learned(built, whitening.dimensions)
    return _said(built, len(built.index) + built.known + len(built.failed), TWICE)


def _remove(arguments: argparse.Namespace, path: str) -> None:
    from decaf.features.naming import slashes
    from decaf.retrieval.index import Index

    index = Index.open(path)
    photos = index.matching([slashes(given) for given in arguments.paths])
    index.remove(photos)
    say(f"decaf: removed {len(photos):,} photos; {len(index):,} are left", sys.stderr, None)


def _compact(path: str) -> None:
    from decaf.retrieval.index import Index

    before = os.path.getsize(path) if os.path.exists(path) else 0
    Index.open(path).compact()
    after = os.path.getsize(path)
    say(f"decaf: {before:,} bytes before, {after:,} now", sys.stderr, None)


@contextmanager
def _options(arguments: argparse.Namespace, count: int) -> Iterator[Options]:
    """How photos are read, with a bar for a person who looks on."""
    from decaf.features.pipeline import BATCH_SIZE
    from decaf.retrieval.build import Options

    with Progress("photos", count) as progress, warnings_on_stderr():
        yield Options(arguments.batch_size or BATCH_SIZE, arguments.workers, progress.more)


def _said(built: Built, photos: int, known: str) -> int:
    """Say what became of the photos; return how many could not be read."""
    if built.known:
        say(f"decaf: {built.known:,} photos {known}", sys.stderr, None)
    say_failed(built.failed, photos)
    say(f"decaf: {len(built.index):,} photos are in the index", sys.stderr, None)
    return len(built.failed)
