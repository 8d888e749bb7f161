"""HDF5 files that are valid, but reach outside or claim more than they hold."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
from fuzz.seeds.weights import describe


def hostile() -> dict[str, bytes]:
    """Groups for both who read HDF5: `parameters` for decaf, `data` for Caffe."""

    def file(build: Callable[[h5py.File], object], **options: Any) -> bytes:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w", **options) as made:
            describe(made)
            build(made)
        return buffer.getvalue()

    def nested(made: h5py.File) -> None:
        for group in ("data", "parameters"):
            made.create_group(group + "/a" * 200)

    def looped(made: h5py.File) -> None:
        for group in ("data", "parameters"):
            around = made.create_group(group)
            around["conv1"] = around

    def shared(made: h5py.File) -> None:
        values = made.create_dataset("data/conv1/0", data=np.zeros((4, 3, 3, 2), "<f4"))
        for i in range(300):
            made[f"data/l{i}/0"] = made[f"parameters/l{i}/weight"] = values

    def large(made: h5py.File, **options: Any) -> None:
        for name in ("data/conv1/0", "parameters/conv1/weight"):
            made.create_dataset(name, (2**20, 2**20), "<f4", **options)

    def empty(made: h5py.File) -> None:
        for name in ("data/conv1/0", "parameters/conv1/weight"):
            made.create_dataset(name, data=h5py.Empty("f4"))
            made.create_dataset(f"{name}s", (0,), "<f4")

    bomb = np.zeros((4096, 4096), "<f4")
    return {
        "links outside": file(lambda f: f.__setitem__("data", h5py.ExternalLink("/etc/x", "/"))),
        "soft links": file(lambda f: f.__setitem__("data", h5py.SoftLink("/data"))),
        "data outside": file(lambda f: large(f, external=[("/etc/passwd", 0, 2**42)])),
        "never written": file(large),
        "sparse chunks": file(lambda f: large(f, chunks=(1024, 1024), compression="gzip")),
        "a bomb": file(lambda f: f.create_dataset(
            "data/conv1/0", data=bomb, chunks=(4096, 4096), compression="gzip", compression_opts=9
        )),
        "groups inside groups": file(nested),
        "a group inside itself": file(looped),
        "one dataset 300 times": file(shared),
        "no values": file(empty),
        "objects": file(lambda f: f.create_dataset("data/conv1/0", (1,), h5py.ref_dtype)),
        "many members": file(lambda f: [f.create_group(f"data/{i}") for i in range(2000)]),
    }  # fmt: skip
