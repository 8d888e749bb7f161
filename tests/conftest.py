"""For all tests: where the real data lies, how hypothesis searches, which build is tested."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
# Beside the repository, not in it: real photos and weights that tests may read.
SHARED_DATA = ROOT.parent / "shared" / "data"

# No deadline: a first call lays out buffers, and two cores are shared with other work.
# Where CI is set the examples are the same in every run; elsewhere each run looks further.
settings.register_profile("decaf", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("decaf")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kernels",
        choices=("any", "all", "none"),
        default="any",
        help="which compiled kernels must be there; tests skip what is not",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to test another build than the one that was asked for."""
    # A shell starts what it puts into the background with Ctrl-C ignored, and a process hands
    # that on to its children; some tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wanted = config.getoption("--kernels")
    sources = sorted(path.stem for path in ROOT.glob("decaf/_kernels/*.pyx"))
    if wanted != "any" and built_kernels() != (sources if wanted == "all" else []):
        raise pytest.UsageError(f"--kernels={wanted}, but {package()} has {built_kernels()}")


def pytest_report_header() -> str:
    """Say which decaf is tested: the jobs of `make test` differ in nothing else."""
    return f"decaf: {package()}, {len(built_kernels())} kernels"


def package() -> Path:
    import decaf

    return Path(decaf.__file__).parent


def built_kernels() -> list[str]:
    files = [*package().glob("_kernels/*.so"), *package().glob("_kernels/*.pyd")]
    return sorted(path.name.partition(".")[0] for path in files)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test data; where it is absent the test skips."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the shared test data is not there: {SHARED_DATA}")
    return SHARED_DATA
