"""What decaf wants to reach, and what it reached: one line for each aim that was measured.

Times are ratios of medians in one run, smaller is better; the rival is the fastest of those that
compute in float32 throughout, on as many threads.  No line decides over pass or fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

MB = 1e6
EXACT = "float32"


class Verdict(NamedTuple):
    """One aim."""

    what: str
    found: float
    limit: float | None  # None: nothing is asked for, only reported
    stretch: float | None = None
    more: bool = False  # whether more is better
    unit: str = ""

    def meets(self, limit: float) -> bool:
        return self.found >= limit if self.more else self.found <= limit

    @property
    def word(self) -> str:
        if self.stretch is not None and self.meets(self.stretch):
            return "reached, the stretch too"
        if self.limit is None:
            return "reported"
        return "reached" if self.meets(self.limit) else "falls short"

    def row(self) -> tuple[str, ...]:
        least = "at least" if self.more else "at most"
        limit = "–" if self.limit is None else f"{least} {self._show(self.limit)}"
        stretch = "–" if self.stretch is None else self._show(self.stretch)
        return self.what, limit, stretch, self._show(self.found), self.word

    def as_dict(self) -> dict[str, Any]:
        return self._asdict() | {"verdict": self.word}

    def _show(self, value: float) -> str:
        if self.unit == "%":
            return f"{value * 100:.0f} %"
        if self.unit == "MB":
            return f"{value:.0f} MB"
        return f"{value:.2f}{self.unit and ' '}{self.unit}"


HEAD = ("aim", "limit", "stretch", "measured", "verdict")


def verdicts(figures: Mapping[str, Any]) -> Iterator[Verdict]:
    """Compare the figures of ``peers.json`` with the aims, as far as they are there."""
    yield from _contest(figures.get("contest", []))
    yield from _alone(figures)
    yield from _processes(figures.get("processes", {}))


def _contest(cases: list[dict[str, Any]]) -> Iterator[Verdict]:
    for case in cases:
        if case["network"] != "alexnet":
            continue
        times = {name: one["median_ms"] for name, one in case["times"].items()}
        batch, threads = case["batch"], case["threads"]
        where = f"batch {batch}, {threads} thread{'s' * (threads > 1)}"
        ours = times["decaf"]
        fastest = case["fastest_float32_rival"]
        if fastest and (batch, threads) in RIVALS:
            limits = RIVALS[batch, threads]
            yield Verdict(f"{where}: decaf / {fastest}", ours / times[fastest], *limits)
        last = "PyTorch channels_last"
        if last in times and threads == 2 and batch in (1, 32):
            yield Verdict(f"{where}: decaf / {last}", ours / times[last], 0.60, 0.50)
        reduced = [n for n, p in case["precisions"].items() if p != EXACT and "decaf" in n]
        if not reduced or threads != 2 or batch not in (1, 32):
            continue
        best = min(reduced, key=lambda name: times[name])
        if batch == 1 and fastest and "decaf compact" in times:
            ratio = times["decaf compact"] / times[fastest]
            yield Verdict(f"{where}: decaf compact / {fastest}", ratio, 0.75, 0.55)
        other = "OpenVINO default"
        if other in times:
            yield Verdict(f"{where}: {best} / {other}", times[best] / times[other], None, 1.00)


# At most, and better still, by batch and threads: decaf divided by the fastest float32 rival.
RIVALS = {
    (1, 2): (1.00, 0.90),
    (10, 2): (0.90, 0.70),
    (32, 2): (0.90, 0.70),
    (1, 1): (1.00, 0.80),
    (10, 1): (1.00, 0.80),
    (32, 1): (1.00, 0.80),
}


def _alone(figures: Mapping[str, Any]) -> Iterator[Verdict]:
    for one in figures.get("rates", []):
        if one["name"] == "decaf" and one["threads"] == 2 and one["share"] is not None:
            conv = one["layers"] == "conv"
            kind, of = ("convolutions", "peak") if conv else ("fully connected", "read bandwidth")
            limits = (0.80, 1.30) if conv else (0.85, 0.95)
            what = f"batch {one['batch']}, 2 threads: {kind}, share of {of}"
            yield Verdict(what, one["share"], *limits, more=True, unit="%")
    if both := figures.get("two_python_threads"):
        yield Verdict(
            "two Python threads, one DecafNet: throughput", both["ratio"], 1.7, 1.9, True, "x"
        )
    if len(growth := figures.get("growth", [])) > 1:
        first, *_, before, last = growth
        ends = f"batch {last['batch']} / batch {first['batch']}"
        yield Verdict(f"time an image, {ends}", last["image_ms"] / first["image_ms"], 1.00)
        ends = f"batch {last['batch']} / batch {before['batch']}"
        ratio = last["beyond_bytes"] / before["beyond_bytes"]
        yield Verdict(f"memory beyond input and output, {ends}", ratio, 1.00)


def _processes(processes: Mapping[str, Any]) -> Iterator[Verdict]:
    if one := processes.get("decaf"):
        seconds = one["first_answer"]["median_ms"] / 1e3
        yield Verdict("process start to first answer", seconds, 0.40, 0.30, unit="s")
    for name, limits in (("decaf", (340, 310)), ("decaf compact", (220, 190))):
        if one := processes.get(name):
            what = f"peak memory of that process, {name}"
            yield Verdict(what, one["peak_bytes"] / MB, *limits, unit="MB")
