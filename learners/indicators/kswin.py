"""KSWIN: the newest values are distributed unlike those before."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays
from learners.indicators.drift import DriftDetector
from learners.indicators.watch import LARGEST
from learners.parameters import Layout, check_range, layout_bytes, require, require_state

_MERSENNE_WORDS = 625


class Kswin(DriftDetector):
    """KSWIN: the newest values of a window are distributed unlike a sample of those before.

    A two-sided Kolmogorov-Smirnov test at each value, so it also finds changes of spread and
    shape; at a test an event, `alpha` is far from the chance of a false alarm in a stream. The
    mean before is that of the older values of the window, the mean after that of the newest.
    Detections are River's with the same seed, at the same events.

    Parameters
    ----------
    watch
        `score`, `error`, or `x.` and the name of a feature.
    alpha
        Chance of a false alarm at one test.
    window_size, stat_size
        Values kept; of these, the newest, and as many drawn of the others.
    seed
        Of the draws.

    References
    ----------
    Raab, Heusinger and Schleif 2020, Reactive soft prototype computing for concept drift streams,
    Neurocomputing 416, section 3.
    """

    detector = "kswin"
    values: NDArray[np.float64]
    count: NDArray[np.int64]
    last: NDArray[np.float64]
    generator: NDArray[np.uint32]

    def __init__(
        self,
        watch: str = "score",
        alpha: float = 0.005,
        window_size: int = 100,
        stat_size: int = 30,
        seed: int = 1,
    ) -> None:
        require(0 < alpha < 1, "alpha", alpha, "in (0, 1)")
        require(4 <= window_size <= 10_000, "window_size", window_size, "4..10000")
        most = window_size // 2
        require(2 <= stat_size <= most, "stat_size", stat_size, f"2..window_size / 2 ({most})")
        require(0 <= seed < 2**63, "seed", seed, "in [0, 2**63)")
        self.alpha = alpha
        self.window_size = window_size
        self.stat_size = stat_size
        self.seed = seed
        self._p_values = [p_value(k, stat_size) for k in range(stat_size + 1)]
        self._random = random.Random(seed)
        super().__init__(watch, _layout(window_size))

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of the window, the generator and the table of p-values."""
        table: int = 32 * params.get("stat_size", 30)
        return layout_bytes(_layout(params.get("window_size", 100))) + table + 3_000

    def get_state(self) -> Arrays:
        """Return a copy of every state array, the generator's among them."""
        self.generator[:] = self._random.getstate()[1]
        return super().get_state()

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        super().set_state(arrays)
        self._random.setstate((3, tuple(int(word) for word in self.generator), None))

    def _begin(self) -> None:
        self.count[0] = 0
        self.last[0] = 1.0
        self._random.seed(self.seed)

    def _take(self, value: float) -> tuple[float, float] | None:
        size, stat, n = self.window_size, self.stat_size, int(self.count[0])
        if n == size:
            self.values[:-1] = self.values[1:]
            n -= 1
        self.values[n] = value
        self.count[0] = n + 1
        if n + 1 < size:
            return None
        older, newest = self.values[: size - stat], np.sort(self.values[size - stat :])
        drawn = np.sort(older[self._random.sample(range(size - stat), stat)])
        steps = _largest_gap(drawn, newest)
        self.last[0] = self._p_values[steps]
        if self.last[0] > self.alpha or steps <= 0.1 * stat:
            return None
        return float(older.mean()), float(newest.mean())

    def _measures(self) -> dict[str, float]:
        return {"p_value": float(self.last[0])}

    def _check(self, arrays: Arrays) -> None:
        check_range("values", arrays["values"], -LARGEST, LARGEST)
        check_range("count", arrays["count"], 0, self.window_size)
        check_range("last", arrays["last"], 0.0, 1.0)
        generator = arrays["generator"]
        check_range("generator", generator[-1:], 0, _MERSENNE_WORDS - 1)
        # All zero but for the bits that it never uses, it would draw zeros for ever.
        alive = bool(generator[1:-1].any() or generator[0] >> 31)
        require_state(alive, "generator", "got nothing but zeros")


def _largest_gap(a: NDArray[np.float64], b: NDArray[np.float64]) -> int:
    """Return the largest difference of two distribution functions, in steps of 1 / len."""
    both = np.concatenate((a, b))
    gaps = np.searchsorted(a, both, "right") - np.searchsorted(b, both, "right")
    return int(np.abs(gaps).max())


def p_value(steps: int, n: int) -> float:
    """Return the chance of a gap of so many steps or more between two samples of `n`.

    The reflection principle for equal sizes: 2 sum_j (-1)**(j+1) C(2n, n - j k) / C(2n, n)
    (Gnedenko and Korolyuk 1951).
    """
    if steps == 0:
        return 1.0
    ways = sum((-1) ** (j + 1) * math.comb(2 * n, n - j * steps) for j in range(1, n // steps + 1))
    return float(min(1.0, 2 * ways / math.comb(2 * n, n)))


def _layout(window_size: int) -> Layout:
    return {
        "values": ((window_size,), np.float64),
        "count": ((1,), np.int64),
        "last": ((1,), np.float64),
        "generator": ((_MERSENNE_WORDS,), np.uint32),
    }
