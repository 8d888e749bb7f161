"""Photos into an index: what is learned from, what is added, what is refused before any work."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from indexes import vectors
from PIL import Image

from decaf import ops
from decaf.errors import ArchitectureError, DecafError, FeaturesError, ShapeError
from decaf.features.sources import Source, find_photos
from decaf.net import DecafNet
from decaf.retrieval import build, reading
from decaf.retrieval.build import Options, add_photos, build_index, search_photos
from decaf.retrieval.index import Index
from decaf.retrieval.whitening import Whitening

COUNT = 20


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> DecafNet:
    path = tiny.save(tmp_path_factory.mktemp("weights") / "tiny.h5")
    return DecafNet(path, backend=ops.available()[0])


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_photos("photos", range(COUNT))


def make_photos(folder: str, numbers: range) -> None:
    Path(folder).mkdir()
    for number in numbers:
        Image.fromarray(tiny.photo(number)).save(Path(folder) / f"{number:02}.png")


def photos(*paths: str) -> list[Source]:
    return list(find_photos(paths or ["photos"]).photos)


def names(numbers: range = range(COUNT), folder: str = "photos") -> list[str]:
    return [f"{folder}/{number:02}.png" for number in numbers]


def test_what_is_in_the_index(net: DecafNet) -> None:
    built = build_index(net, photos(), "x.index", Whitening(4))
    assert list(built.index.paths) == names() and built.failed == [] and built.learned == COUNT
    features = net.features(names(), "relu6")
    want = Whitening(4).fit(features).transform(features)
    np.testing.assert_array_equal(vectors(built.index)[:, 0], want)
    assert built.index.info["weights_sha256"] == net.info()["weights_sha256"]
    assert built.index.info["layer"] == "relu6"
    assert sorted(os.listdir()) == ["photos", "x.index"]


@pytest.mark.parametrize(
    "options", [{"oversample": True, "layer": "decaf6"}, {"pooling": "max", "layer": "pool5"}]
)
def test_options_reach_the_network(net: DecafNet, options: dict[str, Any]) -> None:
    index = build_index(net, photos(), "x.index", Whitening(4), **options).index
    (hits,) = search_photos(index, net, photos("photos/03.png"), 1)
    assert not isinstance(hits, str)
    assert hits[0].path == "photos/03.png" and hits[0].distance == 0
    make_photos("more", range(50, 53))
    add_photos(index, net, photos("more"))
    ((hit, *_),) = search_photos(index, net, photos("more/51.png"))
    assert hit == ("more/51.png", 0.0)


def test_parts(net: DecafNet) -> None:
    index = build_index(net, photos(), "x.index", Whitening(4), levels=2).index
    assert index.parts == 5 and len(index) == COUNT
    found = search_photos(index, net, photos("photos/03.png", "photos/07.png"), 3)
    assert [hits[0] for hits in found] == [("photos/03.png", 0.0), ("photos/07.png", 0.0)]
    add_photos(index, net, [Source("./photos/03.png", "")])
    assert vectors(index)[3].tobytes() == vectors(index)[-1].tobytes()


def test_of_many_photos_a_sample_is_learned_from(
    net: DecafNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "SAMPLE", 8)
    monkeypatch.setattr(reading, "CHUNK", 3)
    built = build_index(net, photos(), "x.index", Whitening(4))
    first = list(built.index.paths)[:8]
    assert built.learned == 8 and len(built.index) == COUNT
    assert first == sorted(first) and first != names()[:8]  # drawn from all, in their order
    assert sorted(built.index.paths) == names()
    whitening = Whitening(4).fit(net.features(first, "relu6"))
    want = whitening.transform(net.features(list(built.index.paths), "relu6"))
    np.testing.assert_array_equal(vectors(built.index)[:, 0], want)
    assert [len(block.vectors) for block in built.index.blocks()] == [3, 3, 2, 3, 3, 3, 3]
    build_index(net, photos(), "y.index", Whitening(4))
    assert Path("x.index").read_bytes() == Path("y.index").read_bytes()


def test_photos_that_cannot_be_read(net: DecafNet) -> None:
    Path("photos/05.png").write_bytes(b"no photo")
    seen: list[int] = []
    built = build_index(
        net, photos(), "x.index", Whitening(4), options=Options(on_photos=seen.append)
    )
    ((path, reason),) = built.failed
    assert path == "photos/05.png" and reason.startswith("must be a photo")
    assert list(built.index.paths) == [n for n in names() if n != path] and sum(seen) == COUNT
    found = search_photos(built.index, net, photos("photos/01.png", "photos/05.png"), 1)
    assert found[0] == [("photos/01.png", 0.0)] and str(found[1]).startswith("must be a photo")
    added = add_photos(built.index, net, photos())  # the others are there
    assert [p for p, _ in added.failed] == [path] and added.known == COUNT - 1


def test_a_photo_counts_once(net: DecafNet) -> None:
    built = build_index(net, photos("photos", "photos/03.png"), "x.index", Whitening(4))
    assert list(built.index.paths) == names() and built.known == 1
    before = Path("x.index").read_bytes()
    added = add_photos(built.index, net, photos())
    assert added.known == COUNT and len(added.index) == COUNT
    assert len(Index.open("x.index")) == COUNT
    added.index.compact()
    assert Path("x.index").read_bytes()[12288:] == before[12288:]


def test_an_error_while_adding_leaves_the_index_as_it_was(
    net: DecafNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = build_index(net, photos(), "x.index", Whitening(4)).index
    before = Path("x.index").read_bytes()
    make_photos("more", range(50, 60))
    monkeypatch.setattr(reading, "CHUNK", 4)

    def stop(_: int, left: list[int] = [5]) -> None:  # noqa: B006
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    options = Options(batch_size=1, on_photos=stop)
    with pytest.raises(KeyboardInterrupt):
        add_photos(index, net, photos("more"), options=options)
    assert Path("x.index").read_bytes() == before and len(index) == COUNT
    with pytest.raises(KeyboardInterrupt):
        build_index(net, photos(), "y.index", Whitening(4), options=options)
    assert sorted(os.listdir()) == ["more", "photos", "x.index"]


# --- refused before any work ---


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "gather", None)  # calling it would be a TypeError


@pytest.mark.usefixtures("no_work")
class TestRefused:
    @pytest.mark.parametrize(
        ("error", "options"),
        [
            (ArchitectureError, {"layer": "fc9"}),
            (FeaturesError, {"pooling": "mean"}),
            (ShapeError, {"levels": 0}),
            (ShapeError, {"options": Options(batch_size=0)}),
            (DecafError, {"options": Options(workers=2000)}),
            (FeaturesError, {"output": "nowhere/x.index"}),
            (FeaturesError, {"output": "photos"}),
            (FeaturesError, {"photos": []}),
            (FeaturesError, {"photos": [Source("photos/01.png", "")] * 2}),
            (FeaturesError, {"photos": [Source("x" * 70_000, ""), Source("photos/01.png", "")]}),
        ],
    )
    def test_wrong_arguments(
        self, net: DecafNet, error: type[DecafError], options: dict[str, Any]
    ) -> None:
        arguments = {"photos": photos(), "output": "x.index", **options}
        with pytest.raises(error):
            build_index(net, **arguments)
        assert os.listdir() == ["photos"]

    def test_an_output_that_exists(self, net: DecafNet) -> None:
        Path("x.index").write_bytes(b"mine")
        with pytest.raises(FeaturesError, match=r"x\.index: must not exist"):
            build_index(net, photos(), "x.index")
        assert Path("x.index").read_bytes() == b"mine"

    def test_features_without_end(self, net: DecafNet, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(build, "LARGEST_D", 89)
        with pytest.raises(FeaturesError, match="pool5: .*at most 89; got 90 .*pooling"):
            build_index(net, photos(), "x.index", layer="pool5")

    def test_a_disk_that_is_too_small(self, net: DecafNet, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = namedtuple("usage", "free")
        needed = COUNT * (4 * 5 + len("photos/00.png") + 8)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(needed - 1))
        with pytest.raises(FeaturesError, match=f"expected {needed:,} bytes free"):
            build_index(net, photos(), "x.index", Whitening(4))
        assert os.listdir() == ["photos"]


def test_another_network_is_refused_before_any_work(
    net: DecafNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = build_index(net, photos(), "x.index", Whitening(4)).index
    before = Path("x.index").read_bytes()
    monkeypatch.setattr(reading, "gather", None)
    for work in (add_photos, search_photos):
        with pytest.raises(
            FeaturesError, match=r"expected architecture 'tiny <&>', got 'decaf_mini'"
        ):
            work(index, DecafNet(), photos())
    for wrong in ({"k": 0}, {"backend": "annoy"}):
        with pytest.raises((FeaturesError, ShapeError)):
            search_photos(index, net, photos(), **wrong)
    assert Path("x.index").read_bytes() == before


def test_nothing_to_learn_from(net: DecafNet) -> None:
    for number in range(COUNT):
        Image.new("RGB", (20, 20), "red").save(f"photos/{number:02}.png")
    with pytest.raises(FeaturesError, match="must differ from photo to photo"):
        build_index(net, photos(), "x.index")
    for number in range(1, COUNT):
        Path(f"photos/{number:02}.png").write_bytes(b"no photo")
    with pytest.raises(FeaturesError, match=r"can be read; expected 2, got 1 \(photos/01\.png: "):
        build_index(net, photos(), "x.index")
    assert os.listdir() == ["photos"]


def test_an_index_that_lies_about_its_layer(net: DecafNet) -> None:
    """As one from a stranger may."""
    whitening = Whitening(4).fit(np.random.default_rng(0).random((20, 11), np.float32))
    for number, (key, value) in enumerate(
        (("layer", None), ("layer", 3), ("oversample", "no"), ("pooling", "mean"), ("layer", "fc7"))
    ):
        info = {**build.describe(net, "relu6"), key: value}
        index = Index.create(f"{number}.index", info, whitening)
        with pytest.raises(DecafError):
            search_photos(index, net, photos())
