"""Names of features get places, in the order in which they first come."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays
from learners.parameters import names_in, require_state, text_array

_BYTES_A_CHARACTER = 12
"""The most that one takes as escaped JSON."""


class Places:
    """A table of at most `most` names, which take at most `name_bytes` as a state array."""

    def __init__(self, most: int, name_bytes: int) -> None:
        self.most = most
        self.name_bytes = name_bytes
        self.of: dict[str, int] = {}
        """The place of each name that has one."""
        self._characters = 0

    def __len__(self) -> int:
        return len(self.of)

    def __iter__(self) -> Iterator[str]:
        return iter(self.of)

    def take(self, name: str) -> int:
        """Return the place of a name, the next free one if it is new, or -1 if none is left."""
        found = self.of.get(name, -1)
        if found < 0 and len(self.of) < self.most:
            characters = self._characters + len(name)
            if characters <= self.name_bytes // _BYTES_A_CHARACTER:
                self._characters = characters
                found = self.of[name] = len(self.of)
        return found

    def to_array(self) -> NDArray[np.uint8]:
        """Return the names in the order of their places."""
        return text_array(list(self.of))

    def check_rows(self, arrays: Arrays, *rows: str) -> int:
        """Return how many `names` there are, or raise `StateError`; each of `rows` has as many."""
        names = names_in("names", arrays["names"], self.most)
        for name in rows:
            require_state(len(arrays[name]) == len(names), name, f"expected {len(names)} rows")
        return len(names)

    def restore(self, array: NDArray[np.uint8]) -> None:
        """Replace the names with those that `check_rows` accepted."""
        names = names_in("names", array)
        self.of = {name: i for i, name in enumerate(names)}
        self._characters = sum(map(len, names))
