"""Silence: how long a stream is usually quiet, and from when on its silence is strange."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from learners.base import Arrays, Features, Indicator, Prediction, Target, check_arrays
from learners.parameters import Layout, allocate, check_range, layout_bytes, require

LONGEST_SECONDS = 1e12
LEAST_GAPS = 10


class Silence(Indicator):
    """The last gap between events, in units of the gap that only one in twenty exceeded.

    Events of one time come together and have no gap between them. Nothing is said before there
    were 10 gaps, or a full `window` of fewer.

    It sees time in events alone. That a stream is silent now is for those with a clock to say:
    when the newest event is older than the signal `silence_alarm_after_seconds`, as the page and
    the alerts do. It fails where silence is regular but longer than the `window` of gaps, such as
    at night for a source with many events by day.

    Parameters
    ----------
    window
        Gaps from which the usual one is found.
    factor
        How many times the usual gap is strange.
    min_seconds
        The shortest silence that is ever strange.
    """

    _state = ("gaps", "last", "count")

    def __init__(self, window: int = 200, factor: float = 5.0, min_seconds: float = 60.0) -> None:
        require(2 <= window <= 100_000, "window", window, "2..100000")
        require(1 <= factor <= 1e6, "factor", factor, "1..1000000")
        require(0 <= min_seconds <= 1e9, "min_seconds", min_seconds, "0..1000000000")
        self.window = window
        self.factor = factor
        self.min_seconds = min_seconds
        arrays = allocate(_layout(window))
        self.gaps, self.last, self.count = arrays["gaps"], arrays["last"], arrays["count"]

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of the gaps kept."""
        return layout_bytes(_layout(params.get("window", 200)))

    def update(
        self, prediction: Prediction, x: Features, y: Target = None, t: float | None = None
    ) -> None:
        """Take in the time of one event; one without, or older than the last, changes nothing."""
        if t is None or not math.isfinite(t):
            return
        seen = int(self.count[0])
        if seen:
            gap = t - self.last[0]
            if gap <= 0:
                return
            self.gaps[(seen - 1) % self.window] = min(gap, LONGEST_SECONDS)
        self.last[0] = min(max(t, -LONGEST_SECONDS), LONGEST_SECONDS)
        self.count[0] = seen + 1

    def usual_seconds(self) -> float | None:
        """Return the gap that one in twenty exceeded, or `None` before there were enough."""
        kept = min(int(self.count[0]) - 1, self.window)
        if kept < min(LEAST_GAPS, self.window):
            return None
        return float(np.sort(self.gaps[:kept])[int(0.95 * (kept - 1))])

    def alarm_after_seconds(self) -> float | None:
        """Return how old the newest event may become before its silence is strange."""
        usual = self.usual_seconds()
        return None if usual is None else max(self.min_seconds, self.factor * usual)

    def value(self) -> float | None:
        """Return the last gap in units of the usual one, or `None` before there is one."""
        usual = self.usual_seconds()
        return None if not usual else self._last_gap() / usual

    def signals(self) -> Mapping[str, float]:
        """Return the usual and the last gap, and from when on silence is strange."""
        usual, alarm_after = self.usual_seconds(), self.alarm_after_seconds()
        gaps = {"silence_gaps": float(max(0, self.count[0] - 1))}
        if usual is None or alarm_after is None:
            return gaps
        return gaps | {
            "silence_usual_seconds": usual,
            "silence_last_gap_seconds": self._last_gap(),
            "silence_alarm_after_seconds": alarm_after,
        }

    def _last_gap(self) -> float:
        return float(self.gaps[(int(self.count[0]) - 2) % self.window])

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        check_arrays(arrays, {name: getattr(self, name) for name in self._state})
        check_range("gaps", arrays["gaps"], 0, LONGEST_SECONDS)
        check_range("last", arrays["last"], -LONGEST_SECONDS, LONGEST_SECONDS)
        check_range("count", arrays["count"], 0, 2**62)
        super().set_state(arrays)


def _layout(window: int) -> Layout:
    return {
        "gaps": ((window,), np.float64),
        "last": ((1,), np.float64),
        "count": ((1,), np.int64),
    }
