r"""Protocol buffers as they lie in a file: numbered fields, one after the other.

A message is a sequence of fields.  Each begins with a varint (seven bits a byte, the lowest
first; the top bit says that more follow) that holds ``number << 3 | wire type``::

    0  varint                 ints, bools, enums
    1  8 bytes                doubles
    2  varint length, bytes   strings, messages, and *packed* runs of numbers
    5  4 bytes                floats

The bytes do not say what a field is called; a schema does.  Fields that the schema does not
have are passed over.  A field may stand several times; every reader of a field that should
stand once takes the last.

    >>> decode(b"\x0a\x05conv1\x12\x08\x00\x00\x80\x3f\x00\x00\x00\x40", {1: ("name", "string"),
    ...     2: ("data", "floats")})
    {'name': ['conv1'], 'data': [array([1., 2.], dtype=float32)]}

Source: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decaf.cursor import Buffer, Cursor
from decaf.errors import WeightsError

Message: TypeAlias = dict[str, list[Any]]  # name of a field -> its values, in the file's order
# Number of a field -> (name, kind).  A kind is "int", "bool", "float" or "string", which give
# Python values; "floats" or "doubles", which give arrays, one a run of values; a dict from
# int to str, an enum, which gives names; or the schema of a nested message.
Schema: TypeAlias = "dict[int, tuple[str, Any]]"

DEEPEST = 16  # messages within messages
MOST_FIELDS = 100_000  # runs of numbers count as one; the largest published nets have 10,000
MESSAGE_COST = 4  # further fields that a message counts for: it is a dictionary of its own
LONGEST_LOOK = 2**20  # numbers of a run, at a time
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
FIXED = {FIXED64: "<f8", FIXED32: "<f4"}
ARRAYS = {"floats": ("<f4", FIXED32), "doubles": ("<f8", FIXED64)}


class Enum(dict[int, str]):
    """Names of numbers; a kind in a schema."""


def decode(data: Buffer, schema: Schema) -> Message:
    """Read one message, and all that it holds, without recursion.

    Parameters
    ----------
    data : bytes or mmap
    schema : dict
        ``{number: (name, kind)}``; see `Schema`.

    Returns
    -------
    dict
        Lists of values by name; only fields that the file has.  Arrays are views of `data`.

    Raises
    ------
    WeightsError
        For bytes that are no such message: what sticks out of the file or of the message that
        holds it, groups (wire types 3 and 4, long out of use), a wire type that does not go
        with the kind, more than 100,000 fields, more than 16 levels.
    """
    result: Message = {}
    open_messages: list[tuple[Cursor, Schema, Message]] = [(Cursor(data), schema, result)]
    fields = 0
    while open_messages:
        cursor, schema, message = open_messages[-1]
        if not cursor.left:
            open_messages.pop()
            continue
        fields += 1
        if fields > MOST_FIELDS:
            raise WeightsError(
                f"a protobuf file must be reasonable; expected at most {MOST_FIELDS:,} fields"
            )
        start = cursor.at
        number, wire = divmod(varint(cursor), 8)
        name, kind = schema.get(number, (f"field {number}", None))
        if wire == VARINT:
            value = varint(cursor)
            if kind is not None:
                message.setdefault(name, []).append(_integer(name, kind, value, start))
        elif wire in FIXED:
            run = _run(cursor, start, wire)
            if kind is not None:
                fields += _numbers(message, name, kind, wire, run, start)
        elif wire == BYTES:
            size = varint(cursor)
            part = Cursor(data, cursor.skip(size), size)
            if type(kind) is dict:  # a message
                if len(open_messages) == DEEPEST:
                    raise WeightsError(
                        f"{name} at byte {start:,}: messages must nest at most {DEEPEST} deep"
                    )
                fields += MESSAGE_COST
                inner: Message = {}
                message.setdefault(name, []).append(inner)
                open_messages.append((part, kind, inner))
            elif kind is not None:
                fields += _packed(message, name, kind, part, start, MOST_FIELDS - fields)
        else:
            raise WeightsError(
                f"{name} at byte {start:,}: the wire type must be 0, 1, 2 or 5; got {wire}"
            )
    return result


def varint(cursor: Cursor) -> int:
    """Read a varint: at most 64 bits, in at most ten bytes."""
    value = 0
    for shift in range(0, 70, 7):
        byte = cursor.uint(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1)
    raise WeightsError(f"a varint must end within ten bytes; got more before byte {cursor.at:,}")


def _integer(name: str, kind: Any, value: int, start: int) -> int | bool | str:
    """What a varint means."""
    if kind == "bool":
        return value != 0
    if value >= 2**63:
        value -= 2**64  # negative numbers are stored as two's complement
    if kind == "int":
        return value
    if isinstance(kind, Enum):
        return kind.get(value, str(value))
    raise _unfit(name, kind, VARINT, start)


def _run(cursor: Cursor, start: int, wire: int) -> NDArray[Any]:
    """Read a number of fixed size, and all that follow with the same tag: a strided view.

    Unpacked, a convolution is a million fields of five bytes: too many for a loop in Python.
    """
    tag, value = cursor.data[start : cursor.at], np.dtype(FIXED[wire])
    # A record: the tag, then the number, with nothing in between.
    size = len(tag) + value.itemsize
    following = start + size
    if following + size > cursor.end or cursor.data[following : following + len(tag)] != tag:
        return np.frombuffer(cursor.data, value, 1, cursor.skip(value.itemsize))
    record = np.dtype([("tag", "u1", (len(tag),)), ("value", value)])
    most = (cursor.end - start) // size
    count, chunk = 1, 1
    while count < most:  # look twice as far each time: linear, however short the run
        chunk = min(2 * chunk, most - count, LONGEST_LOOK)
        ahead = np.frombuffer(cursor.data, record, chunk, start + count * size)
        same = (ahead["tag"] == np.frombuffer(tag, np.uint8)).all(axis=1)
        if not same.all():
            count += int(same.argmin())
            break
        count += chunk
    cursor.skip(count * size - len(tag))
    run: NDArray[Any] = np.frombuffer(cursor.data, record, count, start)["value"]
    return run


def _numbers(
    message: Message, name: str, kind: Any, wire: int, run: NDArray[Any], start: int
) -> int:
    """Add a run of floats or doubles; return how many Python objects that made."""
    values = message.setdefault(name, [])
    if isinstance(kind, str) and kind in ARRAYS and ARRAYS[kind][1] == wire:
        values.append(run)
        return 0
    if kind != "float" or wire != FIXED32:
        raise _unfit(name, kind, wire, start)
    if len(run) > MOST_FIELDS:
        raise WeightsError(f"{name} at byte {start:,}: expected few values, got {len(run):,}")
    # The shortest decimal that gives this float32: 0.0001, as in a .prototxt.
    values += [float(str(value)) for value in run]
    return len(run)


def _packed(message: Message, name: str, kind: Any, part: Cursor, start: int, most: int) -> int:
    """Add the content of a field of bytes; return how many Python objects that made."""
    values = message.setdefault(name, [])
    if kind == "string":
        try:
            values.append(part.take(part.left).decode())
        except UnicodeDecodeError:
            raise WeightsError(f"{name} at byte {start:,}: a string must be UTF-8") from None
        return 0
    if kind == "bytes":
        values.append(np.frombuffer(part.data, np.uint8, part.left, part.at))
        return 0
    if kind in ("floats", "doubles", "float"):
        dtype, wire = ARRAYS["doubles" if kind == "doubles" else "floats"]
        count, rest = divmod(part.left, np.dtype(dtype).itemsize)
        if rest:
            raise WeightsError(
                f"{name} at byte {start:,}: a packed run must be of whole numbers of "
                f"{np.dtype(dtype).itemsize} bytes; got {part.left:,} bytes"
            )
        run = np.frombuffer(part.data, dtype, count, part.at)
        return _numbers(message, name, kind, wire, run, start)
    if kind not in ("int", "bool") and not isinstance(kind, Enum):
        raise _unfit(name, kind, BYTES, start)
    before = len(values)
    while part.left:
        if len(values) - before > most:
            raise WeightsError(f"{name} at byte {start:,}: expected few values, got {most:,}")
        values.append(_integer(name, kind, varint(part), start))
    return len(values) - before


def _unfit(name: str, kind: Any, wire: int, start: int) -> WeightsError:
    what = "enum" if isinstance(kind, Enum) else "message" if isinstance(kind, dict) else kind
    return WeightsError(
        f"{name} at byte {start:,}: the wire type must go with the kind; expected that of "
        f"{what}, got {wire}"
    )
