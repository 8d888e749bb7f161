"""Protocol buffers by field numbers, without a schema: damaged ones follow none."""

from __future__ import annotations

from formats import wire


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return wire.field(number, 0, wire.varint(value))
    return wire.field(number, 2, value)


def message(*fields: tuple[int, int | bytes]) -> bytes:
    return b"".join(field(number, value) for number, value in fields)


def nested(number: int, depth: int) -> bytes:
    """A field inside a field, from the inside out; at most 200 KB."""
    data = b""
    for _ in range(depth):
        data = field(number, data)
        if len(data) > 200_000:
            break
    return data
