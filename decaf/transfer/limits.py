"""How many classes there may be: what grows with their square has to end, and to fit in memory.

One against one there are K (K - 1) / 2 classifiers, and a confusion matrix of K x K for each
classifier in memory, in report.json and in the picture.
"""

from __future__ import annotations

from decaf.errors import FeaturesError

MOST_CLASSES = 2_000  # four matrices of 32 MB
MOST_ONE_VS_ONE = 200  # 19,900 classifiers a split


def check_class_count(count: int, *, one_vs_one: bool = False) -> None:
    """Refuse more classes than can be told apart in reasonable time and memory.

    Parameters
    ----------
    count : int
        How many there are.
    one_vs_one : bool
        Whether each is told from each other by a classifier of its own.

    Raises
    ------
    FeaturesError
        If there are more than `MOST_CLASSES`, or than `MOST_ONE_VS_ONE` one against one.
    """
    if count > MOST_CLASSES:
        raise FeaturesError(f"classes must be at most {MOST_CLASSES:,}; got {count:,}")
    if one_vs_one and count > MOST_ONE_VS_ONE:
        pairs = count * (count - 1) // 2
        raise FeaturesError(
            f"classes must be at most {MOST_ONE_VS_ONE:,} for one-vs-one; got {count:,}, which are "
            f"{pairs:,} pairs: choose scheme one-vs-all"
        )
