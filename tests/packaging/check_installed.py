"""The installed wheel at work, far from the source tree, with nothing but what it requires.

Called with the photo of a cat, by the Python that the wheel was installed for.  A
plain script: an environment with a test runner in it would hide a missing requirement.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib import metadata
from pathlib import Path

CAT = sys.argv[1]


def run(*command: str) -> str:
    """Return what a command prints; it must succeed, and say nothing on stderr."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr}"
    assert not done.stderr, f"{command} wrote to stderr: {done.stderr}"
    return done.stdout


def check_place_and_version() -> None:
    import decaf

    assert Path(decaf.__file__).is_relative_to(sys.prefix), decaf.__file__
    assert decaf.__version__ == metadata.version("decaf")


def check_api() -> None:
    from decaf import DecafNet

    net = DecafNet()
    assert net.labels[net.classify(CAT).argmax()] == "cat"


def check_every_module_imports() -> None:
    import importlib
    import pkgutil

    import decaf

    for module in pkgutil.walk_packages(decaf.__path__, "decaf."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    optional = {"torch", "torchvision", "Cython", "pytest", "skimage", "matplotlib", "pyarrow"}
    unasked = optional & set(sys.modules)
    assert not unasked, f"decaf imports {unasked}"


def check_labels() -> None:
    from decaf.labels import imagenet

    assert imagenet()[0][281] == "tabby, tabby cat"


def check_conversion() -> None:
    import tempfile

    import numpy as np

    from decaf.architectures import decaf_mini

    arrays = {
        name: np.ones(shape, np.float32) for name, shape in decaf_mini(7).parameter_shapes.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "mini.npz"), Path(folder, "mini.h5")
        np.savez(source, **arrays)
        recipe = Path(folder, "recipe.json")
        recipe.write_text("{}")
        decaf = str(Path(sys.prefix, "bin", "decaf"))
        run(decaf, "convert", str(source), str(target), "--preprocessing", str(recipe))
        assert "class 6" in run(decaf, "info", str(target))


def check_features() -> None:
    import tempfile

    from decaf.features import load_features

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "cat.h5")
        run(str(Path(sys.prefix, "bin", "decaf")), "features", CAT, "-o", str(target))
        assert load_features(target)["relu6"].shape == (1, 512)


def check_estimators() -> None:
    from decaf.sklearn import DecafClassifier, DecafFeatures

    assert DecafClassifier().fit([CAT]).predict([CAT]) == ["cat"]
    assert DecafFeatures(layer="pool5", pooling="max").transform([CAT]).shape == (1, 128)


def check_command_line() -> None:
    assert "cat" in run(str(Path(sys.prefix, "bin", "decaf")), "classify", CAT)
    assert "fc8" in run(sys.executable, "-m", "decaf", "info")


if __name__ == "__main__":
    warnings.simplefilter("error")
    checks = [value for name, value in list(globals().items()) if name.startswith("check_")]
    for check in checks:
        check()
    print(f"the installed wheel works: {len(checks)} checks passed")
