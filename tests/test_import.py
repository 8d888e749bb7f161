"""``import decaf`` is free, and the command is quick to say that it was used wrongly."""

from __future__ import annotations

import json

import pytest
from processes import python

import decaf

HEAVY = ("numpy", "h5py", "PIL", "scipy", "sklearn", "tqdm", "torch")
REPORT = "; import json, sys; print(json.dumps(sorted(sys.modules)))"


def modules_after(code: str) -> set[str]:
    """Return the names of all modules that a fresh Python holds after ``code``."""
    done = python("-c", code + REPORT)
    assert done.returncode == 0, done.stderr.decode()
    return set(json.loads(done.stdout))


def test_the_probe_sees_an_import() -> None:
    assert "h5py" in modules_after("import h5py")


@pytest.mark.parametrize("module", ["decaf", "decaf.errors", "decaf.cli"])
def test_import_loads_nothing_heavy(module: str) -> None:
    loaded = modules_after(f"import {module}")
    assert module in loaded
    assert loaded.isdisjoint(HEAVY)


def test_import_of_the_net_loads_no_library_that_only_others_need() -> None:
    loaded = modules_after("import decaf.net")
    assert loaded.isdisjoint({"sklearn", "tqdm", "torch", "matplotlib", "pandas"})


def test_import_time_beyond_numpy() -> None:
    # The best of several, because a busy machine can make anything slow, and nothing fast.
    code = (
        "import numpy, time; start = time.perf_counter(); import decaf; "
        "print(time.perf_counter() - start)"
    )
    runs = [float(python("-c", code).stdout) for _ in range(5)]
    assert min(runs) <= 0.05


@pytest.mark.parametrize("name", decaf.__all__)
def test_everything_promised_is_there(name: str) -> None:
    assert getattr(decaf, name) is not None
    assert name in dir(decaf)


def test_the_errors_are_the_same_objects() -> None:
    from decaf import errors

    for name in ("DecafError", "WeightsError", "ImageError", "ShapeError", "ArchitectureError"):
        assert getattr(decaf, name) is getattr(errors, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = decaf.no_such_thing  # type: ignore[attr-defined]
