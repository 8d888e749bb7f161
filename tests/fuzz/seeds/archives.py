"""ZIP and tar archives from members, and ZIP archives that were built to harm."""

from __future__ import annotations

import io
import struct
import tarfile
import warnings
import zipfile


def zipped(made: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names twice
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, data in made.items():
                archive.writestr(zipfile.ZipInfo(name.replace("\0", "?")[:1000]), data, method)
    return buffer.getvalue()


def tarred(made: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in made.items():
            info = tarfile.TarInfo(name.replace("\0", "?")[:90].encode("ascii", "replace").decode())
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def many_members(count: int) -> bytes:
    """An archive of empty members, with as little around each as there can be; zip64."""
    front, records = bytearray(), bytearray()
    for i in range(count):
        name, version = b"%05x" % i, (20, 0, 0, 0, 0)
        records += struct.pack("<4s2B5H3L5H2L", b"PK\1\2", 20, 0, *version, 0, 0, 0, len(name),
                               0, 0, 0, 0, 0, len(front)) + name  # fmt: skip
        front += struct.pack("<4s5H3L2H", b"PK\3\4", *version, 0, 0, 0, len(name), 0) + name
    end = len(front) + len(records)
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 20, 20, 0, 0, count, count, len(records),
                       len(front))  # fmt: skip
    pointer = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *(0xFFFF,) * 2, *(2**32 - 1,) * 2, 0)
    return bytes(front + records) + wide + pointer + tail


def hostile_zip(name: str, member: bytes) -> dict[str, bytes]:
    """Archives with a member of this name and these contents, and what is wrong with them."""
    plain = zipped({name: member, "b": b"b" * 100})
    directory = plain.index(b"PK\1\2")
    second = plain.index(b"PK\1\2", directory + 1)
    end = plain.index(b"PK\5\6")
    local = plain.index(b"PK\3\4", 1)

    def entries(count: int, records: bytes, front: bytes = plain[:directory]) -> bytes:
        tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count % 2**16, count % 2**16,
                           len(records), len(front), 0)  # fmt: skip
        return front + records + tail

    first = bytearray(plain[directory:second])
    moved = bytearray(plain[second:end])
    moved[42:46] = bytes(4)  # the second member where the first is
    bomb = zipped({name: bytes(60 << 20)}, zipfile.ZIP_DEFLATED)
    big = bytearray(bomb)
    for at in (22, bomb.index(b"PK\1\2") + 24):
        big[at : at + 4] = (2**32 - 2).to_bytes(4, "little")
    liar = bytearray(bomb)
    for at in (22, bomb.index(b"PK\1\2") + 24):
        liar[at : at + 4] = (1000).to_bytes(4, "little")
    return {
        "a bomb of 60 MB": bomb,
        "a bomb that claims 4 GB": bytes(big),
        "a bomb that claims 1,000 bytes": bytes(liar),
        "a bomb in a bomb": zipped({name: bomb}, zipfile.ZIP_DEFLATED),
        "thirty bombs": zipped(
            {f"{i}{name}": bytes(4 << 20) for i in range(30)}, zipfile.ZIP_DEFLATED
        ),
        "two members in one place": entries(2, bytes(first + moved)),
        "one record 2,000 times": entries(2000, bytes(first) * 2000),
        "65,535 records of none": entries(65_535, b""),
        "two members of one name": entries(2, bytes(first) * 2),
        "many members": zipped({f"{i}{name}": b"" for i in range(1500)}),
        "100,001 members of nothing": many_members(100_001),
        "30,000 members of nothing": many_members(30_000),
        "the directory inside a member": plain[:directory] + plain,
        "a member inside the directory": plain[:local] + plain[directory:],
        "an end record only": plain[end:],
        "the end record 5,000 times": plain[end:] * 5000,
        "a path upwards": zipped({f"../{name}": member}),
        "an empty name": zipped({"": member}),
    }
