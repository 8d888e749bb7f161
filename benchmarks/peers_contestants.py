"""The contestants: each a call that computes fc8 from one batch, made ready beforehand.

What a user would write who wants a low latency: models of a fixed batch size, the number of
threads set where the engine wants it, all else as the engine has it.  An engine that is not
installed is left out, with a line on stderr.

Precisions are classes of their own.  ``float32`` computes in float32 throughout; whatever keeps
its weights or computes in fewer bits is ``reduced``, and stands against its like alone.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from peers_models import INPUT, OUTPUT, onnx_model, torch_module

from decaf.plan import Network, Plan
from decaf.specs import Architecture

Array = NDArray[np.float32]
Call = Callable[[], Array]

DECAF, COMPACT = "decaf", "decaf compact"
PYTORCH, CHANNELS_LAST = "PyTorch", "PyTorch channels_last"
OPENVINO_DEFAULT = "OpenVINO default"


class Contestant(NamedTuple):
    """One engine at one batch size on one number of threads."""

    name: str
    precision: str  # "float32", or what it says that it computes in
    call: Call

    @property
    def exact(self) -> bool:
        return self.precision == "float32"


@dataclass(frozen=True)
class Work:
    """What is to be computed."""

    architecture: Architecture
    parameters: Mapping[str, Array]
    networks: Mapping[str, Network]  # of decaf, by name of the contestant
    input: Array  # N,C,H,W
    threads: int

    @cached_property
    def onnx(self) -> bytes:
        """The model for those that read ONNX; one for all of them."""
        return onnx_model(self.architecture, self.parameters, len(self.input))


def decaf_precisions() -> dict[str, str]:
    """What this decaf can compute in, by name of the contestant."""
    known = inspect.signature(Network).parameters
    return {DECAF: "float32"} | ({COMPACT: "float16"} if "precision" in known else {})


def decaf_keywords(precision: str) -> dict[str, Any]:
    """Keywords of ``Network`` and ``DecafNet`` for a precision; none for the usual one."""
    return {} if precision == "float32" else {"precision": precision}


def decaf_networks(
    architecture: Architecture, parameters: Mapping[str, Array]
) -> dict[str, Network]:
    return {
        name: Network(architecture, parameters, "cython", **decaf_keywords(precision))
        for name, precision in decaf_precisions().items()
    }


def contestants(work: Work) -> Iterator[Contestant]:
    """Make every engine ready; PyTorch, against which results are checked, first."""
    for make in (pytorch, decaf, onnxruntime, openvino, opencv):
        try:
            yield from make(work)
        except ModuleNotFoundError as error:
            print(f"{make.__name__}: left out: {error}", file=sys.stderr)


def decaf(work: Work) -> Iterator[Contestant]:
    for name, precision in decaf_precisions().items():
        yield Contestant(name, precision, _decaf_call(work.networks[name], work))


def _decaf_call(network: Network, work: Work) -> Call:
    plan = Plan(network, len(work.input), (OUTPUT,), threads=work.threads)

    def call() -> Array:
        np.copyto(plan.input, work.input)
        plan.run()
        return plan.outputs[OUTPUT].copy()

    return call


def pytorch(work: Work) -> Iterator[Contestant]:
    import torch

    torch.set_num_threads(work.threads)

    def make(layout: Any) -> Call:
        model = torch_module(work.architecture, work.parameters).to(memory_format=layout)
        input = torch.from_numpy(work.input).to(memory_format=layout)

        def call() -> Array:
            with torch.inference_mode():
                return np.asarray(model(input))

        return call

    yield Contestant(PYTORCH, "float32", make(torch.contiguous_format))
    yield Contestant(CHANNELS_LAST, "float32", make(torch.channels_last))


def onnxruntime(work: Work) -> Iterator[Contestant]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = work.threads
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(work.onnx, options, providers=["CPUExecutionProvider"])
    feed = {INPUT: work.input}
    yield Contestant("ONNX Runtime", "float32", lambda: session.run([OUTPUT], feed)[0])


def openvino(work: Work) -> Iterator[Contestant]:
    import openvino as ov

    core = ov.Core()
    model = core.read_model(work.onnx)
    common = {"INFERENCE_NUM_THREADS": work.threads, "PERFORMANCE_HINT": "LATENCY"}

    def make(name: str, options: dict[str, Any]) -> Contestant:
        compiled = core.compile_model(model, "CPU", common | options)
        request = compiled.create_infer_request()

        def call() -> Array:
            # The input is not copied, as with the others; the output is.
            return np.asarray(request.infer([work.input], share_inputs=True)[0])

        return Contestant(name, compiled.get_property("INFERENCE_PRECISION_HINT").to_string(), call)

    names = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
    for name, options in (
        ("OpenVINO", {"INFERENCE_PRECISION_HINT": "f32"}),
        (OPENVINO_DEFAULT, {}),
    ):
        made = make(name, options)
        yield made._replace(precision=names.get(made.precision, made.precision))


def opencv(work: Work) -> Iterator[Contestant]:
    import cv2

    cv2.setNumThreads(work.threads)
    # Of OpenCV 5's engines it takes the new one by itself; the classic one is as fast here.
    net = cv2.dnn.readNetFromONNX(np.frombuffer(work.onnx, np.uint8))

    def call() -> Array:
        net.setInput(work.input)
        return np.asarray(net.forward())

    yield Contestant("OpenCV", "float32", call)
