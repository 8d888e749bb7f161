"""The reader of Caffe's text files, against Google's text format and against damage."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_formats_protobuf import COLOUR, SCHEMA, finite, google, signed

from decaf.errors import DecafError, WeightsError
from decaf.formats.protobuf import DEEPEST, MOST_FIELDS, decode
from decaf.formats.prototxt import LARGEST, parse


@given(
    wholes=st.lists(signed, max_size=4),
    flags=st.lists(st.booleans(), max_size=3),
    colours=st.lists(st.sampled_from(list(COLOUR)), max_size=3),
    reals=st.lists(finite, max_size=4),
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), max_size=3),
    words=st.lists(st.text(alphabet="ab\\\"'\n", max_size=4), max_size=3),
    one_line=st.booleans(),
)
def test_text_and_bytes_give_the_same_message(
    wholes, flags, colours, reals, texts, words, one_line
):
    text_format = pytest.importorskip("google.protobuf.text_format", reason="the oracle")
    message = google()(
        whole=wholes, flag=flags, colour=colours, real=reals, text=texts,
        inner=[{"word": [word]} for word in words],
    )  # fmt: skip
    text = text_format.MessageToString(message, as_utf8=True, as_one_line=one_line)
    got, want = parse(text.encode()), decode(message.SerializeToString(), SCHEMA)
    for both in (got, want):  # which may be different decimals of one float32
        both["real"] = [np.float32(value) for value in both.get("real", [])]
    assert got == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", {}),
        ("# only a comment", {}),
        ("a: 1 # one\na: 2", {"a": [1, 2]}),
        ("a{b{}}", {"a": [{"b": [{}]}]}),
        ("a: { b: 1 };", {"a": [{"b": [1]}]}),
        ("a < b: 1 > c: 2", {"a": [{"b": [1]}], "c": [2]}),
        ("a { b: 1, c: 2; }, d: 3", {"a": [{"b": [1], "c": [2]}], "d": [3]}),
        ("a: [1, 2]; b: []", {"a": [1, 2], "b": []}),
        ("a: 0x1F b: 017 c: -5 d: 0", {"a": [31], "b": [15], "c": [-5], "d": [0]}),
        ("a: -0x2 b: -03", {"a": [-2], "b": [-3]}),
        ("a: 1.5 b: 1e-3 c: .5 d: 2. e: 1f f: -.5E2", {
            "a": [1.5], "b": [0.001], "c": [0.5], "d": [2.0], "e": [1.0], "f": [-50.0]}),
        ("a: true b: false c: MAX", {"a": [True], "b": [False], "c": ["MAX"]}),
        ("a: 'x\"y' b: \"x'y\"", {"a": ['x"y'], "b": ["x'y"]}),
        (r'''a: "\n\t\\\"\'\x41\101"''', {"a": ["\n\t\\\"'AA"]}),
        ("a: \"x\" 'y'\n\"z\"", {"a": ["xyz"]}),
        ("\ufeffa: 'é'", {"a": ["é"]}),
        ("a: nan b: inf", {"a": ["nan"], "b": ["inf"]}),  # who wants a number refuses them
    ],
)  # fmt: skip
def test_reads(text, want):
    got = parse(text.encode())
    assert got == want
    assert repr(got) == repr(want)  # 1, 1.0 and True are equal, but not the same


def test_a_comment_in_another_encoding_does_no_harm():
    assert parse(b"# caf\xe9\na: 1") == {"a": [1]}


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a", 1, "expected ':'"),
        ("a:", 1, "expected a number, a string or a word"),
        ("\n\na: }", 3, "expected a number"),
        ("a {", 1, "expected '}'"),
        ("a {\n b: 1 >", 2, "expected a word"),
        ("a <\n b: 1 }", 2, "expected a word"),
        ("}", 1, "expected a word"),
        ("1: 2", 1, "expected a word"),
        ("a: 'x", 1, "expected a word, a number"),
        ("a: 'x\ny'", 1, "expected a word, a number"),
        ("a: @", 1, "expected a word, a number"),
        ("a: 1x", 1, "expected a number"),
        ("a: 1.2.3", 1, "expected a number"),
        ("a: .", 1, "expected a number"),
        ("a: 1e", 1, "expected a number"),
        ("a: " + "1" * 100_000 + "x", 1, "64 characters"),
        ("a: 09", 1, "octal"),
        ("a: 1e999", 1, "finite"),
        ("a: " + "1" * 65, 1, "64 characters"),
        ("a: [1 2]", 1, "expected ',' or ']'"),
        ("a: [1,]", 1, "expected a value"),
        ("a: [1", 1, "expected ',' or ']'"),
        (r"a: '\q'", 1, "escape"),
        (r"a: '\xff'", 1, "escape"),
        ("[extension]: 1", 1, "expected a word"),
    ],
)
def test_says_what_is_wrong_and_where(text, line, reason):
    with pytest.raises(WeightsError, match=rf"line {line}: .*{reason}"):
        parse(text.encode())


def test_bounds_size_depth_and_values():
    parse(b"a{" * (DEEPEST - 1) + b"}" * (DEEPEST - 1))
    for data, reason in [
        (b"a{" * DEEPEST + b"}" * DEEPEST, "16 deep"),
        (b"a{" * 100_000, "16 deep"),
        (b"a:1\n" * (MOST_FIELDS + 1), "at most 100,000 values"),
        (b"a{}" * (MOST_FIELDS + 1), "at most 100,000 values"),
        (b"a:[" + b"1," * MOST_FIELDS + b"1]", "at most 100,000 values"),
        (b" " * (LARGEST + 1), "at most 4,194,304 bytes"),
        (b"a:" + b"9" * 4_000_000, "64 characters"),
        (b"a: '" + b"\\" * 3_999_999, "expected a word"),
        (b"\n" * 4_000_000 + b"@", "line 4000001"),
    ]:
        start = time.perf_counter()
        with pytest.raises(WeightsError, match=reason):
            parse(data)
        assert time.perf_counter() - start < 10  # and not a hang


NET = b"""name: "x"  # y
layer { name: 'a' type: "Pooling" pooling_param < pool: MAX kernel_size: 0x3 stride: 2 > }
input_shape { dim: [1, 3, 0.5e1] }"""


def test_every_prefix_and_every_changed_byte_gives_a_message_or_a_decaf_error():
    parse(NET)
    for size in range(len(NET)):
        attempt(NET[:size])
        for byte in b"\x00\xff{}<>[]:,;'\"\\#-.0x\n":
            attempt(NET[:size] + bytes([byte]) + NET[size + 1 :])


@given(st.text(alphabet="{}<>[]:,;'\"\\#-.0x1ea \n", max_size=60))
def test_any_text_gives_a_message_or_a_decaf_error(text):
    attempt(text.encode())


@given(st.binary(max_size=60))
def test_any_bytes_give_a_message_or_a_decaf_error(data):
    attempt(data)


def attempt(data: bytes) -> None:
    try:
        parse(data)
    except DecafError:
        pass


@pytest.mark.parametrize(
    "text",
    [
        b"a: " + b"1" * 10**6,
        b"a: " + b"1e+" * 300_000,
        b"a: '" + b"x" * 10**6,
        b"a: '" + b"\\a" * 10**6,
    ],
)
def test_a_long_token_takes_little_memory(text):
    """A group that a pattern repeats took 200 bytes each time."""
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError):
            parse(text)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(text) + 2**21
    finally:
        tracemalloc.stop()
