"""The command ``decaf``: results on stdout, everything else on stderr.

Exit status: 0; 1 when some photos could not be used (the others are answered); 2 for wrong
usage, unusable weights or an unexpected error, of which ``--debug`` shows the traceback; 130
after Ctrl-C; 141 when the reader of stdout went away.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TextIO

from decaf import __version__

# What computes is imported once the arguments are known to be right, inside the functions.
if TYPE_CHECKING:
    from numpy.typing import NDArray

    from decaf.net import Prediction

MANY = 8  # from more photos than this a progress bar helps
LABELS_SHOWN = 10

CLASSIFY_HELP = """\
Say what photos show.

For each photo its name, then the most probable classes, best first.  With --json one JSON
document a photo and line:

  {"photo": "cat.jpg", "top": [{"index": 3, "label": "cat", "score": 0.98}, ...]}
  {"photo": "notes.txt", "error": "notes.txt: must be ..."}

A photo that cannot be used does not stop the others; the exit status is then 1.  It is 2
for wrong usage, unusable weights or an unexpected error.
"""

INFO_HELP = """\
Describe a weights file: its layers, preprocessing, labels and where it comes from.

Bytes are those in the file.  With --json one JSON document with the keys path, sha256,
architecture, precision, input_shape, preprocessing, labels, provenance, parameters,
multiply_adds, bytes and layers.
"""


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
        _say(_printable(line), sys.stderr, None)
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

    classify = commands.add_parser(
        "classify",
        help="say what photos show",
        description=CLASSIFY_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    classify.set_defaults(command=_classify)
    add = classify.add_argument
    add("photos", nargs="+", metavar="PHOTO", help="an image file; - reads one from stdin")
    add("--weights", metavar="W", help="weights file (default: the network inside the package)")
    add("--top", type=_positive, default=5, metavar="K", help="classes a photo (default: 5)")
    add(
        "--oversample",
        action="store_true",
        help="average ten crops: slower, right a little more often",
    )
    add("--json", action="store_true", help="one JSON document a photo and line")
    add("--threads", type=_positive, metavar="T", help="threads (default: one a core)")
    backends = ("auto", "cython", "blas", "numpy")
    add("--backend", choices=backends, default="auto", help="default: auto")
    add(
        "--precision",
        choices=("float32", "float16"),
        default="float32",
        help="of the weights of fully connected layers: float16 takes half the memory "
        "(default: float32)",
    )
    add(
        "--batch-size",
        type=_positive,
        default=32,
        metavar="N",
        help="photos computed at once (default: 32)",
    )
    add(
        "--max-pixels",
        type=_positive,
        metavar="P",
        help="refuse larger photos (default: 89 million)",
    )

    info = commands.add_parser(
        "info",
        help="describe a weights file",
        description=INFO_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    info.set_defaults(command=_info)
    info.add_argument(
        "weights",
        nargs="?",
        metavar="W",
        help="weights file (default: the network inside the package)",
    )
    info.add_argument("--json", action="store_true", help="one JSON document")
    for command in (classify, info):
        command.add_argument(
            "--debug", action="store_true", help="show the traceback of an unexpected error"
        )
    return parser


def _positive(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return value


def _classify(arguments: argparse.Namespace) -> int:
    from decaf.errors import DecafError
    from decaf.image import MAX_PIXELS
    from decaf.net import DecafNet

    try:
        net = DecafNet(
            arguments.weights,
            threads=arguments.threads,
            backend=arguments.backend,
            precision=arguments.precision,
            max_pixels=arguments.max_pixels or MAX_PIXELS,
        )
    except DecafError as error:
        return _unusable(error)

    names: list[str] = arguments.photos
    stdin = sys.stdin.buffer if sys.stdin else b""  # None where it was closed
    answers = net.classify_each(
        [stdin if name == "-" else name for name in names],
        oversample=arguments.oversample,
        batch_size=arguments.batch_size,
    )
    failed = 0
    bar = _progress_bar(len(names))
    with bar or nullcontext():
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, Exception):
                failed += 1
                reason = _folder_reason(name) or str(answer)
                if arguments.json:
                    _say(json.dumps({"photo": name, "error": reason}), sys.stdout, bar)
                else:
                    _say(f"decaf: {_printable(reason)}", sys.stderr, bar)
            else:
                top = net.top_k(answer, arguments.top)
                write = _as_json if arguments.json else _as_text
                _say(write(name, top), sys.stdout, bar)
            if bar:
                bar.update()
    if failed and len(names) > 1:
        _say(f"decaf: {failed} of {len(names)} photos could not be used", sys.stderr, None)
    return 1 if failed else 0


def _as_text(name: str, top: list[Prediction]) -> str:
    lines = (f"{p.score:8.2%}  {_printable(p.label)}" for p in top)
    return "\n".join((_printable(name), *lines))


def _as_json(name: str, top: list[Prediction]) -> str:
    # JSON has no NaN; a network with broken weights may give one.
    classes = [{**p._asdict(), "score": p.score if math.isfinite(p.score) else None} for p in top]
    return json.dumps({"photo": name, "top": classes})


def _folder_reason(name: str) -> str | None:
    if not os.path.isdir(name):
        return None
    inside = os.path.join(name, "*")
    return f"{name}: must be a photo; expected a file, got a folder (name its photos: {inside})"


def _info(arguments: argparse.Namespace) -> int:
    from decaf.errors import DecafError
    from decaf.report import summarise
    from decaf.weights import default_weights, load_weights

    try:
        weights = load_weights(arguments.weights or default_weights(), widen=False)
    except DecafError as error:
        return _unusable(error)

    sizes = {name: array.nbytes for name, array in weights.parameters.items()}
    summary = summarise(weights.architecture, sizes)
    facts: dict[str, Any] = {
        "path": os.fspath(weights.path),
        "sha256": weights.sha256,
        "architecture": weights.architecture.name,
        "precision": _precision(weights.parameters.values()),
        "preprocessing": weights.preprocessing.to_dict(),
        "labels": list(weights.labels),
        "provenance": weights.provenance,
    }
    if arguments.json:
        numbers = summary.as_dict()
        del numbers["name"]
        _say(json.dumps({**facts, **numbers}), sys.stdout, None)
        return 0

    shown = ", ".join(weights.labels[:LABELS_SHOWN])
    more = len(weights.labels) - LABELS_SHOWN
    lines = [
        ("file", facts["path"]),
        ("SHA-256", facts["sha256"]),
        ("architecture", facts["architecture"]),
        ("precision", facts["precision"]),
        ("preprocessing", str(weights.preprocessing)),
        (f"{len(weights.labels)} labels", f"{shown}, and {more} more" if more > 0 else shown),
        *((key, _plain(value)) for key, value in weights.provenance.items()),
    ]
    width = max(len(key) for key, _ in lines)
    for key, value in lines:
        _say(f"{_printable(key):{width}}  {_printable(value)}", sys.stdout, None)
    for line in ("", *str(summary).splitlines()):
        _say(_printable(line), sys.stdout, None)
    return 0


def _precision(arrays: Iterable[NDArray[Any]]) -> str:
    """What the parameters are stored as: ``"float32"``, ``"float16"``, or both."""
    return " and ".join(sorted({array.dtype.name for array in arrays}, reverse=True))


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _unusable(error: Exception) -> int:
    _say(f"decaf: error: {_printable(str(error))}", sys.stderr, None)
    return 2


def _progress_bar(total: int) -> Any:
    """Return a tqdm bar where it helps somebody: many photos, and a person who looks on."""
    if total <= MANY or not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    return tqdm(total=total, unit="photo", file=sys.stderr)


def _say(text: str, stream: TextIO | None, bar: Any) -> None:
    """Write a line at once: a reader at the other end of a pipe waits for it."""
    if stream is None:  # Python's way to say that it was closed
        return
    if bar is None:
        stream.write(f"{text}\n")
    else:
        bar.write(text, file=stream)  # moves the bar out of the way
    stream.flush()


def _printable(text: str) -> str:
    """Escape what a terminal would obey, and what no encoding can write."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
