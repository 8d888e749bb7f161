"""What is fuzzed: one entry a format, with its reader, its seeds, and what a result must be."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fuzz import photos, seeds
from fuzz.mutate import Seed
from fuzz.seeds.network import ARCHITECTURE

from decaf.errors import DecafError, FeaturesError, WeightsError
from decaf.features.contents import Features
from decaf.weights import Weights, _parse

FREE = 64 << 20  # bytes that a reader may need for any file


@dataclasses.dataclass(frozen=True)
class Target:
    """A reader and what is thrown at it.

    Attributes
    ----------
    name : str
    read : Callable
        Bytes of a file -> what is in it, or a DecafError.
    seeds : sequence of Seed
        Valid files: if one is refused there is nothing to measure, and the run ends.
    words : sequence of bytes
        What the format is made of: signatures, keywords.
    hostile : Mapping
        Files that were built to harm, by a name that says how.
    late : sequence of str
        Modules that the reader imports while it works.
    refusals, accepted : int
        So many places in the code that refuse, and so many mutants in a thousand that are still
        valid, must occur in a full run: a reader that refuses everything at its first byte
        passes otherwise.
    """

    name: str
    read: Callable[[bytes], Any]
    seeds: Sequence[Seed]
    words: Sequence[bytes] = ()
    hostile: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    late: Sequence[str] = ()
    refusals: int = 8
    accepted: int = 10


def bound(size: int) -> int:
    """Bytes of memory that reading a file of `size` bytes may take."""
    return 2 * size + FREE


def either(*readers: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Read with each; what the last one says counts, but nothing may go wrong in the others."""

    def read(data: bytes) -> Any:
        found = []
        for reader in readers:
            try:
                found.append(reader(data))
            except DecafError as error:
                last = error
        if not found:
            raise last
        return found

    return read


HDF5 = (
    b"\x89HDF\r\n\x1a\n", b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR", b"OCHK", b"parameters",
    b"data", b"conv1", b"weight", b"\0" * 8, b"\xff" * 8,
)  # fmt: skip


def weights() -> Target:
    return Target(
        "weights",
        lambda data: _parse(data, Path("fuzzed.h5"), widen=True),
        seeds.weights.valid(),
        HDF5,
        seeds.hdf5.hostile(),
        refusals=60,
    )


def caffe_h5() -> Target:
    from decaf.formats import caffe_h5

    return Target(
        "caffe_h5",
        lambda data: caffe_h5.read(data, seeds.prototxt.TEXT),
        seeds.caffe_h5.valid(),
        HDF5,
        seeds.hdf5.hostile(),
        refusals=30,
    )


def npz() -> Target:
    from decaf.formats import npz

    words = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", *NPY)
    return Target("npz", npz.tensors, seeds.npz.valid(), words, seeds.npz.hostile(), refusals=20)


NPY = (b"\x93NUMPY", b"descr", b"fortran_order", b"shape", b"'<f4'", b"'|O'", b"True", b"False")


def safetensors() -> Target:
    from decaf.formats import safetensors

    def read(data: bytes) -> Any:
        return safetensors.tensors(data), safetensors.metadata(data)

    words = (b"dtype", b"shape", b"data_offsets", b"__metadata__", b"F32", b"BF16", b"I64", b"F8")
    return Target(
        "safetensors", read, seeds.safetensors.valid(), words, seeds.safetensors.hostile()
    )


def caffemodel() -> Target:
    from decaf.formats import caffe

    read = either(lambda data: caffe.read(data, seeds.prototxt.TEXT), caffe.read)
    words = (b"Convolution", b"InnerProduct", b"Split", b"Concat", b"Python", b"conv1", b"data")
    return Target(
        "caffemodel", read, seeds.caffemodel.valid(), words, seeds.caffemodel.hostile(), refusals=15
    )


def prototxt() -> Target:
    from decaf.formats import caffe, caffe_topology, prototxt

    model = seeds.caffemodel.valid()[0].whole()

    def read(data: bytes) -> Any:
        found = caffe_topology.topology(prototxt.parse(data))
        assert found.architecture.layers
        try:
            return caffe.read(model, data)
        except WeightsError:
            return None  # another network than the model's

    words = (
        b"layer {", b"layers {", b"include { phase: TEST }", b'bottom: "data"', b'top: "data"',
        b"num_output: ", b"kernel_size: ", b"global_pooling: true", b"axis: ", b"dim: 1", b"Split",
        b"Concat", b"CONCAT", b"INNER_PRODUCT", b"shape {", b"input_shape { dim: 1 }", b"{", b"<",
    )  # fmt: skip
    return Target(
        "prototxt", read, seeds.prototxt.valid(), words, seeds.prototxt.hostile(), refusals=30
    )


def deep_compression() -> Target:
    from decaf.formats import deep_compression

    return Target(
        "deep_compression",
        lambda data: deep_compression.read(data, seeds.prototxt.TEXT),
        seeds.deep_compression.valid(),
        refusals=5,
    )


def means() -> Target:
    from decaf.formats import means

    return Target("means", means.read, seeds.means.valid(), NPY)


def pth() -> Target:
    from decaf.formats import pth, state_dict

    def read(data: bytes) -> Any:
        tensors = pth.tensors(data)
        try:
            return tensors, state_dict.recognise(tensors, ARCHITECTURE)
        except WeightsError:
            return tensors

    words = (
        b"PK\1\2", b"PK\3\4", b"PK\5\6", b"ustar", b"storage", b"ctorch\nFloatStorage\n", b"cpu",
        b"ccollections\nOrderedDict\n)R", b"ctorch._utils\n_rebuild_tensor_v2\n", b"\x80\2", b"Q",
    )  # fmt: skip
    return Target("pth", read, seeds.pth.valid(), words, seeds.pth.hostile(), refusals=50)


def state_dict() -> Target:
    """Names and shapes alone: the values are one zero, seen many times."""
    from decaf.formats import state_dict

    def read(data: bytes) -> Any:
        try:
            shapes = json.loads(data.decode())
            tensors = {
                name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()
            }
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise WeightsError("not a case") from error
        found = state_dict.recognise(tensors)
        return {"fits": found.parameters.keys() == found.architecture.parameter_shapes.keys()}

    words = (b"module.", b"features.0.weight", b"conv1.weight", b"fire2/expand1x1/weight", b"bias")
    return Target("state_dict", read, seeds.state_dict.valid(), words, refusals=3, accepted=2)


def onnx() -> Target:
    from decaf.formats import onnx
    from decaf.formats.notes import from_strings

    def read(data: bytes) -> Any:
        return onnx.read(data, from_strings(onnx.metadata(data)).architecture)

    words = (
        b"Conv", b"Gemm", b"MatMul", b"Reshape", b"Concat", b"Constant", b"If", b"pads", b"group",
    )  # fmt: skip
    return Target("onnx", read, seeds.onnx.valid(), words, seeds.onnx.hostile(), refusals=40)


def features_h5() -> Target:
    from decaf.features import file_h5

    return Target(
        "features_h5",
        lambda data: _whole(file_h5.read(data, "fuzzed.h5")),
        seeds.features.h5(),
        (*HDF5, b"relu6", b"fire9", b"paths", b"labels", b"failed", b"layers", b"info"),
        {**seeds.features.hostile_h5(), **seeds.hdf5.hostile()},
        refusals=50,
    )


def features_npz() -> Target:
    from decaf.features import file_npz

    words = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"'<U9'", b"paths", *NPY)
    return Target(
        "features_npz",
        lambda data: _whole(file_npz.read(data, "fuzzed.npz")),
        seeds.features.npz(),
        words,
        {**seeds.features.hostile_npz(), **seeds.npz.hostile()},
        refusals=20,
    )


def _whole(features: Features) -> Any:
    """Everything that a feature file holds, which is read when it is asked for."""
    texts = [*features.paths, *features.labels, *map(tuple, features.failed)]
    assert all(isinstance(text, (str, tuple)) for text in texts)
    rows = {layer: list(features.blocks(layer)) for layer in features.layers}
    for layer, width in features.layers.items():
        assert all(block.shape[1:] == (width,) for block in rows[layer])
        assert sum(map(len, rows[layer])) == len(features)
    return rows


def journal() -> Target:
    """What is whole in a journal, and its chunks."""
    from decaf.features import journal_records

    def read(data: bytes) -> Any:
        found = journal_records.scan(io.BytesIO(data), len(data))
        at, done, values = found.start, 0, []
        while at < found.end:
            start = at + journal_records.RECORD.size
            length = int.from_bytes(data[at : at + 8], "little")
            chunk = journal_records.decode(data[start : start + length], found.layers)
            assert chunk.first == done
            values.append(chunk.values)
            at, done = start + length, done + chunk.count
        assert (at, done) == (found.end, found.done)
        if len(data) > found.end:  # cut off by Journal.open; counts as refused
            raise FeaturesError("chunks must be whole") from found.wrong
        assert found.wrong is None
        return values

    return Target(
        "journal",
        read,
        seeds.features.journal(),
        (b"decaf-journal 1\n", b"first", b"count", b"failed", b"layers", b"header"),
        seeds.features.hostile_journal(),
        refusals=15,
    )


def index() -> Target:
    """What is in an index: names, vectors, who was removed."""
    from decaf.retrieval.index_contents import Contents

    def read(data: bytes) -> Any:
        found = Contents(data)
        blocks, names = list(found.blocks()), list(found.names())
        assert len(names) == found.count == len(found.alive)
        assert [found.name(number) for number in range(found.count)] == names
        left = [len(b.vectors) if b.alive is None else int(b.alive.sum()) for b in blocks]
        assert found.left == sum(left)
        for block in blocks:
            assert block.vectors.shape == (len(block.squares), found.parts, found.dimensions)
        arrays = found.arrays
        found.verify()
        return arrays, [(block.vectors, block.squares) for block in blocks]

    words = (
        b"decaf-index 1\n", b"what", b"base", b"rows", b"gone", b"info", b"levels", b"parts",
        b"dimensions", b"features", b"arrays", b"<f4", b"<f8", b"matrix", b"\0" * 8, b"\xff" * 8,
    )  # fmt: skip
    return Target("index", read, seeds.index.valid(), words, seeds.index.hostile(), refusals=20)


def photos_zip() -> Target:
    """Members do not overlap, and each unpacks to 1,100 times its bytes at most."""
    from decaf.features import zips

    def read(data: bytes) -> Any:
        together = zips.MOST_TIMES * len(data)
        return photos.read(data, "fuzzed.zip", min(zips.LARGEST, together), together)

    words = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"\x75\x70", b"\1\0", b"../")
    return Target(
        "photos_zip", read, seeds.photos_zip.valid(), words, seeds.photos_zip.hostile(), refusals=15
    )


def photos_tar() -> Target:
    """No member is larger than the archive; of links to it there may be one in each block."""

    def read(data: bytes) -> Any:
        return photos.read(data, "fuzzed.tar", len(data), len(data) * (len(data) // 512))

    words = (
        b"ustar\x0000", b"ustar  \0", b"././@LongLink\0", b"path=", b"size=", b"linkpath=",
        b"GNU.sparse.name=", b"20 path=", bytes(512), b"../", b"\x80", b"00000000000\0",
    )  # fmt: skip
    return Target(
        "photos_tar", read, seeds.photos_tar.valid(), words, seeds.photos_tar.hostile(), refusals=12
    )


def photos_list() -> Target:
    from decaf.features.listing import read_list

    def read(data: bytes) -> Any:
        found = read_list(io.BytesIO(data))
        for photo in found:
            assert photo.path and len(photo.path) <= 4096 and len(photo.label) <= 4096
            assert not {"\n", "\t", "\0"} & {*photo.path, *photo.label}
        return {"photos": len(found)}

    words = (
        b"\t", b"\t\t", b"\r\n", b"\n\t", b"\xef\xbb\xbf", b"\0", b".zip/", b"../", b"/",
        b"a" * 5000,
    )  # fmt: skip
    return Target(
        "photos_list",
        read,
        seeds.photos_list.valid(),
        words,
        seeds.photos_list.hostile(),
        refusals=5,
    )


def detect() -> Target:
    """What tells the formats apart reads the first bytes of all of them."""
    from decaf.formats.detect import detect

    made = [weights, pth, npz, safetensors, caffemodel, caffe_h5, onnx]
    others = [make() for make in made]
    return Target(
        "detect",
        lambda data: {"format": detect(data, "")},
        [seed for other in others[1:] for seed in other.seeds],
        sorted({word for other in others for word in other.words}),
        {f"{o.name}: {name}": data for o in others for name, data in o.hostile.items()
         if "payload" not in name},
        refusals=25,
    )  # fmt: skip


MADE = {
    "weights": weights,
    "pth": pth,
    "npz": npz,
    "safetensors": safetensors,
    "caffemodel": caffemodel,
    "prototxt": prototxt,
    "deep_compression": deep_compression,
    "caffe_h5": caffe_h5,
    "means": means,
    "state_dict": state_dict,
    "onnx": onnx,
    "features_h5": features_h5,
    "features_npz": features_npz,
    "journal": journal,
    "index": index,
    "photos_zip": photos_zip,
    "photos_tar": photos_tar,
    "photos_list": photos_list,
    "detect": detect,
}
NAMES = tuple(MADE)


def target(name: str) -> Target:
    """Build one target; ``planted:…`` are the faults that the harness must find."""
    if name.startswith("planted:"):
        from fuzz import planted

        return planted.target(name)
    return MADE[name]()


def check(result: Any, size: int) -> None:
    """Read every value of a result, and compare it with what a reader promises.

    Raises
    ------
    AssertionError
        If arrays are larger than the bound together, or do not fit the architecture.
    """
    arrays = list(_arrays(result))
    total = sum(array.nbytes for array in arrays)
    assert total <= bound(size), f"{total:,} bytes of arrays from a file of {size:,}"
    with np.errstate(all="ignore"):  # damaged values may be anything
        for array in arrays:
            array.sum(dtype=np.float64)  # reads every value, and copies none
    architecture = getattr(result, "architecture", None)
    if architecture is not None:
        found = {name: array.shape for name, array in result.parameters.items()}
        assert found == dict(architecture.parameter_shapes), "other parameters than declared"
        dtypes = {array.dtype.str[1:] for array in result.parameters.values()}
        assert dtypes <= {"f2", "f4", "f8"}, dtypes
    if isinstance(result, Weights):
        assert len(result.labels) == result.architecture.classes
        assert all(array.dtype == np.float32 for array in result.parameters.values())


def _arrays(result: Any) -> list[np.ndarray[Any, Any]]:
    """All arrays in a result, also inside dictionaries, tuples, lists and dataclasses."""
    found, todo = [], [result]
    while todo:
        value = todo.pop()
        if isinstance(value, np.ndarray):
            found.append(value)
        elif isinstance(value, Mapping):
            todo += value.values()
        elif isinstance(value, (list, tuple)):
            todo += value
        elif dataclasses.is_dataclass(value):
            todo += [getattr(value, field.name) for field in dataclasses.fields(value)]
    return found
