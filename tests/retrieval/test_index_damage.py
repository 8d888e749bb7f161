"""Damaged indexes: damage is said, and nothing is lost silently."""

from __future__ import annotations

from pathlib import Path

import pytest
from indexes import make, rows, state

from decaf.errors import FeaturesError
from decaf.retrieval import index_file
from decaf.retrieval.index import Index
from decaf.retrieval.index_contents import Contents

PATH = Path("x.index")


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_damage_before_the_end_is_an_error() -> None:
    """Never a shorter index: only what lies behind the end may be left by a kill."""
    index = make(PATH)  # its changes are numbers 1 and 2
    old = state(PATH.read_bytes())
    index.add(["b"], rows(1))
    data = PATH.read_bytes()
    want = state(data)
    newest = range(index_file.END_PLACES[3 % 2], index_file.END_PLACES[3 % 2] + 20)
    for at in [*range(0, 20), *range(4090, 4120), *range(8190, 8220), *range(12288, len(data), 7)]:
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        try:
            found = state(bytes(damaged))  # a bit that fills up, or of an end
            assert found == (old if at in newest else want)
        except FeaturesError:
            pass
    PATH.write_bytes(data[:-64])
    with pytest.raises(FeaturesError, match=r"x\.index: the index must be whole.*cut off"):
        Index.open(PATH)
    with pytest.raises(FeaturesError, match="cut off"):
        index.add(["c"], rows(1))
    assert PATH.read_bytes() == data[:-64]


def test_damage_is_not_copied_with_a_new_checksum() -> None:
    index = make(PATH)
    data = bytearray(PATH.read_bytes())
    data[-700] ^= 1
    PATH.write_bytes(data)
    with pytest.raises(FeaturesError, match=r"x\.index: the record behind byte"):
        Index.open(PATH).verify()
    with pytest.raises(FeaturesError, match=r"x\.index: the record behind byte"):
        index.compact()
    assert PATH.read_bytes() == data


def test_one_of_the_ends_may_be_torn() -> None:
    """The change that wrote it then never was; the one before it counts."""
    index = make(PATH)
    old = state(PATH.read_bytes())
    index.add(["b"], rows(1))
    for place in index_file.END_PLACES:
        data = bytearray(PATH.read_bytes())
        data[place + 8] ^= 1
        found = state(bytes(data))
        assert found == old or len(found.names) == 10
    data[index_file.END_PLACES[0] + 8] ^= 1
    with pytest.raises(FeaturesError, match="two damaged ends"):
        Contents(bytes(data))
