"""Faults that the harness must find: a reader for each kind, which is fine but for one byte."""

from __future__ import annotations

import faulthandler
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from fuzz.mutate import Raw
from fuzz.targets import Target

from decaf.cursor import Cursor
from decaf.errors import WeightsError


def key_error() -> Any:
    return {}["weight"]


def hang() -> None:
    while True:
        time.sleep(0.01)


def slow() -> None:
    time.sleep(1.2)


def allocate() -> None:
    np.ones(2**30, np.uint8)


def allocate_quietly() -> None:
    """What a reader must not do: pretend that it was the file."""
    try:
        np.ones(2**30, np.uint8)
    except MemoryError as error:
        raise WeightsError("the file must be smaller") from error


def keep_half_a_gigabyte() -> Any:
    """Views count, too: they are copied when a network is built."""
    return np.broadcast_to(np.zeros(1, np.float32), (2**27,))


def system() -> None:
    import os

    try:
        os.system("true")
    except Exception:
        pass


def import_late() -> None:
    import this  # noqa: F401


def open_file() -> None:
    open("/dev/null").close()


def evaluate() -> None:
    eval("1 + 1")


def warn() -> None:
    warnings.warn("odd", stacklevel=1)


def recurse() -> None:
    recurse()


def segmentation_fault() -> None:
    faulthandler._sigsegv()  # type: ignore[attr-defined]


def long_message() -> None:
    raise WeightsError("x" * 100_000)


FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "key_error": (key_error, "exception"),
    "hang": (hang, "hang"),
    "slow": (slow, "slow"),
    "allocate": (allocate, "memory"),
    "allocate_quietly": (allocate_quietly, "memory"),
    "keep_half_a_gigabyte": (keep_half_a_gigabyte, "result"),
    "system": (system, "forbidden"),
    "import_late": (import_late, "forbidden"),
    "open_file": (open_file, "forbidden"),
    "evaluate": (evaluate, "forbidden"),
    "warn": (warn, "exception"),
    "recurse": (recurse, "exception"),
    "segmentation_fault": (segmentation_fault, "crash"),
    "long_message": (long_message, "message"),
}  # what goes wrong, and what the harness must call it


def target(name: str) -> Target:
    fault = FAULTS[name.removeprefix("planted:")][0]

    def read(data: bytes) -> Any:
        cursor = Cursor(data)
        if cursor.take(4) == b"good":
            return np.frombuffer(cursor.take(8), np.float32)
        if data[:4] == b"evil":
            return fault()
        raise WeightsError("the file must be good")

    return Target(name, read, [Raw(b"good" + bytes(8))], hostile={"evil": b"evil"})
