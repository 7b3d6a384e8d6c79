"""State of the scalers: StandardScaler and MinMaxScaler over the whole stream."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from learners.base import Arrays
from learners.parameters import (
    Layout,
    check_range,
    check_state_arrays,
    names_in,
    require_state,
    text_array,
)
from learners.river.codec import (
    ESTIMATOR_BYTES,
    MOST_EVENTS,
    NAME_BYTES,
    Codec,
    Size,
    floats,
    require_each,
    require_rows,
)

LARGEST = 1e100
BYTES_PER_FEATURE = 1_024 + NAME_BYTES


class OverTheWholeStream(Codec):
    """What both scalers share: with a window, their state is River's own and stays there."""

    def keeps(self, estimator: Any) -> bool:
        """Return whether the scaler has no window."""
        return estimator.window_size is None

    def memory_bytes(self, estimator: Any, size: Size) -> int:
        """Return a bound that grows with the features."""
        return ESTIMATOR_BYTES + size.features * BYTES_PER_FEATURE


class StandardScaler(OverTheWholeStream):
    """Arrays: names, count int64[f], mean float64[f], variance float64[f].

    Features are in the order of their names, because River's results do not depend on it. Asking
    River to scale a feature it does not know leaves an entry behind; such are not state.
    """

    fields = frozenset({"with_std", "window_size", "counts", "means", "vars"})

    def to_arrays(self, estimator: Any) -> Arrays:
        """Return the running moments of each feature."""
        names = sorted(estimator.counts)
        return {
            "names": text_array(names),
            "count": np.array([estimator.counts[name] for name in names], np.int64),
            "mean": floats(estimator.means[name] for name in names),
            "variance": floats(estimator.vars.get(name, 0.0) for name in names),
        }

    def from_arrays(self, estimator: Any, arrays: Arrays) -> None:
        """Write the running moments; raises `StateError` if a variance is negative."""
        layout: Layout = {
            "names": ((-1,), np.uint8),
            "count": ((-1,), np.int64),
            "mean": ((-1,), np.float64),
            "variance": ((-1,), np.float64),
        }
        check_state_arrays(arrays, layout)
        names = names_in("names", arrays["names"])
        for name in ("count", "mean", "variance"):
            require_rows(name, arrays[name], len(names))
        require_each("count", arrays["count"], 1, MOST_EVENTS)
        require_each("variance", arrays["variance"], 0.0)
        estimator.counts.update(dict(zip(names, arrays["count"].tolist(), strict=True)))
        estimator.means.update(zip(names, arrays["mean"].tolist(), strict=True))
        if estimator.with_std:
            estimator.vars.update(zip(names, arrays["variance"].tolist(), strict=True))


class MinMaxScaler(OverTheWholeStream):
    """Arrays: names, low float64[f], high float64[f], in the order of the names."""

    fields = frozenset({"window_size", "min", "max"})

    def to_arrays(self, estimator: Any) -> Arrays:
        """Return the range of each feature that was ever learned from."""
        low = {name: stat.get() for name, stat in estimator.min.items()}
        names = sorted(name for name, value in low.items() if value != math.inf)
        return {
            "names": text_array(names),
            "low": floats(low[name] for name in names),
            "high": floats(estimator.max[name].get() for name in names),
        }

    def from_arrays(self, estimator: Any, arrays: Arrays) -> None:
        """Write the ranges; raises `StateError` unless they are finite."""
        layout: Layout = {
            "names": ((-1,), np.uint8),
            "low": ((-1,), np.float64),
            "high": ((-1,), np.float64),
        }
        check_state_arrays(arrays, layout)
        names = names_in("names", arrays["names"])
        for name in ("low", "high"):
            require_rows(name, arrays[name], len(names))
            check_range(name, arrays[name], -LARGEST, LARGEST)
        upside_down = bool((arrays["low"] > arrays["high"]).any())
        require_state(not upside_down, "low", "got one above high")
        for name, low, high in zip(
            names, arrays["low"].tolist(), arrays["high"].tolist(), strict=True
        ):
            estimator.min[name].min = low
            estimator.max[name].max = high
