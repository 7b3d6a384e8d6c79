"""Features by name become a vector of fixed width."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays, Features, InvalidEvent
from learners.kernels import inputs as kernels
from learners.parameters import Layout, check_range, check_state_arrays, require
from learners.places import Places

LARGEST = 1e100
LONGEST_NAMES = 1 << 20
MOST_DEVIATIONS = 8.0
_FINITE = 1.7976931348623157e308


class Inputs:
    """The features of an event as `vector`, float64[width]; each new name takes the next place.

    A string is a feature of its own, `name=value`, that is 1 where it is said and 0 elsewhere,
    standardized or not. A missing number is 0; with `standardize`, which is to take off the running
    mean and divide by the running deviation (Welford 1962), that is its mean. Standardized numbers
    stop at 8 deviations, so that an absurd one does not throw a network off. `center` takes off the
    mean alone, which keeps how large numbers are beside each other.

    It fails with more features than `width`: those that come last are not seen. Standardized
    numbers of a drifting stream follow it ever more slowly, for each event counts the same.
    """

    def __init__(self, width: int, standardize: bool = False, center: bool = False) -> None:
        require(1 <= width <= 65_536, "width", width, "1..65536")
        self.width = width
        self.standardize = standardize
        self.center = center
        self.vector = np.zeros(width)
        self._moments = np.zeros((width, 2))
        self._seen = np.zeros(width, np.int64)
        self._places = Places(width, LONGEST_NAMES)
        self._last_names: tuple[str, ...] = ()
        self._last_known = 0
        self._last_row = np.zeros(0, np.int64)
        self._last_complete = True
        self.complete = False
        """Whether the event read last had numbers alone, and a place for each of them."""

    @staticmethod
    def memory_bytes(width: int) -> int:
        """Return the most bytes that inputs of a width will hold."""
        return width * 32 + LONGEST_NAMES

    @property
    def known(self) -> int:
        """How many places are taken."""
        return len(self._places)

    def read(self, x: Features) -> NDArray[np.float64]:
        """Return `vector` for an event, passing over names that have no place.

        Raises `InvalidEvent` for a number that is not finite.
        """
        numbers, words = _sorted_out(x)
        row = self._row(tuple(numbers))
        self.complete = not words and self._last_complete
        return self._write(_finite(numbers), row, words)

    def learn(self, x: Features) -> NDArray[np.float64]:
        """Give new names a place, take numbers into the moments, then `read`; raises as it does."""
        numbers, words = _sorted_out(x)
        values, names = _finite(numbers), tuple(numbers)
        row = self._row(names)
        if words or row.min(initial=0) < 0:
            for name, value in x.items():
                if value is not None:
                    self._places.take(f"{name}={value}" if isinstance(value, str) else name)
            row = self._row(names)
        if self.standardize or self.center:
            kernels.count(values, row, self._moments, self._seen)
        return self._write(values, row, words)

    def _row(self, names: tuple[str, ...]) -> NDArray[np.int64]:
        """Return the places of names, -1 where there is none."""
        # Most events of a stream have the features of the one before.
        if names != self._last_names or self.known != self._last_known:
            self._last_names, self._last_known = names, self.known
            of = self._places.of
            self._last_row = np.array([of.get(name, -1) for name in names], np.int64)
            self._last_complete = bool(self._last_row.min(initial=0) >= 0)
        return self._last_row

    def _write(
        self, values: NDArray[np.float64], row: NDArray[np.int64], words: list[str]
    ) -> NDArray[np.float64]:
        if self.standardize:
            kernels.place_standardized(
                values, row, self._moments, self._seen, MOST_DEVIATIONS, self.vector
            )
        elif self.center:
            kernels.place_centered(values, row, self._moments, self.vector)
        else:
            kernels.place(values, row, self.vector)
        for word in words:
            if (i := self._places.of.get(word, -1)) >= 0:
                self.vector[i] = 1.0
        return self.vector

    def places_of_numbers(self, x: Features) -> NDArray[np.int64]:
        """Return the places of the numbers that an event has, without those that have none."""
        of = self._places.of
        found = (
            of.get(name, -1)
            for name, value in x.items()
            if value is not None and not isinstance(value, str)
        )
        return np.array([place for place in found if place >= 0], np.int64)

    def name(self, place: int) -> str:
        """Return the name that has a place."""
        return next(name for i, name in enumerate(self._places) if i == place)

    def named(self, x: Features, vector: NDArray[np.float64]) -> dict[str, float]:
        """Return the numbers that would have `vector` in the places of the numbers of an event."""
        found: dict[str, float] = {}
        for name, value in x.items():
            if not isinstance(value, str) and (i := self._places.of.get(name, -1)) >= 0:
                mean, squares = self._moments[i].tolist()
                spread = min(math.sqrt(squares / max(self._seen[i], 1)), LARGEST)
                scale = spread if self.standardize else 1.0
                found[name] = min(max(mean + scale * float(vector[i]), -LARGEST), LARGEST)
        return found

    def get_state(self) -> Arrays:
        """Return the names in the order of their places, and their moments."""
        known = self.known
        return {
            "names": self._places.to_array(),
            "moments": self._moments[:known].copy(),
            "seen": self._seen[:known].copy(),
        }

    def check_state(self, arrays: Arrays) -> None:
        """Raise `StateError` unless `set_state` could take these."""
        layout: Layout = {
            "names": ((-1,), np.uint8),
            "moments": ((-1, 2), np.float64),
            "seen": ((-1,), np.int64),
        }
        check_state_arrays(arrays, layout)
        self._places.check_rows(arrays, "moments", "seen")
        check_range("seen", arrays["seen"], 0, 2**62)
        check_range("moments", arrays["moments"][:, kernels.MEAN], -2 * LARGEST, 2 * LARGEST)
        check_range("moments", arrays["moments"][:, kernels.SQUARES], 0.0, math.inf)

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        self.check_state(arrays)
        self._places.restore(arrays["names"])
        self._last_names, self._last_row, self._last_complete = (), np.zeros(0, np.int64), True
        self._moments[:] = 0.0
        self._seen[:] = 0
        self._moments[: self.known] = arrays["moments"]
        self._seen[: self.known] = arrays["seen"]


def _sorted_out(x: Features) -> tuple[Mapping[str, float], list[str]]:
    """Return the numbers of an event, and its strings as features of their own."""
    if set(map(type, x.values())) == {float}:
        return cast(Mapping[str, float], x), []
    numbers: dict[str, float] = {}
    words: list[str] = []
    for name, value in x.items():
        if isinstance(value, str):
            words.append(f"{name}={value}")
        elif value is not None:
            # An integer may be beyond what a float holds.
            numbers[name] = float(value) if -_FINITE <= value <= _FINITE else math.nan
    return numbers, words


def _finite(numbers: Mapping[str, float]) -> NDArray[np.float64]:
    """Return numbers, at most 1e100 either way, or raise `InvalidEvent`."""
    values = np.fromiter(numbers.values(), np.float64, len(numbers))
    if not kernels.clip(values, LARGEST):
        name, value = next(each for each in numbers.items() if not math.isfinite(each[1]))
        raise InvalidEvent(f"{name}: got {value!r}, expected a finite number or null")
    return values
