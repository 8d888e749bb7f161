"""Photos in, a feature file out; what is finished survives whatever stops the work.

    photos -> pipeline -> journal -> output

While photos are computed, only the journal beside the output grows (``feats.h5.partial``).  When
all are done the output is written from it, under a temporary name, and takes its own name when
it is whole and on the disk.  So a kill at any moment leaves either no output or a whole one,
and a journal that lacks at most the chunk that was being collected.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError
from decaf.features.contents import Features
from decaf.features.files import choose_format, load_features, write_features
from decaf.features.journal import Chunk, Journal
from decaf.features.pipeline import Block, compute, widths
from decaf.features.request import describe, differences
from decaf.features.sources import Source, find_photos
from decaf.features.texts import check_layer_names
from decaf.net import DecafNet

BATCH_SIZE = 16  # a stream's values then stay in the cache of its core
# A chunk of the journal is full when it has one of these.
CHUNK_PHOTOS, CHUNK_BYTES, CHUNK_SECONDS = 256, 2**23, 5.0


def extract(
    photos: Iterable[str | os.PathLike[str]] | Sequence[Source],
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
        ``decaf.features.sources.find_photos``; or what that or ``read_list`` found.
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
        the disk, or what was begun is not this extraction; later if the disk fills, in which
        case ``resume=True`` goes on when there is space.
    ArchitectureError, WeightsError
        If there is no such layer, or the weights cannot be used.
    """
    target = Path(output)
    kind = choose_format(target, format)
    names = (layers,) if isinstance(layers, str) else tuple(dict.fromkeys(layers))
    if net is None:
        net = DecafNet(weights)
    width = widths(net, names, pooling)
    check_layer_names(names)
    _check_free(target, resume)
    sources = _sources(photos)
    request = describe(net, sources, names, oversample, pooling)

    journal_path = target.with_name(f"{target.name}.partial")
    if target.exists():  # and resume is set
        finished = load_features(target)
        _check_same(target, finished.info, request)
        _tidy(journal_path)
        return finished
    _check_space(target, len(sources) * sum(width.values()) * 4, journal_path)
    journal = _begin(journal_path, request, width, resume)
    try:
        blocks = compute(
            net, sources, names, oversample=oversample, pooling=pooling, batch_size=batch_size,
            workers=workers, start=journal.done,
        )  # fmt: skip
        with closing(blocks):
            _record(blocks, journal, on_block)
        # A fixed name, safe under the lock of the journal, so that kills leave one file at most.
        unfinished = journal_path.with_name(f"{journal_path.name}.output")
        write_features(target, _contents(journal, sources, request), kind, unfinished)
        journal.remove()
    finally:
        journal.close()
    return load_features(target)


def _sources(photos: Iterable[str | os.PathLike[str]] | Sequence[Source]) -> Sequence[Source]:
    if isinstance(photos, (str, os.PathLike)):
        photos = (photos,)
    given = photos if isinstance(photos, Sequence) else tuple(photos)
    if given and all(isinstance(photo, Source) for photo in given):
        return given  # type: ignore[return-value]
    return find_photos(given).photos  # type: ignore[arg-type]


def _check_free(target: Path, resume: bool) -> None:
    """Make sure that the output can be created, and would replace nothing."""
    if not target.parent.is_dir():
        raise FeaturesError(f"{target}: must lie in a folder that exists; got {target.parent}")
    if target.is_dir():
        raise FeaturesError(f"{target}: must be the name of a file; got a folder")
    if target.exists() and not resume:
        raise FeaturesError(f"{target}: must not exist; remove it, or choose another name")


def _check_same(path: Path, then: dict[str, object], now: dict[str, object]) -> None:
    if different := differences(then, now):
        raise FeaturesError(
            f"{path}: must be of the same extraction to be resumed; expected no difference, "
            f"got {different}"
        )


def _begin(path: Path, request: dict[str, object], width: dict[str, int], resume: bool) -> Journal:
    """Open the journal of this extraction, or create it."""
    if not path.exists():
        return Journal.create(path, request, width)
    if not resume:
        raise FeaturesError(
            f"{path}: must not exist; an extraction was begun here: resume it, or remove the file"
        )
    journal = Journal.open(path)
    try:
        _check_same(path, journal.header, request)
    except FeaturesError:
        journal.close()
        raise
    return journal


def _tidy(journal: Path) -> None:
    """Remove what a kill left beside an output that was just finished."""
    for suffix in ("", ".lock", ".new", ".output"):
        with suppress(OSError):
            journal.with_name(f"{journal.name}{suffix}").unlink()


def _check_space(target: Path, size: int, journal: Path) -> None:
    """Refuse what cannot fit: the journal and the output, which for a moment are both there."""
    begun = journal.stat().st_size if journal.exists() else 0
    needed = 2 * size - min(begun, size)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise FeaturesError(
            f"{target}: must fit on its disk; expected {needed:,} bytes free for the features "
            f"and their journal, got {free:,}"
        )


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
        if waiting:
            journal.append(_joined(waiting))
        raise
    if waiting:
        journal.append(_joined(waiting))


def _joined(blocks: list[Block]) -> Chunk:
    return Chunk(
        blocks[0].first,
        sum(block.count for block in blocks),
        {index: reason for block in blocks for index, reason in block.failed.items()},
        {
            layer: np.concatenate([block.values[layer] for block in blocks])
            for layer in blocks[0].values
        },
    )


def _contents(journal: Journal, sources: Sequence[Source], request: dict[str, object]) -> Features:
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
