"""From the start of a process to its first answer, and the memory that it takes.

Torchvision's AlexNet with random weights, in a file as each engine likes it, and a photo; the
engines take turns (``timing.py``), and every run is a fresh process: ``peers_start.py``.  Each
was started once before, without being timed: files are in the disk cache, and modules are compiled.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import util
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray
from peers_contestants import decaf_precisions
from peers_models import onnx_model, torch_module
from startup import fresh_environment, save_photo
from timing import Timing

from decaf.architectures import alexnet
from decaf.preprocessing import TORCHVISION_IMAGENET
from decaf.weights import save_weights

PROGRAM = Path(__file__).with_name("peers_start.py")
PHOTO = "photo.png"
MODULES = {"PyTorch": "torch", "ONNX Runtime": "onnxruntime", "OpenVINO": "openvino"}
MODULES |= {"OpenCV": "cv2"}


class Start(NamedTuple):
    """Fresh processes of one engine."""

    seconds: Timing  # until the answer
    peak_bytes: float  # resident: median
    answer: int

    def as_dict(self) -> dict[str, Any]:
        return {
            "first_answer": self.seconds.as_dict(),
            "peak_bytes": self.peak_bytes,
            "answer": self.answer,
        }


def measure(parameters: Mapping[str, NDArray[Any]], folder: Path, rounds: int) -> dict[str, Start]:
    """Start every engine in turn; the files are made in ``folder``."""
    models = save_models(parameters, folder)
    save_photo(folder / PHOTO)
    runs: dict[str, list[tuple[float, int, int]]] = {name: [] for name in models}
    for name, model in models.items():
        start(name, model, folder / PHOTO)  # fills the disk cache, and caches what Python compiles
    for _ in range(rounds):
        for name, model in models.items():
            runs[name].append(start(name, model, folder / PHOTO))
    found = {}
    for name, each in runs.items():
        seconds, peaks, answers = zip(*each, strict=True)
        found[name] = Start(Timing(seconds), statistics.median(peaks), answers[0])
    answers = {name: one.answer for name, one in found.items()}
    # OpenCV shrinks photos in its own way: its answer is not compared.
    if len({answer for name, answer in answers.items() if name != "OpenCV"}) != 1:
        sys.exit(f"fresh processes: all must give the same class; got {answers}")
    return found


def start(name: str, model: Path, photo: Path) -> tuple[float, int, int]:
    """Seconds until the answer is there, peak of resident bytes, and the answer."""
    command = [sys.executable, str(PROGRAM), name, str(model), str(photo)]
    begin = time.perf_counter()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=fresh_environment(),
    ) as process:
        answer = process.stdout.readline()
        seconds = time.perf_counter() - begin
        peak, errors = process.stdout.read(), process.stderr.read()
    if process.returncode:
        sys.exit(f"{name}: exit status {process.returncode}\n{errors}")
    return seconds, int(peak), int(answer)


def save_models(parameters: Mapping[str, NDArray[Any]], folder: Path) -> dict[str, Path]:
    """Write AlexNet for every engine that is installed; return the files."""
    models = save_decaf(parameters, folder)
    for name, save in SAVE.items():
        if util.find_spec(MODULES[name]) is None:
            continue
        try:
            models[name] = save(parameters, folder)
        except ModuleNotFoundError as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
    return models


def save_decaf(parameters: Mapping[str, NDArray[Any]], folder: Path) -> dict[str, Path]:
    """Write decaf's own files, one for each precision; one that is there is left."""
    paths = {}
    for name, precision in decaf_precisions().items():
        paths[name] = folder / f"{precision}.h5"
        if not paths[name].exists():
            labels = [str(i) for i in range(alexnet().classes)]
            recipe = TORCHVISION_IMAGENET
            save_weights(paths[name], alexnet(), parameters, recipe, labels, dtype=precision)
    return paths


def save_torch(parameters: Mapping[str, NDArray[Any]], folder: Path) -> Path:
    import torch

    path = folder / "model.pt"
    torch.save(torch_module(alexnet(), parameters).state_dict(), path)
    return path


def save_onnx(parameters: Mapping[str, NDArray[Any]], folder: Path) -> Path:
    path = folder / "model.onnx"
    if not path.exists():
        path.write_bytes(onnx_model(alexnet(), parameters, 1))
    return path


def save_openvino(parameters: Mapping[str, NDArray[Any]], folder: Path) -> Path:
    """OpenVINO's own format, whose weights it maps."""
    import openvino as ov

    path = folder / "model.xml"
    ov.save_model(ov.Core().read_model(save_onnx(parameters, folder)), path, compress_to_fp16=False)
    return path


SAVE: dict[str, Callable[[Mapping[str, NDArray[Any]], Path], Path]] = {
    "PyTorch": save_torch,
    "ONNX Runtime": save_onnx,
    "OpenVINO": save_openvino,
    "OpenCV": save_onnx,
}
