"""What the features are for: the experiments of three papers, on scikit-learn's estimators.

    >>> from decaf.features import load_features
    >>> from decaf.transfer import decaf_protocol
    >>> features = load_features("flowers.h5")                              # doctest: +SKIP
    >>> print(decaf_protocol(features["relu6"], features.labels).table())   # doctest: +SKIP

A map, in the order in which data flows:

- ``decaf.checks``: what must hold for features and labels; ``splits``: which photos are learned
  from.
- ``classifiers`` and ``choose_c``: what learns from them.  ``measures``: how well it did.
- ``decaf_protocol``: Donahue et al. 2014; ``fits``: many at once; ``results``: what it gave.
- ``sixteen`` and ``offtheshelf``: views of a photo, and Razavian et al. 2014.
- ``boxes``: features of a part of a photo.
- ``adaptation``: from one domain to another, table 1 of Donahue et al. 2014.
- ``midlevel``: two layers trained on patches, Oquab et al. 2014.
- ``report``: a result as a page; ``decaf transfer`` makes it in one command.
"""

from __future__ import annotations

from decaf.transfer.boxes import Box, box_features
from decaf.transfer.decaf_protocol import decaf_protocol
from decaf.transfer.measures import average_precision, confusion, mean_class_accuracy
from decaf.transfer.offtheshelf import offtheshelf
from decaf.transfer.results import Mistake, Scores, TransferResult
from decaf.transfer.sixteen import sixteen_views
from decaf.transfer.splits import Split, random_splits

__all__ = [
    "Box", "Mistake", "Scores", "Split", "TransferResult", "average_precision", "box_features",
    "confusion", "decaf_protocol", "mean_class_accuracy", "offtheshelf", "random_splits",
    "sixteen_views",
]  # fmt: skip
