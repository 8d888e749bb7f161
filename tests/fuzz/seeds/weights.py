"""Weights files of decaf, as it writes them and as other programs could."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from fuzz.mutate import Json, Packed, Raw, Seed
from fuzz.seeds.network import ARCHITECTURE, LABELS, PREPROCESSING, parameters

from decaf.serialize import architecture_to_dict
from decaf.weights import save_weights

ROOM = 600  # spaces behind each JSON, so that a longer one fits


def valid() -> list[Seed]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "w.h5")
        save_weights(
            path, ARCHITECTURE, parameters(), PREPROCESSING, LABELS, LABELS, {"from": ["a", 1]}
        )
        plain = path.read_bytes()
        save_weights(path, ARCHITECTURE, parameters(), PREPROCESSING, LABELS, dtype="float16")
        half = path.read_bytes()
    spaced = _by_hand(latest=False)
    return [
        Raw(plain), Raw(half), Raw(spaced), Raw(_by_hand(latest=True)), _with_json(spaced),
        _with_json(spaced),
    ]  # fmt: skip


def _jsons() -> dict[str, bytes]:
    values = {
        "architecture": architecture_to_dict(ARCHITECTURE),
        "preprocessing": PREPROCESSING.to_dict(),
        "provenance": {"from": "here"},
    }
    return {name: json.dumps(value).encode() for name, value in values.items()}


def _by_hand(latest: bool) -> bytes:
    """A file that decaf reads but does not write: fixed strings, gzip, chunks, other layouts."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest" if latest else "earliest") as file:
        describe(file)
        for index, (name, array) in enumerate(parameters().items()):
            options: dict[str, Any] = {}
            if not latest and index % 2 == 0:
                options = {"chunks": tuple(max(1, n // 2) for n in array.shape)}
                options |= {"compression": "gzip"} if index else {}
            file.create_dataset(f"parameters/{name}", data=array, **options)
    return buffer.getvalue()


def describe(file: h5py.File) -> None:
    """All that a weights file has but its parameters."""
    file.attrs["format"] = np.bytes_("decaf-weights")
    file.attrs["format_version"] = 1
    for name, text in _jsons().items():
        file.attrs[name] = np.bytes_(text + b" " * ROOM)
    file.create_dataset("labels", data=[label.encode() for label in LABELS])


def _with_json(file: bytes) -> Packed:
    """Put damaged JSON where the valid one stands: cut or padded to its room."""
    jsons = _jsons()

    def pack(made: dict[str, bytes]) -> bytes:
        packed = file
        for name, text in jsons.items():
            room = len(text) + ROOM
            packed = packed.replace(text + b" " * ROOM, made.get(name, b"")[:room].ljust(room), 1)
        return packed

    return Packed({name: Json(text) for name, text in jsons.items()}, pack)
