"""A figure without pyplot, measured in inches, and text that cannot surprise it.

Text from outside (labels, names of files) may be long, may hold ``$``, which matplotlib would
read as mathematics, or letters that its font lacks, which it would draw as boxes and warn of;
and LaTeX must never see it.

Of matplotlib's settings a picture takes the font (``font.family``) and no other: a dark style,
say, is no reason for white text on white.  So all else is said here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from decaf.errors import DecafError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.text import Text

SMALL, NORMAL, LARGE = 8, 9, 11  # points
LONGEST = 60  # letters of a label or a name
BLACK = "black"
GREY = "0.35"  # of what is said beside the picture
LINE = 0.8  # points: axes and ticks
BAR = "#3f90da"
ACCENT = "#bd1f01"  # the bars that the text speaks of


def need_matplotlib() -> None:
    """Raise a DecafError unless matplotlib is there: every picture calls this first."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise DecafError(
            f"decaf.plots must have matplotlib; expected it installed, got {str(error)!r}: "
            "pip install matplotlib"
        ) from error


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure of so many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(width, height), dpi=100, facecolor="white", edgecolor="white", linewidth=0,
        frameon=True,
    )  # fmt: skip
    figure.set_layout_engine("none")
    FigureCanvasAgg(figure)  # which can measure text
    return figure


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes at a place in inches from the figure's lower left corner."""
    w, h = figure.get_size_inches()
    axes = figure.add_axes(
        (left / w, bottom / h, width / w, height / h), facecolor="white", frameon=True
    )
    axes.grid(False)
    axes.set_axisbelow("line")
    axes.minorticks_off()
    axes.spines[:].set(color=BLACK, linewidth=LINE, visible=True)
    axes.tick_params(
        colors=BLACK, direction="out", length=3.5, width=LINE, pad=3.5,
        bottom=True, left=True, top=False, right=False,
        labelbottom=True, labelleft=True, labeltop=False, labelright=False,
    )  # fmt: skip
    return axes


def picture(axes: Axes, pixels: NDArray[Any], **options: Any) -> AxesImage:
    """Draw an image, its first row on top; `options` are those of ``Axes.imshow``."""
    options = {"interpolation": "antialiased", "aspect": "equal", **options}
    return axes.imshow(pixels, origin="upper", resample=True, **options)


def colour_bar(figure: Figure, image: AxesImage, axes: Axes, extend: str = "neither") -> None:
    """Draw what the colours of an image mean."""
    bar = figure.colorbar(image, cax=axes, extend=extend)
    bar.minorticks_off()
    bar.outline.set(edgecolor=BLACK, linewidth=LINE)
    axes.tick_params(labelsize=SMALL)


def bars(axes: Axes, names: list[str], values: list[float], colours: Any, size: float) -> None:
    """Draw a bar a row from left to right, the first on top; names of so many points."""
    axes.barh(range(len(names)), values, height=0.75, color=colours, edgecolor="none", linewidth=0)
    axes.set_yticks(range(len(names)), names, fontsize=size, parse_math=False, usetex=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)


def write(
    on: Figure | Axes, x: float, y: float, text: str, size: float = SMALL, **options: Any
) -> Text:
    """Write text of so many points; `options` are those of ``Axes.text``."""
    options = {"color": BLACK, **options}
    return on.text(x, y, text, fontsize=size, parse_math=False, usetex=False, **options)


def bare(axes: Axes) -> Axes:
    """Take away what a picture does not need: ticks and frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_frame_on(False)
    return axes


def title(axes: Axes, text: str, size: float = LARGE) -> Text:
    """Write what the axes show above them, at their left edge."""
    return axes.set_title(
        text, loc="left", y=1.0, pad=6, fontsize=size, fontweight="normal", color=BLACK,
        parse_math=False, usetex=False,
    )  # fmt: skip


def axis_title(axes: Axes, which: str, text: str, size: float) -> None:
    """Write what the numbers of an axis are, ``"x"`` or ``"y"``."""
    label = axes.set_xlabel if which == "x" else axes.set_ylabel
    label(text, labelpad=4, loc="center", fontsize=size, fontweight="normal", color=BLACK)


def shown(text: str, most: int = 40) -> str:
    r"""Return text in one line that the font can draw, cut to so many characters.

    It is cut in the middle, nearer to the end, since long names often differ only there.
    Letters that the font lacks are escaped as ``\u82b1``; matplotlib's setting ``font.family``
    can name a font that has them.
    """
    letters = _letters()
    if len(text) > 2 * most:  # nothing else of it will be seen
        text = text[:most] + text[-most:]
    text = "".join(
        c if c.isprintable() and ord(c) in letters else c.encode("unicode_escape").decode("ascii")
        for c in text
    )
    if len(text) <= most:
        return text
    tail = (most - 1) // 3
    return text[: most - 1 - tail].rstrip() + "…" + text[len(text) - tail :].lstrip()


def text_width(text: str, size: float) -> float:
    """Return how wide text of so many points is, in inches."""
    figure = new_figure(1, 1)
    artist = write(figure, 0, 0, text, size)
    return float(artist.get_window_extent().width / figure.dpi)


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
