"""The zoo: networks by name, fetched once, checked, converted and kept.

    >>> DecafNet("alexnet")           # doctest: +SKIP

The folder for it is ``DECAF_HOME``, or else what is usual for caches on the system.  In it lie
the converted weights (``alexnet-7be5be79.h5``: name, and first digits of the SHA-256 of what they
were made from), and under ``downloads`` what is being downloaded.  A download is deleted once it
is converted: the weights file names its SHA-256.

With ``DECAF_OFFLINE=1`` there is no network.  Who has none, or no luck, is told which file to get
by hand and what to type then.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from decaf.errors import DecafError, WeightsError
from decaf.zoo.by_hand import another_file, get_by_hand
from decaf.zoo.cache import (
    NOT_HERE,
    alone,
    forget,
    home,
    is_here,
    offline,
    part,
    place,
    source,
    what_is_wrong,
)
from decaf.zoo.entries import ENTRIES, ZOO, Entry

if TYPE_CHECKING:
    from decaf.preprocessing import Preprocessing

__all__ = [
    "ENTRIES",
    "ZOO",
    "Entry",
    "add",
    "fetch",
    "find",
    "home",
    "is_here",
    "is_name",
    "place",
    "resolve",
]

_log = logging.getLogger("decaf")


def is_name(weights: object) -> bool:
    """Whether this means a network of the zoo: a ``str``, and one of its names.

    Such a name means the zoo in every folder, also where there is a file of that name; a file
    is then ``"./alexnet"``, or ``Path("alexnet")``.
    """
    return isinstance(weights, str) and weights in ZOO


def resolve(weights: str | os.PathLike[str]) -> Path:
    """Return the path of a weights file, which is fetched if it is the zoo's and not here.

    Parameters
    ----------
    weights : str or path
        A name of the zoo (see :func:`is_name`), or else a path.

    Raises
    ------
    WeightsError
        If the file could not be fetched, or this is neither a name nor a file.
    """
    if isinstance(weights, str) and weights in ZOO:
        return fetch(weights)
    path = Path(weights)
    if isinstance(weights, str) and weights == path.stem and not os.path.lexists(path):
        names = ", ".join(ZOO)
        raise WeightsError(
            f"{weights}: must be a weights file, or in the zoo ({names}); got neither"
        )
    return path


def find(name: str) -> Entry:
    """Return what the zoo knows under a name.

    Raises
    ------
    WeightsError
        If there is no such name; the message lists what there is.
    """
    if not is_name(name):
        raise WeightsError(f"the zoo has {', '.join(ZOO)}; got {name!r}")
    return ZOO[name]


def fetch(name: str) -> Path:
    """Return the weights of a network of the zoo; download and convert them first if need be.

    Several processes may ask at once: one of them works, and the others wait for it.  Weights that
    are here but damaged, or of another network, are made anew, and the log says so.

    Parameters
    ----------
    name : str
        One of ``ZOO``.

    Returns
    -------
    Path
        The weights file.

    Raises
    ------
    WeightsError
        If there is no such name, or the file can be neither downloaded nor converted; the
        message says which file to get by hand, and what to do with it.
    """
    entry = find(name)
    target = place(entry)
    wrong = what_is_wrong(entry)
    if wrong is None:
        return target
    if offline() and not os.path.isfile(source(entry)):
        raise get_by_hand(entry, f"{wrong}, and DECAF_OFFLINE is set")
    with alone(entry):
        wrong = what_is_wrong(entry)
        if wrong is not None:  # nobody else has made it meanwhile
            if wrong != NOT_HERE:
                _log.warning("%s is made anew: %s", entry.name, wrong)
            _convert(entry, _download(entry), target)
            forget(entry)
    return target


def add(name: str, file: str | os.PathLike[str]) -> Path:
    """Convert a file that was carried here by hand into the zoo.

    Weights that are there already are made anew.

    Parameters
    ----------
    name : str
        One of ``ZOO``.
    file : path
        The file as it was downloaded; stays where it is.

    Returns
    -------
    Path
        The weights file.

    Raises
    ------
    WeightsError
        If there is no such name, or this is not the very file that belongs to it.
    """
    import pooch

    entry = find(name)
    path = Path(file)
    try:
        if not path.is_file():
            raise WeightsError(f"{path}: must be a file; got none")
        size = path.stat().st_size
        if size != entry.size:
            raise another_file(entry, path, f"{size:,} bytes")
        sha256 = pooch.file_hash(str(path), alg="sha256")
        if sha256 != entry.sha256:
            raise another_file(entry, path, f"SHA-256 {sha256}")
    except (OSError, ValueError) as error:  # a NUL in the path
        raise WeightsError(f"{path}: must be a readable file; got {error}") from error
    target = place(entry)
    with alone(entry):
        _convert(entry, path, target)
        forget(entry)
    return target


def _download(entry: Entry) -> Path:
    """Return the whole and right file; one that is there already is not downloaded."""
    import pooch

    from decaf.zoo.download import NoMirrorError, download

    target = source(entry)
    if os.path.lexists(target) and not os.path.isfile(target):  # to read a pipe may take for ever
        target.unlink()

    def downloader(_url: str, output: str, _pooch: object) -> None:
        os.unlink(output)  # pooch's, and empty: it would stay if this process were killed
        if offline():
            raise get_by_hand(entry, f"{target} is another file, and DECAF_OFFLINE is set")
        _log.info("fetching %s, %s bytes", entry.name, f"{entry.size:,}")
        try:
            with _progress(entry) as report:
                download(entry.urls, part(entry), entry.size, entry.sha256, report=report)
        except NoMirrorError as error:
            raise get_by_hand(entry, "could not be downloaded", error.args) from None
        os.replace(part(entry), output)

    try:
        with _quiet(pooch.get_logger()):
            pooch.retrieve(
                entry.urls[0],
                known_hash=f"sha256:{entry.sha256}",
                fname=target.name,
                path=target.parent,
                downloader=downloader,
            )
    except ValueError:  # pooch's own check, after ours
        raise get_by_hand(entry, f"changed on its way to {target}") from None
    return target


def _convert(entry: Entry, file: Path, target: Path) -> None:
    from decaf.convert import convert

    _log.info("converting %s", file)
    try:
        convert(
            file,
            target,
            architecture=entry.architecture,
            preprocessing=_recipe(entry),
            labels="imagenet",
            force=True,
        )
    except DecafError as error:
        raise WeightsError(f"{entry.name}: {error}") from error
    if what_is_wrong(entry) is not None:  # it was exchanged after its hash was checked
        target.unlink(missing_ok=True)
        raise WeightsError(f"{entry.name}: {file}: must not change while it is converted; it did")


def _recipe(entry: Entry) -> str | Preprocessing:
    """Return the preprocessing: by its name, if it has one."""
    if entry.mean is None:
        return entry.preprocessing
    from decaf.preprocessing import CAFFE_IMAGENET, TORCHVISION_IMAGENET

    named = {"torchvision": TORCHVISION_IMAGENET, "caffe": CAFFE_IMAGENET}
    return dataclasses.replace(named[entry.preprocessing], mean=entry.mean)


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep pooch's notes, which it writes to stderr, from the user: decaf has its own."""

    def drop(_record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(drop)
    try:
        yield
    finally:
        logger.removeFilter(drop)


@contextmanager
def _progress(entry: Entry) -> Iterator[Callable[[int], None] | None]:
    """Show a bar where somebody looks on."""
    if not (sys.stderr and sys.stderr.isatty()):
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=entry.size, unit="B", unit_scale=True, desc=entry.name, file=sys.stderr) as bar:

        def show(done: int) -> None:
            bar.update(done - bar.n)

        yield show
