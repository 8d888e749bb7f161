"""The machine against Python's own pickle, and against pickles that want to do harm."""

from __future__ import annotations

import collections
import pickle
import pickletools
import struct
import time
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
from payloads import NESTED, PAYLOADS, PROTO, named, text
from processes import python
from support import cases

from decaf.cursor import Cursor
from decaf.errors import DecafError, WeightsError
from decaf.formats import pickle_names, pickles
from decaf.formats.pickle_names import Global, Parameter, Tensor, Unread
from decaf.formats.pickles import load

NUMBERS = st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers(-(2**70), 2**70)
SCALARS = NUMBERS | st.text()
KEYS = st.text() | st.integers(-(2**63), 2**63 - 1)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


@cases
@hypothesis.given(value=VALUES, protocol=st.sampled_from([2, 3, 4, 5]))
def test_plain_values_as_pickle_reads_them(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol) + b"what follows"
    cursor = Cursor(data)
    assert load(cursor) == value
    assert cursor.left == len(b"what follows")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, 255, 256, 65535, 65536, -1, 2**31, -(2**31), 2**100, -(2**100), 1.5,
        "äöü €", "", [], (), {}, [1, [2]], (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {"a": {"b": 1}},
        float("inf"), "x" * 300, ["same"] * 3,
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_every_protocol(value: Any, protocol: int) -> None:
    got = load(Cursor(pickle.dumps(value, protocol)))
    assert got == value and type(got) is type(value)


def test_bytes() -> None:
    for protocol in (3, 4, 5):
        for value in (b"", b"ab", b"x" * 300):
            assert load(Cursor(pickle.dumps(value, protocol))) == value
    # Before there were opcodes for them they were calls, and weights never are bytes.
    assert type(load(Cursor(pickle.dumps(b"ab", 2)))) is Unread
    assert type(load(Cursor(pickle.dumps(b"", 2)))) is Unread


def test_known_classes() -> None:
    def both(value: Any, protocol: int = 2) -> Any:
        return load(Cursor(pickle.dumps(value, protocol)))

    assert both(collections.OrderedDict(a=1, b=2)) == {"a": 1, "b": 2}
    assert both(collections.Counter("aab")) == {"a": 2, "b": 1}
    for protocol in (2, 4):
        assert sorted(both({3, 1, 2}, protocol)) == [1, 2, 3]
        assert sorted(both(frozenset({1, 2}), protocol)) == [1, 2]
    ordered = collections.OrderedDict(a=1)
    ordered._metadata = {"version": 1}  # as state_dict() has it: the opcode BUILD
    data = pickle.dumps(ordered, 2)
    assert "BUILD" in {opcode.name for opcode, _, _ in pickletools.genops(data)}
    assert load(Cursor(data)) == {"a": 1}


def test_numpy_among_metrics_is_not_read() -> None:
    import numpy as np

    value = {"best": np.float64(0.5), "all": np.arange(3), "epoch": 7}
    got = load(Cursor(pickle.dumps(value, 2)))
    assert got["epoch"] == 7 and type(got["best"]) is type(got["all"]) is Unread


def test_python_2() -> None:
    ordered = named("collections", "OrderedDict") + b"(](](U\x01aK\x01e](U\x01bK\x02eetR."
    assert load(Cursor(PROTO + ordered)) == {"a": 1, "b": 2}
    assert load(Cursor(b"S'a b'\n.")) == "a b"
    assert load(Cursor(b"U\x02\xff\xfe.")) == b"\xff\xfe"
    assert load(Cursor(b"I01\n.")) is True
    assert load(Cursor(b"L12345678901234567890L\n.")) == 12345678901234567890
    old = PROTO + named("torch.nn.parameter", "Parameter") + b")\x81(K\x07NN\x88\x89tb."
    parameter = load(Cursor(old))  # of torch 0.1: data, gradient, hooks, two flags
    assert isinstance(parameter, Parameter) and parameter.value == 7


def test_tensors_are_described() -> None:
    data = PROTO + named("torch._utils", "_rebuild_tensor_v2")
    data += b"((" + text("storage") + named("torch", "FloatStorage") + b"tQK\x02K\x03\x85K\x01\x85"
    data += b"\x89NtR."
    seen: list[Any] = []
    tensor = load(Cursor(data), lambda id: seen.append(id) or "here")
    assert isinstance(tensor, Tensor)
    assert (tensor.storage, tensor.offset, tensor.size, tensor.stride) == ("here", 2, (3,), (1,))
    ((what, kind),) = seen
    assert what == "storage" and isinstance(kind, Global) and kind.name == "torch.FloatStorage"


@pytest.mark.parametrize(
    ("metadata", "fine"),
    [(b"N", True), (b"}", True), (b"}" + text("neg") + b"\x88s", False),
     (b"}" + text("conj") + b"\x88s", False), (b"]", False), (b"K\x01", False)],
)  # fmt: skip
def test_what_a_tensor_says_beyond_its_values(metadata: bytes, fine: bool) -> None:
    data = PROTO + named("torch._utils", "_rebuild_tensor_v2")
    data += b"(K\x00K\x00K\x03\x85K\x01\x85\x89N" + metadata + b"tR."
    if fine:
        assert isinstance(load(Cursor(data)), Tensor)
    else:
        with pytest.raises(WeightsError, match="a tensor must be values as they are stored"):
            load(Cursor(data))


def test_shared_and_endless() -> None:
    assert load(Cursor(b"]q\x00h\x00a."))[0].__class__ is list
    shared = load(Cursor(b"]q\x00(]q\x01h\x01e."))
    assert shared[0] is shared[1]


# --- what must be refused ---------------------------------------------------------------------


def test_enough_payloads() -> None:
    assert len(PAYLOADS) >= 60 and len(dict(PAYLOADS)) == len(PAYLOADS)


@pytest.mark.parametrize(("name", "payload"), PAYLOADS, ids=[name for name, _ in PAYLOADS])
def test_payload(name: str, payload: bytes) -> None:
    with pytest.raises(WeightsError) as caught:
        load(Cursor(payload))
    if name.startswith(("call ", "stacked ")):
        assert name.partition(" ")[2].replace(":", ".") in str(caught.value)


def test_nested_pickle_stays_bytes() -> None:
    assert load(Cursor(NESTED)) == {"state": PAYLOADS[0][1]}


CHILD = """
import pickle, sys
sys.path.insert(0, sys.argv[1])
from payloads import NESTED, PAYLOADS
from decaf.errors import WeightsError
from decaf.formats.pth import tensors
from test_formats_pth import SMALL, containers
import colorsys

for good in SMALL.values():
    tensors(good())  # what the reader needs, such as the codec of names in ZIP, is there

cases = [(n, f) for n, p in [*PAYLOADS, ("nested", NESTED)] for f in [p, *containers(p)]]
seen = []
on = True
WATCHED = ("import", "open", "exec", "compile", "marshal", "os", "subprocess", "socket", "ctypes",
           "pickle", "code", "shutil", "tempfile", "urllib", "webbrowser", "function", "pty")
def hook(event, args):
    if on and event.split(".")[0] in WATCHED:
        seen.append((event, str(args)[:80]))
sys.addaudithook(hook)
if sys.argv[2] == "planted":
    pickle.loads(b"ccolorsys\\nrgb_to_hls\\n.")
for name, file in cases:
    try:
        tensors(file)
    except WeightsError:
        continue
    on = False
    sys.exit(f"{name}: read")
on = False
sys.exit(f"seen: {seen[:3]}" if seen else 0)
"""


@pytest.mark.parametrize("planted", [False, True])
def test_nothing_is_run(planted: bool) -> None:
    """In a process that notes every import, open, exec: none, whatever the container."""
    done = python("-c", CHILD, str(Path(__file__).parent), "planted" if planted else "")
    assert (done.returncode != 0) == planted, done.stderr.decode()
    assert (b"seen: [('pickle.find_class'" in done.stderr) == planted


# --- bounds -----------------------------------------------------------------------------------

BOMBS = {
    "many opcodes": b"]" * 600_000 + b".",
    "digits": b"I" + b"9" * 300 + b"\n.",
    "digits of a long": b"L" + b"9" * 10**6 + b"L\n.",
    "index of a memo": b"Np4294967296\n.",
    "negative index": b"Np-1\n.",
    "digits of a memo": b"Ng" + b"9" * 5000 + b"\n.",
    "long integer": b"\x8b\xff\xff\xff\x7f.",
    "long integer that is there": b"\x8b" + (10**6).to_bytes(4, "little") + b"\1" * 10**6 + b".",
    "string beyond the end": b"X\xff\xff\xff\xffabc.",
    "string of 2**63": b"\x8d" + b"\xff" * 8 + b"abc.",
    "bytes beyond the end": b"\x8e" + b"\xff" * 8 + b"abc.",
    "frame": b"\x80\x04\x95" + b"\xff" * 8 + b"N.",
    "endless line": b"V" + b"a" * 10**6,
    "not UTF-8": b"X\x01\x00\x00\x00\xff.",
    "not Unicode": b"V\\U00110000\n.",
    "empty": b"",
    "only an end": b".",
    "no mark": b"Nt.",
    "below the mark": b"N(0a.",
    "odd pairs": b"}(Nu.",
    "key is a list": b"}]Ns.",
    "key is a tuple": b"})Ns.",
    "key is huge": b"}\x8a\x0a" + b"\x01" * 10 + b"Ns.",
    "key twice": b"}(K\x01NK\x01Nu.",
    "pairs without end": b"](" + b"".join(b"K%cN\x86" % i for i in range(100)) + b"eq\x00"
    + (named("collections", "OrderedDict") + b"h\x00\x85R") * 100 + b".",
    "pairs of a list twice": b"](" + b"".join(b"K%cN\x86" % i for i in range(30)) + b"eq\x00"
    + (named("collections", "OrderedDict") + b"h\x00\x85R") * 50 + b".",
    "numbers without end that are keys": b"}(" + b"".join(
        b"J" + struct.pack("<i", 2**20 + i) + b"N" for i in range(11_001)) + b"u.",
    "floats without end that are keys": b"}(" + b"".join(
        b"G" + struct.pack(">d", i) + b"N" for i in range(11_001)) + b"u.",
    "an index beyond what there was": b"Nr\x02\x00\x00\x00.",
    "an index that was left out": b"NNq\x01h\x00.",
    "pairs of three": named("collections", "OrderedDict") + b"](NNN\x87e\x85R.",
    "unknown opcode": b"\xff.",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str) -> None:
    start = time.process_time()
    with pytest.raises(WeightsError):
        load(Cursor(BOMBS[name]))
    assert time.process_time() - start < 10  # ends; the worst takes a fraction of a second


def test_a_memo_may_leave_places_out() -> None:
    """Python 2 counts from 1, and an optimiser leaves out what is not used."""
    assert load(Cursor(b"]q\x01(K\x07q\x03K\x08h\x03h\x01e."))[:3] == [7, 8, 7]
    assert load(Cursor(b"\x80\x04NNNq\x03K\x07\x94h\x010h\x03.")) is None
    assert load(Cursor(b"\x80\x04NNNq\x03K\x07\x940000h\x01.")) == 7  # MEMOIZE counts entries


def test_many_numbers_may_be_keys() -> None:
    """As in the state of an optimiser; beside any number of strings, and in small dictionaries."""
    value = {"state": dict.fromkeys(range(11_000)), **{str(i): {i: 0.5} for i in range(20_000)}}
    assert load(Cursor(pickle.dumps(value, 2))) == value


@pytest.mark.parametrize(
    "data",
    [
        b"]" + b"\x85" * 400_000 + b".",
        b"(" * 400_000 + b"N.",
        b"]q\x00" + b"(h\x00h\x00lq\x00" * 20_000 + b".",
        b"}q\x00" + b"}(K\x00h\x00K\x01h\x00uq\x00" * 20_000 + b".",
    ],
    ids=["deep", "marks", "shared lists", "shared dictionaries"],
)
def test_deep_and_shared(data: bytes) -> None:
    """Neither recursion nor copies: what a short pickle describes as 2**20000 items stays short."""
    load(Cursor(data))


def test_bounded_by_the_cursor() -> None:
    with pytest.raises(WeightsError):
        load(Cursor(b"K\x01.", 0, 2))
    with pytest.raises(WeightsError, match="complete in itself"):
        load(Cursor(b"NQ."))
    large = b"B" + (2**23).to_bytes(4, "little") + bytes(2**23) + b"."
    with pytest.raises(WeightsError):
        load(Cursor(large))


@cases
@hypothesis.given(data=st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    try:
        load(Cursor(data), lambda id: id)
    except DecafError:
        pass


def test_list_is_as_small_as_it_says() -> None:
    """What is on the list comes from these modules and no others."""
    modules = {module for module, _ in pickle_names.ALLOWED}
    assert modules == {
        "torch", "torch.cuda", "torch._utils", "torch.nn.parameter", "torch.storage",
        "collections", "builtins", "__builtin__", "numpy", "numpy.core.multiarray",
        "numpy._core.multiarray", "_codecs",
    }  # fmt: skip
    assert not hasattr(pickles, "importlib")
