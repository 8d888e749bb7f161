"""Mutants of JSON: taken apart into its values."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from random import Random
from typing import Any

from fuzz.mutate.damage import LONGEST, NUMBERS, WORDS
from fuzz.mutate.seed import Raw, Seed


class Json(Raw):
    """JSON, taken apart into its values."""

    def mutant(self, random: Random, words: Sequence[bytes], other: Seed) -> bytes:
        if random.random() < 0.25:
            return super().mutant(random, (*words, *WORDS), other)
        root = [json.loads(self.data)]
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            _shuffle_values(root, random, words)
        text = json.dumps(root[0]).encode()
        if random.random() < 0.05:  # a key twice, which no dictionary can say
            at = text.find(b"{", random.randrange(len(text))) + 1
            text = text[:at] + b'"name": 1, "name": 2, ' * (at > 0) + text[at:]
        return text[:LONGEST]


def _shuffle_values(root: list[Any], random: Random, words: Sequence[bytes]) -> None:
    """Change one value of a tree of dictionaries and lists, or a key, in place."""
    places: list[tuple[Any, Any]] = []
    todo: list[Any] = [root]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            inside = list(node.items())
        else:
            inside = list(enumerate(node))
        places += [(node, key) for key, _ in inside]
        todo += [value for _, value in inside if isinstance(value, (dict, list))]
    if not places:
        root[:] = [0]
        return
    node, key = random.choice(places)
    other, there = random.choice(places)
    value = node[key]
    kind = random.randrange(8)
    if kind == 0 and node is not root:
        del node[key]
    elif kind == 1:
        if isinstance(node, dict):
            node[random.choice((*words, *WORDS)).decode(errors="replace")] = value
        else:
            node.insert(key, copy.deepcopy(value))
    elif kind == 2:
        node[key] = [value]
    elif kind == 3 and isinstance(value, int):
        node[key] = value + random.choice((-1, 1, 2))
    elif kind == 4:
        node[key] = copy.deepcopy(other[there])
    else:
        node[key] = random.choice(
            (
                None, True, False, "", [], {}, 0.5, -1.5, 1e308, float("inf"), float("nan"), 2**31,
                2**63, 10**30, [1] * 1000, "a" * 5000,
                "\0", "\ud800", [[[[[[]]]]]], random.choice(NUMBERS), random.choice(NUMBERS),
                random.choice((*words, *WORDS)).decode(errors="replace"),
            )
        )  # fmt: skip
