"""Damaged and hostile files: every reader answers with a DecafError, soon and in little memory.

``tests/fuzz/run.py`` says what counts as a failure, and repeats one.  All formats together take
some minutes; two run at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from fuzz import mutate, planted, run, targets

CASES, SECONDS = 20_000, 60.0
AT_ONCE = 2
SEED = 0 if "CI" in os.environ else Random().randrange(2**32)  # elsewhere each run looks further


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[dict[str, Any]]]]:
    """Results to come, of those formats whose tests are to run."""
    wanted = {
        item.callspec.params["name"]
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.originalname == test_only_typed_errors_come_out.__name__
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: pool.submit(run.fuzz, name, CASES, SECONDS, SEED)
            for name in targets.NAMES
            if name in wanted
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", targets.NAMES)
def test_only_typed_errors_come_out(name: str, results: dict[str, Future[dict[str, Any]]]) -> None:
    result = results[name].result()
    told = [
        f"{f['kind']}: {f['what']}\n{f['trace']}\n{f.get('repeat')}" for f in result["failures"]
    ]
    assert not told, "\n\n".join(told)
    target = targets.target(name)
    fixed = len(target.hostile) + len(mutate.truncations(target.seeds, target.words))
    mutants = result["cases"] - fixed
    print(json.dumps(result))
    assert mutants == CASES or (mutants > 0 and result["seconds"] >= SECONDS)
    assert result["accepted"] + result["refused"] == result["cases"]
    # Mutants must get past the door.
    assert result["refusals"] >= target.refusals
    assert result["accepted"] >= mutants * target.accepted // 1000
    assert result["refused"] >= mutants // 10


@pytest.mark.parametrize("fault", planted.FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    name = f"planted:{fault}"
    result = run.fuzz(name, cases=5, seconds=20, hung=5)
    (failure,) = result["failures"]
    assert failure["kind"] == planted.FAULTS[fault][1]
    assert failure["about"] == "hostile: evil"
    assert (run.ROOT / failure["file"]).read_bytes() == b"evil"
    fixed = 1 + 12  # one hostile file, and the seed cut to every length
    assert result["cases"] == fixed + 5  # and went on behind it
    if failure["kind"] in ("exception", "hang", "crash"):
        assert f"in {fault}" in failure["trace"]


def test_the_same_number_gives_the_same_mutant() -> None:
    target = targets.target("weights")

    def mutant(number: int, seed: int) -> bytes:
        return mutate.mutant(target.seeds, target.words, number, seed, "weights")

    assert [mutant(n, 7) for n in range(50)] == [mutant(n, 7) for n in range(50)]
    assert len({mutant(n, 7) for n in range(50)}) > 45
    assert [mutant(n, 7) for n in range(50)] != [mutant(n, 8) for n in range(50)]


@pytest.mark.parametrize("name", targets.NAMES)
def test_every_seed_is_cut_at_every_length(name: str) -> None:
    target = targets.target(name)
    cut = set(mutate.truncations(target.seeds, target.words))
    for index, seed in enumerate(target.seeds):
        size = len(seed.whole())
        assert {(index, length) for length in range(min(size, 4097))} <= cut
        assert all(length < size for i, length in cut if i == index)


@pytest.mark.parametrize(
    "seed",
    [
        mutate.Raw(b"some bytes"),
        mutate.Proto(bytes.fromhex("0a03616263 1202 0801 1d00000000 21 0000000000000000")),
        mutate.Pickle(b"\x80\x02]q\x00(K\x01K\x02e."),
        mutate.Tokens(b'layer { name: "a" top: 1 }'),
        mutate.Json(b'{"a": [1, 2.5, {"b": null}], "c": ""}'),
        mutate.Packed({"a": b"1", "b": mutate.Json(b"[1]")}, lambda made: b"|".join(made.values())),
    ],
    ids=lambda seed: type(seed).__name__,
)  # fmt: skip
def test_mutators_take_what_they_make(seed: mutate.Seed) -> None:
    """Any mutant can be taken apart again, and few are what they were."""
    whole = seed.whole()
    random = Random(0)
    made = [seed.mutant(random, (b"word",), seed) for _ in range(2000)]
    assert sum(data == whole for data in made) < 400
    assert len(set(made)) > 800
    assert max(map(len, made)) <= 2 * mutate.LONGEST
