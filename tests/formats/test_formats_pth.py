"""torch's own files against torch.load; files that no torch would write."""

from __future__ import annotations

import collections
import io
import math
import mmap
import pickle
import struct
import tarfile
import time
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from payloads import PROTO, named, text

from decaf.errors import DecafError, WeightsError
from decaf.formats.model import Tensors
from decaf.formats.pth import tensors

FLOATS = ("float16", "bfloat16", "float32", "float64")
FORMS = ("zip", "legacy")


# --- files by hand, without torch -------------------------------------------------------------


def zipped(pickle: bytes, storages: dict[str, bytes], **members: bytes) -> bytes:
    """A ZIP archive as torch lays it out."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
        warnings.simplefilter("ignore")  # of names that stand twice
        archive.writestr("x/data.pkl", pickle)
        for key, values in storages.items():
            archive.writestr(f"x/data/{key}", values)
        for name, values in members.items():
            archive.writestr(f"x/{name}", values)
    return file.getvalue()


def legacy(pickled: bytes, storages: dict[str, tuple[int, bytes]]) -> bytes:
    """A legacy stream: of each storage, how many values it has and their bytes."""
    front = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {}))
    file = front + pickled + pickle.dumps(list(storages), 2)
    return file + b"".join(struct.pack("<q", n) + raw for n, raw in storages.values())


def tarred(**members: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, contents in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))
    return file.getvalue()


def containers(payload: bytes) -> Iterator[bytes]:
    """The same pickle in each container, in each place for one."""
    yield zipped(payload, {})
    yield legacy(payload, {})
    none, empty = pickle.dumps(0, 2), pickle.dumps([], 2)
    yield tarred(storages=none + empty, tensors=none, pickle=payload)
    yield tarred(storages=payload, tensors=none, pickle=payload)
    yield tarred(storages=none + empty, tensors=payload, pickle=payload)


def number(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def storage(kind: str = "FloatStorage", key: str = "0", numel: int = 4) -> bytes:
    inside = text("storage") + named("torch", kind) + text(key) + text("cpu") + number(numel)
    return b"(" + inside + b"tQ"


def tensor(
    size: tuple[int, ...] = (4,),
    stride: tuple[int, ...] = (1,),
    offset: int = 0,
    of: bytes | None = None,
) -> bytes:
    """Opcodes that make a tensor."""
    ints = [b"(" + b"".join(map(number, values)) + b"t" for values in (size, stride)]
    args = (of or storage()) + number(offset) + ints[0] + ints[1] + b"\x89N"
    return named("torch._utils", "_rebuild_tensor_v2") + b"(" + args + b"tR"


def dictionary(**items: bytes) -> bytes:
    return b"}" + b"".join(text(name) + item + b"s" for name, item in items.items())


VALUES = np.array([1, -2, 3, 0.5], "<f4")
RAW = VALUES.tobytes()


def one(**options: Any) -> bytes:
    """A zip file with one tensor."""
    return zipped(PROTO + dictionary(w=tensor(**options)) + b".", {"0": RAW})


def test_by_hand() -> None:
    pickled = PROTO + dictionary(w=tensor()) + b"."
    for data in (one(), zipped(pickled, {"0": RAW}, byteorder=b"little", version=b"3\n"),
                 legacy(pickled, {"0": (4, RAW)})):  # fmt: skip
        found = tensors(data)
        assert list(found) == ["w"] and found["w"].dtype == np.float32
        np.testing.assert_array_equal(found["w"], VALUES)


def test_big_endian() -> None:
    pickled = PROTO + dictionary(w=tensor()) + b"."
    data = zipped(pickled, {"0": VALUES.astype(">f4").tobytes()}, byteorder=b"big")
    np.testing.assert_array_equal(tensors(data)["w"], VALUES)
    halves = PROTO + dictionary(w=tensor(of=storage("BFloat16Storage"))) + b"."
    upper = (VALUES.view(np.uint32) >> 16).astype(">u2").tobytes()
    data = zipped(halves, {"0": upper}, byteorder=b"big")
    np.testing.assert_array_equal(tensors(data)["w"], VALUES)
    with pytest.raises(WeightsError, match="byteorder"):
        tensors(zipped(pickled, {"0": RAW}, byteorder=b"middle"))


def test_views_in_a_legacy_stream() -> None:
    """Before 0.4 a storage could be a part of another one."""
    inside = text("storage") + named("torch", "FloatStorage") + text("0") + text("cpu") + number(4)
    part = b"(" + inside + b"(" + text("v") + number(1) + number(2) + b"ttQ"
    data = legacy(PROTO + dictionary(w=tensor((2,), of=part)) + b".", {"0": (4, RAW)})
    np.testing.assert_array_equal(tensors(data)["w"], VALUES[1:3])
    data = legacy(PROTO + dictionary(w=tensor((3,), of=part)) + b".", {"0": (4, RAW)})
    with pytest.raises(WeightsError, match="among the 2"):
        tensors(data)


def test_what_follows_a_legacy_stream_is_ignored_as_in_torch(torch: Any) -> None:
    data = legacy(PROTO + dictionary(w=tensor()) + b".", {"0": (4, RAW)}) + b"another one"
    np.testing.assert_array_equal(tensors(data)["w"], VALUES)
    first, second = (saved({"w": torch.full((2,), value)}, "legacy") for value in (1.0, 2.0))
    same(tensors(first + second), torch.load(io.BytesIO(first + second), weights_only=True))


@pytest.mark.parametrize("form", ["zip", "legacy", "tar"])
def test_mapped_files(form: str, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(SMALL[form]())
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    got, want = tensors(mapped), tensors(SMALL[form]())
    assert got.keys() == want.keys()
    for name, array in got.items():
        np.testing.assert_array_equal(array, want[name])
        assert array.base is not None  # of the file: nothing is copied


WRONG = {
    "beyond the storage": {"size": (5,)},
    "offset": {"offset": 1},
    "huge offset": {"offset": 2**62},
    "negative offset": {"offset": -1},
    "stride": {"size": (2,), "stride": (4,)},
    "negative stride": {"stride": (-1,)},
    "huge stride": {"size": (2,), "stride": (2**62,)},
    "stride of 2**64": {"size": (1,), "stride": (2**64,)},
    "expanded": {"size": (2**40,), "stride": (0,)},
    "expanded twice": {"size": (4, 2), "stride": (1, 0)},
    "negative size": {"size": (-4,)},
    "sizes that overflow": {"size": (2**32, 2**32), "stride": (0, 0)},
    "empty, but huge": {"size": (0, 2**62, 2**62), "stride": (1, 1, 1)},
    "dimensions": {"size": (4,), "stride": (1, 1)},
    "many dimensions": {"size": (1,) * 100, "stride": (1,) * 100},
    "a type of no numbers": {"of": storage("NoStorage")},
    "storage too large": {"of": storage(numel=2**60)},
    "storage too small": {"of": storage(numel=3)},
    "negative storage": {"of": storage(numel=-4)},
    "storage missing": {"of": storage(key="1")},
    "storage elsewhere": {"of": storage(key="../data.pkl")},
    "no storage": {"of": b"K\x05"},
    "doubles in place of floats": {"of": storage("DoubleStorage")},
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_tensors(name: str) -> None:
    with pytest.raises(WeightsError):
        tensors(one(**WRONG[name]))
    pickled = PROTO + dictionary(w=tensor(**WRONG[name])) + b"."
    with pytest.raises(WeightsError):
        tensors(legacy(pickled, {"0": (4, RAW)}))


def test_unusual_but_right_tensors() -> None:
    for options, want in [
        ({"size": (2,), "stride": (2,)}, VALUES[::2]),
        ({"size": (2, 2), "stride": (1, 2)}, VALUES.reshape(2, 2).T),
        ({"size": (), "stride": (), "offset": 3}, VALUES[3]),
        ({"size": (1, 4), "stride": (2**62, 1)}, VALUES[None]),
        ({"size": (0, 3), "stride": (3, 1)}, np.empty((0, 3))),
        ({"size": (4,), "stride": (0,)}, np.ones(4)),
    ]:
        got = tensors(one(**options))["w"]
        assert got.shape == want.shape and not got.flags.writeable
        np.testing.assert_array_equal(got, want)


def test_more_tensors_than_bytes() -> None:
    many = {f"w{i}": tensor((3,), (1,), i % 2) for i in range(2)}
    raw = VALUES.tobytes()
    assert len(tensors(zipped(PROTO + dictionary(**many) + b".", {"0": raw}))) == 2
    # 500 overlapping windows of a storage of 1,000 values are 20 times the file.
    windows = {f"w{i}": tensor((500,), (1,), i, storage(numel=1000)) for i in range(500)}
    data = zipped(PROTO + dictionary(**windows) + b".", {"0": bytes(4000)})
    with pytest.raises(WeightsError, match="no larger than the file"):
        tensors(data)
    # The same one under many names is one.
    same = {f"w{i}": tensor((1000,), (1,), 0, storage(numel=1000)) for i in range(500)}
    found = tensors(zipped(PROTO + dictionary(**same) + b".", {"0": bytes(4000)}))
    assert len({id(array) for array in found.values()}) == 1 and len(found) == 500


def test_wrong_archives() -> None:
    pickled = PROTO + dictionary(w=tensor()) + b"."
    good = zipped(pickled, {"0": RAW})
    file = io.BytesIO(good)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("y/data.pkl", pickled)
    compressed = io.BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", pickled)
        archive.writestr("x/data/0", RAW)
    for data, message in [
        (file.getvalue(), "one data.pkl"),
        (compressed.getvalue(), "stored"),
        (zipped(pickled, {}), "a member of the archive"),
        (zipped(pickled, {"0": RAW + b"abcd"}), "of 16 bytes"),
        (b"", "a torch checkpoint"),
        (b"abc", "a torch checkpoint"),
        (pickle.dumps({"a": 1}, 2), "magic number"),
        (pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1002, 2), "version"),
        (legacy(pickled, {}), "in the file"),
        (legacy(pickled, {"1": (4, RAW)}), "those of the pickle"),
        (legacy(pickled, {"0": (5, RAW + b"abcd")}), "of 4 values"),
        (legacy(pickled, {"0": (-1, RAW)}), "of 4 values"),
        (legacy(pickled, {"0": (4, RAW[:-1])}), "must end by"),
    ]:
        with pytest.raises(WeightsError, match=message):
            tensors(data)


# --- dictionaries -----------------------------------------------------------------------------


def found(**items: bytes) -> list[str]:
    return list(tensors(zipped(PROTO + dictionary(**items) + b".", {"0": RAW})))


def test_nested_dictionaries() -> None:
    w, two = tensor(), dictionary(a=tensor((1,)), b=tensor((2,)))
    assert found(state_dict=dictionary(w=w), epoch=b"K\x01") == ["w"]
    assert found(outer=dictionary(inner=dictionary(deep=two)), w=w) == ["a", "b"]
    assert found(model=two, optimizer=dictionary(c=w)) == ["a", "b"]
    assert found(ema=dictionary(c=w, d=w), model=two) == ["a", "b"]
    assert found(model=dictionary(c=w, d=w), state_dict=two) == ["a", "b"]
    assert found(w=w, n=b"K\x01", s=text("x"), l=b"]") == ["w"]
    with pytest.raises(WeightsError, match="2 alike, under 'one', 'other'"):
        found(one=two, other=dictionary(c=w, d=w))
    for nothing in ({}, {"epoch": b"K\x01"}, {"a": b"}"}):
        with pytest.raises(WeightsError, match="dictionary of floating-point tensors"):
            found(**nothing)
    for root in (b"]", b"N", b"K\x01", tensor()):
        with pytest.raises(WeightsError, match="a checkpoint must be"):
            tensors(zipped(PROTO + root + b".", {"0": RAW}))


def test_a_name_that_says_what_is_meant_wins_over_the_number_of_tensors() -> None:
    """The teacher of a small network, or an average with a counter, has more tensors."""
    w = tensor()
    two, three = dictionary(a=w, b=w), dictionary(c=w, d=w, e=w)
    assert found(model=two, teacher=three) == ["a", "b"]
    assert found(teacher=three, model=two) == ["a", "b"]
    assert found(ema=three, state_dict=two) == ["a", "b"]
    assert found(model=three, state_dict=two) == ["a", "b"]
    assert found(best=w, net=two) == ["a", "b"]
    assert found(checkpoint=dictionary(model=two, ema=three), optimizer=three) == ["a", "b"]
    assert found(ema=dictionary(state_dict=three), model=two) == ["a", "b"]  # the outer one
    assert found(model=dictionary(module=two), teacher=three) == ["a", "b"]  # inside, if not there
    assert found(state_dict=dictionary(model=two, teacher=three)) == ["a", "b"]
    assert found(model=dictionary(a=w, b=w, more=three)) == ["a", "b"]
    for several in (
        {"student": dictionary(model=two), "teacher": dictionary(model=three)},
        {"model": dictionary(encoder=two, head=three)},
    ):
        with pytest.raises(WeightsError, match="one dictionary of tensors.*2 alike, under"):
            found(**several)


def test_what_belongs_to_the_training_is_left_out() -> None:
    w = tensor()
    one, two = dictionary(a=w), dictionary(b=w, c=w)
    for key in (
        "optimizers", "Optimizer", "callbacks", "ema", "EMA_model", "scheduler", "lr_schedulers",
        "amp_scaler", "grad_scaler",
    ):  # fmt: skip
        for inside in (two, dictionary(net=two), dictionary(x=dictionary(model=two))):
            assert found(**{"generator": one, key: inside}) == ["a"], key
            assert found(**{key: inside, "state_dict": one}) == ["a"], key
            with pytest.raises(WeightsError, match="must be a dictionary of floating-point"):
                found(**{key: inside})
    assert found(state_dict=one, epoch=b"K\x01") == ["a"]
    assert found(epoch=b"K\x01", model_state_dict=one) == ["a"]
    assert found(embedding=one, epoch=b"K\x01") == ["a"]


def test_a_name_inside_says_nothing_about_what_lies_further_out() -> None:
    w = tensor()
    one, two = dictionary(a=w), dictionary(b=w, c=w)
    outer = {"generator": one, "critic": dictionary(net=two)}
    for items, paths in (
        (outer, "'critic.net', 'generator'"),
        (dict(reversed(outer.items())), "'critic.net', 'generator'"),
        ({"x": dictionary(y=dictionary(model=one)), "z": dictionary(v=two)}, "'x.y.model', 'z.v'"),
        ({"x": w, "y": w, "weights": two}, "'weights', the outermost dictionary"),
        ({"model": dictionary(x=w, state_dict=one)}, "'model.state_dict', 'model'"),
    ):
        with pytest.raises(WeightsError, match=f"2 alike, under {paths}"):
            found(**items)
    # At the same depth and further in, the name decides.
    assert found(x=dictionary(net=one), y=dictionary(z=two)) == ["a"]
    assert found(x=dictionary(net=one), y=dictionary(z=dictionary(v=two))) == ["a"]
    assert found(net=one, generator=two) == ["a"]
    assert found(net=dictionary(module=one), generator=two) == ["a"]


def test_dictionaries_in_dictionaries_a_hundred_thousand_deep() -> None:
    depth = 100_000
    pickled = PROTO + (b"}" + text("model")) * depth + dictionary(w=tensor()) + b"s" * depth + b"."
    assert list(tensors(zipped(pickled, {"0": RAW}))) == ["w"]


def test_a_dictionary_in_itself() -> None:
    endless = b"}q\x00" + text("a") + b"h\x00s" + text("w") + tensor() + b"s."
    assert list(tensors(zipped(PROTO + endless, {"0": RAW}))) == ["w"]


def test_shared_dictionaries_are_looked_at_once() -> None:
    body = b"}q\x00"
    for _ in range(200):  # 2**200 paths
        body += b"}" + text("a") + b"h\x00s" + text("b") + b"h\x00sq\x00"
    data = zipped(PROTO + body + text("w") + tensor() + b"s.", {"0": RAW})
    assert list(tensors(data)) == ["w"]


def test_wrappers() -> None:
    w = tensor()
    assert found(**{"module.a.weight": w, "module.b": w}) == ["a.weight", "b"]
    assert found(**{"_orig_mod.module.model.a": w, "_orig_mod.module.model.b": w}) == ["a", "b"]
    assert found(**{"module.a": w, "b": w}) == ["module.a", "b"]
    assert found(**{"module." * 1000 + "a": w}) == ["module." * 992 + "a"]


def test_integers_are_left_out() -> None:
    long = tensor((1,), of=storage("LongStorage", "1", 1))
    pickled = PROTO + dictionary(w=tensor(), n=long) + b"."
    assert list(tensors(zipped(pickled, {"0": RAW, "1": bytes(8)}))) == ["w"]


# --- torch as oracle --------------------------------------------------------------------------


def saved(value: Any, form: str) -> bytes:
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=form == "zip")
    return file.getvalue()


def same(got: Tensors, want: dict[str, Any]) -> None:
    """Names, shapes, and values bit by bit; bfloat16 as float32."""
    import torch

    assert list(got) == list(want)
    for name, value in want.items():
        value = value.detach()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
        assert got[name].shape == value.shape and got[name].dtype == value.dtype
        assert got[name].tobytes() == value.tobytes(), name
        assert not got[name].flags.writeable


@pytest.fixture
def torch() -> Any:
    from support_torch import import_torch

    return import_torch()


@pytest.mark.parametrize("form", FORMS)
def test_every_dtype(torch: Any, form: str) -> None:
    generator = torch.Generator().manual_seed(1)
    state = {
        name: torch.randn(3, 5, generator=generator).to(getattr(torch, name)) for name in FLOATS
    }
    state["special"] = torch.tensor([math.inf, -math.inf, -0.0, 1e-45], dtype=torch.float32)
    state["bfloat16 special"] = state["special"].to(torch.bfloat16)
    others = {
        name: torch.ones(3, dtype=getattr(torch, name))
        for name in ("int8", "uint8", "int16", "int32", "int64", "bool", "complex64")
    }
    same(tensors(saved({**others, **state}, form)), state)


@pytest.mark.parametrize("form", FORMS)
def test_every_shape(torch: Any, form: str) -> None:
    base = torch.arange(60.0).reshape(3, 4, 5)
    conv = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    state = {
        "scalar": torch.tensor(1.5),
        "empty": torch.empty(0, 3),
        "nothing": torch.empty(0),
        "transposed": base.transpose(0, 2),
        "every second": base[::2, 1::2],
        "row": base[1, 2],
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "channels last": conv,
        "shared": base,
    }
    same(tensors(saved(state, form)), state)
    ordered = collections.OrderedDict(state)
    ordered._metadata = {"": {"version": 1}}
    same(tensors(saved(ordered, form)), state)


@pytest.mark.parametrize("form", FORMS)
def test_a_training_checkpoint(torch: Any, form: str) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3, 5, 5)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    wrapped = {f"module.{name}": value for name, value in model.state_dict().items()}
    checkpoint = {
        "epoch": 3, "arch": "alexnet", "best_acc1": torch.tensor(56.5), "losses": [0.5, 0.25],
        "best": np.float64(0.5), "state_dict": wrapped, "seen": {1, 2}, "size": torch.Size([3]),
        "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(),
        "device": torch.device("cpu"), "dtype": torch.float16,
    }  # fmt: skip
    want = {n: v for n, v in model.state_dict().items() if v.is_floating_point()}
    same(tensors(saved(checkpoint, form)), want)


@pytest.mark.parametrize("form", FORMS)
def test_a_tensor_that_is_to_be_negated_is_refused(torch: Any, form: str) -> None:
    """The values stay as they are, and torch sets a bit, which is not in the storage."""
    plain = torch.ones(3)
    with pytest.raises(WeightsError, match="values as they are stored.*'neg'"):
        tensors(saved({"a": plain, "w": torch._neg_view(plain)}, form))
    same(tensors(saved({"a": plain}, form)), {"a": plain})


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_network_is_refused(torch: Any, form: str) -> None:
    with pytest.raises(WeightsError, match=r"names 'torch.nn.*Linear'.*model.state_dict\(\)"):
        tensors(saved(torch.nn.Linear(2, 2), form))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(torch: Any, protocol: int) -> None:
    state = {"a": torch.randn(3), "b": torch.randn(2, 2)}
    file = io.BytesIO()
    torch.save(state, file, pickle_protocol=protocol)
    same(tensors(file.getvalue()), state)


@pytest.mark.parametrize("name", ["pth/cifar_net_zip.pth", "pth/lpips_v0.1_alex.pth",
                                  "pth/sreeharikk25_task1_best.pth",
                                  "squeezenet/squeezenet_v1.1.pth"])  # fmt: skip
def test_real_files(torch: Any, shared_data: Path, name: str) -> None:
    path = shared_data / name
    if not path.is_file():
        pytest.skip(f"not there: {path}")
    want = torch.load(path, map_location="cpu", weights_only=True)
    data = path.read_bytes()
    got = tensors(data)
    same(got, want.get("model_state_dict", want))
    file = np.frombuffer(data, np.uint8)
    assert all(np.shares_memory(array, file) for array in got.values())  # views, not copies


# --- the first format -------------------------------------------------------------------------


def old_tar(
    *, keys: tuple[int, int, int] = (11, 22, 33), numel: int = 6, texts: bool = False
) -> bytes:
    """A file as torch 0.1.6 wrote it: one storage, a view of it, two tensors.

    torch writes the keys that stand for tensors as texts, and reads numbers as well.
    """
    root, view, first = keys

    def key_of(key: int) -> bytes:
        return (text(str(key)) if texts else number(key)) + b"Q"

    kind = named("torch", "FloatStorage")
    values = np.arange(numel, dtype="<f4").tobytes()

    def triple(key: int, middle: bytes, last: bytes) -> bytes:
        return PROTO + b"(" + number(key) + middle + last + b"t."

    storages = pickle.dumps(1, 2) + triple(root, text("cpu"), kind)
    storages += struct.pack("<q", numel) + values + pickle.dumps([(view, root, 2, 3)], 2)
    tensors = pickle.dumps(2, 2)
    for key, of, size, stride, offset in [
        (first, root, (2, 3), (3, 1), 0),
        (first + 1, view, (2,), (1,), 1),
    ]:
        tensors += triple(key, number(of), named("torch", "FloatTensor"))
        tensors += struct.pack("<iI", len(size), 0) + struct.pack(f"<{len(size)}q", *size)
        tensors += struct.pack(f"<{len(size)}q", *stride) + struct.pack("<q", offset)
    pairs = b"](" + b"](" + b"U\x01a" + key_of(first) + b"e"
    pairs += b"](" + b"U\x01b" + key_of(first + 1) + b"e" + b"e"
    state = PROTO + named("collections", "OrderedDict") + pairs + b"\x85R."
    info = pickle.dumps({"protocol_version": 1000}, 2)
    return tarred(sys_info=info, pickle=state, tensors=tensors, storages=storages)


@pytest.mark.parametrize("texts", [False, True])
def test_tar(texts: bool) -> None:
    got = tensors(old_tar(texts=texts))
    np.testing.assert_array_equal(got["a"], np.arange(6, dtype=np.float32).reshape(2, 3))
    np.testing.assert_array_equal(got["b"], np.array([3, 4], np.float32))


@pytest.mark.parametrize("texts", [False, True])
def test_tar_as_torch_reads_it(torch: Any, tmp_path: Path, texts: bool) -> None:
    path = tmp_path / "old.pth"
    path.write_bytes(old_tar(texts=texts))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = torch.load(path, weights_only=False)
    same(tensors(old_tar(texts=texts)), dict(want))


def test_keys_of_a_tar_are_those_of_a_machine() -> None:
    """Python's hash of a number is known: keys without bound can be made to share one."""
    assert set(tensors(old_tar(keys=(0, 2**63 - 1, 5)))) == {"a", "b"}
    for keys in ((2**63, 22, 33), (11, 2**63, 33), (11, 22, 2**63), (11, -1, 33), (-1, 22, 33)):
        with pytest.raises(WeightsError, match="a key must be"):
            tensors(old_tar(keys=keys))


def test_what_describes_a_storage_in_a_tar_is_small() -> None:
    """A file may hold 100,000 of them."""
    kind = named("torch", "FloatStorage")
    none = pickle.dumps(0, 2)
    for filler, message in ((b"cpu", "dictionary of floating"), (b"c" * 4096, "must end by")):
        storages = pickle.dumps(1, 2) + PROTO + b"(K\x05B" + struct.pack("<I", len(filler)) + filler
        storages += kind + b"t." + struct.pack("<q", 0) + pickle.dumps([], 2)
        with pytest.raises(WeightsError, match=message):
            tensors(tarred(storages=storages, tensors=none, pickle=pickle.dumps({}, 2)))


def test_wrong_tars() -> None:
    good = old_tar()
    for data in (
        tarred(pickle=b"N.", storages=b"N."),
        tarred(pickle=b"K\x01.", storages=pickle.dumps(2**62, 2), tensors=pickle.dumps(0, 2)),
        good.replace(struct.pack("<q", 6), struct.pack("<q", 2**62)),
        good.replace(struct.pack("<iI", 2, 0), struct.pack("<iI", 2**30, 0)),
        good.replace(struct.pack("<qq", 2, 3), struct.pack("<qq", 2**62, 3)),
        good.replace(number(33) + b"Q", number(34) + b"0N"),
        good[:124] + b"xxxxxxxxxxx\0" + good[136:],
        good + b"",
    )[:-1]:
        with pytest.raises(WeightsError):
            tensors(data)


# --- damage -----------------------------------------------------------------------------------


def small_zip() -> bytes:
    pickled = PROTO + dictionary(state_dict=dictionary(a=tensor(), b=tensor((2, 2), (1, 2)))) + b"."
    return zipped(pickled, {"0": RAW}, byteorder=b"little", version=b"3\n")


def small_legacy() -> bytes:
    pickled = PROTO + dictionary(a=tensor(), b=tensor((2, 2), (1, 2))) + b"."
    return legacy(pickled, {"0": (4, RAW)})


SMALL = {"zip": small_zip, "legacy": small_legacy, "tar": old_tar}


def survives(data: bytes) -> bool:
    """Whether it is read; anything but a result or a DecafError fails."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = tensors(data)
        except DecafError:
            found = None
    assert time.process_time() - start < 5
    if found is not None:
        for array in found.values():
            array.tobytes()  # is where it says
    return found is not None


@pytest.mark.parametrize("form", SMALL)
def test_truncation(form: str) -> None:
    data = SMALL[form]()
    assert survives(data)
    read = [size for size in range(len(data)) if survives(data[:size])]
    if form == "tar":  # ends with blocks of zeros, and its last member with padding
        assert all(not any(data[size:]) for size in read)
    else:
        assert read == []


@pytest.mark.parametrize("form", SMALL)
def test_flipped_bits(form: str) -> None:
    data = SMALL[form]()
    used = len(data.rstrip(b"\0"))
    random = np.random.default_rng(3)
    refused = 0
    for _ in range(600):
        damaged = bytearray(data)
        for place in random.integers(0, used, random.integers(1, 4)):
            damaged[place] ^= 1 << int(random.integers(8))
        refused += not survives(bytes(damaged))
    assert refused > 100  # the flips hit something


@pytest.mark.parametrize("form", SMALL)
def test_spliced_numbers(form: str) -> None:
    """Absurd numbers in every place."""
    data = SMALL[form]()
    used = len(data.rstrip(b"\0"))
    for what in (b"\xff" * 4, b"\xff" * 7 + b"\x7f", bytes(8)):
        for place in range(0, used, 3):
            survives(data[:place] + what + data[place + len(what) :])
