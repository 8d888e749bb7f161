"""How archives of photos are read here: listed, and then every member to its end."""

from __future__ import annotations

import io
import zlib
from typing import Any
from unittest import mock

from decaf.errors import DecafError, ImageError
from decaf.features import archives


class _File(io.RawIOBase):
    """Bytes as an unbuffered file, which allocates what it is asked for, as those on a disk do."""

    def __init__(self, data: bytes) -> None:
        self._bytes = io.BytesIO(data)
        self.seek = self._bytes.seek  # type: ignore[method-assign]
        self.tell = self._bytes.tell  # type: ignore[method-assign]
        self.readinto = self._bytes.readinto  # type: ignore[method-assign]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def read(data: bytes, path: str, most: int, together: int) -> Any:
    """List an archive, and read each member to its end, as `decaf.image` does.

    The archive is in memory: what opens a file, and looks at its length and time, is replaced.
    `decaf.image.load_image` makes an ImageError of whatever a file object raises.  Here, only
    what reading a member may raise becomes one, so that anything else is seen.

    Parameters
    ----------
    most, together : int
        Bytes that a member, and all together, can have.
    """

    def opened(path: str, buffering: int = -1) -> Any:
        file = _File(data)
        return io.BufferedReader(file) if buffering else file

    wrong: DecafError | None = None
    sizes = []
    with (
        mock.patch.object(archives, "open_regular", opened),
        mock.patch.object(archives, "_stamp", lambda file: (len(data), 0)),
    ):
        archive, places = archives.read_archive(path)
        for name, place in places.items():
            assert name and "\0" not in name and len(name) <= 4096
            assert not {"", ".", ".."} & {*name.split("/")}
            size = 0
            try:
                with archive.open(place, name) as file:
                    while piece := _piece(file):
                        size += len(piece)
                        assert size <= most, f"more than {most:,} bytes in {name}"
            except ImageError as error:
                wrong = error
            sizes.append(size)
    assert sum(sizes) <= together, f"{sum(sizes):,} bytes in an archive of {len(data):,}"
    if wrong is not None:  # one member fails alone; counts as refused
        raise wrong
    return sizes


def _piece(file: Any) -> bytes:
    try:
        return file.read(2**20)
    except (ValueError, OSError, zlib.error) as error:
        raise ImageError("must be undamaged") from error
