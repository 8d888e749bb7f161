"""What names say: which files are photos, which are archives, their order, and their labels."""

from __future__ import annotations

import os

# By format of `decaf.decoding.FORMATS`, what its files are called.
SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "PNM": (".pbm", ".pgm", ".ppm", ".pnm", ".pfm"),
    "WebP": (".webp",),
    "AVIF": (".avif", ".avifs"),
    "JPEG 2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
}
_PHOTOS = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
_ARCHIVES = (".zip", ".tar")
# Known so that an error can say why they are not read.
COMPRESSED = (
    *(".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz"),
    *(".tar.zst", ".tzst", ".tar.lzma", ".tar.lz", ".tar.z"),
)


LONGEST_PATH = 4096  # bytes, of names and labels as well: Linux's limit, and the highest of all
LONGEST_SHOWN = 1000  # characters of a name in an error


def slashes(path: str | os.PathLike[str]) -> str:
    """Return a path with ``/`` between its parts, which Windows understands too."""
    return os.fsdecode(path).replace(os.sep, "/")


def is_too_long(name: str) -> bool:
    """Return whether a path, a name or a label has more bytes than a path can have."""
    if 4 * len(name) <= LONGEST_PATH:
        return False
    # What is no UTF-8 in a path is one character for each byte; "replace" makes a ? of it.
    return len(name) > LONGEST_PATH or len(name.encode("utf-8", "replace")) > LONGEST_PATH


def parent_name(path: str) -> str:
    """Return the name of the folder that a file lies in; of an archive, without the suffix."""
    parent = os.path.dirname(path)
    if is_archive(parent) and os.path.isfile(parent):
        return os.path.splitext(os.path.basename(parent))[0]
    return folder_name(parent)


def folder_name(folder: str) -> str:
    """Return the name of a folder, also of ``.`` and ``photos/``."""
    name = os.path.basename(folder.rstrip("/"))
    if name in ("", ".", ".."):  # only the system knows
        name = os.path.basename(os.path.realpath(folder))
    return name


def is_photo(name: str) -> bool:
    """Return whether a file is called as photos are."""
    return name.lower().endswith(_PHOTOS)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is one that programs make for themselves."""
    return name.startswith(".") or name == "__MACOSX" or name.lower() == "thumbs.db"


def is_archive(path: str) -> bool:
    """Return whether a file is called as archives are, also as those that cannot be read."""
    return path.lower().endswith((*_ARCHIVES, *COMPRESSED))


def in_order(name: str) -> str:
    """Sort key of a path with ``/``: by its components, these by their code points.

    ``a/2.jpg`` comes before ``a.jpg``, because ``a`` comes before ``a.jpg``.
    """
    return name.replace("/", "\0")  # which is in no name, and before all that are


def shown(name: str) -> str:
    """Return how an error writes a name: on one line, with what can be printed, not too long."""
    text = name[: LONGEST_SHOWN + 1]
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
