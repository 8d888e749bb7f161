"""The folder of a report is there whole or not at all, and nothing of others is touched."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

from made_results import NASTY, made
from processes import python

from decaf.errors import FeaturesError
from decaf.transfer.report import Report, check_place, page, write_report
from decaf.transfer.report import place as places
from decaf.transfer.report import write as module
from decaf.transfer.report.json_text import as_json


@pytest.fixture
def report() -> Report:
    paths = ["a/0.jpg", "a/1.jpg", "a/2.jpg"]
    return Report(made(), "a", paths, {}, {"layer": "fc6"}, [("a/3.jpg", "is empty")], "decaf")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_page_and_numbers(tmp_path: Path, report: Report) -> None:
    assert write_report(report, tmp_path / "new") == tmp_path / "new" / "index.html"
    assert sorted(files(tmp_path / "new")) == ["index.html", "report.json"]
    assert os.listdir(tmp_path) == ["new"]
    assert (tmp_path / "new/index.html").read_text("utf-8") == page(report)
    found = json.loads((tmp_path / "new/report.json").read_text("utf-8"))
    assert found["format"] == "decaf-transfer-report" and found["version"] == 1
    assert found["photos"] == 3 and found["features"] == {"layer": "fc6"}
    assert found["failed"] == [{"path": "a/3.jpg", "reason": "is empty"}]
    assert [mistake["path"] for mistake in found["result"]["mistakes"]] == list(report.paths)
    accuracies = list(report.result.scores[0].accuracies)
    assert found["result"]["scores"][0]["accuracies"] == accuracies


def test_the_same_report_has_the_same_bytes(tmp_path: Path, report: Report) -> None:
    for name in "ab":
        write_report(report, tmp_path / name)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_names_that_no_codec_can_write(tmp_path: Path, report: Report) -> None:
    nasty = replace(report, result=made(NASTY), paths=NASTY, failed=[(NASTY[-2], NASTY[-1])])
    write_report(nasty, tmp_path / "new")
    found = json.loads((tmp_path / "new/report.json").read_text("ascii"))
    assert found["result"]["classes"] == list(NASTY)


@pytest.mark.parametrize("old", [False, True])
def test_a_folder_that_is_there_stays_the_same_one(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    """A shell may stand in it, a disk may be mounted there, others may not look into it."""
    place = tmp_path / "new"
    place.mkdir()
    if old:
        write_report(replace(report, source="old"), place)
        (place / "index.html").chmod(0o600)
    place.chmod(0o700)
    before = place.stat()
    monkeypatch.chdir(place)
    assert write_report(report, ".", overwrite=old).is_file()
    assert sorted(os.listdir()) == ["index.html", "report.json"]
    assert os.path.samestat(place.stat(), before) and place.stat().st_mode == before.st_mode
    if old and os.name == "posix":
        assert (place / "index.html").stat().st_mode & 0o777 == 0o600
    assert json.loads(Path("report.json").read_text("ascii"))["source"] == "a"


def test_numbers_are_short_lines() -> None:
    value = {"a": [[1, 2.5, None], []], "b": {}, "c": ["x", {"d": True}], "é": "\n", "e": [{}]}
    text = as_json(value)
    assert json.loads(text) == value and text.isascii()
    assert text.splitlines()[:5] == ["{", ' "a": [', "  [1, 2.5, null],", "  []", " ],"]
    assert text.splitlines()[5:8] == [' "b": {},', ' "c": [', '  "x",']
    no_rows = {"a": [{"b": ["c", {"d": 1}]}], "e": "f"}
    assert as_json(no_rows) == json.dumps(no_rows, indent=1)
    with pytest.raises(ValueError, match="Out of range"):
        as_json([float("nan")])


def test_numbers_nested_without_end() -> None:
    deep: list[object] = []
    for _ in range(sys.getrecursionlimit() // 2):
        deep = [deep]
    assert json.loads(as_json({"a": deep})) == {"a": deep}


def test_a_report_is_replaced_only_if_asked(tmp_path: Path, report: Report) -> None:
    write_report(report, tmp_path / "new")
    before = files(tmp_path / "new")
    other = replace(report, source="other")
    with pytest.raises(FeaturesError, match=r"new: must not exist, or be empty; .*--overwrite"):
        write_report(other, tmp_path / "new")
    assert files(tmp_path / "new") == before
    write_report(other, tmp_path / "new", overwrite=True)
    assert files(tmp_path / "new") != before
    assert os.listdir(tmp_path) == ["new"]


def prepare(place: Path, kind: str) -> None:
    if kind == "file":
        place.write_text("mine")
        return
    place.mkdir()
    (place / "report.json").write_bytes(places.BEGINNING + b"}")
    if kind == "more":
        (place / "notes.txt").write_text("mine")
    if kind == "another":
        (place / "report.json").write_text('{"format": "mine"}')
    if kind == "no numbers":
        (place / "report.json").rename(place / "index.html")
    if kind == "folder":
        (place / "report.json").unlink()
        (place / "report.json").mkdir()
    if kind == "page":
        (place / "index.html").mkdir()
        (place / "index.html" / "thesis.txt").write_text("mine")
    if kind == "link":
        (place.parent / "mine.html").write_text("mine")
        (place / "index.html").symlink_to(place.parent / "mine.html")
    if kind == "hidden":
        (place / places.work_folder(place).name).mkdir()
        (next(place.glob(".decaf*")) / "thesis.txt").write_text("mine")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("file", "must be a folder to make; got a file"),
        ("more", "must hold a report and nothing else to be replaced; got 'notes.txt'"),
        ("another", "must be a report of decaf to be replaced; got another"),
        ("no numbers", "must be a report of decaf to be replaced; got another"),
        ("folder", "must hold a report to be replaced, two plain files; got 'report.json'"),
        ("page", "must hold a report to be replaced, two plain files; got 'index.html'"),
        ("link", "must hold a report to be replaced, two plain files; got 'index.html'"),
        ("hidden", "must hold a report and nothing else to be replaced; got '.decaf-"),
    ],
)
def test_what_is_no_report_is_never_replaced(
    tmp_path: Path, report: Report, kind: str, said: str
) -> None:
    place = tmp_path / "mine"
    try:
        prepare(place, kind)
    except OSError:
        pytest.skip("no links here")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FeaturesError, match=said):
        write_report(report, place, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_places_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match="the folder of a report must be there; got no"):
        check_place(tmp_path / "none" / "new")
    with pytest.raises(FeaturesError, match="must be a place for a report; got"):
        check_place("a\0b")
    with pytest.raises(FeaturesError, match="must have a name; got an empty one"):
        check_place("")
    assert check_place(tmp_path / "new") == Path(os.path.realpath(tmp_path)) / "new"


def test_a_link_to_a_report_stays_a_link(tmp_path: Path, report: Report) -> None:
    write_report(report, tmp_path / "new")
    try:
        (tmp_path / "link").symlink_to(tmp_path / "new", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    write_report(replace(report, source="other"), tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert b"other" in (tmp_path / "new" / "index.html").read_bytes()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize(
    ("there", "step", "number"),
    [
        ("nothing", "fsync", 2), ("nothing", "rename", 1),
        ("empty", "fsync", 2), ("empty", "replace", 1), ("empty", "replace", 2),
        ("report", "fsync", 2), ("report", "replace", 1), ("report", "replace", 2),
    ],
)  # fmt: skip
def test_nothing_is_left_when_writing_stops(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch, error: Any, there: str,
    step: str, number: int,
) -> None:  # fmt: skip
    place = tmp_path / "new"
    old = there != "nothing"
    if there == "report":
        write_report(report, place)
    elif old:
        place.mkdir()
    before = files(place) if old else {}
    real, calls = getattr(os, step), []

    def fail(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) == number:
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(os, step, fail)
    with pytest.raises((FeaturesError, KeyboardInterrupt)):
        write_report(replace(report, source="other"), place, overwrite=True)
    assert calls
    assert os.listdir(tmp_path) == (["new"] if old else [])
    assert (files(place) if old else {}) == before


def test_what_appears_meanwhile_is_not_replaced(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "new"

    def slow(given: Report) -> str:
        place.mkdir()
        (place / "mine.txt").write_text("mine")
        return page(given)

    monkeypatch.setattr(module, "page", slow)
    with pytest.raises(FeaturesError, match="must not exist, or be empty"):
        write_report(report, place)
    assert os.listdir(tmp_path) == ["new"] and sorted(files(place)) == ["mine.txt"]


KILLED = """
import os, pathlib, sys
sys.path.insert(0, sys.argv[1])
from made_results import made
from decaf.transfer.report import Report, write
write.page = lambda report: "killed"
step, number, place = sys.argv[2], int(sys.argv[3]), sys.argv[4]
real, calls = getattr(os, step), []
def kill(*arguments):
    calls.append(arguments)
    if len(calls) == number:
        os._exit(9)
    return real(*arguments)
setattr(os, step, kill)
write.write_report(Report(made(), "killed", "abc", {}, {}), place, overwrite=True)
"""


@pytest.mark.parametrize(
    ("there", "step", "number"),
    [
        ("nothing", "rename", 1), ("empty", "fsync", 2), ("empty", "replace", 2),
        ("report", "replace", 1), ("report", "replace", 2),
    ],
)  # fmt: skip
def test_the_next_report_tidies_up_after_a_kill(
    tmp_path: Path, report: Report, there: str, step: str, number: int
) -> None:
    place = tmp_path / "new"
    if there != "nothing":
        place.mkdir()
    if there == "report":
        write_report(report, place)
    old = files(place) if there == "report" else {}
    here = str(Path(__file__).parent)
    assert python("-c", KILLED, here, step, str(number), str(place)).returncode == 9
    assert list(tmp_path.rglob(".decaf-*"))
    for path in place.glob("*.*"):  # each file is whole: the old one or the new one
        if path.is_file() and path.read_bytes() != old.get(path.name):
            assert b"killed" in path.read_bytes()
            assert path.name == "index.html" or json.loads(path.read_bytes())
    write_report(replace(report, source="next"), place, overwrite=there == "report" or number == 2)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["index.html", "new", "report.json"]
    assert all(b"next" in data for data in files(place).values())


def test_a_folder_of_somebody_else_is_no_left_over(tmp_path: Path, report: Report) -> None:
    """Only what is named as a work folder of this place, and holds nothing else, is removed."""
    name = places.work_folder(tmp_path / "new").name
    (tmp_path / name).mkdir()
    (tmp_path / name / "report.json").mkdir()
    (tmp_path / places.work_folder(tmp_path / "other").name).mkdir()
    before = set(os.listdir(tmp_path))
    write_report(report, tmp_path / "new")
    assert set(os.listdir(tmp_path)) == {*before, "new"}
