"""The command: what it prints where, its exit status, and what users do to it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import tiny
from PIL import Image
from processes import ENVIRONMENT, python

from decaf import DecafNet, Prediction, __version__, ops, zoo
from decaf.cli import main
from decaf.cli.classify import _as_json
from decaf.serialize import architecture_from_dict
from decaf.weights import load_weights, save_weights

# "auto" would warn on stderr where the kernels are not built.
BACKEND = ("--backend", ops.available()[0])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save(tmp_path_factory.mktemp("weights") / "tiny.h5"))


@pytest.fixture(scope="module")
def net(weights: str) -> DecafNet:
    return DecafNet(weights, backend=ops.available()[0])


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve good photos and three bad ones, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        Image.fromarray(tiny.photo(number)).save(f"{number}.png")
    Path("notes.txt").write_text("no photo")
    Path("album").mkdir()


def classify(weights: str, *arguments: str) -> tuple[str, ...]:
    return ("classify", "--weights", weights, *BACKEND, *arguments)


def run(*arguments: str | bytes, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run ``python -m decaf`` in a process of its own."""
    return python("-m", "decaf", *arguments, **options)


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]]:
    """Start ``python -m decaf``; give the process, its stdout and its stderr."""
    command = [sys.executable, "-m", "decaf", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            yield process, process.stdout, process.stderr
        finally:
            process.kill()  # where the test failed; it has ended otherwise


def test_one_photo(net: DecafNet, weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(classify(weights, "--top", "3", "0.png")) == 0
    out, err = capsys.readouterr()
    assert err == ""
    best = net.top_k(net.classify("0.png"), k=3)
    assert out.splitlines() == ["0.png", *(f"{p.score:8.2%}  {p.label}" for p in best)]


def test_several_photos_in_order(
    net: DecafNet, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{number}.png" for number in (3, 1, 2)]
    assert main(classify(weights, "--batch-size", "2", *names)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 * 6
    assert lines[::6] == names
    for name, line in zip(names, lines[1::6], strict=True):
        best = net.top_k(net.classify(name), k=1)[0]
        assert line.split(maxsplit=1) == [f"{best.score:.2%}", best.label]


@pytest.mark.parametrize("extra", [(), ("--oversample",), ("--threads", "2", "--batch-size", "3")])
def test_json(
    net: DecafNet, weights: str, capsys: pytest.CaptureFixture[str], extra: tuple[str, ...]
) -> None:
    names = [f"{number}.png" for number in range(4)]
    assert main(classify(weights, "--json", "--top", "2", *extra, *names)) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    scores = net.classify(names, oversample="--oversample" in extra)
    assert answers == [
        {"photo": name, "top": [p._asdict() for p in best]}
        for name, best in zip(names, net.top_k(scores, k=2), strict=True)
    ]


def test_bad_photos_do_not_stop_the_others(
    weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = ("notes.txt", "0.png", "nowhere.png", "album", "1.png")
    assert main(classify(weights, "--top", "1", *photos)) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[::2] == ["0.png", "1.png"]
    errors = err.splitlines()
    assert [line.split(": ")[1] for line in errors[:3]] == ["notes.txt", "nowhere.png", "album"]
    assert "folder" in errors[2] and os.path.join("album", "*") in errors[2]
    assert errors[3:] == ["decaf: 3 of 5 photos could not be used"]


def test_bad_photos_in_json(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(classify(weights, "--json", "notes.txt", "0.png", "album")) == 1
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["photo"] for answer in answers] == ["notes.txt", "0.png", "album"]
    assert [set(answer) - {"photo"} for answer in answers] == [{"error"}, {"top"}, {"error"}]
    assert "notes.txt" in answers[0]["error"] and "folder" in answers[2]["error"]


def test_only_bad_photos(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(classify(weights, "notes.txt")) == 1
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1


def test_max_pixels(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(classify(weights, "--max-pixels", "339", "0.png")) == 1
    assert "339" in capsys.readouterr().err
    assert main(classify(weights, "--max-pixels", "340", "0.png")) == 0


def test_stdin(weights: str) -> None:
    photo = Path("0.png").read_bytes()
    done = run(*classify(weights, "--json", "-", "1.png"), input=photo)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["photo"] for answer in answers] == ["-", "1.png"]
    alone = json.loads(run(*classify(weights, "--json", "0.png")).stdout)
    assert answers[0]["top"] == alone["top"]


def test_info(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", weights]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for part in (
        weights, "tiny <&>", "squash to 14x15", "ant, bee, cat", "random numbers",
        "conv1", "16 x 12 x 12", "total", "precision      float32",
    ):  # fmt: skip
        assert part in out


def test_info_of_half_precision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "half.h5"
    p = tiny.parameters()
    save_weights(path, tiny.ARCHITECTURE, p, tiny.PREPROCESSING, tiny.LABELS, dtype="float16")
    assert main(["info", "--json", str(path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["precision"] == "float16"
    assert found["bytes"] == 2 * sum(array.size for array in p.values())


@pytest.mark.skipif("cython" not in ops.available(), reason="kernels are not built")
def test_precision(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--backend", "cython", "--precision", "float16", "--json", "0.png")
    assert main(["classify", "--weights", weights, *options]) == 0
    (found,) = map(json.loads, capsys.readouterr().out.splitlines())
    exact, rounded = (
        DecafNet(weights, backend="cython", precision=precision).classify("0.png")
        for precision in ("float32", "float16")
    )
    scores = [entry["score"] for entry in found["top"]]
    assert scores == sorted(map(float, rounded), reverse=True)
    assert scores != sorted(map(float, exact), reverse=True)


def test_a_precision_that_a_backend_has_not(
    weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--backend", "numpy", "--precision", "float16", "0.png")
    assert main(["classify", "--weights", weights, *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("decaf: error: precision must be one that the backend")


def test_info_json(net: DecafNet, weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    import hashlib

    assert main(["info", "--json", weights]) == 0
    found = json.loads(capsys.readouterr().out)
    summary = net.summary()
    assert found["sha256"] == hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    assert found["labels"] == list(tiny.LABELS)
    assert found["preprocessing"] == tiny.PREPROCESSING.to_dict()
    assert found["provenance"] == {"source": "random numbers"}
    assert found["architecture"] == "tiny <&>" and found["input_shape"] == [3, 12, 12]
    assert found["path"] == weights
    assert found["precision"] == "float32"
    for key in ("parameters", "multiply_adds", "bytes"):
        assert found[key] == getattr(summary, key)
    assert [layer["name"] for layer in found["layers"]] == list(tiny.NAMES)


def test_info_is_short_whatever_the_provenance_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "chatty.h5")
    provenance = {
        "k" * 100_000: "v" * 100_000,
        "inner": {str(i): i for i in range(1000)},
        **{f"{i:x}": 1 for i in range(10_000)},
    }
    labels = ["x" * 10_000, *tiny.LABELS[1:]]
    p = tiny.parameters()
    save_weights(path, tiny.ARCHITECTURE, p, tiny.PREPROCESSING, labels, provenance=provenance)
    assert main(["info", path]) == 0
    out = capsys.readouterr().out
    assert len(out) < 20_000
    assert "k" * 300 + "...  " + "v" * 300 + "...\n" in out
    assert "inner 98 " in out and "inner 99 " not in out  # the key above is the first line
    assert "10,901 more: --json shows them" in out
    assert main(["info", "--json", path]) == 0
    assert json.loads(capsys.readouterr().out)["provenance"] == provenance


def test_info_describes_the_network_as_convert_takes_it(
    net: DecafNet, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", "--json", weights]) == 0
    found = json.loads(capsys.readouterr().out)
    assert architecture_from_dict(found["description"]) == net.architecture
    Path("net.json").write_text(json.dumps(found["description"]))
    Path("recipe.json").write_text(json.dumps(found["preprocessing"]))
    np.savez("net.npz", **tiny.parameters())
    options = ("--architecture", "net.json", "--preprocessing", "recipe.json")
    assert main(["convert", "net.npz", "net.h5", *options]) == 0
    assert load_weights("net.h5").architecture == net.architecture


def test_info_downloads_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(name: str) -> None:
        pytest.fail(f"{name} is being fetched")

    monkeypatch.setenv("DECAF_HOME", "zoo")
    monkeypatch.setattr("decaf.zoo.fetch", fetch)
    for options in ((), ("--json",)):
        assert main(["info", "alexnet", *options]) == 2
        out, err = capsys.readouterr()
        assert (out, err) == ("", "decaf: error: alexnet is not here: decaf fetch alexnet\n")
    assert not Path("zoo").exists()
    place = zoo.place(zoo.ZOO["alexnet"])
    place.parent.mkdir()
    tiny.save(place)
    assert main(["info", "alexnet"]) == 0
    assert str(place) in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("unknown",),
        ("classify",),
        ("classify", "--top", "0", "0.png"),
        ("classify", "--top", "-1", "0.png"),
        ("classify", "--top", "many", "0.png"),
        ("classify", "--threads", "0", "0.png"),
        ("classify", "--batch-size", "1.5", "0.png"),
        ("classify", "--backend", "cuda", "0.png"),
        ("classify", "--precision", "float64", "0.png"),
        ("classify", "--no-such-option", "0.png"),
        ("info", "a.h5", "b.h5"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and "usage: decaf" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("classify", "--weights", "notes.txt", "0.png"),
        ("classify", "--weights", "nowhere.h5", "0.png"),
        ("classify", "--weights", "album", "0.png"),
        ("classify", "--threads", "99999", "0.png"),
        ("info", "notes.txt"),
        ("info", "nowhere.h5"),
    ],
)
def test_unusable_weights(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("decaf: error: ") and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "MemoryError"),
        (MemoryError("Unable to allocate 9 TiB"), "MemoryError: Unable to allocate 9 TiB"),
        (RuntimeError("two\nlines\x1b"), "RuntimeError: two\\nlines\\x1b"),
    ],
)
def test_unexpected_errors(
    weights: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    said: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(DecafNet, "top_k", fail)
    monkeypatch.setattr("decaf.report.summarise", fail)
    for arguments in (classify(weights, "0.png"), ("info", weights)):
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert (out, err) == ("", f"decaf: unexpected error: {said}\n")
        assert main((*arguments, "--debug")) == 2
        out, err = capsys.readouterr()
        assert out == "" and "\x1b" not in err
        assert err.startswith("Traceback (most recent call last):\n") and "in fail\n" in err
        assert err.rstrip().endswith(said if "lines" not in said else "lines\\x1b")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full disk to write to")
def test_a_full_disk() -> None:
    command = [sys.executable, "-m", "decaf", "info"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=60, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith(b"decaf: unexpected error: OSError: [Errno 28] No space left")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_a_closed_stdout_loses_the_answer_alone(weights: str) -> None:
    command = f'"{sys.executable}" -m decaf info "{weights}" >&-'
    done = subprocess.run(
        ["sh", "-c", command], stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, part in (
        (["--version"], __version__),
        (["--help"], "classify"),
        (["classify", "--help"], '"error"'),
        (["classify", "--help"], "--debug"),
        (["info", "--help"], "--debug"),
        (["info", "--help"], "sha256"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
        assert part in capsys.readouterr().out


def test_wrong_usage_is_said_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys\n"
        "from decaf.cli import main\n"
        "try: main(['classify', '--top', '0', 'x.png'])\n"
        "except SystemExit: sys.exit('numpy' in sys.modules)\n"
    )
    done = python("-c", code)
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"usage: decaf classify" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a file name must be text")
def test_a_name_that_is_no_text(weights: str) -> None:
    name = b"caf\xe9\n\x1b[31m.png"
    Path(os.fsdecode(name)).write_bytes(Path("0.png").read_bytes())
    done = run(*classify(weights, "--top", "1"), name, b"missing\xff")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == rb"caf\udce9\n\x1b[31m.png"
    assert rb"missing" in done.stderr and b"Traceback" not in done.stderr
    done = run(*classify(weights, "--json"), name)
    assert os.fsencode(json.loads(done.stdout)["photo"]) == name


def test_a_label_that_stdout_cannot_hold(weights: str) -> None:
    ascii_only = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    done = run(*classify(weights, "0.png"), env=ascii_only)
    assert done.returncode == 0 and rb"\xe9lan <b>" in done.stdout
    done = run("info", weights, env=ascii_only)
    assert done.returncode == 0 and rb"\xe9lan <b>" in done.stdout


def test_a_label_cannot_command_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ("\x1b[2J", "a\nb", "c\rd", "tab\t", "plain")
    evil = str(tiny.save(tmp_path / "evil.h5", labels))
    assert main(classify(evil, "0.png")) == 0
    assert main(["info", evil]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\r" not in out and "\\x1b[2J" in out and "a\\nb" in out


@pytest.mark.skipif(os.name != "posix", reason="pipes end differently elsewhere")
def test_a_reader_that_goes_away(weights: str) -> None:
    with running(*classify(weights, *["0.png"] * 3000)) as (process, stdout, stderr):
        assert stdout.readline() == b"0.png\n"
        stdout.close()
        assert stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.skipif(os.name != "posix", reason="signals differ elsewhere")
def test_answers_come_as_they_are_ready_and_ctrl_c_ends_quietly(weights: str) -> None:
    photos = ["0.png"] * 20_000
    arguments = classify(weights, "--batch-size", "1", *photos)
    with running(*arguments) as (process, stdout, stderr):
        assert stdout.readline() == b"0.png\n"
        assert process.poll() is None, "the first answer came before the last"
        process.send_signal(signal.SIGINT)
        stdout.read()
        assert stderr.read() == b""
        assert process.wait(60) == 130


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("count", "terminal", "bar"), [(9, True, True), (8, True, False), (9, False, False)]
)
def test_progress_bar(
    weights: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    terminal: bool,
    bar: bool,
) -> None:
    stderr = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    names = [f"{number}.png" for number in range(count)]
    assert main(classify(weights, "--top", "1", *names)) == 0
    assert ("9/9" in stderr.getvalue()) is bar
    assert bool(stderr.getvalue()) is bar
    assert capsys.readouterr().out.splitlines()[::2] == names


def test_a_score_that_is_no_number() -> None:
    line = _as_json("x", [Prediction(0, "a", float("nan")), Prediction(1, "b", 0.5)])
    assert [p["score"] for p in json.loads(line)["top"]] == [None, 0.5]


def test_float_scores_are_exact_in_json(
    net: DecafNet, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(classify(weights, "--json", "0.png")) == 0
    top = json.loads(capsys.readouterr().out)["top"]
    scores = np.zeros(5, np.float32)
    scores[[p["index"] for p in top]] = [p["score"] for p in top]
    np.testing.assert_array_equal(scores, net.classify("0.png"))
