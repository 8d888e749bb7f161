"""docs/retrieval.md from top to bottom: its commands and its Python, in one folder, in order."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import convert_squeezenet, draw_classes, run_page

from decaf.retrieval import Index


def test_everything_on_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_classes(tmp_path / "flowers", ("daisy", "iris", "rose"), 12)
    draw_classes(tmp_path / "more", ("tulip",), 5)
    monkeypatch.chdir(tmp_path)
    _, ran = run_page("retrieval.md", convert_squeezenet(tmp_path))
    assert {"index", "search"} <= {words[1] for words in ran}
    left = {path.split("/")[1] for path in Index.open("flowers.index").paths}
    assert left == {"daisy", "rose", "tulip"}  # as the page removed one class and added another
