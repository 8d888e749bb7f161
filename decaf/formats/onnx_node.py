"""A node of an ONNX graph: its operator, what it reads and writes, its options."""

from __future__ import annotations

from typing import Any, NoReturn

from decaf.errors import ArchitectureError
from decaf.formats.onnx_schema import one
from decaf.formats.protobuf import Message

DOMAINS = ("", "ai.onnx")


class Node:
    """A node, with its attributes by name; says its name in errors, and what was not asked for."""

    def __init__(self, message: Message) -> None:
        self.op = one(message, "op_type", "")
        self.inputs: list[str] = message.get("input", [])
        self.outputs: list[str] = message.get("output", [])
        self.name = one(message, "name", "") or (self.outputs[0] if self.outputs else "")
        self.attributes: dict[str, Message] = {}
        for attribute in message.get("attribute", []):
            name = one(attribute, "name", "")
            if name in self.attributes:
                self.refuse(f"attributes must have different names; got {name!r:.50} twice")
            if {"g", "graphs", "ref_attr_name"} & attribute.keys():
                self.refuse(f"attributes must be numbers or tensors; got a graph, {name!r:.50}")
            self.attributes[name] = attribute
        if one(message, "domain", "") not in DOMAINS:
            self.refuse("must be an operator of ONNX itself; got one of another domain")
        if not self.outputs or not self.outputs[0]:
            self.refuse("must have an output; got none")

    def refuse(self, rule: str) -> NoReturn:
        """Raise an error that names the node and its operator."""
        raise ArchitectureError(f"{self.name[:100]!a} ({self.op[:50]!a}): {rule}")

    def whole(self, name: str, default: int) -> int:
        """Return a whole number, and cross the attribute off."""
        return int(one(self.attributes.pop(name, {}), "i", default))

    def number(self, name: str, default: float) -> float:
        """Return a number, and cross the attribute off."""
        return float(one(self.attributes.pop(name, {}), "f", default))

    def text(self, name: str, default: str) -> str:
        """Return a string, and cross the attribute off."""
        return str(one(self.attributes.pop(name, {}), "s", default))

    def wholes(self, name: str, default: tuple[int, ...], size: int | None = None) -> Any:
        """Return whole numbers, as many as asked for, and cross the attribute off."""
        numbers = tuple(self.attributes.pop(name, {}).get("ints", default))
        if size is not None and len(numbers) != size:
            self.refuse(f"{name} must be {size} numbers; got {len(numbers)}")
        return numbers

    def done(self) -> None:
        """Refuse what was not asked for: it may change what the node does."""
        if self.attributes:
            self.refuse(f"must have no option that decaf has not; got {min(self.attributes)!r:.50}")
