"""What is finished, in checksummed records that no kill can take back.

An extraction appends the features of some photos at a time to a journal beside its output, and
writes the output from it when all are there.  Whatever ends the process, the records that were
whole stay, and the extraction goes on behind them.

What lies in the file, byte by byte, is said in :mod:`decaf.features.journal_records`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decaf.errors import FeaturesError
from decaf.features.beside import acquire, clear, new_of, open_plain, release
from decaf.features.contents import Block
from decaf.features.journal_records import (
    BEGINNING,
    LARGEST_HEADER,
    RECORD,
    check,
    decode,
    encode,
    read,
    read_header,
    record,
    scan,
    write,
)
from decaf.features.texts import check_layers, to_json
from decaf.files import sync_folder

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["Accept", "Block", "Journal"]
_log = logging.getLogger("decaf")

Accept = Callable[[dict[str, Any]], None]  # raises a FeaturesError for the wrong header


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

    def __init__(self, path: Path, lock: BaseFileLock, accept: Accept | None = None) -> None:
        """Open a journal that is locked; :meth:`open` and :meth:`create` are what to call."""
        self.path, self._lock = path, lock
        self._file = open_plain(path, "r+")  # unbuffered: nothing is left to be written later
        try:
            size = os.fstat(self._file.fileno()).st_size
            if accept:  # before anything is read that takes time, or cut off
                accept(read_header(self._file, size)[0])
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
            What JSON can hold, in at most 512 KiB.
        layers : dict of str to int
            Layer -> D.

        Raises
        ------
        FeaturesError
            If there is a file of that name, or somebody else's of those beside it, another
            process writes it, it cannot be written, or header or layers do not fit.
        """
        path = Path(path)
        check_layers(layers)
        text = to_json("the header", {"header": header, "layers": layers}, LARGEST_HEADER)
        lock = acquire(path)
        try:
            if os.path.lexists(path):
                raise FeaturesError(f"{path}: must not exist; got a file")
            temporary = new_of(path)  # one name, so that none pile up
            clear(temporary, BEGINNING)
            file = FileIO(temporary, "x")
            try:
                with file:
                    write(file, BEGINNING, *record(text.encode()))
                    os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
            sync_folder(path.parent)
            return cls(path, lock)
        except BaseException as error:
            release(lock)
            if isinstance(error, OSError):
                raise _not_written(path, error) from error
            raise

    @classmethod
    def open(cls, path: str | os.PathLike[str], accept: Accept | None = None) -> Journal:
        """Open a journal to go on with it.

        All of it is read and compared with its checksums, a piece at a time.  From the first
        record on that is damaged or not whole it is cut off, which the log says.

        Parameters
        ----------
        path : path
            Must be a file, no link.
        accept : callable, optional
            Is given the header, and raises a FeaturesError if it is not the right one.

        Raises
        ------
        FeaturesError
            If there is none, it is another file or of another version, its header is damaged
            or not accepted, in all of which cases it is left alone, or another process writes
            it.
        """
        path = Path(path)
        lock = acquire(path)
        try:
            if not os.path.lexists(path):
                raise FeaturesError(f"{path}: must be a journal; got no such file")
            return cls(path, lock, accept)
        except BaseException as error:
            release(lock)
            if isinstance(error, OSError):
                raise _not_written(path, error) from error
            if isinstance(error, FeaturesError):
                raise FeaturesError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
            raise

    def append(self, chunk: Block) -> None:
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
        self._end, self.done = self._file.tell(), self.done + chunk.count

    def chunks(self) -> Iterator[Block]:
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
        release(self._lock)

    def remove(self) -> None:
        """Close the file and delete it: what it held is in the output."""
        self._file.close()
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise _not_written(self.path, error) from error
        finally:
            release(self._lock)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _not_written(path: Path, error: OSError) -> FeaturesError:
    return FeaturesError(
        f"{path}: must be a place to read and write; got {error} (what was finished before is "
        "kept: make room, then resume)"
    )
