"""Labels: the thousand that ship with decaf, and files of anybody's making."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from decaf.errors import WeightsError
from decaf.labels import LARGEST_FILE, imagenet, read_labels

# synset_words.txt of ncnn has lost the capitals of nationalities in the names of three dogs.
SLIPS = {"mexicans", "americans"}


def test_imagenet_has_a_thousand() -> None:
    labels, ids = imagenet()
    assert len(labels) == len(ids) == len(set(ids)) == 1000
    assert (
        len(set(labels)) == 999
    )  # "maillot, tank suit" and "maillot" differ, the two "crane"s do not
    assert list(ids) == sorted(ids)  # the order of the challenge is that of the ids


def test_imagenet_agrees_with_the_file_of_others(shared_data: Path) -> None:
    labels, ids = imagenet()
    theirs, their_ids = read_labels(shared_data / "imagenet" / "synset_words.txt")
    assert ids == their_ids
    different = [(a, b) for a, b in zip(labels, theirs, strict=True) if a != b]
    assert len(different) == 3
    for ours, other in different:
        strange = set(other.split()) - set(ours.split())
        assert {word.strip(",").lower() for word in strange} <= SLIPS, (ours, other)


def test_lines_without_ids(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeffant\r\n  bee \n\u00e9lan <b>\n\n\n".encode())
    assert read_labels(path) == (("ant", "bee", "élan <b>"), None)


def test_ids_are_split_off_only_where_every_line_has_one(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("n00000001 ant, emmet\nn00000002\tbee\n")
    assert read_labels(path) == (("ant, emmet", "bee"), ("n00000001", "n00000002"))
    path.write_text("n00000001 ant\nbee\n")
    assert read_labels(path) == (("n00000001 ant", "bee"), None)
    path.write_text("n00000001 ant\nn0000002 bee\n")  # a digit too few
    assert read_labels(path) == (("n00000001 ant", "n0000002 bee"), None)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "line 1: must name a class; got an empty line"),
        (b"\n\n", "line 1: must name a class; got an empty line"),
        (b"ant\n\nbee\n", "line 2: must name a class; got an empty line"),
        (b"ant\nb\0ee\n", r"line 2: must name a class; got 'b\\x00ee'"),
        (b"ant\nbee\n\xff\xfe\n", r"line 3: labels must be UTF-8; got b'\\xff'"),
        (b"x" * (LARGEST_FILE + 1), "at most 4,194,304 bytes"),
        (b"x\n" * 65_537, "at most 65,536 lines"),
        (None, "no such file"),
    ],
)
def test_what_is_no_list_of_labels(tmp_path: Path, data: bytes | None, message: str) -> None:
    path = tmp_path / "labels.txt"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(WeightsError, match=rf"labels\.txt: .*{message}"):
        read_labels(path)


def test_no_path_no_file_no_pipe(tmp_path: Path) -> None:
    for wrong in (None, 3, "a\0b"):
        with pytest.raises(WeightsError, match="must be a text file with labels"):
            read_labels(wrong)  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match="a folder"):
        read_labels(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(WeightsError, match="something else"):
            read_labels(tmp_path / "pipe")
