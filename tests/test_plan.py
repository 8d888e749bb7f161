"""A plan: fusion, memory, threads and instruction sets change nothing about the answer."""

from __future__ import annotations

import gc
import itertools
import mmap
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import normal

from decaf import layers, ops
from decaf.architectures import caffenet, decaf_mini
from decaf.backends import BlasBackend, CythonBackend
from decaf.errors import ArchitectureError, DecafError, ShapeError
from decaf.plan import PIECE, Network, Plan
from decaf.specs import (
    LRN,
    AdaptiveAvgPool,
    Architecture,
    AvgPool,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    ReLU,
    Softmax,
)

cython = pytest.mark.skipif("cython" not in ops.available(), reason="kernels are not built")
every_backend = pytest.mark.parametrize("backend", ops.available())

# Every kind of layer, a branch, a ReLU behind a Dropout, a value that is read three times.
BRANCHED = Architecture(
    "branched",
    (4, 23, 19),
    (
        Conv("conv1", 16, (5, 3), stride=(1, 2), padding=(2, 1), groups=2),
        ReLU("relu1"),
        LRN("norm1", size=3, alpha=0.5, k=2.0),
        MaxPool("pool1", 3, stride=2, ceil_mode=True),
        Conv("left", 24, 1, inputs=("pool1",)),
        Dropout("dropleft", 0.3),
        ReLU("reluleft"),
        Conv("right", 8, 3, padding=2, dilation=2, inputs=("pool1",)),
        ReLU("reluright"),
        Concat("concat", inputs=("reluleft", "reluright", "pool1")),
        LRN("norm2", size=3, alpha=0.5, region="within"),
        AvgPool("pool2", (2, 3), stride=2, padding=(0, 1), count_include_pad=False),
        AdaptiveAvgPool("pool3", (3, 2)),
        Flatten("flat"),
        Linear("fc6", 37),
        ReLU("relu6"),
        Dropout("drop6", 0.5),
        Linear("fc8", 11),
        Softmax("prob"),
    ),
)
NAMES = tuple(layer.name for layer in BRANCHED.layers)


def parameters(architecture: Architecture, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    found = {}
    for number, (name, shape) in enumerate(architecture.parameter_shapes.items()):
        scale = np.sqrt(2 / np.prod(shape[1:])) if name.endswith("weight") else 0.1
        found[name] = (normal(*shape, seed=seed + number) * scale).astype(np.float32)
    return found


def rounded(p: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Parameters of BRANCHED whose weights of fully connected layers are those of float16."""
    return {
        name: a.astype(np.float16).astype(np.float32) if "fc" in name and a.ndim == 2 else a
        for name, a in p.items()
    }


def run(network: Network, x: NDArray[Any], outputs: Any = (), threads: int = 1) -> dict[str, Any]:
    plan = Plan(network, len(x), outputs, threads=threads)
    plan.input[...] = x
    plan.run()
    return {name: value.copy() for name, value in plan.outputs.items()}


def by_hand(x: NDArray[Any], p: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Compute BRANCHED from the reference layers, in float64, without a plan."""
    p = {name: value.astype(float) for name, value in p.items()}

    def conv(name: str, x: NDArray[Any], *options: Any) -> NDArray[Any]:
        return layers.conv2d(x, p[f"{name}/weight"], p[f"{name}/bias"], *options)

    v: dict[str, NDArray[Any]] = {}
    v["conv1"] = conv("conv1", x.astype(float), (1, 2), (2, 1), 1, 2)
    v["relu1"] = layers.relu(v["conv1"])
    v["norm1"] = layers.local_response_norm(v["relu1"], 3, 0.5, k=2.0)
    v["pool1"] = layers.max_pool2d(v["norm1"], 3, 2, ceil_mode=True)
    v["left"] = v["dropleft"] = conv("left", v["pool1"])
    v["reluleft"] = layers.relu(v["left"])
    v["right"] = conv("right", v["pool1"], 1, 2, 2)
    v["reluright"] = layers.relu(v["right"])
    v["concat"] = layers.concat([v["reluleft"], v["reluright"], v["pool1"]])
    v["norm2"] = layers.local_response_norm(v["concat"], 3, 0.5, region="within")
    v["pool2"] = layers.avg_pool2d(v["norm2"], (2, 3), 2, (0, 1), count_include_pad=False)
    v["pool3"] = layers.adaptive_avg_pool2d(v["pool2"], (3, 2))
    v["flat"] = v["pool3"].reshape(len(x), -1)
    v["fc6"] = layers.linear(v["flat"], p["fc6/weight"], p["fc6/bias"])
    v["relu6"] = v["drop6"] = layers.relu(v["fc6"])
    v["fc8"] = layers.linear(v["relu6"], p["fc8/weight"], p["fc8/bias"])
    v["prob"] = layers.softmax(v["fc8"])
    return v


@every_backend
def test_every_layer_is_what_the_reference_says(backend: str) -> None:
    p, x = parameters(BRANCHED), normal(3, *BRANCHED.input_shape)
    network = Network(BRANCHED, p, backend)
    together = run(network, x, NAMES)
    want = by_hand(x, p)
    assert together.keys() == want.keys()
    for name in NAMES:
        assert together[name].shape == want[name].shape
        scale = np.abs(want[name]).max()
        assert np.abs(together[name] - want[name]).max() <= 1e-5 * scale, name
        # Asked for alone, other layers are fused and memory is shared otherwise: same bits.
        np.testing.assert_array_equal(run(network, x, [name])[name], together[name])


@every_backend
def test_outputs_are_contiguous_and_in_the_order_of_the_specs(backend: str) -> None:
    plan = Plan(Network(BRANCHED, parameters(BRANCHED), backend), 2, ["data", *NAMES])
    assert plan.input.shape == (2, *BRANCHED.input_shape) and plan.input.flags.c_contiguous
    for name in NAMES:
        assert plan.outputs[name].shape == (2, *BRANCHED.shapes[name])
        assert plan.outputs[name].flags.c_contiguous
    assert np.shares_memory(plan.outputs["data"], plan.input)
    # Layers that cost nothing are other names of the same memory, whatever their shape.
    assert np.shares_memory(plan.outputs["flat"], plan.outputs["pool3"])
    assert np.shares_memory(plan.outputs["drop6"], plan.outputs["relu6"])


@cython
@pytest.mark.parametrize("backend", ["cython", "blas"])
def test_each_value_is_brought_into_another_order_at_most_once(backend: str) -> None:
    def copies(architecture: Architecture, *outputs: str) -> list[str]:
        network = Network(architecture, parameters(architecture), backend)
        names = [step.name for step in Plan(network, 2, outputs).steps]
        return [name for name in names if " as " in name]

    shape = (16, 6, 5)
    # The input, for what reads it channels last; twice read, once copied.
    net = Architecture("a", shape, (ReLU("one"), ReLU("two", inputs=("data",)), Softmax("prob")))
    assert copies(net, "one", "two") == ["data as N,H,W,C", "one as N,C,H,W", "two as N,C,H,W"]
    # A Linear, a Flatten and an output want the same order: one copy for all of them.
    net = Architecture(
        "b",
        shape,
        (ReLU("one"), Linear("fc", 3), Flatten("flat", inputs=("one",)), ReLU("end")),
    )
    assert copies(net, "end") == ["data as N,H,W,C", "one as N,C,H,W"]
    assert copies(net, "one", "fc", "flat", "end") == ["data as N,H,W,C", "one as N,C,H,W"]
    # A Linear that reads the input itself, and values of one pixel or channel, need none.
    assert copies(Architecture("c", shape, (Linear("fc", 3), Softmax("prob")))) == []
    net = Architecture("d", (1, 6, 5), (ReLU("one"), Linear("fc", 3)))
    assert copies(net, "one", "fc") == []
    net = Architecture("e", shape, (AdaptiveAvgPool("one", 1), Flatten("flat"), Linear("fc", 3)))
    assert copies(net, "one", "flat", "fc") == ["data as N,H,W,C"]


@cython
@pytest.mark.parametrize("isa", ["avx512", "avx2", "baseline"])
@pytest.mark.parametrize("architecture", [BRANCHED, decaf_mini()], ids=lambda a: a.name)
def test_bits_depend_neither_on_batch_nor_place_nor_threads(
    monkeypatch: pytest.MonkeyPatch, architecture: Architecture, isa: str
) -> None:
    if isa not in ops.kernel("isa").available():
        pytest.skip(f"this processor has no {isa}")
    monkeypatch.setattr("decaf.plan.get_backend", lambda name: CythonBackend(isa))
    monkeypatch.setattr("decaf.plan.WORTH_A_TEAM", 0)  # a team for every plan, however small
    network = Network(architecture, parameters(architecture))
    names = tuple(layer.name for layer in architecture.layers)
    photo = normal(1, *architecture.input_shape, seed=99)
    alone = run(network, photo, names)
    for batch, threads in itertools.product((2, 7, 32), (1, 2, 3)):
        x = normal(batch, *architecture.input_shape, seed=batch)
        for place in {0, batch // 2, batch - 1}:
            x[place] = photo[0]
            found = run(network, x, names, threads)
            for name in names:
                np.testing.assert_array_equal(found[name][place], alone[name][0], err_msg=name)


@cython
def test_instruction_sets_agree_up_to_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    p, x = parameters(BRANCHED), normal(2, *BRANCHED.input_shape)
    found = []
    for isa in ops.kernel("isa").available():
        monkeypatch.setattr("decaf.plan.get_backend", lambda name, isa=isa: CythonBackend(isa))
        found.append(run(Network(BRANCHED, p), x, ["fc8"])["fc8"])
    for other in found:
        np.testing.assert_allclose(other, found[0], rtol=1e-4, atol=1e-5)


@cython
def test_an_unknown_instruction_set_is_refused() -> None:
    layer = BRANCHED.layers[0]
    p = parameters(BRANCHED)
    with pytest.raises(ArchitectureError, match="instruction set .* got 'mmx'"):
        CythonBackend("mmx").pack(layer, BRANCHED.input_shape, p["conv1/weight"], p["conv1/bias"])


@cython
def test_blas_multiplies_as_numpy_does() -> None:
    """A group, a stride, a dilation, padding; bits that no batch changes."""
    p, x = parameters(BRANCHED), normal(5, *BRANCHED.input_shape)
    blas = Network(BRANCHED, p, "blas")
    assert isinstance(blas.engine, BlasBackend)
    found = run(blas, x, NAMES)
    plain = run(Network(BRANCHED, p, "numpy"), x, NAMES)
    for name in NAMES:
        scale = np.abs(plain[name]).max()
        assert np.abs(found[name] - plain[name]).max() <= 1e-5 * scale, name
        for n in range(5):
            alone = run(blas, x[n : n + 1], [name])[name]
            np.testing.assert_array_equal(alone[0], found[name][n], err_msg=name)


@cython
@pytest.mark.parametrize("stored", ["float32", "float16"])
def test_float16_is_float32_arithmetic_on_rounded_weights(stored: str) -> None:
    p, x = parameters(BRANCHED), normal(3, *BRANCHED.input_shape)
    given = {name: a.astype(stored) for name, a in p.items()} if stored == "float16" else p
    exact = {name: a.astype(np.float32) for name, a in given.items()}
    compact = Network(BRANCHED, given, "cython", "float16")
    found, want = run(compact, x, NAMES), by_hand(x, rounded(exact))
    full = Network(BRANCHED, exact, "cython")
    unrounded = run(full, x, NAMES)
    for name in NAMES:
        assert found[name].dtype == np.float32
        scale = np.abs(want[name]).max()
        assert np.abs(found[name] - want[name]).max() <= 1e-5 * scale, name
    np.testing.assert_array_equal(found["pool3"], unrounded["pool3"])  # convolutions are float32
    if stored == "float32":
        assert not np.array_equal(found["fc6"], unrounded["fc6"])
    assert compact.bytes["fc6/weight"] * 2 == full.bytes["fc6/weight"]
    assert compact.bytes["conv1/weight"] == full.bytes["conv1/weight"]
    assert compact.parameter_bytes < full.parameter_bytes


@cython
def test_float16_weights_are_not_copied() -> None:
    architecture = Architecture("fc", (4, 1, 1), (Linear("fc", 3),))
    p = parameters(architecture)
    weight = p["fc/weight"].astype(np.float16)
    network = Network(architecture, {**p, "fc/weight": weight}, "cython", "float16")
    x = np.ones((1, 4, 1, 1), np.float32)
    before = run(network, x)["fc"]
    weight += np.float16(1)
    np.testing.assert_allclose(run(network, x)["fc"], before + 4, rtol=1e-2)


def test_a_precision_that_cannot_be_had_is_refused() -> None:
    p = parameters(BRANCHED)
    for backend in set(ops.available()) - {"cython"}:
        with pytest.raises(ArchitectureError, match=f"{backend} has; .*float32, got 'float16'"):
            Network(BRANCHED, p, backend, "float16")
    with pytest.raises(ArchitectureError, match="precision must be .* got 'float8'"):
        Network(BRANCHED, p, "auto", "float8")
    half = {**p, "conv1/weight": p["conv1/weight"].astype(np.float16)}
    with pytest.raises(ShapeError, match="conv1/weight: .*expected .* float32, got .* float16"):
        Network(BRANCHED, half, "numpy")


@cython
def test_a_weight_beyond_float16_names_its_layer() -> None:
    p = parameters(BRANCHED)
    p["fc8/weight"][10, 36] = -65520  # the first that rounds to an infinity
    with pytest.raises(ArchitectureError, match="fc8/weight: .*at most 65504 .* got 65520"):
        Network(BRANCHED, p, "cython", "float16")
    p["fc8/weight"][10, 36] = -65519
    Network(BRANCHED, p, "cython", "float16")
    p["conv1/weight"][0, 0, 0, 0] = 1e6  # is not rounded
    Network(BRANCHED, p, "cython", "float16")


def test_fusion_and_free_layers() -> None:
    network = Network(BRANCHED, parameters(BRANCHED), "numpy")
    steps = [step.name for step in Plan(network, 1).steps]
    assert "conv1+relu1" in steps and "fc6+relu6" in steps
    assert "left" in steps and "reluleft" in steps  # a Dropout lies in between
    assert not {"flat", "drop6", "dropleft"} & set("+".join(steps).split("+"))
    assert "conv1" in [step.name for step in Plan(network, 1, ["conv1", "prob"]).steps]


def test_only_what_is_needed_is_computed() -> None:
    network = Network(BRANCHED, parameters(BRANCHED), "numpy")
    assert [step.name for step in Plan(network, 1, ["right"]).steps] == [
        "conv1+relu1", "norm1", "pool1", "right",
    ]  # fmt: skip
    assert Plan(network, 1, ["data"]).steps == ()


def test_the_input_keeps_its_values() -> None:
    network = Network(BRANCHED, parameters(BRANCHED))
    plan = Plan(network, 2)
    x = normal(2, *BRANCHED.input_shape)
    plan.input[...] = x
    plan.run()
    first = plan.outputs["prob"].copy()
    plan.run()
    np.testing.assert_array_equal(plan.input, x)
    np.testing.assert_array_equal(plan.outputs["prob"], first)


@cython
@pytest.mark.parametrize("threads", [1, 2])
def test_run_allocates_nothing_and_memory_stays_flat(threads: int) -> None:
    architecture = decaf_mini()
    plan = Plan(Network(architecture, parameters(architecture)), 4, threads=threads)
    plan.input[...] = normal(4, *architecture.input_shape)
    for _ in range(3):
        plan.run()
    gc.collect()
    tracemalloc.start()
    plan.run()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    for _ in range(10):
        plan.run()
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The smallest value of the plan takes 160 bytes, the others 2 kB and more; what a call
    # itself takes (a frame, a memoryview) is freed before the next.
    assert after - before < 2048
    assert peak - before < 8192
    resident = resident_bytes()
    for _ in range(1000):
        plan.run()
    assert resident_bytes() - resident < 512 * 1024


def resident_bytes() -> int:
    """Memory of this process that lies in RAM now; a peak would hide what comes below it."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("this system does not say how much memory a process has")
    return int(statm.read_text().split()[1]) * mmap.PAGESIZE


def test_memory_is_shared_by_values_that_never_meet() -> None:
    architecture = decaf_mini()
    plan = Plan(Network(architecture, parameters(architecture), "numpy"), 8)
    table = plan.memory()
    assert table.arena_bytes < sum(block.nbytes for block in table.blocks)
    assert "conv1" not in str(table) and "relu1" in str(table)
    assert table.parameter_bytes == 4 * sum(
        np.prod(shape) for shape in architecture.parameter_shapes.values()
    )


def test_multiply_adds_are_those_of_the_batch() -> None:
    architecture = decaf_mini()
    plan = Plan(Network(architecture, parameters(architecture), "numpy"), 3)
    costs = (a.multiply_adds(*architecture.input_shapes(a)) for a in architecture.layers)
    want = sum(costs)
    assert sum(step.multiply_adds for step in plan.steps) == 3 * want
    assert len(plan.time_steps()) == len(plan.steps)


@every_backend
def test_timing_the_steps_computes_the_same(backend: str) -> None:
    network = Network(BRANCHED, parameters(BRANCHED), backend)
    x = normal(2, *BRANCHED.input_shape)
    plan = Plan(network, 2, NAMES, threads=2)
    plan.input[...] = x
    for _ in range(2):
        for value in plan.outputs.values():
            value[...] = np.nan
        seconds = plan.time_steps()
        assert len(seconds) == len(plan.steps) and min(seconds) >= 0
        want = run(network, x, NAMES)
        for name in NAMES:
            np.testing.assert_array_equal(plan.outputs[name], want[name])


def test_filters_are_packed_once_and_by_the_first_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[str] = []
    network = Network(decaf_mini(), parameters(decaf_mini()))
    pack = network.engine.pack

    def counted(layer: Layer, *rest: Any) -> Any:
        packed.append(layer.name)
        return pack(layer, *rest)

    monkeypatch.setattr(network.engine, "pack", counted)
    assert packed == []
    first, second = Plan(network, 1), Plan(network, 2)
    assert packed == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    second.input[:], first.input[:] = x, x[:1]
    first.run()
    second.run()
    np.testing.assert_array_equal(first.outputs["prob"][0], second.outputs["prob"][0])


@cython
def test_what_a_plan_says_of_its_memory_is_all_of_it() -> None:
    architecture = decaf_mini()
    network = Network(architecture, parameters(architecture), "cython")
    names = [layer.name for layer in architecture.layers]
    assert network.packed  # which the first plan would do
    gc.collect()
    tracemalloc.start()
    plan = Plan(network, 16, names, threads=2)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    table = plan.memory()
    said = table.arena_bytes + table.end_bytes + table.scratch_bytes
    assert said <= taken <= said + 200_000  # and the objects that a plan is made of


@every_backend
@pytest.mark.parametrize("batch", [PIECE + 1, 2 * PIECE + 3])
def test_a_large_batch_goes_through_in_pieces(backend: str, batch: int) -> None:
    network = Network(BRANCHED, parameters(BRANCHED), backend)
    x = normal(batch, *BRANCHED.input_shape)
    plan = Plan(network, batch, NAMES, threads=2)
    plan.input[...] = x
    plan.run()
    for name in NAMES:
        alone = np.concatenate([run(network, row[None], [name])[name] for row in x])
        np.testing.assert_array_equal(plan.outputs[name], alone)
    assert len(plan.time_steps()) == len(plan.steps)


@every_backend
def test_memory_on_the_way_does_not_grow_with_the_batch(backend: str) -> None:
    network = Network(decaf_mini(), parameters(decaf_mini()), backend)
    tables, taken = [], []
    for pieces in (1, 20):
        gc.collect()
        tracemalloc.start()
        plan = Plan(network, PIECE * pieces)
        plan.input[...] = 0
        plan.run()
        tables.append(plan.memory())
        taken.append(tracemalloc.get_traced_memory()[1] - tables[-1].end_bytes)
        tracemalloc.stop()
    small, large = tables
    assert (small.arena_bytes, small.scratch_bytes) == (large.arena_bytes, large.scratch_bytes)
    assert large.end_bytes == 20 * small.end_bytes
    assert taken[1] < taken[0] + 20 * 150_000  # steps, for each piece


def test_wrong_arguments_name_what_is_wrong() -> None:
    p = parameters(BRANCHED)
    network = Network(BRANCHED, p, "numpy")
    with pytest.raises(ArchitectureError, match="relu6.*got 'fc66'"):
        Plan(network, 1, ["fc66"])
    with pytest.raises(ShapeError, match="batch must be at least 1; got 0"):
        Plan(network, 0)
    for threads in (0, -1, 2.5):
        with pytest.raises(DecafError, match="threads must be a whole number"):
            Plan(network, 1, threads=threads)  # type: ignore[arg-type]
    cut = {name: value for name, value in p.items() if name != "fc6/bias"}
    with pytest.raises(ShapeError, match="missing: fc6/bias"):
        Network(BRANCHED, cut, "numpy")
    with pytest.raises(ShapeError, match="unknown: fc9/bias"):
        Network(BRANCHED, {**p, "fc9/bias": p["fc6/bias"]}, "numpy")
    with pytest.raises(ShapeError, match=r"fc6/bias: .*expected \(37,\) float32, got \(36,\)"):
        Network(BRANCHED, {**p, "fc6/bias": p["fc6/bias"][1:]}, "numpy")
    with pytest.raises(ShapeError, match="fc6/bias: .*got .* float64"):
        Network(BRANCHED, {**p, "fc6/bias": p["fc6/bias"].astype(float)}, "numpy")


@cython
def test_caffenet_with_groups_and_norms_agrees_between_backends() -> None:
    architecture = caffenet(10)
    p, x = parameters(architecture), normal(1, *architecture.input_shape)
    fast, plain = (run(Network(architecture, p, b), x)["prob"] for b in ("cython", "numpy"))
    np.testing.assert_allclose(fast, plain, atol=1e-5)


@every_backend
@pytest.mark.parametrize(
    "layers_",
    [
        (ReLU("a"), Flatten("b"), Softmax("c")),
        (Conv("a", 3, 1), Flatten("b"), ReLU("c")),
        (Flatten("a"), Dropout("b"), Softmax("c")),
        (
            Flatten("a"),
            Conv("b", 2, 1, inputs=("data",)),
            Flatten("c"),
            Concat("d", inputs=("a", "c")),
        ),
    ],
    ids=lambda layers_: "-".join(type(a).__name__ for a in layers_),
)
def test_what_follows_a_flatten_sees_it_flat(backend: str, layers_: tuple[Any, ...]) -> None:
    architecture = Architecture("flat", (2, 3, 2), layers_)
    x = normal(2, 2, 3, 2)
    last = layers_[-1].name
    found = run(Network(architecture, parameters(architecture), backend), x)[last]
    assert found.shape == (2, *architecture.shapes[last])
    if isinstance(layers_[-1], Softmax):
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    if isinstance(layers_[-1], Concat):
        np.testing.assert_array_equal(found[:, :12], x.reshape(2, 12))


@cython
@pytest.mark.parametrize("backend", ["cython", "blas"])
def test_random_nets_agree_with_numpy_and_keep_their_bits(
    monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    """Fusion and shared memory, on nets that nobody drew by hand."""
    monkeypatch.setattr("decaf.plan.WORTH_A_TEAM", 0)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        architecture = random_net(rng)
        names = [layer.name for layer in architecture.layers]
        wanted = [name for name in names if rng.random() < 0.3] or names[-1:]
        p, x = parameters(architecture, seed), normal(3, *architecture.input_shape, seed=seed)
        fast = Network(architecture, p, backend)
        found = run(fast, x, wanted, threads=1 + seed % 2)
        plain = run(Network(architecture, p, "numpy"), x, wanted)
        everything = run(fast, x, names)
        for name in wanted:
            np.testing.assert_array_equal(found[name], everything[name], err_msg=f"{seed} {name}")
            scale = np.abs(plain[name]).max() + 1e-6
            assert np.abs(found[name] - plain[name]).max() <= 2e-5 * scale, (seed, name)


def random_net(rng: np.random.Generator) -> Architecture:
    """Draw up to 14 layers that read any layer before them that they can take."""
    shape = (int(rng.integers(1, 4)) * 2, int(rng.integers(5, 9)), int(rng.integers(5, 9)))
    net = Architecture("random", shape, (ReLU("l0"),))
    while len(net.layers) < 14:
        name, source = f"l{len(net.layers)}", str(rng.choice(list(net.shapes)))
        same = [n for n, s in net.shapes.items() if s[1:] == net.shapes[source][1:]]
        kinds: list[Any] = [
            Conv(name, 4, (3, 2), padding=1, groups=int(rng.integers(1, 3)), inputs=(source,)),
            ReLU(name, inputs=(source,)),
            ReLU(name),
            Dropout(name, inputs=(source,)),
            Flatten(name, inputs=(source,)),
            LRN(name, 3, 0.5, inputs=(source,)),
            MaxPool(name, 3, 2, ceil_mode=True, inputs=(source,)),
            Linear(name, 5, inputs=(source,)),
            Concat(name, inputs=(source, str(rng.choice(same)))),
        ]
        try:
            net = Architecture("random", shape, (*net.layers, kinds[rng.integers(len(kinds))]))
        except ArchitectureError:  # this kind cannot take that shape
            continue
    return net


@every_backend
def test_a_plan_that_runs_is_not_run_by_another_thread(backend: str) -> None:
    plan = Plan(Network(BRANCHED, parameters(BRANCHED), backend), 2)
    plan.input[...] = 1
    plan.run()
    want = plan.outputs["prob"].copy()

    class Waits:
        """A program that another thread meets in the middle."""

        def run(self, helpers: Any) -> None:
            inside.set()
            assert leave.wait(20)

    inside, leave = threading.Event(), threading.Event()
    program, plan._program = plan._program, Waits()
    other = threading.Thread(target=plan.run)
    other.start()
    assert inside.wait(20)
    for method in (plan.run, plan.time_steps):
        with pytest.raises(DecafError, match="branched: a plan must be run by one thread at a"):
            method()
    leave.set()
    other.join()
    plan._program = program
    plan.run()
    np.testing.assert_array_equal(plan.outputs["prob"], want)


@cython
def test_many_threads_with_plans_and_teams_of_their_own() -> None:
    """More helpers than cores, all at once: every answer is right, and nothing hangs."""
    architecture = decaf_mini()
    network = Network(architecture, parameters(architecture), "cython")
    x = normal(6, *architecture.input_shape)
    want = run(network, x)["prob"]
    wrong: list[int] = []

    def work(number: int) -> None:
        plan = Plan(network, 6, threads=1 + number % 3)
        plan.input[...] = x
        for _ in range(10):
            plan.run()
            if not np.array_equal(plan.outputs["prob"], want):
                wrong.append(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive()
    assert not wrong


def test_a_batch_beyond_memory_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(nbytes: int) -> None:
        raise MemoryError

    monkeypatch.setattr("decaf.plan.aligned_empty", none_left)
    network = Network(BRANCHED, parameters(BRANCHED), "numpy")
    with pytest.raises(DecafError, match="branched: a batch must fit into memory; expected room"):
        Plan(network, 4)
