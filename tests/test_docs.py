"""What the documentation shows is what happens: doctests, the README's example, its commands."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import decaf
from decaf.cli import _parser

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = sorted(
    name
    for _, name, _ in pkgutil.walk_packages(decaf.__path__, "decaf.")
    if "._kernels" not in name and not name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_doctests_of_the_modules(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=lambda page: page.name)
def test_doctests_of_the_pages(page: Path) -> None:
    found = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.failed == 0


def test_the_example_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    monkeypatch.chdir(tmp_path)
    for name in ("cat.jpg", "dog.jpg"):
        pixels = np.random.default_rng(len(name)).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(name)
    values: dict[str, object] = {}
    exec(example, values)
    assert len(capsys.readouterr().out.splitlines()) > 20  # three predictions and the summary
    features = values["features"]
    assert isinstance(features, np.ndarray) and features.shape == (2, 256)


def test_the_commands_of_the_readme_parse() -> None:
    lines = re.findall(r"^decaf (.*?)(?:\s{2,}#.*)?$", README, re.MULTILINE)
    assert len(lines) >= 2
    for line in lines:
        if line.split()[0] in ("classify", "info"):
            _parser().parse_args(shlex.split(line))


def test_the_files_that_pages_name_exist() -> None:
    for page in [ROOT / "README.md", *ROOT.glob("docs/*.md"), ROOT / "weights" / "README.md"]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_tables_are_filled_in_and_name_their_files() -> None:
    assert not re.search(r"\b[A-Z]+_(TABLE|TEXT)\b", README)
    for name in ("parity", "net", "startup", "memory", "layers", "gemm"):
        assert f"benchmarks/results/{name}.json" in README
