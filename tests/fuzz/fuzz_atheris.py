"""Fuzz a reader for as long as you like, led by which of its lines a case reaches.

    make fuzz                            # every format in turn, five minutes each
    make fuzz FORMAT=pth SECONDS=3600

Google's atheris instruments decaf's bytecode and keeps every case that reaches something new, in
``build/fuzz/corpus/FORMAT``; the next run goes on from there.  What goes wrong stops the run, and
lies in ``build/fuzz/FORMAT``; ``python tests/fuzz/run.py FORMAT --file PATH`` repeats it.  Half of
the mutants are the fuzzer's own, half come from ``mutate/``, which knows the formats' words.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import warnings
from pathlib import Path
from random import Random

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests")]
BUILD = ROOT / "build" / "fuzz"
MEGABYTES = 2048  # of the whole process
TIMEOUT = 10  # seconds for a case; instrumented code is several times slower


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one format in this process; libFuzzer ends it."""
    with atheris.instrument_imports(include=["decaf"]):
        from fuzz import mutate, targets

        from decaf.errors import DecafError

        target = targets.target(name)
        for seed in target.seeds:  # imports what is imported late, so that it is instrumented
            targets.check(target.read(seed.whole()), len(seed.whole()))
    corpus = BUILD / "corpus" / name
    found = BUILD / name
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(target.seeds):
        (corpus / f"seed-{index}").write_bytes(seed.whole())
    for index, data in enumerate(target.hostile.values()):
        if len(data) <= mutate.LONGEST:
            (corpus / f"hostile-{index}").write_bytes(data)
    warnings.simplefilter("error")

    def once(data: bytes) -> None:
        try:
            result = target.read(data)
        except DecafError:
            return
        targets.check(result, len(data))

    def changed(data: bytes, most: int, number: int) -> bytes:
        random = Random(number)
        if random.random() < 0.5:
            return atheris.Mutate(data, most)
        if random.random() < 0.5:
            return mutate.mutant(target.seeds, target.words, number, 0, name)[:most]
        return mutate.damaged(data, random, target.words, random.choice(target.seeds).whole())[
            :most
        ]

    arguments = [
        sys.argv[0], f"-max_total_time={seconds}", f"-timeout={TIMEOUT}", "-print_final_stats=1",
        f"-rss_limit_mb={MEGABYTES}", f"-max_len={mutate.LONGEST}", f"-artifact_prefix={found}/",
        str(corpus),
    ]  # fmt: skip
    atheris.Setup(arguments, once, custom_mutator=changed)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("format", help="one of tests/fuzz/targets.py, or all")
    parser.add_argument("seconds", type=int)
    options = parser.parse_args()
    if options.format != "all":
        fuzz(options.format, options.seconds)
        return 0  # not reached: libFuzzer ends the process
    from fuzz import targets

    failed = []
    for name in targets.NAMES:
        print(f"=== {name}", flush=True)
        command = [sys.executable, __file__, name, str(options.seconds)]
        if subprocess.run(command, cwd=ROOT).returncode != 0:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "nothing was found")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
