"""Feature files and journals, as decaf writes them."""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from fuzz.mutate import Json, Packed, Raw, Seed
from fuzz.seeds.archives import hostile_zip, zipped
from fuzz.seeds.npy import npy

from decaf.features import file_h5, file_npz
from decaf.features.contents import Block, Features
from decaf.features.journal import Journal

JOURNAL = b"decaf-journal 1\n"


def _values(rows: int, width: int) -> np.ndarray:
    return np.random.default_rng(rows).standard_normal((rows, width), np.float32)


def _features(rows: int, failed: int = 2) -> Features:
    layers = {"relu6": 6, "fire9/concat": 3}
    return Features(
        layers,
        [f"a/{i}.jpg" for i in range(rows)],
        [f"class {i % 2}" for i in range(rows)],
        [(f"b/{i}.jpg", "cut off") for i in range(failed)],
        {"version": "1", "layers": ["relu6"], "crop": [1, 2.5, None]},
        lambda layer: iter([_values(rows, layers[layer])]),
    )


def h5() -> list[Seed]:
    made = []
    for features in (_features(9), _features(0), _features(2, 0)):
        stream = io.BytesIO()
        file_h5.write(stream, features)
        made.append(stream.getvalue())
    return [*map(Raw, made), Raw(_by_hand(made[0], "latest")), Raw(_by_hand(made[0], "earliest"))]


def _by_hand(data: bytes, libver: str) -> bytes:
    """What other programs could make of it: strings and rows in one piece, many chunks."""
    stream = io.BytesIO()
    with h5py.File(io.BytesIO(data)) as file, h5py.File(stream, "w", libver=libver) as made:
        for name, value in file.attrs.items():
            made.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value
        for name in ("relu6", "fire9/concat", "paths", "labels", "failed"):
            options = {"chunks": (2, 6), "fletcher32": True} if name == "relu6" else {}
            if libver == "latest":
                options = {}
            made.create_dataset(name, data=file[name][:], dtype=file[name].dtype, **options)
    return stream.getvalue()


def hostile_h5() -> dict[str, bytes]:
    stream = io.BytesIO()
    file_h5.write(stream, _features(9))
    valid = stream.getvalue()

    def changed(change: Callable[[h5py.File], object]) -> bytes:
        stream = io.BytesIO(valid)
        with h5py.File(stream, "r+") as file:
            change(file)
        return stream.getvalue()

    def replaced(name: str, shape: tuple[int, ...], dtype: str, **options: object) -> bytes:
        def change(file: h5py.File) -> None:
            del file[name]
            file.create_dataset(name, shape, dtype, **options)

        return changed(change)

    def attribute(name: str, value: object) -> bytes:
        return changed(lambda file: file.attrs.__setitem__(name, value))

    def linked(file: h5py.File) -> None:
        """Many names for one header, which has a long attribute that is no UTF-8."""
        file["relu6"].attrs["x" * 60_000] = 1
        for number in range(2_000):
            file[f"l{number}"] = file["relu6"]
        file.attrs["layers"] = json.dumps({"layers": [f"l{number}" for number in range(1_000)]})

    names = ", ".join(f'"l{i}"' for i in range(50_000))
    return {
        "never written": replaced("relu6", (9, 2**40), "<f4"),
        "sparse chunks": replaced("relu6", (9, 2**30), "<f4", chunks=(1, 2**20), fletcher32=True),
        "wide and empty": replaced("relu6", (0, 2**62), "<f4"),
        "long strings": replaced("paths", (2**20,), "S1000000"),
        "no strings": replaced("paths", (9,), "S1", chunks=(3,)),
        "many layers": attribute("layers", f'{{"layers": [{names}]}}'),
        "a layer often": attribute("layers", '{"layers": ["relu6"' + ', "relu6"' * 50_000 + "]}"),
        "a deep layer": attribute("layers", '{"layers": ["' + "a/" * 400 + 'b"]}'),
        "deep info": attribute("info", "[" * 400_000),
        "wide info": attribute("info", "[" + "[]," * 170_000 + "[]]"),
        "a header often": changed(linked).replace(b"x" * 60_000, b"\xff" * 60_000),
        "a number": attribute("info", '{"a": ' + "9" * 400_000 + "}"),
    }


def npz() -> list[Seed]:
    made = []
    for features in (_features(9), _features(0), _features(2, 0)):
        stream = io.BytesIO()
        file_npz.write(stream, features)
        made.append(stream.getvalue())
    arrays = {
        "relu6": _values(9, 6),
        "fire9/concat": _values(9, 3),
        "paths": np.array([f"{i}.jpg" for i in range(9)]),
        "labels": np.array(["x"] * 9),
        "failed": np.array([["a", "b"]]),
        "info": np.array('{"a": [1, 2.5]}'),
    }
    members = {f"{name}.npy": npy(array) for name, array in arrays.items()}
    return [*map(Raw, made), Packed(members, zipped), Packed(members, zipped)]


def hostile_npz() -> dict[str, bytes]:
    stream = io.BytesIO()
    np.save(stream, np.zeros((9, 6), np.float32))
    return {
        **hostile_zip("relu6.npy", stream.getvalue()),
        "wide and empty texts": _empty("failed", "<U536870911"),
        "wide and empty rows": _empty("relu6", "<f4"),
    }


def _empty(name: str, descr: str) -> bytes:
    """A member of no values, beside whose axis of 0 the other could be of any length."""
    stream = io.BytesIO()
    file_npz.write(stream, _features(9))
    with zipfile.ZipFile(stream) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (0, 999999999999999), }}\n"
    members[f"{name}.npy"] = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode()
    return zipped(members)


def journal() -> list[Seed]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "j")
        with Journal.create(path, {"made": ["by", 1]}, {"relu6": 6, "fire9/concat": 3}) as made:
            for first, count, failed in ((0, 4, {1: "cut off"}), (4, 1, {4: "x"}), (5, 3, {})):
                rows = count - len(failed)
                values = {"relu6": _values(rows, 6), "fire9/concat": _values(rows, 3)}
                made.append(Block(first, count, failed, values))
        data = path.read_bytes()
    payloads, at = [], len(JOURNAL)
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        payloads.append(data[at + 12 : at + 12 + length])
        at += 12 + length
    members: dict[str, Seed | bytes] = {"0": Json(payloads[0])}
    for number, payload in enumerate(payloads[1:], 1):
        size = int.from_bytes(payload[:4], "little")
        members[f"{number} head"] = Json(payload[4 : 4 + size])
        members[f"{number} values"] = Raw(payload[4 + size :])
    return [Raw(data), Packed(members, _journal), Packed(members, _journal)]


def _journal(made: dict[str, bytes]) -> bytes:
    """Records with lengths and checksums that are right."""
    records = [made.get("0", b"")]
    for number in range(1, 4):
        head = made.get(f"{number} head")
        if head is not None:
            records.append(_head(head) + made.get(f"{number} values", b""))
    return JOURNAL + b"".join(map(_record, records))


def _head(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text


def _record(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    return length + struct.pack("<I", zlib.crc32(length + payload)) + payload


def hostile_journal() -> dict[str, bytes]:
    first = _record(b'{"header": {}, "layers": {"x": 1}}')
    wide = _record(b'{"header": {}, "layers": {"x": 268435456}}')
    failures = ",".join(f'[{i},""]' for i in range(200_000)).encode()
    return {
        "a long first record": JOURNAL + struct.pack("<QI", 2**63, 0),
        "a long record": JOURNAL + first + struct.pack("<QI", 2**63, 0),
        "deep JSON": JOURNAL + _record(b"[" * 2_000_000),
        "wide JSON": JOURNAL + _record(b'{"header": [' + b"[]," * 400_000 + b'[]], "layers": {}}'),
        "many photos": JOURNAL
        + wide
        + _record(_head(b'{"first": 0, "count": 1000000000, "failed": []}')),
        "a long number": JOURNAL
        + first
        + _record(_head(b'{"first": 0, "count": ' + b"9" * 4_000 + b', "failed": []}')),
        "many failures": JOURNAL
        + first
        + _record(_head(b'{"first": 0, "count": 200000, "failed": [' + failures + b"]}")),
    }
