"""Draw ``results/peers.json`` as ``results/peers.png``: time an image over the batch size."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from report import RESULTS

TICKS = (1, 2, 3, 5, 10, 20, 30)  # milliseconds
NETWORK = "alexnet"
COLOURS = {
    "decaf": "#c1121f",
    "decaf compact": "#c1121f",
    "PyTorch": "#8d99ae",
    "PyTorch channels_last": "#577590",
    "ONNX Runtime": "#2a9d8f",
    "OpenVINO": "#7b2cbf",
    "OpenVINO default": "#7b2cbf",
    "OpenCV": "#e09f3e",
}


def draw() -> None:
    """Draw AlexNet, a panel for each number of threads; without matplotlib say so."""
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        print(f"plot: left out: {error}", file=sys.stderr)
        return
    matplotlib.use("agg")
    from matplotlib import pyplot

    report = json.loads((RESULTS / "peers.json").read_text(encoding="utf-8"))
    cases = [case for case in report["figures"].get("contest", []) if case["network"] == NETWORK]
    threads = sorted({case["threads"] for case in cases}, reverse=True)
    if not threads:
        return
    figure, panels = pyplot.subplots(
        1, len(threads), figsize=(5.4 * len(threads), 4.6), squeeze=False, sharey=True
    )
    for panel, number in zip(panels[0], threads, strict=True):
        _panel(panel, [case for case in cases if case["threads"] == number])
        panel.set_title(f"{number} thread{'s' * (number > 1)}", loc="left", fontsize=11)
    panels[0][0].set_ylabel("milliseconds an image (median)")
    lines, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="lower center", ncols=4, frameon=False, fontsize=9)
    processor = report["machine"]["processor"]
    figure.suptitle(f"AlexNet, input to fc8, on {processor}", fontsize=11)
    figure.tight_layout(rect=(0, 0.13, 1, 1))
    path = RESULTS / "peers.png"
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    print(f"written: {path.name}", file=sys.stderr)


def _panel(panel: Any, cases: list[Mapping[str, Any]]) -> None:
    places = range(len(cases))
    for name, precision in cases[0]["precisions"].items():
        exact = precision == "float32"
        panel.plot(
            places,
            [case["times"][name]["median_ms"] / case["batch"] for case in cases],
            label=name if exact else f"{name} ({precision})",
            color=COLOURS.get(name),
            linestyle="-" if exact else "--",
            linewidth=2.6 if name == "decaf" else 1.5,
            marker="o" if exact else "s",
            markersize=4,
            zorder=3 if name.startswith("decaf") else 2,
        )
    if all(case["limit_ms"] for case in cases):
        limits = [case["limit_ms"] / case["batch"] for case in cases]
        label = "limit of direct float32"
        panel.plot(places, limits, label=label, color="black", linestyle=":", linewidth=1.5)
    panel.set_xticks(places, [str(case["batch"]) for case in cases])
    panel.set_xlabel("batch size")
    panel.set_yscale("log")
    panel.set_yticks(TICKS, [str(tick) for tick in TICKS])
    panel.minorticks_off()
    panel.grid(axis="y", color="#dddddd", linewidth=0.7)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
