"""Forecasts of one number in its own unit, with a band from how far off they were."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays, Forecast
from learners.inputs import Inputs
from learners.parameters import Layout, allocate, check_range, check_state_arrays, layout_bytes

WIDE = 1.645
"""Deviations to either side that hold nine in ten errors, were they normal."""
AVERAGED_OVER = 0.01
LARGEST = 1e12


class Bands:
    """Which number is forecast, and the running variance of the errors of all.

    It fails on errors that are not normal, and more than one event ahead, where the variance is
    taken to grow as that of a random walk.
    """

    def __init__(self, features: int, feature: str | None) -> None:
        self.feature = feature
        arrays = allocate(_layout(features))
        self.variance, self.target = arrays["variance"], arrays["target"]
        self.target[:] = -1

    @property
    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """All arrays it holds."""
        return self.variance, self.target

    @staticmethod
    def memory_bytes(features: int) -> int:
        """Return the bytes of all arrays."""
        return layout_bytes(_layout(features))

    @property
    def known(self) -> bool:
        """Whether there is a number to forecast."""
        return bool(self.target[0] >= 0)

    def choose(self, inputs: Inputs, rows: NDArray[np.int64]) -> None:
        """Take the number wanted, or the first of an event's (int64[n]), if none is chosen yet."""
        if not self.known:
            wanted = inputs.places_of_numbers({self.feature: 0.0}) if self.feature else rows
            self.target[0] = wanted[0] if len(wanted) else -1

    def note(self, rows: NDArray[np.int64], errors: NDArray[np.float64]) -> float:
        """Take in errors at places; return their root mean square."""
        squares = errors[rows] ** 2
        self.variance[rows] += AVERAGED_OVER * (squares - self.variance[rows])
        return math.sqrt(float(squares.mean()))

    def forecast(self, inputs: Inputs, ahead: int, said: NDArray[np.float64]) -> Forecast:
        """Return what is said of the number so many events ahead, with its band."""
        place = int(self.target[0])
        name, vector, found = inputs.name(place), np.zeros(place + 1), []
        spread = WIDE * math.sqrt(self.variance[place] * ahead)
        for off in (0.0, -spread, spread):
            vector[place] = said[place] + off
            found.append(inputs.named({name: 0.0}, vector)[name])
        return Forecast(ahead, *found)

    def get_state(self) -> Arrays:
        """Return a copy of every state array."""
        return {"variance": self.variance.copy(), "target": self.target.copy()}

    def check_state(self, arrays: Arrays) -> None:
        """Raise `StateError` unless `set_state` could take these."""
        check_state_arrays(arrays, _layout(len(self.variance)))
        check_range("variance", arrays["variance"], 0.0, LARGEST)
        check_range("target", arrays["target"], -1, len(self.variance) - 1)

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state with what `check_state` accepted."""
        self.variance[:] = arrays["variance"]
        self.target[:] = arrays["target"]


def _layout(features: int) -> Layout:
    return {"variance": ((features,), np.float64), "target": ((1,), np.int64)}
