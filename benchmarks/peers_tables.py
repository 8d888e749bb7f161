"""Markdown tables of what ``peers.json`` holds; ``tables.py`` puts them into the pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from peers_targets import HEAD, MB, Verdict
from timing import table

Figures = Mapping[str, Any]
NONE = "–"
NAMES = {"alexnet": "torchvision AlexNet", "caffenet": "CaffeNet"}


def everything(figures: Figures, verdicts: Sequence[Verdict]) -> str:
    """All tables for which there are figures, with a line above each."""
    parts = [f"{title}\n\n{rows}" for title, rows in _tables(figures)]
    if verdicts:
        parts.append(f"What is aimed at\n\n{aims(verdicts)}")
    return "\n\n".join(parts)


def _tables(figures: Figures) -> Iterator[tuple[str, str]]:
    cases = figures.get("contest", [])
    networks = dict.fromkeys(case["network"] for case in cases)
    for network in networks:
        for threads in sorted({case["threads"] for case in cases}, reverse=True):
            chosen = [c for c in cases if (c["network"], c["threads"]) == (network, threads)]
            where = f"{NAMES.get(network, network)}, {threads} thread{'s' * (threads > 1)}, in ms"
            yield f"{where}: median (quartiles); float32", exact(chosen)
            if fewer := reduced(chosen):
                yield f"{where}; fewer bits, with the error of fc8", fewer
    if starts := figures.get("processes"):
        yield "A fresh process that loads AlexNet and classifies one photo", processes(starts)
    if found := figures.get("ceilings"):
        yield (
            "What the machine can do at most, and decaf's share of it",
            ceilings(found, figures.get("rates", [])),
        )
    if batches := figures.get("growth"):
        yield f"decaf, {figures['growth_threads']} threads", growth(batches)
    if both := figures.get("two_python_threads"):
        yield "One DecafNet of one thread, photos a second", two_python_threads(both)


def exact(cases: Sequence[Figures], *, quartiles: bool = True) -> str:
    """Those that compute in float32, a line for each batch size; decaf first."""
    names = [name for name, p in cases[0]["precisions"].items() if p == "float32"]
    names.sort(key=lambda name: name != "decaf")
    rows = []
    for case in cases:
        fastest = case["fastest_float32_rival"]
        ratio = case["decaf_divided_by"].get(fastest)
        rows.append(
            (
                case["batch"],
                *(_time(case["times"][name], quartiles=quartiles) for name in names),
                NONE if ratio is None else f"{ratio:.2f} ({fastest})",
                _limit(case),
            )
        )
    return table(("batch", *names, "decaf / fastest rival", "limit"), rows)


def reduced(cases: Sequence[Figures]) -> str:
    """A table of those that compute with fewer bits; empty if there are none."""
    precisions = {n: p for n, p in cases[0]["precisions"].items() if p != "float32"}
    if not precisions:
        return ""
    rows = [
        (
            case["batch"],
            *(f"{_time(case['times'][n])}, {case['errors'][n]:.0e}" for n in precisions),
        )
        for case in cases
    ]
    return table(("batch", *(f"{n}: {p}" for n, p in precisions.items())), rows)


def processes(starts: Figures) -> str:
    """Start and memory of a fresh process, by engine."""
    rows = [
        (name, _time(one["first_answer"]), f"{one['peak_bytes'] / MB:.0f}")
        for name, one in starts.items()
    ]
    return table(("engine", "first answer, ms", "peak memory, MB"), rows)


def ceilings(found: Sequence[Figures], rates: Sequence[Figures]) -> str:
    """What the machine can do at most, and decaf's share of it."""
    rows: list[tuple[object, ...]] = []
    for ceiling in found:
        peak, bandwidth = f"{ceiling['peak']:.0f} GFLOP/s", f"{ceiling['bandwidth']:.1f} GB/s"
        rows.append((ceiling["threads"], "multiply-adds, best", peak, NONE, NONE))
        rows.append((ceiling["threads"], "reads, best", bandwidth, NONE, NONE))
        for one in rates:
            if one["threads"] == ceiling["threads"]:
                conv = one["layers"] == "conv"
                kind = "convolutions" if conv else "fully connected layers"
                what = f"{one['name']}: {kind}, batch {one['batch']}"
                rate = f"{one['rate']:.0f} GFLOP/s" if conv else f"{one['rate']:.1f} GB/s"
                most = f"{one['read']:.1f} GB/s meanwhile" if one.get("read") else peak
                rows.append((one["threads"], what, rate, most, f"{one['share'] * 100:.0f} %"))
    return table(("threads", "what", "rate", "of", "share"), rows)


def growth(batches: Sequence[Figures]) -> str:
    """Time an image, and memory, by batch size."""
    rows = [
        (one["batch"], f"{one['image_ms']:.2f}", f"{one['beyond_bytes'] / MB:.1f}")
        for one in batches
    ]
    return table(("batch", "ms an image", "MB beyond input and output"), rows)


def two_python_threads(both: Figures) -> str:
    rates = [f"{both[key]:.1f}" for key in ("one_per_second", "two_per_second")]
    return table(("one Python thread", "two", "ratio"), [[*rates, f"{both['ratio']:.2f}"]])


def aims(verdicts: Sequence[Verdict]) -> str:
    """All aims, with what was reached."""
    return table(HEAD, [verdict.row() for verdict in verdicts])


def _time(one: Figures, *, quartiles: bool = True) -> str:
    low, high = one["quartiles_ms"]
    digits = 2 if one["median_ms"] < 10 else 1 if one["median_ms"] < 100 else 0
    median = f"{one['median_ms']:.{digits}f}"
    return f"{median} ({low:.{digits}f}–{high:.{digits}f})" if quartiles else median


def _limit(case: Figures) -> str:
    return NONE if case["limit_ms"] is None else f"{case['limit_ms']:.1f}"
