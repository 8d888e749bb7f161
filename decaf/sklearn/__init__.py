"""Photos in scikit-learn: a transformer and a classifier, at home in pipelines and searches.

    >>> import numpy as np
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from decaf.sklearn import DecafClassifier, DecafFeatures
    >>> dark, bright = np.zeros((40, 50, 3), np.uint8), np.full((60, 40, 3), 255, np.uint8)
    >>> photos, y = [dark, bright, dark + 9, bright - 9], ["night", "day", "night", "day"]
    >>> model = make_pipeline(DecafFeatures(layer="relu6"), KNeighborsClassifier(1))
    >>> print(*model.fit(photos[:2], y[:2]).predict(photos[2:]))
    night day
    >>> DecafFeatures(layer="pool5", pooling="max").fit_transform(photos).shape
    (4, 128)
    >>> DecafClassifier().predict_proba(photos).shape     # it is trained already
    (4, 10)

A map:

- ``photos``: what may be X.  Paths or photos in a list, an array or a column of a table; always
  several, as in all of scikit-learn.
- ``base``: what both estimators share.  Nothing is learnt, so ``fit`` may be left out, and the
  parameters count that are set when photos come.  A pickle holds the path of the weights.
- ``features``: :class:`DecafFeatures`, photos -> numbers.
- ``classifier``: :class:`DecafClassifier`, photos -> labels.
- ``checks``: which of scikit-learn's own checks cannot hold for photos, and why.

With several processes (``n_jobs=2``) give each its share of the cores: ``threads=1``.
"""

from decaf.sklearn.classifier import DecafClassifier
from decaf.sklearn.features import DecafFeatures

__all__ = ["DecafClassifier", "DecafFeatures"]
