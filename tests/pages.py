"""A page of docs/, from top to bottom: its commands and its Python, in one folder, in order."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
from conftest import ROOT, SHARED_DATA
from PIL import Image
from processes import ENVIRONMENT


def run_page(name: str, squeezenet: str | None) -> tuple[dict[str, object], list[list[str]]]:
    """Run all of it in the working directory.

    Returns
    -------
    The variables that its Python left, and the words of each command that ran.  Commands that
    need SqueezeNet, which the page takes from the zoo, take it from a file, or are left out.
    """
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    values: dict[str, object] = {}
    ran = []
    for kind, block in re.findall(r"^```(python|)\n(.*?)^```", text, re.M | re.S):
        if kind == "python":
            exec(block, values)
            continue
        for line in block.splitlines():
            if "decaf " not in line:
                continue  # the names of files, or what a command said
            if "squeezenet" in line:
                if squeezenet is None:
                    continue
                line = line.replace("--weights squeezenet", f"--weights {shlex.quote(squeezenet)}")
            shell(line)
            ran.append(shlex.split(line, comments=True))
    return values, ran


def shell(line: str) -> None:
    """Run a line as a shell does, with this package as ``decaf``."""
    line = line.replace("decaf ", f"{shlex.quote(sys.executable)} -m decaf ", 1)
    done = subprocess.run(line, shell=True, env=ENVIRONMENT, capture_output=True, timeout=120)
    assert done.returncode == 0, f"{line}\n{done.stderr.decode()}"


def outputs(ran: list[list[str]]) -> list[str]:
    """What the commands were told to write."""
    return [words[words.index("-o") + 1] for words in ran if "-o" in words]


def draw_classes(folder: Path, classes: tuple[str, ...], photos: int) -> None:
    """A folder of photos for each class, easy to tell apart by their colour."""
    random = np.random.default_rng(0)
    for number, label in enumerate(classes):
        (folder / label).mkdir(parents=True)
        for photo in range(1, photos + 1):
            pixels = random.integers(0, 120, (48, 56, 3), np.uint8)
            pixels[..., number % 3] += 120
            Image.fromarray(pixels).save(folder / label / f"{photo}.jpg")


def convert_squeezenet(folder: Path) -> str | None:
    """SqueezeNet as a weights file in a folder, where the shared data has it."""
    from decaf.convert import convert

    source = SHARED_DATA / "squeezenet" / "squeezenet_v1.1.caffemodel"
    if not source.exists():
        return None
    target = folder / "net.h5"
    convert(source, target, prototxt=source.with_suffix(".prototxt"), preprocessing="caffe")
    return str(target)
