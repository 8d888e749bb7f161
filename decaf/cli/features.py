"""``decaf features``: the features of a folder of photos, in a file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from decaf.cli.network import add_network_options, default_layer, load_network
from decaf.cli.photos import FAILURES_SHOWN, find
from decaf.cli.terminal import (
    Commands,
    positive,
    printable,
    progress_bar,
    say,
    unusable,
    warnings_on_stderr,
)

if TYPE_CHECKING:
    from decaf.features.contents import Block
    from decaf.features.sources import Source

HELP = """\
Compute features of photos, and write them to one file.

  decaf features flowers -o flowers.h5
  decaf features flowers.zip --layers relu6,relu7 -o both.h5 --resume
  find . -name '*.jpg' | decaf features --list - -o found.npz

A PATH is a folder, searched in sorted order with the folders in it, a .zip or .tar archive, read
in place, or a photo.  The label of a photo is the name of the folder that it lies in.  A LIST
names one photo a line, with a TAB and a label if it should have another.

What is finished is kept in FILE.partial: whatever stops the work, the same command with --resume
goes on, and ends with the same file.  A photo that cannot be read does not stop the others; the
file lists it under `failed`, and the exit status is then 1.  It is 2 for wrong usage, unusable
weights, nothing to read or nowhere to write.

FILE is HDF5: (N, D) float32 under the name of each layer, `paths`, `labels`, `failed`, and in the
attribute `info` what made them.
"""

SECONDS_BETWEEN_LINES = 60.0


def add_to(commands: Commands) -> argparse.ArgumentParser:
    """Describe the command to argparse."""
    command = commands.add_parser(
        "features",
        help="compute features of photos, into a file",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(command=_features)
    add = command.add_argument
    add("paths", nargs="*", metavar="PATH", help="folder, archive (.zip, .tar) or photo")
    add("--list", metavar="LIST", help="file with a photo a line; - for stdin")
    add("-o", "--output", required=True, metavar="FILE", help="must not exist")
    add(
        "--layers",
        type=_names,
        metavar="L,L",
        help="layers, with commas between them (default: relu6); `decaf info` lists them",
    )
    add("--oversample", action="store_true", help="average ten crops of each photo")
    add(
        "--pooling",
        choices=("average", "max"),
        help="of layers with maps, keep one number a channel",
    )
    add("--resume", action="store_true", help="go on with what was stopped")
    add(
        "--format",
        choices=("h5", "npz", "parquet"),
        help="of FILE (default: as its name ends)",
    )
    add("--workers", type=positive, metavar="K", help="threads that read (default: cores + 1)")
    add(
        "--batch-size",
        type=positive,
        metavar="N",
        help="crops a thread computes at once (default: 16)",
    )
    add_network_options(add)
    return command


def _features(arguments: argparse.Namespace) -> int:
    from decaf.errors import DecafError
    from decaf.features.extraction import extract
    from decaf.features.pipeline import BATCH_SIZE

    try:
        photos = _photos(arguments)
        net = load_network(arguments)
        with _Progress(photos) as progress, warnings_on_stderr():
            features = extract(
                photos,
                arguments.output,
                layers=arguments.layers or [default_layer(net, "--layers")],
                net=net,
                oversample=arguments.oversample,
                pooling=arguments.pooling,
                batch_size=arguments.batch_size or BATCH_SIZE,
                workers=arguments.workers,
                resume=arguments.resume,
                format=arguments.format,
                on_block=progress.show,
            )
    except DecafError as error:
        return unusable(error)
    except KeyboardInterrupt:
        say("decaf: stopped; the same command with --resume goes on", sys.stderr, None)
        raise
    failed = len(features.failed)
    if failed:
        say(f"decaf: {failed:,} of {len(photos):,} photos could not be read", sys.stderr, None)
    say(printable(arguments.output), sys.stdout, None)
    return 1 if failed else 0


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _photos(arguments: argparse.Namespace) -> list[Source]:
    """All photos that are meant, those of the list last."""
    from decaf.errors import FeaturesError
    from decaf.features.listing import read_list

    if not arguments.paths and arguments.list is None:
        raise FeaturesError("photos must be named; expected a PATH or --list, got neither")
    photos: list[Source] = []
    if arguments.paths:
        photos.extend(find(arguments.paths))
    if arguments.list is not None:
        photos.extend(read_list(sys.stdin.buffer if arguments.list == "-" else arguments.list))
    return photos


class _Progress:
    """A bar for a person who looks on; a line a minute for a log."""

    def __init__(self, photos: Sequence[Source]) -> None:
        self.photos = photos
        self.first: int | None = None  # what an earlier run did has no rate
        self.failed = 0
        self.bar: Any = None
        self.begun = self.said = time.monotonic()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.close()

    def show(self, block: Block) -> None:
        """Show that another block is finished."""
        if self.first is None:
            self.first = block.first
            self.bar = progress_bar(len(self.photos), block.first)
        for index, reason in block.failed.items():
            self._show_failure(self.photos[index].path, reason)
        if self.bar:
            self.bar.update(block.count)
        elif time.monotonic() - self.said >= SECONDS_BETWEEN_LINES:
            self.said = time.monotonic()
            done, total = block.first + block.count, len(self.photos)
            rate = (done - self.first) / (self.said - self.begun)
            line = f"{done:,} of {total:,} photos, {rate:.1f} a second"
            left = f"{(total - done) / rate / 60:.0f} minutes left"
            say(f"decaf: {line}, {left}", sys.stderr, None)

    def _show_failure(self, path: str, reason: str) -> None:
        self.failed += 1
        if self.failed <= FAILURES_SHOWN:
            say(f"decaf: {printable(path)}: {printable(reason)}", sys.stderr, self.bar)
        elif self.failed == FAILURES_SHOWN + 1:
            say("decaf: further failures are listed in the file alone", sys.stderr, self.bar)
