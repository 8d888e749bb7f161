"""Measure a network for CIFAR-10 with decaf itself; print the table of ``weights/README.md``.

    python weights/training/evaluate.py ../shared/data/cifar10/test-a.zip

Photos are ``<anything>/<class>/<name>.jpg`` inside the archive, read as a user would read
them: as the bytes of a JPEG file, by ``DecafNet.classify``.
"""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from decaf.net import DecafNet


def photos(archive: Path, names: list[str]) -> Iterator[bytes]:
    with zipfile.ZipFile(archive) as files:
        for name in names:
            yield files.read(name)


def evaluate(
    archive: Path, net: DecafNet, oversample: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted class of every photo of an archive."""
    with zipfile.ZipFile(archive) as files:
        names = sorted(name for name in files.namelist() if name.endswith(".jpg"))
    truth = np.array([net.labels.index(name.split("/")[-2]) for name in names])
    scores = net.classify(photos(archive, names), oversample=oversample, batch_size=100)
    return truth, scores.argmax(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("--weights", type=Path)
    args = parser.parse_args()
    net = DecafNet(args.weights)
    answers = [evaluate(args.archive, net, oversample) for oversample in (False, True)]
    print("| class | centre crop | ten crops |")
    print("|---|---|---|")
    for number, label in enumerate(net.labels):
        shares = [float((guess[truth == number] == number).mean()) for truth, guess in answers]
        print(f"| {label} | {shares[0]:.1%} | {shares[1]:.1%} |")
    shares = [float((guess == truth).mean()) for truth, guess in answers]
    print(f"| **all {len(answers[0][0]):,}** | **{shares[0]:.2%}** | **{shares[1]:.2%}** |")


if __name__ == "__main__":
    main()
