"""The page of a report: true, whole in one file, and text from outside stays text there."""

from __future__ import annotations

import base64
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib")

from made_results import NASTY, made

from decaf.transfer.report import Report, page
from decaf.transfer.report.markup import text
from decaf.transfer.report.tables import class_rows, most_confused, span
from decaf.transfer.results import Scores

VOID = {"meta", "img", "br", "hr", "link"}


class Page(HTMLParser):
    """What a browser makes of a page: elements with attributes, text, rows of tables."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.text: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(said)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.elements if name == tag]


def report(tmp_path: Path, classes: Any = ("ant", "bee", "cat"), **options: Any) -> Report:
    """A report of three mistaken photos, of which two are there."""
    for number, colour in enumerate(("red", "blue")):
        Image.new("RGB", (400, 30), colour).save(tmp_path / f"{number}.png")
    paths = [f"{tmp_path.as_posix()}/{number}.png" for number in range(3)]
    result = made(classes, **options)
    return Report(result, tmp_path.as_posix(), paths, {"network": "tiny <&>"}, {}, command="decaf")


def test_the_page_says_what_the_result_says(tmp_path: Path) -> None:
    seen = Page(page(report(tmp_path)))
    said = " ".join("".join(seen.text).split())
    assert "82.0 ± 1.4 % mean accuracy a class of svm, dropout" in said
    assert "learned from 10 photos of each of 3 classes" in said
    assert "Guessing gives 33.3 %." in said
    assert "tiny <&>" in said
    for row in (
        ["logistic", "81.0 ± 1.4 %", "80.0 %", "82.0 %", "0.1 to 10"],
        ["svm, dropout", "82.0 ± 1.4 %", "81.0 %", "83.0 %", "0.1 to 10"],
        ["logistic", "40.5 ± 0.7 %", "81.0 ± 1.4 %"],
        ["ant", "bee", "5", "25.0 %"],
        ["ant", "20", "75.0 %", "bee (5×)"],
        ["bee", "20", "85.0 %", "cat (3×)"],
    ):
        assert row in seen.rows, row
    (best,) = (row for row in seen.all("tr") if row.get("class") == "best")
    assert best and len(seen.all("h1")) == 1 and len(seen.all("h2")) == 7


def test_everything_lies_in_the_page(tmp_path: Path) -> None:
    seen = Page(page(report(tmp_path)))
    for image in seen.all("img"):
        kind, _, data = image["src"].partition(";base64,")
        assert kind in ("data:image/svg+xml", "data:image/jpeg")
        assert base64.b64decode(data, validate=True)
        assert image["alt"]
    assert not seen.all("script") and not seen.all("link")
    assert all(link["href"].startswith("#") for link in seen.all("a"))
    assert seen.all("html") == [{"lang": "en"}]


def test_mistakes_are_shown_with_their_photos(tmp_path: Path) -> None:
    seen = Page(page(report(tmp_path)))
    photos = [image for image in seen.all("img") if "jpeg" in image["src"]]
    assert [image["alt"] for image in photos] == [
        "A photo of ant, taken for bee",
        "A photo of bee, taken for cat",
    ]
    data = base64.b64decode(photos[1]["src"].partition(",")[2])
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert shown.shape == (24, 320, 3)  # of 30 x 400
    np.testing.assert_allclose(shown.mean(axis=(0, 1)), (0, 0, 255), atol=3)
    assert "photo not found" in seen.text and "margin 3; 2.png" in seen.text


def test_no_photo_is_opened_unless_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("opened a photo")

    monkeypatch.setattr("decaf.transfer.report.pictures.open_photo", never)
    seen = Page(page(replace(report(tmp_path), thumbnails=False)))
    assert not [image for image in seen.all("img") if "jpeg" in image["src"]]
    assert "photo not found" not in seen.text and "margin 3; 2.png" in seen.text


def test_text_from_outside_stays_text(tmp_path: Path) -> None:
    paths = [f"</figure>{name}" for name in NASTY]
    paths[2] = f"{tmp_path.as_posix()}/0.png"  # of the class that would leave an attribute
    nasty = replace(
        report(tmp_path, NASTY, protocol="<b>", mistakes=len(NASTY)),
        source="a/<i>&\"'",
        paths=paths,
        failed=[(name, f"</td>{name}") for name in NASTY],
        features={name: name for name in NASTY},
        command="decaf <script>",
    )
    said = page(nasty)
    seen = Page(said)
    plain = Page(page(report(tmp_path)))
    new = {tag for tag, _ in seen.elements} - {tag for tag, _ in plain.elements}
    assert new <= {"a", "i"}  # links to the failures, and names that are none
    assert {key for _, attributes in seen.elements for key in attributes} <= {
        "lang", "charset", "http-equiv", "content", "name", "class", "id", "aria-label",
        "aria-labelledby", "role", "tabindex", "scope", "src", "alt", "loading", "href",
    }  # fmt: skip
    assert said.encode() and all(c.isprintable() or c == "\n" for c in said)
    assert "<script>alert(1)</script>" in "".join(seen.text)
    assert "x" * 100 not in said


def test_failed_photos(tmp_path: Path) -> None:
    made_of = report(tmp_path)
    assert "could not be read" not in page(made_of)
    failed = [(f"{made_of.source}/b/{number}.jpg", "is empty") for number in range(101)]
    one, many = (page(replace(made_of, failed=some)) for some in (failed[:1], failed))
    assert "1 photo could not be read and was left out" in one
    assert ["b/0.jpg", "is empty"] in Page(one).rows
    assert "101 photos could not be read and were left out" in many
    assert "1 more are listed in report.json" in many
    anchors = {element["id"] for element in Page(one).all("h2")}
    assert {link["href"][1:] for link in Page(one).all("a")} <= anchors


@pytest.mark.parametrize("splits", [1, 3])
@pytest.mark.parametrize("count", [2, 120])
def test_any_number_of_classes_and_splits(tmp_path: Path, count: int, splits: int) -> None:
    classes = [f"class {number}" for number in range(count)]
    seen = Page(page(report(tmp_path, classes, splits=splits, curve=splits > 1, mistakes=0)))
    said = "".join(seen.text)
    assert ("±" in said) == (splits > 1) == ("Learning curve" in said)
    assert "Most confident mistakes" not in said and "nan" not in said.lower()
    assert sum(row[:1] == ["class 1"] and len(row) == 4 for row in seen.rows) >= 1


def test_average_precision_where_it_was_measured(tmp_path: Path) -> None:
    seen = Page(page(report(tmp_path, protocol="offtheshelf", curve=False)))
    assert ["ant", "20", "75.0 %", "50.0 %", "bee (5×)"] in seen.rows
    assert next(row for row in seen.rows if row[0] == "logistic")[-1] == "50.0 %"


def test_a_perfect_classifier(tmp_path: Path) -> None:
    result = made(mistakes=0, curve=False)
    perfect = Scores("perfect", (1.0, 1.0), (1.0, 1.0), np.diag([4, 5, 6]))
    said = page(replace(report(tmp_path), result=replace(result, scores=(perfect,))))
    assert "No photo was mistaken." in said and "100.0 ± 0.0 %" in said
    assert ["ant", "4", "100.0 %", "–"] in Page(said).rows


def test_the_same_report_gives_the_same_page(tmp_path: Path) -> None:
    import matplotlib

    once = page(report(tmp_path))
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.facecolor": "red"}):
        assert page(report(tmp_path)) == once
    assert not re.search(r"20\d\d-\d\d-\d\d", once)


def test_tables() -> None:
    counts = np.array([[0, 0, 0, 0], [1, 8, 1, 0], [0, 0, 5, 0], [0, 0, 9, 1]])
    scores = Scores("one", (0.5,), (1.0,), counts, {"b": 0.25})
    rows = class_rows(scores, "abcd")
    assert [(row.name, row.tested, row.taken_for, row.times) for row in rows] == [
        ("d", 10, "c", 9), ("b", 10, "a", 1), ("c", 5, "", 0), ("a", 0, "", 0),
    ]  # fmt: skip
    assert [row.accuracy for row in rows[:3]] == [0.1, 0.8, 1.0] and math.isnan(rows[3].accuracy)
    assert rows[1].average_precision == 0.25 and math.isnan(rows[0].average_precision)
    assert most_confused(scores, "abcd", 2) == [("d", "c", 9, 0.9), ("b", "a", 1, 0.1)]
    assert len(most_confused(scores, "abcd", 99)) == 3
    np.testing.assert_array_equal(np.diag(counts), [0, 8, 5, 1])  # left as it was
    assert (span((1.0, 1.0)), span((10.0, 0.001, 1.0))) == ("1", "0.001 to 10")


def test_text() -> None:
    assert text("<a href='x'>&\"") == "&lt;a href=&#x27;x&#x27;&gt;&amp;&quot;"
    assert text("a\nb\x1b\u202e\udcff") == "a\\nb\\x1b\\u202e\\udcff"
    assert text("ab" * 100, 9) == "ababa…bab"
    assert text("犬 é") == "犬 é"
