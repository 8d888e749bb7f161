"""What the documentation shows is what happens: doctests, the README's example, its commands.

And what was measured: every generated part of a page is what the benchmarks' results give.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import decaf
from decaf.cli import COMMANDS, _parser
from decaf.cli.convert import HELP as CONVERT_HELP

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
import tables

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), ROOT / "weights" / "README.md"]
MODULES = sorted(
    name
    for _, name, _ in pkgutil.walk_packages(decaf.__path__, "decaf.")
    if "._kernels" not in name and not name.endswith("__main__")
)
GENERATED = [
    pytest.param(file, name, text, id=f"{page.name}-{file}-{name}")
    for page in PAGES
    for _, file, name, text, _ in tables.MARKED.findall(page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("name", MODULES)
def test_doctests_of_the_modules(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=lambda page: page.name)
def test_doctests_of_the_pages(page: Path) -> None:
    found = doctest.testfile(
        str(page), module_relative=False, optionflags=doctest.ELLIPSIS, encoding="utf-8"
    )
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


def commands(text: str) -> list[str]:
    """Command lines of a page or a help text, without what is said of them."""
    text = re.sub(r"\\\n *", "", text)  # lines that go on
    known = "|".join(module.__name__.rpartition(".")[2] for module in COMMANDS)
    return re.findall(rf"^ *decaf ((?:{known}) .*?|zoo|info)(?:\s{{2,}}#.*)?$", text, re.MULTILINE)


@pytest.mark.parametrize(
    "line",
    sorted(
        {
            line
            for text in (*(page.read_text(encoding="utf-8") for page in PAGES), CONVERT_HELP)
            for line in commands(text)
        }
    ),
)
def test_commands_parse(line: str) -> None:
    _parser().parse_args(shlex.split(line))


def test_there_are_commands() -> None:
    assert {line.split()[0] for line in commands(README)} == {
        "classify", "info", "convert", "fetch", "zoo", "features", "plot", "transfer", "index",
        "search",
    }  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_files_and_headings_that_pages_name_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link, _, heading in re.findall(r"\]\(([^)#:]*)(#([^)]+))?\)", text):
        target = page.parent / link if link else page
        assert target.exists(), f"{page.name}: {link}"
        if heading:
            assert heading in headings(target), f"{page.name}: {link}#{heading}"


def headings(page: Path) -> list[str]:
    """The names under which the headings of a page are linked."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in found]


# --- what was measured ---


@pytest.mark.parametrize(("file", "name", "text"), GENERATED)
def test_generated_parts_are_what_the_results_give(file: str, name: str, text: str) -> None:
    assert text == f"\n{tables.part(file, name)}\n\n", "run `python benchmarks/tables.py`"


def test_every_mark_begins_or_ends_a_part() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    marks = sum(len(re.findall(r"<!--", text)) for text in texts)
    assert marks == 2 * len(GENERATED)


def test_every_part_that_can_be_made_stands_in_a_page() -> None:
    shown = {tuple(param.values[:2]) for param in GENERATED}
    assert shown == {(file, name) for file, names in tables.PARTS.items() for name in names}


def test_the_readme_names_every_file_of_results() -> None:
    files = sorted(path.name for path in tables.RESULTS.glob("*.json"))
    assert files
    for name in files:
        assert f"benchmarks/results/{name}" in README, name
