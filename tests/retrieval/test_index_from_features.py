"""A feature file becomes an index: the same as of the photos themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image

from decaf import ops
from decaf.cli import main
from decaf.errors import FeaturesError
from decaf.features.contents import Features
from decaf.features.files import load_features, write_features
from decaf.retrieval import add_features, from_features, index_features
from decaf.retrieval.index import Index

BACKEND = ("--backend", ops.available()[0])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save(tmp_path_factory.mktemp("weights") / "tiny.h5"))


@pytest.fixture(autouse=True)
def inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for folder, numbers in (("photos", range(12)), ("more", range(12, 16))):
        Path(folder).mkdir()
        for number in numbers:
            Image.fromarray(tiny.photo(number)).save(f"{folder}/{number:02}.png")
        options = ("--weights", weights, *BACKEND, "--layers", "decaf6,fc7", "--oversample")
        assert main(["features", folder, "-o", f"{folder}.h5", *options]) == 0
    capsys.readouterr()


def changed(path: str, info: dict[str, Any], paths: list[str] | None = None) -> str:
    """The file with other information."""
    old = load_features("photos.h5")
    made = Features(old.layers, paths or list(old.paths), list(old.labels), [], info, old.blocks)
    write_features(path, made, "h5")
    return path


def test_it_is_that_of_the_photos(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--weights", weights, *BACKEND)
    assert main(["index", "photos.h5"]) == 0
    said = capsys.readouterr()
    assert said.out == "photos.index\n" and "learned from 12 photos" in said.err
    direct = ["index", "photos", "-o", "direct.index", "--layer", "relu6", "--oversample"]
    assert main([*direct, *options]) == 0
    assert main(["index", "more.h5", "-o", "photos.index", "--add"]) == 0
    assert main(["index", "more", "-o", "direct.index", "--add", *options]) == 0
    found, want = Index.open("photos.index"), Index.open("direct.index")
    assert list(found.paths) == list(want.paths) and len(found) == 16
    assert found.info == want.info
    for one, two in zip(found.blocks(), want.blocks(), strict=True):
        np.testing.assert_array_equal(one.vectors, two.vectors)
    capsys.readouterr()
    assert main(["search", "photos.index", "more/13.png", "--top", "1", *options]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "  0.0000  more/13.png"
    assert main(["index", "more.h5", "-o", "photos.index", "--add"]) == 0
    assert "4 photos left out" in capsys.readouterr().err


def test_layers_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--layer", "fc7", "--dimensions", "3", "--whiten", "1")
    assert main(["index", "photos.h5", "-o", "x.index", *asked]) == 0
    found = Index.open("x.index")
    assert found.info["layer"] == "fc7" and found.dimensions == 3 and found.transform.whiten == 1
    assert index_features("photos.h5", "y.index", layer="relu6").index.info["layer"] == "relu6"
    capsys.readouterr()
    for wrong, said in (
        (("--layer", "fc6"), "the layer must be one of the file; expected decaf6, fc7, got 'fc6'"),
        (("--oversample",), "--oversample must not be given with a feature file"),
        (("--pooling", "max"), "--pooling must not be"),
        (("--weights", "squeezenet"), "--weights must not be"),
        (("--levels", "2"), "--levels must be 1"),
        (("--add", "--layer", "decaf6", "-o", "x.index"), "layer: fc7 then, relu6 now"),
        (("--add", "--dimensions", "4", "-o", "x.index"), "--dimensions must be that of"),
        (("-o", "x.index"), "x.index: must not exist"),
    ):
        assert main(["index", "photos.h5", "-o", "z.index", *wrong]) == 2
        assert said in capsys.readouterr().err
    assert sorted(os.listdir()) == sorted(
        ["photos", "more", "photos.h5", "more.h5", "x.index", "y.index"]
    )


def test_what_does_not_say_what_made_it() -> None:
    info = load_features("photos.h5").info
    layers = {"decaf6": {"layer": "relu6"}, "fc7": {"layer": "fc7"}}
    for wrong in (
        {"layers": None}, {"layers": {"decaf6": 1}}, {"layers": {"decaf6": {"layer": 3}}},
        {"oversample": 1}, {"pooling": "x" * 10_000}, {"architecture": None}, {"preprocessing": {}},
    ):  # fmt: skip
        with pytest.raises(FeaturesError, match=r"^wrong\.h5: .*must say which network") as refused:
            index_features(changed("wrong.h5", {**info, **wrong}), "z.index")
        assert len(str(refused.value)) < 400
    index_features("photos.h5", "x.index")
    other = changed("other.h5", {**info, "layers": layers, "weights_sha256": "0" * 64})
    with pytest.raises(FeaturesError, match=r"x\.index: .*weights sha256"):
        add_features(Index.open("x.index"), other)
    assert not Path("z.index").exists()


def test_many_photos_and_names_that_stand_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    info = load_features("photos.h5").info
    twice = [f"{number % 10}.png" for number in range(12)]
    changed("twice.h5", info, twice)
    monkeypatch.setattr("decaf.retrieval.build.SAMPLE", 6)
    monkeypatch.setattr(from_features, "CHUNK", 5)
    built = index_features("twice.h5", "x.index", layer="fc7")
    assert (built.learned, built.known, len(built.index)) == (6, 2, 10)
    assert list(built.index.paths) == twice[:10]
    want = built.index.transform.transform(load_features("photos.h5")["fc7"][:10])
    found = np.concatenate([block.vectors[:, 0] for block in built.index.blocks()])
    np.testing.assert_array_equal(found, want)
