"""All that a pickle may name, and what decaf makes of it: the list on which safety rests.

Nothing here is imported or called in the sense of Python.  A name becomes a :class:`Global`,
which holds its text; calling it, in the sense of a pickle, gives a plain value, or a
:class:`Tensor` that repeats what the file says.  The list covers what ``torch.save`` writes of
state dictionaries, from torch 0.1 on, and harmless company in training checkpoints.

============================================  ===============================================
name                                          becomes
============================================  ===============================================
``torch._utils._rebuild_tensor``, ``_v2``     :class:`Tensor`
``torch._utils._rebuild_parameter``,          :class:`Parameter`
``torch.nn.parameter.Parameter``
``collections.OrderedDict``                   a dictionary
``torch.Size``, ``set``, ``Counter``          the tuple, list or dictionary that it is made of
``torch.FloatStorage`` and its kind, dtypes   its name
NumPy numbers and arrays, ``torch.device``    :class:`Unread`: no weights depend on it
============================================  ===============================================
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, NoReturn

from decaf.errors import WeightsError

# Bytes a value, by the name of the storage that holds it: torch.FloatStorage and so on.
ITEM_SIZES = {
    "HalfStorage": 2, "BFloat16Storage": 2, "FloatStorage": 4, "DoubleStorage": 8,
    "BoolStorage": 1, "ByteStorage": 1, "CharStorage": 1, "ShortStorage": 2,
    "IntStorage": 4, "LongStorage": 8, "ComplexFloatStorage": 8, "ComplexDoubleStorage": 16,
    "UntypedStorage": 1,
}  # fmt: skip


class Role(Enum):
    """What a name is good for."""

    TENSOR = "makes a tensor of a storage"
    PARAMETER = "makes a parameter of a tensor"
    DICTIONARY = "makes a dictionary"
    CONTAINER = "stands for the one list, tuple or dictionary that it is made of"
    UNREAD = "makes something that no weights depend on"
    NAME = "makes nothing"


@dataclass(frozen=True, slots=True, eq=False)
class Global:
    """A name from the list, such as ``torch.FloatStorage``; nothing stands behind it."""

    name: str
    role: Role


@dataclass(slots=True, eq=False)
class Storage:
    """A row of values in the file, which tensors are views of.

    Attributes
    ----------
    kind : str
        A key of `ITEM_SIZES`.
    key : str or int
        What the file calls it.
    numel : int
        How many values.
    offset : int or None
        Byte of the file where they start; None until it is known.
    order : {"<", ">"}
        Order of the bytes of a value.
    """

    kind: str
    key: str | int
    numel: int
    offset: int | None = None
    order: str = "<"

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return self.numel * ITEM_SIZES[self.kind]


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """What a tensor says of itself, as it stands in the file: nothing of it has been checked."""

    storage: Any  # should be a Storage
    offset: Any  # in values, as are the strides
    size: Any
    stride: Any


@dataclass(slots=True, eq=False)
class Parameter:
    """A tensor with a flag for the optimiser, as torch before 0.4 pickled it."""

    value: Any = None


class Unread:
    """Stands for a value that no weights depend on, such as a NumPy number among metrics."""

    __slots__ = ()


_LIST: dict[Role, dict[str, str]] = {  # role -> module -> names
    Role.TENSOR: {"torch._utils": "_rebuild_tensor _rebuild_tensor_v2"},
    Role.PARAMETER: {
        "torch._utils": "_rebuild_parameter _rebuild_parameter_with_state",
        "torch.nn.parameter": "Parameter",
    },
    Role.DICTIONARY: {"collections": "OrderedDict"},
    Role.CONTAINER: {
        "torch": "Size",
        "collections": "Counter",
        "builtins": "set frozenset",
        "__builtin__": "set frozenset",  # of Python 2
    },
    Role.UNREAD: {
        "torch": "device",
        "numpy": "dtype ndarray",
        "numpy.core.multiarray": "scalar _reconstruct",
        "numpy._core.multiarray": "scalar _reconstruct",
        "_codecs": "encode",  # bytes, in protocols that have no opcode for them
        "__builtin__": "bytes",
    },
    Role.NAME: {
        "torch": "float16 float32 float64 bfloat16 int8 int16 int32 int64 uint8 bool "
        + " ".join(ITEM_SIZES)
        + " "
        + " ".join(kind.replace("Storage", "Tensor") for kind in ITEM_SIZES),
        "torch.cuda": " ".join(ITEM_SIZES)  # what was saved from a graphics card
        + " "
        + " ".join(kind.replace("Storage", "Tensor") for kind in ITEM_SIZES),
        "torch.storage": "UntypedStorage TypedStorage",
    },
}
ALLOWED = {
    (module, name): Global(f"{module}.{name}", role)
    for role, modules in _LIST.items()
    for module, names in modules.items()
    for name in names.split()
}


def call(function: Global, args: tuple[Any, ...]) -> Any:
    """Return what a name makes of arguments, as far as decaf needs it.

    ``Role.DICTIONARY`` makes an empty one; what it is filled with is the machine's business.
    """
    role, count = function.role, len(args)
    if role is Role.TENSOR and count >= 4:
        if count > 6 and args[6] not in (None, {}):  # {"neg": True}: they are to be negated
            more = args[6]
            got = ", ".join(map(shown, list(more)[:4])) if type(more) is dict else shown(more)
            refuse("a tensor", "values as they are stored", f"one with {got}")
        return Tensor(*args[:4])
    if role is Role.PARAMETER:
        return Parameter(args[0] if args else None)
    if role is Role.DICTIONARY and not args:
        return {}
    if role is Role.CONTAINER and not args:
        return []
    if role is Role.CONTAINER and count == 1 and type(args[0]) in (list, tuple, dict):
        return args[0]
    if role is Role.UNREAD:
        return Unread()
    refuse("a call", "one that torch writes", f"{function.name} with {count:,} arguments")


def set_state(target: Any, state: Any) -> None:
    """Give an object its state: only what a Parameter wraps is of use, and the rest is ignored."""
    if isinstance(target, Parameter):
        if type(state) is tuple and len(state) == 5:  # tensor, gradient, hooks, two flags
            target.value = state[0]
    elif type(target) is not dict and not isinstance(target, Unread):
        refuse("a state", "that of a dictionary or a Parameter", shown(target))


def storage_of(id: Any) -> tuple[Storage, Any]:
    """Read the persistent id of a storage; return it, and what the id says of being a view.

    ``("storage", torch.FloatStorage, key, device, numel)``; in legacy streams a sixth item is
    None or ``(key of the view, offset, numel of the view)``.
    """
    if not isinstance(id, tuple) or len(id) not in (5, 6) or id[0] not in ("storage", b"storage"):
        refuse("what lies outside the pickle", "a storage", shown(id))
    _, kind, key, _, numel, *view = id
    if type(key) is not str or type(numel) is not int or numel < 0:
        refuse("a storage", "described by a string and a number", shown((key, numel)))
    return Storage(storage_kind(kind), key, numel), view[0] if view else None


def storage_kind(kind: Any) -> str:
    """Name of a storage's type without its module: ``"FloatStorage"``."""
    name = kind.name.rpartition(".")[2] if isinstance(kind, Global) else ""
    if name not in ITEM_SIZES:
        refuse("a storage", "of a type that torch has", shown(kind))
    return name


def shown(value: Any) -> str:
    """Return a value for a message, short and printable: files can be creative."""
    if isinstance(value, Global):
        return value.name
    if value is None or type(value) in (bool, int, float):
        return str(value)[:40]
    return ascii(value[:120]) if type(value) in (str, bytes) else f"a {type(value).__name__}"


def refuse(what: str, expected: str, got: object) -> NoReturn:
    """Raise the error of this format: what must hold, what was expected, what came."""
    raise WeightsError(f"{what} must be {expected}; got {got}")
