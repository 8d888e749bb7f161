"""What an experiment gave: numbers to print, to keep as JSON, and to draw.

Inside, and in JSON, accuracies are shares from 0 to 1; a table prints them in per cent.  The
deviation is that of a sample, divided by the number of splits - 1: the splits are a few of many
that could have been drawn.  It says how much a result depends on who was drawn to learn from; as
the splits share photos it is not the standard error of the mean.
"""

from __future__ import annotations

import json
import math
import os
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError
from decaf.files import replacing
from decaf.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Scores:
    """One classifier over all splits.

    Attributes
    ----------
    name : str
        Such as ``"logistic"``, ``"svm, dropout"``.
    accuracies : tuple of float
        Mean accuracy a class of each split, from 0 to 1.
    chosen : tuple of float
        The C of each split.
    confusion : ndarray
        (K, K) int64, photos of all splits: a row is what a photo shows, a column what was said.
    average_precision : dict of str to float
        Mean over the splits of each class's average precision; empty where not measured.
    """

    name: str
    accuracies: tuple[float, ...]
    chosen: tuple[float, ...]
    confusion: NDArray[np.int64] = field(repr=False)
    average_precision: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def mean(self) -> float:
        """Mean over the splits."""
        return statistics.fmean(self.accuracies)

    @property
    def deviation(self) -> float:
        """Standard deviation over the splits, that of a sample; NaN for a single one."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else float("nan")

    @property
    def mean_average_precision(self) -> float:
        """Mean over the classes; NaN where not measured."""
        found = self.average_precision.values()
        return statistics.fmean(found) if found else float("nan")


@dataclass(frozen=True)
class Mistake:
    """A photo that a classifier was wrong about.

    Attributes
    ----------
    photo : int
        Its row in the features.
    shows, said : str
        Its class, and what the classifier said.
    margin : float
        By how much the score of what was said was above that of the class, averaged over the
        splits in which the photo was tested and mistaken; larger is more confident.
    """

    photo: int
    shows: str
    said: str
    margin: float


@dataclass(frozen=True)
class TransferResult:
    """What a protocol gave.

    Attributes
    ----------
    protocol : str
        ``"decaf"`` or ``"offtheshelf"``.
    classes : tuple of str
        In sorted order.
    scores : tuple of Scores
        One a classifier, in the order in which they were asked for.
    curve : dict of str to dict of int to tuple of float
        Classifier -> photos a class -> mean accuracy a class of each split; empty if not asked.
    mistakes : tuple of Mistake
        Of the best classifier, the most confident first.
    settings : dict
        All that was asked for: ``per_class``, ``splits``, ``seed``, and what the protocol adds.
    """

    protocol: str
    classes: tuple[str, ...]
    scores: tuple[Scores, ...]
    curve: dict[str, dict[int, tuple[float, ...]]] = field(repr=False)
    mistakes: tuple[Mistake, ...] = field(repr=False)
    settings: dict[str, Any] = field(repr=False)

    @property
    def best(self) -> Scores:
        """The classifier with the highest mean; the first of several."""
        return max(self.scores, key=lambda scores: scores.mean)

    def table(self) -> str:
        """Return what a terminal shows: classifiers and, where asked for, the learning curve.

        Returns
        -------
        str
            Mean accuracy a class in per cent ± the deviation over the splits, the C that were
            chosen, and mean average precision where it was measured.  The last row is what
            guessing reaches.
        """
        measured = any(scores.average_precision for scores in self.scores)
        head = ("classifier", "accuracy", "C") + (("mAP",) if measured else ())
        rows = tuple(
            (scores.name, _percent(scores.accuracies), _range(scores.chosen))
            + ((_number(100 * scores.mean_average_precision),) if measured else ())
            for scores in self.scores
        )
        chance = _number(100 / len(self.classes))
        table = str(Table(head, rows, ("chance", chance) + ("",) * (len(head) - 2)))
        return f"{table}\n\n{self._curve_table(chance)}" if self.curve else table

    def _curve_table(self, chance: str) -> str:
        counts = sorted({count for curve in self.curve.values() for count in curve})
        head = ("photos a class", *(f"{count:,}" for count in counts))
        rows = tuple(
            (name, *(_percent(curve[count]) if count in curve else "" for count in counts))
            for name, curve in self.curve.items()
        )
        return str(Table(head, rows, ("chance", *(chance for _ in counts))))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it.

        Returns
        -------
        dict
            ``format``, ``version``, ``protocol``, ``classes``, ``settings``, ``scores`` (a
            dictionary a classifier, with mean and deviation), ``curve`` (the numbers of photos
            as text, since JSON has no other keys), ``mistakes``.  What is not known is None.
        """
        return {
            "format": "decaf-transfer",
            "version": 1,
            "protocol": self.protocol,
            "classes": list(self.classes),
            "settings": plain(self.settings),
            "scores": [
                {
                    "name": scores.name,
                    "mean": plain(scores.mean),
                    "deviation": plain(scores.deviation),
                    "accuracies": plain(scores.accuracies),
                    "chosen": plain(scores.chosen),
                    "mean_average_precision": plain(scores.mean_average_precision),
                    "average_precision": plain(scores.average_precision),
                    "confusion": plain(scores.confusion),
                }
                for scores in self.scores
            ],
            "curve": plain(self.curve),
            "mistakes": [
                {
                    "photo": int(mistake.photo),
                    "shows": mistake.shows,
                    "said": mistake.said,
                    "margin": plain(mistake.margin),
                }
                for mistake in self.mistakes
            ],
        }

    def save_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` as JSON, whole or not at all; a file that is there is replaced.

        Raises
        ------
        FeaturesError
            If it cannot be written; what was there stays.
        """
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        try:
            with replacing(path) as file:
                file.write(f"{text}\n".encode())
        except (OSError, ValueError) as error:
            raise FeaturesError(
                f"{path}: must be a file that can be written; got {error}"
            ) from error

    def plot(self) -> Figure:
        """Draw the learning curve, or the accuracies where there is none; needs matplotlib."""
        from decaf.plots import learning_curve

        return learning_curve(self)


def _number(value: float, digits: int = 1) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"


def _percent(accuracies: tuple[float, ...]) -> str:
    """Mean ± deviation in per cent; the mean alone of a single split."""
    mean = _number(100 * statistics.fmean(accuracies))
    if len(accuracies) < 2:
        return mean
    return f"{mean} ± {_number(100 * statistics.stdev(accuracies))}"


def _range(values: tuple[float, ...]) -> str:
    """Say from which to which number, or the one."""
    low, high = min(values, default=math.nan), max(values, default=math.nan)
    if math.isnan(low):
        return ""
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def plain(value: Any) -> Any:
    """Make what JSON can hold of numbers, arrays and containers; None of what is not finite."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
