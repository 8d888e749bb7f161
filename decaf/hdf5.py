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
links in the header, contiguous data, and chunks listed in a version 1 B-tree, plain or gzipped:
all that h5py writes by default.  Refused are dense groups and the newer chunk indexes, which
``libver="latest"`` makes of larger objects, and all that reaches outside the file.

Reference: "HDF5 File Format Specification Version 3.0", The HDF Group.  Roman numerals below
are its sections.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from decaf.cursor import Buffer, Cursor
from decaf.errors import WeightsError
from decaf.messages import refuse

SIGNATURE = b"\x89HDF\r\n\x1a\n"
NOWHERE = 2**64 - 1  # the address of what has not been stored
MOST_ITEMS = 100_000  # headers, messages, links and chunks of one file; SqueezeNet has 1,000
MOST_LEVELS = 17  # of a tree; with two entries a node that is enough for MOST_ITEMS
LONGEST_NAME = 1024  # bytes
MOST_DIMENSIONS = 8
LARGEST_RATIO = 1000  # bytes that one byte of gzip may stand for
STRING_COST = 100  # bytes that Python takes for a string besides its text, and a little more
WIDEST = 4  # bytes that it takes for each character of a text where one character is not ASCII

# Messages of an object header (IV.A.2)
DATASPACE, LINK_INFO, DATATYPE, LINK, EXTERNAL_FILES, LAYOUT = 0x1, 0x2, 0x3, 0x6, 0x7, 0x8
FILTERS, ATTRIBUTE, CONTINUATION, SYMBOL_TABLE, ATTRIBUTE_INFO = 0xB, 0xC, 0x10, 0x11, 0x15
UNDERSTOOD = {
    DATASPACE, LINK_INFO, DATATYPE, LINK, EXTERNAL_FILES, LAYOUT,
    FILTERS, ATTRIBUTE, CONTINUATION, SYMBOL_TABLE, ATTRIBUTE_INFO,
}  # fmt: skip

INTEGER, FLOAT, STRING, VARIABLE = 0, 1, 3, 9
TYPE_NAMES = (
    "integer", "float", "time", "string", "bit field", "opaque", "compound", "reference",
    "enumeration", "variable-length", "array", "complex",
)  # fmt: skip
# IEEE float16 and float32, little-endian, as a type message describes them (IV.A.2.d): where
# the sign is, then offset and precision in bits, place and size of exponent and mantissa, bias.
IEEE: dict[bytes, np.dtype[np.floating]] = {
    bytes.fromhex("200f00 02000000 0000 1000 0a 05 00 0a 0f000000"): np.dtype("<f2"),
    bytes.fromhex("201f00 04000000 0000 2000 17 08 00 17 7f000000"): np.dtype("<f4"),
}
DOUBLE: dict[bytes, np.dtype[np.floating]] = {
    bytes.fromhex("203f00 08000000 0000 4000 34 0b 00 34 ff030000"): np.dtype("<f8"),
}
GZIP = 1
FILTER_NAMES = {2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scale-offset"}


@dataclass(frozen=True)
class Type:
    """Type of one value: its class, its size in bytes, and the bits that say the rest."""

    kind: int
    size: int
    bits: int
    dtype: np.dtype[np.floating] | None = None  # of floats that NumPy can read in place

    def __str__(self) -> str:
        name = TYPE_NAMES[self.kind] if self.kind < len(TYPE_NAMES) else f"class {self.kind}"
        if self.dtype is not None:
            return self.dtype.name
        if self.kind == VARIABLE and self.bits & 0xF == 1:
            name = "variable-length string"
        order = "big-endian " if self.kind in (INTEGER, FLOAT) and self.bits & 1 else ""
        return f"{order}{name} of {self.size} bytes"


@dataclass(frozen=True)
class Chunk:
    """One compressed or plain box of values, somewhere in the file."""

    place: tuple[int, ...]  # index of its first value
    offset: int
    size: int
    gzipped: bool


@dataclass(frozen=True)
class Dataset:
    """What a dataset declares; where it lies has been found to be inside the file.

    Attributes
    ----------
    type : Type
        Type of a value.
    shape : tuple
        Lengths of the axes.
    offset : int or None
        Where contiguous data start; None for chunks.
    stored : int
        Bytes that it takes in the file.
    chunks : tuple of Chunk
        Where the data lie that are not contiguous.
    chunk_shape : tuple
        Lengths of the axes of a chunk.
    """

    type: Type
    shape: tuple[int, ...]
    offset: int | None
    stored: int
    chunks: tuple[Chunk, ...] = ()
    chunk_shape: tuple[int, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of all values, uncompressed."""
        return math.prod(self.shape) * self.type.size

    @property
    def places(self) -> list[tuple[int, int]]:
        """Where the data lie: offset and size of each piece, in bytes."""
        if self.offset is not None:
            return [(self.offset, self.stored)]
        return [(chunk.offset, chunk.size) for chunk in self.chunks]


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


@dataclass(frozen=True)
class Value:
    """The value of an attribute: type, shape, bytes."""

    type: Type
    shape: tuple[int, ...]
    raw: bytes


class File:
    """An HDF5 file in memory, or mapped into it.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.
    double : bool
        Whether float64 datasets can be read too; decaf's own files have none.

    Raises
    ------
    WeightsError
        Here and in all methods: for whatever is damaged, cut off or not supported.
    """

    def __init__(self, data: Buffer, *, double: bool = False) -> None:
        self.data = data
        self._floats = IEEE | DOUBLE if double else IEEE
        self._items = 0
        self._heaps: dict[int, dict[int, tuple[int, int]]] = {}
        if data[: len(SIGNATURE)] != SIGNATURE:
            advice = "(decaf convert reads files of other programs)"
            refuse("the file", "HDF5, with its signature in front", f"{bytes(data[:8])!r} {advice}")
        self.root = self._superblock()

    def node(self, address: int) -> Node:
        """Read the object header at an address."""
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
        if dataset.offset is not None:
            count = math.prod(dataset.shape)
            flat = np.frombuffer(self.data, dtype, count, dataset.offset)
            return flat.reshape(dataset.shape)
        values = np.empty(dataset.shape, dtype)
        for chunk in dataset.chunks:
            box = np.frombuffer(self._unpack(dataset, chunk), dtype).reshape(dataset.chunk_shape)
            ends = (p + s for p, s in zip(chunk.place, box.shape, strict=True))
            target = values[tuple(map(slice, chunk.place, ends))]
            target[...] = box[tuple(map(slice, target.shape))]  # the last ones stick out
        values.flags.writeable = False
        return values

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
        if self._items > MOST_ITEMS:
            refuse("the file", f"of at most {MOST_ITEMS:,} links, messages and chunks", "more")

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
                self._count()
                kind, length, flags = block.uint(1 if new else 2), block.uint(2), block.uint(1)
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
        name = parts[0].partition(b"\0")[0].decode(errors="backslashreplace")
        if name in attributes:
            refuse("attributes", "of different names", f"{name[:50]!r} twice")
        try:
            kind, shape = _type(parts[1]), _shape(parts[2])
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
        kind, shape = _type(messages[DATATYPE], self._floats), _shape(messages[DATASPACE])
        filters = _filters(messages.get(FILTERS))
        body = messages[LAYOUT]
        layout = Cursor(body, 0, len(body))
        version = layout.expect(what="layout", version=(3, 4, 5))
        place = layout.uint(1)
        if place == 1:
            return self._contiguous_layout(layout, kind, shape)
        if place == 2 and version == 3:
            return self._chunked_layout(layout, kind, shape, bool(filters))
        names = {0: "data inside the header", 2: "chunks of a newer kind", 3: "virtual data"}
        got = names.get(place, f"layout {place}")
        refuse("data", 'contiguous, or in chunks as libver="earliest" writes them', got)

    def _contiguous_layout(self, layout: Cursor, kind: Type, shape: tuple[int, ...]) -> Dataset:
        offset, stored = layout.uint(8), layout.uint(8)
        dataset = Dataset(kind, shape, offset, stored)
        if offset == NOWHERE:
            refuse("data", f"{dataset.nbytes:,} bytes in the file", "none")
        # Beside an axis of 0, the others could be of any length.
        if not all(1 <= axis <= len(self.data) for axis in shape):
            refuse("the axes", f"1 to {len(self.data):,} long", f"shape {shape}")
        if stored != dataset.nbytes:
            refuse("stored data", f"{dataset.nbytes:,} bytes for shape {shape}", f"{stored:,}")
        Cursor(self.data, offset, stored)
        return dataset

    def _chunked_layout(
        self, layout: Cursor, kind: Type, shape: tuple[int, ...], filtered: bool
    ) -> Dataset:
        axes = layout.uint(1) - 1  # the last one counted is the size of a value
        tree = layout.uint(8)
        chunk_shape = [layout.uint(4) for _ in range(axes)]
        if axes < 1 or axes != len(shape) or layout.uint(4) != kind.size:
            refuse("chunks", f"of {len(shape)} axes and values of {kind}", f"{axes} axes")
        if not all(0 < c <= s for c, s in zip(chunk_shape, shape, strict=True)):
            refuse("chunks", f"no larger than the data, {shape}", tuple(chunk_shape))
        expected = math.prod(-(-s // c) for s, c in zip(shape, chunk_shape, strict=True))
        chunks: dict[tuple[int, ...], Chunk] = {}
        for key, offset in self._tree(tree, 1, 8 + 8 * (axes + 1)) if tree != NOWHERE else ():
            part = Cursor(key, 0, len(key))
            stored, skipped = part.uint(4), part.uint(4)
            place = tuple(part.uint(8) for _ in range(axes))
            Cursor(self.data, offset, stored)
            chunks[place] = Chunk(place, offset, stored, filtered and not skipped & 1)
        right = all(
            p % c == 0 and p < s
            for place in chunks
            for p, c, s in zip(place, chunk_shape, shape, strict=True)
        )
        if len(chunks) != expected or not right:
            refuse("chunks", f"{expected:,} that cover {shape}", f"{len(chunks):,}")
        stored = sum(chunk.size for chunk in chunks.values())
        dataset = Dataset(kind, shape, None, stored, tuple(chunks.values()), tuple(chunk_shape))
        largest = LARGEST_RATIO * stored if filtered else stored
        if dataset.nbytes > largest:
            refuse("data", f"at most {largest:,} bytes from {stored:,} stored", dataset.nbytes)
        return dataset

    def _contiguous(self, dataset: Dataset) -> bytes:
        if dataset.offset is None:
            refuse("strings", "contiguous", "chunks")
        return self.data[dataset.offset : dataset.offset + dataset.stored]

    def _unpack(self, dataset: Dataset, chunk: Chunk) -> bytes:
        raw = self.data[chunk.offset : chunk.offset + chunk.size]
        size = math.prod(dataset.chunk_shape) * dataset.type.size
        if chunk.gzipped:
            try:
                raw = zlib.decompressobj().decompress(raw, size + 1)
            except zlib.error as error:
                raise WeightsError(f"chunks must be intact; got {error}") from error
        if len(raw) != size:
            refuse("a chunk", f"{size:,} bytes", f"{len(raw):,}")
        return raw


def text_cost(encoded: bytes) -> int:
    """Bytes of memory that a string may take, given its UTF-8."""
    return STRING_COST + len(encoded) * (1 if encoded.isascii() else WIDEST)


def _strip(text: bytes, padding: int) -> bytes:
    """Take off what fills a string up to its length."""
    if padding == 0:
        return text.partition(b"\0")[0]
    return text.rstrip(b" " if padding == 2 else b"\0")


def _type(body: bytes, floats: dict[bytes, np.dtype[np.floating]] = IEEE) -> Type:
    """Read a type (IV.A.2.d); `floats` are those that may be read."""
    message = Cursor(body, 0, len(body))
    kind = message.uint(1) & 0xF
    bits, size = message.uint(3), message.uint(4)
    return Type(kind, size, bits, floats.get(body[1:20]) if kind == FLOAT else None)


def _shape(body: bytes) -> tuple[int, ...]:
    """Read a shape (IV.A.2.b)."""
    message = Cursor(body, 0, len(body))
    version = message.expect(what="shape", version=(1, 2))
    axes, _, kind = message.uint(1), message.uint(1), message.uint(1)
    if axes > MOST_DIMENSIONS:
        refuse("a shape", f"at most {MOST_DIMENSIONS} axes", axes)
    if version == 2 and kind == 2:
        refuse("a shape", "one that holds values", "the null shape")
    message.take(4 if version == 1 else 0)
    return tuple(message.uint(8) for _ in range(axes))


def _filters(body: bytes | None) -> tuple[int, ...]:
    """Read the numbers of the filters (IV.A.2.l), of which only gzip is known."""
    if body is None:
        return ()
    message = Cursor(body, 0, len(body))
    version = message.expect(what="filters", version=(1, 2))
    count = message.uint(1)
    message.take(6 if version == 1 else 0)
    numbers: list[int] = []
    for _ in range(count):
        number = message.uint(2)
        if number != GZIP or numbers:
            refuse("filters", "none, or gzip once", FILTER_NAMES.get(number, f"filter {number}"))
        numbers.append(number)
        name_size = message.uint(2) if version == 1 else 0
        message.take(2)
        options = message.uint(2)
        message.take(name_size + 4 * options + (4 * (options % 2) if version == 1 else 0))
    return tuple(numbers)


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
