"""More classes than can be told apart are refused before any work."""

from __future__ import annotations

import numpy as np
import pytest

from decaf.errors import FeaturesError
from decaf.transfer import decaf_protocol, offtheshelf
from decaf.transfer.limits import MOST_CLASSES, MOST_ONE_VS_ONE, check_class_count


def photos(classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Two photos of each class."""
    return np.random.default_rng(0).random((2 * classes, 3)), np.repeat(np.arange(classes), 2)


def test_the_limits_themselves_are_allowed() -> None:
    check_class_count(MOST_CLASSES)
    check_class_count(MOST_ONE_VS_ONE, one_vs_one=True)


def test_pairs_have_a_limit_of_their_own() -> None:
    with pytest.raises(FeaturesError, match="20,100 pairs: choose scheme one-vs-all"):
        offtheshelf(*photos(MOST_ONE_VS_ONE + 1), per_class=1, splits=1)


@pytest.mark.parametrize("protocol", [decaf_protocol, offtheshelf])
def test_so_have_classes(protocol: type) -> None:
    with pytest.raises(FeaturesError, match="classes must be at most 2,000; got 2,001"):
        protocol(*photos(MOST_CLASSES + 1), per_class=1, splits=1)
