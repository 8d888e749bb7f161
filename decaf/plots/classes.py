"""Which class is meant: by number, by name, or the most probable one; and what scores are."""

from __future__ import annotations

from numbers import Integral

from decaf.errors import ArchitectureError
from decaf.net import DecafNet
from decaf.specs import Softmax


def class_index(net: DecafNet, label: int | str) -> int:
    """Return the number of a class.

    Parameters
    ----------
    net : DecafNet
        The network.
    label : int or str
        The number; or a label, whole, or one of the names that it lists with commas between
        (``"tench"`` for ``"tench, Tinca tinca"``); or the number as text.

    Raises
    ------
    ArchitectureError
        If no class is called so, or several are.
    """
    classes = net.architecture.classes
    if isinstance(label, str):
        found = [i for i, name in enumerate(net.labels) if name == label]
        found = found or [i for i, name in enumerate(net.labels) if label in name.split(", ")]
        if not found and label.isascii() and label.isdecimal() and int(label) < classes:
            found = [int(label)]
        if len(found) == 1:
            return found[0]
        got = f"{label!r}, which is {' and '.join(map(str, found))}" if found else repr(label)
    elif isinstance(label, Integral) and not isinstance(label, bool) and 0 <= label < classes:
        return int(label)
    else:
        got = repr(label)
    raise ArchitectureError(
        f"{net.architecture.name}: label must be one class; expected one of its labels, or a "
        f"number from 0 to {classes - 1}, got {got}"
    )


def score_name(net: DecafNet) -> str:
    """What the last layer gives."""
    return "probability" if isinstance(net.architecture.layers[-1], Softmax) else "score"
