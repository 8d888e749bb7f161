"""DecafNet: every kind of input, the same bits in any company, and errors that say which photo."""

from __future__ import annotations

import copy
import io
import math
import multiprocessing
import os
import pickle
import signal
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from numpy.typing import NDArray
from PIL import Image

from decaf import ArchitectureError, DecafError, DecafNet, ImageError, ShapeError, WeightsError, ops
from decaf.image import load_image, prepare
from decaf.memory import aligned_empty
from decaf.net import Prediction
from decaf.plan_pool import IDLE_PLANS
from decaf.preprocessing import Preprocessing
from decaf.report import summarise
from decaf.specs import Architecture, Linear, Softmax
from decaf.weights import default_weights, save_weights

PHOTOS = [tiny.photo(seed) for seed in range(7)]
LAST = tiny.NAMES[-1]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("weights") / "tiny.h5")


@pytest.fixture(scope="module", params=["numpy", "cython", "blas"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param not in ops.available():
        pytest.skip(f"the {request.param} kernels are not built")
    return str(request.param)


@pytest.fixture(scope="module")
def net(weights: Path, backend: str) -> DecafNet:
    return DecafNet(weights, backend=backend, threads=2)


def expected(*photos: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """What every layer must give for these photos, flattened, without DecafNet's help."""
    rows = [prepare(photo, tiny.PREPROCESSING) for photo in photos]
    return {
        name: value.reshape(len(photos), -1)
        for name, value in tiny.reference(np.concatenate(rows)).items()
    }


def same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Return whether two arrays are equal to the last bit."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


# --- what comes out -------------------------------------------------------------------------


def test_attributes(net: DecafNet, weights: Path, backend: str) -> None:
    assert net.labels == tiny.LABELS
    assert net.architecture == tiny.ARCHITECTURE
    assert net.preprocessing == tiny.PREPROCESSING
    assert net.backend == backend
    assert net.threads == 2
    assert Path(net.weights_path) == weights
    assert net.precision == "float32"
    words = ("tiny", "5 classes", backend, "precision float32", "threads 2")
    assert all(word in repr(net) for word in words)


def test_one_photo_and_several(net: DecafNet) -> None:
    one = net.classify(PHOTOS[0])
    assert one.shape == (5,) and one.dtype == np.float32
    several = net.classify(PHOTOS)
    assert several.shape == (7, 5) and several.dtype == np.float32
    np.testing.assert_allclose(several, expected(*PHOTOS)[LAST], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(several.sum(axis=1), 1, rtol=1e-6)
    assert np.ptp(several, axis=0).min() > 1e-3, "all photos alike: the test would see nothing"


@pytest.mark.parametrize("name", tiny.NAMES)
def test_every_layer(net: DecafNet, name: str) -> None:
    want = expected(*PHOTOS)[name]
    got = net.features(PHOTOS, name)
    assert got.shape == want.shape and got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6 * np.abs(want).max())
    assert same(net.features(PHOTOS[3], name), got[3])


def test_the_value_before_relu_and_the_one_after(net: DecafNet) -> None:
    found = net.features(PHOTOS, ["relu6", "fc6", "conv1", "relu1"])
    for before, after in (("fc6", "relu6"), ("conv1", "relu1")):
        assert found[before].min() < 0
        np.testing.assert_array_equal(found[after], np.maximum(found[before], 0))


KINDS: dict[str, Callable[[bytes, Path], Any]] = {
    "str": lambda png, path: str(path),
    "path": lambda png, path: path,
    "bytes": lambda png, path: png,
    "bytearray": lambda png, path: bytearray(png),
    "memoryview": lambda png, path: memoryview(png),
    "file": lambda png, path: io.BytesIO(png),
    "PIL": lambda png, path: Image.open(io.BytesIO(png)),
    "uint8": lambda png, path: PHOTOS[0],
    "float": lambda png, path: PHOTOS[0] / np.float32(255),
    "alpha": lambda png, path: np.dstack([PHOTOS[0], np.full((20, 17), 255, np.uint8)]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_photo(net: DecafNet, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(PHOTOS[0]).save(path)
    want = net.classify(PHOTOS[0])
    assert same(net.classify(KINDS[kind](path.read_bytes(), path)), want)
    several = net.classify([PHOTOS[1], KINDS[kind](path.read_bytes(), path)])
    assert same(several[1], want)


def test_grey_arrays(net: DecafNet) -> None:
    grey = PHOTOS[0][..., 0]  # two axes: one photo
    want = net.classify(np.dstack([grey] * 3))
    assert same(net.classify(grey), want)
    assert same(net.classify(grey[..., None]), want)
    assert same(net.classify(np.stack([grey, grey])[..., None]), np.stack([want, want]))


@pytest.mark.parametrize(
    "wrap",
    [
        list,
        tuple,
        iter,
        np.stack,
        lambda photos: (photo for photo in photos),
        lambda photos: dict(enumerate(photos)).values(),
    ],
    ids=["list", "tuple", "iterator", "array", "generator", "view"],
)
def test_kinds_of_batch(net: DecafNet, wrap: Callable[[Any], Any]) -> None:
    want = np.stack([net.classify(photo) for photo in PHOTOS])
    assert same(net.classify(wrap(PHOTOS), batch_size=3), want)
    features = net.features(wrap(PHOTOS), ["fc6"], batch_size=3)["fc6"]
    assert same(features, net.features(PHOTOS, "fc6"))
    assert same(net.preprocess(wrap(PHOTOS)), net.preprocess(PHOTOS))


def test_an_array_of_paths_is_a_batch(net: DecafNet, tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{i}.png") for i in range(2)]
    for path, photo in zip(paths, PHOTOS, strict=False):
        Image.fromarray(photo).save(path)
    want = net.classify(PHOTOS[:2])
    assert same(net.classify(np.array(paths)), want)
    assert same(net.classify(np.array([*map(Path, paths)], dtype=object)), want)


@pytest.mark.parametrize("empty", [list, tuple, lambda: iter(()), lambda: np.empty((0, 9, 9, 3))])
@pytest.mark.parametrize("oversample", [False, True])
def test_no_photos(net: DecafNet, empty: Callable[[], Any], oversample: bool) -> None:
    assert net.classify(empty(), oversample=oversample).shape == (0, 5)
    found = net.features(empty(), ["pool5", "fc6"], oversample=oversample)
    assert {name: array.shape for name, array in found.items()} == {
        "pool5": (0, 90),
        "fc6": (0, 11),
    }
    assert net.preprocess(empty()).shape == (0, 3, 12, 12)
    assert net.preprocess(empty()).dtype == np.float32
    assert list(net.classify_each(empty())) == []
    with pytest.raises(ArchitectureError):
        net.features(empty(), "no such layer")


def test_preprocess_is_what_the_first_layer_sees(net: DecafNet) -> None:
    x = net.preprocess(PHOTOS)
    assert x.shape == (7, 3, 12, 12) and x.dtype == np.float32 and x.flags.c_contiguous
    for row, photo in zip(x, PHOTOS, strict=True):
        np.testing.assert_array_equal(row, prepare(photo, tiny.PREPROCESSING)[0])
    assert same(net.preprocess(PHOTOS[2]), x[2:3])
    assert same(net.forward(x), net.classify(PHOTOS))


def test_oversample_averages_ten_crops(net: DecafNet) -> None:
    wanted = ("prob", "fc6", "conv1")
    found = net.features(PHOTOS, wanted, oversample=True)
    for index, photo in enumerate(PHOTOS):
        crops = prepare(photo, tiny.PREPROCESSING, oversample=True)
        assert crops.shape[0] == 10
        each = net.forward(crops, wanted)
        for name in wanted:
            want = each[name].astype(np.float64).mean(axis=0).ravel()
            np.testing.assert_allclose(found[name][index], want, rtol=1e-6, atol=1e-7)
    assert same(net.classify(PHOTOS, oversample=True), found["prob"])
    assert not np.allclose(found["prob"], net.classify(PHOTOS), atol=1e-3)
    assert same(net.classify(PHOTOS[1], oversample=True), found["prob"][1])


# --- the same answer every time -------------------------------------------------------------

WANTED = ("conv1", "relu1", "norm1", "pool5", "fc6", "relu7", "prob")


@pytest.mark.parametrize("oversample", [False, True])
def test_bit_identical_in_any_company(weights: Path, backend: str, oversample: bool) -> None:
    subject = tiny.photo(100, 31, 40)
    others = [tiny.photo(200 + seed, 15 + seed, 30) for seed in range(31)]
    answers = []
    companies = {1: (0,), 7: (0, 3, 6), 32: (0, 1, 17, 31)}
    if oversample:  # ten times the work; three photos at a time, then what is left over
        companies = {1: (0,), 7: (2, 6), 32: (31,)}
    for threads in (1, 2, 3) if backend == "cython" else (1, 2):
        net = DecafNet(weights, backend=backend, threads=threads)
        answers.append(net.features(subject, WANTED, oversample=oversample))
        for size, places in companies.items():
            for place in places:
                batch = [*others[:place], subject, *others[place : size - 1]]
                assert len(batch) == size
                found = net.features(batch, WANTED, oversample=oversample)
                answers.append({name: rows[place] for name, rows in found.items()})
                answers[-1]["prob"] = net.classify(batch, oversample=oversample)[place]
    with net.plans.lend(7, WANTED) as plan:
        assert backend != "cython" or plan._team_size == threads, "too small for threads"
    for answer in answers[1:]:
        for name in WANTED:
            assert same(answer[name], answers[0][name]), name


@pytest.fixture(scope="module")
def compact(weights: Path) -> DecafNet:
    if "cython" not in ops.available():
        pytest.skip("the kernels are not built")
    return DecafNet(weights, backend="cython", precision="float16", threads=2)


def test_float16_keeps_its_bits_in_any_company(weights: Path, compact: DecafNet) -> None:
    alone = DecafNet(weights, backend="cython", precision="float16", threads=1)
    want = compact.features(PHOTOS, WANTED)
    for batch_size in (1, 2, 7):
        for net in (alone, compact):
            found = net.features(PHOTOS, WANTED, batch_size=batch_size)
            assert all(same(found[name], want[name]) for name in WANTED)


def test_float16_rounds_weights_of_fully_connected_layers_and_nothing_else(
    weights: Path, compact: DecafNet
) -> None:
    full = DecafNet(weights, backend="cython")
    found, exact = compact.features(PHOTOS, tiny.NAMES), full.features(PHOTOS, tiny.NAMES)
    before = tiny.NAMES[: tiny.NAMES.index("fc6")]
    assert all(same(found[name], exact[name]) for name in before)
    assert not same(found["fc6"], exact["fc6"])
    np.testing.assert_allclose(found["prob"], exact["prob"], atol=2e-3)
    assert compact.precision == "float16" and "precision float16" in repr(compact)
    p = tiny.parameters()
    matrices = [a.size for name, a in p.items() if "fc" in name and a.ndim == 2]
    assert full.summary().bytes - compact.summary().bytes == 2 * sum(matrices)


def test_a_file_of_float16(tmp_path: Path, backend: str) -> None:
    p = {name: a.astype(np.float16) for name, a in tiny.parameters().items()}
    paths = [tmp_path / "half.h5", tmp_path / "full.h5"]
    for path, dtype in zip(paths, ("float16", "float32"), strict=True):
        save_weights(path, tiny.ARCHITECTURE, p, tiny.PREPROCESSING, tiny.LABELS, dtype=dtype)
    half, full = (DecafNet(path, backend=backend).features(PHOTOS, WANTED) for path in paths)
    assert all(same(half[name], full[name]) for name in WANTED)  # float32 holds them exactly
    if backend == "cython":
        rounded = [DecafNet(path, backend=backend, precision="float16") for path in paths]
        first, second = (net.features(PHOTOS, WANTED) for net in rounded)
        assert all(same(first[name], second[name]) for name in WANTED)
        assert rounded[0].summary().bytes == rounded[1].summary().bytes


@pytest.mark.parametrize("oversample", [False, True])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 9, 25, 1000])
def test_batch_size_changes_no_bit(net: DecafNet, batch_size: int, oversample: bool) -> None:
    want = net.features(PHOTOS, WANTED, oversample=oversample)
    found = net.features(PHOTOS, WANTED, oversample=oversample, batch_size=batch_size)
    assert all(same(found[name], want[name]) for name in WANTED)
    x = net.preprocess(PHOTOS)
    assert same(net.forward(x, batch_size=batch_size), net.forward(x))


def test_several_python_threads_at_once(net: DecafNet) -> None:
    def work(seed: int) -> list[NDArray[np.float32]]:
        random = np.random.default_rng(seed)
        results = []
        for _ in range(12):
            batch = [PHOTOS[i] for i in random.integers(0, 7, random.integers(1, 9))]
            results.append(net.classify(batch, batch_size=4))
            results.append(net.features(batch, ["conv2", "fc7"])["conv2"])
        return results

    want = [work(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for got, alone in zip(pool.map(work, range(4)), want, strict=True):
            assert all(same(a, b) for a, b in zip(got, alone, strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_answers(net: DecafNet) -> None:
    batch = PHOTOS * 5
    want = net.classify(batch)
    with ThreadPoolExecutor(2) as pool:  # leave threads of all kinds behind before the fork
        list(pool.map(net.classify, [batch] * 4))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # the child must leave by os._exit, or it would go on testing
        status = 1
        try:
            os.write(write, net.classify(batch).tobytes())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    status = wait_for(child)
    with open(read, "rb") as pipe:
        assert pipe.read() == want.tobytes()
    assert os.waitstatus_to_exitcode(status) == 0
    assert same(net.classify(batch), want), "the parent goes on as before"


def wait_for(child: int, seconds: float = 30) -> int:
    """Return the exit status of a child; kill it and fail where it hangs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the forked child hung")


def _classify_in_child(net: DecafNet) -> bytes:
    return net.classify(PHOTOS[0]).tobytes()


@pytest.mark.slow
def test_a_spawned_process_takes_a_net(net: DecafNet) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_classify_in_child, (net,)) == net.classify(PHOTOS[0]).tobytes()


def test_a_copy_finds_its_weights_from_another_folder(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(weights.parent)
    net = DecafNet(weights.name, backend="numpy")
    monkeypatch.chdir(tmp_path)
    assert same(copy.copy(net).classify(PHOTOS[0]), net.classify(PHOTOS[0]))


@pytest.mark.parametrize(
    "remake", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))]
)
def test_pickle_and_copy(net: DecafNet, remake: Callable[[DecafNet], DecafNet]) -> None:
    again = remake(net)
    assert again is not net
    assert (again.backend, again.threads, again.labels) == (net.backend, net.threads, net.labels)
    assert same(again.classify(PHOTOS), net.classify(PHOTOS))
    assert len(pickle.dumps(net)) < 1000, "the path travels, not the weights"


def test_pickle_keeps_the_precision(compact: DecafNet) -> None:
    again = pickle.loads(pickle.dumps(compact))
    assert again.precision == "float16"
    assert same(again.classify(PHOTOS), compact.classify(PHOTOS))


# --- whose memory ---------------------------------------------------------------------------


def test_results_belong_to_the_caller(net: DecafNet) -> None:
    first = net.features(PHOTOS, ["conv1", "fc6"])
    kept = {name: array.copy() for name, array in first.items()}
    net.features(PHOTOS[::-1], ["conv1", "fc6"])
    for name, array in first.items():
        assert same(array, kept[name])
        assert array.flags.c_contiguous and array.flags.writeable
        array[...] = np.nan
    one = net.features(PHOTOS[0], "fc6")
    one[...] = np.nan
    assert same(net.features(PHOTOS, "fc6"), kept["fc6"])


def test_two_names_of_one_layer_share_no_memory(net: DecafNet) -> None:
    found = net.features(PHOTOS, ["relu6", "decaf6"])
    assert same(found["relu6"], found["decaf6"])
    assert not np.shares_memory(found["relu6"], found["decaf6"])


@pytest.mark.parametrize("oversample", [False, True])
def test_a_generator_is_read_a_batch_at_a_time(net: DecafNet, oversample: bool) -> None:
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most = 0

    class Photo(io.BytesIO):
        pass

    png = io.BytesIO()
    Image.fromarray(PHOTOS[0]).save(png, "PNG")

    def photos() -> Iterator[Photo]:
        nonlocal most
        for _ in range(40):
            photo = Photo(png.getvalue())
            alive.add(photo)
            most = max(most, len(alive))
            yield photo

    batch_size = 40 if oversample else 4  # 4 photos either way
    assert net.classify(photos(), batch_size=batch_size, oversample=oversample).shape == (40, 5)
    assert 4 <= most <= 2 * 4 + 1


def test_idle_plans_are_few(weights: Path, backend: str) -> None:
    net = DecafNet(weights, backend=backend)
    plans = []
    for size in range(1, 12):
        with net.plans.lend(size, ("prob",)) as plan:
            plans.append(weakref.ref(plan))
            with net.plans.lend(size, ("prob",)) as another:
                assert another is not plan
        del plan, another
    assert 1 <= sum(plan() is not None for plan in plans) <= IDLE_PLANS
    with net.plans.lend(11, ("prob",)) as plan:
        first = plan
    with net.plans.lend(11, ("fc8",)) as plan:
        assert plan is not first
    with net.plans.lend(11, ("prob",)) as plan:
        assert any(plan is known() for known in plans) or plan is first


# --- names of layers ------------------------------------------------------------------------

ALIASES = {
    "decaf5": "pool5",
    "decaf6": "relu6",
    "decaf7": "relu7",
    "conv1_cudanet_out": "conv1",
    "conv1_neuron_cudanet_out": "relu1",
    "pool1_cudanet_out": "pool1",
    "rnorm1_cudanet_out": "norm1",
    "pool5_cudanet_out": "pool5",
    "fc6_cudanet_out": "fc6",
    "fc6_neuron_cudanet_out": "relu6",
    "fc6dropout_cudanet_out": "drop6",
    "fc8_cudanet_out": "fc8",
    "probs_cudanet_out": "prob",
}


def test_aliases(net: DecafNet) -> None:
    found = net.features(PHOTOS, list(ALIASES))
    assert list(found) == list(ALIASES)
    plain = net.features(PHOTOS, list(ALIASES.values()))
    assert all(same(found[alias], plain[name]) for alias, name in ALIASES.items())
    assert same(net.features(PHOTOS, "decaf6"), plain["relu6"])
    assert same(net.features(PHOTOS), plain["relu7"]), "the default"
    assert list(net.forward(net.preprocess(PHOTOS), ["decaf7", "fc8"])) == ["decaf7", "fc8"]


@pytest.mark.parametrize(
    "name", ["conv9", "", "decaf4", "data", "CONV1", "fc6 ", "rnorm9_cudanet_out"]
)
def test_an_unknown_layer_lists_what_there_is(net: DecafNet, name: str) -> None:
    for ask in (net.features, lambda images, layers: net.forward(net.preprocess(images), layers)):
        with pytest.raises(ArchitectureError, match=r"conv1 relu1 pool1.*fc8 prob") as caught:
            ask(PHOTOS, [name, "fc6"])
        assert repr(name) in str(caught.value)


@pytest.mark.parametrize("layers", [[None], [3], ["fc6", b"fc7"], 3, None])
def test_a_layer_is_a_name(net: DecafNet, layers: Any) -> None:
    with pytest.raises(ArchitectureError, match="name"):
        net.features(PHOTOS, layers)


def test_a_layer_asked_for_in_another_order(net: DecafNet) -> None:
    found = net.features(PHOTOS, ("prob", "fc6", "conv1"))
    assert list(found) == ["prob", "fc6", "conv1"]
    assert net.features(PHOTOS, []) == {}


# --- forward --------------------------------------------------------------------------------


def test_forward_gives_the_layers_own_shapes(net: DecafNet) -> None:
    x = net.preprocess(PHOTOS)
    want = tiny.reference(x)
    found = net.forward(x, tiny.NAMES, batch_size=3)
    for name in tiny.NAMES:
        assert found[name].shape == (7, *tiny.ARCHITECTURE.shapes[name])
        assert found[name].dtype == np.float32 and found[name].flags.c_contiguous
        scale = np.abs(want[name]).max()
        np.testing.assert_allclose(
            found[name].ravel(), want[name].ravel(), rtol=1e-5, atol=1e-6 * scale
        )
    assert same(net.forward(x), found["prob"])
    assert same(net.forward(x, "conv2"), found["conv2"])


def test_forward_takes_any_layout_of_float32_and_float64(net: DecafNet) -> None:
    x = net.preprocess(PHOTOS)
    want = net.forward(x)
    assert same(net.forward(x.astype(np.float64)), want)
    assert same(net.forward(x.astype(">f4")), want)
    assert same(net.forward(np.asfortranarray(x)), want)
    assert same(net.forward(np.repeat(x, 2, axis=0)[::2]), want)
    assert same(net.forward(x.tolist()), want)


def test_forward_of_nothing(net: DecafNet) -> None:
    x = np.empty((0, 3, 12, 12), np.float32)
    assert net.forward(x).shape == (0, 5)
    assert net.forward(x, ["conv2"])["conv2"].shape == (0, 10, 6, 7)
    assert net.forward(x, []) == {}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_forward_lets_nan_and_infinity_through(net: DecafNet, value: float) -> None:
    x = net.preprocess(PHOTOS[:3]).astype(np.float64)
    clean = net.forward(x)
    x[1, 0, 4, 4] = value
    found = net.forward(x, ["conv1", "prob"])
    assert not np.isfinite(found["conv1"][1]).all()
    assert same(found["prob"][[0, 2]], clean[[0, 2]]), "the neighbours notice nothing"


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((3, 12, 12), np.float32),
        ((2, 3, 12, 11), np.float32),
        ((2, 1, 12, 12), np.float32),
        ((2, 12, 12, 3), np.float32),
        ((0,), np.float32),
        ((2, 3, 12, 12), np.uint8),
        ((2, 3, 12, 12), np.float16),
        ((2, 3, 12, 12), np.complex64),
        ((2, 3, 12, 12), object),
    ],
)
def test_forward_refuses_other_shapes_and_dtypes(
    net: DecafNet, shape: tuple[int, ...], dtype: Any
) -> None:
    x = np.zeros(shape, dtype)
    with pytest.raises(ShapeError) as caught:
        net.forward(x)
    message = str(caught.value)
    assert message.startswith("data: must be ")
    assert str(shape) in message or str(x.dtype) in message
    assert "(N, 3, 12, 12)" in message or "; expected float32 or float64, got " in message


# --- top-k ----------------------------------------------------------------------------------


def test_top_k(net: DecafNet) -> None:
    best = net.top_k(np.array([0.1, 0.3, 0.2, 0.3, 0.1], np.float32), k=4)
    assert [p.index for p in best] == [1, 3, 2, 0], "of equal scores the lower index first"
    assert best[0] == Prediction(1, "bee", pytest.approx(0.3))
    assert [type(part) for part in best[0]] == [int, str, float]
    assert len(net.top_k(np.zeros(5))) == 5
    assert [p.index for p in net.top_k(np.zeros(5), k=99)] == [0, 1, 2, 3, 4]
    assert [p.index for p in net.top_k([1, 2, 3, 4, 5], k=2)] == [4, 3]
    assert net.top_k(np.array([1, 0, 3, 2, 0], np.uint8), k=1)[0].label == "cat"


def test_top_k_of_several(net: DecafNet) -> None:
    scores = net.classify(PHOTOS)
    best = net.top_k(scores, k=2)
    assert [p[0].index for p in best] == scores.argmax(axis=1).tolist()
    assert best == [net.top_k(row, k=2) for row in scores]
    assert net.top_k(np.zeros((0, 5))) == []


def test_top_k_puts_nan_last(net: DecafNet) -> None:
    best = net.top_k(np.array([np.nan, 0.1, np.inf, -np.inf, 0.2]), k=5)
    assert [p.index for p in best] == [2, 4, 1, 3, 0]


@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 5), (), (0,)])
def test_top_k_wants_one_score_a_class(net: DecafNet, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"expected \(5,\) or \(N, 5\)") as caught:
        net.top_k(np.zeros(shape))
    assert str(shape) in str(caught.value)


def test_top_k_wants_numbers(net: DecafNet) -> None:
    for scores in (["a"] * 5, np.zeros(5, complex), np.zeros(5, bool), np.zeros(5, object)):
        with pytest.raises(ShapeError, match="numbers"):
            net.top_k(scores)


# --- what can go wrong ----------------------------------------------------------------------


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "holiday.jpg"
    path.write_bytes(b"this is no photo")
    return path


def test_an_error_names_the_photo(net: DecafNet, bad: Path) -> None:
    with pytest.raises(ImageError) as caught:
        net.classify(bad)
    assert str(caught.value).startswith(f"{bad}: ")
    photos = [PHOTOS[0], PHOTOS[1], bad, PHOTOS[2]]
    for batch_size in (1, 2, 32):
        for ask in (net.classify, net.features):
            with pytest.raises(ImageError) as caught:
                ask(photos, batch_size=batch_size)
            assert str(caught.value).startswith(f"photo 3 of 4 ({bad}): ")
            with pytest.raises(ImageError) as caught:
                ask(iter(photos), batch_size=batch_size)
            assert str(caught.value).startswith(f"photo 3 ({bad}): ")
    for ask_once in (net.preprocess, net.profile):
        with pytest.raises(ImageError) as caught:
            ask_once(photos)
        assert str(caught.value).startswith(f"photo 3 of 4 ({bad}): ")
    np.testing.assert_array_equal(net.classify(PHOTOS[0]), net.classify(PHOTOS)[0])


@pytest.mark.parametrize(
    "photo",
    [
        None,
        7,
        object(),
        np.float32(1),
        np.zeros(3, np.uint8),
        np.zeros((5, 5, 2), np.uint8),
        np.zeros((5, 5, 3), np.int32),
        np.full((5, 5, 3), 1.5),
        np.full((5, 5, 3), np.nan),
        np.zeros((0, 5, 3), np.uint8),
        "no such file.jpg",
        b"",
        memoryview(b"this is no photo"),
        memoryview(np.zeros(())),
        [None],
        [[PHOTOS[0]]],
        [PHOTOS[0], np.zeros((2, 2, 2, 3), np.uint8)],
        np.zeros((2, 5, 5, 2), np.uint8),
    ],
    ids=lambda photo: type(photo).__name__,
)
def test_what_is_no_photo_is_an_image_error(net: DecafNet, photo: Any) -> None:
    for ask in (net.classify, net.features, net.preprocess):
        with pytest.raises(ImageError) as caught:
            ask(photo)
        assert "\n" not in str(caught.value)


class Axes:
    """Something with axes that NumPy did not make."""

    def __init__(self, ndim: int, **attributes: Any) -> None:
        self.ndim = ndim
        vars(self).update(attributes)


class Rows(Axes):
    def __iter__(self) -> Iterator[object]:
        return iter([object()])


@pytest.mark.parametrize("kind", [Axes, Rows])
@pytest.mark.parametrize("ndim", [0, 1, 3, 4])
@pytest.mark.parametrize("attributes", [{}, {"dtype": None}, {"dtype": "float32"}], ids=str)
def test_what_has_axes_is_no_photo_yet(
    net: DecafNet, kind: type[Axes], ndim: int, attributes: dict[str, Any]
) -> None:
    with pytest.raises(ImageError, match="must be a photo; expected a path, bytes"):
        net.classify(kind(ndim, **attributes))
    (answer,) = net.classify_each(kind(ndim, **attributes))
    assert isinstance(answer, ImageError)


@pytest.mark.parametrize("shape", [(3,), (4, 4), (4, 4, 3), (1, 4, 4, 3)])
def test_a_tensor_is_no_photo(net: DecafNet, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(ImageError, match="must be a photo; .* got Tensor"):
        net.classify(torch.zeros(shape))


def test_classify_each_goes_on(net: DecafNet, bad: Path) -> None:
    photos = [bad, *PHOTOS[:3], bad, None, *PHOTOS[3:], bad]
    want = iter(net.classify(PHOTOS))
    for batch_size in (1, 2, 5, 32):
        want = iter(net.classify(PHOTOS))
        answers = list(net.classify_each(photos, batch_size=batch_size))
        assert len(answers) == len(photos)
        for photo, answer in zip(photos, answers, strict=True):
            if isinstance(photo, np.ndarray):
                assert same(answer, next(want))
            else:
                assert isinstance(answer, ImageError)
    errors = [str(a) for a in answers if isinstance(a, ImageError)]
    assert errors[0].startswith(f"{bad}: ")
    crops = list(net.classify_each([bad, PHOTOS[0]], oversample=True))
    assert same(crops[1], net.classify(PHOTOS[0], oversample=True))


def test_classify_each_answers_batch_by_batch(net: DecafNet) -> None:
    drawn = 0

    def photos() -> Iterator[Any]:
        nonlocal drawn
        for photo in PHOTOS:
            drawn += 1
            yield photo

    answers = net.classify_each(photos(), batch_size=2)
    next(answers)
    assert drawn == 2


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", None, True])
def test_numbers_that_must_be_whole(net: DecafNet, value: Any) -> None:
    x = net.preprocess(PHOTOS)
    for name, ask in {
        "batch_size": lambda: net.classify(PHOTOS, batch_size=value),
        "batch_size ": lambda: net.features(PHOTOS, batch_size=value),
        " batch_size": lambda: net.forward(x, batch_size=value),
        "k": lambda: net.top_k(np.zeros(5), k=value),
        "repeat": lambda: net.profile(PHOTOS, repeat=value),
    }.items():
        with pytest.raises(ShapeError, match=rf"^{name.strip()} must be a whole number"):
            ask()


def test_numbers_may_be_numpys(net: DecafNet) -> None:
    assert same(net.classify(PHOTOS, batch_size=np.int64(2)), net.classify(PHOTOS))  # type: ignore[arg-type]
    assert len(net.top_k(np.zeros(5), k=np.int8(2))) == 2  # type: ignore[arg-type]


def test_max_pixels(weights: Path) -> None:
    net = DecafNet(weights, max_pixels=20 * 17, backend="numpy")
    assert net.max_pixels == 340
    assert net.classify(PHOTOS[0]).shape == (5,)
    with pytest.raises(ImageError, match="340"):
        net.classify(tiny.photo(0, 20, 18))
    with pytest.raises(ShapeError, match="max_pixels"):
        DecafNet(weights, max_pixels=0)


@pytest.mark.parametrize("wrong", [3, b"weights.h5", ["a.h5"], 1.5, True])
def test_weights_must_be_a_path(wrong: Any) -> None:
    with pytest.raises(WeightsError, match="path"):
        DecafNet(wrong)


def test_unusable_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.h5"):
        DecafNet(tmp_path / "nowhere.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(WeightsError, match=r"text\.h5"):
        DecafNet(str(tmp_path / "text.h5"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"backend": "cuda"},
        {"backend": None},
        {"precision": "int8"},
        {"precision": None},
        {"precision": "float16", "backend": "numpy"},
        {"threads": 0},
        {"threads": "two"},
    ],
)
def test_unusable_settings(weights: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(DecafError):
        DecafNet(weights, **wrong)


# --- tables ---------------------------------------------------------------------------------


def test_summary(net: DecafNet) -> None:
    summary = net.summary()
    assert [layer.name for layer in summary.layers] == list(tiny.NAMES)
    by_name = {layer.name: layer for layer in summary.layers}
    assert by_name["conv1"].kind == "Conv"
    assert by_name["conv1"].output_shape == (16, 12, 12)
    assert by_name["conv1"].parameters == 16 * 3 * 5 * 5 + 16
    assert by_name["conv1"].multiply_adds == 16 * 3 * 5 * 5 * 12 * 12
    assert by_name["conv2"].multiply_adds == 10 * 8 * 3 * 2 * 6 * 7  # 8 of 16 channels a group
    assert by_name["fc6"].multiply_adds == 90 * 11
    assert by_name["relu1"][3:] == (0, 0, 0)
    assert summary.parameters == sum(array.size for array in tiny.parameters().values())
    assert summary.bytes == 4 * summary.parameters
    assert summary.multiply_adds == sum(layer.multiply_adds for layer in summary.layers)
    text = str(summary)
    assert repr(summary) == text
    assert text.startswith(
        f"tiny <&>: input 3 x 12 x 12, backend {net.backend}, precision float32\n"
    )
    numbers = summary.as_dict()
    assert (numbers["backend"], numbers["precision"]) == (net.backend, "float32")
    for part in (*tiny.NAMES, "16 x 12 x 12", "172,800", "total", f"{summary.bytes:,}"):
        assert part in text
    widths = {len(line) for line in text.splitlines()[4:-2] if line.rstrip() == line}
    assert len(text.splitlines()) == 2 + 4 + len(tiny.NAMES) and widths


def test_a_summary_of_what_does_not_compute() -> None:
    """A file that was only looked at: no backend, no precision of its own."""
    shapes = tiny.ARCHITECTURE.parameter_shapes.items()
    summary = summarise(tiny.ARCHITECTURE, {name: math.prod(shape) for name, shape in shapes})
    assert str(summary).startswith("tiny <&>: input 3 x 12 x 12\n")
    assert summary.as_dict().keys().isdisjoint({"backend", "precision"})


def test_tables_name_backend_and_precision(compact: DecafNet) -> None:
    for table in (compact.summary(), compact.profile(PHOTOS[0], repeat=1)):
        assert (table.backend, table.precision) == ("cython", "float16")
        caption = ", backend cython, precision float16"
        assert str(table).splitlines()[0].endswith(caption) and caption in table._repr_html_()


def test_html_is_escaped(net: DecafNet) -> None:
    for table in (net.summary(), net.profile(PHOTOS[0], repeat=1)):
        html = table._repr_html_()
        assert "tiny &lt;&amp;&gt;" in html and "tiny <" not in html
        assert html.count("<tr>") == html.count("</tr>") >= 10
        assert "conv1" in html


def test_profile(net: DecafNet) -> None:
    profile = net.profile(PHOTOS, repeat=3)
    assert (profile.images, profile.repeat, profile.threads) == (7, 3, 2)
    assert (profile.backend, profile.precision) == (net.backend, "float32")
    assert profile.steps[0].name == "preprocess" and profile.steps[0].multiply_adds == 0
    assert all(step.seconds >= 0 for step in profile.steps)
    assert profile.steps[0].seconds > 0
    assert profile.multiply_adds == 7 * net.summary().multiply_adds
    assert profile.seconds == pytest.approx(sum(step.seconds for step in profile.steps))
    slow = max(profile.steps[1:], key=lambda step: step.multiply_adds)
    assert slow.gflops == pytest.approx(2e-9 * slow.multiply_adds / slow.seconds)
    text = str(profile)
    assert repr(profile) == text
    assert f"threads 2, backend {net.backend}, precision float32\n" in text
    assert "batch of 7" in text and "conv1" in text and "100.0%" in text.splitlines()[-1]


def test_profile_computes_with_photos_alone(net: DecafNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with what memory happens to hold when it is made: NumPy warns of sums that overflow."""

    def full(nbytes: int) -> NDArray[np.uint8]:
        memory = aligned_empty(nbytes)
        memory.fill(0x7F)  # as float32 3.4e38
        return memory

    monkeypatch.setattr("decaf.plan.aligned_empty", full)
    assert net.profile(PHOTOS[:6], repeat=1).images == 6  # no plan of this size is there yet


def test_profile_takes_what_can_be_read_once(net: DecafNet) -> None:
    png = io.BytesIO()
    Image.fromarray(PHOTOS[0]).save(png, "PNG")
    png.seek(0)
    assert net.profile(png, repeat=2).images == 1
    assert net.profile((photo for photo in PHOTOS), repeat=2).images == 7
    with pytest.raises(ImageError, match="none"):
        net.profile([])


# --- the default network --------------------------------------------------------------------


@pytest.fixture(scope="module")
def default() -> DecafNet:
    try:
        default_weights()
    except WeightsError as error:
        if (Path(__file__).resolve().parents[1] / "weights" / "decaf-mini.h5").is_file():
            raise
        pytest.skip(str(error))
    return DecafNet(backend=ops.available()[0])


def test_the_default_knows_ten_classes(default: DecafNet) -> None:
    assert default.architecture.name == "decaf_mini"
    assert len(default.labels) == 10 and "cat" in default.labels
    scores = default.classify([load_image(photo) for photo in PHOTOS])
    assert scores.shape == (7, 10)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-6)


def test_the_default_knows_a_cat(default: DecafNet) -> None:
    data = pytest.importorskip("skimage.data")
    assert default.top_k(default.classify(data.chelsea()), k=1)[0].label == "cat"


def test_a_network_for_grey_photos(tmp_path: Path) -> None:
    grey = Architecture("grey", (1, 8, 8), (Linear("fc1", 3), Softmax("prob")))
    weight = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
    path = tmp_path / "grey.h5"
    save_weights(
        path, grey, {"fc1/weight": weight, "fc1/bias": np.zeros(3, np.float32)},
        Preprocessing(8, (8, 8), "L"), ["a", "b", "c"],
    )  # fmt: skip
    photo = np.random.default_rng(1).integers(0, 256, (8, 8), dtype=np.uint8)
    net = DecafNet(path)
    colour = np.repeat(photo[..., None], 3, axis=2)
    for image in (photo, colour):
        want = weight @ (photo.reshape(-1) / np.float32(255))
        np.testing.assert_allclose(net.features(image, "fc1"), want, rtol=1e-4, atol=1e-5)
    assert net.preprocess([photo, colour]).shape == (2, 1, 8, 8)
    assert net.classify(photo, oversample=True).shape == (3,)
