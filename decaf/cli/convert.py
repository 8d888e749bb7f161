"""``decaf convert``: weights of other programs become a weights file of decaf."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from decaf.cli.terminal import Commands, printable, say, unusable, warnings_on_stderr

HELP = """\
Turn a weights file of torch (.pth), Caffe (.caffemodel, .caffemodel.h5, .net), ONNX,
safetensors or NumPy (.npz) into one of decaf; or one of decaf into .onnx, .safetensors or .npz.

What the file is, decaf finds out from its contents.  It is read by a process of its own with
limits on memory and time, and nothing in it is run.  A second run finds the result there and does
nothing; where DST is something else, or made for another program, it is kept, unless --force says
otherwise.  A weights file of decaf may be SRC for another one, with --dtype float16 for example.

  decaf convert alexnet.pth alexnet.h5
  decaf convert alexnet.h5 alexnet.onnx
  decaf convert caffenet.caffemodel caffenet.h5 --mean imagenet_mean.binaryproto
  decaf convert quick.caffemodel quick.h5 --prototxt quick.prototxt --mean mean.binaryproto \\
    --preprocessing rgb.json

A JSON file for --preprocessing has fields that `decaf info --json` shows: resize, crop, channels,
divide, mean, std, interpolation; rgb.json is {"channels": "RGB"}.  They change what the file says
and its program does.  Where neither is known, what is left out has its default: the size of the
network's input for crop and resize, RGB, 255, 0, 1, bilinear.
"""
FOR_IMPORT = ("prototxt", "architecture", "mean", "preprocessing", "labels", "format")
SMALL = 2**23  # bytes; converted before a bar is seen


def add_to(commands: Commands) -> argparse.ArgumentParser:
    """Describe the command to argparse."""
    command = commands.add_parser(
        "convert",
        help="turn weights of torch, Caffe, ONNX and others into a weights file, and back",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(command=_convert)
    add = command.add_argument
    add("source", metavar="SRC", help="the file to convert")
    add("target", metavar="DST", help="the file to write: .h5, or .onnx, .safetensors, .npz")
    add("--prototxt", metavar="P", help="the layers, for Caffe")
    add(
        "--architecture",
        metavar="A",
        help="name of an architecture or JSON file that describes one (default: what is found)",
    )
    add("--mean", metavar="M", help="mean image or colour to subtract: .binaryproto or .npy")
    add(
        "--preprocessing",
        metavar="R",
        help="torchvision, caffe, or a JSON file (default: what the file says, or what is usual)",
    )
    add(
        "--labels",
        metavar="L",
        help="imagenet, or a text file with one class a line (default: ImageNet's for 1,000 "
        "classes)",
    )
    add(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="of the parameters in a DST of decaf: float16 takes half the space (default: float32)",
    )
    add(
        "--format",
        metavar="F",
        help="format of SRC, where its contents do not say it: torch, caffe, caffe-h5, "
        "deep-compression, onnx, safetensors, npz, decaf",
    )
    add("--force", action="store_true", help="replace DST, whatever it is")
    return command


def _convert(arguments: argparse.Namespace) -> int:
    from decaf.convert import SUFFIXES, convert, export
    from decaf.errors import DecafError, WeightsError
    from decaf.weights import load_weights

    suffix = os.path.splitext(arguments.target)[1]
    if suffix.lower() in export.SUFFIXES:
        return _export(arguments)
    if suffix.lower() not in SUFFIXES:
        expected = ", ".join((*SUFFIXES, *export.SUFFIXES))
        return unusable(
            WeightsError(f"{arguments.target}: the target must end in {expected}; got {suffix!r}")
        )
    bar = _Bar(arguments.source)
    try:
        try:
            done = convert(
                arguments.source,
                arguments.target,
                prototxt=arguments.prototxt,
                architecture=arguments.architecture,
                mean=arguments.mean,
                preprocessing=arguments.preprocessing,
                labels=arguments.labels,
                format=arguments.format,
                dtype=arguments.dtype,
                force=arguments.force,
                progress=bar.show,
            )
        finally:
            bar.close()
        weights = load_weights(done.path, widen=False)
    except DecafError as error:
        return unusable(error)
    values = sum(array.size for array in weights.parameters.values())
    facts = (
        weights.architecture.name,
        f"{values:,} parameters",
        f"{len(weights.labels):,} classes",
        str(weights.preprocessing),
        f"{os.path.getsize(done.path):,} bytes",
    )
    state = "" if done.made else "up to date: "
    say(printable(f"{done.path}: {state}{'; '.join(facts)}"), sys.stdout, None)
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from decaf.convert.export import export
    from decaf.errors import DecafError, WeightsError

    try:
        given = [name for name in FOR_IMPORT if getattr(arguments, name) is not None]
        if given or arguments.dtype != "float32":
            raise WeightsError(
                f"{arguments.target}: what decaf writes for others is as the source is; it takes "
                f"no --{(given or ['dtype'])[0]}"
            )
        with warnings_on_stderr():
            path = export(arguments.source, arguments.target, force=arguments.force)
    except DecafError as error:
        return unusable(error)
    say(printable(f"{path}: {os.path.getsize(path):,} bytes"), sys.stdout, None)
    return 0


class _Bar:
    """A progress bar on stderr, where it helps: a large file, and a person who looks on."""

    def __init__(self, source: str) -> None:
        try:
            large = os.path.getsize(source) > SMALL
        except OSError:  # which `convert` will say
            large = False
        self.wanted = bool(large and sys.stderr and sys.stderr.isatty())
        self.stage = ""
        self.bar: Any = None

    def show(self, stage: str, done: int, total: int) -> None:
        """Take what :func:`decaf.convert.convert` reports."""
        if not self.wanted:
            return
        if stage != self.stage:
            from tqdm import tqdm

            self.close()
            self.stage = stage
            self.bar = tqdm(
                total=total, unit="B", unit_scale=True, desc=stage, file=sys.stderr, leave=False
            )
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
