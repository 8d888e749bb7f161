"""What ``midlevel.py`` says: for the terminal, and for the pages (``tables.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timing import table

Figures = Mapping[str, Any]


def scenes(figures: Figures) -> str:
    """The three ways side by side, what that shows, and where the maps' peaks lie."""
    found: Figures = figures["scenes"]
    return (
        f"{_compared(found)}\n\n{_shown(found)}\n\nThe peak of the map lies in the box in "
        f"{_percent(found['peaks_in_box'])} of {found['test']:,} scenes; that of the "
        f"mean over the patches that cover a pixel in "
        f"{_percent(found['peaks_of_the_mean_in_box'])}, the middle of the scene in "
        f"{_percent(found['centres_in_box'])}. A box is {_percent(found['box_of_scene'])} of "
        f"its scene. Learned from {found['train']:,} scenes in {found['fit_seconds']:.0f} s; a "
        f"scene of {found['patches']:.0f} patches takes {found['score_seconds']:.2f} s."
    )


def photos(figures: Figures) -> str:
    """The same for photos of which only the class is known."""
    found: Figures = figures["photos"]
    return (
        f"{_compared(found)}\n\n{_shown(found)} {_without_boxes(found)}\n\n"
        f"Learned from {found['train']:,} photos in {found['fit_seconds']:.0f} s, tested on "
        f"{found['test']:,}, at most {found['most_patches']} patches a photo; a photo takes "
        f"{found['score_seconds']:.2f} s."
    )


def missed(figures: Figures) -> str:
    """Which of the figures that must be reached are not, and where others do better."""
    found: Figures = figures["scenes"]
    said = [
        f"missed: {name} of the adapted network must be above that of the frozen features on "
        f"scenes; got {found['adapted'][key]:.3f} and {found['frozen'][key]:.3f}"
        for key, name in MEASURES.items()
        if found["adapted"][key] <= found["frozen"][key]
    ]
    said += [
        f"not asked for, but below: {name} of the adapted layers on {task} is "
        f"{figures[task]['adapted'][key]:.3f}, of {NAMES[other]} {figures[task][other][key]:.3f}"
        for task, other in (("scenes", "linear"), ("photos", "frozen"), ("photos", "linear"))
        for key, name in MEASURES.items()
        if figures[task]["adapted"][key] < figures[task][other][key]
    ]
    if found["peaks_in_box"] < figures["wanted_peaks"]:
        said.append(
            f"missed: peaks in the box must be at least {_percent(figures['wanted_peaks'])}; "
            f"got {_percent(found['peaks_in_box'])}"
        )
    return "\n".join(said) or "All figures that must be reached are."


MEASURES = {"accuracy": "accuracy", "mean_average_precision": "mean average precision"}
NAMES = {
    "frozen": "frozen features of the whole photo, logistic regression",
    "linear": "frozen features of patches, logistic regression",
    "adapted": "frozen features of patches, FCa and FCb (adapted)",
}


def _compared(found: Figures) -> str:
    rows = [
        (name, *(f"{found[key][measure] * 100:.1f}" for measure in MEASURES))
        for key, name in NAMES.items()
    ]
    return table(("", "mean accuracy a class, %", "mean average precision, %"), rows)


def _shown(found: Figures) -> str:
    """What patches (and boxes) give, and what two layers in place of one do."""
    whole, linear, adapted = ([found[key][measure] * 100 for measure in MEASURES] for key in NAMES)
    gained, layers, both = (
        " and ".join(f"{b - a:+.1f}" for a, b in zip(before, after, strict=True))
        for before, after in ((whole, linear), (linear, adapted), (whole, adapted))
    )
    return (
        "To learn from patches in place of whole photos changes accuracy and mean average "
        f"precision by {gained} points with a linear classifier; FCa and FCb in place of that, on "
        f"the same patches, by {layers}; both together by {both}."
    )


def _without_boxes(found: Figures) -> str:
    """Whether to adapt on patches pays where no boxes are known."""
    below = [name for key, name in MEASURES.items() if found["adapted"][key] < found["frozen"][key]]
    if not below:
        return "Patches pay here without boxes, too."
    return (
        f"Without boxes the adapted network is below the frozen features of the whole photo, in "
        f"{' and '.join(below)}: objects fill these photos, and most patches show a part of one."
    )


def _percent(value: float) -> str:
    return f"{value * 100:.0f} %"
