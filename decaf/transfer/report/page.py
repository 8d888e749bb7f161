"""The page of a report: one HTML file, with its pictures in it, without scripts."""

from __future__ import annotations

from collections.abc import Iterator

from decaf import __version__
from decaf.features.naming import folder_name, slashes
from decaf.plots.learning_curve import said
from decaf.transfer.report import pictures, sections
from decaf.transfer.report.content import Report
from decaf.transfer.report.markup import (
    Html,
    facts,
    join,
    name,
    paragraph,
    section,
    table,
    text,
)
from decaf.transfer.report.style import STYLE
from decaf.transfer.results import Mistake

PROTOCOLS = {
    "decaf": "classifiers on frozen features (Donahue et al. 2014, DeCAF)",
    "offtheshelf": "linear SVM on views of each photo (Razavian et al. 2014, off the shelf)",
}
PHOTOS_SHOWN = 24  # mistakes
FAILED_SHOWN = 100
# Settings of a protocol that the page says in other places.
SAID_ELSEWHERE = ("per_class", "splits", "classifiers", "curve", "photos", "dimensions", "tested")
# What the page calls others.
CALLED = {
    "held_out": "held out to choose C",
    "grid": "C chosen from",
    "dropout_copies": "copies for dropout",
    "not_converged": "did not converge",
    "views": "views of a photo",
    "power": "signed power",
    "eleven_points": "precision at eleven points",
}
# What a page may do, should text ever get out of its place: show pictures that lie in it.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(report: Report) -> str:
    """Return the page; the same report gives the same page.

    Parameters
    ----------
    report : Report
        What to say; photos are opened if it asks for thumbnails.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    DecafError
        If matplotlib is missing.
    """
    title = f"Transfer report: {text(folder_name(slashes(report.source)) or '/')}"
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>
{STYLE}</style>
</head>
<body>
<header>
<h1>{title}</h1>
{_headline(report)}
</header>
<main>
{join(_sections(report))}
</main>
<footer>Made with decaf {text(__version__)}. The numbers are in report.json, too.</footer>
</body>
</html>
"""


def _sections(report: Report) -> Iterator[Html]:
    yield _asked(report)
    yield sections.accuracy(report.result)
    if report.result.curve:
        yield sections.curve(report.result)
    yield sections.mistaken(report.result)
    yield sections.classes(report.result)
    if report.result.mistakes:
        yield _mistakes(report)
    if report.failed:
        yield _failed(report)
    yield _again(report)


def _headline(report: Report) -> Html:
    result = report.result
    best, settings = result.best, result.settings
    splits = len(best.accuracies)
    drawn = f"the mean of {splits:,} random splits" if splits > 1 else "one random split"
    per_class = int(settings["per_class"])
    learned = f"{per_class:,} photos" if per_class != 1 else "one photo"
    line = (
        f"<strong>{said(100 * best.mean, 100 * best.deviation)}</strong> "
        f"mean accuracy a class of <b>{text(best.name)}</b>, learned from {learned} of each of "
        f"{len(result.classes):,} classes; {drawn}. "
        f"Guessing gives {100 / len(result.classes):.3g} %."
    )
    parts = [paragraph(Html(line), "headline")]
    if report.failed:
        count = f"{len(report.failed):,} photo{'s' if len(report.failed) > 1 else ''}"
        were = "were" if len(report.failed) > 1 else "was"
        parts.append(
            paragraph(
                Html(
                    f"{count} could not be read and {were} left out; "
                    '<a href="#photos-that-could-not-be-read">which, and why</a>.'
                ),
                "warning",
            )
        )
    return join(parts)


def _asked(report: Report) -> Html:
    result = report.result
    tested = int(result.best.confusion.sum()) // max(1, len(result.best.accuracies))
    settings = result.settings
    pairs = [
        ("photos", text(report.source)),
        ("how many", Html(f"{len(report.paths):,} in {len(result.classes):,} classes")),
        ("protocol", text(PROTOCOLS.get(result.protocol, result.protocol))),
        ("learned from", Html(f"{int(settings['per_class']):,} photos a class")),
        ("tested on", Html(f"{tested:,} other photos a split")),
        ("splits", Html(f"{len(result.best.accuracies):,}")),
    ]
    pairs += [
        (CALLED.get(key, key.replace("_", " ")), text(_plainly(value)))
        for key, value in settings.items()
        if key not in SAID_ELSEWHERE and value not in (None, [], ())
    ]
    pairs += [(key, text(value)) for key, value in report.features.items()]
    return section("What was asked", facts(pairs))


def _plainly(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plainly, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _mistakes(report: Report) -> Html:
    some = report.result.mistakes[:PHOTOS_SHOWN]
    cards = [_card(report, mistake) for mistake in some]
    shown = f"{len(some):,} of {len(report.result.mistakes):,} are shown. "
    note = (
        f"Photos of which {report.result.best.name} was surest, and wrong. "
        f"{shown if len(some) < len(report.result.mistakes) else ''}"
        "Margin: by how much the score of what was said was above that of the class."
    )
    items = "\n".join(f"<li>{card}</li>" for card in cards)
    return section(
        "Most confident mistakes",
        paragraph(text(note, None), "note"),
        Html(f'<ul class="photos">\n{items}\n</ul>'),
    )


def _card(report: Report, mistake: Mistake) -> Html:
    path = report.paths[mistake.photo]
    address = pictures.photo(path, report.max_pixels) if report.thumbnails else None
    if address:
        alt = text(f"A photo of {mistake.shows or 'no name'}, taken for {mistake.said}")
        seen = f'<img src="{address}" alt="{alt}" loading="lazy">'
    elif report.thumbnails:
        seen = '<div class="missing">photo not found</div>'
    else:
        seen = ""
    return Html(
        f"<figure>{seen}<figcaption><span>shows <b>{name(mistake.shows)}</b></span>"
        f"<span>said <b>{name(mistake.said)}</b></span>"
        f"<small>margin {mistake.margin:.3g}; {text(_inside(path, report.source))}</small>"
        "</figcaption></figure>"
    )


def _inside(path: str, source: str) -> str:
    """Return a path without the folder or archive that all are in."""
    return path.removeprefix(slashes(source).rstrip("/") + "/")


def _failed(report: Report) -> Html:
    rows = [
        [text(_inside(path, report.source)), text(reason)]
        for path, reason in report.failed[:FAILED_SHOWN]
    ]
    parts = [table("Left out", ["photo", "why"], rows, words=(0, 1))]
    if len(report.failed) > FAILED_SHOWN:
        more = len(report.failed) - FAILED_SHOWN
        parts.append(paragraph(Html(f"{more:,} more are listed in report.json."), "note"))
    return section("Photos that could not be read", *parts)


def _again(report: Report) -> Html:
    parts = []
    if report.command:
        parts.append(Html(f"<pre><code>{text(report.command, None)}</code></pre>"))
    note = "The same photos, weights and options give the same report, byte for byte, with the "
    note += "same versions of decaf and of its libraries on the same kind of processor."
    return section("How to make it again", *parts, paragraph(Html(note), "note"))
