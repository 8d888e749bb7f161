"""Conversion: what comes out, what is left alone, and a child process that goes wrong."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py  # noqa: F401  # before a test puts another one in its place
import numpy as np
import pytest
import tiny
from processes import ENVIRONMENT, python
from support_torch import ALEXNET_LAYERS, import_torch

from decaf import DecafNet, __version__
from decaf.architectures import alexnet, decaf_mini
from decaf.convert import Conversion, convert, parent
from decaf.convert.export import export
from decaf.errors import DecafError, WeightsError
from decaf.formats import safetensors
from decaf.labels import imagenet
from decaf.preprocessing import CAFFE_IMAGENET, TORCHVISION_IMAGENET, Preprocessing
from decaf.weights import load_weights

RECIPE = Preprocessing(resize=(32, 32), crop=(32, 32), mean=(0.5,), std=(0.25,))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small network with 7 classes, as .npz."""
    path = tmp_path / "mini.npz"
    np.savez(path, **values())
    return path


def values(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = decaf_mini(7).parameter_shapes
    return {
        name: random.standard_normal(shape).astype(np.float32) * np.float32(0.02)
        for name, shape in shapes.items()
    }


def mini(source: Path, target: Path | None = None, **options: Any) -> Conversion:
    return convert(
        source, target or source.with_suffix(".h5"), **{"preprocessing": RECIPE, **options}
    )


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# What comes out


def test_parameters_recipe_labels_and_provenance(source: Path) -> None:
    before = time.time()
    done = mini(source)
    assert done == Conversion(source.with_suffix(".h5"), made=True)
    weights = load_weights(done.path)
    assert weights.architecture == decaf_mini(7)
    for name, array in values().items():
        np.testing.assert_array_equal(weights.parameters[name], array)
    assert weights.preprocessing == RECIPE
    assert weights.labels == tuple(f"class {number}" for number in range(7))
    assert weights.label_ids is None
    date = weights.provenance.pop("date")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", date)
    assert date[:4] in (time.strftime("%Y", time.gmtime(t)) for t in (before, time.time()))
    assert weights.provenance == {
        "source": {
            "file": "mini.npz",
            "bytes": source.stat().st_size,
            "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
            "format": "npz",
        },
        "options": {"dtype": "float32", "preprocessing": RECIPE.to_dict()},
        "converted by": f"decaf {__version__}",
    }
    assert left_in(source.parent) == {"mini.npz", "mini.h5"}


def test_files_given_as_options_are_recorded_with_their_hash(source: Path) -> None:
    folder = source.parent
    (folder / "recipe.json").write_text('{"divide": 1, "std": [64]}')
    (folder / "names.txt").write_text("\n".join(f"n0000000{i} thing {i}" for i in range(7)))
    np.save(folder / "mean.npy", np.full((3, 32, 32), 120.5, np.float32))
    options = {
        "preprocessing": folder / "recipe.json",
        "labels": str(folder / "names.txt"),
        "mean": folder / "mean.npy",
    }
    weights = load_weights(mini(source, **options).path)
    assert weights.labels[6] == "thing 6" and weights.label_ids is not None
    assert weights.label_ids[6] == "n00000006"
    recipe = weights.preprocessing
    assert (recipe.divide, recipe.std, recipe.mean.shape) == (1, (64,) * 3, (3, 32, 32))
    assert np.all(recipe.mean.values == 120.5)
    recorded = weights.provenance["options"]
    assert recorded.pop("dtype") == "float32"
    assert recorded == {
        name: {
            "file": Path(path).name,
            "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        }
        for name, path in options.items()
    }


def test_float16_takes_half(source: Path) -> None:
    full, half = mini(source).path, mini(source, source.with_name("h.h5"), dtype="float16").path
    assert 0.5 <= half.stat().st_size / full.stat().st_size < 0.51
    weights = load_weights(half)
    for name, array in values().items():
        np.testing.assert_array_equal(weights.parameters[name], array.astype(np.float16))


def test_a_weights_file_of_decaf_may_be_stored_with_fewer_bits(tmp_path: Path) -> None:
    source = tiny.save(tmp_path / "tiny.h5")
    convert(source, tmp_path / "half.h5", dtype="float16")
    before, after = load_weights(source), load_weights(tmp_path / "half.h5", widen=False)
    assert (after.architecture, after.preprocessing) == (before.architecture, before.preprocessing)
    assert (after.labels, after.label_ids) == (before.labels, before.label_ids)
    for name, values in before.parameters.items():
        np.testing.assert_array_equal(after.parameters[name], values.astype(np.float16))


def test_progress_counts_bytes_up(source: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    mini(source, progress=lambda *call: calls.append(call))
    stages = [stage for stage, _, _ in calls]
    assert stages == sorted(stages) and set(stages) == {"read", "write"}
    size = source.stat().st_size
    assert [call for call in calls if call[0] == "read"][-1] == ("read", size, size)
    for stage in ("read", "write"):
        numbers = [(done, total) for name, done, total in calls if name == stage]
        assert numbers == sorted(numbers) and all(done <= total for done, total in numbers)
        assert numbers[-1][0] > 0.5 * numbers[-1][1]


def test_names_that_are_relative_or_no_unicode(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    convert("mini.npz", "mini.h5", preprocessing=RECIPE)
    with pytest.raises(WeightsError, match=r"^mini\.npz: the preprocessing must be known"):
        convert("mini.npz", "other.h5")
    try:
        odd = source.rename(os.fsdecode(b"caf\xe9.npz"))
    except OSError:
        pytest.skip("this file system takes only Unicode")
    weights = load_weights(mini(odd, Path(os.fsdecode(b"caf\xe9.h5"))).path)
    assert weights.provenance["source"]["file"] == "caf\\udce9.npz"


# What was there before


def test_the_same_again_does_nothing(source: Path) -> None:
    target = mini(source).path
    before, contents = target.stat(), target.read_bytes()
    renamed = source.rename(source.with_name("other.npz"))  # contents count, not names
    assert mini(renamed, target) == Conversion(target, made=False)
    assert target.stat().st_mtime_ns == before.st_mtime_ns
    assert target.read_bytes() == contents
    assert mini(renamed, target, force=True).made
    assert target.stat().st_ino != before.st_ino


def test_anything_else_is_kept(source: Path) -> None:
    target = mini(source).path
    contents = target.read_bytes()
    with pytest.raises(WeightsError, match=r"got a weights file with other options \(dtype\), "):
        mini(source, dtype="float16")
    np.save(source.with_name("mean.npy"), np.full((3, 1, 1), 0.5, np.float32))
    more = {"mean": source.with_name("mean.npy"), "preprocessing": "caffe"}
    with pytest.raises(WeightsError, match=r"other options \(mean, preprocessing\), which is kept"):
        mini(source, **more)
    other = source.with_name("other.npz")
    np.savez(other, **values(1))
    with pytest.raises(WeightsError, match="got a weights file from another source"):
        mini(other, target)
    assert target.read_bytes() == contents
    assert mini(other, target, force=True).made
    np.testing.assert_array_equal(
        load_weights(target).parameters["conv1/weight"], values(1)["conv1/weight"]
    )


def test_another_version_of_decaf_is_another_conversion(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mini(source)
    monkeypatch.setattr("decaf.convert.__version__", "99")
    with pytest.raises(WeightsError, match="by another decaf"):
        mini(source)


def test_a_changed_option_file_is_another_option(source: Path) -> None:
    names = source.with_name("names.txt")
    names.write_text("a\nb\nc\nd\ne\nf\ng\n")
    mini(source, labels=names)
    assert not mini(source, labels=names).made
    names.write_text("a\nb\nc\nd\ne\nf\nG\n")
    with pytest.raises(WeightsError, match=r"with other options \(labels\)"):
        mini(source, labels=names)
    with pytest.raises(WeightsError, match=r"with other options \(labels\)"):
        mini(source)


def test_the_format_may_be_said_or_found(source: Path) -> None:
    target = mini(source).path
    assert not mini(source, format="npz").made
    assert mini(source, format="npz", force=True).made
    assert load_weights(target).provenance["options"]["format"] == "npz"
    assert not mini(source).made


@pytest.mark.parametrize("first", [None, "imagenet"])
def test_the_labels_of_imagenet_may_be_said_or_found(tmp_path: Path, first: str | None) -> None:
    p = {n: np.zeros(shape, np.float32) for n, shape in decaf_mini(1000).parameter_shapes.items()}
    np.savez(tmp_path / "mini.npz", **p)
    mini(tmp_path / "mini.npz", labels=first)
    for labels in (None, "imagenet"):
        assert not mini(tmp_path / "mini.npz", labels=labels).made
    (tmp_path / "names.txt").write_text("\n".join(imagenet()[0]))  # without their ids
    with pytest.raises(WeightsError, match=r"with other options \(labels\)"):
        mini(tmp_path / "mini.npz", labels=tmp_path / "names.txt")


def test_labels_of_imagenet_are_no_default_for_other_classes_or_where_the_file_has_some(
    source: Path, tmp_path: Path
) -> None:
    mini(source)
    with pytest.raises(WeightsError, match=r"with other options \(labels\)"):
        mini(source, labels="imagenet")
    network = decaf_mini(1000)
    p = {n: np.zeros(shape, np.float32) for n, shape in network.parameter_shapes.items()}
    labels = [f"thing {number}" for number in range(1000)]
    safetensors.write(tmp_path / "x.safetensors", network, p, labels=labels)
    assert load_weights(mini(tmp_path / "x.safetensors").path).labels[0] == "thing 0"
    with pytest.raises(WeightsError, match=r"with other options \(labels\)"):
        mini(tmp_path / "x.safetensors", labels="imagenet")


def test_files_that_decaf_did_not_convert_are_kept(source: Path, tmp_path: Path) -> None:
    target = tiny.save(tmp_path / "tiny.h5")
    with pytest.raises(WeightsError, match="which is kept"):
        mini(source, target)
    assert load_weights(target).labels == tiny.LABELS
    target.write_text("my diary")
    with pytest.raises(WeightsError, match="got something else, which is kept"):
        mini(source, target)
    assert target.read_text() == "my diary"
    assert mini(source, target, force=True).made


def test_a_symbolic_link_stays_one(source: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link, real = tmp_path / "link.h5", tmp_path / "elsewhere" / "real.h5"
    link.symlink_to(real)
    assert mini(source, link).made
    assert link.is_symlink() and load_weights(real).architecture == decaf_mini(7)
    assert left_in(real.parent) == {"real.h5"}
    assert not mini(source, link).made


# What cannot be


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "dtype must be float32 or float16; got 'int8'"),
        ({"format": "keras"}, "format must be one of torch, caffe.*got 'keras'"),
        ({"architecture": "lexnet"}, "lexnet: architecture must be alexnet, .*, a file"),
        ({"preprocessing": "keras"}, "keras: preprocessing must be torchvision, caffe, a file"),
        ({"labels": "coco"}, "coco: labels must be imagenet, a file"),
        ({"labels": "imagenet"}, r"mini\.npz: labels must be one for each class; expected 7"),
        ({"mean": "nowhere.npy"}, "nowhere.npy: mean must be a file"),
        ({"prototxt": 3}, "prototxt must be a path; got int"),
        ({"preprocessing": None}, r"mini\.npz: the preprocessing must be known"),
        ({"preprocessing": CAFFE_IMAGENET}, r"expected \(3, 32, 32\), got \(3, 227, 227\)"),
        ({"architecture": "alexnet"}, r"mini\.npz: conv1/weight: must have the shape that"),
    ],
)
def test_options_that_are_wrong(source: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        mini(source, **options)
    assert left_in(source.parent) == {"mini.npz"}


def test_sources_and_targets_that_are_wrong(source: Path, tmp_path: Path) -> None:
    for target, message in (
        (tmp_path / "mini.pth", r"the target must end in \.h5, \.hdf5; got '\.pth'"),
        (tmp_path / "nowhere" / "mini.h5", "must be a place to write to"),
        (tmp_path / "a\0b.h5", "must be"),
    ):
        with pytest.raises(WeightsError, match=message):
            mini(source, target)
    for wrong, message in (
        (tmp_path / "nowhere.npz", r"nowhere\.npz: must be a file; got no such file"),
        (tmp_path, "must be a file; got a folder"),
        (tmp_path / "a\0b", "must be"),
        (None, "source must be a path"),
    ):
        with pytest.raises(WeightsError, match=message):
            convert(wrong, tmp_path / "mini.h5")  # type: ignore[arg-type]
    same = tiny.save(tmp_path / "tiny.h5")
    with pytest.raises(WeightsError, match="another file than the source"):
        convert(same, same, force=True)
    (tmp_path / "folder.h5").mkdir()
    for force in (False, True):
        with pytest.raises(WeightsError, match=r"folder\.h5: must"):
            mini(source, tmp_path / "folder.h5", force=force)
    assert left_in(tmp_path) == {"mini.npz", "tiny.h5", "folder.h5"}


def test_a_value_that_is_not_finite(tmp_path: Path) -> None:
    arrays = values()
    arrays["fc8/bias"][3] = np.nan
    np.savez(tmp_path / "mini.npz", **arrays)
    with pytest.raises(WeightsError, match=r"^.*/mini\.h5: fc8/bias must be finite"):
        mini(tmp_path / "mini.npz")
    assert left_in(tmp_path) == {"mini.npz"}


def test_a_source_that_changes_meanwhile(source: Path) -> None:
    def meddle(stage: str, done: int, total: int) -> None:
        if stage == "write":
            os.utime(source, ns=(1, 1))

    with pytest.raises(WeightsError, match="must not change while it is converted"):
        mini(source, progress=meddle)
    assert left_in(source.parent) == {"mini.npz"}


def test_a_source_that_changes_meanwhile_and_says_it_did_not(source: Path) -> None:
    contents, before = bytearray(source.read_bytes()), source.stat()
    contents[5000] ^= 1

    def meddle(stage: str, done: int, total: int) -> None:
        if stage == "write" and not done:
            with source.open("r+b") as file:  # the same file, of the same size
                file.write(contents)
            os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(WeightsError, match="must not change while it is converted"):
        mini(source, progress=meddle)
    assert left_in(source.parent) == {"mini.npz"}


# A child process that goes wrong: it imports a library h5py that does what the test wants


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that puts code in the place of h5py, for child processes alone."""
    folder = tmp_path / "library"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return lambda code: (folder / "h5py.py").write_text(f"import os, signal, sys, time\n{code}\n")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"died of signal 11 \(SIGSEGV\)$"),
        ("os.abort()", r"died of signal 6 \(SIGABRT\)$"),
        ("os._exit(3)", "ended with status 3$"),
        ("os.write(2, b'heap\\x1b corrupted\\n'); os._exit(1)", r"it said: heap\? corrupted$"),
        ("raise OSError('no HDF5 here')", "it said: OSError: no HDF5 here$"),
    ],
)
def test_a_crash_is_an_error(source: Path, library: Any, code: str, message: str) -> None:
    library(code)
    with pytest.raises(WeightsError, match=message) as caught:
        mini(source)
    assert str(caught.value).startswith(f"{source}: could not be converted: the child process ")
    assert left_in(source.parent) == {"mini.npz", "library"}


def test_what_a_library_prints_is_no_answer(source: Path, library: Any) -> None:
    library("print('{\"result\": {}}', flush=True); os.write(1, b'hello'); os._exit(4)")
    with pytest.raises(WeightsError, match="ended with status 4"):
        mini(source)


def test_too_long_by_the_clock(source: Path, library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    library("time.sleep(100)")
    monkeypatch.setattr(parent, "SECONDS", 1)
    with pytest.raises(WeightsError, match=r"mini\.npz: could not be converted: it took over 1 s"):
        mini(source)
    assert left_in(source.parent) == {"mini.npz", "library"}


@pytest.mark.skipif(os.name != "posix", reason="processes as POSIX has them")
@pytest.mark.parametrize("ending", ["os._exit(1)", "time.sleep(100)"], ids=["dies", "stays"])
@pytest.mark.parametrize("escapes", [False, True], ids=["same session", "own session"])
def test_too_long_by_a_child_of_the_child(
    source: Path, library: Any, monkeypatch: pytest.MonkeyPatch, ending: str, escapes: bool
) -> None:
    """It keeps stdout open, so that nobody sees the end of what its parent has to say."""
    pid = source.with_name("pid")
    escape = "os.setsid()" if escapes else "pass"
    library(
        f"if not os.fork():\n    {escape}\n    open({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        f"    time.sleep(100)\n    os._exit(0)\n{ending}"
    )
    monkeypatch.setattr(parent, "SECONDS", 2)
    started = time.monotonic()
    try:
        with pytest.raises(WeightsError, match="it took over 2 s"):
            mini(source)
        assert time.monotonic() - started < 50
        if not escapes:
            wait_for(lambda: not alive(int(pid.read_text())))
    finally:
        with suppress(OSError):
            os.kill(int(pid.read_text()), signal.SIGKILL)
    assert left_in(source.parent) == {"mini.npz", "library", "pid"}


@pytest.mark.skipif(os.name != "posix", reason="processes as POSIX has them")
def test_a_child_of_the_child_ends_with_it(source: Path, library: Any) -> None:
    pid = source.with_name("pid")
    library(
        f"if not os.fork():\n    open({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        "    os.closerange(0, 9)\n    time.sleep(100)\n    os._exit(0)\n"
        f"while not os.path.exists({str(pid)!r}) or not open({str(pid)!r}).read(): pass\n"
        "os._exit(5)"
    )
    try:
        with pytest.raises(WeightsError, match="ended with status 5"):
            mini(source)
        wait_for(lambda: not alive(int(pid.read_text())))
    finally:
        with suppress(OSError):
            os.kill(int(pid.read_text()), signal.SIGKILL)


LATE = """
import threading
def work():
    {}
import decaf.formats.read
decaf.formats.read.read_with_notes = lambda *a, **k: work()
"""


def test_too_long_by_the_processor(
    source: Path, library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("resource")
    library(LATE.format("while True: pass"))
    monkeypatch.setattr(parent, "SECONDS", 2)
    slow = functools.partial(threading.Timer, 60)  # the clock has time
    monkeypatch.setattr(parent.threading, "Timer", lambda _, stop: slow(stop))
    started = time.perf_counter()
    with pytest.raises(WeightsError, match="it took over 2 s"):
        mini(source)
    assert time.perf_counter() - started < 50


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts mapped private memory")
def test_too_much_memory(source: Path, library: Any) -> None:
    library(LATE.format("b'x' * 150_000_000"))  # 64 MB and twice the 7 of the file are allowed
    with pytest.raises(WeightsError, match=r"needs more memory than the [\d,]+ MiB that a file"):
        mini(source)
    assert left_in(source.parent) == {"mini.npz", "library"}


NONSENSE = "the child process gave an answer that makes no sense$"


@pytest.mark.parametrize(
    "answer",
    [
        '{"done": "x", "of": []}',
        '{"done": Infinity, "of": 1}',
        '{"done": 1.0, "of": 1}',
        '{"done": 2, "of": 1}',
        '{"done": -1, "of": 1}',
        '{"done": 1}',
        '{"memory": "x"}',
        '{"memory": 1' + "0" * 4000 + "}",
        '{"result": 1}',
        '{"error": ["WeightsError"], "message": ""}',
        '{"error": "WeightsError"}',
        "[" * 200_000,
        "[]",
        "7",
        "hello",
        "\xff",
        "x" * 2**21,
    ],
    ids=lambda answer: answer[:40],
)
def test_a_child_that_was_taken_over(
    source: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """It says what it likes, and stays; its parent does not wait for more."""
    (source.parent / "answer").write_bytes(answer.encode("latin-1") + b"\n")
    say = f"sys.stdout.buffer.write(open({str(source.parent / 'answer')!r}, 'rb').read())"
    program = f"import sys, time; {say}; sys.stdout.flush(); time.sleep(100)"
    monkeypatch.setattr(parent, "PROGRAM", program)
    seen: list[tuple[str, int, int]] = []

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "write":
            seen.append((stage, done, total))

    started = time.monotonic()
    with pytest.raises(WeightsError, match=NONSENSE):
        mini(source, progress=progress)
    assert time.monotonic() - started < parent.SECONDS
    assert not seen
    assert left_in(source.parent) == {"mini.npz", "answer"}


@pytest.mark.parametrize("kind", ["WeightsError", "DecafError", "annotations", "__class__", ""])
def test_messages_of_a_child_are_short_and_harmless(
    source: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    program = f"import json; answer = {{'error': {kind!r}, 'message': '\\x1b[31m' + 'A' * 10**6}}"
    monkeypatch.setattr(parent, "PROGRAM", f"{program}; print(json.dumps(answer))")
    with pytest.raises(DecafError) as caught:
        mini(source)
    message = str(caught.value)
    assert message.isprintable() and "?[31mAAA" in message
    assert len(message) < 10_000


@pytest.mark.parametrize(
    ("name", "start", "packed"),
    [
        ("a.net", bytes(range(256)), True),
        ("A.NET", bytes(range(256)), True),
        ("a.h5", bytes(range(256)), False),
        ("zip.net", b"PK\x03\x04" + bytes(300), False),
        ("text.net", b"no network, but a text", False),
        ("hdf5.net", b"\x89HDF\r\n\x1a\n" + bytes(300), False),
        ("empty.net", b"", False),
    ],
)
def test_what_may_take_the_memory_of_a_packed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, start: bytes, packed: bool
) -> None:
    """Its contents say so, as they do to the child; its name alone does not."""
    path = tmp_path / name
    path.write_bytes(start)
    asked: list[dict[str, Any]] = []

    def ask(_child: object, request: dict[str, Any], *_: object) -> dict[str, Any]:
        asked.append(request)
        return {"result": {}}

    monkeypatch.setattr(parent, "_start", lambda *_: None)
    monkeypatch.setattr(parent, "_talk", ask)
    monkeypatch.setattr(parent, "_end", lambda _: None)
    parent.run_child({"source": str(path), "format": None}, len(start), None)
    usual = parent.MEMORY + parent.MEMORY_A_BYTE * len(start)
    assert (asked[0]["limits"]["memory"] > usual) is packed


def test_an_error_that_nobody_foresaw(source: Path, library: Any) -> None:
    library(LATE.format("{}['a key']"))
    with pytest.raises(WeightsError, match="could not be converted: KeyError: 'a key'"):
        mini(source)


def test_a_full_disk(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on the size of files gives the same error to whoever writes."""
    pytest.importorskip("resource")
    monkeypatch.setattr(parent, "OUTPUT", 1_000_000)
    monkeypatch.setattr(parent, "OUTPUT_A_BYTE", 0)
    with pytest.raises(WeightsError, match=r"/mini\.h5: must be a place to write to; got"):
        mini(source)
    assert left_in(source.parent) == {"mini.npz"}


def test_no_python_to_start(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(WeightsError, match=r"sys\.executable"):
        mini(source)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(WeightsError, match="/nowhere/python could not be started"):
        mini(source)
    assert left_in(source.parent) == {"mini.npz"}


def test_an_exception_of_the_caller_ends_the_child(source: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "write":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mini(source, progress=interrupt)
    assert left_in(source.parent) == {"mini.npz"}


@pytest.mark.skipif(os.name != "posix", reason="signals and process ids as POSIX has them")
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_the_child_ends_with_its_parent(source: Path, library: Any, signal_number: int) -> None:
    pid = source.with_name("pid")
    write = f"open({str(pid)!r} + '.part', 'w').write(str(os.getpid()))"
    rename = f"os.rename({str(pid)!r} + '.part', {str(pid)!r})"
    library(f"{write}; {rename}; time.sleep(100)")
    program = (
        f"import sys; sys.path.insert(0, {str(source.parent / 'library')!r})\n"
        "from decaf.convert import convert\n"
        f"convert({str(source)!r}, {str(source.with_suffix('.h5'))!r}, labels='imagenet')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.DEVNULL, env=ENVIRONMENT
    ) as parent:
        try:
            wait_for(pid.exists)
            parent.send_signal(signal_number)
            parent.wait(30)
        finally:
            parent.kill()
    child = int(pid.read_text())
    wait_for(lambda: not alive(child))
    wait_for(lambda: left_in(source.parent) == {"mini.npz", "library", "pid"})


def wait_for(condition: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except OSError:
        return Path("/proc").exists() is False
    return state != "Z"


def test_the_child_gets_the_paths_of_its_parent(source: Path, tmp_path: Path) -> None:
    """Also where '' stands for the current folder, as in an interactive Python."""
    (tmp_path / "h5py.py").write_text("import os; os._exit(77)")
    program = (
        "import sys; sys.path.insert(0, '')\n"
        "from decaf.convert import convert\n"
        f"convert({str(source)!r}, {str(source.with_suffix('.h5'))!r}, force=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=tmp_path, env=ENVIRONMENT,
        check=False,
    )  # fmt: skip
    assert b"ended with status 77" in done.stderr


# Real files


CIFAR = {"preprocessing": "rgb.json", "mean": "caffe/nets-h5/mean.binaryproto"}
REAL = {
    "quick": (
        "caffe/nets-v1/cifar10_quick_iter_5000.caffemodel",
        {"prototxt": "caffe/nets-v1/cifar10_quick.prototxt", **CIFAR},
    ),
    "full": (
        "caffe/nets-v1/cifar10_full_iter_70000.caffemodel",
        {"prototxt": "caffe/nets-v1/cifar10_full.prototxt", **CIFAR},
    ),
    "quick-h5": (
        "caffe/nets-h5/cifar10_quick_iter_4000.caffemodel.h5",
        {"prototxt": "caffe/nets-h5/cifar10_quick.prototxt", **CIFAR},
    ),
    "lenet": (
        "caffe/nets-v1/lenet_iter_10000.caffemodel",
        {"prototxt": "caffe/nets-v1/lenet.prototxt", "preprocessing": "grey.json"},
    ),
    "squeezenet-caffe": ("squeezenet/squeezenet_v1.1.caffemodel", {}),
    "squeezenet-torch": ("squeezenet/squeezenet_v1.1.pth", {"preprocessing": "caffe"}),
    "squeezenet-torchvision": ("squeezenet/squeezenet_v1.1.pth", {"preprocessing": "torchvision"}),
    "squeezenet-compressed": (
        "squeezenet/squeezenet_v1.0.deep_compression.net",
        {"prototxt": "squeezenet/squeezenet_v1.0.prototxt", "preprocessing": "caffe"},
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(shared_data: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "rgb.json").write_text('{"channels": "RGB", "divide": 1}')
    (tmp_path / "grey.json").write_text(json.dumps({"divide": 256}))
    file, options = REAL[name]
    found = {
        key: value if value in ("caffe", "torchvision")
        else tmp_path / value if (tmp_path / value).exists()
        else shared_data / value
        for key, value in options.items()
    }  # fmt: skip
    target = tmp_path / f"{name}.h5"
    assert convert(shared_data / file, target, **found).made
    assert not convert(shared_data / file, target, **found).made
    weights = load_weights(target)
    recipe = weights.preprocessing
    if name.startswith("squeezenet"):
        assert (weights.labels, weights.label_ids) == imagenet()
        torchvision = "torchvision" in name
        assert recipe.crop == (227, 227)
        assert recipe.channels == ("RGB" if torchvision else "BGR")
        assert recipe.resize == (256 if torchvision else (256, 256))
        model = TORCHVISION_IMAGENET if torchvision else CAFFE_IMAGENET
        assert (recipe.divide, recipe.mean, recipe.std) == (model.divide, model.mean, model.std)
    else:
        assert len(weights.labels) == 10 and weights.label_ids is None
        assert recipe.channels == ("L" if name == "lenet" else "RGB")
    net = DecafNet(target, backend="numpy")
    scores = net.classify(shared_data / "squeezenet" / "car.png")
    assert scores.shape == (len(weights.labels),)
    if recipe.channels == "BGR":  # the classes that OpenCV's authors publish
        assert scores.argmax() in (817, 511, 479, 751, 436)


CONVERT_AND_MEASURE = """
import resource, sys
from decaf.convert import convert
convert(sys.argv[1], sys.argv[2])
# Not RUSAGE_SELF: it starts with what the process had that started this one.
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(int(line.split()[1]) * 1024)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory in /proc")
@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_torch_alexnet_to_the_last_bit_in_little_memory(tmp_path: Path, form: str) -> None:
    torch = import_torch()
    random = np.random.default_rng(0)
    state, wanted = {}, {}
    for name, shape in alexnet().parameter_shapes.items():
        layer, _, kind = name.rpartition("/")
        wanted[name] = random.standard_normal(shape, np.float32)
        state[f"{ALEXNET_LAYERS[layer]}.{kind}"] = torch.from_numpy(wanted[name])
    source, target = tmp_path / "alexnet.pth", tmp_path / "alexnet.h5"
    torch.save(state, source, _use_new_zipfile_serialization=form == "zip")
    del state
    done = python("-c", CONVERT_AND_MEASURE, source, target)
    assert done.returncode == 0, done.stderr.decode()
    size = source.stat().st_size
    assert size > 4 * 61_100_840
    parent, child = map(int, done.stdout.split())
    assert 10e6 < parent < 100e6
    assert size < child < size + 100e6
    weights = load_weights(target)
    assert weights.architecture == alexnet() and weights.preprocessing == TORCHVISION_IMAGENET
    for name, array in wanted.items():
        np.testing.assert_array_equal(weights.parameters[name].view(np.int32), array.view(np.int32))


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".onnx"])
@pytest.mark.parametrize("name", ["a\0b", "a" * 300])
def test_export_to_a_name_that_cannot_be(source: Path, name: str, suffix: str) -> None:
    if suffix == ".onnx":
        pytest.importorskip("onnx")
    mini(source)
    with pytest.raises(WeightsError, match="must be a place to write"):
        export(source.with_suffix(".h5"), source.with_name(name + suffix))
    assert left_in(source.parent) == {"mini.npz", "mini.h5"}
