"""ADWIN: a window that forgets what no longer holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays
from learners.indicators.drift import LARGEST_SQUARES, LARGEST_SUM, DriftDetector
from learners.indicators.watch import LARGEST
from learners.kernels import adwin as kernels
from learners.parameters import Layout, check_range, layout_bytes, require, require_state

LARGEST_MEAN = LARGEST * (1.0 + 1e-9)


class Adwin(DriftDetector):
    """ADWIN: a window that grows while its mean stays, and drops its past when the mean changes.

    It has bounds on false alarms and misses for values in [0, 1], finds sudden and slow changes
    of a mean, and no change of spread or shape alone. Numbers beyond 1e100 count as 1e100. The
    means before and after are those on both sides of the clearest cut of the window, where they
    differ most for what chance allows. Detections are River's, at the same events.

    Parameters
    ----------
    watch
        `score`, `error`, or `x.` and the name of a feature.
    delta, clock
        Chance of a false alarm at a cut; every how many values cuts are tried.
    max_buckets, min_window_length, grace_period
        Buckets of each size; fewest values on a side of a cut; values before the first cut.

    References
    ----------
    Bifet and Gavalda 2007, Learning from time-changing data with adaptive windowing, section 4.
    """

    detector = "adwin"
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    fill: NDArray[np.int64]
    window: NDArray[np.float64]

    def __init__(
        self,
        watch: str = "score",
        delta: float = 0.002,
        clock: int = 32,
        max_buckets: int = 5,
        min_window_length: int = 5,
        grace_period: int = 10,
    ) -> None:
        require(0 < delta < 1, "delta", delta, "in (0, 1)")
        require(1 <= clock <= 1_000_000, "clock", clock, "1..1000000")
        require(2 <= max_buckets <= 100, "max_buckets", max_buckets, "2..100")
        least = min_window_length
        require(1 <= least <= 1_000_000, "min_window_length", least, "1..1000000")
        require(1 <= grace_period <= 1_000_000, "grace_period", grace_period, "1..1000000")
        self.delta = delta
        self.clock = clock
        self.max_buckets = max_buckets
        self.min_window_length = min_window_length
        self.grace_period = grace_period
        settings = [delta, clock, max_buckets, min_window_length, grace_period]
        self._settings = np.array(settings, np.float64)
        self._means = np.zeros(2)
        super().__init__(watch, _layout(max_buckets))

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of all buckets."""
        return layout_bytes(_layout(params.get("max_buckets", 5))) + 64

    def _begin(self) -> None:
        self.fill[:] = 0
        self.window[:] = 0.0
        self.window[kernels.ROWS] = 1.0

    def _take(self, value: float) -> tuple[float, float] | None:
        if not kernels.adwin_update(
            self.sums, self.squares, self.fill, self.window, self._settings, value, self._means
        ):
            return None
        return float(self._means[0]), float(self._means[1])

    def _mean(self) -> float:
        return float(self.window[kernels.TOTAL] / self.window[kernels.WIDTH])

    def _measures(self) -> dict[str, float]:
        width = float(self.window[kernels.WIDTH])
        return {"width": width, "mean": self._mean()} if width else {"width": width}

    def _check(self, arrays: Arrays) -> None:
        fill, window = arrays["fill"], arrays["window"]
        means = arrays["sums"] / np.exp2(np.arange(len(fill)))[:, None]
        check_range("sums", means, -LARGEST_MEAN, LARGEST_MEAN)
        check_range("squares", arrays["squares"], -LARGEST_SQUARES, LARGEST_SQUARES)
        check_range("window", window[kernels.TOTAL], -LARGEST_SUM, LARGEST_SUM)
        check_range("window", window[kernels.SQUARES], -LARGEST_SQUARES, LARGEST_SQUARES)
        check_range("fill", fill, 0, self.max_buckets)
        held = int(sum(int(n) << i for i, n in enumerate(fill)))
        require_state(window[kernels.WIDTH] == held, "window", f"expected {held} values")
        rows = int(np.max(np.nonzero(fill)[0], initial=0)) + 1
        require_state(window[kernels.ROWS] == rows, "window", f"expected {rows} rows")
        check_range("window", window[kernels.TICK : kernels.TICK + 1], 0, 2**53)


def _layout(max_buckets: int) -> Layout:
    rows = 52  # Of 2**52 values at most, as many as a float counts exactly.
    return {
        "sums": ((rows, max_buckets + 2), np.float64),
        "squares": ((rows, max_buckets + 2), np.float64),
        "fill": ((rows,), np.int64),
        "window": ((5,), np.float64),
    }
