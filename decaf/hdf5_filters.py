"""What HDF5 did to a chunk before it was stored, undone: gzip, or a Fletcher32 checksum.

A dataset in chunks may name *filters*, through which each chunk went on its way to the disk, and
goes back in the opposite order.  Read are files with one: gzip in weights files, Fletcher32 in
feature files, where it takes the place of the checksum that HDF5 otherwise has not.

Fletcher32 takes the chunk as n big-endian words of 16 bits, w[0] ... w[n-1], the last one filled
up with a zero byte, and stores the two sums

    sum1 = w[0] + w[1] + ... + w[n-1]              modulo 65,535
    sum2 = n w[0] + (n-1) w[1] + ... + w[n-1]      modulo 65,535

behind the chunk, little-endian, as sum2 * 65,536 + sum1.  A sum that is a multiple of 65,535 is
0 where all words are 0, else 65,535: the additions carry around, and never come back to 0.  It
notices every flipped bit and every run of up to 15 damaged bits, and nearly all else: but words
of 0 and of 65,535 count the same.

Sources: ``H5Zfletcher32.c`` and ``H5checksum.c`` of HDF5; J. G. Fletcher, "An Arithmetic Checksum
for Serial Transmissions" (1982).  The format of the message: "HDF5 File Format Specification
Version 3.0", IV.A.2.l.
"""

from __future__ import annotations

import zlib

import numpy as np

from decaf.cursor import Cursor
from decaf.errors import WeightsError
from decaf.messages import refuse

GZIP, FLETCHER32 = 1, 3
NAMES = {
    1: "gzip",
    2: "shuffle",
    3: "fletcher32",
    4: "szip",
    5: "nbit",
    6: "scale-offset",
}
SUM_SIZE = 4  # bytes of a checksum
MODULUS = 2**16 - 1
IN_A_ROW = 4096  # words that are summed at a time


def read_filters(body: bytes | None, known: int) -> int:
    """Read a message of filters: 0 for none, else `known`, the only one that may be there."""
    if body is None:
        return 0
    message = Cursor(body, 0, len(body))
    version = message.expect(what="filters", version=(1, 2))
    count = message.uint(1)
    message.take(6 if version == 1 else 0)
    found = 0
    for _ in range(count):
        number = message.uint(2)
        if number != known or found:
            got = NAMES.get(number, f"filter {number}")
            refuse("filters", f"none, or {NAMES[known]} once", got)
        found = number
        name_size = message.uint(2) if version == 1 else 0
        message.take(2)
        options = message.uint(2)
        message.take(name_size + 4 * options + (4 * (options % 2) if version == 1 else 0))
    return found


def undo(raw: bytes, number: int, size: int) -> bytes:
    """Take a filter back from a chunk of `size` bytes; a wrong length is left to the caller.

    Raises
    ------
    WeightsError
        If the chunk is damaged.
    """
    if number == GZIP:
        try:
            return zlib.decompressobj().decompress(raw, size + 1)
        except zlib.error as error:
            raise WeightsError(f"chunks must be intact; got {error}") from error
    if number == FLETCHER32 and len(raw) == size + SUM_SIZE:
        stored, found = int.from_bytes(raw[size:], "little"), fletcher32(memoryview(raw)[:size])
        # HDF5 1.6.2 on little-endian machines took the bytes of each word for the other way
        # round; the library reads such files to this day.
        swapped = (found & 0x00FF00FF) << 8 | (found >> 8) & 0x00FF00FF
        if stored not in (found, swapped):
            refuse("chunks", f"intact, with a checksum of {found:08x}", f"{stored:08x}")
        return raw[:size]
    return raw


def fletcher32(data: bytes | memoryview) -> int:
    """Return the checksum of some bytes, as HDF5's ``H5_checksum_fletcher32`` does."""
    if len(data) % 2:
        data = bytes(data) + b"\0"
    words = np.frombuffer(data, "<u2")
    if not words.any():
        return 0
    sum1 = sum2 = 0
    whole = words.size // IN_A_ROW * IN_A_ROW
    for part in (words[:whole].reshape(-1, IN_A_ROW), words[whole:].reshape(1, -1)):
        # Word c of row r stands r * width + c words behind the first, and counts as often as
        # there are words from it to the end.  So the sums of rows and columns are enough.
        rows, width = part.shape
        by_row = part.sum(axis=1, dtype=np.uint64) % MODULUS
        by_column = part.sum(axis=0, dtype=np.uint64) % MODULUS
        total = int(by_row.sum()) % MODULUS
        at_start = np.arange(rows, 0, -1, dtype=np.uint64) * np.uint64(width) % MODULUS
        ahead = int((at_start * by_row % MODULUS).sum())
        ahead -= int((np.arange(width, dtype=np.uint64) * by_column % MODULUS).sum())
        sum2 += rows * width * sum1 + ahead  # what came before counts once more for each word
        sum1 += total
    # Bytes in the other order are 256 times as much, since 256 * 256 is 1 modulo 65,535.
    sum1, sum2 = (256 * each % MODULUS or MODULUS for each in (sum1, sum2))
    return sum2 << 16 | sum1
