"""``.zip`` and ``.tar`` -> which files are in them, and each of these as an open file.

Nothing is unpacked, and no archive is in memory: `zips` and `tar` read directories and headers,
and of each member remain its name and where its bytes lie, in about 300 bytes.  To read one,
the archive is opened anew and closed after it, which takes about as long as opening a photo in
a folder does.  So threads share no file position and need no lock, thousands of archives need
no thousands of open files, and an archive that was replaced meanwhile is noticed: its length or
its time differs.

Names of members are never used as paths on the disk.  ``./a/b.jpg``, ``/a/b.jpg`` and
``../a/b.jpg`` are all called ``a/b.jpg``.  Of several members with one name the last counts,
as it would after unpacking.  A name that no file system could hold, with a NUL or of more than
4,096 bytes, makes the archive unusable: no program packs such a file.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO, NamedTuple, TypeAlias, cast

from decaf.errors import FeaturesError, ImageError
from decaf.features import tar, zips
from decaf.features.naming import COMPRESSED, LONGEST_PATH, in_order, is_too_long, shown
from decaf.features.opening import open_regular
from decaf.features.parts import Part
from decaf.messages import brief

# Where a member lies, packed because there are many; or the reason why it cannot be read.
Place: TypeAlias = "bytes | str"

_TAR_PLACE = struct.Struct("<QQ")  # data, size

_COMPRESSED_STARTS = (b"\x1f\x8b", b"\x1f\x9d", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive whose members may be opened, in any thread, many at once.

    Attributes
    ----------
    path : str
        The file.
    kind : {"zip", "tar"}
        What it is by its contents.
    stamp : (int, int)
        Its length, and its time in ns, when its members were listed.
    """

    path: str
    kind: str
    stamp: tuple[int, int]

    @contextmanager
    def open(self, place: Place, name: str) -> Iterator[IO[bytes]]:
        """Give a member as a binary file; decompressed, and its checksum tested, while it is read.

        Parameters
        ----------
        place : bytes or str
            As `read_archive` gave it.
        name : str
            What errors call it.

        Raises
        ------
        ImageError
            If it cannot be read, or the archive is no longer the same.
        """
        if isinstance(place, str):
            raise ImageError(f"{shown(name)}: must be a member that can be read; got {place}")
        try:
            file = open_regular(self.path, buffering=0)
        except (OSError, ValueError) as error:
            raise _unreadable(name, error) from error
        with file:
            try:
                if _stamp(file) != self.stamp:
                    raise OSError("an archive that was changed after its members were listed")
                open_member = zips.open_member if self.kind == "zip" else _open_tar_member
                reader = open_member(file, place, name)
            except (OSError, ValueError) as error:
                raise _unreadable(name, error) from error
            with reader:
                yield reader


class Listing(NamedTuple):
    """An archive, and name -> place of each file in it, in order."""

    archive: Archive
    places: dict[str, Place]


def read_archive(path: str) -> Listing:
    """List an archive.

    Parameters
    ----------
    path : str
        The file; it is not waited for, as a pipe would be.

    Returns
    -------
    Listing
        Folders are left out.  What is a file but cannot be read has a reason as its place:
        members of a zip that are encrypted, packed by something else than deflate, or claim
        more bytes than 2 GiB or 1,100 times what is packed; sparse files, symbolic links,
        devices and links to nothing of a tar.  (A hard link in a tar is the member that it
        names.)

    Raises
    ------
    FeaturesError
        If it is compressed as a whole, damaged, cut off, or no archive; if a member has a name
        that no file can have; if members of a zip overlap, or are more than 10 million.
    """
    places: dict[str, Place] = {}
    kind = "zip" if path.lower().endswith(".zip") else "tar"
    try:
        with open_regular(path) as opened:
            file = cast("BinaryIO", opened)
            kind = _kind(path, file.read(tar.BLOCK))
            archive = Archive(path, kind, _stamp(file))
            length, _ = archive.stamp
            found = (
                zips.places(file, length) if kind == "zip" else _tar_places(file, length, places)
            )
            for member, place in found:
                if name := _normal(member):
                    places[name] = place
    except OSError as error:
        raise FeaturesError(
            f"{shown(path)}: must be an undamaged .{kind} that can be read; "
            f"got {error.strerror or error}"
        ) from error
    except ValueError as error:
        raise FeaturesError(
            f"{shown(path)}: must be an undamaged .{kind}; got {brief(error)}"
        ) from error
    return Listing(archive, {name: places[name] for name in sorted(places, key=in_order)})


def _kind(path: str, start: bytes) -> str:
    """By the first bytes; where these say nothing (an old tar, a program before a zip), by name."""
    if start.startswith((b"PK\3\4", b"PK\5\6")):
        return "zip"
    if start[257:262] == b"ustar":
        return "tar"
    name = path.lower()
    if start.startswith(_COMPRESSED_STARTS) or name.endswith(COMPRESSED):
        raise FeaturesError(
            f"{shown(path)}: must be a .zip or an uncompressed .tar, which can be read in place; "
            "got a compressed archive (unpack it, and name the folder)"
        )
    return "zip" if name.endswith(".zip") else "tar"


def _stamp(file: IO[bytes]) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _unreadable(name: str, error: Exception) -> ImageError:
    text = getattr(error, "strerror", None) or brief(error) or type(error).__name__
    return ImageError(f"{shown(name)}: must be a member that can be read; got {text}")


def _normal(name: str) -> str:
    """Name of a member without ``.``, ``..``, doubled or leading slashes."""
    if "\0" in name or is_too_long(name):
        raise ValueError(f"a name with a NUL or of more than {LONGEST_PATH:,} bytes: {name[:50]!a}")
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _tar_places(
    file: BinaryIO, length: int, before: dict[str, Place]
) -> Iterator[tuple[str, Place]]:
    """List the members of a tar; `before` has those that were listed already."""
    for member in tar.members(file, length):
        place: Place = member.reason or _TAR_PLACE.pack(member.start, member.size)
        if member.link is not None:
            place = before.get(_normal(member.link), "a hard link to nothing before it")
        yield member.name, place


def _open_tar_member(file: IO[bytes], place: bytes, name: str) -> IO[bytes]:
    start, size = _TAR_PLACE.unpack(place)
    file.seek(start)
    return io.BufferedReader(Part(file, size, name))
