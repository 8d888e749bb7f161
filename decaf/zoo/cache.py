"""Where the zoo keeps what it fetches, and how several processes share that."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from decaf.errors import WeightsError
from decaf.zoo.entries import Entry

_log = logging.getLogger("decaf")


def home() -> Path:
    """Return the folder of the zoo, which need not exist: ``DECAF_HOME``, or the usual one."""
    chosen = os.environ.get("DECAF_HOME")
    if chosen:
        return Path(os.path.abspath(chosen))
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
