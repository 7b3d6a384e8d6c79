"""Bands about anyone's forecasts, as an object: owns the arrays that the kernels work on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from learners.base import Arrays, Stateful
from learners.kernels import intervals as kernels
from learners.parameters import (
    Layout,
    allocate,
    check_range,
    check_state_arrays,
    layout_bytes,
    require,
)

LARGEST = float(np.finfo(np.float64).max)


class Intervals(Stateful):
    """Bands that hold `coverage` of what comes, learned online from how far off forecasts were.

    Each horizon has its own: the average error of late times a factor for each side, which grows
    when a value falls outside and shrinks while none does (adaptive conformal inference). Over a
    long run the share outside each side is right whatever the values do; it may be off in a short
    one, more so far ahead, where a miss is known late. Before ten errors the band is a guess.

    Parameters
    ----------
    horizons
        Events ahead, each at least 1, increasing.
    coverage
        Share to hold, in (0, 1).

    References
    ----------
    Gibbs and Candes 2021, Adaptive conformal inference under distribution shift, NeurIPS 34.
    """

    def __init__(self, horizons: Sequence[int] = (1,), coverage: float = 0.9) -> None:
        require(0 < coverage < 1, "coverage", coverage, "in (0, 1)")
        self._layout = _layout(len(horizons), horizons[-1])
        self.arrays = kernels.Intervals(**allocate(self._layout))
        self.arrays.horizons[:] = horizons
        self.arrays.settings[0] = coverage
        self.arrays.factor[:] = math.log(-math.log(1.0 - coverage))
        self.arrays.waiting[:] = math.nan

    @staticmethod
    def memory_bytes(horizons: Sequence[int] = (1,)) -> int:
        """Return the bytes of all arrays."""
        return layout_bytes(_layout(len(horizons), max(horizons)))

    def check_state(self, arrays: Arrays) -> None:
        """Raise `StateError` unless `set_state` can take `arrays` safely."""
        check_state_arrays(arrays, {name: self._layout[name] for name in _STATE})
        check_range("factor", arrays["factor"], -kernels.MOST, kernels.MOST)
        check_range("error", arrays["error"], 0.0, LARGEST)
        for name in ("seen", "events"):
            check_range(name, arrays[name], 0, 2**62)
        waiting = arrays["waiting"]
        check_range("waiting", waiting[~np.isnan(waiting)], -LARGEST, LARGEST)

    def get_state(self) -> Arrays:
        """Return a copy of every state array."""
        return {name: getattr(self.arrays, name).copy() for name in _STATE}

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        self.check_state(arrays)
        for name in _STATE:
            getattr(self.arrays, name)[...] = arrays[name]


_STATE = ("factor", "error", "seen", "waiting", "events")


def _layout(horizons: int, farthest: int) -> Layout:
    return {
        "factor": ((horizons, 2), np.float64),
        "error": ((horizons,), np.float64),
        "seen": ((horizons,), np.int64),
        "waiting": ((horizons, farthest, 3), np.float64),
        "events": ((1,), np.int64),
        "horizons": ((horizons,), np.int64),
        "settings": ((1,), np.float64),
    }
