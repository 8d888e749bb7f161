"""What is finished, in checksummed records that no kill can take back.

An extraction appends the features of some photos at a time to a journal beside its output, and
writes the output from it when all are there.  Whatever ends the process, the records that were
whole stay, and the extraction goes on behind them.

What lies in the file, byte by byte, is said in :mod:`decaf.features.journal_records`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decaf.errors import FeaturesError
from decaf.features.journal_records import (
    BEGINNING,
    LARGEST_HEADER,
    RECORD,
    Chunk,
    check,
    decode,
    encode,
    read,
    record,
    scan,
    write,
)
from decaf.features.texts import check_layers, to_json

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["Chunk", "Journal"]
_log = logging.getLogger("decaf")


class Journal:
    """An append-only file of chunks, which one process at a time may have open.

    Attributes
    ----------
    path : Path
    header : dict
        What :meth:`create` was given.
    layers : dict of str to int
        Layer -> D, in the order in which rows are written.
    done : int
        Photos of the list that are covered; the next chunk begins with this number.
    """

    path: Path
    header: dict[str, Any]
    layers: dict[str, int]
    done: int

    def __init__(self, path: Path, lock: BaseFileLock) -> None:
        """Open a journal that is locked; :meth:`open` and :meth:`create` are what to call."""
        self.path, self._lock = path, lock
        self._file = FileIO(path, "r+")  # unbuffered: nothing is left to be written later
        try:
            size = os.fstat(self._file.fileno()).st_size
            found = scan(self._file, size)
            self.header, self.layers, self.done = found.header, found.layers, found.done
            self._start, self._end = found.start, found.end
            if found.end < size:
                _log.warning(
                    "%s: the last %s bytes are damaged or not whole, and were cut off; "
                    "%s photos are kept (%s)",
                    path, f"{size - found.end:,}", f"{found.done:,}", found.wrong,
                )  # fmt: skip
                self._file.truncate(found.end)
                os.fsync(self._file.fileno())
        except BaseException:
            self._file.close()
            raise

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], header: dict[str, Any], layers: dict[str, int]
    ) -> Journal:
        """Begin a new journal.

        It takes its name when it is on the disk: who finds the name finds a journal.

        Parameters
        ----------
        path : path
            Must not exist; ``path.lock`` and, for a moment, ``path.new`` lie beside it.
        header : dict
            What JSON can hold, in at most 4 MiB.
        layers : dict of str to int
            Layer -> D.

        Raises
        ------
        FeaturesError
            If there is a file of that name, another process writes it, it cannot be written,
            or header or layers do not fit.
        """
        path = Path(path)
        check_layers(layers)
        text = to_json("the header", {"header": header, "layers": layers}, LARGEST_HEADER)
        lock = _acquire(path)
        try:
            if path.exists():
                raise FeaturesError(f"{path}: must not exist; got a file")
            temporary = path.with_name(f"{path.name}.new")  # one name, so that none pile up
            try:
                with FileIO(temporary, "w") as file:
                    write(file, BEGINNING, *record(text.encode()))
                    os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
            _sync_folder(path.parent)
            return cls(path, lock)
        except BaseException as error:
            _release(lock)
            if isinstance(error, OSError):
                raise _not_written(path, error) from error
            raise

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Journal:
        """Open a journal to go on with it.

        All of it is read and compared with its checksums, a piece at a time.  From the first
        record on that is damaged or not whole it is cut off, which the log says.

        Raises
        ------
        FeaturesError
            If there is none, it is another file or of another version, its header is damaged,
            in all of which cases it is left alone, or another process writes it.
        """
        path = Path(path)
        lock = _acquire(path)
        try:
            if not path.is_file():
                raise FeaturesError(f"{path}: must be a journal; got no such file")
            return cls(path, lock)
        except BaseException as error:
            _release(lock)
            if isinstance(error, OSError):
                raise _not_written(path, error) from error
            if isinstance(error, FeaturesError):
                raise FeaturesError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
            raise

    def append(self, chunk: Chunk) -> None:
        """Add a chunk; it is on the disk when this returns.

        Raises
        ------
        FeaturesError
            If it cannot be written, as on a full disk: then the journal is as it was before.
            Also for a chunk that does not begin where the last one ended, or does not fit.
        """
        try:
            parts = encode(chunk, self.done, self.layers)
        except FeaturesError as error:
            raise FeaturesError(f"{self.path}: {error}") from error
        try:
            self._file.seek(self._end)
            write(self._file, *record(*parts))
            os.fsync(self._file.fileno())
        except BaseException as error:
            with suppress(OSError):  # else the next one to open it does this
                self._file.truncate(self._end)
            if isinstance(error, OSError):
                raise _not_written(self.path, error) from error
            raise
        self._end = self._file.tell()
        self.done += chunk.count

    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks from the first, one in memory at a time, compared with checksums again.

        Several iterators may be in use at once, in one thread.

        Raises
        ------
        FeaturesError
            If the disk does not give back what it held.
        """
        at, end, first = self._start, self._end, 0
        while at < end:
            try:
                length = check(self._file, at, end)
                self._file.seek(at + RECORD.size)
                chunk = decode(read(self._file, length), self.layers)
                if chunk.first != first:
                    raise FeaturesError(f"a chunk must begin with photo {first}; got {chunk.first}")
            except (OSError, FeaturesError) as error:
                raise FeaturesError(
                    f"{self.path}: must be intact up to byte {end:,}, as it was when it was "
                    f"written or opened; got damage behind byte {at:,} ({error})"
                ) from error
            yield chunk
            at += RECORD.size + length
            first += chunk.count

    def close(self) -> None:
        """Close the file, and let others go on with it."""
        self._file.close()
        _release(self._lock)

    def remove(self) -> None:
        """Close the file and delete it: what it held is in the output."""
        self._file.close()
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise _not_written(self.path, error) from error
        finally:
            _release(self._lock)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _not_written(path: Path, error: OSError) -> FeaturesError:
    return FeaturesError(
        f"{path}: must be a place to read and write; got {error} (what was finished before is "
        "kept: make room, then resume)"
    )


def _sync_folder(folder: Path) -> None:
    """Put a new name on the disk, where the system lets a folder be opened for that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _acquire(path: Path) -> BaseFileLock:
    """Lock a journal against other processes, and other threads of this one."""
    import filelock

    place = path.with_name(f"{path.name}.lock")
    in_use = f"{path}: must not be in use; another process is writing it"
    if not path.parent.is_dir():  # which filelock would create
        raise FeaturesError(f"{path}: must be a place to write; got no such folder")
    try:
        lock = filelock.FileLock(place, thread_local=False)
        lock.acquire(timeout=0)
        if not place.exists():  # the last owner deleted it while this one was let in
            lock.release()
            raise FeaturesError(in_use)
    except filelock.Timeout as error:
        raise FeaturesError(in_use) from error
    except (OSError, NotImplementedError) as error:  # the latter where there are no locks
        raise FeaturesError(
            f"{path}: must be a place to write and to lock files; got {error}"
        ) from error
    return lock


def _release(lock: BaseFileLock) -> None:
    """Delete the lock's file, then let go; Windows deletes no file that is open."""
    if not lock.is_locked:  # released before
        return
    if os.name == "nt":
        lock.release()
    with suppress(OSError):
        os.unlink(lock.lock_file)
    lock.release()
