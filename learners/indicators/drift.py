"""Drift: what the detectors of a change in the score, the error or a feature share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from learners.base import Arrays, Drift, Features, Indicator, Prediction, Target, check_arrays
from learners.indicators.watch import check_watch, watched
from learners.parameters import Layout, allocate, check_range

LARGEST_SUM = 1e117
"""What no sum of 2**52 numbers up to 1e100 comes to; its square still has room below infinity."""
LARGEST_SQUARES = 1e250


class DriftDetector(Indicator):
    """Watches one number of each event; one that has none changes nothing.

    After a drift it begins anew, as River's detectors do. The value is how many were found.
    """

    detector: ClassVar[str]

    def __init__(self, watch: str, layout: Layout) -> None:
        self.watch = check_watch(watch)
        self._state = ("found", *layout)  # type: ignore[misc]
        self.found = np.zeros(1, np.int64)
        for name, array in allocate(layout).items():
            setattr(self, name, array)
        self._drifts: tuple[Drift, ...] = ()
        self._begin()

    def update(
        self, prediction: Prediction, x: Features, y: Target = None, t: float | None = None
    ) -> None:
        """Take in one event."""
        self._watch(watched(self.watch, prediction, x, y))

    def update_label(
        self, prediction: Prediction, x: Features, y: float | str, t: float | None = None
    ) -> None:
        """Take in the error that a label reveals after its event, if that is what is watched."""
        self._watch(watched(self.watch, prediction, x, y) if self.watch == "error" else None)

    def _watch(self, value: float | None) -> None:
        self._drifts = ()
        if value is None:
            return
        means = self._take(value)
        if means is not None:
            self.found[0] += 1
            self._drifts = (Drift(self.detector, self.watch, *means),)
            self._begin()

    def value(self) -> float:
        """Return how many drifts were found."""
        return float(self.found[0])

    def drifts(self) -> Sequence[Drift]:
        """Return the drift that the latest event revealed."""
        return self._drifts

    def signals(self) -> Mapping[str, float]:
        """Return how many drifts were found, and what the detector goes by."""
        prefix = f"{self.detector}_{self.watch}_"
        signals = {"drifts": self.value()} | self._measures()
        return {prefix + name: value for name, value in signals.items()}

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        check_arrays(arrays, {name: getattr(self, name) for name in self._state})
        check_range("found", arrays["found"], 0, 2**62)
        self._check(arrays)
        super().set_state(arrays)
        self._drifts = ()

    @abstractmethod
    def _begin(self) -> None:
        """Forget everything but how many drifts were found."""

    @abstractmethod
    def _take(self, value: float) -> tuple[float, float] | None:
        """Take in a number; return the means before and after a change, if it reveals one."""

    @abstractmethod
    def _measures(self) -> dict[str, float]:
        """Return what the detector goes by."""

    @abstractmethod
    def _check(self, arrays: Arrays) -> None:
        """Raise `StateError` unless the arrays can be a state."""
