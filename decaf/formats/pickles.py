r"""Read pickles without running them: the small machine behind torch checkpoints.

A pickle is a program for a machine with a stack and a memo.  Each opcode is one byte with its
operands behind it; most push a value or gather values into a list, a tuple or a dictionary.
Three of them make Python's own ``pickle`` unsafe: GLOBAL and STACK_GLOBAL import anything by
name, and REDUCE calls it with anything.

This machine imports nothing and calls nothing of what a file names.  A name that is on the list
of :mod:`decaf.formats.pickle_names` becomes a mere name; REDUCE on it gives a plain value, or a
description of a tensor that still lies in the file.  Any other name is refused where it is read.

>>> load(Cursor(b"\x80\x02]q\x00(K\x01K\x02e."))
[1, 2]
>>> load(Cursor(b"cos\nsystem\n(S'id'\ntR."))  # doctest: +ELLIPSIS
Traceback (most recent call last):
decaf.errors.WeightsError: a checkpoint must hold ...; the pickle names 'os.system', ...

Source: the comments of CPython's ``Lib/pickletools.py``, which define protocols 0 to 5.  Left
out is what no checkpoint has: INST, OBJ, NEWOBJ_EX, extension codes, textual persistent ids,
buffers outside the pickle.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from decaf.cursor import Cursor
from decaf.errors import WeightsError
from decaf.formats.pickle_names import ALLOWED, Global, Role, call, refuse, set_state, shown
from decaf.formats.pickle_operands import Operands

LARGEST_PICKLE = 2**23  # bytes, without the tensors' values; AlexNet's takes 1,500
MOST_OPCODES = 500_000  # of one pickle: each may make an object of 64 bytes out of one byte
# Python's hash of a number is known, and numbers can be chosen that look for a place in a large
# dictionary for ever; so few may be its keys.  The hashes of strings are salted.
MOST_NUMBERS = 10_000
LARGE = 1000  # items
HIGHEST_PROTOCOL = 5


def load(cursor: Cursor, persistent: Callable[[Any], Any] | None = None) -> Any:
    """Run one pickle and pass over it.

    Parameters
    ----------
    cursor : Cursor
        Stands at the start of the pickle, and then behind its end.
    persistent : callable, optional
        Turns an id that the pickle uses for what lies outside of it into a value.

    Returns
    -------
    object
        None, bool, int, float, str, bytes, list, tuple, dict, or one of the classes of
        `pickle_names`.  Sets are the lists that they were made of.  Lists and dictionaries may
        be shared, and may contain themselves.

    Raises
    ------
    WeightsError
        For a name that is not on the list, and for whatever is damaged, cut off or too large.
    """
    inside = Operands(cursor.data, cursor.at, min(cursor.left, LARGEST_PICKLE))
    machine = _Machine(inside, persistent)
    for machine.done in range(MOST_OPCODES):
        code = inside.take(1)
        if code == b".":
            value = machine.pop()
            cursor.skip(inside.at - cursor.at)
            return value
        if code not in _OPCODES:
            refuse("opcodes", "those that checkpoints use", f"0x{code.hex()}")
        _OPCODES[code](machine)
    refuse("the pickle", f"of at most {MOST_OPCODES:,} opcodes", "more")


class _Machine:
    """Stack, marks and memo of one run.

    `done` counts opcodes: what a sound pickle has more of than of entries in the memo, or of pairs
    in lists, and so the bound of both.
    """

    def __init__(self, cursor: Operands, persistent: Callable[[Any], Any] | None) -> None:
        self.cursor, self.persistent = cursor, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []  # heights of the stack
        self.memo: list[Any] = []  # an optimised pickle leaves places empty
        self.done = self.memoised = self.pairs = self.numbers = 0

    # The stack

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            refuse("the stack of the pickle", "filled before it is used", "an empty one")
        return self.stack.pop()

    def top(self) -> Any:
        value = self.pop()
        self.stack.append(value)
        return value

    def pop_to_mark(self) -> list[Any]:
        if not self.marks:
            refuse("the stack of the pickle", "marked before it is gathered", "no mark")
        height = self.marks.pop()
        items = self.stack[height:]
        del self.stack[height:]
        return items

    def discard(self) -> None:
        if self.marks and len(self.stack) == self.marks[-1]:
            self.marks.pop()
        else:
            self.pop()

    # Memo and containers

    def put(self, index: int) -> None:
        if not 0 <= index <= self.done:
            expected = f"from 0 to the {self.done:,} opcodes before it"
            refuse("an index of the memo", expected, shown(index))
        self.memo.extend([_EMPTY] * (index + 1 - len(self.memo)))
        self.memoised += self.memo[index] is _EMPTY
        self.memo[index] = self.top()

    def get(self, index: int) -> None:
        if not 0 <= index < len(self.memo) or self.memo[index] is _EMPTY:
            refuse("the memo", "filled before it is used", f"nothing at {shown(index)}")
        self.stack.append(self.memo[index])

    def extend(self, items: list[Any]) -> None:
        target = self.top()
        if type(target) is not list:
            refuse("items", "appended to a list", shown(target))
        target.extend(items)

    def insert(self, target: Any, items: list[Any]) -> None:
        if type(target) is not dict or len(items) % 2:
            refuse("keys and values", "pairs for a dictionary", shown(target))
        for key, value in zip(items[::2], items[1::2], strict=True):
            # A tuple can hold itself many times over, and longer numbers can share a hash.
            plain = type(key) in (str, bytes, float, bool, type(None))
            if not plain and not (type(key) is int and -(2**63) <= key < 2**63):
                refuse("keys", "strings or numbers of 64 bits", shown(key))
            self.numbers += type(key) in (int, float) and len(target) >= LARGE
            if self.numbers > MOST_NUMBERS:
                expected = f"strings, and at most {MOST_NUMBERS:,} numbers"
                refuse("keys of large dictionaries", expected, "more numbers")
            if key in target:
                refuse("keys", "different from each other", f"{shown(key)} twice")
            target[key] = value

    def set_items(self, items: list[Any]) -> None:
        self.insert(self.top(), items)

    def dictionary(self, items: list[Any]) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        self.insert(made, items)
        return made

    def tuple_of(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.stack.append(tuple(items[::-1]))

    # Names, and what stands for calls

    def find(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            refuse("a name", "two strings", shown((module, name)))
        known = ALLOWED.get((module, name))
        if known is None:
            raise WeightsError(
                "a checkpoint must hold tensors, numbers, strings, lists and dictionaries only; "
                f"the pickle names {shown(f'{module[:60]}.{name[:60]}')}, which decaf does not "
                "run: save state_dict() alone, as in torch.save(model.state_dict(), path)"
            )
        self.stack.append(known)

    def find_lines(self) -> None:
        self.find(self.cursor.name(), self.cursor.name())

    def find_stacked(self) -> None:
        name = self.pop()
        self.find(self.pop(), name)

    def reduce(self) -> None:
        args, function = self.pop(), self.pop()
        if not isinstance(function, Global) or type(args) is not tuple:
            refuse("a call", "of a name, with a tuple", shown(function))
        if function.role is Role.DICTIONARY and len(args) == 1:
            self.stack.append(self.ordered(args[0]))
        else:
            self.stack.append(call(function, args))

    def ordered(self, pairs: Any) -> dict[Any, Any]:
        """Make a dictionary of a list of pairs, which is how Python 2 pickled OrderedDict."""
        if type(pairs) is not list:
            refuse("an OrderedDict", "made of a list of pairs", shown(pairs))
        self.pairs += len(pairs)
        if self.pairs > self.done:  # lists can be shared, and must not be copied for ever
            refuse("dictionaries", "no larger than the pickle", "more pairs than opcodes")
        if not all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
            refuse("an OrderedDict", "made of a list of pairs", "something else in the list")
        return self.dictionary([item for pair in pairs for item in pair])

    def build(self) -> None:
        state = self.pop()
        set_state(self.top(), state)

    def outside(self) -> None:
        id = self.pop()
        if self.persistent is None:
            refuse("the pickle", "complete in itself", f"a reference to {shown(id)}")
        self.stack.append(self.persistent(id))

    def check_protocol(self) -> None:
        version = self.cursor.uint(1)
        if version > HIGHEST_PROTOCOL:
            refuse("the pickle's protocol", f"at most {HIGHEST_PROTOCOL}", version)

    def check_frame(self) -> None:
        size = self.cursor.uint(8)
        if size > self.cursor.left:
            refuse("a frame", f"at most the {self.cursor.left:,} bytes left", f"{size:,}")


_EMPTY = object()
_Act = Callable[[_Machine], Any]


def _push(make: _Act) -> _Act:
    return lambda m: m.stack.append(make(m))


_OPCODES: dict[bytes, _Act] = {
    b"\x80": _Machine.check_protocol,
    b"\x95": _Machine.check_frame,
    # the stack
    b"(": lambda m: m.marks.append(len(m.stack)),
    b"0": _Machine.discard,
    b"1": _Machine.pop_to_mark,
    b"2": _push(_Machine.top),
    # numbers
    b"N": _push(lambda m: None),
    b"\x88": _push(lambda m: True),
    b"\x89": _push(lambda m: False),
    b"I": _push(lambda m: m.cursor.integer_or_bool()),
    b"L": _push(lambda m: m.cursor.integer()),
    b"F": _push(lambda m: m.cursor.number(float)),
    b"K": _push(lambda m: m.cursor.uint(1)),
    b"M": _push(lambda m: m.cursor.uint(2)),
    b"J": _push(lambda m: int.from_bytes(m.cursor.take(4), "little", signed=True)),
    b"\x8a": _push(lambda m: m.cursor.long(1)),
    b"\x8b": _push(lambda m: m.cursor.long(4)),
    b"G": _push(lambda m: struct.unpack(">d", m.cursor.take(8))[0]),
    # strings
    b"S": _push(lambda m: m.cursor.quoted()),
    b"U": _push(lambda m: m.cursor.old_text(1)),
    b"T": _push(lambda m: m.cursor.old_text(4)),
    b"V": _push(lambda m: m.cursor.escaped()),
    b"\x8c": _push(lambda m: m.cursor.text(1)),
    b"X": _push(lambda m: m.cursor.text(4)),
    b"\x8d": _push(lambda m: m.cursor.text(8)),
    b"C": _push(lambda m: m.cursor.counted(1)),
    b"B": _push(lambda m: m.cursor.counted(4)),
    b"\x8e": _push(lambda m: m.cursor.counted(8)),
    # lists, and sets, which become lists
    b"]": _push(lambda m: []),
    b"l": _push(_Machine.pop_to_mark),
    b"a": lambda m: m.extend([m.pop()]),
    b"e": lambda m: m.extend(m.pop_to_mark()),
    b"\x8f": _push(lambda m: []),
    b"\x90": lambda m: m.extend(m.pop_to_mark()),
    b"\x91": _push(_Machine.pop_to_mark),
    # tuples
    b")": _push(lambda m: ()),
    b"t": _push(lambda m: tuple(m.pop_to_mark())),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    # dictionaries
    b"}": _push(lambda m: {}),
    b"d": _push(lambda m: m.dictionary(m.pop_to_mark())),
    b"s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_items(m.pop_to_mark()),
    # the memo
    b"p": lambda m: m.put(m.cursor.integer()),
    b"q": lambda m: m.put(m.cursor.uint(1)),
    b"r": lambda m: m.put(m.cursor.uint(4)),
    b"\x94": lambda m: m.put(m.memoised),
    b"g": lambda m: m.get(m.cursor.integer()),
    b"h": lambda m: m.get(m.cursor.uint(1)),
    b"j": lambda m: m.get(m.cursor.uint(4)),
    # names and what is made with them
    b"c": _Machine.find_lines,
    b"\x93": _Machine.find_stacked,
    b"R": _Machine.reduce,
    b"\x81": _Machine.reduce,  # NEWOBJ, for Parameter
    b"b": _Machine.build,
    b"Q": _Machine.outside,
}
