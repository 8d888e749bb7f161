r"""The headers of a tar archive: names, kinds, and where the data lie.

An archive is made of blocks of 512 bytes.  Each member is a header, then its data, filled up
with zeros; a block of zeros is the end.  A header, by byte::

      0  name, 100 bytes, up to a NUL             156  kind, one character
    124  size, 12                                 157  name that a link means, 100
    148  checksum, 8: the sum of all bytes of     257  "ustar\0" where POSIX's rules hold
         the header, these taken as spaces        345  folder of the name, 155 (only there)

Numbers are octal digits, or, for what has no room there, base 256 with the first bit set.  The
first tar (V7) knew kinds 0 to 2, and wrote a folder as a name with ``/`` at its end.  Longer
names came in two ways, both of them members whose data belong to the next one: GNU's kinds
``L`` (name) and ``K`` (link), and POSIX's (pax) ``x``, records ``30 path=...\n`` that begin
with their own length.  The records of ``g`` are for all members that follow.

Nothing is read but headers and these data.  The time is proportional to the number of blocks
read: each is read once, and of a pax header five records at most are kept.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format"; GNU tar's
manual, "Basic Tar Format".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

BLOCK = 512
LONGEST_EXTENSION = 2**16  # bytes of a long name, or of the records of a pax header

_PLAIN = (b"0", b"\0", b"7")
_HARD_LINK, _FOLDER, _SPARSE = b"1", b"5", b"S"
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL, _PAX_OF_SOLARIS = b"L", b"K", b"x", b"g", b"X"
_EXTENSIONS = (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL, _PAX_OF_SOLARIS)
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")
_REASONS = {b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a pipe"}


class Member(NamedTuple):
    """A file of an archive, or what stands for one.

    Attributes
    ----------
    name : str
    start, size : int
        Where its data lie, in bytes from the start of the archive.
    link : str or None
        For a hard link, the member that it means.
    reason : str
        Why it cannot be read; empty where it can.
    """

    name: str
    start: int
    size: int
    link: str | None
    reason: str


def members(file: BinaryIO, length: int) -> Iterator[Member]:
    """List the members of an archive that are no folders, in its order.

    Parameters
    ----------
    file : binary file
        The archive; it may be moved between two members.
    length : int
        Its bytes.

    Raises
    ------
    ValueError
        If it is cut off, or a header is damaged.
    """
    everywhere: dict[str, str] = {}  # records of pax for all members,
    own: dict[str, str] = {}  # for the next one,
    long: dict[str, str] = {}  # and what GNU tar says of the next one
    at = 0
    while any(header := _read(file, at, BLOCK, length, "end mark")):
        _check_sum(header, at)
        kind = header[156:157]
        size = _number(header[124:136], at)
        data = at + BLOCK
        if kind in _EXTENSIONS:
            if size > LONGEST_EXTENSION:
                raise ValueError(
                    f"an extended header of {size:,} bytes at byte {at:,}, "
                    f"where {LONGEST_EXTENSION:,} are allowed"
                )
            content = _read(file, data, size, length, "extended header")
            if kind == _LONG_NAME:
                long["path"] = _text(content)
            elif kind == _LONG_LINK:
                long["linkpath"] = _text(content)
            else:
                (everywhere if kind == _PAX_GLOBAL else own).update(_records(content, at))
            at = data + _filled(size)
            continue

        said = {key: value for key, value in {**long, **everywhere, **own}.items() if value}
        if "size" in said:
            size = _digits(said["size"], at)
        name, kind = _name(header, kind)
        name = said.get("path", name)
        reason = _REASONS.get(kind, "")
        if kind == _SPARSE:
            more = header[482]
            while more:  # maps that had no room in the header
                more = _read(file, data, BLOCK, length, "map of a sparse file")[504]
                data += BLOCK
        if kind == _SPARSE or "GNU.sparse" in said:
            name, reason = said.get("GNU.sparse.name", name), "a sparse file"
        elif kind not in _WITHOUT_DATA and kind not in _PLAIN:
            reason = "one of an unknown kind"
        if kind in _WITHOUT_DATA:
            size = 0
        if data + size > length:
            raise ValueError(f"the end of the file in the middle of {name[:100]!a}")
        if kind != _FOLDER:
            link = said.get("linkpath", _text(header[157:257])) if kind == _HARD_LINK else None
            yield Member(name, data, size, link, reason)
        own.clear()
        long.clear()
        at = data + _filled(size)
    if own or long:
        raise ValueError(f"the end after an extended header, at byte {at:,}")


def _read(file: BinaryIO, at: int, size: int, length: int, what: str) -> bytes:
    """Read a part; the file is asked only for what it has."""
    if at + size > length:
        raise ValueError(f"no {what} at byte {at:,} (was it cut off?)")
    file.seek(at)
    content = file.read(size)
    if len(content) < size:
        raise ValueError(f"no {what} at byte {at:,} (was it cut off meanwhile?)")
    return content


def _filled(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _check_sum(header: bytes, at: int) -> None:
    told = _number(header[148:156], at)
    found = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    signed = found - 256 * sum(byte > 127 for byte in header[:148] + header[156:])
    if told not in (found, signed):  # signed: from machines where a char was
        raise ValueError(f"no header of a member at byte {at:,}: its checksum is another")


def _number(field: bytes, at: int) -> int:
    if field[0] & 128:  # base 256, in two's complement after that bit
        number = int.from_bytes(field, "big") & ~(1 << (8 * len(field) - 1))
        if field[0] & 64:
            raise ValueError(f"a member of negative size at byte {at:,}")
        return number
    digits = field.partition(b"\0")[0].strip(b" ")
    if digits.strip(b"01234567"):
        raise ValueError(f"no number in the header at byte {at:,}")
    return int(digits or b"0", 8)


def _digits(text: str, at: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise ValueError(f"no number in the pax header before byte {at:,}: {text[:30]!a}")
    return int(text)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _name(header: bytes, kind: bytes) -> tuple[str, bytes]:
    name = _text(header[:100])
    if kind == b"\0" and name.endswith("/"):
        kind = _FOLDER
    if header[257:263] == b"ustar\0" and kind != _SPARSE and header[345]:
        name = f"{_text(header[345:500])}/{name}"
    return name, kind


def _records(content: bytes, at: int) -> dict[str, str]:
    """Return the records of a pax header that matter here; an empty value takes one back."""
    found: dict[str, str] = {}
    start = 0
    while start < len(content) and content[start]:  # some writers fill up with NUL
        space = content.find(b" ", start, start + 8)  # 65,536 has five digits
        digits = content[start : max(space, start)]
        end = start + int(digits) if digits.isdigit() else 0
        if not space < end <= len(content) or content[end - 1 : end] != b"\n":
            raise ValueError(f"a damaged record in the pax header at byte {at:,}")
        key, equals, value = content[space + 1 : end - 1].partition(b"=")
        if not equals:
            raise ValueError(f"a damaged record in the pax header at byte {at:,}")
        if key.startswith(b"GNU.sparse."):
            found["GNU.sparse"] = "yes"
        if key in (b"path", b"linkpath", b"size", b"GNU.sparse.name"):
            found[key.decode()] = value.decode("utf-8", "surrogateescape")
        start = end
    return found
