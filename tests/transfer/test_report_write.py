"""The folder of a report is there whole or not at all, and nothing of others is touched."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

from made_results import NASTY, made

from decaf.errors import FeaturesError
from decaf.transfer.report import Report, check_place, page, write_report
from decaf.transfer.report import write as module


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


def test_an_empty_folder_is_filled(tmp_path: Path, report: Report) -> None:
    (tmp_path / "new").mkdir()
    write_report(report, tmp_path / "new")
    assert len(files(tmp_path / "new")) == 2


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
    (place / "report.json").write_bytes(module.BEGINNING + b"}")
    if kind == "more":
        (place / "notes.txt").write_text("mine")
    if kind == "another":
        (place / "report.json").write_text('{"format": "mine"}')
    if kind == "no numbers":
        (place / "report.json").rename(place / "index.html")
    if kind == "folder":
        (place / "report.json").unlink()
        (place / "report.json").mkdir()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("file", "must be a folder to make; got a file"),
        ("more", "must hold a report and nothing else to be replaced; got 'notes.txt'"),
        ("another", "must be a report of decaf to be replaced; got another"),
        ("no numbers", "must be a report of decaf to be replaced; got another"),
        ("folder", "must be a report of decaf to be replaced; got another"),
    ],
)
def test_what_is_no_report_is_never_replaced(
    tmp_path: Path, report: Report, kind: str, said: str
) -> None:
    place = tmp_path / "mine"
    prepare(place, kind)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FeaturesError, match=said):
        write_report(report, place, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_places_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match="the folder of a report must be there; got no"):
        check_place(tmp_path / "none" / "new")
    with pytest.raises(FeaturesError, match="must be a place for a report; got"):
        check_place("a\0b")
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
@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_nothing_is_left_when_writing_stops(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch, error: Any, old: bool,
    step: str,
) -> None:  # fmt: skip
    place = tmp_path / "new"
    if old:
        write_report(report, place)
    before = files(place) if old else {}
    real, calls = getattr(os, step), []

    def fail(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) == (2 if old and step == "rename" else 1):  # first the old one moves away
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
