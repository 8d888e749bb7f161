"""Pickles that would run something, if they were read with Python's own ``pickle``.

``PAYLOADS`` is a list of (name, pickle).  A reader must refuse every one of them, without
importing, opening or running anything.  Nothing here may be given to ``pickle.loads``.
"""

from __future__ import annotations

import struct

PROTO = b"\x80\x02"
ALARM = "echo decaf-payload"  # harmless, should it ever run


def text(value: str) -> bytes:
    """BINUNICODE."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def short(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    raw = value.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def named(module: str, name: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{name}\n".encode()


def stacked(module: str, name: str) -> bytes:
    """STACK_GLOBAL."""
    return short(module) + short(name) + b"\x93"


def called(module: str, name: str, *args: bytes) -> bytes:
    """GLOBAL, a tuple, REDUCE."""
    return PROTO + named(module, name) + b"(" + b"".join(args) + b"tR."


ODICT = named("collections", "OrderedDict") + b")R"
CALLS = [  # (module, name, arguments): each runs, imports, reads or writes something
    ("os", "system", text(ALARM)),
    ("posix", "system", text(ALARM)),
    ("nt", "system", text(ALARM)),
    ("os", "popen", text(ALARM)),
    ("os", "execv", text("/bin/true") + b"]"),
    ("os", "remove", text("decaf-payload")),
    ("os", "_exit", b"K\x00"),
    ("posix", "fork"),
    ("subprocess", "Popen", text(ALARM)),
    ("subprocess", "check_output", text(ALARM)),
    ("builtins", "eval", text("1+1")),
    ("__builtin__", "eval", text("1+1")),
    ("builtins", "exec", text("pass")),
    ("builtins", "compile", text("1") + text("x") + text("eval")),
    ("builtins", "open", text("/etc/passwd")),
    ("__builtin__", "file", text("/etc/passwd")),
    ("builtins", "getattr", b"]" + text("append")),
    ("builtins", "setattr", b"]" + text("a") + b"N"),
    ("builtins", "__import__", text("os")),
    ("__builtin__", "apply", b"]" + b")"),
    ("builtins", "map", b"]" + b"]"),
    ("builtins", "globals"),
    ("builtins", "breakpoint"),
    ("builtins", "type", text("T") + b")" + b"}"),
    ("builtins", "object"),
    ("builtins", "bytearray", b"J\xff\xff\xff\x7f"),
    ("importlib", "import_module", text("os")),
    ("runpy", "run_path", text("x.py")),
    ("runpy", "run_module", text("antigravity")),
    ("ctypes", "CDLL", text("libc.so.6")),
    ("ctypes", "string_at", b"K\x00"),
    ("code", "interact"),
    ("pty", "spawn", text("/bin/sh")),
    ("socket", "create_connection", b"(" + text("localhost") + b"K\x01t"),
    ("urllib.request", "urlopen", text("http://localhost/")),
    ("webbrowser", "open", text("http://localhost/")),
    ("shutil", "rmtree", text("decaf-payload")),
    ("tempfile", "mktemp"),
    ("pickle", "loads", b"C\x01."),
    ("_pickle", "loads", b"C\x01."),
    ("marshal", "loads", b"C\x01N"),
    ("types", "FunctionType"),
    ("types", "CodeType"),
    ("functools", "partial", b"]"),
    ("operator", "attrgetter", text("__class__.__base__")),
    ("operator", "itemgetter", b"K\x00"),
    ("operator", "methodcaller", text("system")),
    ("itertools", "repeat", b"K\x00"),
    ("collections", "defaultdict", b"N"),
    ("copyreg", "_reconstructor"),
    ("copy_reg", "_reconstructor"),
    ("copyreg", "__newobj__"),
    ("torch", "load", text("x.pth")),
    ("torch.serialization", "load", text("x.pth")),
    ("torch.jit", "load", text("x.pt")),
    ("torch.jit._script", "_load_for_lite_interpreter"),
    ("torch.hub", "load", text("a/b") + text("c")),
    ("torch.utils.cpp_extension", "load_inline"),
    ("torch._utils", "_import_dotted_name", text("os.system")),
    ("torch._utils", "_rebuild_sparse_tensor"),
    ("torch._tensor", "_rebuild_from_type_v2"),
    ("torch.nn.modules.linear", "Linear"),
    ("torchvision.models.alexnet", "AlexNet"),
    ("numpy", "load", text("x.npy")),
    ("numpy", "fromfile", text("/etc/passwd")),
    ("numpy.testing._private.utils", "runstring", text("pass") + b"}"),
    ("argparse", "Namespace"),
    ("pathlib", "PosixPath", text("/")),
    ("timeit", "timeit", text("1")),
    ("pdb", "run", text("1")),
    ("asyncio", "run", b"N"),
    ("bdb", "Bdb"),
    ("pip", "main", b"]"),
    # Names that are almost on the list.
    ("collections", "OrderedDict.__class__"),
    ("collections", "OrderedDict.fromkeys", b"]"),
    ("collections.OrderedDict", "__init__"),
    ("collections", "ordereddict"),
    ("collections", " OrderedDict"),
    ("collections ", "OrderedDict"),
    ("torch", "Size.__class__"),
    ("torch", "FloatStorage.from_file", text("/etc/passwd")),
    ("torch.FloatStorage", "from_file", text("/etc/passwd")),
    ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ("torch", "_utils._rebuild_tensor_v2"),
    ("torch.storage", "_load_from_bytes", b"C\x01."),
    ("torch", "storage._load_from_bytes", b"C\x01."),
    ("", "os.system", text(ALARM)),
    ("os.system", "", text(ALARM)),
]  # fmt: skip

PAYLOADS: list[tuple[str, bytes]] = [
    *((f"call {module}:{name}", called(module, name, *args)) for module, name, *args in CALLS),
    # The same names by other opcodes.
    *(
        (f"stacked {module}:{name}", b"\x80\x04" + stacked(module, name) + b")R.")
        for module, name in [
            ("os", "system"), ("builtins", "eval"), ("builtins", "getattr"), ("os", "a.b.c"),
            ("collections", "OrderedDict.__class__"), ("torch", "load"), ("posix", "system"),
        ]
    ),
    ("named and dropped", PROTO + named("os", "system") + b"0N."),
    ("named and left", PROTO + named("os", "system") + b"."),
    ("INST", b"(" + text(ALARM) + b"ios\nsystem\n."),
    ("INST of a known name", b"(" + b"icollections\nOrderedDict\n."),
    ("OBJ", PROTO + b"(" + named("os", "system") + text(ALARM) + b"o."),
    ("OBJ of a known name", PROTO + b"(" + named("collections", "OrderedDict") + b"o."),
    ("NEWOBJ", PROTO + named("subprocess", "Popen") + b"(" + text(ALARM) + b"t\x81."),
    ("NEWOBJ_EX", b"\x80\x04" + stacked("subprocess", "Popen") + b")}\x92."),
    ("NEWOBJ_EX of a known name", b"\x80\x04" + named("collections", "OrderedDict") + b")}\x92."),
    ("EXT1", PROTO + b"\x82\x01."),
    ("EXT2", PROTO + b"\x83\x01\x00."),
    ("EXT4", PROTO + b"\x84\x01\x00\x00\x00."),
    ("PERSID", b"Pos.system\n."),
    ("BINPERSID", PROTO + text("os.system") + b"Q."),
    ("BINPERSID of a class",
     PROTO + b"(" + text("module") + named("os", "system") + text("a.py") + text("x") + b"tQ."),
    ("storage of a forbidden type",
     PROTO + b"(" + text("storage") + named("os", "system") + text("0") + text("cpu") + b"NtQ."),
    ("memo", PROTO + named("os", "system") + b"q\x000N0h\x00" + text(ALARM) + b"\x85R."),
    ("memo of strings",
     b"\x80\x04" + short("os") + b"\x94" + short("system") + b"\x9400h\x00h\x01\x93)R."),
    ("memo never filled", PROTO + b"h\x07)R."),
    ("name of bytes", b"\x80\x04C\x02osC\x06system\x93)R."),
    ("name of a list", b"\x80\x04](" + text("system") + b"e]\x93)R."),
    ("in a list", PROTO + b"](K\x01" + named("os", "system") + b"e."),
    ("in a dictionary", PROTO + b"}" + text("state_dict") + named("os", "system") + b"s."),
    ("as a key", PROTO + b"}" + named("os", "system") + b"Ns."),
    ("in an OrderedDict", PROTO + named("collections", "OrderedDict") + b"](" + text("w")
     + named("os", "system") + b"\x86e\x85R."),
    ("state by __setstate__", PROTO + ODICT + b"}" + text("__setstate__")
     + named("os", "system") + b"sb" + text(ALARM) + b"b."),
    ("state by __dict__", PROTO + ODICT + b"}" + text("__class__") + named("os", "_wrap_close")
     + b"sb."),
    ("state of a list", PROTO + b"]}" + text("__class__") + b"Nsb."),
    ("state of a name", PROTO + named("collections", "OrderedDict") + b"}" + text("__reduce__")
     + b"Nsb."),
    ("state of a number", PROTO + b"K\x01}b."),
    ("a string called", PROTO + text("os.system") + text(ALARM) + b"\x85R."),
    ("a dtype called", PROTO + named("torch", "float32") + b")R."),
    ("a storage called", PROTO + named("torch", "FloatStorage") + b"K\x05\x85R."),
    ("a result called", PROTO + ODICT + b")R."),
    ("a call of a call", PROTO + named("torch", "Size") + b"(" + named("os", "system") + b"tR."),
    ("arguments that are no tuple", PROTO + named("collections", "OrderedDict") + b"]R."),
    ("a name in Unicode", PROTO + "cоs\nsystem\n)R.".encode()),  # noqa: RUF001 - a Cyrillic o
    ("a name with a NUL", PROTO + b"cos\0\nsystem\n)R."),
    ("protocol 0", b"cos\nsystem\n(S'" + ALARM.encode() + b"'\ntR."),
    ("protocol 0, Python 2", b"c__builtin__\neval\n(V1+1\ntR."),
    ("protocol 1", b"cposix\nsystem\n(U\x04true" + b"tR."),
    ("protocol 5", b"\x80\x05" + stacked("builtins", "exec") + short("pass") + b"\x85R."),
    ("protocol 6", b"\x80\x06" + b"N."),
    ("framed", b"\x80\x04\x95\x0e\x00\x00\x00\x00\x00\x00\x00" + stacked("os", "system") + b")R."),
    ("out of band", b"\x80\x05\x97\x98."),
    ("bytearray", b"\x80\x05\x96\x04\x00\x00\x00\x00\x00\x00\x00abcd."),
]  # fmt: skip

# A pickle inside a pickle is bytes, and nothing but bytes.
NESTED = PROTO + b"}" + text("state") + b"B" + struct.pack("<I", len(PAYLOADS[0][1]))
NESTED += PAYLOADS[0][1] + b"s."
