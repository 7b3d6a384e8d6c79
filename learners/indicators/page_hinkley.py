"""Page-Hinkley: a sum of deviations that has moved too far."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays
from learners.indicators.drift import LARGEST_SUM, DriftDetector
from learners.indicators.watch import LARGEST
from learners.parameters import Layout, check_range, layout_bytes, require, require_state

NO_MINIMUM = float(np.finfo(np.float64).max)


class PageHinkley(DriftDetector):
    """Page-Hinkley: the sum of deviations from the mean has moved far from its extreme.

    It reacts to a change of the mean in the direction of `mode`; `threshold` and `delta` are in
    the unit of what is watched, so that it needs tuning where ADWIN does not. The mean before is
    the one at the extreme, from where the change is counted; the mean after is that of the values
    since. Detections are River's, at the same events.

    Parameters
    ----------
    watch
        `score`, `error`, or `x.` and the name of a feature.
    min_instances
        Values before a test.
    delta, threshold
        Deviations to tolerate; how far the sum may move.
    alpha
        Forgetting, at each value, of the sum.
    mode
        `up`, `down` or `both`.

    References
    ----------
    Page 1954, Continuous inspection schemes, Biometrika 41; Hinkley 1971, Biometrika 58.
    """

    detector = "page_hinkley"
    sums: NDArray[np.float64]

    def __init__(
        self,
        watch: str = "score",
        min_instances: int = 30,
        delta: float = 0.005,
        threshold: float = 50.0,
        alpha: float = 0.9999,
        mode: str = "both",
    ) -> None:
        least = min_instances
        require(1 <= least <= 1_000_000_000, "min_instances", least, "1..1000000000")
        require(0 <= delta <= LARGEST, "delta", delta, "0 or more")
        require(0 < threshold <= LARGEST, "threshold", threshold, "above 0")
        require(0 < alpha <= 1, "alpha", alpha, "in (0, 1]")
        require(mode in ("up", "down", "both"), "mode", mode, "up, down or both")
        self.min_instances = min_instances
        self.delta = delta
        self.threshold = threshold
        self.alpha = alpha
        self.mode = mode
        super().__init__(watch, _LAYOUT)

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of a few sums."""
        return layout_bytes(_LAYOUT) + 8

    def _begin(self) -> None:
        # n, mean; sums up and down; their extremes, and n and mean at each.
        self.sums[:] = 0.0, 0.0, 0.0, 0.0, NO_MINIMUM, -1.0, 0.0, 0.0, 0.0, 0.0

    def _take(self, value: float) -> tuple[float, float] | None:
        n, mean, up, down, least, most, n_least, mean_least, n_most, mean_most = self.sums.tolist()
        n += 1.0
        mean += (1.0 / n) * (value - mean)
        deviation = value - mean
        up = self.alpha * up + deviation - self.delta
        down = self.alpha * down + deviation + self.delta
        if up < least:
            least, n_least, mean_least = up, n, mean
        if down > most:
            most, n_most, mean_most = down, n, mean
        self.sums[:] = n, mean, up, down, least, most, n_least, mean_least, n_most, mean_most
        if n < self.min_instances:
            return None
        if self.mode != "down" and up - least > self.threshold:
            return mean_least, _mean_since(n, mean, n_least, mean_least)
        if self.mode != "up" and most - down > self.threshold:
            return mean_most, _mean_since(n, mean, n_most, mean_most)
        return None

    def _measures(self) -> dict[str, float]:
        n, mean, up, down, least, most, *_ = self.sums.tolist()
        if not n:
            return {}
        return {"mean": mean, "up": up - least, "down": most - down}

    def _check(self, arrays: Arrays) -> None:
        sums = arrays["sums"]
        untouched = sums[0] == 0.0 and sums[4] == NO_MINIMUM
        check_range("sums", np.delete(sums, 4) if untouched else sums, -LARGEST_SUM, LARGEST_SUM)
        counts = sums[[0, 6, 8]]
        check_range("sums", counts, 0, 2**53)
        require_state(counts.max() == counts[0], "sums", "expected the extremes before now")


def _mean_since(n: float, mean: float, n_then: float, mean_then: float) -> float:
    return (n * mean - n_then * mean_then) / (n - n_then) if n > n_then else mean


_LAYOUT: Layout = {"sums": ((10,), np.float64)}
