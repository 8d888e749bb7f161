"""Write figures to ``benchmarks/results/NAME.json``, with all that is needed to trust them.

What a benchmark measured stands under ``figures``; the rest says where and with what: the
processor, threads, the BLAS, versions, and the commit.  No paths and no names of machines.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import threadpoolctl

import decaf
from decaf import ops, threads

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"

# What decides the speed and the rounding of matrix products.
FLAGS = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512dq", "avx512bw", "avx512vl",
    "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8",
    "asimd", "asimdhp", "sve",
)  # fmt: skip
PACKAGES = (
    "numpy", "scipy", "h5py", "pillow", "scikit-learn", "torch", "torchvision", "onnxruntime",
    "openvino", "opencv-python-headless",
)  # fmt: skip


def write_report(name: str, figures: Mapping[str, Any]) -> Path:
    """Write the figures, say where on stderr, and return the path.

    Call it after the work, when every library that the benchmark uses is loaded.

    Parameters
    ----------
    name : str
        Of the benchmark, and of the file.
    figures : mapping
        Whatever JSON can hold; NaN and infinities it cannot.
    """
    path = RESULTS / f"{name}.json"
    RESULTS.mkdir(exist_ok=True)
    contents = {"benchmark": name, **environment(), "figures": figures}
    text = json.dumps(contents, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    print(f"written: {path.relative_to(ROOT)}", file=sys.stderr)
    return path


def environment() -> dict[str, Any]:
    """Where and with what a benchmark ran."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "threads": thread_counts(),
        "blas": blas(),
        "versions": versions(),
    }


def commit() -> dict[str, Any]:
    """The commit, and whether the tree differed from it; results of benchmarks do not count."""
    changed = _git("status", "--porcelain", "--", ".", ":(exclude)benchmarks/results")
    return {"hash": _git("rev-parse", "HEAD"), "dirty": None if changed is None else changed != ""}


def machine() -> dict[str, Any]:
    """Processor, cores, memory, and the instruction sets that decaf and BLAS may use."""
    model, flags = _processor()
    return {
        "processor": model,
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "cores_for_this_process": threads.resolve(None),
        "memory_GiB": _memory(),
        "flags": [flag for flag in FLAGS if flag in flags],
    }


def thread_counts() -> dict[str, Any]:
    """What threads default to; a benchmark that sets its own says so in its figures."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE")
    return {
        "decaf": threads.resolve(None),
        "environment": {name: os.environ[name] for name in names if name in os.environ},
    }


def blas() -> list[dict[str, Any]]:
    """BLAS and OpenMP libraries in this process, and the kernels that they picked."""
    keys = ("user_api", "internal_api", "version", "num_threads", "threading_layer", "architecture")
    return [
        {"file": Path(found["filepath"]).name} | {key: found[key] for key in keys if key in found}
        for found in threadpoolctl.threadpool_info()
    ]


def versions() -> dict[str, Any]:
    """Python, decaf with its backends and instruction sets, and the packages that are there."""
    found: dict[str, Any] = {"python": platform.python_version(), "decaf": decaf.__version__}
    found["decaf_backends"] = list(ops.available())
    if "cython" in ops.available():
        found["decaf_instruction_sets"] = list(ops.kernel("isa").available())
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str | None:
    """Output of a git command, None where there is no git or no repository."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _processor() -> tuple[str, set[str]]:
    """Model and flags, from Linux; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), set()
    fields = {key.strip(): value.strip() for key, _, value in (s.partition(":") for s in lines)}
    if "cpu family" in fields:  # x86; many virtual machines give a model name that says little
        numbers = ", ".join(f"{key} {fields[key]}" for key in ("cpu family", "model"))
        model = f"{fields['model name']} ({fields['vendor_id']}, {numbers})"
    else:
        model = fields.get("model name") or platform.machine()
    return model, set((fields.get("flags") or fields.get("Features") or "").split())


def _memory() -> float | None:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on this system
        return None
    return round(size / 2**30, 1)
