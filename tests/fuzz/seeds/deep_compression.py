"""A network whose weights are indices into a codebook, and gaps between them."""

from __future__ import annotations

import numpy as np
from fuzz.mutate import Raw, Seed
from fuzz.seeds.network import ARCHITECTURE


def valid() -> list[Seed]:
    """Every other weight of the convolution is zero, and most of the fully connected ones."""
    random = np.random.default_rng(0)
    counts, parts = b"", b""
    for name, bits, step in (("conv1", 8, 2), ("fc2", 4, 11)):
        shapes = ARCHITECTURE.parameter_shapes
        count = int(np.prod(shapes[f"{name}/weight"])) // step
        codebook = random.standard_normal(2**bits).astype("<f4")
        codebook[0] = 0
        counts += count.to_bytes(4, "little")
        codes = random.integers(1, 256, -(-count * bits // 8), np.uint8)
        gaps = bytes([step - 1 | (step - 1) << 4]) * -(-count // 2)
        bias = np.zeros(shapes[f"{name}/bias"], "<f4")
        parts += codebook.tobytes() + bias.tobytes() + codes.tobytes() + gaps
    return [Raw(counts + parts)]
