"""Rolling z-score: the baseline that any model has to beat."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from learners.base import (
    Arrays,
    Features,
    Forecast,
    InvalidEvent,
    Learner,
    Prediction,
    Target,
)
from learners.kernels import rolling as kernels
from learners.parameters import (
    Layout,
    allocate,
    check_range,
    check_state_arrays,
    layout_bytes,
    names_in,
    require,
    require_state,
    text_array,
)

LARGEST = 1e150
FINITE = float(np.finfo(np.float64).max)
TAIL_5_PERCENT = 1.645
LONGEST_NAMES = 1 << 20


class RollingZScore(Learner):
    """How far a value lies from the mean of the last `window`, in standard deviations.

    The score is the two-sided normal probability erf(|z| / sqrt 2) of the worst feature, in
    [0, 1], and `None` before `min_samples`. The features are those of the first event that are
    not strings; a later event may leave any of them out. The forecast, of the first feature, is
    the mean of the window, with a band of 1.645 standard deviations: 90 % if values are normal
    and independent.

    It fails wherever values depend on their order: a daily cycle, a trend, a change of level.
    Values beyond 1e150 count as 1e150.

    Parameters
    ----------
    window, min_samples
        Values kept of each feature; of these, how many before there is a score.
    max_features
        How many features a first event may have.
    """

    def __init__(self, window: int = 100, min_samples: int = 10, max_features: int = 64) -> None:
        require(2 <= window <= 10_000_000, "window", window, "2..10000000")
        require(2 <= min_samples <= window, "min_samples", min_samples, f"2..window ({window})")
        require(1 <= max_features <= 4096, "max_features", max_features, "1..4096")
        self.window = window
        self.min_samples = min_samples
        self.max_features = max_features
        arrays = allocate(_layout(window, max_features))
        self._ring, self._seen = arrays["ring"], arrays["seen"]
        self._moments = arrays["moments"]
        self._values, self._out = arrays["values"], arrays["out"]
        self._first_out = self._out[0]
        self._names: tuple[str, ...] = ()

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of all rings, full, and of the feature names."""
        layout = _layout(params.get("window", 100), params.get("max_features", 64))
        return layout_bytes(layout) + LONGEST_NAMES

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return score and forecast of `x`, changing nothing.

        Raises
        ------
        InvalidEvent
            If a known feature is no finite number, or the first event has no feature to take.
        """
        names = self._names or self._choose(x)
        self._read(x, names)
        score = kernels.rolling_look(
            self._seen,
            self._moments,
            self._values,
            len(names),
            self.window,
            self.min_samples,
            self._out,
        )
        return self._prediction(names, score)

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Learn from one event; raises as `predict` does, before anything changed."""
        names = self._names or self._choose(x)
        self._read(x, names)
        kernels.rolling_learn(self._ring, self._seen, self._moments, self._values, len(names))
        self._names = names

    def step_one(self, x: Features, y: Target = None, t: float | None = None) -> Prediction:
        """Predict, then learn, in one pass; raises as `predict` does."""
        names = self._names or self._choose(x)
        self._read(x, names)
        score = kernels.rolling_step(
            self._ring,
            self._seen,
            self._moments,
            self._values,
            len(names),
            self.min_samples,
            self._out,
        )
        self._names = names
        return self._prediction(names, score)

    def forecast(self, horizon: int) -> list[Forecast]:
        """Return the window's mean and band, for one event ahead."""
        if horizon < 1 or self._seen[0] < self.min_samples:
            return []
        mean = float(self._moments[0, kernels.MEAN])
        n = min(int(self._seen[0]), self.window)
        half = TAIL_5_PERCENT * math.sqrt(self._moments[0, kernels.SQUARES] / n)
        return [Forecast(1, mean, mean - half, mean + half)]

    def signals(self) -> Mapping[str, float]:
        """Return how many features there are and how many values the first one gave."""
        return {"features": float(len(self._names)), "values": float(self._seen[0])}

    def get_state(self) -> Arrays:
        """Return rings in use, their moments and the feature names."""
        features = len(self._names)
        return {
            "names": text_array(self._names),
            "ring": self._ring[:features].copy(),
            "seen": self._seen[:features].copy(),
            "moments": self._moments[:features].copy(),
        }

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        like: Layout = {
            "names": ((-1,), np.uint8),
            "ring": ((-1, self.window), np.float64),
            "seen": ((-1,), np.int64),
            "moments": ((-1, 2), np.float64),
        }
        check_state_arrays(arrays, like)
        names = tuple(names_in("names", arrays["names"], self.max_features))
        for name in ("ring", "seen", "moments"):
            require_state(len(arrays[name]) == len(names), name, f"expected {len(names)} rows")
        check_range("ring", arrays["ring"], -LARGEST, LARGEST)
        check_range("seen", arrays["seen"], 0, 2**62)
        check_range("moments", arrays["moments"][:, kernels.MEAN], -2 * LARGEST, 2 * LARGEST)
        check_range("moments", arrays["moments"][:, kernels.SQUARES], 0.0, math.inf)
        for name in ("ring", "seen", "moments"):
            own = getattr(self, f"_{name}")
            own[:] = 0
            own[: len(names)] = arrays[name]
        self._names = names

    def _choose(self, x: Features) -> tuple[str, ...]:
        names = tuple(name for name, value in x.items() if not isinstance(value, str))
        if not 1 <= len(names) <= self.max_features:
            raise InvalidEvent(f"x: got {len(names)} numbers, expected 1..{self.max_features}")
        if sum(map(len, names)) > LONGEST_NAMES // 8:
            raise InvalidEvent("x: the names of its features are too long to keep")
        return names

    def _read(self, x: Features, names: tuple[str, ...]) -> None:
        for i, name in enumerate(names):
            value = x.get(name)
            if value is None:
                self._values[i] = math.nan
            elif isinstance(value, str) or not -FINITE <= value <= FINITE:
                raise InvalidEvent(f"{name}: got {value!r}, expected a finite number or null")
            elif -LARGEST <= value <= LARGEST:
                self._values[i] = value
            else:
                self._values[i] = math.copysign(LARGEST, value)

    def _prediction(self, names: tuple[str, ...], score: float) -> Prediction:
        if score < 0.0:
            return Prediction()
        mean, deviation = self._first_out.tolist()
        half = TAIL_5_PERCENT * deviation
        known = mean == mean
        if len(names) == 1:
            expected = {names[0]: mean}
        else:
            rows = self._out[: len(names)].tolist()
            expected = {n: r[0] for n, r in zip(names, rows, strict=True) if r[0] == r[0]}
        return Prediction(
            score=score,
            forecast=(Forecast(1, mean, mean - half, mean + half),) if known else (),
            expected=expected,
        )


def _layout(window: int, max_features: int) -> Layout:
    return {
        "ring": ((max_features, window), np.float64),
        "seen": ((max_features,), np.int64),
        "moments": ((max_features, 2), np.float64),
        "values": ((max_features,), np.float64),
        "out": ((max_features, 2), np.float64),
    }
