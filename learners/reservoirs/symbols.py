"""Which feature of an event is its symbol."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from learners.base import Features, InvalidEvent, class_name
from learners.parameters import names_in, require, require_state, text_array

LONGEST_NAMES = 1 << 18
LONGEST_FEATURE = 1_024
MOST_SHOWN, LONGEST_SHOWN = 3, 64
_FINITE = 1.7976931348623157e308


class SymbolFeature:
    """The feature that holds an event's symbol: the one named, or the only one that can be it."""

    def __init__(self, name: str | None) -> None:
        good = name is None or 0 < len(name.encode()) <= LONGEST_FEATURE
        require(good, "symbol", name, f"1 to {LONGEST_FEATURE} bytes")
        self.given = name
        self.name = name or ""
        """Empty until it is found."""

    @staticmethod
    def memory_bytes() -> int:
        """Return the most bytes that a name takes as a state array."""
        return 12 * LONGEST_FEATURE

    def read(self, x: Features) -> tuple[str, str | None]:
        """Return the feature's name and the symbol it holds, if any, or raise `InvalidEvent`."""
        name = self.name or _only(x)
        value = x.get(name)
        if value is None or isinstance(value, str):
            return name, value
        if not -_FINITE <= value <= _FINITE or not math.isfinite(value):
            got = repr(value) if isinstance(value, float) else "an integer beyond all floats"
            raise InvalidEvent(f"{name}: got {got}, expected text or a finite number")
        return name, class_name(float(value))

    def to_array(self) -> NDArray[np.uint8]:
        """Return the name as a state array."""
        return text_array([self.name])

    def check(self, array: NDArray[np.uint8]) -> None:
        """Raise `StateError` unless `restore` could take this."""
        names = names_in("feature", array)
        require_state(len(names) == 1, "feature", f"got {len(names)} names, expected one")
        agrees = self.given is None or names[0] == self.given
        require_state(agrees, "feature", f"got {names[0]!r}, expected {self.given!r}")
        fits = len(names[0].encode(errors="replace")) <= LONGEST_FEATURE
        require_state(fits, "feature", "too long a name")

    def restore(self, array: NDArray[np.uint8]) -> None:
        """Take over the name that `check` accepted."""
        self.name = names_in("feature", array)[0]


def _only(x: Features) -> str:
    """Return the only feature with text, or the only one at all."""
    names = [name for name, value in x.items() if isinstance(value, str)] or list(x)
    if len(names) != 1 or len(names[0].encode(errors="replace")) > LONGEST_FEATURE:
        some = [name[:LONGEST_SHOWN] for name in sorted(x)[:MOST_SHOWN]]
        got = f"{len(x)} features, {some}{' and more' if len(x) > MOST_SHOWN else ''}"
        raise InvalidEvent(f"x: got {got}, expected one with text, or the parameter `symbol`")
    return names[0]
