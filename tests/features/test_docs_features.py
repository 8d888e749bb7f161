"""docs/features.md from top to bottom: its commands and its Python, in one folder, in order."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import ENVIRONMENT

PAGE = Path(__file__).resolve().parents[2] / "docs" / "features.md"
BLOCKS = re.findall(r"^```(python|)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
CLASSES, PHOTOS = ("daisy", "iris", "rose"), 14


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos of three classes, easy to tell apart."""
    folder = tmp_path_factory.mktemp("page")
    random = np.random.default_rng(0)
    for number, label in enumerate(CLASSES):
        (folder / "flowers" / label).mkdir(parents=True)
        for photo in range(1, PHOTOS + 1):
            pixels = random.integers(0, 120, (48, 56, 3), np.uint8)
            pixels[..., number] += 120
            Image.fromarray(pixels).save(folder / "flowers" / label / f"{photo}.jpg")
    return folder


@pytest.fixture(scope="module")
def squeezenet(flowers: Path) -> str | None:
    """SqueezeNet, where the shared data has it; the page takes it from the zoo."""
    from conftest import SHARED_DATA

    from decaf.convert import convert

    source = SHARED_DATA / "squeezenet" / "squeezenet_v1.1.caffemodel"
    if not source.exists():
        return None
    target = flowers / "net.h5"
    convert(source, target, prototxt=source.with_suffix(".prototxt"), preprocessing="caffe")
    return str(target)


def test_everything_on_the_page_runs(
    flowers: Path, squeezenet: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("matplotlib", "pyarrow"):
        pytest.importorskip(module)
    monkeypatch.chdir(flowers)
    values: dict[str, object] = {}
    made: list[str] = []
    for kind, block in BLOCKS:
        if kind == "python":
            exec(block, values)
            continue
        for line in block.splitlines():
            if "decaf " not in line:
                continue  # the names of files
            if "squeezenet" in line:
                if squeezenet is None:
                    continue
                line = line.replace("--weights squeezenet", f"--weights {shlex.quote(squeezenet)}")
            shell(line)
            made.append(shlex.split(line)[shlex.split(line).index("-o") + 1])
    assert len(made) > 12
    assert all((flowers / name).stat().st_size > 0 for name in made)
    assert np.asarray(values["X"]).shape == (len(CLASSES) * PHOTOS, 512)
    assert set(np.asarray(values["y"])) == set(CLASSES)


def shell(line: str) -> None:
    """Run a line as a shell does, with this package as ``decaf``."""
    line = line.replace("decaf ", f"{shlex.quote(sys.executable)} -m decaf ", 1)
    done = subprocess.run(line, shell=True, env=ENVIRONMENT, capture_output=True, timeout=120)
    assert done.returncode == 0, f"{line}\n{done.stderr.decode()}"


def test_an_archive_has_the_rows_of_its_folder(flowers: Path, tmp_path: Path) -> None:
    from decaf.features import extract

    with zipfile.ZipFile(tmp_path / "flowers.zip", "w") as archive:
        for path in sorted((flowers / "flowers").rglob("*.jpg")):
            archive.write(path, path.relative_to(flowers / "flowers"))
    folder = extract([flowers / "flowers"], tmp_path / "folder.h5")
    zipped = extract([tmp_path / "flowers.zip"], tmp_path / "zipped.h5")
    np.testing.assert_array_equal(folder["relu6"], zipped["relu6"])
    assert zipped.paths[0].endswith("/flowers.zip/daisy/1.jpg")
