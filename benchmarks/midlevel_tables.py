"""What ``midlevel.py`` says: for the terminal, and for the pages (``tables.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timing import table

Figures = Mapping[str, Any]


def scenes(figures: Figures) -> str:
    """The adapted network beside the frozen features, and where the maps' peaks lie."""
    found: Figures = figures["scenes"]
    return (
        f"{_compared(found)}\n\n"
        f"The peak of the map lies in the box in {_percent(found['peaks_in_box'])} of "
        f"{found['test']:,} scenes; that of the mean over the patches that cover a pixel in "
        f"{_percent(found['peaks_of_the_mean_in_box'])}, the middle of the scene in "
        f"{_percent(found['centres_in_box'])}. A box is {_percent(found['box_of_scene'])} of "
        f"its scene. Learned from {found['train']:,} scenes in {found['fit_seconds']:.0f} s; a "
        f"scene of {found['patches']:.0f} patches takes {found['score_seconds']:.2f} s."
    )


def photos(figures: Figures) -> str:
    """The same for photos of which only the class is known."""
    found: Figures = figures["photos"]
    return (
        f"{_compared(found)}\n\n"
        f"Learned from {found['train']:,} photos in {found['fit_seconds']:.0f} s, tested on "
        f"{found['test']:,}, at most {found['most_patches']} patches a photo; a photo takes "
        f"{found['score_seconds']:.2f} s."
    )


def missed(figures: Figures) -> str:
    """Which of the figures that must be reached are not, a line each."""
    found: Figures = figures["scenes"]
    said = [
        f"missed: {name} of the adapted network must be above that of the frozen features on "
        f"scenes; got {found['adapted'][key]:.3f} and {found['frozen'][key]:.3f}"
        for key, name in MEASURES.items()
        if found["adapted"][key] <= found["frozen"][key]
    ]
    if found["peaks_in_box"] < figures["wanted_peaks"]:
        said.append(
            f"missed: peaks in the box must be at least {_percent(figures['wanted_peaks'])}; "
            f"got {_percent(found['peaks_in_box'])}"
        )
    return "\n".join(said) or "All figures that must be reached are."


MEASURES = {"accuracy": "accuracy", "mean_average_precision": "mean average precision"}


def _compared(found: Figures) -> str:
    names = {
        "frozen": "frozen features of the whole photo, logistic regression",
        "adapted": "adapted on patches",
    }
    rows = [
        (name, *(f"{found[key][measure] * 100:.1f}" for measure in MEASURES))
        for key, name in names.items()
    ]
    return table(("", "mean accuracy a class, %", "mean average precision, %"), rows)


def _percent(value: float) -> str:
    return f"{value * 100:.0f} %"
