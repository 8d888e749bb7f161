"""A part of an archive as a binary file: as it lies there, or unpacked."""

from __future__ import annotations

import io
import zlib
from typing import IO

from decaf.formats.zip import CHUNK


class Part(io.RawIOBase):
    """`size` bytes of a file, from where it stands."""

    def __init__(self, file: IO[bytes], size: int, name: str) -> None:
        self._file, self._left, self.name = file, size, name

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read, or raise OSError where the file has become too short."""
        data = self._file.read(min(len(buffer), self._left))
        if not data and self._left and len(buffer):
            raise OSError("the archive ends in the middle of the photo")
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)


class Unpacked(io.RawIOBase):
    """What a member unpacks to: as long as the directory says, and with its checksum."""

    def __init__(self, part: Part, size: int, crc: int, deflated: bool) -> None:
        self._part, self._left, self._crc, self.name = part, size, crc, part.name
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS) if deflated else None
        self._found = 0  # checksum of what was read
        self._over = False

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read, or raise ValueError or ``zlib.error`` for what is not as the archive says."""
        want = min(len(buffer), self._left)
        data = self._unpack(want) if want else b""
        buffer[: len(data)] = data
        self._found = zlib.crc32(data, self._found)
        self._left -= len(data)
        if want and not data:
            raise ValueError(f"a member that ends {self._left:,} bytes too early")
        if not self._left and not self._over:
            if self._unpack(1):
                raise ValueError("a member that goes on after its end")
            if self._found != self._crc:
                raise ValueError("a member whose contents have another CRC-32 than it says")
            self._over = True
        return len(data)

    def _unpack(self, most: int) -> bytes:
        """Up to `most` bytes, which is not 0 (for zlib that is "all"); none at the end."""
        if self._inflater is None:
            return self._part.read(most) or b""
        data = b""
        while not data and not self._inflater.eof:
            packed = self._inflater.unconsumed_tail or self._part.read(CHUNK) or b""
            data = self._inflater.decompress(packed, most)
            if not packed and not data:
                break
        return data
