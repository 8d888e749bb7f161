"""What the tests of the kernels share: steps run alone, and by several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray


def instruction_sets() -> tuple[str, ...]:
    """Names of those of this processor, best first."""
    try:
        from decaf._kernels import isa
    except ImportError:
        return ("baseline",)
    return isa.available()


each_isa = pytest.mark.parametrize("isa", instruction_sets())


def run_steps(steps: Sequence[Any], threads: int = 1) -> None:
    """Run steps in order, with ``threads - 1`` helpers."""
    crew = pytest.importorskip("decaf._kernels.crew")
    program = crew.Program(steps)
    if threads == 1:
        program.run()
        return
    helpers = crew.Helpers(threads)
    team = [threading.Thread(target=helpers.help, args=(m,)) for m in helpers.sleepers()]
    for thread in team:
        thread.start()
    for _ in range(3):  # helpers may come late to the first
        program.run(helpers)
    helpers.dismiss()
    for thread in team:
        thread.join()


def channels_last(x: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def convolve(
    pack: Any, x: NDArray[np.float32], weight: NDArray[np.float32], bias: Any = None,
    stride: Any = (1, 1), padding: Any = (0, 0), dilation: Any = (1, 1), groups: int = 1,
    *, relu: bool = False, isa: str | None = None, threads: int = 1,
) -> NDArray[np.float32]:  # fmt: skip
    """N,C,H,W to N,O,OH,OW by packed filters; scratch and result start as NaN."""
    packed = pack(weight, bias, stride, padding, dilation, groups, x.shape[2:], isa)
    oh, ow = (
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, p, d, k, s in zip(
            x.shape[2:], padding, dilation, weight.shape[2:], stride, strict=True
        )
    )
    out = np.full((len(x), oh, ow, len(weight)), np.nan, np.float32)  # N,OH,OW,O
    workspace = np.full(packed.workspace(len(x), threads), np.nan, np.float32)
    source = x if packed.planar else channels_last(x)
    run_steps(packed.steps(source, out, relu, threads, workspace), threads)
    return out.transpose(0, 3, 1, 2)
