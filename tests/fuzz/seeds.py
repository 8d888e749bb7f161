"""Small valid files of every format, and some that were built to harm; all made here, in code."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from formats.payloads import PAYLOADS
from fuzz.mutate import Json, Packed, Pickle, Proto, Raw, Seed, Tokens, varint
from numpy.typing import NDArray

from decaf.architectures import alexnet, squeezenet1_1
from decaf.formats.state_dict import torch_names
from decaf.preprocessing import Preprocessing
from decaf.serialize import architecture_to_dict
from decaf.specs import Architecture, Conv, Linear, MaxPool, ReLU, Softmax
from decaf.weights import save_weights

# Small, so that a case takes a millisecond, and no two lengths the same.
ARCHITECTURE = Architecture(
    "tiny",
    (3, 7, 6),
    (
        Conv("conv1", 4, (3, 2), padding=1, groups=1),  # 4 x 7 x 7
        ReLU("relu1"),
        MaxPool("pool1", 3, stride=2),  # 4 x 3 x 3
        Linear("fc2", 5),
        Softmax("prob"),
    ),
)
LABELS = ("ant", "bee", "cat", "dog", "élan")
PREPROCESSING = Preprocessing(resize=(8, 8), crop=(7, 6), channels="BGR", mean=(0.4, 0.5, 0.6))


def parameters(dtype: Any = np.float32) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(0)
    shapes = ARCHITECTURE.parameter_shapes
    return {name: random.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


# decaf's own HDF5


def weights() -> list[Seed]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "w.h5")
        save_weights(
            path, ARCHITECTURE, parameters(), PREPROCESSING, LABELS, LABELS, {"from": ["a", 1]}
        )
        plain = path.read_bytes()
        save_weights(path, ARCHITECTURE, parameters(), PREPROCESSING, LABELS, dtype="float16")
        half = path.read_bytes()
    rooms = _weights_by_hand(latest=False)
    return [
        Raw(plain), Raw(half), Raw(rooms), Raw(_weights_by_hand(latest=True)), _with_json(rooms),
        _with_json(rooms),
    ]  # fmt: skip


ROOM = 600  # spaces behind each JSON, so that a longer one fits


def _jsons() -> dict[str, bytes]:
    values = {
        "architecture": architecture_to_dict(ARCHITECTURE),
        "preprocessing": PREPROCESSING.to_dict(),
        "provenance": {"from": "here"},
    }
    return {name: json.dumps(value).encode() for name, value in values.items()}


def _weights_by_hand(latest: bool) -> bytes:
    """A file that decaf reads but does not write: fixed strings, gzip, chunks, other layouts."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest" if latest else "earliest") as file:
        _describe(file)
        for index, (name, array) in enumerate(parameters().items()):
            options: dict[str, Any] = {}
            if not latest and index % 2 == 0:
                options = {"chunks": tuple(max(1, n // 2) for n in array.shape)}
                options |= {"compression": "gzip"} if index else {}
            file.create_dataset(f"parameters/{name}", data=array, **options)
    return buffer.getvalue()


def _describe(file: h5py.File) -> None:
    """All that a weights file has but its parameters."""
    file.attrs["format"] = np.bytes_("decaf-weights")
    file.attrs["format_version"] = 1
    for name, text in _jsons().items():
        file.attrs[name] = np.bytes_(text + b" " * ROOM)
    file.create_dataset("labels", data=[label.encode() for label in LABELS])


def _with_json(file: bytes) -> Packed:
    """Put damaged JSON where the valid one stands: cut or padded to its room."""
    jsons = _jsons()

    def pack(made: dict[str, bytes]) -> bytes:
        packed = file
        for name, text in jsons.items():
            room = len(text) + ROOM
            packed = packed.replace(text + b" " * ROOM, made.get(name, b"")[:room].ljust(room), 1)
        return packed

    return Packed({name: Json(text) for name, text in jsons.items()}, pack)


# Caffe

TEXT = b"""name: "tiny"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 7 dim: 6 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" param { lr_mult: 1 }
  convolution_param { num_output: 4 pad: 1 kernel_h: 3 kernel_w: 2
    weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "fc2" type: "InnerProduct" bottom: "pool1" top: "fc2"
  inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "fc2" top: "prob" }
"""  # ARCHITECTURE, as it is deployed
TEXT_TRAINED = b"""# the same as it is trained, in the form of 2014, and with more kinds of layers
name: 'tiny' input: "data" input_dim: 1 input_dim: 3 input_dim: 7 input_dim: 6
layers { name: "cifar" type: DATA top: "data" top: "label" include: { phase: TRAIN }
  transform_param { scale: .00390625 mean_value: [104, 117, 0x7b] crop_size: 7 mirror: true } }
layers { name: "conv1" type: CONVOLUTION bottom: "data" top: "conv1" blobs_lr: 1. blobs_lr: 2e0
  convolution_param < num_output: 4; pad: 1; kernel_h: 3; kernel_w: 2; group: 1 > }
layers { name: "norm1" type: LRN bottom: "conv1" top: "norm1"
  lrn_param { local_size: 3 alpha: 5e-05 beta: 0.75 norm_region: WITHIN_CHANNEL } }
layers { name: "split" type: SPLIT bottom: "norm1" top: "a" top: "b" }
layers { name: "relu1" type: RELU bottom: "a" top: "a" }
layers { name: "drop1" type: DROPOUT bottom: "b" top: "b" dropout_param { dropout_ratio: 0.5 } }
layers { name: "cat" type: CONCAT bottom: "a" bottom: "b" top: "cat" concat_param { axis: 1 } }
layers { name: "pool1" type: POOLING bottom: "cat" top: "pool1"
  pooling_param { pool: AVE kernel_size: 3 stride: 2 } }
layers { name: "flat" type: FLATTEN bottom: "pool1" top: "flat" }
layers { name: "fc2" type: INNER_PRODUCT bottom: "flat" top: "fc2"
  inner_product_param { num_output: 5 } }
layers { name: "loss" type: SOFTMAX_LOSS bottom: "fc2" bottom: "label" top: "loss" }
"""


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def _message(*fields: tuple[int, int | bytes]) -> bytes:
    return b"".join(_field(number, value) for number, value in fields)


def _blob(array: NDArray[Any], form: str = "new") -> bytes:
    """BlobProto: with its shape, or four sides; packed or one number at a time; double."""
    four = (1,) * (4 - array.ndim) + array.shape
    sides = _message(*((1 + i, n) for i, n in enumerate(four)))
    if form == "old":
        return sides + _field(5, array.astype("<f4").tobytes())
    if form == "unpacked":
        return sides + b"".join(varint(5 << 3 | 5) + v.tobytes() for v in array.astype("<f4").flat)
    shape = _field(7, _field(1, b"".join(map(varint, array.shape))))
    return _field(8, array.astype("<f8").tobytes()) + shape


def caffemodel() -> list[Seed]:
    arrays = parameters()

    def blobs(number: int, layer: str, form: str) -> tuple[tuple[int, bytes], ...]:
        return tuple((number, _blob(arrays[f"{layer}/{p}"], form)) for p in ("weight", "bias"))

    conv = _message((1, 4), (3, 1), (11, 3), (12, 2))
    pool = _message((1, 0), (2, 3), (3, 2))
    size = _field(1, _field(1, 1) + _field(1, 3) + _field(1, 7) + _field(1, 6))
    new = _message(
        (1, b"tiny"),
        (100, _message((1, b"data"), (2, b"Input"), (4, b"data"), (143, size))),
        (100, _message((1, b"conv1"), (2, b"Convolution"), (3, b"data"), (4, b"conv1"),
                       *blobs(7, "conv1", "new"), (106, conv), (10, 1))),
        (100, _message((1, b"relu1"), (2, b"ReLU"), (3, b"conv1"), (4, b"conv1"))),
        (100, _message((1, b"pool1"), (2, b"Pooling"), (3, b"conv1"), (4, b"p"), (121, pool))),
        (100, _message((1, b"fc2"), (2, b"InnerProduct"), (3, b"p"), (4, b"fc2"),
                       *blobs(7, "fc2", "new"), (117, _field(1, 5)))),
        (100, _message((1, b"prob"), (2, b"Softmax"), (3, b"fc2"), (4, b"prob"))),
    )  # fmt: skip
    made = [new]
    for form in ("old", "unpacked"):
        made.append(_message(
            (1, b"tiny"), (3, b"data"), (4, 1), (4, 3), (4, 7), (4, 6),
            (2, _message((4, b"conv1"), (5, 4), (2, b"data"), (3, b"conv1"),
                         *blobs(6, "conv1", form), (10, conv))),
            (2, _message((4, b"relu1"), (5, 18), (2, b"conv1"), (3, b"conv1"))),
            (2, _message((4, b"pool1"), (5, 17), (2, b"conv1"), (3, b"p"), (19, pool))),
            (2, _message((4, b"fc2"), (5, 14), (2, b"p"), (3, b"fc2"),
                         *blobs(6, "fc2", form), (17, _field(1, 5)))),
            (2, _message((4, b"prob"), (5, 20), (2, b"fc2"), (3, b"prob"))),
        ))  # fmt: skip
    return [Proto(data) for data in made]


def hostile_caffemodel() -> dict[str, bytes]:
    conv = _field(100, _message((1, b"conv1"), (2, b"Convolution")))
    huge = _message(*((1 + i, 2**31 - 1) for i in range(4)))
    return {
        "many empty layers": _field(100, b"") * 80_000,
        "many empty blobs": _field(100, _message((1, b"conv1")) + _field(7, b"") * 80_000),
        "groups that never end": b"\x0b" * 100_000,
        "groups inside groups": b"\x0b" * 50_000 + b"\x0c" * 50_000,
        "a message inside itself": _nested(_field, 100, 20_000),
        "a blob of 2^124 values": conv + _field(100, _message((1, b"conv1"), (7, huge))),
        "a blob of many axes": _field(
            100, _message((1, b"conv1"), (7, _field(7, _field(1, b"\x01" * 50_000))))
        ),
        "the same blob a thousand times": _field(
            100, _message((1, b"conv1"), *((7, _blob(np.zeros(16))),) * 1000)
        ),
        "unpacked numbers": _field(
            100, _message((1, b"conv1"), (7, (varint(5 << 3 | 5) + b"\0\0\0\0") * 50_000))
        ),
        "a varint without end": b"\x08" + b"\xff" * 100_000,
        "a length of 2^63": varint(100 << 3 | 2) + varint(2**63),
        "a long name": _field(100, _message((1, b"a" * 200_000), (2, b"Convolution"))),
    }


def _nested(field: Callable[[int, bytes], bytes], number: int, depth: int) -> bytes:
    """A field inside a field, from the inside out; at most 200 KB."""
    data = b""
    for _ in range(depth):
        data = field(number, data)
        if len(data) > 200_000:
            break
    return data


def hostile_prototxt() -> dict[str, bytes]:
    layer = b'layer { name: "r%d" type: "ReLU" bottom: "%s" top: "%s" }\n'
    head = TEXT[: TEXT.index(b"layer", 20)]
    conv = TEXT.replace(b"num_output: 4", b"num_output: %d")
    return {
        "messages inside messages": b"a {" * 60_000,
        "lists inside lists": b"a: " + b"[" * 100_000,
        "a string without end": b'name: "' + b"\\\\" * 100_000,
        "quotes": b'name: "" ' + b'""' * 100_000,
        "spaces": b"name: 'a'" + b" " * 200_000 + b"?",
        "comments": b"#\n" * 100_000,
        "a number of 100,000 digits": b"input_dim: " + b"9" * 100_000,
        "digits and a letter": b"input_dim: " + b"9" * 100_000 + b"x",
        "digits, a point, digits and a letter": b"a: " + (b"9" * 50_000 + b".") * 2 + b"x",
        "exponents": b"a: 1" + b"e1" * 100_000,
        "a float of 100,000 digits": b"input_dim: 1." + b"9" * 100_000 + b"x",
        "dots": b"input_dim: " + b"1." * 100_000,
        "minus signs": b"input_dim: " + b"-" * 100_000,
        "many fields": b"a:1 " * 60_000,
        "many layers in place": head + b"".join(
            layer % (i, b"data", b"data") for i in range(4000)
        ),
        "many layers in a row": head + b"".join(
            layer % (i, b"%d" % (i - 1) if i else b"data", b"%d" % i) for i in range(4000)
        ),
        "a concat of a thousand": head + b'layer { name: "c" type: "Concat" top: "c" '
        + b'bottom: "data" ' * 1000 + b"}",
        "concats of concats": head + b"".join(
            b'layer { name: "c%d" type: "Concat" top: "data" bottom: "data" bottom: "data" }\n' % i
            for i in range(100)
        ),
        "many filters": conv % (2**31 - 1),
        "filters below zero": conv % -1,
        "filters of float32": TEXT.replace(b"num_output: 4", b"num_output: 4e300"),
        "a network of 10^12 weights": TEXT.replace(b"num_output: 5", b"num_output: 1048576")
        .replace(b"dim: 7 dim: 6", b"dim: 2047 dim: 2047"),
        "a name of surrogates": b'name: "\xed\xa0\x80"',
    }  # fmt: skip


def caffe_h5() -> list[Seed]:
    """Groups as Caffe writes them: data, the layer, the number of the blob."""
    made: list[Seed] = []
    for options in ({}, {"libver": "latest"}):
        buffer = io.BytesIO()
        with h5py.File(buffer, "w", **options) as file:
            for name, array in parameters().items():
                layer, _, kind = name.partition("/")
                file.create_dataset(f"data/{layer}/{int(kind == 'bias')}", data=array)
            file.create_group("data/relu1")
        made.append(Raw(buffer.getvalue()))
    return made


def hostile_hdf5() -> dict[str, bytes]:
    """Files that are valid, but reach outside or claim more than they hold."""

    def file(build: Callable[[h5py.File], object], **options: Any) -> bytes:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w", **options) as made:
            _describe(made)
            build(made)
        return buffer.getvalue()

    def nested(made: h5py.File) -> None:
        for group in ("data", "parameters"):
            made.create_group(group + "/a" * 200)

    def looped(made: h5py.File) -> None:
        for group in ("data", "parameters"):
            around = made.create_group(group)
            around["conv1"] = around

    def shared(made: h5py.File) -> None:
        values = made.create_dataset("data/conv1/0", data=np.zeros((4, 3, 3, 2), "<f4"))
        for i in range(300):
            made[f"data/l{i}/0"] = made[f"parameters/l{i}/weight"] = values

    def large(made: h5py.File, **options: Any) -> None:
        for name in ("data/conv1/0", "parameters/conv1/weight"):
            made.create_dataset(name, (2**20, 2**20), "<f4", **options)

    def empty(made: h5py.File) -> None:
        for name in ("data/conv1/0", "parameters/conv1/weight"):
            made.create_dataset(name, data=h5py.Empty("f4"))
            made.create_dataset(f"{name}s", (0,), "<f4")

    bomb = np.zeros((4096, 4096), "<f4")
    return {
        "links outside": file(lambda f: f.__setitem__("data", h5py.ExternalLink("/etc/x", "/"))),
        "soft links": file(lambda f: f.__setitem__("data", h5py.SoftLink("/data"))),
        "data outside": file(lambda f: large(f, external=[("/etc/passwd", 0, 2**42)])),
        "never written": file(large),
        "sparse chunks": file(lambda f: large(f, chunks=(1024, 1024), compression="gzip")),
        "a bomb": file(lambda f: f.create_dataset(
            "data/conv1/0", data=bomb, chunks=(4096, 4096), compression="gzip", compression_opts=9
        )),
        "groups inside groups": file(nested),
        "a group inside itself": file(looped),
        "one dataset 300 times": file(shared),
        "no values": file(empty),
        "objects": file(lambda f: f.create_dataset("data/conv1/0", (1,), h5py.ref_dtype)),
        "many members": file(lambda f: [f.create_group(f"data/{i}") for i in range(2000)]),
    }  # fmt: skip


def state_dict() -> list[Seed]:
    """Names and shapes of the networks that are recognised, as JSON."""
    made: list[Seed] = []
    for build, classes in ((alexnet, 1000), (squeezenet1_1, 10)):
        network = build(classes)
        names = torch_names(network)
        for naming in (names, {name: name for name in names}):  # torchvision's, decaf's
            shapes = {naming[name]: shape for name, shape in network.parameter_shapes.items()}
            made.append(Json(json.dumps(shapes).encode()))
    return made


def deep_compression() -> list[Seed]:
    """Every other weight of the convolution is zero, and most of the fully connected ones."""
    random = np.random.default_rng(0)
    counts, parts = b"", b""
    for name, bits, step in (("conv1", 8, 2), ("fc2", 4, 11)):
        shapes = ARCHITECTURE.parameter_shapes
        count = int(np.prod(shapes[f"{name}/weight"])) // step
        codebook = random.standard_normal(2**bits).astype("<f4")
        codebook[0] = 0
        counts += count.to_bytes(4, "little")
        codes = random.integers(1, 256, -(-count * bits // 8), np.uint8)
        gaps = bytes([step - 1 | (step - 1) << 4]) * -(-count // 2)
        bias = np.zeros(shapes[f"{name}/bias"], "<f4")
        parts += codebook.tobytes() + bias.tobytes() + codes.tobytes() + gaps
    return [Raw(counts + parts)]


def means() -> list[Seed]:
    array = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
    return [
        Proto(_blob(array[None], "old")), Proto(_blob(array, "new")), _npy(array),
        _npy(array.mean(axis=(1, 2)).astype(np.float64)), _npy(np.asfortranarray(array)),
    ]  # fmt: skip


# NumPy and safetensors


def _npy_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _npy(array: NDArray[Any]) -> Packed:
    """Its header as words, with a length that fits."""
    data = _npy_bytes(array)
    header, values = data[10:128], data[128:]

    def pack(made: dict[str, bytes]) -> bytes:
        text = made.get("header", b"")[:65_535]
        return data[:8] + len(text).to_bytes(2, "little") + text + made.get("values", b"")

    return Packed({"header": Tokens(header), "values": values}, pack)


def _zip(made: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names twice
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, data in made.items():
                archive.writestr(zipfile.ZipInfo(name.replace("\0", "?")[:1000]), data, method)
    return buffer.getvalue()


def npz() -> list[Seed]:
    members = {f"{name}.npy": _npy(array) for name, array in parameters().items()}
    return [
        Packed(members, _zip),
        Packed(members, lambda made: _zip(made, zipfile.ZIP_DEFLATED)),
        Raw(Packed(members, _zip).whole()),
    ]


def hostile_zip(name: str, member: bytes) -> dict[str, bytes]:
    """Archives with a member of this name and these contents, and what is wrong with them."""
    plain = _zip({name: member, "b": b"b" * 100})
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
    bomb = _zip({name: bytes(60 << 20)}, zipfile.ZIP_DEFLATED)
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
        "a bomb in a bomb": _zip({name: bomb}, zipfile.ZIP_DEFLATED),
        "thirty bombs": _zip(
            {f"{i}{name}": bytes(4 << 20) for i in range(30)}, zipfile.ZIP_DEFLATED
        ),
        "two members in one place": entries(2, bytes(first + moved)),
        "one record 2,000 times": entries(2000, bytes(first) * 2000),
        "65,535 records of none": entries(65_535, b""),
        "two members of one name": entries(2, bytes(first) * 2),
        "many members": _zip({f"{i}{name}": b"" for i in range(1500)}),
        "the directory inside a member": plain[:directory] + plain,
        "a member inside the directory": plain[:local] + plain[directory:],
        "an end record only": plain[end:],
        "the end record 5,000 times": plain[end:] * 5000,
        "a path upwards": _zip({f"../{name}": member}),
        "an empty name": _zip({"": member}),
    }


def hostile_npz() -> dict[str, bytes]:
    head = _npy_bytes(np.zeros(0, np.float32))

    def npy(descr: str, shape: str) -> bytes:
        text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
        return head[:8] + len(text).to_bytes(2, "little") + text

    headers = {
        "objects": npy("'|O'", "(1,)") + b"\x80\x04cos\nsystem\n(S'true'\ntR.",
        "records": npy("[('a', '<f4')]", "(1,)"),
        "values without size": npy("'<f0'", "(1,)"),
        "void": npy("'|V0'", "(1000000000000,)"),
        "2^60 values": npy("'<f4'", f"({2**60},)"),
        "overflow": npy("'<f4'", f"({2**32}, {2**32})"),
        "nothing by much": npy("'<f4'", f"(0, {2**62})"),
        "a hundred axes": npy("'<f4'", f"({'1, ' * 100})") + bytes(4),
        "a million axes": npy("'<f4'", f"({'1,' * 30_000})") + bytes(4),
        "below zero": npy("'<f4'", "(-1,)"),
        "brackets": npy("'<f4'", "(" * 30_000),
        "code": npy("__import__('os').system('true')", "(1,)"),
        "spaces": npy("'<f4'" + " " * 30_000, "(1,)") + bytes(4),
    }
    return {
        **hostile_zip("conv1/weight.npy", _npy_bytes(parameters()["conv1/weight"])),
        **{name: _zip({"conv1/weight.npy": data}) for name, data in headers.items()},
    }


def safetensors() -> list[Seed]:
    made: list[Seed] = []
    for letter, dtype in (("F32", "<f4"), ("F16", "<f2"), ("BF16", "<u2")):
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        values = b""
        for name, array in parameters().items():
            data = array.astype(dtype).tobytes() if dtype != "<u2" else bytes(2 * array.size)
            places = [len(values), len(values) + len(data)]
            header[name] = {"dtype": letter, "shape": list(array.shape), "data_offsets": places}
            values += data
        made.append(Packed({"header": Json(json.dumps(header).encode()), "values": values}, _sized))
    return made


def _sized(made: dict[str, bytes]) -> bytes:
    header = made.get("header", b"")
    return len(header).to_bytes(8, "little") + header + made.get("values", b"")


def hostile_safetensors() -> dict[str, bytes]:
    def file(header: str, values: bytes = b"") -> bytes:
        return _sized({"header": header.encode(), "values": values})

    def one(shape: Any, places: Any, dtype: str = "F32") -> str:
        return json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": places}})

    shared = {
        f"t{i}": {"dtype": "F32", "shape": [1024], "data_offsets": [0, 4096]} for i in range(1000)
    }
    return {
        "lists inside lists": file("[" * 100_000),
        "dictionaries inside dictionaries": file('{"a":' * 40_000),
        "a header of 2^63": (2**63).to_bytes(8, "little") + b"{}",
        "numbers of 100,000 digits": file('{"a": ' + "9" * 100_000 + "}"),
        "a thousand tensors in one place": file(json.dumps(shared), bytes(4096)),
        "a name twice": file('{"a": {}, "a": {}}'),
        "2^60 values": file(one([2**60], [0, 2**62])),
        "overflow": file(one([2**32, 2**32], [0, 0])),
        "many axes": file(one([1] * 20_000, [0, 4]), bytes(4)),
        "nothing by much": file(one([0, 2**62], [0, 0])),
        "offsets below zero": file(one([1], [-4, 0]), bytes(4)),
        "offsets that are no numbers": file(one([1], [0.0, True]), bytes(4)),
        "half a character": file('{"\\ud800": {}}'),
        "a million empty lists": file('{"a": [' + "[]," * 60_000 + "[]]}"),
        "infinite": file(one([1e999], [0, 4]).replace("Infinity", "1e999"), bytes(4)),
        "many tensors": file(json.dumps({str(i): {} for i in range(15_000)})),
    }


# torch: pickles by hand, because pickling real ones would take torch

ORDERED = b"ccollections\nOrderedDict\n)R"


def _p(value: Any) -> bytes:
    """Opcodes for text, whole numbers, tuples and lists; bytes are opcodes already."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()
    if isinstance(value, int) and 0 <= value < 256:
        return b"K" + bytes([value])
    if isinstance(value, int) and -(2**31) <= value < 2**31:
        return b"J" + value.to_bytes(4, "little", signed=True)
    if isinstance(value, int):
        return b"\x8a\x0c" + value.to_bytes(12, "little", signed=True)
    if isinstance(value, list):
        return b"](" + b"".join(map(_p, value)) + b"e"
    return b"(" + b"".join(map(_p, value)) + b"t"


def _pickle(value: Any) -> bytes:
    return b"\x80\x02" + _p(value) + b"."


def _dict(items: dict[str, bytes]) -> bytes:
    return ORDERED + b"(" + b"".join(_p(k) + v for k, v in items.items()) + b"u"


def _storage(key: str, numel: int, kind: str = "Float", *view: bytes) -> bytes:
    return _p(("storage", f"ctorch\n{kind}Storage\n".encode(), key, "cpu", numel, *view)) + b"Q"


def _tensor(
    storage: bytes, shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0
) -> bytes:
    arguments = (storage, offset, shape, stride, b"\x89", ORDERED)
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + _p(arguments) + b"R"


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))


def _state(numel: Callable[[str, int], bytes]) -> dict[str, bytes]:
    return {
        name.replace("/", "."): _tensor(
            numel(str(i), array.size), array.shape, _strides(array.shape)
        )
        for i, (name, array) in enumerate(parameters().items())
    }


def pth_zip() -> list[Packed]:
    names = list(parameters())
    made = []
    for kind, dtype, wrap in (
        ("Float", "<f4", lambda state: state),
        ("BFloat16", "<u2", lambda state: _dict({"epoch": _p(3), "state_dict": state})),
    ):
        state = _dict(_state(lambda key, numel, kind=kind: _storage(key, numel, kind)))
        members: dict[str, Seed | bytes] = {"archive/data.pkl": Pickle(_pickle(wrap(state)))}
        for i, name in enumerate(names):
            members[f"archive/data/{i}"] = (
                parameters()[name].astype(dtype, casting="unsafe").tobytes()
            )
        members["archive/version"] = b"3\n"
        members["archive/byteorder"] = b"little"
        made.append(Packed(members, _zip))
    return made


def pth_legacy() -> list[Packed]:
    state = _dict(_state(lambda key, numel: _storage(key, numel, "Float", b"N")))
    arrays = list(parameters().values())
    system = {"protocol_version": _p(1001), "little_endian": b"\x88", "type_sizes": _dict({})}
    values = b"".join(array.size.to_bytes(8, "little") + array.tobytes() for array in arrays)
    members: dict[str, Seed | bytes] = {
        "magic": Pickle(_pickle(0x1950A86A20F9469CFC6C)),
        "protocol": Pickle(_pickle(1001)),
        "system": Pickle(_pickle(_dict(system))),
        "object": Pickle(_pickle(state)),
        "keys": Pickle(_pickle([str(i) for i in range(len(arrays))])),
        "storages": values,
    }
    return [Packed(members, lambda made: b"".join(made.values()))]


def pth_tar() -> list[Packed]:
    arrays = parameters()
    storages = _pickle(len(arrays))
    tensors = _pickle(len(arrays))
    state = {}
    for i, (name, array) in enumerate(arrays.items()):
        storages += _pickle((i, "cpu", b"ctorch\nFloatStorage\n"))
        storages += array.size.to_bytes(8, "little") + array.tobytes()
        tensors += _pickle((100 + i, i, b"ctorch\nFloatTensor\n"))
        tensors += array.ndim.to_bytes(8, "little")
        numbers = (*array.shape, *_strides(array.shape), 0)
        tensors += b"".join(n.to_bytes(8, "little") for n in numbers)
        state[name.replace("/", ".")] = _p(100 + i) + b"Q"
    storages += _pickle([])
    members: dict[str, Seed | bytes] = {
        "sys_info": Pickle(_pickle(_dict({"little_endian": b"\x88"}))),
        "pickle": Pickle(_pickle(_dict(state))),
        "tensors": tensors,
        "storages": storages,
    }
    return [Packed(members, _tar)]


def _tar(made: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in made.items():
            info = tarfile.TarInfo(name.replace("\0", "?")[:90].encode("ascii", "replace").decode())
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def hostile_pickles() -> dict[str, bytes]:
    """Pickles of state dictionaries that cost more than they should."""
    one = _storage("0", 1)
    doubled = b"".join(b"(h%ch%ctq%c" % (i, i, i + 1) for i in range(200))
    grown = b"".join(b"h%ch%c\x86q%c0" % (i, i, i + 1) for i in range(200))
    shared = {f"w{i}": _tensor(_storage("0", 132), (132,), (1,)) for i in range(1500)}

    def weight(*arguments: Any) -> bytes:
        return _pickle(_dict({"conv1.weight": _tensor(*arguments)}))

    return {
        "lists inside lists": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        "tuples inside tuples": b"\x80\x02)" + b"\x85" * 100_000 + b".",
        "marks": b"\x80\x02" + b"(" * 100_000 + b".",
        "dictionaries inside dictionaries": b"\x80\x02"
        + (b"}" + _p("a")) * 20_000 + b"N" + b"s" * 20_000 + b".",
        "2^200 of tuples": b"\x80\x02)q\0" + doubled + b".",
        "2^200 of pairs as a key": b"\x80\x02})q\0" + grown + b"h\xc8Ns.",
        "a list inside itself": b"\x80\x02]q\0h\0a.",
        "a dictionary inside itself": b"\x80\x02}q\0" + _p("a") + b"h\0s.",
        "a state of itself": b"\x80\x02}q\0" + _p("state_dict") + b"h\0s.",
        "a list that doubles": b"\x80\x02]q\0(" + b"h\0h\0e(" * 10_000 + b"e.",
        "an OrderedDict of a shared list": b"\x80\x02](" + (_p("a") + b"N\x86") * 1000 + b"eq\0"
        + b"ccollections\nOrderedDict\nh\0\x85R0" * 3000 + b"h\0.",
        "100,000 numbers": b"\x80\x02(" + b"K\1" * 100_000 + b"l.",
        "a number of 100,000 digits": b"\x80\x02L" + b"9" * 100_000 + b"L\n.",
        "an integer of 100,000 digits": b"\x80\x02I" + b"9" * 100_000 + b"\n.",
        "a number of 2^31 bytes": b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "a number below 0 bytes": b"\x80\x02\x8b\xff\xff\xff\xff.",
        "text of 4 GB": b"\x80\x02X\xff\xff\xff\xff.",
        "text of 2^64": b"\x80\x04\x8d" + b"\xff" * 8 + b".",
        "a frame of 2^64": b"\x80\x04\x95" + b"\xff" * 8 + b".",
        "a memo at 2^32": b"\x80\x02]r\xff\xff\xff\xff.",
        "a memo at a long number": b"\x80\x02]p" + b"9" * 60_000 + b"\n.",
        "stop at once": b".",
        "nothing": b"",
        "a thousand tensors in one place": _pickle(_dict(shared)),
        "2^60 values": weight(one, (2**60,), (1,)),
        "overflow": weight(one, (2**32, 2**32), (2**32, 1)),
        "strides of 0": weight(one, (2**31 - 1, 1), (0, 0)),
        "strides of 0 that fit": _pickle(
            _dict({"conv1.weight": _tensor(_storage("0", 72), (2**24, 1), (0, 0))})
        ),
        "strides below 0": weight(one, (2,), (-1,)),
        "an offset below 0": weight(one, (1,), (1,), -1),
        "a far offset": weight(one, (1,), (1,), 2**62),
        "nothing by much": weight(one, (0, 2**62), (1, 1)),
        "many axes": weight(one, (1,) * 10_000, (1,) * 10_000),
        "a size that is true": weight(one, (b"\x88",), (1,)),
        "a storage of 2^60": weight(_storage("0", 2**60), (1,), (1,)),
        "a storage below 0": weight(_storage("0", -1), (1,), (1,)),
        "a key that is a path": weight(_storage("../../../etc/passwd", 1), (1,), (1,)),
        "many keys": _pickle(_dict({f"{i}": b"N" for i in range(20_000)})),
        "long keys": _pickle(_dict({f"{i}" + "a" * 20_000: b"N" for i in range(10)})),
        "a key of control characters": _pickle(_dict({"\x1b[2J\r\n\0": _tensor(one, (1,), (1,))})),
    }  # fmt: skip


def hostile_pth() -> dict[str, bytes]:
    members, parts, tar = (seed[0].parts() for seed in (pth_zip(), pth_legacy(), pth_tar()))
    made = hostile_zip("archive/data.pkl", members["archive/data.pkl"])
    for name, data in hostile_pickles().items():
        made[f"zip: {name}"] = _zip({**members, "archive/data.pkl": data})
        made[f"legacy: {name}"] = b"".join({**parts, "object": data}.values())
        made[f"tar: {name}"] = _tar({**tar, "pickle": data})
    for name, data in PAYLOADS:
        made[f"payload in zip: {name}"] = _zip({**members, "archive/data.pkl": data})
        for part in parts:
            made[f"payload in legacy {part}: {name}"] = b"".join({**parts, part: data}.values())
        for part in ("pickle", "tensors", "storages"):
            made[f"payload in tar {part}: {name}"] = _tar({**tar, part: data})
    made["legacy: many keys of storages"] = b"".join(
        {**parts, "keys": _pickle(["0"] * 50_000)}.values()
    )
    made["tar: many storages"] = _tar({**tar, "storages": _pickle(2**31 - 1) + bytes(100_000)})
    made["tar: many tensors"] = _tar({**tar, "tensors": _pickle(10**18)})
    made["tar: many dimensions"] = _tar(
        {**tar, "tensors": _pickle(1) + _pickle((1, 0, b"ctorch\nFloatTensor\n")) + b"\xff" * 1000}
    )
    made["tar: many members"] = _tar({f"{i}": b"" for i in range(400)})
    return made


# ONNX


def _attribute(name: str, value: int | list[int] | bytes) -> tuple[int, bytes]:
    """Attribute of a node: a number, numbers, or a tensor."""
    if isinstance(value, int):
        return 5, _message((1, name.encode()), (3, value), (20, 2))
    if isinstance(value, list):
        return 5, _message((1, name.encode()), *((8, v) for v in value), (20, 7))
    return 5, _message((1, name.encode()), (5, value), (20, 4))


def _node(op: str, reads: str, writes: str, *attributes: tuple[int, bytes]) -> tuple[int, bytes]:
    inputs = ((1, name.encode()) for name in reads.split())
    return 1, _message(*inputs, (2, writes.encode()), (3, writes.encode()), (4, op.encode()),
                       *attributes)  # fmt: skip


def _onnx_tensor(name: str, array: NDArray[Any]) -> bytes:
    kind = {"f4": 1, "f8": 11, "f2": 10, "i8": 7}[array.dtype.str[1:]]
    dims = tuple((1, n) for n in array.shape)
    return _message(*dims, (2, kind), (8, name.encode()), (9, array.tobytes()))


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(_field(1, _field(1, n) if n else _field(2, b"N")) for n in shape)
    return _message((1, name.encode()), (2, _field(1, _field(1, 1) + _field(2, dims))))


def _model(nodes: list[tuple[int, bytes]], tensors: dict[str, NDArray[Any]], out: str) -> bytes:
    graph = _message(
        *nodes, (2, b"tiny"), *((5, _onnx_tensor(name, a)) for name, a in tensors.items()),
        (11, _value("data", (0, 3, 7, 6))), (12, _value(out, (0, 5))),
    )  # fmt: skip
    return _message((1, 8), (2, b"fuzz"), (7, graph), (8, _message((1, b""), (2, 13))))


def onnx() -> list[Seed]:
    p = parameters()
    tensors = {name.replace("/", "_"): array for name, array in p.items()}
    pads = _attribute("pads", [1, 1, 1, 1])
    pool = _attribute("kernel_shape", [3, 3]), _attribute("strides", [2, 2])
    common = [
        _node("Conv", "data conv1_weight conv1_bias", "conv1", pads),
        _node("Relu", "conv1", "relu1"),
        _node("MaxPool", "relu1", "pool1", *pool),
    ]
    plain = _model(
        [*common, _node("Flatten", "pool1", "flat", _attribute("axis", 1)),
         _node("Gemm", "flat fc2_weight fc2_bias", "fc2", _attribute("transB", 1)),
         _node("Softmax", "fc2", "prob", _attribute("axis", 1))],
        tensors, "prob",
    )  # fmt: skip
    shape = _onnx_tensor("", np.array([-1, 36], np.int64))
    turned = {**tensors, "fc2_weight": np.ascontiguousarray(p["fc2/weight"].T)}
    other = _model(
        [*common, _node("LRN", "pool1", "norm1", _attribute("size", 3)),
         _node("Dropout", "norm1", "drop1"),
         _node("Constant", "", "shape", _attribute("value", shape)),
         _node("Reshape", "drop1 shape", "flat"),
         _node("MatMul", "flat fc2_weight", "product"), _node("Add", "product fc2_bias", "fc2")],
        turned, "fc2",
    )  # fmt: skip
    return [Proto(plain), Proto(other)]


def hostile_onnx() -> dict[str, bytes]:
    whole = onnx()[0].whole()

    def graph(*fields: tuple[int, int | bytes]) -> bytes:
        return _message((1, 8), (7, _message(*fields)), (8, _field(2, 13)))

    outside = _message((1, 4), (2, 1), (8, b"w"), (14, 1),
                       (13, _message((1, b"location"), (2, b"/etc/passwd"))))  # fmt: skip
    huge = _message(*((1, 2**62),) * 3, (2, 1), (8, b"w"))
    axis = _attribute("axis", 1)
    relus = [_node("Relu", f"r{i}" if i else "data", f"r{i + 1}") for i in range(4000)]
    ends = (11, _value("data", (1, 3, 7, 6))), (12, _value("r4000", (1, 3, 7, 6)))
    inside = _nested(lambda number, data: _field(number, data), 7, 20_000)
    return {
        "many empty nodes": graph(*((1, b""),) * 60_000),
        "many tensors": graph(*((5, b""),) * 60_000),
        "many attributes": graph(_node("Relu", "a", "b", *((5, b""),) * 60_000)),
        "many inputs": graph((1, _message(*((1, b"a"),) * 60_000, (2, b"b"), (4, b"Concat")))),
        "a chain of 4,000": graph(*relus, *ends),
        "concats of concats": graph(
            *(_node("Concat", f"c{i} c{i}" if i else "data data", f"c{i + 1}", axis)
              for i in range(64)), ends[0], (12, _value("c64", (1, 3, 7, 6)))),
        "a node that reads itself": graph(_node("Relu", "a", "a"), *ends),
        "values in another file": graph((5, outside), *ends),
        "a tensor of 2^186": graph((5, huge), *ends),
        "a graph inside a graph": graph(
            _node("If", "a", "b", (5, _message((1, b"then"), (6, inside))))
        ),
        "groups": b"\x0b" * 100_000,
        "messages inside messages": inside,
        "numbers one by one": graph((5, _message((1, 1), (2, 1), *((4, b"\0\0\0\0"),) * 30_000))),
        "many axes": graph((5, _message(*((1, 1),) * 50_000, (2, 1), (9, b"\0\0\0\0")))),
        "twice": whole + whole,
    }  # fmt: skip
