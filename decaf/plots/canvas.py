"""A figure without pyplot, measured in inches, and text that cannot surprise it.

Text from outside (labels, names of files) may be long, may hold ``$``, which matplotlib would
read as mathematics, or letters that its font lacks, which it would draw as boxes and warn of.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from decaf.errors import DecafError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

SMALL, NORMAL, LARGE = 8, 9, 11  # points
LONGEST = 60  # letters of a label or a name
GREY = "0.35"  # of what is said beside the picture
BAR = "#3f90da"
ACCENT = "#bd1f01"  # the bars that the text speaks of


def need_matplotlib() -> None:
    """Raise a DecafError unless matplotlib is there: every picture calls this first."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise DecafError(
            f"decaf.plots must have matplotlib; expected it installed, got {str(error)!r}: "
            "pip install 'decaf[plots]'"
        ) from error


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure of so many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, facecolor="white")
    figure.set_layout_engine("none")
    FigureCanvasAgg(figure)  # which can measure text
    return figure


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes at a place in inches from the figure's lower left corner."""
    w, h = figure.get_size_inches()
    return figure.add_axes((left / w, bottom / h, width / w, height / h))


def bare(axes: Axes) -> Axes:
    """Take away what a picture does not need: ticks and frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_frame_on(False)
    return axes


def title(axes: Axes, text: str, size: float = LARGE) -> Text:
    """Write what the axes show above them, at their left edge."""
    return axes.set_title(text, loc="left", fontsize=size, parse_math=False)


def shown(text: str, most: int = 40) -> str:
    r"""Return text in one line that the font can draw, cut to so many characters.

    Letters that the font lacks are escaped as ``\u82b1``; matplotlib's setting ``font.family``
    can name a font that has them.
    """
    letters = _letters()
    text = "".join(
        c if c.isprintable() and ord(c) in letters else c.encode("unicode_escape").decode("ascii")
        for c in text
    )
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def text_width(text: str, size: float) -> float:
    """Return how wide text of so many points is, in inches."""
    figure = new_figure(1, 1)
    artist = figure.text(0, 0, text, fontsize=size, parse_math=False)
    return float(artist.get_window_extent().width) / figure.dpi


def fitted(text: str, width: float, size: float) -> str:
    """Return what `shown` makes of text, cut to so many inches at so many points."""
    fits, most = 1, LONGEST
    while fits < most:  # so many letters fit, and no more than `most`
        middle = (fits + most + 1) // 2
        if text_width(shown(text, middle), size) <= width:
            fits = middle
        else:
            most = middle - 1
    return shown(text, fits)


def _letters() -> frozenset[int]:
    """Code points that the fonts in use have."""
    from matplotlib.font_manager import FontProperties

    return _letters_of(tuple(FontProperties().get_family()))


@lru_cache(maxsize=4)
def _letters_of(families: tuple[str, ...]) -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    found: set[int] = set()
    for family in families:  # matplotlib asks one after the other for a letter
        path = findfont(FontProperties(family=[family]))
        found.update(get_font(path).get_charmap())
    return frozenset(found)
