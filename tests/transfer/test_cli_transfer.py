"""``decaf transfer``: from photos or features to a report, and what it refuses before work."""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from pages import draw_classes
from PIL import Image

from decaf import ops
from decaf.cli import main
from decaf.features import extract
from decaf.features.contents import Features
from decaf.features.files import write_features

pytest.importorskip("matplotlib")

COUNT = 6  # photos a class
BACKEND = ("--backend", ops.available()[0])
CLASSES = ("ant", "bee <b>")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save(tmp_path_factory.mktemp("weights") / "tiny.h5"))


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dark and bright photos, in a folder for each."""
    monkeypatch.chdir(tmp_path)
    for number in range(COUNT):
        for kind, name in enumerate(CLASSES):
            place = Path("photos") / name
            place.mkdir(parents=True, exist_ok=True)
            pixels = tiny.photo(number) // 2 + np.uint8(127 * kind)
            Image.fromarray(pixels).save(place / f"{number}.png")


def transfer(*arguments: str, weights: str | None = None) -> int:
    network = ("--weights", weights, *BACKEND) if weights else ()
    return main(["transfer", *network, "--per-class", "4", "--splits", "2", *arguments])


def numbers(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(folder) / "report.json").read_text())
    return found


def files(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_a_folder(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/notes.txt").write_text("no photo")
    assert transfer("photos", "-o", "report", weights=weights) == 0
    said = capsys.readouterr()
    assert said.out.startswith("classifier") and "svm, dropout" in said.out
    assert said.out.endswith(f"\n{os.path.join('report', 'index.html')}\n")
    assert said.err == "decaf: 1 other file is left out\n"
    found = numbers("report")
    assert found["photos"] == 2 * COUNT and found["failed"] == []
    assert found["features"]["layer"] == "relu6" and found["source"] == "photos"
    assert found["result"]["classes"] == list(CLASSES)
    assert len(found["result"]["scores"]) == 4
    assert sum(map(sum, found["result"]["scores"][0]["confusion"])) == 2 * 2 * (COUNT - 4)
    assert sorted(os.listdir()) == ["photos", "report"]


def test_an_archive_gives_the_same_numbers(weights: str) -> None:
    with zipfile.ZipFile("photos.zip", "w") as archive:
        for path in sorted(Path("photos").rglob("*.png")):
            archive.write(path, path.relative_to("photos").as_posix())
    for source, output in (("photos", "a"), ("photos.zip", "b"), ("photos", "c")):
        assert transfer(source, "-o", output, weights=weights) == 0
    one, other = numbers("a")["result"], numbers("b")["result"]
    assert [score["accuracies"] for score in one["scores"]] == [
        score["accuracies"] for score in other["scores"]
    ]
    assert files("a") == files("c")  # not b, whose photos have other names


def test_a_feature_file_gives_the_same_numbers(
    weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["-o", "f.h5", "--layers", "fc6,relu6", "--weights", weights, *BACKEND]
    assert main(["features", "photos", *options]) == 0
    assert transfer("photos", "-o", "a", weights=weights) == 0
    assert transfer("f.h5", "--layer", "relu6", "-o", "b") == 0
    assert numbers("a")["result"] == numbers("b")["result"]
    assert transfer("f.h5", "-o", "c") == 0
    assert numbers("c")["features"]["weights_sha256"] == numbers("a")["features"]["weights_sha256"]
    assert "--layer fc6" in numbers("c")["command"]  # the first of the file
    capsys.readouterr()
    assert transfer("f.h5", "--layer", "relu7", "-o", "d") == 2
    assert "expected fc6, relu6, got 'relu7'" in capsys.readouterr().err
    assert not Path("d").exists()


def test_the_command_in_the_report_makes_it_again(weights: str) -> None:
    options = ("--layer", "pool5", "--pooling", "max", "--seed", "7", "--standardise")
    assert transfer("photos", *options, "--no-thumbnails", "-o", "first", weights=weights) == 0
    command = shlex.split(numbers("first")["command"])
    assert command[0] == "decaf" and command[-2:] == ["-o", "report"]
    assert main(command[1:]) == 0
    assert files("first") == files("report")
    assert main([*command[1:], "--seed", "8", "--overwrite"]) == 0
    assert files("first") != files("report")


def test_photos_are_shown_unless_told_otherwise(weights: str) -> None:
    for number in range(COUNT):  # nobody can tell these apart
        Path(f"photos/ant/{number}.png").write_bytes(Path("photos/bee <b>/0.png").read_bytes())
        Path(f"photos/bee <b>/{number}.png").write_bytes(
            Path("photos/bee <b>/0.png").read_bytes() if number else
            (Path("photos/ant/0.png").read_bytes())
        )  # fmt: skip
    Image.fromarray(tiny.photo(99)).save("photos/ant/0.png")
    assert transfer("photos", "-o", "with", weights=weights) == 0
    assert transfer("photos", "-o", "without", "--no-thumbnails", weights=weights) == 0
    assert numbers("with")["result"]["mistakes"]
    assert b"data:image/jpeg" in files("with")["index.html"]
    assert b"data:image/jpeg" not in files("without")["index.html"]


def test_a_photo_that_cannot_be_read(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/ant/3.png").write_bytes(b"no photo")
    assert transfer("photos", "-o", "report", weights=weights) == 1
    said = capsys.readouterr()
    assert "decaf: photos/ant/3.png: must be a photo" in said.err
    assert said.err.endswith("decaf: 1 of 12 photos could not be read\n")
    (failed,) = numbers("report")["failed"]
    assert failed["path"] == "photos/ant/3.png" and numbers("report")["photos"] == 11
    assert b"1 photo could not be read" in files("report")["index.html"]


@pytest.mark.parametrize(("spoilt", "said"), [(2, "ant (4)"), (COUNT, "got none of ant")])
def test_too_few_photos_are_left(
    weights: str, capsys: pytest.CaptureFixture[str], spoilt: int, said: str
) -> None:
    for number in range(spoilt):
        Path(f"photos/ant/{number}.png").write_bytes(b"no photo")
    assert transfer("photos", "-o", "report", weights=weights) == 2
    assert said in capsys.readouterr().err
    assert not Path("report").exists()


def test_many_photos_cannot_be_read(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the others are listed is said when they are."""
    for number in range(21):
        Path(f"photos/ant/bad{number}.png").write_bytes(b"no photo")
    assert transfer("photos", "-o", "report", weights=weights) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 22 and len(numbers("report")["failed"]) == 21
    assert lines[-1] == "decaf: all that could not be read are listed in report.json"
    for number in range(COUNT):
        Path(f"photos/ant/{number}.png").write_bytes(b"no photo")
    assert transfer("photos", "-o", "other", weights=weights) == 2
    said = capsys.readouterr().err
    assert "27 of 33 photos could not be read" in said and "listed" not in said


class Full(io.StringIO):
    """Standard output of which nothing comes out."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_the_report_is_written_whatever_happens_to_the_table(
    weights: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    assert transfer("photos", "-o", "report", weights=weights) == 2
    assert sorted(files("report")) == ["index.html", "report.json"]
    assert "No space left" in capsys.readouterr().err


def test_the_table_is_printed_whatever_happens_to_the_report(
    weights: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", fail)
    assert transfer("photos", "-o", "report", weights=weights) == 2
    said = capsys.readouterr()
    assert said.out.startswith("classifier") and "index.html" not in said.out
    assert "must be a place to write; got [Errno 28]" in said.err
    assert os.listdir() == ["photos"]


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("work has started")

    monkeypatch.setattr("decaf.features.gather.gather", never)
    monkeypatch.setattr("decaf.transfer.decaf_protocol", never)
    monkeypatch.setattr("decaf.transfer.offtheshelf", never)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["photos", "--per-class", "6"], "photos: each class must have 6 photos"),
        (["photos/ant"], "expected at least 2, got only 'ant'"),
        (["photos", "--layer", "fc9"], "fc9"),
        (["nothing"], "nothing"),
        (["photos/ant/1.png"], "got a photo"),
        (["photos", "--views", "16"], "--views is for --protocol offtheshelf"),
        (["photos", "--standardise", "--protocol", "offtheshelf"], "--standardise is for"),
        (["f.h5", "--pooling", "max"], "--pooling is for photos; got it for f.h5"),
        (["f.h5", "--layer", "fc7"], "expected relu6, got 'fc7'"),
        (["photos", "-o", "photos"], "must not exist, or be empty"),
        (["photos", "-o", "photos", "--overwrite"], "must hold a report and nothing else"),
        (["photos", "-o", "none/report"], "the folder of a report must be there"),
        (["photos", "-o", ""], "the folder of a report must have a name"),
        (["photos", "--scheme", "one-vs-all"], "--scheme is for --protocol offtheshelf"),
    ],
)
def test_what_cannot_be_is_said_before_work_starts(
    arguments: list[str], said: str, weights: str, capsys: pytest.CaptureFixture[str],
    no_work: None,
) -> None:  # fmt: skip
    if "f.h5" in arguments:
        extract(["photos"], "f.h5", layers="relu6", net=load(weights))
    before = sorted(Path().rglob("*"))
    network = None if "f.h5" in arguments else weights
    assert transfer("-o", "report", *arguments, weights=network) == 2
    answer = capsys.readouterr()
    assert said in answer.err and answer.err.startswith("decaf: error: ") and not answer.out
    assert answer.err.count("\n") == 1
    assert sorted(Path().rglob("*")) == before


def load(weights: str) -> Any:
    from decaf import DecafNet

    return DecafNet(weights, backend=BACKEND[1])


def test_without_matplotlib(
    weights: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    no_work: None,
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert transfer("photos", "-o", "report", weights=weights) == 2
    assert "pip install matplotlib" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "said"), [(np.nan, "NaN or infinity"), (1.0, "got the same in all 12 rows")]
)
def test_features_that_cannot_be_learned_from(
    value: float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.full((2 * COUNT, 3), value, np.float32)
    paths = [f"{number}.png" for number in range(2 * COUNT)]
    made = Features({"fc6": 3}, paths, [*"ab"] * COUNT, [], {}, lambda layer: iter([values]))
    write_features("f.h5", made, "h5")
    assert transfer("f.h5", "-o", "report") == 2
    assert said in capsys.readouterr().err
    assert os.listdir() and not Path("report").exists()


def test_features_whose_info_is_odd() -> None:
    values = np.random.default_rng(0).standard_normal((2 * COUNT, 3)).astype(np.float32)
    paths = [f"{number}.png" for number in range(2 * COUNT)]
    info = {"architecture": ["<b>"], "views": {}, "weights_sha256": None}
    made = Features({"fc6": 3}, paths, [*"ab"] * COUNT, [], info, lambda layer: iter([values]))
    write_features("f.h5", made, "h5")
    assert transfer("f.h5", "-o", "report") == 0
    assert numbers("report")["photos"] == 2 * COUNT
    assert b"photo not found" in files("report")["index.html"]


@pytest.mark.parametrize("seed", ["-1", "1.5", "4294967296", "x"])
def test_seeds(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        transfer("photos", "-o", "report", "--seed", seed)
    assert stopped.value.code == 2
    capsys.readouterr()


def test_off_the_shelf(weights: str) -> None:
    options = ("--protocol", "offtheshelf")
    assert transfer("photos", *options, "-o", "sixteen", weights=weights) == 0
    assert transfer("photos", *options, "--views", "1", "-o", "one", weights=weights) == 0
    assert numbers("sixteen")["features"]["views"] == 16
    assert numbers("one")["features"]["views"] == 1
    assert numbers("one")["result"]["protocol"] == "offtheshelf"
    assert main(["features", "photos", "-o", "f.h5", "--weights", weights, *BACKEND]) == 0
    assert transfer("f.h5", *options, "-o", "file") == 0
    assert numbers("file")["result"]["scores"] == numbers("one")["result"]["scores"]


def many(classes: int) -> None:
    """A feature file of three photos a class."""
    labels = [f"{number:05}" for number in range(classes)] * 3
    values = np.random.default_rng(0).standard_normal((len(labels), 2)).astype(np.float32)
    paths = [f"{number}.png" for number in range(len(labels))]
    made = Features({"fc6": 2}, paths, labels, [], {}, lambda layer: iter([values]))
    write_features("many.h5", made, "h5")


@pytest.mark.parametrize(
    ("classes", "options", "said"),
    [
        (2_001, (), "many.h5: classes must be at most 2,000; got 2,001"),
        (2_001, ("--protocol", "offtheshelf", "--scheme", "one-vs-all"), "at most 2,000; got"),
        (201, ("--protocol", "offtheshelf"), "200 for one-vs-one; got 201, which are 20,100 pairs"),
        (201, ("--protocol", "offtheshelf", "--scheme", "one-vs-one"), "choose scheme one-vs-all"),
    ],
)
def test_more_classes_than_time_and_memory_allow(
    classes: int, options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str],
    no_work: None,
) -> None:  # fmt: skip
    many(classes)
    assert transfer("many.h5", "--per-class", "2", *options, "-o", "report") == 2
    assert said in capsys.readouterr().err and not Path("report").exists()


def test_many_classes_one_against_all() -> None:
    many(201)
    options = ("--protocol", "offtheshelf", "--scheme", "one-vs-all", "--splits", "1")
    assert transfer("many.h5", "--per-class", "2", *options, "-o", "first") == 0
    found = numbers("first")
    assert [score["name"] for score in found["result"]["scores"]] == ["svm, one-vs-all"]
    assert "--scheme one-vs-all" in found["command"]


def test_a_folder_that_is_not_there_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["transfer", "flowrs", "-o", "report"]) == 2
    assert "flowrs: must be a folder or an archive of photos" in capsys.readouterr().err


def test_maps_that_are_not_pooled_are_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_classes(tmp_path / "photos", ("a", "b"), 3)
    monkeypatch.chdir(tmp_path)
    asked = ["transfer", "photos", "--per-class", "2", "--layer", "conv1", "-o", "report"]
    assert main(asked) == 2
    said = capsys.readouterr().err
    assert "conv1: features to learn from must be at most 16,384" in said
    assert "--pooling" in said
