"""What ``search.py`` and ``retrieval.py`` say: for the terminal, and for the pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timing import table

Figures = Mapping[str, Any]


def search(figures: Figures) -> str:
    """The time of searches beside that of what they cannot do without."""
    times = {name: one["median_ms"] for name, one in figures["timings"].items()}
    pairs = [("1", "search_1", "reading the vectors once", "read")]
    pairs += [("1", "search_1", "the matrix product alone", "product_1")]
    pairs += [(str(figures["queries"]), "search_100", "the matrix product alone", "product_100")]
    rows, short = [], []
    for count, ours, what, floor in pairs:
        if floor not in times:
            continue
        ratio = times[ours] / times[floor]
        rows.append((count, f"{times[ours]:.0f}", what, f"{times[floor]:.0f}", f"{ratio:.2f}"))
        wanted = floor != "product_1"
        if wanted and ratio > figures["allowed"]:
            short.append(
                f"This falls short for {count} {'query' if count == '1' else 'queries'}: at most "
                f"{figures['allowed']:g} times the time of {what} is wanted, it takes {ratio:.2f}."
            )
    head = ("queries", "search, ms", "beside", "ms", "ratio")
    text = (
        f"{figures['vectors']:,} vectors of {figures['width']} float32, the {figures['k']} nearest"
    )
    return "\n\n".join([text + ":", table(head, rows), *short])


def quality(figures: Figures) -> str:
    """Mean average precision: photos of one class, and crops that look for their photo."""
    rows = [
        (one["title"], *(f"{one[name][kind]:.1f}" for name in figures["sets"] for kind in KINDS))
        for one in figures["rows"]
    ]
    head = ("vectors", *(f"{name}: {KINDS[kind]}" for name in figures["sets"] for kind in KINDS))
    return table(head, rows)


KINDS = {"classes": "same class", "instances": "same photo"}


def spatial(figures: Figures) -> str:
    """Whole photos beside parts, and what the order of the three ways is."""
    rows = [
        (one["title"], *(f"{one[name]['classes']:.1f}" for name in figures["sets"]),
         *(f"{one[name]['instances']:.1f}" for name in figures["sets"]))
        for one in figures["spatial"]
    ]  # fmt: skip
    head = (
        "search",
        *(f"{name}: same class" for name in figures["sets"]),
        *(f"{name}: same photo" for name in figures["sets"]),
    )
    return table(head, rows)


def order(figures: Figures) -> str:
    """Whether L2 < whitened < spatial on each set, with the default options, a sentence each."""
    found = {one["title"]: one for one in figures["spatial"]}
    ways = (
        "L2 alone: whole",
        "DEFAULT, fitted on parts: whole",
        "DEFAULT, fitted on parts: 2 levels",
    )
    said = []
    for name in figures["sets"]:
        for kind, title in KINDS.items():
            alone, white, place = (found[way][name][kind] for way in ways)
            text = (
                f"- {name}, {title}: L2 alone {alone:.1f}, PCA and whitening {white:.1f}, "
                f"2 levels of parts {place:.1f}"
            )
            if not alone < white < place:
                text += "; each is wanted to be above the one before, which is not reached"
            said.append(f"{text}.")
    return "\n".join(said)


def why(figures: Figures) -> str:
    """Where the classes are: share of the variance that lies between them, by direction."""
    head = ("directions", *figures["sets"])
    shares = [figures["between"][name] for name in figures["sets"]]
    rows = [(band, *(f"{share[band] * 100:.1f} %" for share in shares)) for band in shares[0]]
    return table(head, rows)


def recall(figures: Figures) -> str:
    """Approximate search beside exact search."""
    one = figures["faiss"]
    if "skipped" in one:
        return f"Approximate search was left out: {one['skipped']}."
    rows = [
        (str(each["search"]), f"{each['recall'] * 100:.1f} %", f"{each['ms']:.2f}")
        for each in one["rows"]
    ]
    rows.append(("all (exact)", "100.0 %", f"{one['exact_ms']:.2f}"))
    return table(("photos met", f"recall of the {one['k']} nearest", "ms a query"), rows)
