"""Names of classes: the thousand of ImageNet, and those in a file of yours.

A file of labels is text with one class a line, in the order of the classes::

    n01440764 tench, Tinca tinca
    n01443537 goldfish, Carassius auratus

Where every line begins with an id of WordNet, as here and in Caffe's ``synset_words.txt``, the
ids are split off.  ``imagenet.txt``, which ships with decaf, is such a file: ids and words of
WordNet 3.0 in the order of ImageNet's challenge of 2012, which Caffe, torchvision and all others
share.  Its licence is in ``WORDNET-LICENSE.txt``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeAlias

from decaf.errors import WeightsError
from decaf.files import read_file

Labels: TypeAlias = tuple[tuple[str, ...], tuple[str, ...] | None]  # and their ids, if any

IMAGENET = Path(__file__).parent / "imagenet.txt"
IMAGENET_CLASSES = 1000
LARGEST_FILE = 2**22  # bytes; the 21,841 classes of the whole ImageNet take 1 MB
MOST_LABELS = 2**16
WITH_ID = re.compile(r"(n[0-9]{8}) +(.*)")


def imagenet() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the 1,000 labels of ImageNet and their WordNet ids, in the order of the classes.

    >>> labels, ids = imagenet()
    >>> ids[281], labels[281]
    ('n02123045', 'tabby, tabby cat')
    """
    labels, ids = read_labels(IMAGENET)
    if ids is None:
        raise WeightsError(f"{IMAGENET}: every line must begin with an id; install decaf again")
    return labels, ids


def read_labels(path: str | os.PathLike[str]) -> Labels:
    """Read a file with one class a line.

    Parameters
    ----------
    path : path
        UTF-8 text, at most 4 MiB and 65,536 classes; an empty line at its end is no class.

    Returns
    -------
    labels, ids : tuple of str, tuple of str or None
        The ids only if every line begins with one.

    Raises
    ------
    WeightsError
        If the file cannot be read, is not text, or has a line without a name; the message
        starts with the path and names the line.
    """
    data = read_file(path, LARGEST_FILE, "a text file with labels")
    if data.count(b"\n", 0, len(data.rstrip())) >= MOST_LABELS:
        raise WeightsError(f"{path}: labels must be at most {MOST_LABELS:,} lines; got more")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise WeightsError(
            f"{path}: line {number}: labels must be UTF-8; got {data[error.start : error.end]!r}"
        ) from error
    lines = [line.strip().replace("\t", " ") for line in text.rstrip().split("\n")]
    for number, line in enumerate(lines, 1):
        if not line or not line.isprintable():
            got = repr(line[:100]) if line else "an empty line"
            raise WeightsError(f"{path}: line {number}: must name a class; got {got}")
    matches = [match for match in map(WITH_ID.fullmatch, lines) if match]
    if len(matches) < len(lines):
        return tuple(lines), None
    return tuple(match[2] for match in matches), tuple(match[1] for match in matches)
