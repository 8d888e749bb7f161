"""torch checkpoints from 0.1.10 to 1.5: a stream of pickles, then the storages.

======================  ==================================================================
in this order           contents
======================  ==================================================================
pickle                  ``0x1950a86a20f9469cfc6c``, the magic number
pickle                  1001, the version of the layout
pickle                  a dictionary about the machine; ignored, as torch does
pickle                  what was saved; a storage stands in it as a persistent id with its key
pickle                  the keys of the storages, in the order of what follows
for each of them        int64: how many values; then the values, all little-endian
======================  ==================================================================

``torch.save(…, _use_new_zipfile_serialization=False)`` still writes it.  What follows the last
storage is not looked at, as in torch: a file may hold one checkpoint after the other.

Source: ``_legacy_save`` and ``_legacy_load`` of ``torch/serialization.py``.
"""

from __future__ import annotations

from typing import Any

from decaf.cursor import Buffer, Cursor
from decaf.formats.pickle_names import ITEM_SIZES, Storage, refuse, shown, storage_of
from decaf.formats.pickles import load

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001


def read(data: Buffer) -> Any:
    """Return what was saved, its storages with their places in the file.

    Raises
    ------
    WeightsError
        For whatever is damaged, missing or not supported.
    """
    cursor = Cursor(data)
    storages: dict[str | int, Storage] = {}
    views: list[tuple[Storage, Storage, int]] = []  # (view, of what, from which value on)

    def persistent(id: Any) -> Storage:
        storage, view = storage_of(id)
        known = storages.setdefault(storage.key, storage)
        if (known.kind, known.numel) != (storage.kind, storage.numel):
            refuse(f"storage {shown(storage.key)}", "the same wherever it is used", "another one")
        if view is None:
            return known
        part, start = view_of(known, view)
        views.append((part, known, start))
        return part

    for what, expected in (("the magic number", MAGIC), ("the version", VERSION)):
        found = load(cursor)
        if type(found) is not int or found != expected:
            refuse(f"{what} of a torch checkpoint", f"{expected:#x}", shown(found))
    load(cursor)
    value = load(cursor, persistent)
    keys = load(cursor)
    if type(keys) is not list:
        refuse("the keys of the storages", "a list", shown(keys))
    for key in keys:
        storage = storages.get(key) if type(key) is str else None
        if storage is None or storage.offset is not None:
            refuse("the keys of the storages", "those of the pickle, each once", shown(key))
        place(storage, cursor)
    for part, whole, start in views:
        if whole.offset is not None:
            part.offset = whole.offset + start * ITEM_SIZES[whole.kind]
    return value


def place(storage: Storage, cursor: Cursor) -> None:
    """Pass over a storage (how many values, then the values), and note where it lies."""
    count = int.from_bytes(cursor.take(8), "little", signed=True)
    if count != storage.numel:
        expected = f"of {storage.numel:,} values"
        refuse(f"storage {shown(storage.key)}", expected, f"{count:,}")
    storage.offset = cursor.skip(storage.nbytes)


def view_of(whole: Storage, view: Any) -> tuple[Storage, int]:
    """Describe a part of a storage by ``(key, first value, how many)``."""
    if type(view) is not tuple or len(view) != 3:
        refuse("a view of a storage", "described by three values", shown(view))
    key, start, numel = view
    if type(start) is not int or type(numel) is not int or not 0 <= start <= start + numel:
        refuse("a view of a storage", "described by whole numbers", shown(start))
    if start + numel > whole.numel:
        expected = f"within its {whole.numel:,} values"
        refuse("a view of a storage", expected, f"{start:,} + {numel:,}")
    return Storage(whole.kind, key, numel, order=whole.order), start
