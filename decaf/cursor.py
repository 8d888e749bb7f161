r"""Read bytes that nobody vouches for: from front to back, and never beyond an end.

>>> part = Cursor(b"\x05\x00\x00\x00hello, and more", start=0, size=9)
>>> part.take(part.uint(4))
b'hello'
>>> part.take(1)  # doctest: +ELLIPSIS
Traceback (most recent call last):
decaf.errors.WeightsError: what lies at byte 9 must end by 9, unless ...; got 1 bytes
"""

from __future__ import annotations

import mmap
from typing import TypeAlias

from decaf.errors import WeightsError

Buffer: TypeAlias = bytes | mmap.mmap


class Cursor:
    """A stretch of a file, read from front to back; nothing beyond its end can be read.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.
    start, size : int
        The stretch, in bytes; by default all of it.

    Attributes
    ----------
    at, end : int
        Bytes from the start of the file: what is read next, and where the stretch ends.

    Raises
    ------
    WeightsError
        Here and in all methods: for what is not in the file, or not in the stretch.
    """

    def __init__(self, data: Buffer, start: int = 0, size: int | None = None) -> None:
        size = len(data) - start if size is None else size
        if start < 0 or size < 0 or start + size > len(data):
            raise WeightsError(
                "the file must hold all that it refers to (it may have been cut off); "
                f"expected at least {start + size:,} bytes, got {len(data):,}"
            )
        self.data, self.at, self.end = data, start, start + size

    @property
    def left(self) -> int:
        """Bytes that have not been read."""
        return self.end - self.at

    def skip(self, size: int) -> int:
        """Pass over `size` bytes; return where they start."""
        if not 0 <= size <= self.left:
            raise WeightsError(
                f"what lies at byte {self.at:,} must end by {self.end:,}, unless the file was cut "
                f"off; got {size:,} bytes"
            )
        self.at += size
        return self.at - size

    def take(self, size: int) -> bytes:
        """Read `size` bytes."""
        start = self.skip(size)
        return self.data[start : self.at]

    def uint(self, size: int) -> int:
        """Read an unsigned little-endian integer of `size` bytes."""
        return int.from_bytes(self.take(size), "little")

    def expect(self, *, what: str, **versions: tuple[int, ...]) -> int:
        """Read one byte that must be one of a few."""
        ((name, known),) = versions.items()
        got = self.uint(1)
        if got not in known:
            expected = " or ".join(map(str, known))
            raise WeightsError(f"{name} of the {what} must be {expected}; got {got}")
        return got
