"""Which program wrote a file: told by what is in it, not by its name.

==================  =======================================================================
format              how it is recognised
==================  =======================================================================
torch               a ZIP archive with a member ``data.pkl``; a pickle; a tar archive
npz                 a ZIP archive with a member ``….npy``
caffe-h5            HDF5 with a group ``data``
decaf               HDF5 with an attribute ``format`` and a group ``parameters``
safetensors         a length, then a JSON dictionary
onnx                protocol buffers: a version as field 1, a graph as field 7
caffe               protocol buffers: layers as field 100, or 2 before 2014
deep-compression    the suffix ``.net``: such a file is nothing but numbers
==================  =======================================================================

Nothing here decides whether a file is sound; that is for its reader.  What people often have in
place of weights (a web page, a pointer of Git LFS, a network of another program) gets a message
that says what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from decaf.cursor import Buffer, Cursor
from decaf.errors import WeightsError
from decaf.formats import zip as archive
from decaf.formats.protobuf import BYTES, VARINT, varint
from decaf.hdf5 import File

FORMATS = ("torch", "caffe", "caffe-h5", "deep-compression", "onnx", "safetensors", "npz", "decaf")
SUFFIXES = {  # of damaged files, of which the contents say nothing
    ".caffemodel": "caffe",
    ".onnx": "onnx",
    ".net": "deep-compression",
    ".safetensors": "safetensors",
}
HDF5 = b"\x89HDF\r\n\x1a\n"
STRANGERS = (  # (first bytes, what they are)
    (b"version https://git-lfs", "a pointer of Git LFS: fetch the file itself with `git lfs pull`"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"BZh", "a bzip2 archive: unpack it first"),
    (b"\xfd7zXZ\0", "an xz archive: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it first"),
    (b"\x93NUMPY", "one array of NumPy: weights are a .npz, and a mean is given as such"),
    (b"MATLAB 5.0", "a file of MATLAB"),
    (b"\x89PNG\r\n", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
)
# "<" is 60: a .caffemodel whose net has a name of 60 characters starts with a newline and that.
XML = re.compile(rb"\s*(\xef\xbb\xbf)?\s*<[A-Za-z!?]")
CONTROLS = bytes({*range(32)} - {*b"\t\n\f\r"})  # what no text has, in whatever encoding
LOOKED_AT = 1000  # bytes of a text, and fields of a protocol buffer


def detect(data: Buffer, suffix: str) -> str:
    """Return the format of a file, one of ``FORMATS``.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.
    suffix : str
        The end of its name, such as ``.pth``; asked only where the contents say nothing.

    Raises
    ------
    WeightsError
        If it is none of them; the message says what it is where that is known.
    """
    start, suffix = bytes(data[:LOOKED_AT]), suffix.lower()
    if not start:
        raise WeightsError("must be a weights file; got an empty one")
    for signature, what in STRANGERS:
        if start.startswith(signature):
            raise WeightsError(f"must be a weights file; got {what}")
    if start[4:8] == b"TFL3":
        raise WeightsError("must be a weights file of a kind that decaf reads; got TensorFlow Lite")
    if start.startswith(HDF5):
        return _hdf5(data)
    header = int.from_bytes(start[:8], "little")  # of safetensors: any bytes, also "PK" and 80 02
    if start[8:9] == b"{" and (2 <= header <= len(data) - 8 or suffix == ".safetensors"):
        return "safetensors"
    if start.startswith(b"PK"):
        return _zip(data)
    if start[257:262] == b"ustar":
        return "torch"
    if start[0] == 0x80 and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "torch"
    _refuse_text(start)
    found = SUFFIXES.get(suffix) if suffix == ".net" else _protobuf(data) or SUFFIXES.get(suffix)
    if found is None:
        raise WeightsError(
            "must be a weights file of torch, Caffe, ONNX, safetensors or NumPy; its first bytes, "
            f"{start[:8]!r}, are of none of them"
        )
    return found


def _hdf5(data: Buffer) -> str:
    try:
        file = File(data)
        root = file.node(file.root)
    except WeightsError as error:
        raise WeightsError(f"must be an HDF5 file that is whole; {error}") from error
    links = root.links or {}
    if "format" in root.attributes and "parameters" in links:
        return "decaf"
    if "data" in links:
        return "caffe-h5"
    if {"model_weights", "layer_names", "keras_version"} & (links.keys() | root.attributes):
        raise WeightsError("must be of a kind that decaf reads; got a network of Keras")
    members = ", ".join(sorted(links))[:100] or "nothing"
    raise WeightsError(f"must hold the group data, as Caffe's HDF5 files do; got {members}")


def _zip(data: Buffer) -> str:
    try:
        names = archive.entries(data)
    except WeightsError as error:
        raise WeightsError(f"must be a ZIP archive that is whole; {error}") from error
    if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        return "torch"
    if any(name.endswith(".npy") for name in names):
        return "npz"
    if "model.weights.h5" in names:
        raise WeightsError("must be of a kind that decaf reads; got a network of Keras")
    first = ", ".join(islice(names, 3))[:100] or "nothing"
    raise WeightsError(f"must be a ZIP archive of torch or of NumPy; this one holds {first}")


def _refuse_text(start: bytes) -> None:
    """Refuse what people can read: no weights file is text."""
    if XML.match(start) and not set(start).intersection(CONTROLS):
        raise WeightsError(
            "must be a weights file; got a web page or other XML: download the file itself"
        )
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # else the last character was cut in two
            return
        text = start[: error.start].decode()
    if not text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable():
        return
    if any(word in text for word in ("layer {", "layers {", "input_dim:", "layer{", "layers{")):
        raise WeightsError(
            "must be a weights file; got the description of a network, which goes with one: "
            "name the .caffemodel, and this as its prototxt (--prototxt)"
        )
    raise WeightsError(f"must be a weights file; got text, {text[:40]!r}")


def _protobuf(data: Buffer) -> str | None:
    """Tell ONNX and Caffe from each other by the fields of the outermost message."""
    fields = list(islice(_fields(data), LOOKED_AT))
    if not fields or fields[0] not in ((1, VARINT), (1, BYTES), (2, BYTES), (100, BYTES)):
        return None
    if fields[0] == (1, VARINT):
        if (7, BYTES) in fields:
            return "onnx"
        if fields[1:4] == [(2, VARINT), (3, VARINT), (4, VARINT)]:
            raise WeightsError(
                "must be a weights file; got a mean of Caffe: give it as the mean (--mean)"
            )
        return None
    if fields[:2] == [(1, BYTES), (1, BYTES)]:
        raise WeightsError("must be of a kind that decaf reads; got a network of TensorFlow")
    return "caffe" if (2, BYTES) in fields or (100, BYTES) in fields else None


def _fields(data: Buffer) -> Iterator[tuple[int, int]]:
    """Number and wire type of each field, up to the first that is damaged."""
    cursor = Cursor(data)
    try:
        while cursor.left:
            number, wire = divmod(varint(cursor), 8)
            yield number, wire
            if wire == VARINT:
                varint(cursor)
            elif wire == BYTES:
                cursor.skip(varint(cursor))
            else:
                cursor.skip({1: 8, 5: 4}.get(wire, -1))
    except WeightsError:
        return
