"""Extraction: what is in the file, what stops it, and how it goes on."""

from __future__ import annotations

import dataclasses
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

from decaf import files, ops
from decaf.errors import ArchitectureError, DecafError, FeaturesError, ShapeError
from decaf.features import extraction
from decaf.features.extraction import extract
from decaf.features.files import load_features
from decaf.features.journal import Journal
from decaf.features.sources import find_photos
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


KILLED_INSIDE = """
import os, signal, sys
from decaf.features import extraction
write = extraction.write_features
def half(target, features, *arguments, **options):
    read = features._read
    def blocks(layer):
        if layer == "pool5":
            os.kill(os.getpid(), signal.SIGKILL)
        yield from read(layer)
    object.__setattr__(features, "_read", blocks)
    write(target, features, *arguments, **options)
extraction.write_features = half
extraction.extract(["photos"], sys.argv[1], layers=["relu6", "pool5"], weights=sys.argv[2])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("kind", ["h5", "npz", "parquet"])
def test_killed_in_the_middle_of_the_output(weights: Path, net: DecafNet, kind: str) -> None:
    """What is left is known to be ours, however far the library came, and is made again."""
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    done = python("-c", KILLED_INSIDE, f"f.{kind}", str(weights))
    assert done.returncode == -9, done.stderr.decode()
    left = {path.name for path in Path().glob("f.*")}
    assert {f"f.{kind}.partial", f"f.{kind}.partial.output"} <= left
    extract(["photos"], f"f.{kind}", layers=["relu6", "pool5"], net=net, resume=True)
    assert {path.name for path in Path().glob("f.*")} == {f"f.{kind}"}


def test_the_name_is_on_the_disk_before_the_journal_goes(
    net: DecafNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power failure could take both."""
    seen: list[tuple[bool, bool]] = []
    sync = files.sync_folder

    def watched(folder: Path) -> None:
        seen.append((Path("f.h5").exists(), Path("f.h5.partial").exists()))
        sync(folder)

    monkeypatch.setattr(files, "sync_folder", watched)
    extract(["photos"], "f.h5", net=net)
    assert seen[-1] == (True, True)
    assert not Path("f.h5.partial").exists()


def test_an_output_that_cannot_be_read_costs_nothing(
    net: DecafNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise FeaturesError(f"{path}: damaged")

    with monkeypatch.context() as patched:
        patched.setattr(extraction, "load_features", fail)
        with pytest.raises(FeaturesError, match=r"f\.h5: damaged"):
            extract(["photos"], "f.h5", net=net)
    Path("f.h5").unlink()
    seen: list[int] = []
    extract(["photos"], "f.h5", net=net, resume=True, on_block=lambda b: seen.append(b.first))
    assert not seen and len(load_features("f.h5")) == COUNT - 1


def test_an_output_that_appears_meanwhile_is_kept(net: DecafNet) -> None:
    def late(_: object) -> None:
        Path("f.h5").write_bytes(b"mine")

    with pytest.raises(FeaturesError, match=r"^f\.h5: must not exist; got a file that appeared"):
        extract(["photos"], "f.h5", net=net, on_block=late)
    assert Path("f.h5").read_bytes() == b"mine"
    Path("f.h5").unlink()
    assert len(extract(["photos"], "f.h5", net=net, resume=True)) == COUNT - 1


def test_resuming_what_is_finished_does_nothing(
    net: DecafNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(["photos"], "f.h5", net=net)
    before = Path("f.h5").stat()
    monkeypatch.setattr(extraction, "compute", None)
    extract(["photos"], "f.h5", net=net, resume=True)
    assert Path("f.h5").stat().st_mtime_ns == before.st_mtime_ns


# --- refused before any work ---


def link(place: Path, target: str) -> None:
    try:
        place.symlink_to(target)
    except OSError:
        pytest.skip("links cannot be made here")


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
            (ShapeError, {"workers": 0}),
            (DecafError, {"workers": 2000}),
            (ShapeError, {"batch_size": 0}),
            (ShapeError, {"batch_size": "a"}),
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

    def test_texts_count_as_often_as_they_are_written(
        self, net: DecafNet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The longest path as often as there are photos: 20 times 17 bytes, and 3 of label."""
        features = 2 * COUNT * 11 * 4
        for output, texts in (("f.h5", COUNT * 20), ("f.npz", COUNT * 80)):
            free = shutil.disk_usage(".")._replace(free=features + texts - 1)
            monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: free)
            with pytest.raises(FeaturesError, match=f"expected {features + texts:,} bytes"):
                extract(["photos"], output, net=net)

    @pytest.mark.parametrize("what", ["path", "label"])
    def test_texts_too_long_for_the_output(self, net: DecafNet, what: str) -> None:
        source = dataclasses.replace(find_photos(["photos"]).photos[0], **{what: "x" * 70_000})
        with pytest.raises(FeaturesError, match=f"a {what} must be at most 65,536 bytes"):
            extract([source], "f.h5", net=net)
        self.nothing_was_made()

    @pytest.mark.parametrize("kind", ["h5", "parquet"])
    def test_names_too_long_for_what_lies_beside(self, net: DecafNet, kind: str) -> None:
        """The file itself could be made: it would be lost when all work is done."""
        longest = os.pathconf(".", "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
        name = "f.h5" + "x" * (longest - 5 - len(kind) - len(".partial.output")) + f".{kind}"
        for more in ("xx", "x" * 16, "x" * 300):
            with pytest.raises(FeaturesError, match="must be a place to read and write"):
                extract(["photos"], more + name, net=net)
        self.nothing_was_made()

    def test_what_the_system_refuses(self, net: DecafNet, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: object) -> None:
            raise PermissionError(13, "Permission denied")

        with pytest.raises(FeaturesError, match="must be"):
            extract(["photos"], "f\0.h5", net=net)
        for module, function in ((shutil, "disk_usage"), (os, "lstat")):
            with monkeypatch.context() as patched:
                patched.setattr(module, function, refuse)
                with pytest.raises(FeaturesError, match=r"^f\.h5: .*Permission denied"):
                    extract(["photos"], "f.h5", net=net)
        self.nothing_was_made()

    def test_a_link_to_nothing_is_an_output(self, net: DecafNet) -> None:
        """Work would end beside what it leads to, which may be on another disk."""
        link(Path("f.h5"), "nothing")
        with pytest.raises(FeaturesError, match=r"^f\.h5: must not exist"):
            extract(["photos"], "f.h5", net=net)
        with pytest.raises(FeaturesError, match=r"^f\.h5: .*got a link to nothing"):
            extract(["photos"], "f.h5", net=net, resume=True)
        assert os.readlink("f.h5") == "nothing" and not Path("nothing").exists()

    @pytest.mark.parametrize("resume", [False, True])
    @pytest.mark.parametrize("suffix", ["", ".new", ".output", ".lock"])
    @pytest.mark.parametrize("what", ["file", "link", "dangling"])
    def test_files_of_others(self, net: DecafNet, suffix: str, what: str, resume: bool) -> None:
        place = Path(f"f.h5.partial{suffix}")
        if what == "file":
            place.write_bytes(b"of the user")
        else:
            link(place, "precious")
        if what != "dangling":
            Path("precious").write_bytes(b"precious")
        before = sorted(Path().iterdir())
        with pytest.raises(FeaturesError, match=r"^f\.h5\.partial.*: .*must"):
            extract(["photos"], "f.h5", net=net, resume=resume)
        assert sorted(Path().iterdir()) == before
        assert what != "file" or place.read_bytes() == b"of the user"
        assert what == "file" or place.is_symlink()
        assert what == "dangling" or Path("precious").read_bytes() == b"precious"

    @staticmethod
    def nothing_was_made() -> None:
        assert not [path for path in Path().iterdir() if "f.h5" in path.name]


def test_parquet_without_pyarrow(net: DecafNet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "compute", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FeaturesError, match="pip install pyarrow"):
        extract(["photos"], "f.parquet", net=net)
    assert not list(Path().glob("f.*"))


def test_what_was_found_may_be_passed(net: DecafNet) -> None:
    found = find_photos(["photos"])
    one = extract(found, "one.h5", net=net)
    two = extract(found.photos, "two.h5", net=net)
    np.testing.assert_array_equal(one["relu6"], two["relu6"])
    assert Path("one.h5").read_bytes() == Path("two.h5").read_bytes()


INTERRUPTED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
calls = int(sys.argv[1])
from decaf import hdf5_sink
plain = hdf5_sink.Sink._try
def press(self, function, *arguments):
    global calls
    calls -= 1
    if calls == 0:
        os.kill(os.getpid(), signal.SIGINT)
    return plain(self, function, *arguments)
hdf5_sink.Sink._try = press
from decaf.features import extract
try:
    extract(["photos"], "f.h5", weights=sys.argv[2], resume=True)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is no signal there")
def test_ctrl_c_while_the_output_is_written(net: DecafNet, weights: Path) -> None:
    """The HDF5 library does not survive an exception in what it calls to write."""
    extract(["photos"], "whole.h5", net=net)
    for call in (1, 2, 5, 10, 15, 20, 30):  # of the library, which makes more of them
        done = python("-c", INTERRUPTED, str(call), str(weights))
        assert done.returncode == 130, done.stderr.decode()  # and no SIGSEGV
        extract(["photos"], "f.h5", net=net, resume=True)
        assert Path("f.h5").read_bytes() == Path("whole.h5").read_bytes()
        Path("f.h5").unlink()


@pytest.fixture
def begun(net: DecafNet) -> Path:
    with pytest.raises(KeyboardInterrupt):
        extract(["photos"], "f.h5", net=net, batch_size=3, on_block=stopped_after(1))
    return Path("f.h5.partial")


def test_what_goes_on_is_not_said_to_be_left_over(begun: Path, net: DecafNet) -> None:
    with Journal.open(begun), pytest.raises(FeaturesError, match="another process is writing"):
        extract(["photos"], "f.h5", net=net)


def test_what_was_begun_is_not_begun_again(begun: Path, net: DecafNet) -> None:
    before = begun.read_bytes()
    with pytest.raises(FeaturesError, match=r"f\.h5\.partial: must not exist.*resume"):
        extract(["photos"], "f.h5", net=net)
    assert begun.read_bytes() == before


@pytest.mark.parametrize("what", ["file", "link"])
def test_an_output_of_others_beside_our_journal(begun: Path, net: DecafNet, what: str) -> None:
    place = begun.with_name(f"{begun.name}.output")
    Path("precious").write_bytes(b"precious")
    if what == "link":
        link(place, "precious")
    else:
        place.write_bytes(b"of the user")
    with pytest.raises(FeaturesError, match=r"^f\.h5\.partial\.output: must"):
        extract(["photos"], "f.h5", net=net, resume=True)
    assert os.path.lexists(place) and Path("precious").read_bytes() == b"precious"
    place.unlink()
    extract(["photos"], "f.h5", net=net, resume=True)


@pytest.mark.parametrize("left", ["file", "link", "journal"])
def test_nothing_of_others_is_tidied_up(begun: Path, net: DecafNet, left: str) -> None:
    """What is beside an output that is finished goes only if it is of this very extraction."""
    extract(["photos"], "f.h5", net=net, resume=True, layers="relu6")
    if left == "journal":
        Journal.create(begun, {"of": "another"}, {"x": 1}).close()
    elif left == "file":
        begun.write_bytes(b"of the user")
    else:
        Path("precious").write_bytes(b"decaf-journal 1\n")
        link(begun, "precious")
    for suffix in (".new", ".output"):
        begun.with_name(f"{begun.name}{suffix}").write_bytes(b"of the user")
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    extract(["photos"], "f.h5", net=net, resume=True)
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before


def test_a_journal_of_another_is_left_as_it_is(net: DecafNet) -> None:
    """Not even its damaged end is cut off; and what is said of it is short and printable."""
    path = Path("f.h5.partial")
    keys = {f"\x1b[2J{number}" + "k" * 900: "\x1b" * 900 for number in range(50)}
    Journal.create(path, keys, {"x": 1}).close()
    path.write_bytes(path.read_bytes() + b"of the user")
    before = path.read_bytes()
    with pytest.raises(FeaturesError, match="must be of the same extraction") as caught:
        extract(["photos"], "f.h5", net=net, resume=True)
    assert path.read_bytes() == before
    assert len(str(caught.value)) < 1200 and str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layers": "relu7"}, "layers: .*relu6.* then, .*relu7.* now"),
        ({"oversample": True}, "oversample: false then, true now"),
        ({"pooling": "max"}, "pooling: null then"),
        ({"photos": ["photos/ant"]}, "photos: 20 then, 10 now"),
        ({"photos": ["./photos"]}, "photos: others by their names"),
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
