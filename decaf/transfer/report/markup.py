"""HTML, in which no text from outside can be anything but text.

Names of classes and photos come from folders, archives and files of strangers.  All that is said
on a page goes through `text`; what is HTML already has a type of its own, which mypy watches.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import NewType

Html = NewType("Html", str)

LONGEST = 80  # characters of a name


def text(value: object, most: int | None = LONGEST) -> Html:
    """Return text as HTML: escaped, in one line, cut in the middle to so many characters.

    What is not printable, such as control characters, marks that reverse the direction of text,
    and halves of characters, is shown as Python would write it.
    """
    said = str(value)
    if most is not None and len(said) > most:
        said = f"{said[: most - most // 3 - 1]}…{said[-(most // 3) :]}"
    said = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in said)
    return Html(html.escape(said, quote=True))


def name(label: str) -> Html:
    """Return the name of a class; an empty one is said to be so."""
    return (
        text(label) if label.strip() else Html(f"<i>(no name{text(label and f': {label!r}')})</i>")
    )


def join(parts: Iterable[Html]) -> Html:
    """Put parts below each other."""
    return Html("\n".join(parts))


def section(title: str, *parts: Html) -> Html:
    """Return a part of the page with its heading."""
    anchor = "".join(c if c.isalnum() else "-" for c in title.lower())
    heading = f'<h2 id="{anchor}">{text(title)}</h2>'
    return Html(f'<section aria-labelledby="{anchor}">\n{heading}\n{join(parts)}\n</section>')


def paragraph(said: Html, kind: str = "") -> Html:
    """Return a paragraph."""
    return Html(f'<p class="{kind}">{said}</p>' if kind else f"<p>{said}</p>")


def table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[Html]],
    *,
    words: Sequence[int] = (0,),
    marked: int | None = None,
) -> Html:
    """Return a table that scrolls by itself where the page is too narrow.

    Parameters
    ----------
    caption : str
        What it shows.
    head : sequence of str
        The columns' names.
    rows : sequence of sequence of Html
        The first cell of a row is its name.
    words : sequence of int
        Columns of words, at the left edge; the others are of numbers, at the right.
    marked : int, optional
        The row to emphasise.
    """
    left = dict.fromkeys(words, ' class="words"')
    heads = "".join(
        f'<th scope="col"{left.get(number, "")}>{text(cell)}</th>'
        for number, cell in enumerate(head)
    )
    lines = []
    for number, row in enumerate(rows):
        cells = f'<th scope="row"{left.get(0, "")}>{row[0]}</th>' + "".join(
            f"<td{left.get(column, '')}>{cell}</td>" for column, cell in enumerate(row[1:], 1)
        )
        lines.append(f"<tr{' class=best' if number == marked else ''}>{cells}</tr>")
    body = "\n".join(lines)
    return Html(
        f'<div class="wide" role="region" tabindex="0" aria-label="{text(caption)}">\n<table>\n'
        f"<caption>{text(caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def facts(pairs: Iterable[tuple[str, Html]]) -> Html:
    """Return a list of names and values."""
    lines = (f"<div><dt>{text(key)}</dt><dd>{value}</dd></div>" for key, value in pairs)
    return Html("<dl>\n" + "\n".join(lines) + "\n</dl>")


def picture(address: str, alt: str, kind: str) -> Html:
    """Return a drawn picture, which scrolls by itself where the page is too narrow."""
    return Html(
        f'<div class="wide" role="region" tabindex="0" aria-label="{text(alt, 60)}">'
        f'<img class="{kind}" src="{address}" alt="{text(alt, None)}"></div>'
    )
