"""``decaf plot``: pictures of networks, of what they see in photos, and of features."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from decaf.cli.network import add_network_options, load_network
from decaf.cli.terminal import Commands, positive, printable, say, seed, unusable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HELP = """\
Draw a picture and print its path.  Needs matplotlib: pip install matplotlib.

  decaf plot filters -o filters.png
  decaf plot activations cat.jpg --layer relu2 -o maps.png
  decaf plot occlusion cat.jpg --label cat -o where.png
  decaf plot top cat.jpg -o top.svg
  decaf plot tsne flowers.h5 -o flowers.pdf
  decaf plot times cat.jpg -o times.png

`tsne` opens the photos by the paths in the feature file, so start it where `decaf features` was
started; photos that are not found are dots.  For a feature file from a stranger say
--no-thumbnails: its paths decide which photos on this computer are opened and drawn.

The suffix of the picture says its format: .png, .svg or .pdf.  A picture that is there already is
replaced, whole or not at all.  The same input gives the same bytes (but `times`, which measures);
of matplotlib's settings only the fonts count.
The exit status is 1 when a photo cannot be used; 2 for wrong usage, unusable weights or features,
no matplotlib, or a picture that cannot be written.
"""
LEAST_DPI, MOST_DPI = 30, 600
MOST_PIXELS = 10**8  # of a picture; matplotlib takes up to 20 bytes for each


def add_to(commands: Commands) -> argparse.ArgumentParser:
    """Describe the command to argparse."""
    command = commands.add_parser(
        "plot",
        help="draw filters, activations, occlusion maps, top classes, t-SNE, times",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = command.add_subparsers(title="pictures", metavar="PICTURE", required=True)

    add = _kind(kinds, "filters", _filters, "the filters of a convolution")
    add("--layer", metavar="L", help="default: the first convolution")

    add = _kind(kinds, "activations", _activations, "what a layer makes of a photo")
    _photo(add)
    add("--layer", metavar="L", help="default: the first convolution")
    add(
        "--channels",
        type=_numbers,
        metavar="K,K,...",
        help="which maps, from 0 (default: the 24 with the largest values)",
    )

    add = _kind(kinds, "occlusion", _occlusion, "where in a photo a class is seen")
    _photo(add)
    add("--label", metavar="C", help="name or number of the class (default: the most probable)")
    add(
        "--window",
        type=positive,
        metavar="P",
        help="side of the square in pixels of the network's input (default: a fifth of it)",
    )
    add(
        "--stride",
        type=positive,
        metavar="P",
        help="pixels from one place to the next (default: a quarter of the window)",
    )

    add = _kind(kinds, "top", _top, "a photo and its most probable classes")
    _photo(add)
    add("--top", type=positive, default=5, metavar="K", help="how many, up to 50 (default: 5)")

    add = _kind(kinds, "tsne", _tsne, "the photos of a feature file, similar ones together")
    add("features", metavar="FILE", help="as `decaf features` writes it")
    add("--layer", metavar="L", help="default: the first of the file")
    add("--no-thumbnails", action="store_true", help="dots only; opens no photos")
    add(
        "--perplexity",
        type=float,
        default=30.0,
        metavar="P",
        help="about how many neighbours each photo keeps near, at least 1 (default: 30)",
    )
    add("--seed", type=seed, default=0, metavar="S", help="of random numbers (default: 0)")
    add(
        "--sample",
        type=positive,
        default=2000,
        metavar="N",
        help="of more photos, draw so many, chosen at random (default: 2,000)",
    )

    add = _kind(kinds, "times", _times, "how long each layer takes")
    add(
        "photos",
        nargs="*",
        metavar="PHOTO",
        help="measured with, as one batch (default: noise of 640x480 pixels)",
    )
    add("--repeat", type=positive, default=10, metavar="R", help="the median counts (default: 10)")
    return command


def _kind(
    kinds: Commands, name: str, draw: Callable[[argparse.Namespace], Figure], what: str
) -> Callable[..., Any]:
    """Add a picture with the options that all have; return what adds more."""
    kind = kinds.add_parser(name, help=what, description=f"Draw {what}.")
    kind.set_defaults(command=_plot, draw=draw)
    add = kind.add_argument
    add("-o", "--output", required=True, metavar="PICTURE", help="a .png, .svg or .pdf file")
    add("--dpi", type=_dpi, default=150, metavar="D", help="pixels an inch (default: 150)")
    add("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    if name != "tsne":
        add_network_options(add)
    return add


def _photo(add: Callable[..., Any]) -> None:
    add("photo", metavar="PHOTO", help="an image file; - reads one from stdin")


def _plot(arguments: argparse.Namespace) -> int:
    from decaf.errors import DecafError, ImageError
    from decaf.plots.canvas import need_matplotlib
    from decaf.plots.saving import own_style

    try:
        suffix = _checked(arguments.output)
        need_matplotlib()
        with own_style():
            _write(arguments.draw(arguments), arguments.output, suffix, arguments.dpi)
    except ImageError as error:
        say(f"decaf: {printable(str(error))}", sys.stderr, None)
        return 1
    except DecafError as error:
        return unusable(error)
    say(printable(arguments.output), sys.stdout, None)
    return 0


def _checked(path: str) -> str:
    """Return the suffix of a picture that can be written, as far as one can know before."""
    from decaf.errors import DecafError
    from decaf.plots.saving import METADATA

    suffix = os.path.splitext(path)[1].lower()
    if suffix not in METADATA:
        raise DecafError(f"{path}: a picture must end in {', '.join(METADATA)}; got {suffix!r}")
    folder = os.path.dirname(path) or os.curdir
    if os.path.isdir(path):
        raise DecafError(f"{path}: must be a picture to write; got a folder")
    if not os.path.isdir(folder):
        raise DecafError(f"{path}: the folder of a picture must be there; got no {folder}")
    return suffix


def _write(figure: Figure, path: str, suffix: str, dpi: int) -> None:
    """Write the picture whole or not at all; the same picture always in the same bytes."""
    from decaf.errors import DecafError
    from decaf.files import replacing
    from decaf.plots.saving import encoded

    wide, high = (round(side * dpi) for side in figure.get_size_inches())
    if wide * high > MOST_PIXELS:
        raise DecafError(
            f"{path}: a picture must have at most {MOST_PIXELS:,} pixels; got {wide:,}×{high:,} "
            f"at --dpi {dpi}"
        )
    drawn = encoded(figure, suffix, dpi)
    try:
        with replacing(path) as file:
            file.write(drawn)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DecafError(f"{path}: must be a file that can be written; got {reason}") from error


def _opened(name: str) -> Any:
    return name if name != "-" else sys.stdin.buffer if sys.stdin else b""


def _filters(arguments: argparse.Namespace) -> Figure:
    from decaf import plots

    return plots.filters(load_network(arguments), arguments.layer)


def _activations(arguments: argparse.Namespace) -> Figure:
    from decaf import plots

    photo = _opened(arguments.photo)
    return plots.activations(load_network(arguments), photo, arguments.layer, arguments.channels)


def _occlusion(arguments: argparse.Namespace) -> Figure:
    from decaf import plots

    photo = _opened(arguments.photo)
    asked = (arguments.label, arguments.window, arguments.stride)
    return plots.occlusion(load_network(arguments), photo, *asked)


def _top(arguments: argparse.Namespace) -> Figure:
    from decaf import plots

    return plots.top_k(load_network(arguments), _opened(arguments.photo), arguments.top)


def _tsne(arguments: argparse.Namespace) -> Figure:
    from decaf import plots

    return plots.tsne(
        arguments.features,
        arguments.layer,
        not arguments.no_thumbnails,
        arguments.perplexity,
        arguments.seed,
        arguments.sample,
    )


def _times(arguments: argparse.Namespace) -> Figure:
    from decaf import plots

    photos = [_opened(name) for name in arguments.photos] or None
    return plots.times(load_network(arguments), photos, repeat=arguments.repeat)


def _numbers(text: str) -> list[int]:
    """Convert ``0,5,17``."""
    return [_whole(part.strip()) for part in text.split(",")]


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, got {text!r}")
    return int(text)


def _dpi(text: str) -> int:
    value = positive(text)
    if not LEAST_DPI <= value <= MOST_DPI:
        raise argparse.ArgumentTypeError(f"must be from {LEAST_DPI} to {MOST_DPI}, got {value}")
    return value
