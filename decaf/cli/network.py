"""The options that all commands with a network have, and the network that they describe."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from decaf.cli.terminal import positive

if TYPE_CHECKING:
    from decaf.net import DecafNet

DEFAULT_LAYER = "relu6"  # DeCAF6 in the paper
LAST = 8  # layers to choose from


def add_network_options(add: Callable[..., Any]) -> None:
    """Add them, by an ``add_argument`` of argparse."""
    add(
        "--weights",
        metavar="W",
        help="weights file, or name in the zoo (default: the network inside the package)",
    )
    add("--threads", type=positive, metavar="T", help="threads (default: one a core)")
    backends = ("auto", "cython", "blas", "numpy")
    add("--backend", choices=backends, default="auto", help="default: auto")
    add(
        "--precision",
        choices=("float32", "float16"),
        default="float32",
        help="of the weights of fully connected layers: float16 takes half the memory "
        "(default: float32)",
    )
    add(
        "--max-pixels",
        type=positive,
        metavar="P",
        help="refuse larger photos (default: 89 million)",
    )


def load_network(arguments: argparse.Namespace) -> DecafNet:
    """Return the network that the options describe.

    Raises
    ------
    DecafError
        If it cannot be used.
    """
    from decaf.image import MAX_PIXELS
    from decaf.net import DecafNet

    return DecafNet(
        arguments.weights,
        threads=arguments.threads,
        backend=arguments.backend,
        precision=arguments.precision,
        max_pixels=arguments.max_pixels or MAX_PIXELS,
    )


def default_layer(net: DecafNet, option: str = "--layer") -> str:
    """Return the paper's best features, where the network has them.

    Raises
    ------
    ArchitectureError
        If it has not; the message says to use `option`.
    """
    from decaf.errors import ArchitectureError

    if DEFAULT_LAYER in net.architecture.inputs:
        return DEFAULT_LAYER
    last = ", ".join(layer.name for layer in net.architecture.layers[-LAST:])
    raise ArchitectureError(
        f"{option} must be said for {net.architecture.name}, which has no {DEFAULT_LAYER}, the "
        f"default; its last ones are {last} (`decaf info` lists all)"
    )
