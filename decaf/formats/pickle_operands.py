r"""What stands behind the opcodes of a pickle: numbers and strings, as bytes and as text.

>>> Operands(b"\x05\x00\x00\x00hello").text(4)
'hello'
>>> Operands(b"1001\n").integer()
1001
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import TypeVar

from decaf.cursor import Cursor
from decaf.errors import WeightsError

LONGEST_LINE = 2**16  # bytes
LONGEST_NUMBER = 255  # bytes or digits; the largest that torch writes is its magic number, of 10
Number = TypeVar("Number", int, float)


class Operands(Cursor):
    """A cursor that knows the ways in which pickles write values.

    Raises
    ------
    WeightsError
        Here and in all methods: for what is damaged, too long, or beyond the end.
    """

    # As bytes: all protocols but 0

    def counted(self, size: int) -> bytes:
        """Read a length of `size` bytes, and as many bytes."""
        return self.take(self.uint(size))

    def text(self, size: int) -> str:
        """Read a length of `size` bytes, and a string in UTF-8."""
        raw = self.counted(size)
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise WeightsError(f"strings must be UTF-8; got {raw[:40]!r}") from error

    def old_text(self, size: int) -> str | bytes:
        """Read a length of `size` bytes, and a string of Python 2: text or bytes."""
        return _text_or_bytes(self.counted(size))

    def long(self, size: int) -> int:
        """Read a length of `size` bytes, and a signed integer of that many bytes."""
        length = self.uint(size)
        if length > LONGEST_NUMBER:
            raise WeightsError(
                f"whole numbers must be at most {LONGEST_NUMBER} bytes; got {length:,}"
            )
        return int.from_bytes(self.take(length), "little", signed=True)

    # As a line of text: protocol 0, and names also later

    def line(self) -> bytes:
        """Read up to the end of the line, and past it."""
        end = self.data.find(b"\n", self.at, min(self.end, self.at + LONGEST_LINE))
        if end < 0:
            raise WeightsError(f"a line must end within {LONGEST_LINE:,} bytes; got no end")
        return self.take(end + 1 - self.at)[:-1]

    def number(self, convert: Callable[[bytes], Number]) -> Number:
        """Read a line that is a number."""
        digits = self.line().removesuffix(b"L")  # of Python 2's long
        if len(digits) > LONGEST_NUMBER:
            raise WeightsError(
                f"numbers must be at most {LONGEST_NUMBER} digits; got {len(digits):,}"
            )
        try:
            return convert(digits)
        except ValueError as error:
            raise WeightsError(f"numbers must be decimal; got {digits[:40]!r}") from error

    def integer(self) -> int:
        """Read a line that is a whole number."""
        return self.number(int)

    def integer_or_bool(self) -> int | bool:
        """Read a line that is a whole number; ``00`` and ``01`` once stood for false and true."""
        start = self.at
        flag = {b"00": False, b"01": True}.get(self.line())
        if flag is not None:
            return flag
        self.at = start
        return self.integer()

    def name(self) -> str | bytes:
        """Read a line that is part of a name."""
        return _text_or_bytes(self.line())

    def quoted(self) -> str | bytes:
        """Read a line that is a string in quotes, of Python 2."""
        raw = self.line().strip()
        if len(raw) < 2 or raw[0] != raw[-1] or raw[:1] not in (b"'", b'"') or b"\\" in raw:
            raise WeightsError(
                f"a string must be in quotes and without backslashes; got {raw[:40]!r}"
            )
        return _text_or_bytes(raw[1:-1])

    def escaped(self) -> str:
        """Read a line that is a string, with escapes for what Latin-1 has not."""
        raw = self.line()
        try:
            return codecs.raw_unicode_escape_decode(raw)[0]
        except UnicodeDecodeError as error:
            raise WeightsError(f"strings must be valid Unicode; got {raw[:40]!r}") from error


def _text_or_bytes(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
