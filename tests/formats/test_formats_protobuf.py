"""The reader of protocol buffers, against Google's runtime and against damage."""

from __future__ import annotations

import mmap
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire import encode, field, packed, unpacked, varint

from decaf.errors import DecafError, WeightsError
from decaf.formats.protobuf import DEEPEST, MOST_FIELDS, Enum, Schema, decode

COLOUR = Enum({0: "RED", 1: "GREEN", 7: "BLUE"})
INNER: Schema = {1: ("count", "int"), 2: ("word", "string")}
SCHEMA: Schema = {
    1: ("whole", "int"),
    2: ("flag", "bool"),
    3: ("colour", COLOUR),
    4: ("real", "float"),
    5: ("text", "string"),
    6: ("floats", "floats"),
    7: ("loose_floats", "floats"),
    8: ("doubles", "doubles"),
    9: ("loose_doubles", "doubles"),
    10: ("inner", INNER),
    11: ("wholes", "int"),
    1000: ("far_floats", "floats"),  # a tag of two bytes
}
NESTED: Schema = {1: ("nested", {}), 2: ("end", "int")}
NESTED[1] = ("nested", NESTED)


def google() -> Any:
    """The same message as a class of Google's runtime."""
    descriptor = pytest.importorskip("google.protobuf.descriptor_pb2", reason="the oracle")
    pool = pytest.importorskip("google.protobuf.descriptor_pool", reason="the oracle")
    factory = pytest.importorskip("google.protobuf.message_factory", reason="the oracle")
    file = descriptor.FileDescriptorProto(name="oracle.proto", package="t", syntax="proto2")
    colour = file.enum_type.add(name="Colour")
    for number, name in COLOUR.items():
        colour.value.add(name=name, number=number)
    kinds = {"int": 3, "bool": 8, "float": 2, "string": 9, "floats": 2, "doubles": 1}
    for name, schema in (("Inner", INNER), ("Outer", SCHEMA)):
        message = file.message_type.add(name=name)
        for number, (label, kind) in schema.items():
            made = message.field.add(name=label, number=number, label=3)  # repeated
            if isinstance(kind, Enum):
                made.type, made.type_name = 14, ".t.Colour"
            elif isinstance(kind, dict):
                made.type, made.type_name = 11, ".t.Inner"
            else:
                made.type = kinds[kind]
                made.options.packed = label in ("floats", "doubles", "wholes")
    built = pool.DescriptorPool()
    built.Add(file)
    return factory.GetMessageClass(built.FindMessageTypeByName("t.Outer"))


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
signed = st.integers(-(2**63), 2**63 - 1)


@given(
    whole=signed,
    wholes=st.lists(signed, max_size=5),
    flag=st.booleans(),
    colour=st.sampled_from(list(COLOUR)),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    floats=st.lists(finite, max_size=9),
    doubles=st.lists(st.floats(allow_nan=False), max_size=9),
    words=st.lists(st.text(alphabet="abc", max_size=3), max_size=3),
)
def test_reads_what_googles_runtime_writes(
    whole, wholes, flag, colour, text, floats, doubles, words
):
    message = google()(
        whole=[whole], wholes=wholes, flag=[flag], colour=[colour], text=[text],
        floats=floats, loose_floats=floats, far_floats=floats, doubles=doubles,
        loose_doubles=doubles, real=floats[:2], inner=[{"word": [word]} for word in words],
    )  # fmt: skip
    got = decode(message.SerializeToString(), SCHEMA)
    assert got["whole"] == [whole]
    assert got.get("wholes", []) == wholes
    assert got["flag"] == [flag] and got["colour"] == [COLOUR[colour]]
    assert got["text"] == [text]
    assert [inner["word"] for inner in got.get("inner", [])] == [[word] for word in words]
    assert [np.float32(value) for value in got.get("real", [])] == floats[:2]
    for name, want in [
        ("floats", floats), ("loose_floats", floats), ("far_floats", floats),
        ("doubles", doubles), ("loose_doubles", doubles),
    ]:  # fmt: skip
        runs = got.get(name, [])
        assert len(runs) == bool(want)  # one run is one array
        assert [value for run in runs for value in run.tolist()] == want


def test_a_run_ends_where_another_field_begins():
    some = np.arange(1000, dtype="<f4")
    for count in (1, 2, 3, 4, 7, 8, 9, 999):
        data = unpacked(7, some[:count]) + field(1, 0, varint(5)) + unpacked(7, some[:3])
        got = decode(data, SCHEMA)
        assert [run.tolist() for run in got["loose_floats"]] == [
            some[:count].tolist(), [0.0, 1.0, 2.0],
        ]  # fmt: skip
        assert got["whole"] == [5]


def test_arrays_are_views_of_a_mapped_file(tmp_path):
    path = tmp_path / "message"
    path.write_bytes(encode({"text": "x", "floats": np.arange(2_000_000, dtype="<f4")}, SCHEMA))
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    tracemalloc.start()
    (run,) = decode(mapped, SCHEMA)["floats"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert run[-1] == 1_999_999 and not run.flags.owndata and not run.flags.writeable
    assert peak < 100_000


def test_unpacked_millions_take_no_python_loop():
    values = np.random.default_rng(0).standard_normal(2_000_000).astype("<f4")
    record = np.zeros(len(values), [("tag", "u1"), ("value", "<f4")])
    record["tag"], record["value"] = 7 << 3 | 5, values
    tracemalloc.start()
    (run,) = decode(record.tobytes(), SCHEMA)["loose_floats"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(run, values)
    assert peak < 2 * record.nbytes + 2**26 and peak < 5 * record.nbytes


def test_passes_over_what_the_schema_has_not():
    data = b"".join(
        [field(90, 0, varint(2**63)), field(91, 1, bytes(8)), field(92, 2, b"\xff" * 300),
         unpacked(93, np.zeros(1000, "<f4")), field(1, 0, varint(-3))]
    )  # fmt: skip
    assert decode(data, SCHEMA) == {"whole": [-3]}
    assert decode(b"", SCHEMA) == {}


def test_floats_come_as_the_decimals_that_were_written():
    data = encode({"real": [1e-4, 0.75, 5e-5, 117.0]}, SCHEMA)
    assert decode(data, SCHEMA)["real"] == [1e-4, 0.75, 5e-5, 117.0]
    assert decode(packed(4, np.array([0.1, 0.2], "<f4")), SCHEMA)["real"] == [0.1, 0.2]


def test_an_unknown_enum_value_is_its_number():
    assert decode(field(3, 0, varint(99)), SCHEMA) == {"colour": ["99"]}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x0b", "wire type must be 0, 1, 2 or 5; got 3"),
        (b"\x0c", "wire type must be 0, 1, 2 or 5; got 4"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "within ten bytes"),
        (b"\x08\x80", "must end"),
        (field(5, 2, b"\xff\xfe"), "UTF-8"),
        (b"\x2a\x05abcd", "must end"),
        (b"\x2a" + varint(2**62), "must end"),
        (b"\x2a" + varint(2**64 - 1), "must end"),
        (field(10, 2, b"\x12\x05abc"), "must end"),  # sticks out of the inner message
        (field(6, 2, bytes(5)), "whole numbers of 4 bytes"),
        (field(8, 2, bytes(12)), "whole numbers of 8 bytes"),
        (b"\x3d\x00\x00", "must end"),
        (field(6, 1, bytes(8)), "wire type must go with the kind"),  # doubles for floats
        (field(1, 5, bytes(4)), "wire type must go with the kind"),
        (field(5, 0, b"\x01"), "wire type must go with the kind"),
        (field(10, 1, bytes(8)), "wire type must go with the kind"),
        (field(3, 5, bytes(4)), "wire type must go with the kind"),
        (field(10, 0, b"\x01"), "wire type must go with the kind"),
    ],
)
def test_says_what_is_wrong(data, reason):
    with pytest.raises(WeightsError, match=reason):
        decode(data, SCHEMA)


def test_bounds_depth_and_fields():
    def nested(levels: int) -> bytes:
        data = field(2, 0, b"\x01")
        for _ in range(levels):
            data = field(1, 2, data)
        return data

    decode(nested(DEEPEST - 1), NESTED)
    for levels in (DEEPEST, 1000):
        with pytest.raises(WeightsError, match=f"at most {DEEPEST} deep"):
            decode(nested(levels), NESTED)
    most = field(1, 0, b"\x01") * MOST_FIELDS
    assert len(decode(most, SCHEMA)["whole"]) == MOST_FIELDS
    for data in (
        most + field(1, 0, b"\x01"),
        field(90, 0, b"\x01") * (MOST_FIELDS + 1),
        field(11, 2, bytes(MOST_FIELDS + 1)),
        packed(4, np.zeros(MOST_FIELDS + 1, "<f4")),
        b"\x52\x00" * (10 * MOST_FIELDS),
    ):
        start = time.perf_counter()
        with pytest.raises(WeightsError, match="expected"):
            decode(data, SCHEMA)
        assert time.perf_counter() - start < 10  # and not a hang


@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_message_or_a_decaf_error(data):
    for schema in (SCHEMA, NESTED):
        try:
            decode(data, schema)
        except DecafError:
            pass
