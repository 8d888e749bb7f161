"""decaf: AlexNet and its contemporaries, without a deep-learning framework.

    >>> from decaf import DecafNet  # doctest: +SKIP
    >>> net = DecafNet()  # doctest: +SKIP
    >>> net.top_k(net.classify("cat.jpg"))  # doctest: +SKIP

``import decaf`` loads nothing else: the names below come from their modules when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "ArchitectureError",
    "DecafError",
    "DecafNet",
    "FeaturesError",
    "ImageError",
    "Prediction",
    "ShapeError",
    "WeightsError",
    "__version__",
]

if TYPE_CHECKING:
    from decaf.errors import (
        ArchitectureError,
        DecafError,
        FeaturesError,
        ImageError,
        ShapeError,
        WeightsError,
    )
    from decaf.net import DecafNet, Prediction
else:

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name in ("DecafNet", "Prediction"):
            return getattr(import_module("decaf.net"), name)
        if name in __all__:
            return getattr(import_module("decaf.errors"), name)
        raise AttributeError(f"module 'decaf' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
