"""Read HDF5 files, the part of the format that weights use, in Python alone.

The HDF5 library trusts the files that it reads.  With a few damaged bytes it can end the
process (h5py 3.16 with HDF5 2.0: damaged string attributes, then one in about a thousand reads
is a segmentation fault), and no check above it can prevent that.  Here every number from the
file is checked against the size of the file before it is used, and whatever does not fit is a
:class:`~decaf.errors.WeightsError`.  Files are written by h5py, and h5py reads them too.

An HDF5 file is a tree.  The *superblock* in front points to the root's *object header*, a list
of *messages*: a group has messages that lead to its links, a dataset has one each for its type,
its shape and the place of its data, and both may have attributes.  All integers are
little-endian; an address is the number of bytes from the start of the file.

Read are superblocks 0 to 3, both kinds of object header, groups as symbol tables or with their
links in the header, contiguous data, and chunks listed in a version 1 B-tree, plain, gzipped or
with a checksum: all that h5py writes by default.  Refused are dense groups and the newer chunk
indexes, which ``libver="latest"`` makes of larger objects, and all that reaches outside the file.

Here are the tree and the texts; :mod:`decaf.hdf5_data` reads datasets, and
:mod:`decaf.hdf5_filters` undoes what was done to their chunks.

Reference: "HDF5 File Format Specification Version 3.0", The HDF Group.  Roman numerals below
are its sections.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from decaf.cursor import Buffer, Cursor
from decaf.errors import WeightsError
from decaf.hdf5_data import (
    DOUBLE,
    IEEE,
    INTEGER,
    LARGEST_RATIO,
    NOWHERE,
    STRING,
    VARIABLE,
    Dataset,
    Value,
    chunk_key_size,
    chunked,
    contiguous,
    read_array,
    read_rows,
    read_shape,
    read_type,
)
from decaf.hdf5_filters import FLETCHER32, GZIP, read_filters
from decaf.messages import refuse

__all__ = ["LARGEST_RATIO", "SIGNATURE", "WIDEST", "Dataset", "File", "Node", "Value", "text_cost"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MOST_ITEMS = 100_000  # headers, messages, links and chunks of one file; SqueezeNet has 1,000
SPARSEST = 2**16  # bytes of a feature file for each item more; its chunks have about 2**20
MOST_LEVELS = 17  # of a tree; with two entries a node that is enough for MOST_ITEMS
LONGEST_NAME = 1024  # bytes
STRING_COST = 100  # bytes that Python takes for a string besides its text, and a little more
WIDEST = 4  # bytes that it takes for each character of a text where one character is not ASCII

# Messages of an object header (IV.A.2)
DATASPACE, LINK_INFO, DATATYPE, LINK, EXTERNAL_FILES, LAYOUT = 0x1, 0x2, 0x3, 0x6, 0x7, 0x8
FILTERS, ATTRIBUTE, CONTINUATION, SYMBOL_TABLE, ATTRIBUTE_INFO = 0xB, 0xC, 0x10, 0x11, 0x15
UNDERSTOOD = {
    DATASPACE, LINK_INFO, DATATYPE, LINK, EXTERNAL_FILES, LAYOUT,
    FILTERS, ATTRIBUTE, CONTINUATION, SYMBOL_TABLE, ATTRIBUTE_INFO,
}  # fmt: skip


@dataclass
class Node:
    """A group or a dataset, as its object header describes it.

    Attributes
    ----------
    links : dict or None
        Of a group: name -> address of the member, or "soft" or "external" for links that are
        not followed.  None for a dataset.
    attributes : dict
        Name -> message, for :meth:`File.text` and its like.
    dataset : Dataset or None
        What a dataset declares.  None for a group.
    """

    links: dict[str, int | str] | None = None
    attributes: dict[str, Value] = field(default_factory=dict)
    dataset: Dataset | None = None


class File:
    """An HDF5 file in memory, or mapped into it.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.
    double : bool
        Whether float64 datasets can be read too; decaf's own files have none.
    features : bool
        Whether this is a feature file: datasets may be of no rows, and chunks have Fletcher32
        checksums but are not gzipped.

    Raises
    ------
    WeightsError
        Here and in all methods: for whatever is damaged, cut off or not supported.
    """

    def __init__(self, data: Buffer, *, double: bool = False, features: bool = False) -> None:
        self.data = data
        self._floats = IEEE | DOUBLE if double else IEEE
        self._features = features
        self._items, self._most_items = 0, MOST_ITEMS
        if features:
            self._most_items += len(data) // SPARSEST
        self._heaps: dict[int, dict[int, tuple[int, int]]] = {}
        self._nodes: dict[int, Node] = {}
        if data[: len(SIGNATURE)] != SIGNATURE:
            advice = "(decaf convert reads files of other programs)"
            refuse("the file", "HDF5, with its signature in front", f"{bytes(data[:8])!r} {advice}")
        self.root = self._superblock()

    def node(self, address: int) -> Node:
        """Read the object header at an address, once: many links may lead to it."""
        if address not in self._nodes:
            self._nodes[address] = self._node(address)
        return self._nodes[address]

    def _node(self, address: int) -> Node:
        node = Node()
        found: dict[int, bytes] = {}
        for kind, body in self._messages(address):
            message = Cursor(body, 0, len(body))
            if kind == LINK:
                node.links = node.links or {}
                self._link(message, node.links)
            elif kind == LINK_INFO:
                node.links = node.links or {}
                _sparse(message, 8, "group")
            elif kind == SYMBOL_TABLE:
                node.links = node.links or {}
                self._symbol_table(message, node.links)
            elif kind == ATTRIBUTE:
                self._attribute(message, node.attributes)
            elif kind == ATTRIBUTE_INFO:
                _sparse(message, 2, "attributes")
            elif kind == EXTERNAL_FILES:
                refuse("data", "in the file itself", "data stored in other files")
            elif kind in found:
                refuse("messages", "there once", f"two of kind {kind}")
            else:
                found[kind] = body
        if LAYOUT in found:
            node.dataset = self._dataset(found)
        return node

    def text(self, value: Value | Dataset, most: int) -> list[str]:
        """Strings of an attribute or dataset of at most one axis, `most` bytes in all.

        Fixed or variable length; one string for a scalar.  They must be UTF-8.  They count as
        :func:`text_cost` says, but the first without :data:`STRING_COST`.
        """
        size = value.type.size
        if size == 0:
            refuse("the type", "string of at least one byte", value.type)
        variable = value.type.kind == VARIABLE and value.type.bits & 0xF == 1 and size == 16
        if not variable and value.type.kind != STRING:
            refuse("the type", "string", value.type)
        if len(value.shape) > 1:
            refuse("strings", "a scalar or one axis", f"shape {value.shape}")
        count = math.prod(value.shape)
        total = max(count - 1, 0) * STRING_COST
        if total > most:  # before any of them is made
            refuse("strings", f"at most {most:,} bytes", f"{count:,} that take {total:,}")
        raw = self._contiguous(value) if isinstance(value, Dataset) else value.raw
        padding = 0 if variable else value.type.bits & 0xF  # ends at a NUL, NULs, or spaces
        texts = []
        for start in range(0, len(raw), size):  # the bytes of one at a time
            part = raw[start : start + size]
            if variable:  # they may all be the same bytes of the file, and count as often
                offset, length = self._heap_object(part)
                part = self.data[offset : offset + min(length, most - total + 1)]
            else:
                part = _strip(part, padding)
            total += text_cost(part) - STRING_COST
            if total > most:
                refuse("strings", f"at most {most:,} bytes", f"{count:,} that take more")
            try:
                texts.append(_strip(part, padding).decode())
            except UnicodeDecodeError as error:
                raise WeightsError(f"strings must be UTF-8; got {part[:20]!r}") from error
        return texts

    def integer(self, value: Value) -> int:
        """Value of a scalar integer attribute."""
        if value.type.kind != INTEGER or value.shape != ():
            refuse("the value", "one integer", f"{value.type}, shape {value.shape}")
        if value.type.size not in (1, 2, 4, 8):
            refuse("the value", "an integer of 1, 2, 4 or 8 bytes", value.type)
        big, signed = bool(value.type.bits & 1), bool(value.type.bits & 8)
        return int.from_bytes(value.raw, "big" if big else "little", signed=signed)

    def array(self, dataset: Dataset) -> NDArray[np.floating]:
        """Values of a float dataset: read-only, in the file itself where they are contiguous.

        Call it only with a shape that is known to be right: chunks are unpacked into a new
        array of that shape.
        """
        dtype = dataset.type.dtype
        if dtype is None:
            names = " or ".join(known.name for known in self._floats.values())
            refuse("the type", f"little-endian {names}", dataset.type)
        return read_array(self.data, dataset, dtype)

    def rows(self, dataset: Dataset) -> Iterator[bytes]:
        """Yield the bytes of a dataset, whole rows in order, a chunk or 1 MiB at a time.

        For a dataset of any size: memory stays flat.  A row is what has one first index.  Chunks
        must be as wide as the dataset.  Each is checked when its turn comes.
        """
        return read_rows(self.data, dataset)

    # Object headers and what hangs on them, in the order in which a file is read

    def _superblock(self) -> int:
        """Check the superblock (II); return the address of the root's object header."""
        start = Cursor(self.data, len(SIGNATURE), min(len(self.data), 2048) - len(SIGNATURE))
        version = start.expect(what="superblock", version=(0, 1, 2, 3))
        if version < 2:
            start.take(4)
        sizes = start.uint(1), start.uint(1)
        if sizes != (8, 8):
            refuse("addresses and lengths", "8 bytes long each", sizes)
        start.take({0: 9, 1: 13}.get(version, 1))
        base, _, end = start.uint(8), start.uint(8), start.uint(8)
        if base != 0:
            refuse("addresses", "counted from the start of the file", f"a base of {base}")
        Cursor(self.data, 0, end)  # notices a file that was cut off anywhere
        if version < 2:
            start.take(16)
        return start.uint(8)

    def _count(self, items: int = 1) -> None:
        """Call this before reading: blocks may overlap, so few bytes can stand for many items."""
        self._items += items
        if self._items > self._most_items:
            refuse(
                "the file", f"of at most {self._most_items:,} links, messages and chunks", "more"
            )

    def _messages(self, address: int) -> Iterator[tuple[int, bytes]]:
        """Kind and body of every message of an object header (IV.A.1) that is of use here."""
        self._count()
        head = Cursor(self.data, address, 16)
        new = head.take(4) == b"OHDR"
        track_order = False
        if new:
            head.expect(what="object header", version=(2,))
            flags = head.uint(1)
            track_order = bool(flags & 4)
            skipped = 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
            head = Cursor(self.data, address + 6 + skipped, 8)
            size = head.uint(1 << (flags & 3))
            start = head.at
        else:
            head = Cursor(self.data, address, 16)
            head.expect(what="object header", version=(1,))
            head.take(7)
            size, start = head.uint(4), address + 16
        blocks, seen, total = [(start, size)], {start}, size
        for start, size in blocks:  # grows by continuations
            block = Cursor(self.data, start, size)
            while block.left >= (4 + 2 * track_order if new else 8):
                kind, length, flags = block.uint(1 if new else 2), block.uint(2), block.uint(1)
                self._count(1 + length // 1024)  # headers may overlap, too
                block.take(2 * track_order if new else 3)
                body = block.take(length)
                if kind not in UNDERSTOOD:
                    continue
                if flags & 2:
                    refuse("messages", "in the header that they describe", "a shared message")
                if kind != CONTINUATION:
                    yield kind, body
                    continue
                more = Cursor(body, 0, 16)
                start, size = more.uint(8), more.uint(8)
                if new:
                    if size < 8 or Cursor(self.data, start, size).take(4) != b"OCHK":
                        refuse("a header's continuation", "marked as one", f"none at {start:,}")
                    start, size = start + 4, size - 8  # its mark and its checksum
                if start in seen:
                    refuse("a header", "without loops", f"byte {start:,} twice")
                total += size
                if total > len(self.data):
                    refuse("a header", "no larger than the file", f"blocks of {total:,} bytes")
                seen.add(start)
                blocks.append((start, size))

    def _add_link(self, links: dict[str, int | str], name: bytes, target: int | str) -> None:
        self._count(1 + len(name) // 32)  # names may overlap, too
        if len(name) > LONGEST_NAME:
            refuse("names", f"at most {LONGEST_NAME:,} bytes", f"{len(name):,}")
        try:
            key = name.decode()
        except UnicodeDecodeError as error:
            raise WeightsError(f"names must be UTF-8; got {name[:50]!r}") from error
        if key in links:
            refuse("members", "of different names", f"{key[:50]!r} twice")
        links[key] = target

    def _link(self, message: Cursor, links: dict[str, int | str]) -> None:
        """Read a link that stands in the group's header (IV.A.2.g)."""
        message.expect(what="link", version=(1,))
        flags = message.uint(1)
        kind = message.uint(1) if flags & 8 else 0
        message.take(8 * bool(flags & 4) + bool(flags & 0x10))
        name = message.take(message.uint(1 << (flags & 3)))
        if kind == 0:
            self._add_link(links, name, message.uint(8))
        else:
            self._add_link(links, name, "soft" if kind == 1 else "external")

    def _symbol_table(self, message: Cursor, links: dict[str, int | str]) -> None:
        """Read the links of a group of the older kind (III.A.1, III.B, III.C, III.D)."""
        tree, heap_address = message.uint(8), message.uint(8)
        heap = Cursor(self.data, heap_address, 32)
        _signature(heap, b"HEAP")
        heap.take(4)
        size, _, start = heap.uint(8), heap.uint(8), heap.uint(8)
        Cursor(self.data, start, size)
        for _, address in self._tree(tree, 0, 8):
            symbols = Cursor(self.data, address, 8)
            _signature(symbols, b"SNOD")
            symbols.take(2)
            count = symbols.uint(2)
            symbols = Cursor(self.data, address + 8, 40 * count)
            for _ in range(count):
                offset, target, kind = symbols.uint(8), symbols.uint(8), symbols.uint(4)
                symbols.take(20)
                name = Cursor(self.data, start + offset, 0).at
                end = self.data.find(b"\0", name, min(start + size, name + LONGEST_NAME + 1))
                if offset >= size or end < 0:
                    expected = f"inside the group's heap, at most {LONGEST_NAME:,} bytes each"
                    refuse("names", expected, f"one at {offset:,} of {size:,}")
                self._add_link(links, self.data[name:end], "soft" if kind == 2 else target)

    def _tree(self, address: int, kind: int, key_size: int) -> Iterator[tuple[bytes, int]]:
        """Key and address of all that a version 1 B-tree lists (III.A.1)."""
        todo: list[tuple[int, int | None]] = [(address, None)]
        while todo:
            address, expected_level = todo.pop()
            head = Cursor(self.data, address, 24)
            _signature(head, b"TREE")
            head.expect(what="tree", type=(kind,))
            level, count = head.uint(1), head.uint(2)
            if expected_level is not None and level != expected_level:
                refuse("the level of a tree", str(expected_level), level)
            if level > MOST_LEVELS:
                refuse("the level of a tree", f"at most {MOST_LEVELS}", level)
            self._count(1 + count)  # the node and its entries: chunks, SNODs, or further nodes
            body = Cursor(self.data, address + 24, count * (key_size + 8))
            entries = [(body.take(key_size), body.uint(8)) for _ in range(count)]
            if level == 0:
                yield from entries
            else:
                todo += [(child, level - 1) for _, child in reversed(entries)]

    def _attribute(self, message: Cursor, attributes: dict[str, Value]) -> None:
        """Read an attribute (IV.A.2.m)."""
        version = message.expect(what="attribute", version=(1, 2, 3))
        if message.uint(1) and version > 1:
            refuse("attributes", "of a type of their own", "a shared type")
        sizes = [message.uint(2) for _ in range(3)]
        if version == 3:
            message.take(1)  # character set of the name; all are read as UTF-8
        parts = []
        for size in sizes:
            parts.append(message.take(size))
            message.take(-size % 8 if version == 1 else 0)
        if len(parts[0]) > LONGEST_NAME:
            refuse("names of attributes", f"at most {LONGEST_NAME:,} bytes", f"{len(parts[0]):,}")
        name = parts[0].partition(b"\0")[0].decode(errors="backslashreplace")
        if name in attributes:
            refuse("attributes", "of different names", f"{name[:50]!r} twice")
        try:
            kind, shape = read_type(parts[1]), read_shape(parts[2])
            raw = message.take(kind.size * math.prod(shape))
        except WeightsError as error:
            raise WeightsError(f"attribute {name[:50]!r}: {error}") from error
        attributes[name] = Value(kind, shape, raw)

    def _heap_object(self, reference: bytes) -> tuple[int, int]:
        """Where a string of variable length lies (III.E); (0, 0) for an empty one."""
        part = Cursor(reference, 0, 16)
        length, address, index = part.uint(4), part.uint(8), part.uint(4)
        if length == 0:
            return 0, 0
        if address not in self._heaps:
            head = Cursor(self.data, address, 16)
            _signature(head, b"GCOL")
            head.take(4)
            size = head.uint(8)
            heap = Cursor(self.data, address, size)
            heap.take(min(16, size))
            objects: dict[int, tuple[int, int]] = {}
            while heap.left >= 16:
                self._count()
                number = heap.uint(2)
                heap.take(6)
                stored = heap.uint(8)
                if number == 0:  # the rest is free
                    break
                objects[number] = heap.at, stored
                heap.take(stored)
                heap.take(min(-stored % 8, heap.left))
            self._heaps[address] = objects
        offset, stored = self._heaps[address].get(index, (0, 0))
        if length > stored:
            refuse("a string", f"of {length:,} bytes", f"{stored:,} at {address:,}")
        return offset, length

    # Datasets

    def _dataset(self, messages: dict[int, bytes]) -> Dataset:
        """Read type, shape, place and filters; check the place against the file (IV.A.2.i)."""
        for needed, name in ((DATATYPE, "type"), (DATASPACE, "shape")):
            if needed not in messages:
                refuse("a dataset", f"with a {name}", "none")
        kind = read_type(messages[DATATYPE], self._floats)
        shape = read_shape(messages[DATASPACE])
        number = read_filters(messages.get(FILTERS), FLETCHER32 if self._features else GZIP)
        body = messages[LAYOUT]
        layout = Cursor(body, 0, len(body))
        version = layout.expect(what="layout", version=(3, 4, 5))
        place = layout.uint(1)
        if place == 1:
            return contiguous(self.data, layout, kind, shape, self._features)
        if place == 2 and version == 3:
            tree = Cursor(body, layout.at + 1, 8).uint(8)
            entries = self._tree(tree, 1, chunk_key_size(layout)) if tree != NOWHERE else ()
            return chunked(self.data, layout, kind, shape, number, entries)
        names = {0: "data inside the header", 2: "chunks of a newer kind", 3: "virtual data"}
        got = names.get(place, f"layout {place}")
        refuse("data", 'contiguous, or in chunks as libver="earliest" writes them', got)

    def _contiguous(self, dataset: Dataset) -> bytes:
        if dataset.offset is None:
            refuse("strings", "contiguous", "chunks")
        return self.data[dataset.offset : dataset.offset + dataset.stored]


def text_cost(encoded: bytes) -> int:
    """Bytes of memory that a string may take, given its UTF-8."""
    return STRING_COST + len(encoded) * (1 if encoded.isascii() else WIDEST)


def _strip(text: bytes, padding: int) -> bytes:
    """Take off what fills a string up to its length."""
    if padding == 0:
        return text.partition(b"\0")[0]
    return text.rstrip(b" " if padding == 2 else b"\0")


def _sparse(message: Cursor, counter_size: int, what: str) -> None:
    """Refuse what stores its links or attributes elsewhere, in a heap (IV.A.2.c, IV.A.2.v)."""
    message.take(1)
    message.take(counter_size * (message.uint(1) & 1))
    if message.uint(8) != NOWHERE:
        refuse(what, 'stored as libver="earliest" does', "dense storage")


def _signature(part: Cursor, expected: bytes) -> None:
    at, got = part.at, part.take(4)
    if got != expected:
        refuse(f"the block at byte {at:,}", expected.decode(), got)
