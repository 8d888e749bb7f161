"""Extraction: what is in the file, what stops it, and how it goes on."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tiny
from PIL import Image
from processes import python

from decaf import ops
from decaf.errors import ArchitectureError, FeaturesError
from decaf.features import extraction
from decaf.features.extraction import extract
from decaf.features.files import load_features
from decaf.net import DecafNet

COUNT = 20  # photos, of which one cannot be read


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("weights") / "tiny.h5")


@pytest.fixture(scope="module")
def net(weights: Path) -> DecafNet:
    return DecafNet(weights, backend=ops.available()[0])


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos of two classes, in the current folder, and chunks of four photos."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(extraction, "CHUNK_PHOTOS", 4)
    make_photos(Path("photos"))


def make_photos(folder: Path) -> None:
    for number in range(COUNT):
        place = folder / ("bee", "ant")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tiny.photo(number)).save(place / f"{number:02}.png")
    (folder / "ant" / "05.png").write_bytes(b"no photo")


def names() -> list[str]:
    every = [f"photos/{('bee', 'ant')[n % 2]}/{n:02}.png" for n in range(COUNT)]
    return sorted(set(every) - {"photos/ant/05.png"})


def test_what_is_in_the_file(net: DecafNet) -> None:
    features = extract(["photos"], "f.h5", layers=["relu6", "decaf5"], net=net, batch_size=3)
    want = net.features(names(), ["relu6", "pool5"])
    with h5py.File("f.h5") as file:  # as anybody reads it
        np.testing.assert_array_equal(file["relu6"][:], want["relu6"])
        np.testing.assert_array_equal(file["decaf5"][:], want["pool5"])
        assert list(file["paths"].asstr()[:]) == names()
        assert list(file["labels"].asstr()[:]) == [name.split("/")[1] for name in names()]
        ((path, reason),) = file["failed"].asstr()[:]
        assert path == "photos/ant/05.png" and reason.startswith("must be a photo")
    assert features.layers == {"relu6": 11, "decaf5": 90}
    np.testing.assert_array_equal(features["decaf5"], want["pool5"])
    assert not list(Path().glob("*partial*")) and not list(Path().glob(".*"))
    info = features.info
    assert info["weights_sha256"] == net.info()["weights_sha256"]
    assert info["preprocessing"] == net.preprocessing.to_dict()
    assert info["layers"]["decaf5"] == {"layer": "pool5", "shape": [10, 3, 3]}
    assert info["photos"]["count"] == COUNT


def test_the_digest_is_that_of_the_weights_file(net: DecafNet, weights: Path) -> None:
    import hashlib

    assert net.info()["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()


@pytest.mark.parametrize("options", [{"oversample": True}, {"pooling": "average"}])
def test_crops_and_pooling(net: DecafNet, options: dict[str, Any]) -> None:
    features = extract(["photos"], "f.h5", layers="pool5", net=net, **options)
    want = net.features(names(), "pool5", oversample="oversample" in options)
    if "pooling" in options:
        want = want.reshape(len(want), 10, 9).mean(axis=2)
    np.testing.assert_allclose(features["pool5"], want, rtol=1e-6)


@pytest.mark.parametrize("name", ["f.npz", "f.parquet"])
def test_other_formats(net: DecafNet, name: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    features = extract(["photos"], name, layers=["relu6", "pool5"], net=net)
    plain = extract(["photos"], "f.h5", layers=["relu6", "pool5"], net=net)
    for layer in features.layers:
        np.testing.assert_array_equal(features[layer], plain[layer])
    assert list(features.paths) == list(plain.paths)
    assert list(features.failed) == list(plain.failed)
    assert features.info == plain.info
    again = extract(["photos"], name, layers=["relu6", "pool5"], net=net, resume=True)
    assert again.info == plain.info


def test_an_archive_gives_what_its_folder_gives(net: DecafNet) -> None:
    with zipfile.ZipFile("photos.zip", "w") as archive:
        for path in sorted(Path("photos").rglob("*.png"), reverse=True):
            archive.write(path, path.relative_to("photos").as_posix())
    folder = extract(["photos"], "folder.h5", net=net)
    zipped = extract(["photos.zip"], "zipped.h5", net=net)
    np.testing.assert_array_equal(zipped["relu6"], folder["relu6"])
    assert list(zipped.labels) == list(folder.labels)
    assert zipped.paths[0] == "photos.zip/ant/01.png"


# --- stopped, and resumed ---


def stopped_after(blocks: int) -> Callable[[Any], None]:
    left = [blocks]

    def stop(_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("blocks", range(8))
def test_an_interrupt_loses_nothing_that_was_shown(net: DecafNet, blocks: int) -> None:
    whole = extract(["photos"], "whole.h5", net=net)
    with pytest.raises(KeyboardInterrupt):
        extract(["photos"], "f.h5", net=net, batch_size=3, on_block=stopped_after(min(blocks, 6)))
    assert not Path("f.h5").exists()
    seen: list[int] = []
    again = extract(
        ["photos"], "f.h5", net=net, resume=True, on_block=lambda block: seen.append(block.first)
    )
    assert seen[:1] in ([3 * (min(blocks, 6) + 1)], [])  # no photo is computed twice
    assert Path("f.h5").read_bytes() == Path("whole.h5").read_bytes()
    assert len(again) == len(whole) == COUNT - 1


KILLED = """
import os, signal, sys
calls = int(sys.argv[1])
def counted(function):
    def call(*arguments, **options):
        global calls
        if calls == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        calls -= 1
        return function(*arguments, **options)
    return call
os.fsync, os.replace, os.unlink, os.rename = map(
    counted, (os.fsync, os.replace, os.unlink, os.rename))
from decaf.features import extraction
extraction.CHUNK_PHOTOS = 4
extraction.extract(["photos"], "f.h5", weights=sys.argv[2], resume=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_killed_at_every_step_that_touches_the_disk(weights: Path, net: DecafNet) -> None:
    """Each step that reaches the disk is the last one of a process, then --resume ends."""
    extract(["photos"], "whole.h5", net=net)
    want = Path("whole.h5").read_bytes()
    for step in range(100):
        for path in Path().glob("*f.h5*"):
            path.unlink()
        done = python("-c", KILLED, str(step), str(weights))
        killed = done.returncode != 0
        assert done.returncode in (0, -9), done.stderr.decode()
        if Path("f.h5").exists():
            assert Path("f.h5").read_bytes() == want
        extract(["photos"], "f.h5", net=net, resume=True)
        assert Path("f.h5").read_bytes() == want, step
        left = sorted(path.name for path in Path().iterdir())
        assert left == ["f.h5", "photos", "whole.h5"], step
        if not killed:
            break
    assert step > 6  # create, five chunks, the output and its names


def test_resuming_what_is_finished_does_nothing(
    net: DecafNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(["photos"], "f.h5", net=net)
    before = Path("f.h5").stat()
    monkeypatch.setattr(extraction, "compute", None)
    extract(["photos"], "f.h5", net=net, resume=True)
    assert Path("f.h5").stat().st_mtime_ns == before.st_mtime_ns


# --- refused before any work ---


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "compute", None)  # calling it would be a TypeError


@pytest.mark.usefixtures("no_work")
class TestRefused:
    def test_an_output_that_exists(self, net: DecafNet) -> None:
        Path("f.h5").write_bytes(b"mine")
        with pytest.raises(FeaturesError, match=r"^f\.h5: must not exist"):
            extract(["photos"], "f.h5", net=net)
        with pytest.raises(FeaturesError, match=r"f\.h5"):  # and is no feature file
            extract(["photos"], "f.h5", net=net, resume=True)
        assert Path("f.h5").read_bytes() == b"mine"

    def test_no_photos(self, net: DecafNet) -> None:
        Path("empty").mkdir()
        Path("notes").mkdir()
        Path("notes/a.txt").write_text("no photo")
        for photos in ("empty", "notes", "missing"):
            with pytest.raises(FeaturesError, match=photos):
                extract([photos], "f.h5", net=net)
        with pytest.raises(FeaturesError):
            extract([], "f.h5", net=net)
        self.nothing_was_made()

    def test_wrong_arguments(self, net: DecafNet) -> None:
        for error, options in (
            (ArchitectureError, {"layers": "fc9"}),
            (FeaturesError, {"layers": []}),
            (FeaturesError, {"pooling": "mean"}),
            (FeaturesError, {"format": "csv"}),
        ):
            with pytest.raises(error):
                extract(["photos"], "f.h5", net=net, **options)
        for output in ("nowhere/f.h5", "photos", "f.csv"):
            with pytest.raises(FeaturesError, match=output):
                extract(["photos"], output, net=net)
        self.nothing_was_made()

    def test_a_disk_that_is_too_small(self, net: DecafNet, monkeypatch: pytest.MonkeyPatch) -> None:
        free = shutil.disk_usage(".")._replace(free=COUNT * 11 * 4 * 2 - 1)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
        with pytest.raises(FeaturesError, match=r"^f\.h5: must fit on its disk; expected \d"):
            extract(["photos"], "f.h5", net=net)
        self.nothing_was_made()

    @staticmethod
    def nothing_was_made() -> None:
        assert not [path for path in Path().iterdir() if "f.h5" in path.name]


@pytest.fixture
def begun(net: DecafNet) -> Path:
    with pytest.raises(KeyboardInterrupt):
        extract(["photos"], "f.h5", net=net, batch_size=3, on_block=stopped_after(1))
    return Path("f.h5.partial")


def test_what_was_begun_is_not_begun_again(begun: Path, net: DecafNet) -> None:
    before = begun.read_bytes()
    with pytest.raises(FeaturesError, match=r"f\.h5\.partial: must not exist.*resume"):
        extract(["photos"], "f.h5", net=net)
    assert begun.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layers": "relu7"}, "layers: .*relu6.* then, .*relu7.* now"),
        ({"oversample": True}, "oversample: false then, true now"),
        ({"pooling": "max"}, "pooling: null then"),
        ({"photos": ["photos/ant"]}, 'photos: .*"count": 20.* then, .*"count": 10.* now'),
    ],
)
def test_another_request_does_not_resume(
    begun: Path, net: DecafNet, change: dict[str, Any], said: str
) -> None:
    before = begun.read_bytes()
    options = {"photos": ["photos"], **change}
    with pytest.raises(FeaturesError, match=said):
        extract(output="f.h5", net=net, resume=True, **options)
    assert begun.read_bytes() == before
    extract(["photos"], "f.h5", net=net, resume=True)  # it may still be
    with pytest.raises(FeaturesError, match=said):  # of the finished file
        extract(output="f.h5", net=net, resume=True, **options)


def test_another_network_or_recipe_does_not_resume(
    begun: Path, net: DecafNet, tmp_path: Path
) -> None:
    import dataclasses

    from decaf.weights import save_weights

    other = tmp_path / "other.h5"
    for recipe, seed, said in (
        (tiny.PREPROCESSING, 1, "weights sha256"),
        (dataclasses.replace(tiny.PREPROCESSING, channels="RGB"), 0, "preprocessing: .*BGR"),
    ):
        save_weights(
            other, tiny.ARCHITECTURE, tiny.parameters(seed), preprocessing=recipe,
            labels=tiny.LABELS,
        )  # fmt: skip
        with pytest.raises(FeaturesError, match=said):
            extract(["photos"], "f.h5", weights=other, resume=True)
    assert begun.exists()


@pytest.mark.parametrize(("calls_that_work", "file"), [(4, "f.h5.partial"), (6, "f.h5")])
def test_a_disk_that_fills_up(net: DecafNet, calls_that_work: int, file: str) -> None:
    extract(["photos"], "whole.h5", net=net)
    calls = itertools.count()
    fsync = os.fsync

    def full(descriptor: int) -> None:
        if next(calls) >= calls_that_work:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(FeaturesError, match=rf"^{file}: .*No space left"):
            extract(["photos"], "f.h5", net=net, batch_size=3)
    assert not Path("f.h5").exists()
    seen: list[int] = []
    extract(["photos"], "f.h5", net=net, resume=True, on_block=lambda b: seen.append(b.first))
    assert seen[:1] == ([12] if file == "f.h5.partial" else [])  # nothing is done twice
    assert Path("f.h5").read_bytes() == Path("whole.h5").read_bytes()


def test_all_photos_unreadable(net: DecafNet) -> None:
    Path("bad").mkdir()
    for number in range(3):
        Path(f"bad/{number}.jpg").write_bytes(b"no photo")
    features = extract(["bad"], "f.h5", net=net)
    assert len(features) == 0 and features["relu6"].shape == (0, 11)
    assert [path for path, _ in features.failed] == [f"bad/{n}.jpg" for n in range(3)]
    assert len(load_features("f.h5").failed) == 3
