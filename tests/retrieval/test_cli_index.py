"""``decaf index``: what it writes, what it says where, its exit status."""

from __future__ import annotations

import os
import signal
import sys
import time
import zipfile
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
import tiny
from PIL import Image
from processes import ENVIRONMENT

from decaf import ops
from decaf.cli import main
from decaf.retrieval.index import Index

COUNT = 12
BACKEND = ("--backend", ops.available()[0])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save(tmp_path_factory.mktemp("weights") / "tiny.h5"))


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_photos("photos", range(COUNT))
    Path("photos/notes.txt").write_text("no photo")


def make_photos(folder: str, numbers: range) -> None:
    for number in numbers:
        place = Path(folder) / ("bee", "ant")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tiny.photo(number)).save(place / f"{number:02}.png")


def names(numbers: range = range(COUNT), folder: str = "photos") -> list[str]:
    return sorted(f"{folder}/{('bee', 'ant')[n % 2]}/{n:02}.png" for n in numbers)


def index(weights: str, *arguments: str) -> int:
    return main(["index", "--weights", weights, *BACKEND, *arguments])


def test_a_folder(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert index(weights, "photos/") == 0
    said = capsys.readouterr()
    assert said.out == "photos.index\n"
    found = Index.open("photos.index")
    assert said.err.splitlines() == [
        "decaf: 1 other file is left out",
        "decaf: learned from 12 photos how to compare photos: "
        f"{found.dimensions} numbers a vector, not 500: they differ in no more directions",
        "decaf: 12 photos are in the index",
    ]
    assert list(found.paths) == names() and found.info["layer"] == "relu6"
    assert sorted(os.listdir()) == ["photos", "photos.index"]


def test_the_name_of_an_archive(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile("more.zip", "w") as archive:
        for path in Path("photos").rglob("*.png"):
            archive.write(path, path.relative_to("photos").as_posix())
    assert index(weights, "more.zip", "photos") == 0
    assert capsys.readouterr().out == "more.index\n"
    assert Index.open("more.index").paths[0] == "more.zip/ant/01.png"
    assert len(Index.open("more.index")) == 2 * COUNT


def test_options_reach_the_index(weights: str) -> None:
    options = ("--layer", "decaf5", "--oversample", "--pooling", "max", "--dimensions", "3")
    more = ("--whiten", "0.25", "--power", "2", "--workers", "3", "--batch-size", "7")
    assert index(weights, "photos", "-o", "x.index", *options, *more, "--threads", "1") == 0
    found = Index.open("x.index")
    assert found.info["layer"] == "pool5" and found.info["oversample"] is True
    assert found.info["pooling"] == "max" and (found.features, found.dimensions) == (10, 3)
    assert (found.transform.whiten, found.transform.power) == (0.25, 2.0)


def test_levels(weights: str) -> None:
    assert index(weights, "photos", "--levels", "2", "-o", "x.index") == 0
    assert (Index.open("x.index").levels, Index.open("x.index").parts) == (2, 5)
    make_photos("more", range(20, 23))
    assert index(weights, "more", "-o", "x.index", "--add") == 0
    assert len(Index.open("x.index")) == COUNT + 3


def test_add_and_remove_and_compact(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert index(weights, "photos", "-o", "x.index") == 0
    make_photos("more", range(20, 30))
    capsys.readouterr()
    assert index(weights, "more", "photos", "-o", "x.index", "--add") == 0
    said = capsys.readouterr()
    assert said.out == "x.index\n"
    assert said.err.splitlines()[1:] == [
        "decaf: 12 photos left out: the index has them, or they came twice",
        "decaf: 22 photos are in the index",
    ]
    every = names() + names(range(20, 30), "more")
    assert list(Index.open("x.index").paths) == every
    assert main(["index", "-o", "x.index", "--remove", "more/ant", "photos/bee/02.png"]) == 0
    assert capsys.readouterr().err == "decaf: removed 6 photos; 16 are left\n"
    left = [n for n in every if not n.startswith("more/ant") and n != "photos/bee/02.png"]
    assert list(Index.open("x.index").paths) == left
    assert main(["index", "-o", "x.index", "--compact"]) == 0
    said = capsys.readouterr()
    assert said.out == "x.index\n" and "bytes before" in said.err
    assert list(Index.open("x.index").paths) == left
    assert main(["index", "photos", "-o", "x.index", "--remove", "--compact"]) == 0
    assert list(Index.open("x.index").paths) == names(range(20, 30, 2), "more")


def test_a_photo_that_cannot_be_read(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/ant/03.png").write_bytes(b"no photo")
    assert index(weights, "photos", "-o", "x.index") == 1
    said = capsys.readouterr()
    assert said.out == "x.index\n"
    assert "decaf: photos/ant/03.png: must be a photo" in said.err
    assert "decaf: 1 of 12 photos could not be read\n" in said.err
    assert len(Index.open("x.index")) == COUNT - 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "expected a PATH"),
        (("--add",), "expected a PATH"),
        (("--add", "--compact"), "expected a PATH"),
        (("--compact",), "expected -o INDEX"),
        (("photos", "--remove"), "expected -o INDEX"),
        (("missing",), "missing"),
        (("photos", "-o", "nowhere/x.index"), "nowhere/x.index"),
        (("photos", "-o", "photos"), "photos: must be the name of a file"),
        (("photos", "--layer", "fc9"), "fc9"),
        (("photos", "--whiten", "2"), "whiten must be a number; expected 0 to 1"),
        (("photos", "--power", "-1"), "power must be a number"),
        (("photos", "--whiten", "nan"), "whiten"),
        (("photos", "-o", "missing.index", "--add"), "missing.index: must be an index"),
        (("photos", "-o", "photos/notes.txt", "--add"), "must be an index of decaf"),
        (("photos/ant/01.png",), "expected 2, got 1"),
        (("photos", "--weights", "missing.h5"), "missing.h5"),
    ],
)
def test_what_cannot_be_done(
    arguments: tuple[str, ...], said: str, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert index(weights, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and said in captured.err
    assert len(captured.err.splitlines()) <= 2  # the reason, and that a file was left out
    assert os.listdir() == ["photos"]


@pytest.mark.parametrize(
    "arguments", [("--add", "--remove"), ("--levels", "5"), ("--workers", "0")]
)
def test_wrong_usage(arguments: tuple[str, ...], weights: str) -> None:
    with pytest.raises(SystemExit) as ended:
        index(weights, "photos", *arguments)
    assert ended.value.code == 2


def test_what_is_there_is_kept(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert index(weights, "photos", "-o", "x.index", "--layer", "fc7") == 0
    before = Path("x.index").read_bytes()
    make_photos("more", range(20, 23))
    capsys.readouterr()
    for arguments, said in (
        (("more", "-o", "x.index"), "x.index: must not exist"),
        (("more", "-o", "x.index", "--add", "--layer", "fc6"), "layer: fc7 then, fc6 now"),
        (("more", "-o", "x.index", "--add", "--oversample"), "oversample: false then, true now"),
        (("more", "-o", "x.index", "--add", "--dimensions", "3"), "--dimensions must be that of"),
        (("more", "-o", "x.index", "--add", "--levels", "2"), "--levels must be that of"),
        (("more", "-o", "x.index", "--remove"), "x.index: more must be a photo of it"),
    ):
        assert index(weights, *arguments) == 2
        assert said in capsys.readouterr().err
    assert main(["index", "more", "-o", "x.index", "--add"]) == 2  # the network in the package
    assert "expected architecture 'tiny <&>', got 'decaf_mini'" in capsys.readouterr().err
    assert Path("x.index").read_bytes() == before
    assert index(weights, "more", "-o", "x.index", "--add", "--layer", "fc7", "--levels", "1") == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT for one process")
@pytest.mark.parametrize("add", [False, True])
def test_an_interrupt_leaves_what_was_there(weights: str, add: bool) -> None:
    for number in range(600):
        Image.fromarray(tiny.photo(number)).save(f"photos/{number:03}.bmp")
    if add:
        assert index(weights, "photos/ant", "-o", "x.index") == 0
    before = sorted(os.listdir()), Path("x.index").read_bytes() if add else b""
    command = [sys.executable, "-m", "decaf", "index", *["photos"] * 50, "-o", "x.index"]
    options = ["--weights", weights, *BACKEND, *(["--add"] if add else [])]
    with Popen([*command, *options], env=ENVIRONMENT, stderr=PIPE, stdout=PIPE) as process:
        assert process.stderr
        line = process.stderr.readline()
        begun = Path("x.index.lock" if add else "x.index.new")
        while not begun.exists() and process.poll() is None:
            time.sleep(0.001)
        time.sleep(0.05)  # the name is there a moment before who made it can tidy up
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert line.startswith(b"decaf: ")
    if process.returncode == 130:  # else it was finished before
        assert (sorted(os.listdir()), Path("x.index").read_bytes() if add else b"") == before


def test_a_feature_file_beside_photos_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.h5").write_bytes(b"features")
    Path("beside").mkdir()
    assert main(["index", "f.h5", "beside", "-o", "x.index"]) == 2
    assert "f.h5: a feature file must be the only PATH" in capsys.readouterr().err
    assert not Path("x.index").exists()
