"""``decaf plot``: which file it writes, what it says, and how it ends."""

from __future__ import annotations

import io
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from numpy.typing import NDArray
from PIL import Image
from processes import python

from decaf import DecafNet, ops
from decaf.cli import main
from decaf.features.contents import Features
from decaf.features.files import write_features

pytest.importorskip("matplotlib")

from decaf import plots

BACKEND = ops.available()[0]
STARTS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save(tmp_path_factory.mktemp("weights") / "tiny.h5"))


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A photo, something else, and features of sixteen photos in an archive."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(tiny.photo(1)).save("cat.png")
    Path("notes.txt").write_text("no photo")
    Path("album").mkdir()
    paths = []
    with zipfile.ZipFile("photos.zip", "w") as archive:
        for number in range(16):
            data = io.BytesIO()
            Image.fromarray(tiny.photo(number)).save(data, "png")
            archive.writestr(f"{'ab'[number % 2]}/{number}.png", data.getvalue())
            paths.append(f"photos.zip/{'ab'[number % 2]}/{number}.png")
    values = np.random.default_rng(0).standard_normal((16, 6)).astype(np.float32)

    def read(layer: str) -> Iterator[NDArray[np.float32]]:
        yield values if layer == "fc6" else values[:, :2]

    layers = {"fc6": 6, "fc7": 2}
    write_features("feats.h5", Features(layers, paths, ["a", "b"] * 8, [], {}, read), "h5")


def plot(kind: str, *arguments: str, weights: str | None = None) -> int:
    network = () if weights is None else ("--weights", weights, "--backend", BACKEND)
    return main(("plot", kind, *network, *arguments))


def pixels(path: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("RGB"))


def saved(figure: Any, dpi: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return np.asarray(Image.open(file).convert("RGB"))


CASES = [
    ("filters", ["--layer", "conv2"], lambda net: plots.filters(net, "conv2")),
    (
        "activations",
        ["cat.png", "--layer", "relu2", "--channels", "5, 0"],
        lambda net: plots.activations(net, "cat.png", "relu2", [5, 0]),
    ),
    (
        "occlusion",
        ["cat.png", "--label", "bee", "--window", "5", "--stride", "3"],
        lambda net: plots.occlusion(net, "cat.png", "bee", 5, 3),
    ),
    ("top", ["cat.png", "--top", "3"], lambda net: plots.top_k(net, "cat.png", 3)),
    (
        "tsne",
        ["feats.h5", "--layer", "fc7", "--perplexity", "3", "--seed", "5", "--sample", "11"],
        lambda net: plots.tsne("feats.h5", "fc7", True, 3, 5, 11),
    ),
    (
        "tsne",
        ["feats.h5", "--no-thumbnails"],
        lambda net: plots.tsne("feats.h5", thumbnails=False),
    ),
]


@pytest.mark.parametrize(("kind", "arguments", "draw"), CASES)
def test_the_picture_is_the_one_of_the_library(
    kind: str, arguments: list[str], draw: Any, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    network = None if kind == "tsne" else weights
    assert plot(kind, *arguments, "-o", "a.png", "--dpi", "70", weights=network) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("a.png\n", "")
    expected = saved(draw(DecafNet(weights, backend=BACKEND)), 70)
    np.testing.assert_array_equal(pixels("a.png"), expected)


def test_photos_of_an_archive_are_drawn() -> None:
    figure = plots.tsne("feats.h5")
    assert figure.axes[0].images
    assert not plots.tsne("feats.h5", thumbnails=False).axes[0].images


def test_times(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert plot("times", "--repeat", "1", "-o", "noise.png", weights=weights) == 0
    assert plot("times", "cat.png", "cat.png", "-o", "two.svg", weights=weights) == 0
    assert capsys.readouterr().out == "noise.png\ntwo.svg\n"


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".PNG"])
def test_every_format_is_written_in_the_same_bytes_every_time(weights: str, suffix: str) -> None:
    for name in ("a", "b"):
        assert plot("top", "cat.png", "-o", f"{name}{suffix}", weights=weights) == 0
    data = Path(f"a{suffix}").read_bytes()
    assert data.startswith(STARTS[suffix.lower()])
    assert data == Path(f"b{suffix}").read_bytes()
    assert not re.search(rb"Matplotlib v|matplotlib [0-9]|CreationDate|<dc:date>", data)


def test_a_matplotlibrc_changes_no_byte(weights: str) -> None:
    style = "savefig.transparent: True\nsavefig.bbox: tight\nimage.cmap: gray\ntext.color: white\n"
    Path("matplotlibrc").write_text(style + "path.simplify: False\nfigure.facecolor: black\n")
    Path("elsewhere").mkdir()
    for folder in (".", "elsewhere"):  # matplotlib reads the one of the folder it starts in
        done = python(
            "-m", "decaf", "plot", "occlusion", os.path.abspath("cat.png"), "-o", "a.png",
            "--weights", weights, "--backend", BACKEND, cwd=folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert Path("a.png").read_bytes() == Path("elsewhere/a.png").read_bytes()


def test_settings_of_matplotlib_are_left_as_they_were(weights: str) -> None:
    import matplotlib

    with matplotlib.rc_context({"image.cmap": "gray"}):
        before = matplotlib.rcParams.copy()
        assert plot("filters", "-o", "a.png", weights=weights) == 0
        names = [name for name in before if name != "backend"]  # which asks pyplot
        assert all(before[name] == matplotlib.rcParams[name] for name in names)


def test_a_picture_of_too_many_pixels_is_refused(
    weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    channels = ",".join(["0"] * 512)
    drawn = ("activations", "cat.png", "--channels", channels, "-o", "a.png", "--dpi")
    assert plot(*drawn, "600", weights=weights) == 2
    assert "a.png: a picture must have at most 100,000,000 pixels" in capsys.readouterr().err
    assert not Path("a.png").exists()


def test_photos_are_not_opened_where_none_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    # By its name the module is the function of the same name.
    monkeypatch.setattr(sys.modules["decaf.plots.tsne"], "thumbnail", opened.append)
    assert plot("tsne", "feats.h5", "--no-thumbnails", "-o", "a.png") == 0
    assert not opened
    assert plot("tsne", "feats.h5", "-o", "a.png") == 0
    assert opened


def test_a_picture_that_is_there_is_replaced_and_nothing_else_is_left(weights: str) -> None:
    Path("a.png").write_bytes(b"old")
    before = set(os.listdir())
    assert plot("filters", "-o", "a.png", weights=weights) == 0
    assert Path("a.png").read_bytes().startswith(STARTS[".png"])
    assert set(os.listdir()) == before


def test_a_photo_from_stdin(weights: str) -> None:
    done = python(
        "-m", "decaf", "plot", "top", "-", "--weights", weights, "--backend", BACKEND,
        "-o", "a.png", input=Path("cat.png").read_bytes(),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"a.png" + os.linesep.encode(), b"")


@pytest.mark.parametrize("kind", ["activations", "occlusion", "top", "times"])
@pytest.mark.parametrize("photo", ["nowhere.png", "notes.txt", "album"])
def test_a_photo_that_cannot_be_used(
    kind: str, photo: str, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plot(kind, photo, "-o", "a.png", weights=weights) == 1
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert err.startswith("decaf: ") and photo in err
    assert not Path("a.png").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["filters", "--layer", "pool1"], "pool1"),
        (["filters", "--layer", "conv9"], "conv9"),
        (["activations", "cat.png", "--layer", "fc6"], "fc6"),
        (["activations", "cat.png", "--channels", "16"], "channels must be"),
        (["occlusion", "cat.png", "--label", "unicorn"], "unicorn"),
        (["tsne", "nowhere.h5"], "nowhere.h5"),
        (["tsne", "notes.txt"], "notes.txt"),
        (["tsne", "feats.h5", "--layer", "fc8"], "fc8"),
        (["tsne", "feats.h5", "--perplexity", "-1"], "perplexity"),
        (["top", "cat.png", "--top", "51"], "k must be a whole number; expected 1 to 50"),
        (["tsne", "feats.h5", "--sample", "2"], "sample"),
        (["top", "cat.png", "--weights", "nowhere.h5"], "nowhere.h5"),
    ],
)
def test_what_cannot_be_drawn(
    arguments: list[str], reason: str, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own = arguments[0] == "tsne" or "--weights" in arguments
    status = plot(*arguments, "-o", "a.png", weights=None if own else weights)
    out, err = capsys.readouterr()
    assert (status, out) == (2, "") and len(err.splitlines()) == 1
    assert err.startswith("decaf: error: ") and reason in err
    assert not Path("a.png").exists()


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("a.gif", "must end in .png, .svg, .pdf; got '.gif'"),
        ("a", "must end in"),
        ("album", "must end in"),
        (os.path.join("nowhere", "a.png"), "the folder of a picture must be there"),
        ("folder.png", "got a folder"),
    ],
)
def test_an_output_that_cannot_be_written_is_known_before_the_work(
    output: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("folder.png").mkdir()
    assert plot("filters", "-o", output, weights="nowhere.h5") == 2  # no weights are looked for
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and reason in err and output in err


def test_a_full_disk_leaves_the_old_picture(
    weights: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    Path("a.png").write_bytes(b"old")
    before = set(os.listdir())
    monkeypatch.setattr(os, "fsync", full)
    assert plot("filters", "-o", "a.png", weights=weights) == 2
    assert "a.png: must be a file that can be written; got No space" in capsys.readouterr().err
    assert Path("a.png").read_bytes() == b"old" and set(os.listdir()) == before


def test_without_matplotlib(
    weights: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    for kind, *arguments in (["filters"], ["top", "cat.png"], ["times"], ["occlusion", "cat.png"]):
        assert plot(kind, *arguments, "-o", "a.png", weights=weights) == 2
        assert "pip install matplotlib" in capsys.readouterr().err
    assert plot("tsne", "feats.h5", "-o", "a.png") == 2
    assert "pip install matplotlib" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["portrait", "-o", "a.png"],
        ["filters"],
        ["filters", "-o", "a.png", "--dpi", "10000"],
        ["activations", "-o", "a.png"],
        ["activations", "cat.png", "-o", "a.png", "--channels", "1,x"],
        ["occlusion", "cat.png", "-o", "a.png", "--stride", "0"],
        ["tsne", "feats.h5", "-o", "a.png", "--seed", "-1"],
        ["tsne", "feats.h5", "-o", "a.png", "--seed", "4294967296"],
        ["tsne", "feats.h5", "-o", "a.png", "--weights", "w.h5"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(("plot", *arguments))
    assert ended.value.code == 2 and capsys.readouterr().out == ""


@pytest.mark.parametrize("before", [True, False])
def test_debug_is_understood_in_both_places(before: bool, weights: str) -> None:
    options = ("filters", "-o", "a.png", "--weights", weights, "--backend", BACKEND)
    assert main(("plot", "--debug", *options) if before else ("plot", *options, "--debug")) == 0
