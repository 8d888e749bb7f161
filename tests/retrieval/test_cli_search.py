"""``decaf search``: what it says where, its exit status."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import pytest
import tiny
from PIL import Image

from decaf import ops
from decaf.cli import main

COUNT = 12
BACKEND = ("--backend", ops.available()[0])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save(tmp_path_factory.mktemp("weights") / "tiny.h5"))


@pytest.fixture(autouse=True)
def inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """An index of photos, some of them in an archive."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number in range(COUNT):
        Image.fromarray(tiny.photo(number)).save(f"photos/{number:02}.png")
    with zipfile.ZipFile("more.zip", "w") as archive:
        archive.write("photos/00.png", "copy.png")
    assert main(["index", "photos", "--weights", weights, *BACKEND]) == 0
    capsys.readouterr()


def search(weights: str, *arguments: str) -> int:
    return main(["search", "--weights", weights, *BACKEND, "photos.index", *arguments])


def test_the_nearest_first(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert search(weights, "photos/03.png", "photos/05.png", "--top", "3") == 0
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    assert len(lines) == 8
    assert lines[0] == "photos/03.png" and lines[1] == "  0.0000  photos/03.png"
    assert lines[4] == "photos/05.png" and lines[5] == "  0.0000  photos/05.png"
    distances = [float(line.split()[0]) for line in lines[1:4]]
    assert distances == sorted(distances) and distances[1] > 0


def test_json(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert search(weights, "--json", "photos/03.png", "photos/04.png") == 0
    one, two = map(json.loads, capsys.readouterr().out.splitlines())
    assert one["photo"] == "photos/03.png" and two["photo"] == "photos/04.png"
    assert one["hits"][0] == {"path": "photos/03.png", "distance": 0.0}
    assert len(one["hits"]) == 10 and one.keys() == {"photo", "hits"}


def test_a_photo_in_an_archive_and_from_stdin(
    weights: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.BytesIO(Path("photos/07.png").read_bytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stdin))
    assert search(weights, "more.zip/copy.png", "-", "--top", "1") == 0
    assert capsys.readouterr().out.splitlines() == [
        "more.zip/copy.png", "  0.0000  photos/00.png", "-", "  0.0000  photos/07.png",
    ]  # fmt: skip


def test_a_photo_that_cannot_be_used(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("notes.txt").write_text("no photo")
    photos = ("missing.png", "photos/03.png", "notes.txt", "photos")
    assert search(weights, *photos, "--top", "1") == 1
    said = capsys.readouterr()
    assert said.out == "photos/03.png\n  0.0000  photos/03.png\n"
    lines = said.err.splitlines()
    assert lines[0].startswith("decaf: missing.png: must be a readable file")
    assert lines[1].startswith("decaf: notes.txt: must be a photo")
    assert lines[2].startswith("decaf: photos: must be a readable file; expected a photo, got a f")
    assert lines[3] == "decaf: 3 of 4 photos could not be used"
    assert search(weights, "missing.png", "--json") == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["error"].startswith("missing.png: must be a readable file")


def test_parts(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--weights", weights, *BACKEND)
    assert main(["index", "photos", "-o", "p.index", "--levels", "2", *options]) == 0
    capsys.readouterr()
    assert main(["search", "p.index", "photos/03.png", "--top", "1", *options]) == 0
    assert capsys.readouterr().out == "photos/03.png\n  0.0000  photos/03.png\n"


def test_names_that_a_terminal_would_obey(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    if sys.platform == "win32":
        pytest.skip("there are no such names")
    Path("odd").mkdir()
    for number in range(3):
        Image.fromarray(tiny.photo(number)).save(f"odd/\x1b[2J{number}.png")
    options = ("--weights", weights, *BACKEND)
    assert main(["index", "odd", *options]) == 0
    assert main(["search", "odd.index", "odd/\x1b[2J1.png", *options]) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err and "\\x1b[2J1.png" in said.out


def test_what_cannot_be_done(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["search", "missing.index", "photos/03.png"], "missing.index: must be an index"),
        (["search", "photos/03.png", "photos/03.png"], "must be an index of decaf"),
        (
            ["search", "photos.index", "photos/03.png"],
            "expected architecture 'tiny <&>', got 'decaf_mini'",
        ),
        (["search", "photos.index", "photos/03.png", "--weights", "none.h5"], "none.h5"),
    ):
        assert main(arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and said in captured.err
        assert len(captured.err.splitlines()) == 1
    with pytest.raises(SystemExit) as ended:
        main(["search", "photos.index"])
    assert ended.value.code == 2
