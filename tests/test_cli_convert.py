"""``decaf convert``: what it prints where, its exit status, its bar; and what `info` shows."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import select
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import ENVIRONMENT, python

from decaf import __version__
from decaf.architectures import decaf_mini
from decaf.cli import main
from decaf.convert.export import export
from decaf.weights import load_weights


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with 7 classes and a recipe for it, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shapes = decaf_mini(7).parameter_shapes
    np.savez("mini.npz", **{name: np.ones(shape, np.float32) for name, shape in shapes.items()})
    Path("recipe.json").write_text('{"std": [0.25]}')


ARGUMENTS = ("convert", "mini.npz", "mini.h5", "--preprocessing", "recipe.json")


def test_one_line_says_what_was_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ARGUMENTS) == 0
    out, err = capsys.readouterr()
    assert err == ""
    weights = load_weights("mini.h5")
    size = os.path.getsize("mini.h5")
    parameters = sum(array.size for array in weights.parameters.values())
    assert out == (
        f"mini.h5: decaf_mini; {parameters:,} parameters; 7 classes; "
        f"{weights.preprocessing}; {size:,} bytes\n"
    )
    assert main(ARGUMENTS) == 0
    again, err = capsys.readouterr()
    assert again == out.replace("mini.h5: ", "mini.h5: up to date: ")
    assert err == ""


def test_options(capsys: pytest.CaptureFixture[str]) -> None:
    Path("names.txt").write_text("\n".join("abcdefg"))
    np.save("mean.npy", np.full((3, 1, 1), 0.5, np.float32))
    more = ("--labels", "names.txt", "--dtype", "float16", "--mean", "mean.npy", "--format", "npz")
    assert main((*ARGUMENTS, *more, "--architecture", "decaf_mini")) == 0
    weights = load_weights("mini.h5", widen=False)
    assert weights.labels == tuple("abcdefg")
    assert weights.preprocessing.mean == (0.5 / 255,) * 3  # given in the units of pixels
    assert {array.dtype for array in weights.parameters.values()} == {np.dtype("float16")}
    assert set(weights.provenance["options"]) == {
        "preprocessing", "labels", "dtype", "mean", "format", "architecture",
    }  # fmt: skip


def test_errors_and_force(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ARGUMENTS) == 0
    before = Path("mini.h5").read_bytes()
    capsys.readouterr()
    assert main((*ARGUMENTS, "--dtype", "float16")) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("decaf: error: mini.h5: must not exist, ") and err.count("\n") == 1
    assert Path("mini.h5").read_bytes() == before
    assert main((*ARGUMENTS, "--dtype", "float16", "--force")) == 0
    assert len(Path("mini.h5").read_bytes()) < 0.6 * len(before)
    capsys.readouterr()
    assert main(("convert", "nowhere.pth", "other.h5")) == 2
    assert "nowhere.pth: must be a file; got no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [(), ("mini.npz",), (*ARGUMENTS[1:], "--dtype", "int8"), ("a", "b", "c")]
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(("convert", *arguments))
    assert caught.value.code == 2


def test_info_shows_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    Path("names.txt").write_text("\n".join("abcdefg"))
    assert main((*ARGUMENTS, "--labels", "names.txt")) == 0
    capsys.readouterr()
    assert main(("info", "mini.h5")) == 0
    lines = capsys.readouterr().out.splitlines()
    table = dict(line.split("  ", 1) for line in lines[: lines.index("")])
    found = {key: value.strip() for key, value in table.items()}
    data = Path("mini.npz").read_bytes()
    assert found["source file"] == "mini.npz"
    assert found["source bytes"] == f"{len(data):,}"
    assert found["source sha256"] == hashlib.sha256(data).hexdigest()
    assert found["source format"] == "npz"
    names = hashlib.sha256(Path("names.txt").read_bytes()).hexdigest()
    assert found["options labels"] == f"names.txt (SHA-256 {names})"
    assert found["options dtype"] == "float32"
    assert found["converted by"] == f"decaf {__version__}"
    assert main(("info", "mini.h5", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["provenance"]["source"]["bytes"] == len(data)


def test_a_bar_for_a_large_file_and_a_person() -> None:
    pty, fcntl = pytest.importorskip("pty"), pytest.importorskip("fcntl")
    program = (
        "import sys, decaf.cli.convert as c; c.SMALL = 1000\n"
        f"from decaf.cli import main; sys.exit(main({ARGUMENTS!r}))"
    )
    master, slave = pty.openpty()
    fcntl.ioctl(slave, pytest.importorskip("termios").TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=slave, env=ENVIRONMENT,
            check=False,
        )  # fmt: skip
        readable, _, _ = select.select([master], [], [], 0)
        shown = os.read(master, 65536) if readable else b""
    finally:
        os.close(slave)
        os.close(master)
    assert done.returncode == 0
    assert b"read" in shown and b"write" in shown
    assert done.stdout.startswith(b"mini.h5: decaf_mini;")


def test_no_bar_in_a_pipe() -> None:
    program = (
        "import sys, decaf.cli.convert as c; c.SMALL = 1000\n"
        f"from decaf.cli import main; sys.exit(main({ARGUMENTS!r}))"
    )
    done = python("-c", program)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".onnx"])
def test_out_and_in_again(capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    if suffix == ".onnx":
        pytest.importorskip("onnx")
    Path("names.txt").write_text("\n".join("abcdefg"))
    assert main((*ARGUMENTS, "--labels", "names.txt")) == 0
    capsys.readouterr()
    assert main(("convert", "mini.h5", f"out{suffix}")) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (f"out{suffix}: {os.path.getsize(f'out{suffix}'):,} bytes\n", "")
    more = ("--preprocessing", "recipe.json", "--labels", "names.txt") if suffix == ".npz" else ()
    assert main(("convert", f"out{suffix}", "again.h5", *more)) == 0
    before, after = load_weights("mini.h5"), load_weights("again.h5")
    assert after.architecture == before.architecture
    assert after.preprocessing == before.preprocessing
    assert after.labels == before.labels
    assert after.provenance["source"]["format"] == suffix[1:]
    for name, array in before.parameters.items():
        np.testing.assert_array_equal(after.parameters[name], array)


def test_what_export_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ARGUMENTS) == 0
    before = Path("mini.npz").read_bytes()
    for arguments, message in (
        (("mini.h5", "mini.npz"), "mini.npz: must not exist; it does, and is kept"),
        (("mini.h5", "out.npz", "--labels", "imagenet"), "takes no --labels"),
        (("mini.h5", "out.npz", "--dtype", "float16"), "takes no --dtype"),
        (("mini.npz", "out.npz"), "mini.npz: "),
        (("mini.h5", "nowhere/out.npz"), "must be a place to write"),
    ):
        capsys.readouterr()
        assert main(("convert", *arguments)) == 2
        assert message in capsys.readouterr().err
    assert Path("mini.npz").read_bytes() == before and not Path("out.npz").exists()
    assert main(("convert", "mini.h5", "mini.npz", "--force")) == 0


def test_a_target_of_no_kind_that_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    for target in ("mini.pth", "mini", "mini.caffemodel"):
        assert main(("convert", "mini.npz", target)) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"decaf: error: {target}: the target must end in .h5, .hdf5, ")
        assert ".onnx, .safetensors, .npz; got " in err


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".onnx"])
def test_a_mean_image_that_is_left_behind(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    if suffix == ".onnx":
        pytest.importorskip("onnx")
    np.save("mean.npy", np.full((3, 32, 32), 0.5, np.float32))
    assert main((*ARGUMENTS, "--mean", "mean.npy")) == 0
    capsys.readouterr()
    said = f"out{suffix}: the mean image of mini.h5 is not carried"
    assert main(("convert", "mini.h5", f"out{suffix}")) == 0
    out, err = capsys.readouterr()
    assert out == f"out{suffix}: {os.path.getsize(f'out{suffix}'):,} bytes\n"
    assert err.startswith(f"decaf: {said}") and err.count("\n") == 1
    done = python("-m", "decaf", "convert", "mini.h5", f"out{suffix}", "--force")
    assert (done.returncode, done.stderr.decode()) == (0, err)  # once, whoever else listens
    caplog.clear()
    export("mini.h5", f"out{suffix}", force=True)
    (record,) = (record for record in caplog.records if record.name == "decaf")
    assert record.levelname == "WARNING" and record.getMessage().startswith(said)
    assert capsys.readouterr() == ("", "")
    assert not logging.getLogger("decaf").handlers


def test_a_failed_export_says_nothing_of_the_mean(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("mean.npy", np.full((3, 32, 32), 0.5, np.float32))
    assert main((*ARGUMENTS, "--mean", "mean.npy")) == 0
    capsys.readouterr()
    assert main(("convert", "mini.h5", "mini.npz")) == 2
    err = capsys.readouterr().err
    assert "must not exist" in err and "mean" not in err
