"""Photos -> a feature file: every photo of a folder, through the network, to disk.

    >>> from decaf.features import extract, load_features       # doctest: +SKIP
    >>> extract(["flowers/"], "flowers.h5", layers="relu6")     # doctest: +SKIP
    >>> load_features("flowers.h5")["relu6"].shape              # doctest: +SKIP
    (1360, 512)

A map, in the order in which data flows:

- ``sources``: files, ``folders`` and ``archives`` (``zips``, ``tar``) -> the photos, in order, each
  with its label.  ``listing`` reads lists, ``naming`` says what a name means, ``opening`` and
  ``parts`` give a photo as a file.
- ``pipeline``: threads that decode ahead of threads that compute; ``pooling`` makes maps small.
- ``journal`` (``journal_records``): what is finished, in checksummed records beside the output.
- ``contents``: what a feature file holds, wherever it comes from.
- ``file_h5``, ``file_npz``, ``file_parquet``: that, in a file, by ``blocks`` of rows and with
  ``texts``.  ``files`` picks one of them.
- ``request``: what was asked for, to tell whether work may be resumed.
- ``begin``: what must hold before work starts; ``beside``: the files beside an output.
- ``extraction``: all of it together.
"""

from __future__ import annotations

from decaf.features.contents import Features
from decaf.features.extraction import extract
from decaf.features.files import export, load_features
from decaf.features.listing import read_list
from decaf.features.sources import Source, find_photos, open_photo

__all__ = [
    "Features", "Source", "export", "extract", "find_photos", "load_features", "open_photo",
    "read_list",
]  # fmt: skip
