"""What ``features.py`` says: for the terminal, and for the pages (``tables.py``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from timing import table

Figures = Mapping[str, Any]

LEAST = 0.9  # of the network's own rate, or of Pillow's
GROWTH = 20e6  # bytes
MB = 1e6


COLUMNS = {
    "extraction": "extract",
    "network alone, threads share a batch": "network",
    "network alone, a batch for each thread": "network, streams",
    "Pillow alone, decoding": "Pillow",
    "Pillow alone, decoding and resizing": "Pillow, resized",
    "estimate": "estimate",
}


def throughput(cases: Sequence[Figures]) -> str:
    """Photos a second of extraction and of its parts, and extraction divided by each."""
    rows = []
    for title, key in COLUMNS.items():
        row = [title]
        for case in cases:
            rates = case["photos_per_second"]
            share = "" if key == "extract" else f" ({rates['extract'] / rates[key]:.2f})"
            row.append(f"{rates[key]:,.0f}{share}")
        rows.append(row)
    head = ("photos a second", *(f"{case['network']}, {case['layer']}" for case in cases))
    lines = [table(head, rows)]
    lines += map(verdict, cases)
    return "\n\n".join(lines)


def verdict(case: Figures) -> str:
    """Say what is the limit, the network as DecafNet computes it or Pillow; or that neither is."""
    rates = case["photos_per_second"]
    of = {key: rates["extract"] / rates[key] for key in ("network", "Pillow")}
    limit = max(of, key=lambda key: of[key])
    if of[limit] >= LEAST:
        who = {"network": "the network", "Pillow": "Pillow"}[limit]
        return (
            f"{case['network']}: {who} is the limit, and extraction reaches {of[limit]:.2f} of it."
        )
    return (
        f"{case['network']} falls short: {of['network']:.2f} of the network and "
        f"{of['Pillow']:.2f} of Pillow's decoding; at least {LEAST} of one of them is wanted."
    )


IDEAS = {
    "in turn": "decode a batch on both threads, then compute it on both threads",
    "one stream": "decode ahead in two threads; both threads share each batch",
    "own batches": "each of two threads decodes its batches and computes them",
    "streams": "decode ahead in three threads; each of two threads computes its own batches",
}


def ideas(cases: Sequence[Figures]) -> str:
    """Photos a second of each way to share the cores; a row an idea."""
    rows = [
        (text, *(f"{case['photos_per_second'][idea]:,.0f}" for case in cases))
        for idea, text in IDEAS.items()
    ]
    return table(("idea", *(case["network"] for case in cases)), rows)


def memory(found: Figures) -> str:
    """How resident memory grows, in a sentence or two."""
    text = (
        f"{found['photos']:,} photos of 32x32 through decaf-mini: resident memory is "
        f"{found['at_first'] / MB:.0f} MB when {found['first']:,} are done, "
        f"{found['most'] / MB:.0f} MB at most until the last one, and "
        f"{found['peak'] / MB:.0f} MB at most with writing the file."
    )
    if found["growth"] > GROWTH:
        grown = f"{found['growth'] / MB:.0f} MB more"
        text += f" This falls short: {grown}; at most {GROWTH / MB:.0f} are wanted."
    return text


LEFT = {
    "nothing": "nothing yet",
    "journal": "a journal without a photo",
    "chunks": "a journal with photos",
    "finished": "the finished output",
}


def kills(found: Figures) -> str:
    """What kills left, in a sentence or two."""
    left = ", ".join(f"{words} {found[key]} times" for key, words in LEFT.items() if found.get(key))
    text = (
        f"{found['runs']} runs were killed at random moments, {found['kills']} times in all, as "
        f"some were killed again when they were resumed. That left {left}. After the last "
        f"`--resume` every byte was that of an undisturbed run, and nothing else was left, in "
        f"{found['identical']} of {found['runs']}."
    )
    if found["identical"] != found["runs"]:
        text += " This falls short."
    return text
