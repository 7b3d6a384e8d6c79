"""Value range: a value where none has been before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from learners.base import Arrays, Features, Prediction, Scorer, Target
from learners.indicators.watch import LARGEST, number_or_nan
from learners.kernels import value_range as kernels
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


class ValueRange(Scorer):
    """How far a value lies outside of all those before it: 0 inside, 0.5 at `margin`, 1 at most.

    A value at a distance e outside of a range of width w scores e / (e + margin w); of several
    features the strangest counts. It needs no model, and sees at once what a model that was
    surprised all along cannot make clear.

    It fails to see what is strange inside the range, which includes everything after one absurd
    value; a series with a trend leaves its range again and again, each time by a little.
    Features beyond `max_features` are not followed.

    Parameters
    ----------
    margin
        Distance outside that scores 0.5, as a share of the range's width.
    min_samples
        Values of a feature before it is judged.
    max_features
        How many features are followed.

    References
    ----------
    The rule with a hard limit at 5 % is of the Numenta anomaly benchmark's own detectors.
    """

    def __init__(
        self, margin: float = 0.05, min_samples: int = 100, max_features: int = 64
    ) -> None:
        require(0 < margin <= 1000, "margin", margin, "in (0, 1000]")
        require(1 <= min_samples <= 1_000_000_000, "min_samples", min_samples, "1..1000000000")
        require(1 <= max_features <= 4_096, "max_features", max_features, "1..4096")
        self.margin = margin
        self.min_samples = min_samples
        self.max_features = max_features
        arrays = allocate(_layout(max_features))
        self._ranges, self._seen = arrays["ranges"], arrays["seen"]
        self._values, self._last = arrays["values"], arrays["last"]
        self._last[0] = -1.0
        self._places = Places(max_features, LONGEST_NAMES)

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of a range for each feature, and of the names."""
        return layout_bytes(_layout(params.get("max_features", 64))) + LONGEST_NAMES

    def judge(
        self,
        prediction: Prediction,
        x: Features,
        y: Target = None,
        t: float | None = None,
        holding: bool = False,
    ) -> None:
        """Say how far outside of their ranges the numbers of one event are."""
        places = self._places.of
        for name, value in x.items():
            if name not in places and value is not None and not isinstance(value, str):
                self._places.take(name)
        for name, i in places.items():
            self._values[i] = number_or_nan(x.get(name))
        self._last[0] = kernels.range_judge(
            self._ranges, self._seen, self._values, len(places), self.min_samples, self.margin
        )

    def absorb(
        self, prediction: Prediction, x: Features, y: Target = None, t: float | None = None
    ) -> None:
        """Widen the ranges by the event that was judged last."""
        kernels.range_absorb(self._ranges, self._seen, self._values, len(self._places))

    def value(self) -> float | None:
        """Return how far outside the latest event was, or `None` if it could not be judged."""
        return float(self._last[0]) if self.fresh else None

    @property
    def fresh(self) -> bool:
        """Whether the latest event had a feature that could be judged."""
        return bool(self._last[0] >= 0.0)

    @property
    def warming(self) -> bool:
        """Whether no feature has come often enough."""
        return int(self._seen.max()) < self.min_samples

    def signals(self) -> Mapping[str, float]:
        """Return how many features are followed, and how far outside the latest event was."""
        return {
            "range_features": float(len(self._places)),
            "range_outside": max(float(self._last[0]), 0.0),
        }

    def get_state(self) -> Arrays:
        """Return the ranges, the names of their features, and what was said last."""
        features = len(self._places)
        return {
            "names": self._places.to_array(),
            "ranges": self._ranges[:features].copy(),
            "seen": self._seen[:features].copy(),
            "last": self._last.copy(),
        }

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        like: Layout = {
            "names": ((-1,), np.uint8),
            "ranges": ((-1, 2), np.float64),
            "seen": ((-1,), np.int64),
            "last": ((1,), np.float64),
        }
        check_state_arrays(arrays, like)
        features = self._places.check_rows(arrays, "ranges", "seen")
        check_range("seen", arrays["seen"], 0, 2**62)
        ranges, last = arrays["ranges"], float(arrays["last"][0])
        check_range("ranges", ranges, -LARGEST, LARGEST)
        ordered = ranges[:, kernels.LOW] <= ranges[:, kernels.HIGH]
        require_state(bool(ordered.all()), "ranges", "expected the least before the largest")
        require_state(last == -1.0 or 0.0 <= last <= 1.0, "last", "expected -1, or 0 to 1")
        self._seen[:] = 0
        self._seen[:features] = arrays["seen"]
        self._ranges[:features] = ranges
        self._last[:] = arrays["last"]
        self._places.restore(arrays["names"])


def _layout(max_features: int) -> Layout:
    return {
        "ranges": ((max_features, 2), np.float64),
        "seen": ((max_features,), np.int64),
        "values": ((max_features,), np.float64),
        "last": ((1,), np.float64),
    }
