"""``decaf transfer``: how well the features of photos tell their classes apart, as a report."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from typing import TYPE_CHECKING

from decaf.cli.network import add_network_options
from decaf.cli.photos import FAILURES_SHOWN
from decaf.cli.progress import Progress
from decaf.cli.terminal import (
    Commands,
    positive,
    printable,
    say,
    seed,
    unusable,
    warnings_on_stderr,
)
from decaf.cli.transfer_rows import SCHEME, VIEWS, Rows, of_file, of_photos

if TYPE_CHECKING:
    from decaf.transfer.report import Report
    from decaf.transfer.results import TransferResult

HELP = """\
Learn classes from some photos of each, test on the others, and write a report.

  decaf transfer flowers -o report
  decaf transfer flowers.zip --protocol offtheshelf --per-class 20 -o report
  decaf transfer flowers.h5 --layer relu7 -o report

PATH is a folder or an archive (.zip, .tar) with a folder of photos for each class; or a feature
file of `decaf features`, with which no network runs.

Protocols: `decaf` trains logistic regression and linear SVM on the features, each with and without
dropout, and draws the learning curve (Donahue et al. 2014).  `offtheshelf` trains linear SVM on
sixteen views of each photo, and adds up what they say of a photo's views (Razavian et al. 2014).

The table is printed, then the path of the page.  REPORT/index.html has all pictures in it and
needs no other file; REPORT/report.json has the numbers.  For a feature file from a stranger say
--no-thumbnails: its paths decide which photos on this computer are opened and shown.

A photo that cannot be read does not stop the others; the report lists it, and the exit status is
then 1.  It is 2 for wrong usage, unusable weights, too few photos of a class, no matplotlib
(pip install matplotlib), or nowhere to write; all that can be known is known before work starts.
"""


def add_to(commands: Commands) -> argparse.ArgumentParser:
    """Describe the command to argparse."""
    command = commands.add_parser(
        "transfer",
        help="learn classes of photos from their features, and report how well",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(command=_transfer)
    add = command.add_argument
    add("path", metavar="PATH", help="folder or archive of photos, or feature file")
    add("-o", "--output", required=True, metavar="REPORT", help="folder to make, or to fill")
    add("--overwrite", action="store_true", help="replace a report that is there")
    add("--protocol", choices=("decaf", "offtheshelf"), default="decaf", help="default: decaf")
    add(
        "--per-class",
        type=positive,
        default=30,
        metavar="N",
        help="photos of each class to learn from (default: 30)",
    )
    add(
        "--splits",
        type=positive,
        default=5,
        metavar="S",
        help="how often to draw them at random (default: 5)",
    )
    add("--seed", type=seed, default=0, metavar="S", help="of random numbers (default: 0)")
    add(
        "--layer",
        metavar="L",
        help="whose features (default: relu6; of a feature file, its first)",
    )
    add(
        "--pooling",
        choices=("average", "max"),
        help="of a layer with maps, keep one number a channel",
    )
    add(
        "--views",
        type=int,
        choices=(1, VIEWS),
        help="of each photo, for offtheshelf (default: 16; 1 of a feature file)",
    )
    add(
        "--scheme",
        choices=("both", "one-vs-all", "one-vs-one"),
        help="how classes are told apart, for offtheshelf (default: both)",
    )
    add(
        "--standardise",
        action="store_true",
        help="bring each feature to mean 0 and variance 1, for decaf",
    )
    add("--no-thumbnails", action="store_true", help="show no photos in the report")
    add("--workers", type=positive, metavar="K", help="threads that read (default: cores + 1)")
    add_network_options(add)
    return command


def _transfer(arguments: argparse.Namespace) -> int:
    from decaf.errors import DecafError
    from decaf.plots.canvas import need_matplotlib
    from decaf.transfer.report import check_place, write_report

    try:
        check_place(arguments.output, arguments.overwrite)
        need_matplotlib()
        has_photos = _holds_photos(arguments.path)
        _check_options(arguments, has_photos)
        with warnings_on_stderr():
            rows = of_photos(arguments) if has_photos else of_file(arguments)
            result = _result(arguments, rows)
            try:
                page = write_report(
                    _report(arguments, rows, result),
                    arguments.output,
                    overwrite=arguments.overwrite,
                )
            finally:  # whatever happens to the report; and the report is safe from stdout
                say(result.table(), sys.stdout, None)
    except DecafError as error:
        return unusable(error)
    if has_photos and len(rows.failed) > FAILURES_SHOWN:
        say("decaf: all that could not be read are listed in report.json", sys.stderr, None)
    say(printable(os.path.join(arguments.output, page.name)), sys.stdout, None)
    return 1 if has_photos and rows.failed else 0


def _holds_photos(path: str) -> bool:
    """Whether a path is one of photos; if not, of features."""
    from decaf.errors import FeaturesError
    from decaf.features.naming import is_archive, is_photo, shown

    if is_photo(path) and os.path.isfile(path):
        raise FeaturesError(
            f"{shown(path)}: must be a folder or an archive of photos, or a feature file; got a "
            "photo"
        )
    if not os.path.exists(path):
        raise FeaturesError(
            f"{shown(path)}: must be a folder or an archive of photos, or a feature file; got no "
            "such file or folder"
        )
    return os.path.isdir(path) or is_archive(path)


def _check_options(arguments: argparse.Namespace, has_photos: bool) -> None:
    """Refuse what would have no effect: who says it expects one."""
    from decaf.errors import DecafError

    useless = {"--standardise": arguments.standardise}
    why = "is for --protocol decaf"
    if arguments.protocol == "decaf":
        useless = {"--views": arguments.views, "--scheme": arguments.scheme}
        why = "is for --protocol offtheshelf"
    for option, said in useless.items():
        if said:
            raise DecafError(f"{option} {why}; got it for {arguments.protocol}")
    if not has_photos:
        useless = {
            "--weights": arguments.weights,
            "--pooling": arguments.pooling,
            "--views": arguments.views == VIEWS,
            "--precision": arguments.precision != "float32",
        }
        for option, said in useless.items():
            if said:
                raise DecafError(
                    f"{option} is for photos; got it for {arguments.path}, whose features are made"
                )


def _result(arguments: argparse.Namespace, rows: Rows) -> TransferResult:
    asked = {
        "per_class": arguments.per_class,
        "splits": arguments.splits,
        "seed": arguments.seed,
    }
    with Progress("steps") as progress:
        if arguments.protocol == "decaf":
            from decaf.transfer import decaf_protocol

            return decaf_protocol(
                rows.values, rows.labels, standardise=arguments.standardise,
                on_step=progress.upto, **asked,
            )  # fmt: skip
        from decaf.transfer import offtheshelf

        return offtheshelf(
            rows.values, rows.labels, scheme=arguments.scheme or SCHEME, on_step=progress.upto,
            **asked,
        )  # fmt: skip


def _report(arguments: argparse.Namespace, rows: Rows, result: TransferResult) -> Report:
    from decaf.image import MAX_PIXELS
    from decaf.transfer.report import Report

    info = rows.info
    words = {
        "network": info.get("architecture"),
        "layer": f"{rows.layer}, {rows.values.shape[-1]:,} numbers",
        "pooling": info.get("pooling"),
        "crops": "ten, averaged" if info.get("oversample") else None,
        "precision": info.get("precision") if info.get("precision") != "float32" else None,
        "weights (SHA-256)": str(info.get("weights_sha256", ""))[:12],
    }
    return Report(
        result,
        arguments.path,
        rows.paths,
        {key: str(value) for key, value in words.items() if value},
        info,
        rows.failed,
        _command(arguments, rows),
        not arguments.no_thumbnails,
        arguments.max_pixels or MAX_PIXELS,
    )


def _command(arguments: argparse.Namespace, rows: Rows) -> str:
    """What to type for the same report; what changes no number is left out."""
    words = ["decaf", "transfer", arguments.path, "--protocol", arguments.protocol]
    words += ["--per-class", str(arguments.per_class), "--splits", str(arguments.splits)]
    words += ["--seed", str(arguments.seed), "--layer", rows.layer]
    defaults = dict.fromkeys(("pooling", "views", "scheme", "weights", "max_pixels"))
    for name, default in {**defaults, "backend": "auto", "precision": "float32"}.items():
        value = getattr(arguments, name)
        if value != default:
            words += [f"--{name.replace('_', '-')}", str(value)]
    words += ["--standardise"] * arguments.standardise
    words += ["--no-thumbnails"] * arguments.no_thumbnails
    return shlex.join([*words, "-o", "report"])
