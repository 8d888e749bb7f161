"""A small table as plain text, or as HTML for a notebook.

>>> print(Table(("layer", "values"), (("conv1", "69,984"), ("relu1", "0")), ("all", "69,984")))
layer  values
-------------
conv1  69,984
relu1       0
-------------
all    69,984
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

Row = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A head, rows and a foot of equally many cells; the first ``words`` columns align left."""

    head: Row
    rows: tuple[Row, ...]
    foot: Row
    words: int = 1

    def __str__(self) -> str:
        every = (self.head, *self.rows, self.foot)
        widths = [max(map(len, column)) for column in zip(*every, strict=True)]
        lines = [self._line(row, widths) for row in every]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        return "\n".join((lines[0], rule, *lines[1:-1], rule, lines[-1]))

    def _line(self, row: Row, widths: list[int]) -> str:
        cells = (
            cell.ljust(width) if column < self.words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    def html(self, caption: str) -> str:
        """Return the table as an HTML fragment, with every text escaped."""
        body = "".join(self._html_row(row, "td") for row in self.rows)
        return (
            f"<table><caption>{escape(caption)}</caption>"
            f"<thead>{self._html_row(self.head, 'th')}</thead>"
            f"<tbody>{body}</tbody>"
            f"<tfoot>{self._html_row(self.foot, 'th')}</tfoot></table>"
        )

    def _html_row(self, row: Row, tag: str) -> str:
        cells = (
            f'<{tag} style="text-align:{"left" if column < self.words else "right"}">'
            f"{escape(cell)}</{tag}>"
            for column, cell in enumerate(row)
        )
        return f"<tr>{''.join(cells)}</tr>"
