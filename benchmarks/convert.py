"""AlexNet as torch saves it, converted, and loaded: seconds and memory.

    python benchmarks/convert.py            # a minute; writes and removes half a gigabyte
    python benchmarks/convert.py --quick    # two rounds

torchvision's AlexNet with random weights, 61,100,840 parameters, is saved by PyTorch in both of
its formats.  Each conversion is that of a fresh process, in turn with the others; before any is
timed, its result is compared with the parameters, bit by bit.

  seconds     of ``decaf.convert.convert``: hashing, the child process, checks, and the disk
  child       most resident memory of the process that reads the file; mapped pages count
  parent      the same of the one that asked for it

Then, of the result, in a fresh process that has loaded another network before: milliseconds, and
resident memory beyond what there was, for ``load_weights``, for ``DecafNet``, and for its first
answer.

A line says so where a conversion takes over 3 s or more memory than the file and 100 MB, or where
loading takes over 50 ms or 20 MB; the exit status is 0.  Needs PyTorch, and Linux for memory.

Writes ``results/convert.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import convert_tables
import numpy as np
from random_weights import he_parameters
from report import write_report
from startup import run
from timing import interleave

from decaf.architectures import alexnet
from decaf.convert import convert
from decaf.formats.state_dict import torch_names
from decaf.weights import load_weights

SECONDS, BEYOND_FILE = 3.0, 100e6  # of a conversion
LOAD_MS, LOAD_BYTES = 50.0, 20e6

# ru_maxrss of this process begins with what its parent had; VmHWM does not.
CONVERT = """
import json, resource, sys, time
from decaf.convert import convert
start = time.perf_counter()
convert({source!r}, {target!r}, dtype={dtype!r}, force=True)
seconds = time.perf_counter() - start
lines = open("/proc/self/status").read().splitlines()
parent = int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps(dict(seconds=seconds, child=child, parent=parent)), file=sys.stderr)
"""
LOAD = """
import json, sys, time
import numpy as np
from decaf.net import DecafNet
from decaf.weights import load_weights

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

photo = np.zeros((256, 256, 3), np.uint8)
DecafNet().classify(photo)
kept, found = [], {{}}
for name, call in (
    ("load_weights", lambda: load_weights({path!r})),
    ("DecafNet", lambda: DecafNet({path!r})),
    ("first answer", lambda: kept[-1].classify(photo)),
):
    before, start = resident(), time.perf_counter()
    kept.append(call())
    seconds = time.perf_counter() - start
    found[name] = dict(ms=seconds * 1e3, bytes=resident() - before)
print(json.dumps(found), file=sys.stderr)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="2 rounds")
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    try:
        import torch
    except ModuleNotFoundError as error:
        sys.exit(f"convert: {error}")
    if not Path("/proc/self/statm").exists():
        sys.exit("convert: memory is read from /proc, which is not here")

    with tempfile.TemporaryDirectory() as folder:
        sources = save(torch, Path(folder))
        target = Path(folder, "alexnet.h5")
        cases = {
            f"{form}, {dtype}": (source, dtype)
            for form, source in sources.items()
            for dtype in ("float32", "float16")
        }
        figures: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
        sizes = {}
        for name, (source, dtype) in cases.items():
            convert(source, target, dtype=dtype, force=True)
            check(target, dtype)
            sizes[name] = target.stat().st_size

        def one(name: str) -> Callable[[], object]:
            source, dtype = cases[name]
            program = CONVERT.format(source=str(source), target=str(target), dtype=dtype)
            return lambda: figures[name].append(json.loads(run(program)))

        interleave({name: one(name) for name in cases}, rounds, pause=0.1, warm=False)
        convert(sources["zip"], target, force=True)
        loads = [json.loads(run(LOAD.format(path=str(target)))) for _ in range(rounds)]
        file = sources["zip"].stat().st_size

    conversions = {
        name: {key: statistics.median(each[key] for each in found) for key in found[0]}
        | {"result": sizes[name]}
        for name, found in figures.items()
    }
    loading = {
        name: {key: statistics.median(load[name][key] for load in loads) for key in ("ms", "bytes")}
        for name in loads[0]
    }
    print(f"AlexNet from torch, {file:,} bytes; medians of {rounds}\n")
    print(convert_tables.conversions(conversions))
    print(f"\n{convert_tables.loading(loading)}")
    for name, found in conversions.items():
        if found["seconds"] > SECONDS or max(found["child"], found["parent"]) > file + BEYOND_FILE:
            print(f"falls short: {name}: at most {SECONDS} s and the file + 100 MB are wanted")
    for name in ("load_weights", "DecafNet"):
        if loading[name]["ms"] > LOAD_MS or loading[name]["bytes"] > LOAD_BYTES:
            print(f"falls short: {name}: at most {LOAD_MS} ms and 20 MB are wanted")
    write_report(
        "convert",
        {"file": file, "rounds": rounds, "conversions": conversions, "loading": loading},
    )


def save(torch: Any, folder: Path) -> dict[str, Path]:
    """Save the same parameters in torch's two formats."""
    values = he_parameters(alexnet())
    state = {key: torch.from_numpy(values[name]) for name, key in torch_names(alexnet()).items()}
    sources = {form: folder / f"{form}.pth" for form in ("zip", "stream")}
    for form, path in sources.items():
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    return sources


def check(path: Path, dtype: str) -> None:
    """The file must hold the parameters, to the last bit of `dtype`."""
    found = load_weights(path, widen=False).parameters
    for name, values in he_parameters(alexnet()).items():
        if not np.array_equal(found[name], values.astype(dtype)):
            sys.exit(f"convert: {name} is not what was saved")


if __name__ == "__main__":
    main()
