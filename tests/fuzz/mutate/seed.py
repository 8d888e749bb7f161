"""What mutants are made from: bytes, or the members of a container that is packed again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from fuzz.mutate.damage import damaged


class Seed(Protocol):
    """A valid file, and a way to damage it."""

    def whole(self) -> bytes: ...

    def mutant(self, random: Random, words: Sequence[bytes], other: Seed) -> bytes:
        """One damaged version; `words` are those of the format, `other` another seed of it."""
        ...


@dataclass(frozen=True)
class Raw:
    """Bytes, and nothing known about them."""

    data: bytes

    def whole(self) -> bytes:
        return self.data

    def mutant(self, random: Random, words: Sequence[bytes], other: Seed) -> bytes:
        return damaged(self.data, random, words, other.whole())


@dataclass(frozen=True)
class Packed:
    """Members that a container holds with checksums or lengths, which `pack` makes right again."""

    members: Mapping[str, Seed | bytes]
    pack: Callable[[dict[str, bytes]], bytes]

    def parts(self) -> dict[str, bytes]:
        """The members, undamaged."""
        return {name: _seed(value).whole() for name, value in self.members.items()}

    def whole(self) -> bytes:
        return self.pack(self.parts())

    def mutant(self, random: Random, words: Sequence[bytes], other: Seed) -> bytes:
        if random.random() < 0.3:
            return damaged(self.whole(), random, words, other.whole())
        made = self.parts()
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            name = random.choice(list(made))
            chance = random.random()
            if chance < 0.05:
                del made[name]
                break
            if chance < 0.1:
                other_name = damaged(name.encode(), random, words, b"").decode(errors="replace")
                made[other_name] = made[name]
                continue
            donor = random.choice(list(made.values())) if random.random() < 0.2 else made[name]
            intact = _seed(self.members.get(name, made[name]))
            made[name] = intact.mutant(random, words, Raw(donor))
        return self.pack(made)


def _seed(value: Seed | bytes) -> Seed:
    return Raw(value) if isinstance(value, bytes) else value
