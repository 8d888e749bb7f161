"""``decaf features``: what it writes, what it says where, its exit status."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
import zipfile
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image
from processes import ENVIRONMENT, python

from decaf import DecafNet, ops
from decaf.cli import features as command
from decaf.cli import main
from decaf.features.files import load_features

COUNT = 12
BACKEND = ("--backend", ops.available()[0])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save(tmp_path_factory.mktemp("weights") / "tiny.h5"))


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of photos of two classes, and notes."""
    monkeypatch.chdir(tmp_path)
    for number in range(COUNT):
        place = Path("photos") / ("bee", "ant")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tiny.photo(number)).save(place / f"{number:02}.png")
    Path("photos/notes.txt").write_text("no photo")


def features(weights: str, *arguments: str) -> int:
    return main(["features", "--weights", weights, *BACKEND, *arguments])


def test_a_folder(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert features(weights, "photos", "-o", "f.h5", "--layers", "relu6, pool5") == 0
    said = capsys.readouterr()
    assert said.out == "f.h5\n"
    assert said.err == "decaf: 1 other file is left out\n"
    found = load_features("f.h5")
    net = DecafNet(weights, backend=ops.available()[0])
    want = net.features(list(found.paths), ["relu6", "pool5"])
    assert found.layers == {"relu6": 11, "pool5": 90}
    for layer in want:
        np.testing.assert_array_equal(found[layer], want[layer])
    assert list(found.labels) == ["ant"] * 6 + ["bee"] * 6


def test_options_reach_the_network(weights: str) -> None:
    options = ("--layers", "pool5", "--oversample", "--pooling", "max", "--batch-size", "7")
    more = ("--workers", "3", "--threads", "1", "--precision", "float32")
    assert features(weights, "photos", "-o", "f.h5", *options, *more) == 0
    info = load_features("f.h5").info
    assert info["oversample"] is True and info["pooling"] == "max"
    assert info["layers"] == {"pool5": {"layer": "pool5", "shape": [10]}}


def test_a_photo_that_cannot_be_read(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/ant/03.png").write_bytes(b"no photo")
    assert features(weights, "photos", "-o", "f.h5") == 1
    said = capsys.readouterr()
    assert said.out == "f.h5\n"
    assert "decaf: photos/ant/03.png: must be a photo" in said.err
    assert said.err.endswith("decaf: 1 of 12 photos could not be read\n")
    assert len(load_features("f.h5")) == COUNT - 1
    assert features(weights, "photos", "-o", "f.h5", "--resume") == 1  # still so


def test_many_failures_are_not_all_said(
    weights: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "FAILURES_SHOWN", 2)
    for number in (1, 3, 5, 7):
        Path(f"photos/ant/{number:02}.png").write_bytes(b"no photo")
    assert features(weights, "photos", "-o", "f.h5") == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "must be a photo" in line] == lines[1:3]
    assert lines[3:] == [
        "decaf: further failures are listed in the file alone",
        "decaf: 4 of 12 photos could not be read",
    ]


def test_a_list(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "photos/ant/01.png\tworker\nphotos/bee/02.png\n\n"
    Path("list.txt").write_text(lines)
    assert features(weights, "--list", "list.txt", "-o", "f.h5") == 0
    found = load_features("f.h5")
    assert list(found.paths) == ["photos/ant/01.png", "photos/bee/02.png"]
    assert list(found.labels) == ["worker", "bee"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    assert features(weights, "--list", "-", "-o", "g.h5", "photos/bee") == 0
    assert list(load_features("g.h5").labels) == ["bee"] * 6 + ["worker", "bee"]


def test_info_describes_the_file(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/ant/03.png").write_bytes(b"no photo")
    assert features(weights, "photos", "-o", "f.h5", "--layers", "relu6,pool5") == 1
    capsys.readouterr()
    assert main(["info", "f.h5"]) == 0
    said = capsys.readouterr().out
    for text in (
        "photos          11\n",
        "layer           pool5: 90 features",
        "2 labels        bee (6), ant (5)",
        "failed          photos/ant/03.png: must be a photo",
        load_features("f.h5").info["weights_sha256"],
    ):
        assert text in said
    assert main(["info", "--json", "f.h5"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["layers"] == {"relu6": 11, "pool5": 90} and facts["labels"]["ant"] == 5
    assert main(["info", "photos/notes.txt"]) == 2
    assert "notes.txt" in capsys.readouterr().err


def test_an_archive_and_a_format(weights: str) -> None:
    with zipfile.ZipFile("photos.zip", "w") as archive:
        for path in Path("photos").rglob("*.png"):
            archive.write(path, path.relative_to("photos").as_posix())
    assert features(weights, "photos.zip", "-o", "f.npz") == 0
    with np.load("f.npz") as arrays:
        assert arrays["relu6"].shape == (COUNT, 11)
        assert arrays["paths"][0] == "photos.zip/ant/01.png"
    assert features(weights, "photos.zip", "-o", "f.dat", "--format", "h5") == 0
    assert len(load_features("f.dat")) == COUNT


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "f.h5"), "expected a PATH or --list"),
        (("missing", "-o", "f.h5"), "missing"),
        (("photos", "-o", "f.csv"), "f.csv"),
        (("photos", "-o", "no/f.h5"), "no/f.h5: must lie in a folder that exists"),
        (("photos", "-o", "f.h5", "--layers", "fc9"), "fc9"),
        (("photos", "-o", "f.h5", "--layers", ""), "layer"),
        (("photos", "-o", "photos/ant/01.png", "--format", "h5"), "must not exist"),
        (("--list", "missing.txt", "-o", "f.h5"), "missing.txt"),
    ],
)
def test_wrong_usage(
    weights: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    before = sorted(str(path) for path in Path().rglob("*"))
    assert features(weights, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith("decaf: error: ") and said in last
    assert sorted(str(path) for path in Path().rglob("*")) == before


def test_a_log_gets_a_line_now_and_then(
    weights: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "SECONDS_BETWEEN_LINES", 0.0)
    assert features(weights, "photos", "-o", "f.h5", "--batch-size", "4") == 0
    lines = capsys.readouterr().err.splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == [
        f"decaf: {done} of 12 photos" for done in (4, 8, 12)
    ]
    assert "a second" in lines[0] and lines[0].endswith("minutes left")


def test_a_terminal_gets_a_bar(
    weights: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert features(weights, "photos", "-o", "f.h5", "--batch-size", "4") == 0
    err = capsys.readouterr().err
    assert "12/12" in err and "photo/s" in err


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is no signal there")
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(weights: str) -> None:
    for number in range(COUNT, 400):
        os.link(f"photos/bee/{number % 6 * 2:02}.png", f"photos/bee/{number}.png")
    line = [
        sys.executable, "-m", "decaf", "features", "--weights", weights, *BACKEND,
        "--batch-size", "1", "photos", "-o", "f.h5",
    ]  # fmt: skip
    with Popen(line, stdout=PIPE, stderr=PIPE, env=ENVIRONMENT) as process:
        partial = Path("f.h5.partial")
        while not partial.exists() and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    if process.returncode == 0:
        pytest.skip("it was finished before the signal came")
    assert process.returncode == 130
    assert err.decode().splitlines()[-1] == "decaf: stopped; the same command with --resume goes on"
    assert not Path("f.h5").exists()
    done: Any = python(*line[1:], "--resume")
    assert done.returncode == 0, done.stderr.decode()
    assert len(load_features("f.h5")) == 400
