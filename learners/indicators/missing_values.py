"""Missing values: which features have stopped coming, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from learners.base import Arrays, Features, Indicator, Prediction, Target
from learners.kernels import missing as kernels
from learners.parameters import (
    Layout,
    allocate,
    check_range,
    check_state_arrays,
    layout_bytes,
    require,
    require_state,
)
from learners.places import Places

LONGEST_NAMES = 1 << 20


class MissingValues(Indicator):
    """Share of the last events in which a feature was absent or null; the value is the largest.

    A feature is known from the first event that has it. It fails to tell a feature that is rare
    by nature from one that is lost: look at the change, not at the share. Features beyond
    `max_features` are not followed.

    Parameters
    ----------
    window
        Events over which shares are taken.
    max_features
        How many features are followed.
    """

    def __init__(self, window: int = 100, max_features: int = 64) -> None:
        require(1 <= window <= 100_000, "window", window, "1..100000")
        require(1 <= max_features <= 4_096, "max_features", max_features, "1..4096")
        self.window = window
        self.max_features = max_features
        arrays = allocate(_layout(window, max_features))
        self._ring, self._missing = arrays["ring"], arrays["missing"]
        self._since, self._now = arrays["since"], arrays["now"]
        self._places = Places(max_features, LONGEST_NAMES)

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of a ring for each feature, and of the names."""
        layout = _layout(params.get("window", 100), params.get("max_features", 64))
        return layout_bytes(layout) + LONGEST_NAMES

    def update(
        self, prediction: Prediction, x: Features, y: Target = None, t: float | None = None
    ) -> None:
        """Take in which features one event has."""
        for name, value in x.items():
            if value is not None and name not in self._places.of:
                self._places.take(name)
        for i, name in enumerate(self._places):
            self._now[i] = x.get(name) is None
        kernels.missing_update(self._ring, self._missing, self._since, self._now, len(self._places))

    def shares(self) -> dict[str, float]:
        """Return the share of events without it, for each feature."""
        return {
            name: float(self._missing[i] / min(self._since[i], self.window))
            for name, i in self._places.of.items()
        }

    def value(self) -> float | None:
        """Return the largest share, in [0, 1], or `None` before any feature came."""
        return max(self.shares().values(), default=None)

    def signals(self) -> Mapping[str, float]:
        """Return the share of each feature and the largest of them."""
        shares = self.shares()
        each = {f"missing_x.{name}": share for name, share in shares.items()}
        return {"missing_most": max(shares.values(), default=0.0)} | each

    def get_state(self) -> Arrays:
        """Return the rings in use and the names of their features."""
        features = len(self._places)
        return {
            "names": self._places.to_array(),
            "ring": self._ring[:features].copy(),
            "missing": self._missing[:features].copy(),
            "since": self._since[:features].copy(),
        }

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        like: Layout = {
            "names": ((-1,), np.uint8),
            "ring": ((-1, self.window), np.uint8),
            "missing": ((-1,), np.int64),
            "since": ((-1,), np.int64),
        }
        check_state_arrays(arrays, like)
        features = self._places.check_rows(arrays, "ring", "missing", "since")
        check_range("ring", arrays["ring"], 0, 1)
        check_range("since", arrays["since"], 1, 2**62)
        sums = arrays["ring"].sum(axis=1, dtype=np.int64)
        require_state(
            bool(np.all(sums == arrays["missing"])), "missing", "expected the rings' sums"
        )
        for own, name in ((self._ring, "ring"), (self._missing, "missing"), (self._since, "since")):
            own[...] = 0
            own[:features] = arrays[name]
        self._places.restore(arrays["names"])


def _layout(window: int, max_features: int) -> Layout:
    return {
        "ring": ((max_features, window), np.uint8),
        "missing": ((max_features,), np.int64),
        "since": ((max_features,), np.int64),
        "now": ((max_features,), np.uint8),
    }
