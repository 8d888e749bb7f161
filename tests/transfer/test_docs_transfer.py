"""docs/transfer.md from top to bottom: its commands and its Python, in one folder, in order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pages import convert_squeezenet, draw_classes, outputs, run_page

CLASSES = ("daisy", "iris", "rose")
PHOTOS = 33  # a class: 30 to learn from, the default, and some to be tested on


def test_everything_on_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    draw_classes(tmp_path / "flowers", CLASSES, PHOTOS)
    monkeypatch.chdir(tmp_path)
    values, ran = run_page("transfer.md", convert_squeezenet(tmp_path))
    reports = [tmp_path / name for name in outputs(ran) if not name.endswith(".h5")]
    assert len(reports) > 2
    for report in reports:
        assert "<h1" in (report / "index.html").read_text(encoding="utf-8")
        assert json.loads((report / "report.json").read_text(encoding="utf-8"))
    assert (tmp_path / "curve.png").stat().st_size > 0
    assert np.asarray(values["rows"]).shape == (2, 512)
    assert np.asarray(values["scores"]).shape == (1, 2)
