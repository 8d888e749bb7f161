"""Tensors behind a header of JSON."""

from __future__ import annotations

import json
from typing import Any

from fuzz.mutate import Json, Packed, Seed
from fuzz.seeds.network import parameters


def valid() -> list[Seed]:
    made: list[Seed] = []
    for letter, dtype in (("F32", "<f4"), ("F16", "<f2"), ("BF16", "<u2")):
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        values = b""
        for name, array in parameters().items():
            data = array.astype(dtype).tobytes() if dtype != "<u2" else bytes(2 * array.size)
            places = [len(values), len(values) + len(data)]
            header[name] = {"dtype": letter, "shape": list(array.shape), "data_offsets": places}
            values += data
        made.append(Packed({"header": Json(json.dumps(header).encode()), "values": values}, _sized))
    return made


def _sized(made: dict[str, bytes]) -> bytes:
    header = made.get("header", b"")
    return len(header).to_bytes(8, "little") + header + made.get("values", b"")


def hostile() -> dict[str, bytes]:
    def file(header: str, values: bytes = b"") -> bytes:
        return _sized({"header": header.encode(), "values": values})

    def one(shape: Any, places: Any, dtype: str = "F32") -> str:
        return json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": places}})

    shared = {
        f"t{i}": {"dtype": "F32", "shape": [1024], "data_offsets": [0, 4096]} for i in range(1000)
    }
    return {
        "lists inside lists": file("[" * 100_000),
        "dictionaries inside dictionaries": file('{"a":' * 40_000),
        "a header of 2^63": (2**63).to_bytes(8, "little") + b"{}",
        "numbers of 100,000 digits": file('{"a": ' + "9" * 100_000 + "}"),
        "a thousand tensors in one place": file(json.dumps(shared), bytes(4096)),
        "a name twice": file('{"a": {}, "a": {}}'),
        "2^60 values": file(one([2**60], [0, 2**62])),
        "overflow": file(one([2**32, 2**32], [0, 0])),
        "many axes": file(one([1] * 20_000, [0, 4]), bytes(4)),
        "nothing by much": file(one([0, 2**62], [0, 0])),
        "offsets below zero": file(one([1], [-4, 0]), bytes(4)),
        "offsets that are no numbers": file(one([1], [0.0, True]), bytes(4)),
        "half a character": file('{"\\ud800": {}}'),
        "a million empty lists": file('{"a": [' + "[]," * 60_000 + "[]]}"),
        "infinite": file(one([1e999], [0, 4]).replace("Infinity", "1e999"), bytes(4)),
        "many tensors": file(json.dumps({str(i): {} for i in range(15_000)})),
    }
