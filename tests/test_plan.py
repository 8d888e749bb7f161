"""A plan: fusion, memory, threads and instruction sets change nothing about the answer."""

from __future__ import annotations

import gc
import itertools
import resource
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import both_backends, normal

from decaf import layers, ops
from decaf.architectures import caffenet, decaf_mini
from decaf.backends import CythonBackend
from decaf.errors import ArchitectureError, DecafError, ShapeError
from decaf.plan import Network, Plan
from decaf.specs import (
    LRN,
    AdaptiveAvgPool,
    Architecture,
    AvgPool,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Linear,
    MaxPool,
    ReLU,
    Softmax,
)

cython = pytest.mark.skipif("cython" not in ops.available(), reason="kernels are not built")

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


@both_backends
def test_every_layer_is_what_the_reference_says(backend: str) -> None:
    if backend not in ops.available():
        pytest.skip("kernels are not built")
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


@cython
@pytest.mark.parametrize("isa", ["avx512", "avx2", "baseline"])
@pytest.mark.parametrize("architecture", [BRANCHED, decaf_mini()], ids=lambda a: a.name)
def test_bits_depend_neither_on_batch_nor_place_nor_threads(
    monkeypatch: pytest.MonkeyPatch, architecture: Architecture, isa: str
) -> None:
    if isa not in ops.kernel("isa").available():
        pytest.skip(f"this processor has no {isa}")
    monkeypatch.setattr("decaf.plan.get_backend", lambda name: CythonBackend(isa))
    monkeypatch.setattr("decaf.plan.WORTH_A_TEAM", 0)  # a team for every step, however small
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
        CythonBackend("mmx").pack(layer, p["conv1/weight"], p["conv1/bias"])


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
    return int(statm.read_text().split()[1]) * resource.getpagesize()


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


def test_wrong_arguments_name_what_is_wrong() -> None:
    p = parameters(BRANCHED)
    network = Network(BRANCHED, p, "numpy")
    with pytest.raises(ArchitectureError, match="relu6.*got 'fc66'"):
        Plan(network, 1, ["fc66"])
    with pytest.raises(ShapeError, match="batch must be at least 1; got 0"):
        Plan(network, 0)
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


@both_backends
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
    if backend not in ops.available():
        pytest.skip("kernels are not built")
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
def test_random_nets_agree_with_numpy_and_keep_their_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fusion and shared memory, on nets that nobody drew by hand."""
    monkeypatch.setattr("decaf.plan.WORTH_A_TEAM", 0)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        architecture = random_net(rng)
        names = [layer.name for layer in architecture.layers]
        wanted = [name for name in names if rng.random() < 0.3] or names[-1:]
        p, x = parameters(architecture, seed), normal(3, *architecture.input_shape, seed=seed)
        fast = Network(architecture, p, "cython")
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


@cython
def test_an_interrupted_plan_does_not_run_again() -> None:
    architecture = decaf_mini()
    plan = Plan(Network(architecture, parameters(architecture)), 2)
    plan.input[...] = 0
    stopped = plan._run()
    next(stopped)
    with pytest.raises(DecafError, match="decaf_mini: a plan must be run by one thread at a time"):
        plan.run()
    stopped.close()  # as an interrupt does
    with pytest.raises(DecafError, match="or was interrupted"):
        plan.run()


def test_a_batch_beyond_memory_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(nbytes: int) -> None:
        raise MemoryError

    monkeypatch.setattr("decaf.plan.aligned_empty", none_left)
    network = Network(BRANCHED, parameters(BRANCHED), "numpy")
    with pytest.raises(DecafError, match="branched: a batch must fit into memory; expected room"):
        Plan(network, 4)
