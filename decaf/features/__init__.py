"""Photos -> a feature file: every photo of a folder, through the network, to disk.

    >>> from decaf.features import extract, load_features       # doctest: +SKIP
    >>> extract(["flowers/"], "flowers.h5", layers="relu6")     # doctest: +SKIP
    >>> load_features("flowers.h5")["relu6"].shape              # doctest: +SKIP
    (1360, 256)

A map, in the order in which data flows:

- ``sources``: folders, files and lists -> the photos, in order, each with its label.
  ``archives`` looks into ``.zip`` and ``.tar``.
- ``pipeline``: threads that decode ahead of threads that compute; ``pooling`` makes maps small.
- ``journal``: what is finished, in checksummed records beside the output, so that no kill
  loses it.
- ``contents``: what a feature file holds, wherever it comes from.
- ``file_h5``, ``file_npz``, ``file_parquet``: that, in a file.  ``files`` picks one of them.
- ``request``: what was asked for, to tell whether a journal may be continued.
- ``extract``: all of it together.
"""
