"""Which photos look like this one?  Razavian et al. 2014, section 4.

    >>> from decaf.retrieval import Index                                    # doctest: +SKIP
    >>> index = Index.open("flowers.index")                                  # doctest: +SKIP
    >>> index.search(net.features(["rose.jpg"], "relu6"), k=3)               # doctest: +SKIP
    [[Hit(path='flowers/rose/12.jpg', distance=0.71), ...]]

A map, in the order in which data flows:

- ``whitening``: features -> vectors to be compared.  ``spatial``: those of parts of a photo.
- ``build`` (``reading``): photos -> an index, and photos -> what is like them in one;
  ``from_features``: a feature file -> an index.
- ``index``: vectors of photos in a file.  ``index_records`` is the file byte by byte,
  ``index_contents`` what is in it, ``index_file`` how it is mapped, locked and written,
  ``index_changes`` what adds and rewrites, ``index_network`` which network it is of.
- ``index_search``: one of the searches, and the names of what it finds.
- ``exact``, ``spatial``, ``approximate`` (faiss): searches through ``blocks`` of vectors, which
  keep what is ``nearest``.
- ``measures``: how good a ranked list is.
"""

from __future__ import annotations

from decaf.retrieval.build import Built, Options, add_photos, build_index, search_photos
from decaf.retrieval.from_features import add_features, index_features
from decaf.retrieval.index import Index, describe
from decaf.retrieval.index_search import Hit
from decaf.retrieval.measures import average_precision, mean_average_precision
from decaf.retrieval.whitening import Whitening

__all__ = [
    "Built", "Hit", "Index", "Options", "Whitening", "add_features", "add_photos",
    "average_precision", "build_index", "describe", "index_features", "mean_average_precision",
    "search_photos",
]  # fmt: skip
