"""The parts of a report that show what a protocol gave: tables, and pictures drawn of them."""

from __future__ import annotations

import math

from decaf.plots.confusion import confusion
from decaf.plots.learning_curve import curves_of, learning_curve, said
from decaf.transfer.report import pictures
from decaf.transfer.report.markup import Html, name, paragraph, picture, section, table, text
from decaf.transfer.report.tables import class_rows, most_confused, span
from decaf.transfer.results import TransferResult

PAIRS_SHOWN = 10  # classes taken for each other


def accuracy(result: TransferResult) -> Html:
    """Say how good each classifier is."""
    splits = len(result.best.accuracies)
    measured = any(scores.average_precision for scores in result.scores)
    head = ["classifier", "mean accuracy"]
    head += ["worst split", "best split"] * (splits > 1) + ["C"] + ["mAP"] * measured
    rows = []
    for scores in result.scores:
        row = [text(scores.name), Html(said(100 * scores.mean, 100 * scores.deviation))]
        if splits > 1:
            ends = min(scores.accuracies), max(scores.accuracies)
            row += [Html(f"{100 * value:.1f} %") for value in ends]
        row.append(text(span(scores.chosen)))
        if measured:
            row.append(_percent(scores.mean_average_precision))
        rows.append(row)
    marked = [scores is result.best for scores in result.scores].index(True)
    note = "Mean accuracy a class: the share that is right of each class's photos, averaged over "
    note += "the classes, so that a class with many photos counts no more than others. "
    if splits > 1:
        note += "±: the standard deviation over the splits. "
    note += "C: how closely a classifier follows what it learned from."
    if measured:
        note += " mAP: average precision, averaged over the classes."
    return section(
        "Accuracy",
        table("Mean accuracy a class, the best marked", head, rows, marked=marked),
        paragraph(text(note, None), "note"),
    )


def curve(result: TransferResult) -> Html:
    """Show how accuracy grows with the photos learned from."""
    curves = curves_of(result)
    counts = sorted({count for curve in curves.values() for count in curve})
    rows = [
        [text(classifier)]
        + [Html(said(*curve[count]) if count in curve else "") for count in counts]
        for classifier, curve in curves.items()
    ]
    alt = (
        f"Mean accuracy a class of {len(curves)} classifiers, learned from "
        f"{', '.join(map(str, counts))} photos a class; the table below has the numbers."
    )
    return section(
        "Learning curve",
        picture(pictures.drawn(lambda: learning_curve(result)), alt, "curve"),
        table(
            "Mean accuracy by photos a class learned from",
            ["classifier", *(f"{count:,}" for count in counts)],
            rows,
        ),
    )


def mistaken(result: TransferResult) -> Html:
    """Show which classes are taken for which."""
    best = result.best
    alt = (
        f"Confusion matrix of {best.name} for {len(result.classes):,} classes, all splits "
        "together; the tables that follow say where it is wrong."
    )
    parts = [picture(pictures.drawn(lambda: confusion(result)), alt, "matrix")]
    pairs = most_confused(best, result.classes, PAIRS_SHOWN)
    if pairs:
        rows = [
            [name(pair.shows), name(pair.said), Html(f"{pair.times:,}"), _percent(pair.share)]
            for pair in pairs
        ]
        head = ["shows", "said", "times", "of the class"]
        parts.append(table("Most often confused, all splits", head, rows, words=(0, 1)))
    else:
        parts.append(paragraph(Html("No photo was mistaken.")))
    return section("What is taken for what", *parts)


def classes(result: TransferResult) -> Html:
    """Say how good the best classifier is at each class."""
    measured = bool(result.best.average_precision)
    head = ["class", "tested", "right"] + ["average precision"] * measured + ["most taken for"]
    rows = []
    for row in class_rows(result.best, result.classes):
        cells = [name(row.name), Html(f"{row.tested:,}"), _percent(row.accuracy)]
        cells += [_percent(row.average_precision)] * measured
        other = Html(f"{name(row.taken_for)} ({row.times:,}×)") if row.times else Html("–")
        rows.append([*cells, other])
    caption = f"Each class with {result.best.name}, the worst first; all splits"
    return section("Classes", table(caption, head, rows, words=(0, len(head) - 1)))


def _percent(share: float) -> Html:
    return Html("–" if math.isnan(share) else f"{100 * share:.1f} %")
