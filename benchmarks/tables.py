"""Put what the benchmarks measured into README.md and docs/*.md.

    python benchmarks/tables.py            # rewrites what is out of date
    python benchmarks/tables.py --check    # changes nothing; exit status 1 if anything is

A generated part stands between two comments, which a reader of the page does not see:

    <!-- peers.json: alexnet-2 -->
    ...
    <!-- end -->

The first names a file of ``benchmarks/results`` and a part of it.  Every figure of the pages that
a benchmark measured stands in such a part, and a test compares them with the files.  The text
around them must stay true when figures change a little.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import adaptation_tables
import convert_tables
import features_tables
import flowers_tables
import midlevel_tables
import peers_tables
import retrieval_tables
import sixteen_tables
import transfer_tables
from peers_tables import NONE
from peers_targets import MB, verdicts
from timing import table

from decaf.architectures import ARCHITECTURES

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"

Report = Mapping[str, Any]  # a file of results: ``figures``, and where they were measured

MARKED = re.compile(r"(<!-- (\w+)\.json: ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


class Outdated(Exception):  # noqa: N818
    """A file of results that is missing, or was written by an older benchmark."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    options = parser.parse_args()
    stale = 0
    for page in pages():
        text = page.read_text(encoding="utf-8")
        try:
            wanted = rewritten(text)
        except Outdated as reason:
            sys.exit(f"tables: {page.relative_to(ROOT)}: {reason}")
        if wanted == text:
            continue
        stale += 1
        print(f"{'out of date' if options.check else 'rewritten'}: {page.relative_to(ROOT)}")
        if not options.check:
            page.write_text(wanted, encoding="utf-8")
    return 1 if options.check and stale else 0


def pages() -> list[Path]:
    """Those that may have generated parts."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def rewritten(text: str) -> str:
    """Return the text of a page with all generated parts made anew.

    Raises
    ------
    Outdated
        If a part is unknown, or its file does not have what it needs.
    """
    return MARKED.sub(lambda found: f"{found[1]}\n{part(found[2], found[3])}\n\n{found[5]}", text)


def part(file: str, name: str) -> str:
    """Return one generated part, from the results that it names."""
    make = PARTS.get(file, {}).get(name)
    if make is None:
        known = ", ".join(PARTS.get(file, ())) or f"no part of {file}.json"
        raise Outdated(f"a part must be one that tables.py makes; expected {known}, got {name!r}")
    try:
        return make(report(file))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Outdated(
            f"{file}.json must have all that part {name!r} needs; expected what "
            f"benchmarks/{file}.py writes now, got a file without it ({error!r}): run it again"
        ) from error


def report(file: str) -> Report:
    """A file of results."""
    path = RESULTS / f"{file}.json"
    if not path.exists():
        raise Outdated(f"{path.name} must be there; run benchmarks/{file}.py, which writes it")
    found: Report = json.loads(path.read_text(encoding="utf-8"))
    return found


# --- peers.json: the contest ----------------------------------------------------------------

ENGINES = {
    "torch": "PyTorch",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "opencv-python-headless": "OpenCV",
}


def where(report: Report) -> str:
    """Machine, day and versions in a sentence."""
    machine, versions = report["machine"], report["versions"]
    engines = [f"{title} {versions[name]}" for name, title in ENGINES.items() if name in versions]
    return (
        f"Measured {report['date'][:10]} on {_machine(machine)}{_environment(report)}: "
        f"{', '.join(engines)}."
    )


def _machine(machine: Report) -> str:
    cores = machine["cores_for_this_process"]
    return f"{machine['processor']}, {cores} core{'s' * (cores > 1)}"


def _environment(report: Report) -> str:
    """Settings of BLAS and OpenMP that the benchmark found, if there were any."""
    found = report["threads"]["environment"]
    return "".join(f", {name}={value}" for name, value in found.items())


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def contest(network: str, threads: int, report: Report, *, quartiles: bool = False) -> str:
    """The float32 contestants."""
    return peers_tables.exact(_cases(report, network, threads), quartiles=quartiles)


def fewer_bits(threads: int, report: Report) -> str:
    """Those that keep weights or compute in fewer bits."""
    return peers_tables.reduced(_cases(report, "alexnet", threads))


def _cases(report: Report, network: str, threads: int) -> list[Report]:
    return [
        case
        for case in report["figures"]["contest"]
        if (case["network"], case["threads"]) == (network, threads)
    ]


def processes(report: Report) -> str:
    return peers_tables.processes(report["figures"]["processes"])


def ceilings(report: Report) -> str:
    return peers_tables.ceilings(report["figures"]["ceilings"], report["figures"]["rates"])


def growth(report: Report) -> str:
    return peers_tables.growth(report["figures"]["growth"])


def two_python_threads(report: Report) -> str:
    return peers_tables.two_python_threads(report["figures"]["two_python_threads"])


def aims(report: Report) -> str:
    return peers_tables.aims(list(verdicts(report["figures"])))


def short(report: Report) -> str:
    """How many aims were reached, and which were not."""
    asked = [found for found in verdicts(report["figures"]) if found.limit is not None]
    missed = [found for found in asked if not found.meets(found.limit)]
    rows = [(found.what, *found.row()[1:4]) for found in missed]
    stretches = [found for found in verdicts(report["figures"]) if found.stretch is not None]
    beyond = sum(found.meets(found.stretch) for found in stretches)
    text = (
        f"{len(asked) - len(missed)} of {len(asked)} aims were reached, and {beyond} of "
        f"{len(stretches)} that went further."
    )
    if not missed:
        return text
    head = ("what falls short", "limit", "stretch", "measured")
    return f"{text}\n\n{table(head, rows)}"


def steps(report: Report) -> str:
    """Every convolution at a large batch, every fully connected layer at batch 1: all threads."""
    architecture = ARCHITECTURES["alexnet"](1000)
    layers = {layer.name: layer for layer in architecture.layers}
    ceilings = {one["threads"]: one for one in report["figures"]["ceilings"]}
    rows = []
    for one in _rates(report):
        if one["threads"] != max(ceilings):
            continue
        conv = one["layers"] == "conv"
        for step, ms in one["steps_ms"].items():
            layer = layers[step.partition("+")[0]]
            shapes = architecture.input_shapes(layer)
            if conv:
                rate = 2 * one["batch"] * layer.multiply_adds(*shapes) / ms / 1e6
            else:  # 4 bytes a weight, each used once an image
                rate = 4 * layer.multiply_adds(*shapes) / ms / 1e6
            most = ceilings[one["threads"]]["peak"] if conv else one["read"]
            unit = "GFLOP/s" if conv else "GB/s"
            rows.append(
                (step, one["batch"], f"{ms:.2f}", f"{rate:.0f} {unit}", _percent(rate / most))
            )
    head = ("step", "batch", "ms", "rate", "of peak or bandwidth")
    return table(head, rows)


def one_photo(report: Report) -> str:
    """Which part of a single photo's time the fully connected layers take."""
    rows = []
    for one in _rates(report):
        if one["layers"] == "fc":
            (case,) = (
                case
                for case in _cases(report, "alexnet", one["threads"])
                if case["batch"] == one["batch"]
            )
            whole, fc = case["times"]["decaf"]["median_ms"], sum(one["steps_ms"].values())
            rows.append((one["threads"], f"{whole:.2f}", f"{fc:.2f}", _percent(fc / whole)))
    return table(("threads", "a photo, ms", "fully connected layers, ms", "share"), rows)


def _rates(report: Report) -> list[Report]:
    """Of decaf in float32."""
    return [one for one in report["figures"]["rates"] if one["name"] == "decaf"]


# --- ladder_conv.json -----------------------------------------------------------------------


def ladder_where(report: Report) -> str:
    """The layers, and where they were measured."""
    figures = report["figures"]
    layers = "\n".join(f"- {layer['text']}" for layer in figures["layers"].values())
    one, two = (f"{figures['peak_gflops'][threads]:.0f}" for threads in ("1", "2"))
    machine = f"{_machine(report['machine'])}{_environment(report)}"
    return (
        f"{layers}\n\n"
        f"Measured {report['date'][:10]} on {machine}, {figures['lanes']} floats in a vector; the "
        f"peak is {one} GFLOP/s on one thread, {two} on two; OpenBLAS used its kernels for "
        f"{figures['blas_kernels']}."
    )


def ladder(report: Report) -> str:
    """GFLOP/s of all rungs on all layers."""
    return _rungs(report, failed=False)


def failed(report: Report) -> str:
    """The same for ideas that failed."""
    return _rungs(report, failed=True)


def _rungs(report: Report, *, failed: bool) -> str:
    names = list(report["figures"]["layers"])
    rows = []
    for rung in report["figures"]["rungs"]:
        if rung["failed"] is failed:
            found = rung["layers"]
            cells = [_speed(found[name]) if name in found else NONE for name in names]
            error = max(layer["error"] for layer in found.values())
            rows.append((rung["rung"], rung["name"], *cells, f"{error:.0e}"))
    return table(("rung", "idea", *names, "largest error"), rows)


def _speed(layer: Report) -> str:
    digits = 0 if layer["gflops"] >= 10 else 1
    return f"{layer['gflops']:.{digits}f} ({_percent(layer['share_of_peak'])})"


def ideas(report: Report, *, failed: bool) -> str:
    """What each rung adds, in its own words."""
    return "\n".join(
        f"{rung['rung']}. *{rung['name']}*: {rung['idea']}"
        for rung in report["figures"]["rungs"]
        if rung["failed"] is failed
    )


# --- parity.json ----------------------------------------------------------------------------

QUIET = ("relu", "drop", "pool")  # what rounds little is left out of the tables
ISAS = {"avx512": "AVX-512", "avx2": "AVX2", "baseline": "baseline"}


def layers(report: Report) -> str:
    """Error of every layer of AlexNet that multiplies, on the best instruction set."""
    found = report["figures"]["alexnet"]["layers"]
    best = _best(found["conv1"])
    rows = [
        (
            name,
            f"{row['torch']:.1e}",
            f"{row['numpy']['error']:.1e}",
            f"{row[best]['error']:.1e}",
            f"{row[best]['rms_ratio']:.2f}",
        )
        for name, row in found.items()
        if not name.startswith(QUIET)
    ]
    isa = ISAS[best.partition("-")[2]]
    head = ("layer", "PyTorch", "decaf, NumPy", f"decaf, {isa}", f"{isa} ÷ PyTorch, mean square")
    return table(head, rows)


def _best(engines: Report) -> str:
    """The first compiled engine, which is on the best instruction set; else NumPy."""
    return next((name for name in engines if name.startswith("cython-")), "numpy")


def compared(report: Report) -> str:
    """All that is compared besides the layers of AlexNet."""
    figures = report["figures"]
    rows = [
        ("torchvision's transforms, photos of different shapes and modes", _photos),
        ("outputs that Caffe itself wrote", _caffe),
        ("SqueezeNet 1.1, real weights, ImageNet photos, PyTorch in float64", _squeezenet),
        ("itself: alone and in batches, on 1 and 2 threads", _same_bits),
    ]
    keys = ("preprocessing", "caffe_outputs", "squeezenet", "same_bits")
    cells = [
        (what, _skipped(figures[key]) or show(figures[key]))
        for (what, show), key in zip(rows, keys, strict=True)
    ]
    return table(("compared with", "result"), cells)


def _skipped(figures: Report) -> str:
    """The reason why a part was left out, or nothing."""
    return f"left out: {figures['skipped']}" if "skipped" in figures else ""


def _photos(figures: Report) -> str:
    largest = figures["largest_difference"]
    difference = f"at most {largest:.1e} different" if largest else "no difference at all"
    return f"{len(figures['photos'])} photos: {difference}"


def _caffe(figures: Report) -> str:
    count, worst = len(figures["layers"]), figures["largest_relative_error"]
    return f"{count} layers: at most {worst:.1e} relative"


def _squeezenet(figures: Report) -> str:
    one, count = figures[_best(figures)], figures["photos"]
    return (
        f"same top-1 on {one['same_top1']} of {count}, the same top-5 in the same order on "
        f"{one['same_top5_order']} ({one['same_top5_order_as_recorded']} where torchvision's own "
        f"float32 record decides), probabilities to {one['largest_probability_difference']:.1e}; "
        f"top-1 {_percent(one['top1'])}, top-5 {_percent(one['top5'])}"
    )


def _same_bits(figures: Report) -> str:
    networks = [(name, by) for name, by in figures.items() if name != "good"]
    sizes = ", ".join(map(str, networks[0][1]["batches"]))
    names = ", ".join(name for name, _ in networks)
    bits = "same bits" if figures["good"] else "DIFFERENT bits"
    return f"{bits} in batches of {sizes} ({names})"


def compact(report: Report) -> str:
    """What float16 weights change."""
    figures = report["figures"]["compact"]
    if reason := _skipped(figures):
        return reason
    rows = []
    for name, one in figures.items():
        if isinstance(one, dict) and "photos" in one:
            top1 = [f"{one[precision]['top1'] * 100:.2f} %" for precision in ("float32", "float16")]
            same = f"{one['same_top1']} of {one['photos']}"
            rows.append((name, one["weights"], *top1, same, f"{one['largest_change']:.0e}"))
    head = ("network", "weights", "top-1", "top-1, float16", "same top-1", "probabilities change")
    random = figures["alexnet_random"]
    return (
        f"{table(head, rows)}\n\n"
        f"AlexNet with random weights, {random['inputs']} random inputs: fc8 changes by at most "
        f"{random['fc8_error']:.0e} of its largest magnitude, the best class changes for "
        f"{random['changed_top1']} inputs."
    )


# --- startup.json, memory.json --------------------------------------------------------------


def startup(report: Report) -> str:
    figures = report["figures"]
    times = {name: one["median_ms"] for name, one in figures["processes"].items()}
    net = times["from decaf.net import DecafNet"] - times["import numpy"]
    return (
        "From the start of the process to the first answer of the embedded network: "
        f"{figures['first_answer_ms'] / 1e3:.2f} s. `import decaf` costs "
        f"{max(0, round(figures['import_decaf_beyond_numpy_ms']))} ms beyond `import numpy`, "
        f"`from decaf.net import DecafNet` {net:.0f} ms."
    )


def memory(report: Report) -> str:
    figures = report["figures"]
    grown = max(case["growth"] for case in figures["cases"])
    traced = max(case["traced"] for case in figures["cases"])
    more = f"{grown / MB:.1f} MB more" if grown > 0 else "no more"
    return (
        f"After {figures['runs']:,} runs a plan takes {more} memory than after ten, and Python "
        f"holds at most {traced / 1e3:.1f} kB during a run."
    )


# --- convert.json ---------------------------------------------------------------------------


def conversions(report: Report) -> str:
    """Torch's files, made into decaf's."""
    return convert_tables.conversions(report["figures"]["conversions"])


def loading(report: Report) -> str:
    """What a file takes before and with its first answer."""
    return convert_tables.loading(report["figures"]["loading"])


def _of_figures(*parts: Callable[[Mapping[str, Any]], str]) -> dict[str, Callable[[Report], str]]:
    """Parts that take the figures alone, by the names of their functions."""
    return {part.__name__: partial(_call, part) for part in parts}


def _call(part: Callable[[Mapping[str, Any]], str], report: Report) -> str:
    return part(report["figures"])


PARTS: dict[str, dict[str, Callable[[Report], str]]] = {
    "peers": {
        "where": where,
        "alexnet-2": partial(contest, "alexnet", 2),
        "alexnet-1": partial(contest, "alexnet", 1),
        "alexnet-2-quartiles": partial(contest, "alexnet", 2, quartiles=True),
        "alexnet-1-quartiles": partial(contest, "alexnet", 1, quartiles=True),
        "caffenet-2": partial(contest, "caffenet", 2),
        "reduced-2": partial(fewer_bits, 2),
        "reduced-1": partial(fewer_bits, 1),
        "processes": processes,
        "ceilings": ceilings,
        "growth": growth,
        "two-python-threads": two_python_threads,
        "aims": aims,
        "short": short,
        "steps": steps,
        "one-photo": one_photo,
    },
    "ladder_conv": {
        "where": ladder_where,
        "ladder": ladder,
        "ideas": partial(ideas, failed=False),
        "failed": failed,
        "failed-ideas": partial(ideas, failed=True),
    },
    "parity": {"layers": layers, "compared": compared, "compact": compact},
    "startup": {"startup": startup},
    "memory": {"memory": memory},
    "convert": {"conversions": conversions, "loading": loading},
    "features": {
        "throughput": lambda report: features_tables.throughput(report["figures"]["throughput"]),
        "ideas": lambda report: features_tables.ideas(report["figures"]["ideas"]),
        "memory": lambda report: features_tables.memory(report["figures"]["memory"]),
        "kills": lambda report: features_tables.kills(report["figures"]["kills"]),
    },
    "flowers": _of_figures(flowers_tables.features, flowers_tables.compared),
    "transfer": _of_figures(
        transfer_tables.protocol, transfer_tables.curve, transfer_tables.verdict
    ),
    "sixteen": _of_figures(sixteen_tables.sixteen, sixteen_tables.cost),
    "adaptation": _of_figures(adaptation_tables.published, adaptation_tables.methods),
    "midlevel": _of_figures(midlevel_tables.scenes, midlevel_tables.photos),
    "retrieval": _of_figures(
        retrieval_tables.quality,
        retrieval_tables.spatial,
        retrieval_tables.order,
        retrieval_tables.why,
        retrieval_tables.recall,
    ),
    "search": _of_figures(retrieval_tables.search),
}


if __name__ == "__main__":
    sys.exit(main())
