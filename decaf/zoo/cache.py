"""Where the zoo keeps what it fetches, and how several processes share that."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from decaf.errors import WeightsError
from decaf.zoo.entries import Entry

NOT_HERE = "not here"
_log = logging.getLogger("decaf")


def home() -> Path:
    """Return the folder of the zoo, which need not exist: ``DECAF_HOME``, or the usual one."""
    chosen = os.environ.get("DECAF_HOME")
    if chosen:
        with suppress(OSError):  # the current folder was deleted
            return Path(os.path.abspath(chosen))
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_cache_dir("decaf"))  # pooch.os_cache, which takes 0.1 s more


def offline() -> bool:
    """Whether ``DECAF_OFFLINE`` forbids the network."""
    return os.environ.get("DECAF_OFFLINE", "") not in ("", "0")


def place(entry: Entry) -> Path:
    """Return where the converted weights lie, or will lie."""
    return home() / f"{entry.name}-{entry.sha256[:8]}.h5"


def source(entry: Entry) -> Path:
    """Return where the download lies until it is converted."""
    return home() / "downloads" / entry.file


def part(entry: Entry) -> Path:
    """Return where the download lies until it is whole."""
    return source(entry).with_name(f"{entry.file}.part")


def is_here(entry: Entry) -> bool:
    """Whether the weights lie in their place, as far as can be told without reading them all."""
    return what_is_wrong(entry) is None


def what_is_wrong(entry: Entry) -> str | None:
    """Return why there are no weights to use, such as ``NOT_HERE``; None if there are.

    A file is refused that cannot be loaded, or says that it was made from another download.
    Its values are not looked at: that would take as long as the first photos.
    """
    from decaf.weights import load_weights

    target = place(entry)
    if not os.path.isfile(target):  # also in a folder that may not be searched
        return NOT_HERE
    try:
        found = load_weights(target, widen=False).provenance.get("source")
    except WeightsError as error:
        return str(error)
    if not isinstance(found, dict) or found.get("sha256") != entry.sha256:
        return f"{target}: must be made from {entry.file}; it says that it is not"
    return None


def forget(entry: Entry) -> None:
    """Delete what was downloaded."""
    for path in (source(entry), part(entry)):
        with suppress(OSError):
            path.unlink()


@contextmanager
def alone(entry: Entry) -> Iterator[None]:
    """Keep other threads and processes from making the same file; wait for one that does.

    The lock is the system's: it ends with the process that holds it, however that ends.

    Raises
    ------
    WeightsError
        If the folder, or anything in it, cannot be written to meanwhile.
    """
    import filelock

    folder = source(entry).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / f"{entry.name}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            _log.info("waiting for another process that fetches %s", entry.name)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
    except (OSError, NotImplementedError) as error:  # the latter where there are no locks
        raise WeightsError(
            f"{entry.name}: {folder} must be a folder to write {entry.size:,} bytes to; "
            f"got {error} (what has come is kept; DECAF_HOME is another folder)"
        ) from error
