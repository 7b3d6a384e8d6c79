"""Features by name become a vector of fixed width."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays, Features, InvalidEvent
from learners.parameters import Layout, check_range, check_state_arrays, require
from learners.places import Places

LARGEST = 1e100
LONGEST_NAMES = 1 << 20
MOST_DEVIATIONS = 8.0
_FINITE = 1.7976931348623157e308
_MEAN, _SQUARES = 0, 1


class Inputs:
    """The features of an event as `vector`, float64[width]; each new name takes the next place.

    A string is a feature of its own, `name=value`, that is 1 where it is said and 0 elsewhere,
    standardized or not. A missing number is 0; with `standardize`, which is to take off the running
    mean and divide by the running deviation (Welford 1962), that is its mean. Standardized numbers
    stop at 8 deviations, so that an absurd one does not throw a network off.

    It fails with more features than `width`: those that come last are not seen. Standardized
    numbers of a drifting stream follow it ever more slowly, for each event counts the same.
    """

    def __init__(self, width: int, standardize: bool = False) -> None:
        require(1 <= width <= 65_536, "width", width, "1..65536")
        self.width = width
        self.standardize = standardize
        self.vector = np.zeros(width)
        self._moments = np.zeros((width, 2))
        self._seen = np.zeros(width, np.int64)
        self._places = Places(width, LONGEST_NAMES)

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
        vector, places = self.vector, self._places.of
        vector.fill(0.0)
        for name, value in x.items():
            if value is None:
                continue
            if isinstance(value, str):
                if (i := places.get(f"{name}={value}", -1)) >= 0:
                    vector[i] = 1.0
            elif not -_FINITE <= value <= _FINITE:
                raise InvalidEvent(f"{name}: got {value!r}, expected a finite number or null")
            elif (i := places.get(name, -1)) >= 0:
                number = min(max(float(value), -LARGEST), LARGEST)
                vector[i] = self._standard(i, number) if self.standardize else number
        return vector

    def learn(self, x: Features) -> NDArray[np.float64]:
        """Give new names a place, take numbers into the moments, then `read`."""
        self.read(x)
        for name, value in x.items():
            if value is None:
                continue
            if isinstance(value, str):
                self._places.take(f"{name}={value}")
            elif (i := self._places.take(name)) >= 0 and self.standardize:
                self._count(i, float(value))
        return self.read(x)

    def _count(self, i: int, value: float) -> None:
        value = min(max(value, -LARGEST), LARGEST)
        self._seen[i] += 1
        mean = self._moments[i, _MEAN]
        step = value - mean
        self._moments[i, _MEAN] = mean + step / self._seen[i]
        self._moments[i, _SQUARES] += step * (value - self._moments[i, _MEAN])

    def _standard(self, i: int, value: float) -> float:
        n = int(self._seen[i])
        deviation = math.sqrt(self._moments[i, _SQUARES] / n) if n > 1 else 0.0
        if deviation <= 0.0:
            return 0.0
        found = (value - float(self._moments[i, _MEAN])) / deviation
        return min(max(found, -MOST_DEVIATIONS), MOST_DEVIATIONS)

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
        check_range("moments", arrays["moments"][:, _MEAN], -2 * LARGEST, 2 * LARGEST)
        check_range("moments", arrays["moments"][:, _SQUARES], 0.0, math.inf)

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        self.check_state(arrays)
        self._places.restore(arrays["names"])
        self._moments[:] = 0.0
        self._seen[:] = 0
        self._moments[: self.known] = arrays["moments"]
        self._seen[: self.known] = arrays["seen"]
