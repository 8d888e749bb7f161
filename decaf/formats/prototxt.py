r"""Protocol buffers as text, in which people write Caffe's networks down (``.prototxt``).

    >>> parse(b'name: "tiny"  # a comment\nlayer { type: "ReLU" relu_param { engine: CAFFE } }')
    {'name': ['tiny'], 'layer': [{'type': ['ReLU'], 'relu_param': [{'engine': ['CAFFE']}]}]}

``name: value`` is a number, a string in single or double quotes, ``true`` or ``false``, or the
name of an enum value, which stays a string; ``name { }``, ``name: { }`` and ``name < >`` are
messages; ``name: [1, 2]`` stands for ``name: 1  name: 2``.  Commas and semicolons may follow.
The text does not say what kind a field is; who uses a value checks that.

Source: https://protobuf.dev/reference/protobuf/textformat-spec
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

from decaf.cursor import Buffer
from decaf.errors import WeightsError
from decaf.formats.protobuf import DEEPEST, MOST_FIELDS, Message

LARGEST = 4 * 2**20  # bytes; the longest networks of Caffe's time take 100 KB
LONGEST_NUMBER = 64  # characters

TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>-?[0-9.][\w.]*(?:(?<=[eE])[-+][\w.]*)?)
    |(?P<string>"(?:[^"\\\n]|\\.){0,4096}"|'(?:[^'\\\n]|\\.){0,4096}')
    |(?P<mark>[{}<>\[\]:;,])""",
    re.VERBOSE | re.ASCII,
)
# A repeated group takes some hundred bytes each time, so those above are short or one character.
# A number above is whatever looks like one: this pattern looks back too often to search with.
NUMBER = re.compile(
    r"-?(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?[fF]?)", re.ASCII
)
ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|(.))", re.DOTALL)
ESCAPED = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "?": "?",
}  # fmt: skip
CLOSING = {"{": "}", "<": ">"}


class _Token(NamedTuple):
    kind: str  # "word", "number", "string", "mark", or "end"
    text: str
    at: int  # characters from the start


def parse(data: Buffer) -> Message:
    """Read a network, or any other message, from text.

    Parameters
    ----------
    data : bytes or mmap
        UTF-8; bytes that are not (comments in an old encoding) become replacement characters.

    Returns
    -------
    dict
        Lists of values by name, as :func:`decaf.formats.protobuf.decode` returns them: str, int,
        float, bool, or dict.

    Raises
    ------
    WeightsError
        For what is no such text, with the number of the line; for more than 4 MiB, 100,000
        values or 16 levels.
    """
    if len(data) > LARGEST:
        raise WeightsError(
            f"a .prototxt must be text of at most {LARGEST:,} bytes; got {len(data):,}"
        )
    return _Parser(data[:].decode("utf-8-sig", errors="replace")).message()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._scan()
        self.next = next(self.tokens)
        self.values = 0

    def message(self) -> Message:
        """Everything up to the end of the text."""
        result: Message = {}
        message = result
        outer: list[tuple[Message, str]] = []  # what is around `message`, and how that one ends
        while True:
            if self.next.kind == "end":
                if outer:
                    self._refuse(f"a message must end; expected {outer[-1][1]!r}")
                return result
            if outer and self.next.text == outer[-1][1] and self.next.kind == "mark":
                self._take()
                message = outer.pop()[0]
                self._separator()
                continue
            if self.next.kind != "word":
                self._refuse("a field must begin with its name; expected a word")
            values = message.setdefault(self._take().text, [])
            colon = self._is(":") and self._take()
            if self._is("{", "<"):
                if len(outer) + 1 == DEEPEST:
                    self._refuse(f"messages must nest at most {DEEPEST} deep")
                outer.append((message, CLOSING[self._take().text]))
                message = {}
                self._add(values, message)
                continue
            if not colon:
                self._refuse("after the name of a field; expected ':', '{' or '<'")
            if self._is("["):
                self._list(values)
            else:
                self._add(values, self._value())
            self._separator()

    def _list(self, values: list[Any]) -> None:
        self._take()
        while not self._is("]"):
            self._add(values, self._value())
            if not self._is("]", ","):
                self._refuse("in a list; expected ',' or ']'")
            if self._is(","):
                self._take()
                if self._is("]"):
                    self._refuse("after ',' in a list; expected a value")
        self._take()

    def _value(self) -> str | int | float | bool:
        token = self.next
        if token.kind == "string":
            parts = [self._string(self._take())]
            while self.next.kind == "string":  # strings side by side are one
                parts.append(self._string(self._take()))
            return "".join(parts)
        if token.kind == "word":
            self._take()
            return {"true": True, "false": False}.get(token.text, token.text)
        if token.kind == "number":
            value = self._number(token)
            self._take()
            return value
        self._refuse("expected a number, a string or a word")

    def _number(self, token: _Token) -> int | float:
        if len(token.text) > LONGEST_NUMBER:
            self._refuse(f"a number must have at most {LONGEST_NUMBER} characters")
        if not NUMBER.fullmatch(token.text):
            self._refuse("expected a number")
        digits = token.text.lstrip("-")
        try:
            if digits[:2] in ("0x", "0X"):
                whole = int(digits, 16)
            elif digits.isdigit():
                whole = int(digits, 8 if digits[0] == "0" else 10)
            else:
                real = float(token.text.rstrip("fF"))
                if not math.isfinite(real):
                    self._refuse("a number must be finite")
                return real
        except ValueError:  # 09
            self._refuse("a number that begins with 0 is octal")
        return -whole if token.text[0] == "-" else whole

    def _string(self, token: _Token) -> str:
        def meaning(match: re.Match[str]) -> str:
            octal, hexadecimal, letter = match.groups()
            if letter is None:
                code = int(octal, 8) if octal else int(hexadecimal, 16)
                if code < 128:
                    return chr(code)
            elif letter in ESCAPED:
                return ESCAPED[letter]
            self._refuse(f"in a string: {match.group()!r:.20} is not an escape that decaf reads")

        return ESCAPE.sub(meaning, token.text[1:-1])

    def _add(self, values: list[Any], value: Any) -> None:
        self.values += 1
        if self.values > MOST_FIELDS:
            self._refuse(f"a .prototxt must have at most {MOST_FIELDS:,} values")
        values.append(value)

    def _is(self, *marks: str) -> bool:
        return self.next.kind == "mark" and self.next.text in marks

    def _separator(self) -> None:
        if self._is(",", ";"):
            self._take()

    def _take(self) -> _Token:
        token = self.next
        if token.kind != "end":
            self.next = next(self.tokens)
        return token

    def _scan(self) -> Iterator[_Token]:
        at = 0
        while at < len(self.text):
            match = TOKEN.match(self.text, at)
            if match is None:
                self.next = _Token("character", self.text[at], at)
                self._refuse("expected a word, a number, a string or one of {}<>[]:;,")
            kind = match.lastgroup or ""
            if kind != "space":
                yield _Token(kind, match.group(), at)
            at = match.end()
        yield _Token("end", "the end", at)

    def _refuse(self, rule: str) -> NoReturn:
        line = self.text.count("\n", 0, self.next.at) + 1
        raise WeightsError(f".prototxt, line {line}: {rule}, got {self.next.text!r:.40}")
