"""docs/features.md from top to bottom: its commands and its Python, in one folder, in order."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from pages import convert_squeezenet, draw_classes, outputs, run_page

CLASSES, PHOTOS = ("daisy", "iris", "rose"), 14


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos of three classes, easy to tell apart."""
    folder = tmp_path_factory.mktemp("page")
    draw_classes(folder / "flowers", CLASSES, PHOTOS)
    return folder


def test_everything_on_the_page_runs(flowers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("matplotlib", "pyarrow"):
        pytest.importorskip(module)
    monkeypatch.chdir(flowers)
    values, ran = run_page("features.md", convert_squeezenet(flowers))
    made = outputs(ran)
    assert len(made) > 12
    assert all((flowers / name).stat().st_size > 0 for name in made)
    assert np.asarray(values["X"]).shape == (len(CLASSES) * PHOTOS, 512)
    assert set(np.asarray(values["y"])) == set(CLASSES)


def test_an_archive_has_the_rows_of_its_folder(flowers: Path, tmp_path: Path) -> None:
    from decaf.features import extract

    with zipfile.ZipFile(tmp_path / "flowers.zip", "w") as archive:
        for path in sorted((flowers / "flowers").rglob("*.jpg")):
            archive.write(path, path.relative_to(flowers / "flowers"))
    folder = extract([flowers / "flowers"], tmp_path / "folder.h5")
    zipped = extract([tmp_path / "flowers.zip"], tmp_path / "zipped.h5")
    np.testing.assert_array_equal(folder["relu6"], zipped["relu6"])
    assert zipped.paths[0].endswith("/flowers.zip/daisy/1.jpg")
