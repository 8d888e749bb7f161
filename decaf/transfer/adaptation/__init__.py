"""Learning in one domain for another: photos of a shop for photos of a desk.

A *source* has many labelled photos, a *target* few or none.  Table 1 of Donahue et al. 2014
(DeCAF) compares ways to use both.

    >>> from decaf.transfer.adaptation import table1
    >>> result = table1(Xs, ys, Xt, yt, per_class=20, target_per_class=3)     # doctest: +SKIP
    >>> print(result.table())                                                 # doctest: +SKIP

A map, in the order in which data flows:

- ``domains``: make features of two domains comparable, draw photos to learn from, check input.
- ``nearest``: the label of the nearest photo.
- ``augmentation``: every feature three times, common, of the source, of the target (Daumé 2007).
- ``subspaces``: principal components of both domains, and how many of them.
- ``geodesic``: inner products over all subspaces between the two domains (Gong et al. 2012).
- ``box``: the minimum of a quadratic function over a box.
- ``max_margin``: a linear map from target to source learned with the SVM (Hoffman et al. 2013).
- ``table1``: all of them on the same draws.

Estimators are scikit-learn's, but for ``fit``, which takes both domains:
``fit(source, source labels, target, target labels)``.
"""

from __future__ import annotations

from decaf.transfer.adaptation.augmentation import FeatureAugmentation
from decaf.transfer.adaptation.domains import Draw, draw_domains, l1_normalised, standardised
from decaf.transfer.adaptation.geodesic import (
    GeodesicFlow,
    geodesic,
    geodesic_flow_kernel,
    geodesic_flow_map,
)
from decaf.transfer.adaptation.max_margin import MaxMarginTransform
from decaf.transfer.adaptation.nearest import NearestNeighbour
from decaf.transfer.adaptation.subspaces import principal_components, subspace_dimensions
from decaf.transfer.adaptation.table1 import METHODS, AdaptationResult, table1

__all__ = [
    "METHODS", "AdaptationResult", "Draw", "FeatureAugmentation", "GeodesicFlow",
    "MaxMarginTransform", "NearestNeighbour", "draw_domains", "geodesic", "geodesic_flow_kernel",
    "geodesic_flow_map", "l1_normalised", "principal_components", "standardised",
    "subspace_dimensions", "table1",
]  # fmt: skip
