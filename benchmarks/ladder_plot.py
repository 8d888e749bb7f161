"""Draw ``results/ladder_conv.json`` as ``results/ladder_conv.png``: a bar for each rung."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from report import RESULTS

RUNG, LAST, FAILED = "#577590", "#c1121f", "#c8ccd2"  # LAST: what decaf ships
ROOM = 1.30  # the axis is so much longer than the longest bar, for the number behind it


def draw() -> None:
    """Draw every layer as a panel of bars; without matplotlib say so."""
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        print(f"plot: left out: {error}", file=sys.stderr)
        return
    matplotlib.use("agg")
    from matplotlib import pyplot

    report = json.loads((RESULTS / "ladder_conv.json").read_text(encoding="utf-8"))
    figures = report["figures"]
    rungs, layers = figures["rungs"], figures["layers"]
    figure, panels = pyplot.subplots(
        1, len(layers), figsize=(3.4 * len(layers) + 2.4, 0.26 * len(rungs) + 1.6), sharey=True
    )
    for panel, (name, layer) in zip(panels, layers.items(), strict=True):
        _panel(panel, name, rungs, figures["peak_gflops"])
        title, _, shape = layer["text"].partition(": ")
        image, _, filters = shape.partition(";")[0].partition(", ")
        panel.set_title(f"{title}: {image}\n{filters}", loc="left", fontsize=9)
    panels[0].set_yticks(
        range(len(rungs)), [f"{rung['name']}  {rung['rung']:>2}" for rung in rungs], fontsize=9
    )
    panels[0].set_ylim(len(rungs) - 0.4, -0.6)
    figure.supxlabel(
        "GFLOP/s, as the formula counts   (grey: failed;  –: does not apply;  "
        "dashed: the peak of one thread;  dotted: of two)",
        fontsize=9,
    )
    figure.suptitle(f"Convolution, rung by rung, on {report['machine']['processor']}", fontsize=11)
    figure.tight_layout()
    path = RESULTS / "ladder_conv.png"
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
    print(f"written: {path.name}", file=sys.stderr)


def _panel(
    panel: Any, layer: str, rungs: Sequence[Mapping[str, Any]], peaks: Mapping[str, float]
) -> None:
    speeds = [rung["layers"].get(layer, {}).get("gflops", 0.0) for rung in rungs]
    colours = [_colour(rung) for rung in rungs]
    panel.barh(range(len(rungs)), speeds, color=colours, height=0.72, zorder=2)
    longest = max(*speeds, *peaks.values())
    for place, speed in enumerate(speeds):
        text = f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}" if speed else "–"
        panel.text(
            speed + 0.012 * longest, place, text, va="center", fontsize=8, zorder=4,
            color="black" if speed else "#888888",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
    for threads, style in (("1", "--"), ("2", ":")):
        panel.axvline(peaks[threads], color="black", linestyle=style, linewidth=1.1, zorder=3)
    panel.set_xlim(0, longest * ROOM)
    panel.tick_params(axis="x", labelsize=8)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", color="#e4e4e4", linewidth=0.7)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _colour(rung: Mapping[str, Any]) -> str:
    if rung["failed"]:
        return FAILED
    return LAST if rung["name"].startswith("decaf") else RUNG
