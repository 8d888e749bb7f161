"""Where the windows of a pooling lie: shared by the maximum and the average."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from decaf.layers import _check
from decaf.layers._check import FloatArray, Pair
from decaf.layers.shapes import pool_output_size


class Windows:
    """The windows of one pooling over N,C,H,W; every pair is (h, w)."""

    def __init__(
        self,
        name: str,
        input: FloatArray,
        kernel_size: Pair,
        stride: Pair | None,
        padding: Pair,
        ceil_mode: bool,
    ) -> None:
        _check.array(name, "input", input, "N,C,H,W")
        self.size = input.shape[2:]
        self.kernel = _check.pair(name, "kernel_size", kernel_size, 1)
        self.stride = self.kernel if stride is None else _check.pair(name, "stride", stride, 1)
        self.padding = _check.pair(name, "padding", padding, 0)
        geometry = zip(self.size, self.kernel, self.stride, self.padding, strict=True)
        self.places = [pool_output_size(*axis, ceil_mode, name=name) for axis in geometry]
        self.shape = (*input.shape[:2], *self.places)  # N,C,OH,OW

    def pixels(self, input: FloatArray, beyond: float) -> Iterator[FloatArray]:
        """Pixel (0, 0) of every window as N,C,OH,OW, then pixel (0, 1), ...; ``beyond`` outside."""
        margins = []
        for size, k, s, p, places in zip(
            self.size, self.kernel, self.stride, self.padding, self.places, strict=True
        ):
            last_end = (places - 1) * s + k - p  # a window may stick out, or stop short
            margins.append((p, max(0, last_end - size)))
        padded = np.pad(input, ((0, 0), (0, 0), *margins), constant_values=beyond)
        (kh, kw), (sh, sw), (oh, ow) = self.kernel, self.stride, self.places
        for y in range(kh):
            for x in range(kw):
                yield padded[:, :, y::sh, x::sw][:, :, :oh, :ow]

    def counts(self, include_pad: bool) -> NDArray[np.intp]:
        """OH,OW: by how many values each window's sum is divided."""
        along = []
        for size, k, s, p, places in zip(
            self.size, self.kernel, self.stride, self.padding, self.places, strict=True
        ):
            starts = np.arange(places) * s - p
            ends = np.minimum(starts + k, size + p if include_pad else size)
            along.append(ends - (starts if include_pad else np.maximum(starts, 0)))
        return np.outer(along[0], along[1])
