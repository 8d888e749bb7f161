"""What lies in an index file, read by hand as its description says; and files built to harm."""

from __future__ import annotations

import json
import struct
import zlib
from itertools import pairwise
from pathlib import Path

import indexes
import numpy as np
import pytest
from fuzz.seeds import index as seeds
from indexes import INFO, make, names, rows

from decaf.errors import FeaturesError
from decaf.retrieval.index import Index
from decaf.retrieval.index_contents import Contents


def by_hand(data: bytes) -> tuple[list[str], np.ndarray, dict[str, object], list[int]]:
    """Names, vectors, header and removals, by nothing but the description of the format."""
    assert data[:4096] == b"decaf-index 1\n" + bytes(4082)
    ends = []
    for place in (4096, 8192):
        sequence, end, checksum = struct.unpack_from("<QQI", data, place)
        if checksum == zlib.crc32(data[place : place + 16]):
            ends.append((sequence, end))
    at, end = 12288, max(ends)[1]
    found: list[str] = []
    vectors = []
    removed: list[int] = []
    header: dict[str, object] = {}
    while at < end:
        kind, payload_sum, length, count, text, head_sum = struct.unpack_from("<4sIQQQI", data, at)
        assert head_sum == zlib.crc32(data[at : at + 32])
        assert data[at + 36 : at + 64] == bytes(28)
        payload = data[at + 64 : at + 64 + length]
        assert payload_sum == zlib.crc32(payload) and len(payload) == length
        at += 64 + -(-length // 64) * 64
        if kind == b"what":
            header = json.loads(payload)
        elif kind == b"rows":
            width = header["parts"] * header["dimensions"]  # type: ignore[operator]
            values = np.frombuffer(payload, "<f4", count * width)
            vectors.append(values.reshape(count, width))
            squares_at = -(-count * width * 4 // 64) * 64
            squares = np.frombuffer(payload, "<f4", count * header["parts"], squares_at)
            want = (values.reshape(-1, header["dimensions"]).astype(np.float64) ** 2).sum(axis=1)
            np.testing.assert_allclose(squares, want, rtol=1e-6)
            starts_at = squares_at + -(-squares.nbytes // 64) * 64
            starts = np.frombuffer(payload, "<u8", count + 1, starts_at).tolist()
            names_at = starts_at + -(-(count + 1) * 8 // 64) * 64
            assert names_at + text == length
            for first, last in pairwise(starts):
                found.append(payload[names_at + first : names_at + last].decode())
        elif kind == b"gone":
            removed += struct.unpack(f"<{count}Q", payload)
        else:
            assert kind == b"base"
            size = int.from_bytes(payload[:4], "little")
            (name, dtype, shape) = json.loads(payload[4 : 4 + size])["arrays"][0]
            assert (name, dtype, shape) == ("mean", "<f4", [indexes.D])
            mean_at = -(-(4 + size) // 64) * 64
            mean = np.frombuffer(payload, "<f4", indexes.D, mean_at)
            np.testing.assert_array_equal(mean, indexes.whitening().mean)
    assert at == end == len(data)
    return found, np.concatenate(vectors), header, removed


@pytest.mark.parametrize("levels", [1, 2])
def test_the_format_is_as_described(tmp_path: Path, levels: int) -> None:
    index = make(tmp_path / "x", 5, levels)
    more = rows(2, seed=1, parts=index.parts)
    index.add(["é/1.jpg", "b"], more)
    index.remove(["a/001.jpg", "b"])
    found, vectors, header, removed = by_hand((tmp_path / "x").read_bytes())
    assert found == [*names(5), "é/1.jpg", "b"]
    assert removed == [1, 6]
    assert header == {
        "info": INFO, "levels": levels, "parts": index.parts, "dimensions": 6,
        "features": indexes.D,
    }  # fmt: skip
    want = np.concatenate([rows(5, parts=index.parts), more])
    np.testing.assert_array_equal(vectors, indexes.whitening().transform(want).reshape(7, -1))


def test_what_others_wrote_by_the_description_is_read() -> None:
    """The fuzzer's writer shares no code with decaf's."""
    for seed in seeds.valid():
        contents = Contents(seed.whole())
        contents.verify()
        assert list(contents.names()) == [*(b"a/%d.jpg" % n for n in range(6)), b"b.jpg"]
        assert contents.alive.tolist() == [True, False, True, True, False, True, True]


ACCEPTED = ("removals one by one", "wide JSON")


@pytest.mark.parametrize("name", seeds.hostile())
def test_hostile_files(name: str, tmp_path: Path) -> None:
    data = seeds.hostile()[name]

    def everything() -> None:
        contents = Contents(data)
        list(contents.blocks())
        contents.verify()
        _ = contents.arrays

    if name in ACCEPTED:
        everything()
    else:
        with pytest.raises(FeaturesError):
            everything()
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(FeaturesError, match=r"x: "):  # none has a whitening that fits
        Index.open(path)
    assert path.read_bytes() == data


def test_every_length() -> None:
    """A file that was cut off anywhere is no index."""
    data = seeds.valid()[0].whole()
    for size in [*range(40), *range(4090, 4130), *range(8180, 8220), *range(12280, len(data), 5)]:
        with pytest.raises(FeaturesError):
            Contents(data[:size])


def test_other_versions_and_other_files(tmp_path: Path) -> None:
    path = tmp_path / "x"
    make(path)
    data = path.read_bytes()
    for wrong, said in (
        (data.replace(b"decaf-index 1", b"decaf-index 2"), "must be of version 1"),
        (b"\x89HDF\r\n\x1a\n" + data, "must be an index of decaf"),
        (b"", "an empty file"),
    ):
        path.write_bytes(wrong)
        with pytest.raises(FeaturesError, match=said):
            Index.open(path)
    for place in (tmp_path, tmp_path / "missing", "a\0b"):
        with pytest.raises(FeaturesError, match="must be an index that can be read"):
            Index.open(place)
