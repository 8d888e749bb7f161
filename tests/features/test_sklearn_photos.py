"""What X may be, for both estimators: photos in lists, arrays and tables; and what it may not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.compose import ColumnTransformer

from decaf import DecafNet
from decaf.errors import ImageError, ShapeError
from decaf.sklearn import DecafFeatures
from tests import tiny

N = 6
PIXELS = np.stack([tiny.photo(i, 40, 50) for i in range(N)])  # N,H,W,C
RELU6 = DecafNet(threads=1).features(PIXELS, "relu6")


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """The photos as files, without loss."""
    names = [str(tmp_path / f"{i}.png") for i in range(N)]
    for name, pixels in zip(names, PIXELS, strict=True):
        Image.fromarray(pixels).save(name)
    return names


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        np.array,
        lambda paths: np.array(paths, dtype=object),
        lambda paths: np.array(paths, dtype=object)[:, None],
        lambda paths: [[path] for path in paths],
        lambda paths: [Path(path) for path in paths],
        lambda paths: [Path(path).read_bytes() for path in paths],
        lambda paths: [open(path, "rb") for path in paths],  # noqa: SIM115
    ],
    ids=["list", "tuple", "str array", "object array", "column", "rows", "Path", "bytes", "files"],
)
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_paths_in_any_container(make: Any, paths: list[str]) -> None:
    X = make(paths)
    np.testing.assert_array_equal(DecafFeatures().fit(X).transform(X), RELU6)


@pytest.mark.parametrize(
    "X",
    [
        PIXELS,
        list(PIXELS),
        np.array(list(map(encoded, PIXELS))),  # no PNG ends with the zeros that NumPy drops
        [Image.fromarray(pixels) for pixels in PIXELS],
        [*PIXELS[:2], *map(encoded, PIXELS[2:4]), *map(Image.fromarray, PIXELS[4:])],
        PIXELS / 255,
        np.asfortranarray(PIXELS),
    ],
    ids=["N,H,W,C", "arrays", "bytes", "images", "mixed", "floats", "strided"],
)
def test_photos_in_memory(X: Any) -> None:
    np.testing.assert_array_equal(DecafFeatures().fit_transform(X), RELU6)


def test_strings_of_numpy_2(paths: list[str]) -> None:
    if not hasattr(np.dtypes, "StringDType"):
        pytest.skip("NumPy 1 has no such dtype")
    X = np.array(paths, dtype=np.dtypes.StringDType())
    for shaped in (X, X[:, None]):
        np.testing.assert_array_equal(DecafFeatures().fit_transform(shaped), RELU6)


def test_a_column_of_pandas(paths: list[str]) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"photo": paths}, index=list("uvwxyz"))
    for X in (table, table["photo"], table["photo"].astype("category")):
        np.testing.assert_array_equal(DecafFeatures().fit_transform(X), RELU6)
    features = DecafFeatures().fit(table)
    assert list(features.feature_names_in_) == ["photo"]
    assert features.n_features_in_ == 1
    with pytest.raises(ShapeError, match=r"expected 'photo', got 'file'"):
        features.transform(table.rename(columns={"photo": "file"}))
    assert not hasattr(features.fit(paths), "feature_names_in_")

    table.loc["w", "photo"] = None
    for missing in (None, float("nan"), pandas.NA, pandas.NaT):
        with pytest.raises(ImageError, match=r"^photo 3 of 6 \(a missing value\): must be a photo"):
            features.transform([*paths[:2], missing, *paths[3:]])
    for X in (table, table["photo"].astype("string")):
        with pytest.raises(ImageError, match=r"^photo 3 of 6 \(a missing value\): must be a photo"):
            features.transform(X)
    with pytest.raises(ShapeError, match=r"got .* \(6, 2\)"):
        features.fit(table.assign(label="rose"))


def test_a_column_of_polars(paths: list[str]) -> None:
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({"photo": paths})
    for X in (table, table["photo"]):
        np.testing.assert_array_equal(DecafFeatures().fit_transform(X), RELU6)
    assert list(DecafFeatures().fit(table).feature_names_in_) == ["photo"]


def test_a_column_transformer(paths: list[str]) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"photo": paths, "price": np.arange(N)})
    for column in ("photo", ["photo"]):
        columns = ColumnTransformer(
            [("features", DecafFeatures(), column), ("rest", "passthrough", ["price"])]
        )
        made = columns.fit_transform(table)
        np.testing.assert_array_equal(made, np.c_[RELU6, np.arange(N)])
        assert list(columns.get_feature_names_out()[[0, -1]]) == [
            "features__relu6_0",
            "rest__price",
        ]


@pytest.mark.parametrize(
    ("X", "got"),
    [
        ("cat.jpg", "cat.jpg"),
        (b"abc", "bytes"),
        (Path("cat.jpg"), "cat.jpg"),
        (Image.new("RGB", (8, 8)), "image"),
        (PIXELS[0], r"uint8 \(40, 50, 3\)"),
        (np.zeros((3, 4)), r"float64 \(3, 4\)"),
        (np.array("cat.jpg"), r"<U7 \(\)"),
        (np.array(["cat.jpg"])[0], "cat.jpg"),
        (np.array([["a", "b"]]), r"<U1 \(1, 2\)"),
        (np.array(list(PIXELS), dtype=object), r"object \(6, 40, 50, 3\)"),
        ({"a": "cat.jpg"}, "dict"),
        ({"cat.jpg"}, "set"),
        (iter(["cat.jpg"]), "list_iterator"),
        (None, "NoneType"),
        (7, "int"),
    ],
    ids=repr,
)
def test_what_is_no_batch_of_photos_is_refused(X: Any, got: str) -> None:
    for method in (DecafFeatures().fit, DecafFeatures().transform):
        with pytest.raises(ShapeError, match=rf"^X must .*got {got}"):
            method(X)


EMPTY = [[], (), np.array([]), np.empty((0, 8, 8, 3), np.uint8), np.empty((0, 1), object)]


@pytest.mark.parametrize("X", EMPTY, ids=repr)
def test_an_empty_x_is_refused_as_everywhere_in_scikit_learn(X: Any) -> None:
    for method in (DecafFeatures().fit, DecafFeatures().transform):
        with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
            method(X)


def test_an_empty_table() -> None:
    pandas = pytest.importorskip("pandas")
    for X in (pandas.DataFrame(), pandas.DataFrame({"photo": []}), pandas.Series([], dtype=object)):
        with pytest.raises(ShapeError, match=r"Found array with 0 sample\(s\)"):
            DecafFeatures().fit(X)


@pytest.mark.parametrize(
    ("X", "phrase"),
    [
        (np.zeros((3, 1), complex), "Complex data not supported"),
        (np.zeros((3, 0)), r"Found array with 0 feature\(s\) \(shape=\(3, 0\)\)"),
        (np.full((3, 2), np.nan), "X contains NaN or infinity"),
        (np.zeros(3), "Reshape your data"),
        (PIXELS[0], r"Reshape your data if they are pixels: one photo is photo\[None\]"),
    ],
    ids=["complex", "0 features", "NaN", "1-D", "one photo"],
)
def test_the_words_that_users_of_scikit_learn_know(X: Any, phrase: str) -> None:
    with pytest.raises(ShapeError, match=f"^X must be photos; .*{phrase}"):
        DecafFeatures().fit(X)
    assert DecafFeatures().fit_transform(PIXELS[0][None]).shape == (1, 512)


def test_long_paths_are_shortened() -> None:
    long = "a" * 100_000 + "b.jpg"
    for X in ([long], long):
        with pytest.raises((ImageError, ShapeError), match=r"a{90}\.\.\.a*b\.jpg") as caught:
            DecafFeatures().transform(X)
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("options", [{}, {"batch_size": 2, "workers": 2}], ids=str)
def test_a_photo_that_cannot_be_read_is_named(options: dict[str, Any], paths: list[str]) -> None:
    Path(paths[3]).write_bytes(b"no photo")
    paths[5] = "missing.png"
    features = DecafFeatures(**options).fit(paths)  # opens none
    with pytest.raises(ImageError, match=r"^photo 4 of 6 \(.*3\.png\): must be") as caught:
        features.transform(paths)
    assert str(caught.value).count("3.png") == 1
    np.testing.assert_array_equal(features.transform(paths[:3]), RELU6[:3])
    with pytest.raises(ImageError, match=r"^photo 1 of 1 \(missing\.png\): "):
        features.transform(["missing.png"])
