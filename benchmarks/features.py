"""Features of a folder: photos a second, memory, and what a kill leaves.

    python benchmarks/features.py            # some eight minutes; needs ../shared/data
    python benchmarks/features.py --quick    # half a minute
    python benchmarks/features.py throughput memory      # these parts alone

throughput  All of ``decaf.features.extract``, from the archive of the photos (Oxford Flowers-17,
            1,360 JPEG files) to the feature file, in turn with what it is made of: the network
            alone, on inputs that are made beforehand, pooled as extraction does it, its threads
            sharing batches of 32 or each computing batches of 16 of its own; Pillow alone,
            decoding on as many threads as there are cores; and Pillow decoding and resizing as
            the recipe says.  The *estimate* is the rate of cores that do the work of the faster
            network and of Pillow with resizing, and nothing else, one after the other.
ideas       The ways of sharing two cores that ``features_ideas.py`` describes, in turn; the last
            is what ``extract`` does.
memory      100,000 photos of 32x32: resident memory when 1,000 are done, and the most until the
            end, in a fresh process.
kills       ``decaf features`` is killed (SIGKILL) at a random moment, half of the times its
            ``--resume`` is killed, too, then a last ``--resume`` ends; every byte of the file
            must be that of a run that nobody disturbed.

A line says so where extraction reaches less than 90 % of the network or of Pillow, memory grows
by more than 20 MB, or a file differs; the exit status is 0.

Writes ``results/features.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import features_tables
import numpy as np
from features_ideas import IDEAS, Work
from numpy.typing import NDArray
from PIL import Image
from report import write_report
from startup import run
from timing import interleave

from decaf.convert import convert
from decaf.features.extraction import extract
from decaf.features.pipeline import BATCH_SIZE
from decaf.features.pooling import pool as pool_maps
from decaf.net import DecafNet
from decaf.plan_pool import PlanPool
from decaf.preprocessing import Preprocessing
from decaf.threads import resolve

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
FLOWERS = DATA / "images" / "flowers17.zip"
SQUEEZENET = DATA / "squeezenet" / "squeezenet_v1.1.caffemodel"

BATCH = 32
NETWORK_PHOTOS = 320
SMALL_PHOTOS, FIRST_PHOTOS = 100_000, 1000
KILLS = 50

MEMORY = """
import json, sys
from pathlib import Path
from decaf.features.extraction import extract
first, at_first, most = {first}, None, 0
def field(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024
def note(block):
    global at_first, most
    done = block.first + block.count
    if done % first < block.count:
        now = field("VmRSS")
        at_first = at_first or now
        most = max(most, now)
features = extract([{folder!r}], {output!r}, on_block=note)
assert len(features) == {count}
print(json.dumps(dict(at_first=at_first, most=most, peak=field("VmHWM"))), file=sys.stderr)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parts = ("throughput", "ideas", "memory", "kills")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(parts)}; all")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="few rounds, photos and kills")
    options = parser.parse_args()
    wanted = options.parts or list(parts)
    if not set(wanted) <= set(parts):
        parser.error(f"parts are {', '.join(parts)}")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "throughput" in wanted and FLOWERS.exists():
            figures["throughput"] = throughput(folder, 2 if options.quick else options.rounds)
        if "ideas" in wanted and FLOWERS.exists():
            figures["ideas"] = ideas(folder, 2 if options.quick else options.rounds)
        if "memory" in wanted and sys.platform == "linux":
            figures["memory"] = memory(folder, 5000 if options.quick else SMALL_PHOTOS)
        if "kills" in wanted and FLOWERS.exists():
            figures["kills"] = kills(folder, 3 if options.quick else KILLS)
    for part in wanted:
        if part in figures:
            print(f"\n{part}\n\n{getattr(features_tables, part)(figures[part])}")
        else:
            print(f"\nleft out: {part} needs {'Linux' if part == 'memory' else FLOWERS}")
    if set(figures) == set(parts) and not options.quick:
        write_report("features", figures)


# --- photos a second ---


def flowers() -> list[bytes]:
    with zipfile.ZipFile(FLOWERS) as archive:
        return [archive.read(name) for name in archive.namelist()]


def networks(folder: Path) -> list[tuple[str, Path | None, str, str | None]]:
    """Name, weights, layer and pooling of those to measure."""
    cases: list[tuple[str, Path | None, str, str | None]] = [("decaf-mini", None, "relu6", None)]
    if SQUEEZENET.exists():
        weights = folder / "squeezenet.h5"
        convert(
            SQUEEZENET, weights, prototxt=SQUEEZENET.with_suffix(".prototxt"),
            preprocessing="caffe", force=True,
        )  # fmt: skip
        cases.append(("SqueezeNet 1.1", weights, "fire9/concat", "average"))
    return cases


def throughput(folder: Path, rounds: int) -> list[dict[str, Any]]:
    return [measure(folder, flowers(), rounds, *case) for case in networks(folder)]


def ideas(folder: Path, rounds: int) -> list[dict[str, Any]]:
    found = []
    for name, weights, layer, pooling in networks(folder):
        work = Work(DecafNet(weights), flowers(), layer, pooling)
        want = IDEAS["in turn"](work)
        for idea, way in IDEAS.items():
            if not np.array_equal(way(work), want):
                sys.exit(f"features: {idea} gives other features")
        times = interleave({idea: partial(way, work) for idea, way in IDEAS.items()}, rounds)
        rates = {idea: len(work.photos) / timing.median for idea, timing in times.items()}
        found.append({"network": name, "layer": layer, "photos_per_second": rates})
    return found


def measure(
    folder: Path,
    photos: list[bytes],
    rounds: int,
    name: str,
    weights: Path | None,
    layer: str,
    pooling: str | None,
) -> dict[str, Any]:
    net = DecafNet(weights)
    cores = resolve(None)
    x = net.preprocess(photos[:NETWORK_PHOTOS])
    repeat = 10 if name == "decaf-mini" else 1
    numbers = itertools.count()

    def batches(size: int) -> Iterator[NDArray[np.float32]]:
        for _ in range(repeat):
            yield from np.array_split(x, len(x) // size)

    def network() -> None:  # all threads share each batch, as in DecafNet
        for batch in batches(BATCH):
            run_plan(net.plans, batch)

    plans = PlanPool(net.network, threads=1, idle=cores)

    def streams() -> None:  # each thread computes batches of its own
        with ThreadPoolExecutor(cores) as pool:
            for _ in pool.map(partial(run_plan, plans), batches(BATCH_SIZE)):
                pass

    def run_plan(plans: PlanPool, batch: NDArray[np.float32]) -> None:
        with plans.lend(len(batch), (layer,)) as plan:
            plan.input[...] = batch
            plan.run()
            pool_maps(plan.outputs[layer], pooling)

    def on_all_cores(work: Any) -> None:
        with ThreadPoolExecutor(cores) as pool:
            for _ in pool.map(work, photos):
                pass

    def decode(data: bytes) -> Image.Image:
        image = Image.open(io.BytesIO(data))
        image.load()
        return image

    def resize(data: bytes) -> None:
        resized(decode(data), net.preprocessing)

    def whole() -> None:
        target = folder / f"{next(numbers)}.h5"
        extract([FLOWERS], target, layers=layer, net=net, pooling=pooling)
        target.unlink()

    check(folder, net, photos, layer, pooling)
    times = interleave(
        {
            "extract": whole,
            "network": network,
            "network, streams": streams,
            "Pillow": lambda: on_all_cores(decode),
            "Pillow, resized": lambda: on_all_cores(resize),
        },
        rounds,
    )
    computed = dict.fromkeys(("network", "network, streams"), NETWORK_PHOTOS * repeat)
    rates = {key: computed.get(key, len(photos)) / t.median for key, t in times.items()}
    fastest = max(rates["network"], rates["network, streams"])
    estimate = 1 / (1 / fastest + 1 / rates["Pillow, resized"])
    return {
        "network": name,
        "layer": layer,
        "pooling": pooling,
        "photos": len(photos),
        "threads": cores,
        "seconds": {key: timing.as_dict() for key, timing in times.items()},
        "photos_per_second": {**rates, "estimate": estimate},
    }


def check(
    folder: Path, net: DecafNet, photos: list[bytes], layer: str, pooling: str | None
) -> None:
    """Compare some rows with the network's own."""
    features = extract([FLOWERS], folder / "check.h5", layers=layer, net=net, pooling=pooling)
    with zipfile.ZipFile(FLOWERS) as archive:
        for row in range(0, len(features), 97):
            member = features.paths[row].removeprefix(f"{FLOWERS.as_posix()}/")
            want = pool_maps(net.forward(net.preprocess(archive.read(member)), layer), pooling)
            if not np.array_equal(features[layer][row], want.reshape(-1)):
                sys.exit(f"features: {member} is not what the network gives")
    (folder / "check.h5").unlink()


def resized(image: Image.Image, recipe: Preprocessing) -> Image.Image:
    h, w = recipe.resized(image.height, image.width)
    return image.resize((w, h), Image.Resampling[recipe.interpolation.upper()])


# --- memory ---


def memory(folder: Path, count: int) -> dict[str, Any]:
    photos = folder / "small"
    rng = np.random.default_rng(0)
    encoded = []
    for _ in range(100):
        stream = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(stream, "JPEG")
        encoded.append(stream.getvalue())
    for number in range(count):
        place = photos / f"{number % 100:02}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:06}.jpg").write_bytes(encoded[number % len(encoded)])
    script = MEMORY.format(
        first=FIRST_PHOTOS, folder=str(photos), output=str(folder / "small.h5"), count=count
    )
    found = json.loads(run(script).splitlines()[-1])
    growth = max(found["most"], found["peak"]) - found["at_first"]
    return {"photos": count, "first": FIRST_PHOTOS, **found, "growth": growth}


# --- kills ---


def kills(folder: Path, count: int) -> dict[str, Any]:
    undisturbed = folder / "undisturbed.h5"
    place = folder / "killed"
    place.mkdir()
    begun = time.perf_counter()
    command(undisturbed).wait()
    seconds = time.perf_counter() - begun
    want = hashlib.sha256(undisturbed.read_bytes()).hexdigest()
    dice = random.Random(0)
    left: Counter[str] = Counter()
    identical = 0
    for trial in range(count):
        target = place / "killed.h5"
        while not kill(target, dice.random() * seconds):
            target.unlink()  # it was finished before: once more
        left[state(target)] += 1
        if dice.random() < 0.5 and kill(target, dice.random() * seconds, resume=True):
            left[state(target)] += 1
        ended = command(target, resume=True).wait() == 0
        same = ended and hashlib.sha256(target.read_bytes()).hexdigest() == want
        others = [path for path in place.iterdir() if path != target]
        identical += same and not others
        if not same or others:
            print(f"falls short: run {trial}: same bytes: {same}; left behind: {others}")
        for path in place.iterdir():
            path.unlink()
    return {"runs": count, "kills": left.total(), **left, "identical": identical}


def kill(target: Path, seconds: float, *, resume: bool = False) -> bool:
    """Start, wait, kill; return whether it was still there to be killed."""
    process = command(target, resume=resume)
    time.sleep(seconds)
    there = process.poll() is None
    process.kill()
    process.wait()
    return there


def state(target: Path) -> str:
    """What there is after a kill."""
    if target.exists():
        return "finished"
    journal = target.with_name(f"{target.name}.partial")
    if not journal.exists():
        return "nothing"
    chunk = 256 * 512 * 4  # bytes, without its head
    return "chunks" if journal.stat().st_size > chunk else "journal"


def command(target: Path, *, resume: bool = False) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "decaf", "features", str(FLOWERS), "-o", str(target)]
    return subprocess.Popen(
        [*line, *(["--resume"] if resume else [])],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
