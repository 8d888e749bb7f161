"""Which photos a classifier was wrong about, over all splits, and how sure it was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from decaf.transfer.results import Mistake


def find_mistakes(
    tested: Iterable[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]],
    shows: NDArray[np.intp],
    classes: Sequence[str],
) -> tuple[Mistake, ...]:
    """Return one for each photo that was ever mistaken, with what it was most often taken for.

    Parameters
    ----------
    tested : iterable of (photos, said, margins)
        For each split the photos tested, (M,); the class that each was said to show; and by how
        much the score of that class was above that of the right one.
    shows : ndarray
        (N,) intp: the class of each photo.
    classes : sequence of str
        What the classes are called.

    Returns
    -------
    tuple of Mistake
        The most confident first.
    """
    margins: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for photos, said, each in tested:
        for i in np.flatnonzero(said != shows[photos]):
            margins[int(photos[i])][int(said[i])].append(float(each[i]))
    found = []
    for photo, by_class in margins.items():
        # Of classes said equally often the one with the larger margins, then the first.
        often = max(by_class, key=lambda k: (len(by_class[k]), sum(by_class[k]), -k))
        every = [margin for one in by_class.values() for margin in one]
        mean = sum(every) / len(every)
        found.append(Mistake(photo, classes[shows[photo]], classes[often], mean))
    return tuple(sorted(found, key=lambda mistake: (-mistake.margin, mistake.photo)))
