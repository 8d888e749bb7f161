"""From the start of a process to its first answer, and what the imports take of it.

    python benchmarks/startup.py            # half a minute
    python benchmarks/startup.py --quick    # two rounds, to see that it works

Every figure is that of a fresh process, from its start to its end, in turn with the others
(``timing.py``).  Each was started once before, without being timed: files are in the disk cache,
and modules are compiled, as after the first start on any machine.  The first answer is that of the
default network to a PNG as large as the photo of ``make demo``, 451x300.

``import decaf`` must not cost more than 0.05 s beyond ``import numpy``; it loads nothing by itself,
so it is measured as ``import numpy, decaf`` against ``import numpy``.  The first answer must not
take more than 0.6 s.  A line says so where they do; the exit status is 0.

The last table adds up what ``python -X importtime`` says about the process of the first answer:
the five packages that take longest, their own modules only.

Writes ``results/startup.json``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from random_weights import normal
from report import write_report
from timing import interleave, table

from decaf.errors import WeightsError
from decaf.weights import default_weights

ROOT = Path(__file__).resolve().parents[1]
IMPORT_ALLOWED = 0.05  # seconds
ANSWER_ALLOWED = 0.6
WIDTH, HEIGHT = 451, 300  # of skimage.data.chelsea()
DEAREST = 5

NUMPY, DECAF, ANSWER = "import numpy", "import numpy, decaf", "first answer"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--weights", type=Path, help="instead of the default network")
    parser.add_argument("--quick", action="store_true", help="2 rounds")
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    try:
        weights = options.weights or default_weights()
    except WeightsError as error:
        sys.exit(f"startup: {error}")

    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, "photo.png")
        save_photo(photo)
        named = repr(str(weights.resolve())) if options.weights else ""
        answer = f"from decaf.net import DecafNet; DecafNet({named}).classify({str(photo)!r})"
        programs = {
            "python": "",
            NUMPY: NUMPY,
            DECAF: DECAF,
            "from decaf.net import DecafNet": "from decaf.net import DecafNet",
            ANSWER: answer,
        }
        calls = {name: start(program) for name, program in programs.items()}
        times = interleave(calls, rounds, pause=0.0, warm=False)
        imports = import_times(answer, min(rounds, 5))

    beyond = times[DECAF].median - times[NUMPY].median
    first = times[ANSWER].median
    print("A fresh process, in milliseconds: median (quartiles)\n")
    print(table(("process", "ms"), list(times.items())))
    print(f"\nimport decaf: {beyond * 1e3:.1f} ms beyond import numpy")
    print(f"first answer: {first * 1e3:.0f} ms")
    for name, seconds, allowed in (
        ("import decaf beyond numpy", beyond, IMPORT_ALLOWED),
        ("first answer", first, ANSWER_ALLOWED),
    ):
        if seconds > allowed:
            print(f"falls short: {name}: {seconds:.3f} s; at most {allowed} s is wanted")
    print(f"\nThe {DEAREST} dearest of {len(imports)} packages imported for it\n")
    dearest = dict(imports.most_common(DEAREST))
    print(table(("package", "ms"), [(name, f"{ms:.1f}") for name, ms in dearest.items()]))
    write_report(
        "startup",
        {
            "weights": weights.name,
            "processes": {name: timing.as_dict() for name, timing in times.items()},
            "import_decaf_beyond_numpy_ms": beyond * 1e3,
            "first_answer_ms": first * 1e3,
            "dearest_imports_ms": dearest,
        },
    )


def start(program: str) -> Callable[[], object]:
    return lambda: run(program)


def run(program: str, *options: str) -> str:
    """Run a program in a fresh process, where it finds this decaf; return its stderr."""
    done = subprocess.run(
        [sys.executable, *options, "-c", program],
        cwd=ROOT,
        env=fresh_environment(),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{program}: exit status {done.returncode}\n{done.stderr}")
    return done.stderr


def fresh_environment() -> dict[str, str]:
    """The environment of a process that finds this decaf, and keeps what it compiles.

    Where ``PYTHONDONTWRITEBYTECODE`` is set, modules without a cached compilation are compiled at
    every start, and a figure would say which packages were installed with one.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def import_times(program: str, rounds: int) -> Counter[str]:
    """Milliseconds that the modules of each package took by themselves: median of ``rounds``."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        packages: Counter[str] = Counter()
        for line in run(program, "-X", "importtime").splitlines():
            # import time:  self in µs | cumulative | name, indented
            own, _, name = line.removeprefix("import time:").split("|")
            if own.strip().isdecimal():  # not the head of the table
                packages[name.strip().partition(".")[0]] += int(own)
        for package, microseconds in packages.items():
            found.setdefault(package, []).append(microseconds / 1e3)
    return Counter({package: statistics.median(each) for package, each in found.items()})


def save_photo(path: Path) -> None:
    """A photo that compresses about as well as a real one: soft colours and a little noise."""
    soft = Image.fromarray((normal(8, 12, 3) * 60 + 128).clip(0, 255).astype(np.uint8))
    pixels = np.asarray(soft.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
    noisy = pixels + 4 * normal(HEIGHT, WIDTH, 3)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)


if __name__ == "__main__":
    main()
