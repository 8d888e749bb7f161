"""The generated parts of the pages: found, made anew, and refused where their results are."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
import tables

MEMORY = {"runs": 1000, "cases": [{"growth": 0, "traced": 1360}, {"growth": 2**20, "traced": 0}]}
PAGE = "Before.\n\n<!-- memory.json: memory -->\n\n{}\n\n<!-- end -->\n\nBehind.\n"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    return tmp_path


def write(folder: Path, name: str, figures: dict[str, Any]) -> None:
    (folder / f"{name}.json").write_text(json.dumps({"figures": figures}))


def test_a_part_is_made_anew_and_the_rest_is_left(results: Path) -> None:
    write(results, "memory", MEMORY)
    text = tables.rewritten(PAGE.format("of old"))
    assert text.startswith("Before.\n\n<!-- memory.json: memory -->\n\nAfter 1,000 runs")
    assert "1.0 MB more" in text and "1.4 kB" in text and "of old" not in text
    assert text.endswith("\n\n<!-- end -->\n\nBehind.\n")
    assert tables.rewritten(text) == text


def test_an_empty_part_is_filled(results: Path) -> None:
    write(results, "memory", MEMORY)
    empty = "<!-- memory.json: memory -->\n<!-- end -->\n"
    assert "After 1,000 runs" in tables.rewritten(empty)


def test_results_that_are_missing_are_named(results: Path) -> None:
    with pytest.raises(tables.Outdated, match=r"memory\.json must be there; run .*memory\.py"):
        tables.rewritten(PAGE.format(""))


def test_results_of_an_older_benchmark_are_refused(results: Path) -> None:
    write(results, "memory", {"cases": MEMORY["cases"]})
    with pytest.raises(tables.Outdated, match=r"part 'memory' needs.*'runs'.*run it again"):
        tables.rewritten(PAGE.format(""))


@pytest.mark.parametrize("mark", ["memory.json: other", "other.json: memory"])
def test_a_part_that_nobody_makes_is_refused(results: Path, mark: str) -> None:
    with pytest.raises(tables.Outdated, match="a part must be one that tables.py makes"):
        tables.rewritten(f"<!-- {mark} -->\n<!-- end -->")


def test_check_changes_nothing_and_says_what_is_out_of_date(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    write(results, "memory", MEMORY)
    page = tmp_path / "README.md"
    page.write_text(PAGE.format("of old"), encoding="utf-8")
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["tables.py", "--check"])
    assert tables.main() == 1
    assert page.read_text(encoding="utf-8") == PAGE.format("of old")
    assert "out of date: README.md" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["tables.py"])
    assert tables.main() == 0
    monkeypatch.setattr(sys, "argv", ["tables.py", "--check"])
    assert tables.main() == 0


def test_what_falls_short_is_listed() -> None:
    one = {"name": "decaf", "threads": 2, "layers": "fc", "batch": 1, "rate": 30.0, "share": 0.7}
    text = tables.short({"figures": {"rates": [one]}})
    assert text.startswith("0 of 1 aims were reached, and 0 of 1 that") and "70 %" in text
    assert tables.short({"figures": {"rates": [one | {"share": 0.9}]}}) == (
        "1 of 1 aims were reached, and 0 of 1 that went further."
    )


def test_parts_that_were_not_measured_say_why() -> None:
    assert tables.compact({"figures": {"compact": {"skipped": "no data"}}}) == "left out: no data"
