"""Archives of NumPy's arrays."""

from __future__ import annotations

import zipfile

import numpy as np
from fuzz.mutate import Packed, Raw, Seed
from fuzz.seeds.archives import hostile_zip, zipped
from fuzz.seeds.network import parameters
from fuzz.seeds.npy import npy, npy_bytes


def valid() -> list[Seed]:
    members = {f"{name}.npy": npy(array) for name, array in parameters().items()}
    return [
        Packed(members, zipped),
        Packed(members, lambda made: zipped(made, zipfile.ZIP_DEFLATED)),
        Raw(Packed(members, zipped).whole()),
    ]


def hostile() -> dict[str, bytes]:
    head = npy_bytes(np.zeros(0, np.float32))

    def array(descr: str, shape: str) -> bytes:
        text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
        return head[:8] + len(text).to_bytes(2, "little") + text

    headers = {
        "objects": array("'|O'", "(1,)") + b"\x80\x04cos\nsystem\n(S'true'\ntR.",
        "records": array("[('a', '<f4')]", "(1,)"),
        "values without size": array("'<f0'", "(1,)"),
        "void": array("'|V0'", "(1000000000000,)"),
        "2^60 values": array("'<f4'", f"({2**60},)"),
        "overflow": array("'<f4'", f"({2**32}, {2**32})"),
        "nothing by much": array("'<f4'", f"(0, {2**62})"),
        "a hundred axes": array("'<f4'", f"({'1, ' * 100})") + bytes(4),
        "a million axes": array("'<f4'", f"({'1,' * 30_000})") + bytes(4),
        "below zero": array("'<f4'", "(-1,)"),
        "brackets": array("'<f4'", "(" * 30_000),
        "code": array("__import__('os').system('true')", "(1,)"),
        "spaces": array("'<f4'" + " " * 30_000, "(1,)") + bytes(4),
    }
    return {
        **hostile_zip("conv1/weight.npy", npy_bytes(parameters()["conv1/weight"])),
        **{name: zipped({"conv1/weight.npy": data}) for name, data in headers.items()},
    }
