"""Photos in, a feature file out; what is finished survives whatever stops the work.

    photos -> pipeline -> journal -> output

While photos are computed, only the journal beside the output grows (``feats.h5.partial``).  When
all are done the output is written from it, under a temporary name, and takes its own name when
it is whole and on the disk.  So a kill at any moment leaves either no output or a whole one,
and a journal that lacks at most the chunk that was being collected.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.features.begin import (
    begin,
    check_free,
    check_same,
    check_space,
    size_of_texts,
    tidy,
    usable,
)
from decaf.features.beside import journal_of, output_of
from decaf.features.contents import Block, Features
from decaf.features.file_parquet import need_pyarrow
from decaf.features.files import choose_format, load_features, write_features
from decaf.features.journal import Journal
from decaf.features.pipeline import BATCH_SIZE, check_numbers, compute, widths
from decaf.features.request import describe
from decaf.features.sources import Found, Source, find_photos
from decaf.features.texts import check_layer_names
from decaf.net import DecafNet

# A chunk of the journal is full when it has one of these.
CHUNK_PHOTOS, CHUNK_BYTES, CHUNK_SECONDS = 256, 2**23, 5.0


def extract(
    photos: Iterable[str | os.PathLike[str]] | Sequence[Source] | Found,
    output: str | os.PathLike[str],
    *,
    layers: str | Sequence[str] = "relu6",
    weights: str | os.PathLike[str] | None = None,
    net: DecafNet | None = None,
    oversample: bool = False,
    pooling: str | None = None,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    resume: bool = False,
    format: str | None = None,
    on_block: Callable[[Block], None] | None = None,
) -> Features:
    """Compute features of photos and write them to a file.

    Parameters
    ----------
    photos : paths, or sequence of Source
        Folders, archives (``.zip``, ``.tar``) and photos, see
        ``decaf.features.sources.find_photos``; or what that or ``read_list`` returned.
    output : path
        The file to write; must not exist.
    layers : str or sequence of str
        One name or several, as ``DecafNet.features`` takes them.
    weights : path or str, optional
        As for ``DecafNet``.
    net : DecafNet, optional
        A network that is loaded already, in place of `weights`.
    oversample : bool
        Average over ten crops.
    pooling : {None, "average", "max"}
        Of layers with maps keep one number a channel, see ``decaf.features.pooling``.
    batch_size : int
        How many crops a thread computes at once; decides memory and speed, never the result.
    workers : int, optional
        Threads that read and decode, by default one more than there are cores.
    resume : bool
        Go on where the same extraction was stopped; also right where nothing was begun yet, or
        where all is done.
    format : {None, "h5", "npz", "parquet"}
        By default as the name of `output` ends.
    on_block : callable, optional
        Called with each finished :class:`~decaf.features.pipeline.Block`, in order.

    Returns
    -------
    Features
        The file, opened.

    Raises
    ------
    FeaturesError
        Before any work if there are no photos, the output exists, there is too little space on
        the disk, what was begun is not this extraction, or somebody else's files have the names
        of those beside the output; later if the disk fills, in which case ``resume=True`` goes
        on when there is space.
    ArchitectureError, WeightsError
        If there is no such layer, or the weights cannot be used.
    """
    target = Path(output)
    kind = choose_format(target, format)
    if kind == "parquet":
        need_pyarrow()
    check_numbers(batch_size, workers)
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    if net is None:
        net = DecafNet(weights)
    width = widths(net, names, pooling)
    check_layer_names(names)
    with usable(target):
        check_free(target, resume)
    sources = _sources(photos)
    request = describe(net, sources, names, oversample, pooling)

    journal_path = journal_of(target)
    if os.path.lexists(target):  # and resume is set
        finished = load_features(target)
        check_same(target, request, finished.info)
        tidy(journal_path, request)
        return finished
    with usable(target):
        size = len(sources) * sum(width.values()) * 4
        check_space(target, size + size_of_texts(sources, kind), size, journal_path)
        journal = begin(journal_path, request, width, resume)
    try:
        blocks = compute(
            net, sources, names, oversample=oversample, pooling=pooling, batch_size=batch_size,
            workers=workers, start=journal.done,
        )  # fmt: skip
        with closing(blocks):
            _record(blocks, journal, on_block)
        # A fixed name, safe under the lock of the journal, so that kills leave one file at most.
        contents = _contents(journal, sources, request)
        write_features(target, contents, kind, output_of(journal_path), replace=False)
        finished = load_features(target)  # before the journal goes, which could make it again
        journal.remove()
    finally:
        journal.close()
    return finished


def _sources(
    photos: Iterable[str | os.PathLike[str]] | Sequence[Source] | Found,
) -> Sequence[Source]:
    """Return the photos that are meant, found already or to be found."""
    if isinstance(photos, Found):
        return photos.photos
    given: list[Any] = [photos] if isinstance(photos, (str, os.PathLike)) else list(photos)
    if given and all(isinstance(photo, Source) for photo in given):
        return given
    return find_photos(given).photos


def _record(
    blocks: Iterator[Block], journal: Journal, on_block: Callable[[Block], None] | None
) -> None:
    """Append the blocks to the journal, several at a time; also when an interrupt comes."""
    waiting: list[Block] = []
    since = time.monotonic()
    try:
        for block in blocks:
            waiting.append(block)
            photos = sum(b.count for b in waiting)
            size = sum(rows.nbytes for b in waiting for rows in b.values.values())
            late = time.monotonic() - since >= CHUNK_SECONDS
            if photos >= CHUNK_PHOTOS or size >= CHUNK_BYTES or late:
                journal.append(_joined(waiting))
                waiting, since = [], time.monotonic()
            if on_block:
                on_block(block)
    except KeyboardInterrupt:
        # It may have come when they were appended and still waiting.
        waiting = [block for block in waiting if block.first >= journal.done]
        if waiting:
            journal.append(_joined(waiting))
        raise
    if waiting:
        journal.append(_joined(waiting))


def _joined(blocks: list[Block]) -> Block:
    return Block(
        blocks[0].first,
        sum(block.count for block in blocks),
        {index: reason for block in blocks for index, reason in block.failed.items()},
        {
            layer: np.concatenate([block.values[layer] for block in blocks])
            for layer in blocks[0].values
        },
    )


def _contents(journal: Journal, sources: Sequence[Source], request: dict[str, Any]) -> Features:
    """Return what a finished journal holds."""
    reasons: dict[int, str] = {}
    for chunk in journal.chunks():
        reasons.update(chunk.failed)

    def read(layer: str) -> Iterator[NDArray[np.float32]]:
        return (chunk.values[layer] for chunk in journal.chunks())

    good = [source for index, source in enumerate(sources) if index not in reasons]
    return Features(
        journal.layers,
        [source.path for source in good],
        [source.label for source in good],
        [(sources[index].path, reason) for index, reason in sorted(reasons.items())],
        request,
        read,
    )
