"""A package whose kernels were not built: one warning that names the command, then answers.

Not collected by itself: `make test` runs it against a build that had no compiler.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import decaf

PHOTO = np.random.default_rng(0).integers(0, 256, (48, 40, 3), np.uint8)

# In a process of its own, with the warning filters that a user has.
TWO_NETS = """
import numpy as np
from decaf import DecafNet
for _ in range(2):
    net = DecafNet()
    net.classify(np.zeros((32, 32, 3), np.uint8))
    net.features(np.zeros((32, 32, 3), np.uint8))
"""


def test_nothing_was_built() -> None:
    package = Path(decaf.__file__).parent
    assert (package / "_data" / "decaf-mini.h5").is_file(), "this must be a built package"
    assert not [*package.rglob("*.so"), *package.rglob("*.pyd")]


def test_one_warning_names_the_command(tmp_path: Path) -> None:
    warned = subprocess.run(
        [sys.executable, "-c", TWO_NETS],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    ).stderr  # fmt: skip
    assert warned.count("RuntimeWarning") == warned.count("not built") == 1, warned
    assert warned.startswith("<string>:5:"), "it must point at the line that made the net"
    assert "make build" in warned
    assert "pip install" in warned


def test_numpy_answers_without_a_warning_where_it_is_asked_for() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = decaf.DecafNet(backend="numpy").classify(PHOTO)
    assert scores.shape == (10,)
    assert scores.sum() == pytest.approx(1, abs=1e-6)


def test_cython_is_refused() -> None:
    with pytest.raises(decaf.DecafError, match="backend must be one that is built"):
        decaf.DecafNet(backend="cython")


def test_command_line_answers(tmp_path: Path) -> None:
    from PIL import Image

    photo = tmp_path / "photo.png"
    Image.fromarray(PHOTO).save(photo)
    done = subprocess.run(
        [sys.executable, "-m", "decaf", "classify", str(photo)],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert any(label in done.stdout for label in ("cat", "dog", "frog", "truck", "ship"))
    assert done.stderr.count("not built") == 1, done.stderr
