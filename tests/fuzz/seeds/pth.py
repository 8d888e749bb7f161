"""State dictionaries of torch in the three containers that it has had."""

from __future__ import annotations

from collections.abc import Callable

from formats.payloads import PAYLOADS, PROTO, named
from fuzz.mutate import Packed, Pickle, Seed
from fuzz.seeds import pickles
from fuzz.seeds.archives import hostile_zip, tarred, zipped
from fuzz.seeds.network import parameters
from fuzz.seeds.pickles import dictionary, opcodes, pickled, storage, strides, tensor


def valid() -> list[Seed]:
    return [*_zip(), *_legacy(), *_tar()]


def _state(numel: Callable[[str, int], bytes]) -> dict[str, bytes]:
    return {
        name.replace("/", "."): tensor(numel(str(i), array.size), array.shape, strides(array.shape))
        for i, (name, array) in enumerate(parameters().items())
    }


def _zip() -> list[Packed]:
    names = list(parameters())
    made = []
    for kind, dtype, wrap in (
        ("Float", "<f4", lambda state: state),
        ("BFloat16", "<u2", lambda state: dictionary({"epoch": opcodes(3), "state_dict": state})),
    ):
        state = dictionary(_state(lambda key, numel, kind=kind: storage(key, numel, kind)))
        members: dict[str, Seed | bytes] = {"archive/data.pkl": Pickle(pickled(wrap(state)))}
        for i, name in enumerate(names):
            members[f"archive/data/{i}"] = (
                parameters()[name].astype(dtype, casting="unsafe").tobytes()
            )
        members["archive/version"] = b"3\n"
        members["archive/byteorder"] = b"little"
        made.append(Packed(members, zipped))
    return made


def _legacy() -> list[Packed]:
    state = dictionary(_state(lambda key, numel: storage(key, numel, "Float", b"N")))
    arrays = list(parameters().values())
    sizes = dictionary({})
    system = {"protocol_version": opcodes(1001), "little_endian": b"\x88", "type_sizes": sizes}
    values = b"".join(array.size.to_bytes(8, "little") + array.tobytes() for array in arrays)
    members: dict[str, Seed | bytes] = {
        "magic": Pickle(pickled(0x1950A86A20F9469CFC6C)),
        "protocol": Pickle(pickled(1001)),
        "system": Pickle(pickled(dictionary(system))),
        "object": Pickle(pickled(state)),
        "keys": Pickle(pickled([str(i) for i in range(len(arrays))])),
        "storages": values,
    }
    return [Packed(members, lambda made: b"".join(made.values()))]


def _tar() -> list[Packed]:
    arrays = parameters()
    storages = pickled(len(arrays))
    tensors = pickled(len(arrays))
    state = {}
    for i, (name, array) in enumerate(arrays.items()):
        storages += pickled((i, "cpu", named("torch", "FloatStorage")))
        storages += array.size.to_bytes(8, "little") + array.tobytes()
        tensors += pickled((100 + i, i, named("torch", "FloatTensor")))
        tensors += array.ndim.to_bytes(8, "little")
        numbers = (*array.shape, *strides(array.shape), 0)
        tensors += b"".join(n.to_bytes(8, "little") for n in numbers)
        state[name.replace("/", ".")] = opcodes(100 + i) + b"Q"
    storages += pickled([])
    members: dict[str, Seed | bytes] = {
        "sys_info": Pickle(pickled(dictionary({"little_endian": b"\x88"}))),
        "pickle": Pickle(pickled(dictionary(state))),
        "tensors": tensors,
        "storages": storages,
    }
    return [Packed(members, tarred)]


def hostile() -> dict[str, bytes]:
    members, parts, tar = (seed[0].parts() for seed in (_zip(), _legacy(), _tar()))
    made = hostile_zip("archive/data.pkl", members["archive/data.pkl"])
    for name, data in pickles.hostile().items():
        made[f"zip: {name}"] = zipped({**members, "archive/data.pkl": data})
        made[f"legacy: {name}"] = b"".join({**parts, "object": data}.values())
        made[f"tar: {name}"] = tarred({**tar, "pickle": data})
    for name, data in PAYLOADS:
        made[f"payload in zip: {name}"] = zipped({**members, "archive/data.pkl": data})
        for part in parts:
            made[f"payload in legacy {part}: {name}"] = b"".join({**parts, part: data}.values())
        for part in ("pickle", "tensors", "storages"):
            made[f"payload in tar {part}: {name}"] = tarred({**tar, part: data})
    made["legacy: many keys of storages"] = b"".join(
        {**parts, "keys": pickled(["0"] * 50_000)}.values()
    )
    made["tar: many storages"] = tarred({**tar, "storages": pickled(2**31 - 1) + bytes(100_000)})
    made["tar: many tensors"] = tarred({**tar, "tensors": pickled(10**18)})
    tensor_of_many = pickled((1, 0, named("torch", "FloatTensor"))) + b"\xff" * 1000
    made["tar: many dimensions"] = tarred({**tar, "tensors": pickled(1) + tensor_of_many})
    whole = tar["storages"].removesuffix(pickled([]))
    for name, keys in (
        ("of one hash", [(2**61 - 1) * (2**20 + i) for i in range(20_000)]),
        ("that collide", pickles.numbers_that_collide(16, 33_000, 4000)[4:]),
    ):
        views = pickled([(key, 0, 0, 0) for key in keys])
        made[f"tar: keys of views {name}"] = tarred({**tar, "storages": whole + views})
    for calls in (40, 300):  # within 4 KB, and beyond
        items = b"".join(
            PROTO + pickles.shared_pairs(250) + b"h\x00h\x01R0" * calls
            + opcodes((i, "cpu", named("torch", "FloatStorage"))) + b"." + bytes(8)
            for i in range(100)
        )  # fmt: skip
        made[f"tar: pairs in each of many pickles, {calls} times"] = tarred(
            {**tar, "storages": pickled(100) + items + pickled([])}
        )
    made["tar: many members"] = tarred({f"{i}": b"" for i in range(400)})
    return made
