"""``.zip`` and ``.tar`` -> which files are in them, and each of these as an open file.

Nothing is unpacked, and no archive is in memory.  Of each member remains where its bytes lie,
in 64 bytes.  To read one, the archive is opened anew and closed after it, which takes about as
long as opening a photo in a folder does.  So threads share no file position and need no lock,
thousands of archives need no thousands of open files, and an archive that was replaced
meanwhile is noticed: its length or its time differs.

Names of members are never used as paths on the disk.  ``./a/b.jpg``, ``/a/b.jpg`` and
``../a/b.jpg`` are all called ``a/b.jpg``.  Of several members with one name the last counts,
as it would after unpacking.
"""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, NamedTuple, TypeAlias, cast

from decaf.errors import FeaturesError, ImageError
from decaf.features.naming import COMPRESSED, in_order, shown
from decaf.messages import brief

# Where a member lies, packed because there are many; or the reason why it cannot be read.
Place: TypeAlias = "bytes | str"

_ZIP_PLACE = struct.Struct("<QQQIH")  # header, compressed size, size, CRC-32, compression
_TAR_PLACE = struct.Struct("<QQ")  # data, size

_COMPRESSED_STARTS = (b"\x1f\x8b", b"\x1f\x9d", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
_TAR_BLOCK = 512


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
            file = open(self.path, "rb", buffering=0)  # noqa: SIM115  (closed below)
        except OSError as error:
            raise _unreadable(name, error) from error
        with file:
            try:
                if _stamp(file) != self.stamp:
                    raise OSError("an archive that was changed after its members were listed")
                member = _zip_member if self.kind == "zip" else _tar_member
                reader = member(file, place, name)
            except Exception as error:  # zipfile raises whatever it trips over
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
        A regular file.

    Returns
    -------
    Listing
        Folders are left out.  What is a file but cannot be read has a reason as its place:
        encrypted members of a zip; sparse files, symbolic links, devices and links to nothing
        of a tar.  (A hard link in a tar is the member that it names.)

    Raises
    ------
    FeaturesError
        If it is compressed as a whole, damaged, cut off, or no archive.
    """
    try:
        with open(path, "rb") as file:
            kind = _kind(path, file.read(_TAR_BLOCK))
            archive = Archive(path, kind, _stamp(file))
            file.seek(0)
            places = _zip_places(file) if kind == "zip" else _tar_places(file)
    except FeaturesError:
        raise
    except OSError as error:
        raise FeaturesError(
            f"{shown(path)}: must be an archive that can be read; got {error.strerror or error}"
        ) from error
    except Exception as error:
        # Everything: on a damaged archive the readers raise whatever they trip over, among
        # others UnicodeDecodeError, OverflowError, struct.error and RecursionError.
        reason = brief(error) or type(error).__name__
        raise FeaturesError(
            f"{shown(path)}: must be an undamaged .{kind}; got the error {reason!r}"
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


def _stamp(file: IO[bytes] | io.FileIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _unreadable(name: str, error: Exception) -> ImageError:
    text = getattr(error, "strerror", None) or brief(error) or type(error).__name__
    return ImageError(f"{shown(name)}: must be a member that can be read; got {text}")


def _normal(name: str) -> str:
    """Name of a member without ``.``, ``..``, doubled or leading slashes."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


class _Part(io.RawIOBase):
    """`size` bytes of a file, from where it stands."""

    def __init__(self, file: io.FileIO, size: int, name: str) -> None:
        self._file, self._left, self.name = file, size, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(memoryview(buffer)[: self._left])
        if not count and self._left and len(buffer):
            raise OSError("the archive ends in the middle of the photo")
        self._left -= count or 0
        return count or 0


# ---- zip ------------------------------------------------------------------------------------

_ENCRYPTED, _PATCH, _STRONGLY_ENCRYPTED = 0x1, 0x20, 0x40  # bits of the flags


def _zip_places(file: BinaryIO) -> dict[str, Place]:
    places: dict[str, Place] = {}
    # Its directory, of about 700 bytes a member, lives no longer than this loop.
    with zipfile.ZipFile(file) as directory:
        for info in directory.infolist():
            name = info.filename.replace("\\", "/")  # which some programs of Windows write
            if name.endswith("/") or not (name := _normal(name)):
                continue
            place: Place = _ZIP_PLACE.pack(
                info.header_offset,
                info.compress_size,
                info.file_size,
                info.CRC,
                info.compress_type,
            )
            if info.flag_bits & (_ENCRYPTED | _STRONGLY_ENCRYPTED):
                place = "an encrypted one"
            elif info.flag_bits & _PATCH:
                place = "a patch"
            places[name] = place
    return places


def _zip_member(file: io.FileIO, place: bytes, name: str) -> IO[bytes]:
    """The reader of the standard library, on a file of its own."""
    info = zipfile.ZipInfo()
    info.filename = name
    header, info.compress_size, info.file_size, info.CRC, info.compress_type = _ZIP_PLACE.unpack(
        place
    )
    # APPNOTE.TXT 4.3.7: 26 bytes, the lengths of the name and of the extra field, these, the
    # data.  Only the lengths are of interest: the directory has said the rest, and it counts.
    file.seek(header)
    local = file.read(30)
    if len(local) < 30 or local[:4] != b"PK\3\4":
        raise zipfile.BadZipFile("no member where the directory of the zip says")
    file.seek(sum(struct.unpack("<HH", local[26:])), os.SEEK_CUR)
    part = cast("IO[bytes]", _Part(file, info.compress_size, name))
    return cast("IO[bytes]", zipfile.ZipExtFile(part, "r", info))


# ---- tar ------------------------------------------------------------------------------------


def _tar_places(file: BinaryIO) -> dict[str, Place]:
    places: dict[str, Place] = {}
    end = 0
    with tarfile.TarFile(fileobj=file, encoding="utf-8", errors="surrogateescape") as tar:
        while (info := tar.next()) is not None:
            cast("Any", tar).members.clear()  # it would keep 1 KB of each
            if info.size < 0 or tar.offset <= end:  # by which some versions go round for ever
                raise tarfile.ReadError("a member of negative size")
            end = tar.offset
            if info.isdir() or not (name := _normal(info.name)):
                continue
            place: Place
            if info.issparse():
                place = "a sparse file"
            elif info.isreg():
                place = _TAR_PLACE.pack(info.offset_data, info.size)
            elif info.islnk():
                place = places.get(_normal(info.linkname), "a hard link to nothing before it")
            else:
                place = "a symbolic link" if info.issym() else "a device or a pipe"
            places[name] = place
        # tarfile takes a header that it does not understand for the end.  The true end is
        # marked by zeros; without them the archive was cut, perhaps between two members.
        file.seek(tar.offset)
        if file.read(_TAR_BLOCK) != bytes(_TAR_BLOCK):
            raise tarfile.ReadError(f"no end mark at byte {tar.offset:,} (was it cut off?)")
    return places


def _tar_member(file: io.FileIO, place: bytes, name: str) -> IO[bytes]:
    start, size = _TAR_PLACE.unpack(place)
    file.seek(start)
    return cast("IO[bytes]", _Part(file, size, name))
