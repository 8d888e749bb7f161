"""What must be, and what must not be, in the sdist and in the wheel built from it.

Called with the folder that holds the two files, and nothing else of their kinds.
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IN_SDIST = [
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
    "Makefile",
    "setup.py",
    "weights/decaf-mini.h5",
    "weights/README.md",
    "weights/training/train.py",
    "tests/conftest.py",
    "tests/processors/check_tiles.c",
    "benchmarks/probe.c",
    *(str(path.relative_to(ROOT)) for path in ROOT.glob("decaf/_kernels/*.[ph]*")),
]
LABELS = ("decaf/labels/imagenet.txt", "decaf/labels/WORDNET-LICENSE.txt")


def only(folder: Path, pattern: str) -> Path:
    """Return the one file of that kind."""
    (found,) = folder.glob(pattern)
    return found


def check_sdist(path: Path) -> None:
    with tarfile.open(path) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    missing = [name for name in (*IN_SDIST, *LABELS) if name not in names]
    assert not missing, f"{path.name} lacks {missing}"
    assert sum(name.endswith(".h5") for name in names) == 1, "the weights belong there once"
    built = [name for name in names if name.endswith((".so", ".pyc"))]
    built += [name for name in names if name.startswith("decaf/") and name.endswith(".c")]
    assert not built, f"{path.name} contains what a build makes: {built}"


def check_wheel(path: Path) -> None:
    names = zipfile.ZipFile(path).namelist()
    assert [name for name in names if name.endswith(".h5")] == ["decaf/_data/decaf-mini.h5"]
    strangers = [name for name in names if not name.startswith(("decaf/", "decaf-"))]
    assert not strangers, f"{path.name} installs outside the package: {strangers}"
    kernels = sorted(path.stem for path in ROOT.glob("decaf/_kernels/*.pyx"))
    compiled = sorted(Path(name).name.partition(".")[0] for name in names if name.endswith(".so"))
    assert compiled == kernels, f"{path.name} has the kernels {compiled}, not {kernels}"
    sources = [name for name in names if name.endswith((".pyx", ".pxd", ".h", ".c"))]
    assert not sources, f"{path.name} contains sources of kernels: {sources}"
    missing = [name for name in ("decaf/py.typed", *LABELS) if name not in names]
    assert not missing, f"{path.name} lacks {missing}"


if __name__ == "__main__":
    check_sdist(only(Path(sys.argv[1]), "*.tar.gz"))
    check_wheel(only(Path(sys.argv[1]), "*.whl"))
    print("sdist and wheel contain what they must, and nothing else")
