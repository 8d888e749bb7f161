"""The first torch checkpoints, up to 0.1.9: a tar archive of three streams.

==============  ===========================================================================
member          contents
==============  ===========================================================================
``storages``    pickle: how many; for each a pickle ``(key, device, type)``, then int64: how
                many values, and the values.  Pickle: views ``[(key, of which, start, numel)]``
``tensors``     pickle: how many; for each a pickle ``(key, storage, type)``, then int32:
                dimensions, 4 bytes of nothing, and int64: sizes, strides, offset
``pickle``      what was saved; tensors and storages stand in it as persistent ids, their keys
``sys_info``    a dictionary about the machine; ignored, as torch does
==============  ===========================================================================

Keys are addresses in the memory of the program that wrote the file; here they become strings,
whose hashes a file cannot foresee.  All numbers are little-endian.  torchvision's first AlexNet,
``alexnet-owt-4df8aa71.pth``, is such a file.

Source: ``legacy_load`` inside ``_legacy_load`` of ``torch/serialization.py``; of a tar header
(POSIX.1-1988, "ustar") only name, size and kind are read.
"""

from __future__ import annotations

from typing import Any

from decaf.cursor import Buffer, Cursor
from decaf.errors import WeightsError
from decaf.formats.pickle_names import (
    ITEM_SIZES,
    Storage,
    Tensor,
    refuse,
    shown,
    storage_kind,
)
from decaf.formats.pickles import load
from decaf.formats.pth_legacy import view_of

BLOCK = 512  # bytes: a header, and what contents are padded to
SIZE = slice(124, 136)  # of a header, octal
KIND = slice(156, 157)
FILE_KINDS = (b"0", b"\0")
MEMBERS = ("storages", "tensors", "pickle")
MOST_ITEMS = 100_000  # storages, tensors; AlexNet has 16
MOST_DIMENSIONS = 8
LARGEST_KEY = 2**63 - 1
LARGEST_ITEM = 4096  # bytes of the pickle that describes a storage or a tensor; torch's take 60


def read(data: Buffer) -> Any:
    """Return what was saved, its storages with their places in the file.

    Raises
    ------
    WeightsError
        For whatever is damaged, missing or not supported.
    """
    members = _members(data)
    missing = [name for name in MEMBERS if name not in members]
    if missing:
        refuse("a torch archive", f"with the members {', '.join(MEMBERS)}", f"no {missing[0]}")
    storages = _storages(members["storages"])
    tensors = _tensors(members["tensors"], storages)

    def persistent(id: Any) -> Tensor | Storage:
        key = _key(id)
        found = tensors.get(key) or storages.get(key)
        if found is None:
            refuse("what lies outside the pickle", "a tensor or a storage", shown(id))
        return found

    return load(members["pickle"], persistent)


def _key(id: Any) -> str:
    """The key that an id stands for, or ""; torch wrote it as a string, and reads either."""
    if type(id) is str and id.isascii() and id.isdigit() and len(id) <= 20:
        id = int(id)
    return str(id) if type(id) is int and 0 <= id <= LARGEST_KEY else ""


def _members(data: Buffer) -> dict[str, Cursor]:
    """Find the files of the archive."""
    found: dict[str, Cursor] = {}
    cursor = Cursor(data)
    while cursor.left >= BLOCK:  # and so at most one member for each 512 bytes
        header = cursor.take(BLOCK)
        if not header.strip(b"\0"):
            break
        name = header[:100].partition(b"\0")[0].decode("latin-1").removeprefix("./")
        try:
            size = int(header[SIZE].strip(b" \0"), 8)
        except ValueError as error:
            raise WeightsError(
                f"the size of a tar member must be octal; got {header[SIZE]!r}"
            ) from error
        start = cursor.skip(size)
        cursor.skip(min(-size % BLOCK, cursor.left))
        if name in MEMBERS and header[KIND] in FILE_KINDS:
            if name in found:
                refuse("members", "of different names", f"{name} twice")
            found[name] = Cursor(data, start, size)
    return found


def _item(cursor: Cursor) -> Any:
    """Read one of many pickles, each of which must be small."""
    inside = Cursor(cursor.data, cursor.at, min(cursor.left, LARGEST_ITEM))
    value = load(inside)
    cursor.skip(inside.at - cursor.at)
    return value


def _count(cursor: Cursor, what: str) -> int:
    count = _item(cursor)
    if type(count) is not int or not 0 <= count <= MOST_ITEMS:
        refuse(f"the number of {what}", f"from 0 to {MOST_ITEMS:,}", shown(count))
    return count


def _triple(cursor: Cursor) -> tuple[str, Any, Any]:
    """Read a pickle of three values, the first of which is a key."""
    found = _item(cursor)
    if type(found) is not tuple or len(found) != 3:
        refuse("an item", "described by a key and two values", shown(found))
    return _checked(found[0]), *found[1:]


def _checked(key: Any) -> str:
    if type(key) is not int or not 0 <= key <= LARGEST_KEY:
        refuse("a key", f"a whole number from 0 to {LARGEST_KEY}", shown(key))
    return str(key)


def _storages(cursor: Cursor) -> dict[str, Storage]:
    found: dict[str, Storage] = {}
    for _ in range(_count(cursor, "storages")):
        key, _, kind = _triple(cursor)
        if key in found:
            refuse("storages", "of different keys", f"{shown(key)} twice")
        storage = Storage(storage_kind(kind), key, numel=cursor.uint(8))
        storage.offset = cursor.skip(storage.nbytes)
        found[key] = storage
    views = load(cursor)
    if type(views) is not list:
        refuse("the views of storages", "a list", shown(views))
    for view in views:
        if type(view) is not tuple or len(view) != 4 or _checked(view[1]) not in found:
            refuse("a view of a storage", "four numbers, the second of a storage", shown(view))
        key, whole = _checked(view[0]), found[_checked(view[1])]
        part, start = view_of(whole, (key, *view[2:]))
        part.offset = (whole.offset or 0) + start * ITEM_SIZES[whole.kind]
        found[key] = part
    return found


def _tensors(cursor: Cursor, storages: dict[str, Storage]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for _ in range(_count(cursor, "tensors")):
        key, of, _ = _triple(cursor)
        storage = _checked(of)
        if key in found or storage not in storages:
            refuse("a tensor", "one of its own, of a storage", shown(key))
        dimensions = cursor.uint(4)
        if dimensions > MOST_DIMENSIONS:
            refuse("a tensor", f"of at most {MOST_DIMENSIONS} dimensions", f"{dimensions:,}")
        cursor.skip(4)
        size, stride = (tuple(cursor.uint(8) for _ in range(dimensions)) for _ in range(2))
        found[key] = Tensor(storages[storage], cursor.uint(8), size, stride)
    return found
