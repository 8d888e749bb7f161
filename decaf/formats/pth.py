"""torch checkpoints (``.pth``, ``.pt``): what ``torch.save(model.state_dict(), path)`` writes.

torch has had three containers, told apart by their first bytes: :mod:`~decaf.formats.pth_zip`
(since 1.6), :mod:`~decaf.formats.pth_legacy` and :mod:`~decaf.formats.pth_tar` (up to 0.1.9).
In each, a pickle describes the tensors (:mod:`decaf.formats.pickles` reads it without running
it), and their values lie beside it, in *storages* that tensors are views of.

The pickle is a dictionary of tensors, or a training checkpoint with such a dictionary somewhere
inside: ``{"epoch": 90, "state_dict": {…}, "optimizer": {…}}``.  What belongs to the training
(``optimizer``, ``ema``) is left out.  Of several, the key says which one is meant; where it does
not, the one with the most tensors is.  A key inside says nothing about what lies further out:
if there are tensors there too, the file is refused.  Whole pickled networks, as
``torch.save(model, path)`` writes them, need the program that made them, and are refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.cursor import Buffer
from decaf.errors import WeightsError
from decaf.formats import pth_legacy, pth_tar, pth_zip
from decaf.formats.bfloat16 import widen
from decaf.formats.model import Tensors
from decaf.formats.pickle_names import Parameter, Storage, Tensor, refuse, shown

DTYPES = {"HalfStorage": "f2", "BFloat16Storage": "u2", "FloatStorage": "f4", "DoubleStorage": "f8"}
MOST_DIMENSIONS = 8
DEEPEST_PATH = 8  # keys of a dictionary's path that a message names
# Which dictionary is meant where several hold tensors: a teacher, or an average, may hold more.
PREFERRED = ("state_dict", "model_state_dict", "model_state", "model", "network", "net", "weights")
# What a training keeps beside the network, under keys that begin so, in capitals or not.
TRAINING = ("optim", "callbacks", "ema", "scheduler", "lr_", "amp", "grad")
LEVELS = 4  # of dictionaries in dictionaries whose keys are compared with these
# What stands before all names of a network that was wrapped: by DataParallel, by the user's own
# class, by torch.compile.
WRAPPERS = ("module.", "model.", "net.", "network.", "_orig_mod.")
DEEPEST_WRAPPING = 8


def tensors(data: Buffer) -> Tensors:
    """View the floating-point tensors of a checkpoint.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.

    Returns
    -------
    dict
        Read-only arrays by name, ``features.0.weight``: float16, float32 or float64 in the
        order of bytes of the file, perhaps unaligned or strided, views of `data`.  bfloat16 is
        widened to float32.  Integers and booleans (``num_batches_tracked``) are left out.  A
        wrapper's name in front of all names is taken off (``module.``).  Tensors that are
        the same in the file are the same array.

    Raises
    ------
    WeightsError
        If this is no such file, it names what decaf does not know, holds no dictionary of
        tensors or several alike, or the tensors take more bytes than the file has.
    """
    named = _unwrapped(_state_dict(_read(data)))
    made: dict[tuple[Any, ...], NDArray[Any]] = {}
    found: Tensors = {}
    left = len(data)
    for name, tensor in named.items():
        try:
            place = _place(tensor, len(data))
            if place not in made:
                offset, dtype, size, strides = place
                left -= math.prod(size) * dtype.itemsize
                if left < 0:
                    refuse("the tensors", f"no larger than the file, {len(data):,} bytes", "more")
                array: NDArray[Any] = np.ndarray(size, dtype, data, offset, strides)
                if dtype.kind == "u":
                    array = widen(array)
                array.flags.writeable = False
                made[place] = array
            found[name] = made[place]
        except WeightsError as error:
            raise WeightsError(f"{shown(name)}: {error}") from error
    return found


def _read(data: Buffer) -> Any:
    if data[:2] == b"PK":
        return pth_zip.read(data)
    if data[257:262] == b"ustar":
        return pth_tar.read(data)
    if data[:1] == b"\x80":
        return pth_legacy.read(data)
    refuse("a torch checkpoint", "a ZIP archive, a pickle or a tar archive", repr(data[:8]))


def _tensor(value: Any) -> Tensor | None:
    """Return a tensor that can be read, which may be wrapped as a parameter; None for others."""
    if isinstance(value, Parameter):
        value = value.value
    if not isinstance(value, Tensor):
        return None
    if not isinstance(value.storage, Storage):
        refuse("a tensor", "a view of a storage", shown(value.storage))
    return value if value.storage.kind in DTYPES else None


@dataclass(frozen=True, eq=False)
class _Inner:
    """A dictionary: where it was found, and how far that says that it is meant."""

    value: dict[Any, Any]
    key: str = ""
    ranks: tuple[int, ...] = (len(PREFERRED),) * LEVELS  # of the keys that lead to it: _ranks
    depth: int = 0
    outer: _Inner | None = None

    @property
    def preferred_at(self) -> int | None:
        """Depth of what lies under the outermost key that says that it is meant, if one does."""
        depths = (i for i, rank in enumerate(self.ranks, 1) if rank < len(PREFERRED))
        return next(depths, None)

    @property
    def around(self) -> list[_Inner]:
        """The dictionaries that it lies in, from the inside out."""
        found, inner = [], self
        while inner.outer is not None:
            inner = inner.outer
            found.append(inner)
        return found

    @property
    def path(self) -> str:
        """Keys that lead to it, ``optimizers.net``; of many, the outermost."""
        keys = [inner.key for inner in (self, *self.around)][-2::-1]
        return shown(".".join(keys[:DEEPEST_PATH])) if keys else "the outermost dictionary"


def _state_dict(root: Any) -> dict[str, Tensor]:
    """Find the dictionary of tensors that is meant, in dictionaries at any depth."""
    if isinstance(root, (Tensor, Parameter)):
        refuse("a checkpoint", "a dictionary of tensors", "one tensor")
    candidates: dict[_Inner, dict[str, Tensor]] = {}
    seen = {id(root)}
    queue = [_Inner(root)] if type(root) is dict else []
    for outer in queue:  # grows; each dictionary comes once, however shared
        named: dict[str, Tensor] = {}
        for name, item in outer.value.items():
            if type(item) is dict and id(item) not in seen:
                key = name if type(name) is str else ""
                if not key.lower().startswith(TRAINING):
                    seen.add(id(item))
                    ranks = _ranks(outer.ranks, outer.depth, key)
                    queue.append(_Inner(item, key, ranks, outer.depth + 1, outer))
            elif type(name) is str:
                tensor = _tensor(item)
                if tensor is not None:
                    named[name] = tensor
        if named:
            candidates[outer] = named
    if not candidates:
        refuse("a checkpoint", "a dictionary of floating-point tensors", _contents(root))
    best = _meant(candidates)
    if len(best) > 1:
        paths = ", ".join(inner.path for inner in best[:8])
        expected = "one dictionary of tensors, or one that is called state_dict"
        refuse("a checkpoint", expected, f"{len(best):,} alike, under {paths}")
    return candidates[best[0]]


def _meant(candidates: dict[_Inner, dict[str, Tensor]]) -> list[_Inner]:
    """Return the dictionary that is meant; all that could be, where that is not clear."""

    def order(inner: _Inner) -> tuple[tuple[int, ...], int]:
        """By the keys, then the outermost; without such keys the largest."""
        return inner.ranks, inner.depth if inner.preferred_at else -len(candidates[inner])

    orders = {inner: order(inner) for inner in candidates}
    least = min(orders.values())
    best = [inner for inner in candidates if orders[inner] == least]
    inner, depth = best[0], best[0].preferred_at
    if len(best) > 1 or depth is None:
        return best
    # Around it may be an accuracy or the like, but no network: fewer tensors than in itself.
    around = set(inner.around)
    return best + [
        other
        for other, named in candidates.items()
        if (
            len(named) >= len(candidates[inner])
            if other in around
            else other.depth < depth and not other.preferred_at
        )
    ]


def _ranks(ranks: tuple[int, ...], depth: int, key: str) -> tuple[int, ...]:
    """Ranks of what lies under `key` in a dictionary at this depth."""
    if depth >= LEVELS or key not in PREFERRED:
        return ranks
    return (*ranks[:depth], PREFERRED.index(key), *ranks[depth + 1 :])


def _contents(root: Any) -> str:
    if type(root) is not dict:
        return shown(root)
    return f"one with {', '.join(shown(key) for key in list(root)[:8]) or 'nothing'}"


def _unwrapped(named: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off what a wrapper put in front of all names."""
    for _ in range(DEEPEST_WRAPPING):
        for wrapper in WRAPPERS:
            if all(name.startswith(wrapper) for name in named):
                named = {name.removeprefix(wrapper): tensor for name, tensor in named.items()}
                break
        else:
            break
    return named


def _place(
    tensor: Tensor, most: int
) -> tuple[int, np.dtype[Any], tuple[int, ...], tuple[int, ...]]:
    """Check a tensor against its storage; return offset in the file, dtype, shape, strides."""
    storage = tensor.storage
    if storage.offset is None:
        refuse(f"storage {shown(storage.key)}", "in the file", "none")
    offset, size, strides = tensor.offset, tensor.size, tensor.stride
    for what, numbers in (("offset", (offset,)), ("size", size), ("stride", strides)):
        whole = type(numbers) is tuple and len(numbers) <= MOST_DIMENSIONS
        if not whole or not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
            refuse(f"its {what}", "whole numbers from 0 on", shown(numbers))
    if len(size) != len(strides):
        refuse("its strides", f"as many as its {len(size)} dimensions", f"{len(strides)}")
    dtype = np.dtype(storage.order + DTYPES[storage.kind])
    if math.prod(max(n, 1) for n in size) > max(storage.numel, most):
        refuse("its size", f"within {storage.numel:,} values", f"{size}")
    if 0 in size:
        return 0, dtype, size, tuple(dtype.itemsize for _ in size)
    count = math.prod(size)
    last = offset + sum((n - 1) * stride for n, stride in zip(size, strides, strict=True))
    if count > storage.numel or last >= storage.numel:
        got = f"{count:,} up to number {last:,}"
        refuse("its values", f"among the {storage.numel:,} of its storage", got)
    # The stride of an axis of one value means nothing, and may be too large for NumPy.
    steps = (s if n > 1 else 1 for n, s in zip(size, strides, strict=True))
    return (
        storage.offset + offset * dtype.itemsize,
        dtype,
        size,
        tuple(step * dtype.itemsize for step in steps),
    )
