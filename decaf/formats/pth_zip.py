"""torch checkpoints since 1.6: a ZIP archive, with a pickle and one member a storage.

======================  ==================================================================
member                  contents
======================  ==================================================================
``NAME/data.pkl``       the pickle; a storage stands in it as a persistent id with its key
``NAME/data/KEY``       the values of a storage, aligned to 64 bytes
``NAME/byteorder``      ``little`` or ``big``; without it, little
``NAME/version``        of the layout; ignored, as are other members
======================  ==================================================================

Members are stored, not deflated, so that tensors can be views of the file.  Checksums are not
compared: torch may leave them out (``torch.serialization.set_crc32_options``).

Source: ``_save`` and ``_load`` of ``torch/serialization.py``.
"""

from __future__ import annotations

from typing import Any

from decaf.cursor import Buffer, Cursor
from decaf.formats.pickle_names import Storage, refuse, shown, storage_of
from decaf.formats.pickles import load
from decaf.formats.zip import STORED, Entry, entries

PICKLE = "data.pkl"
ORDERS = {b"little": "<", b"big": ">"}


def read(data: Buffer) -> Any:
    """Return what was saved, its storages with their places in the file.

    Raises
    ------
    WeightsError
        For whatever is damaged, missing or not supported.
    """
    members = entries(data)
    pickles = [name for name in members if name.rpartition("/")[2] == PICKLE]
    if len(pickles) != 1:
        refuse("a torch archive", f"with one {PICKLE}", f"{len(pickles):,}")
    folder = pickles[0].removesuffix(PICKLE)
    order = "<"
    if folder + "byteorder" in members:
        member = _stored(members[folder + "byteorder"])
        text = data[member.offset : member.offset + min(member.size, 10)]
        if text not in ORDERS:
            refuse("byteorder", "little or big", shown(text))
        order = ORDERS[text]
    storages: dict[str | int, Storage] = {}

    def persistent(id: Any) -> Storage:
        storage, view = storage_of(id)
        if view is not None:
            refuse("a storage", "complete in itself", "a view of another one")
        known = storages.setdefault(storage.key, storage)
        if (known.kind, known.numel) != (storage.kind, storage.numel):
            refuse(f"storage {shown(storage.key)}", "the same wherever it is used", "another one")
        if known.offset is None:
            name = f"{folder}data/{storage.key}"
            if name not in members:
                refuse(f"storage {shown(storage.key)}", "a member of the archive", "none")
            member = _stored(members[name])
            if member.size != storage.nbytes:
                got = f"{member.size:,}"
                refuse(f"storage {shown(storage.key)}", f"of {storage.nbytes:,} bytes", got)
            known.offset, known.order = member.offset, order
        return known

    pickle = _stored(members[pickles[0]])
    return load(Cursor(data, pickle.offset, pickle.size), persistent)


def _stored(member: Entry) -> Entry:
    if member.method != STORED:
        refuse(f"member {shown(member.name)}", "stored, as torch does", "a compressed one")
    return member
