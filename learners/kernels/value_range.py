"""How far values lie outside of the range that each feature has kept to so far.

Shapes: F features. NaN is a missing value and changes nothing.
"""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import njit

LOW, HIGH = 0, 1
LEAST_WIDTH = 1e-3


@njit
def outside(low: float, high: float, value: float, margin: float) -> float:
    """Return e / (e + margin w) for a value at a distance e outside of a range of width w.

    A range counts as no narrower than a thousandth of its end farther from zero.
    """
    beyond = max(value - high, low - value)
    if not beyond > 0.0:
        return 0.0
    width = max(high - low, LEAST_WIDTH * max(abs(low), abs(high)))
    return beyond / (beyond + margin * width)


@njit
def range_judge(
    ranges: NDArray[np.float64],
    seen: NDArray[np.int64],
    values: NDArray[np.float64],
    features: int,
    min_samples: int,
    margin: float,
) -> float:
    """Return how far outside the worst feature is, -1 if none has `min_samples`.

    ranges[F, 2] holds the least and the largest value of each feature, seen[F] how many came.
    """
    score = -1.0
    for f in range(features):
        value = values[f]
        if math.isnan(value):
            continue
        if seen[f] >= min_samples:
            score = max(score, outside(ranges[f, LOW], ranges[f, HIGH], value, margin))
    return score


@njit
def range_absorb(
    ranges: NDArray[np.float64],
    seen: NDArray[np.int64],
    values: NDArray[np.float64],
    features: int,
) -> None:
    """Widen the ranges so that the values lie inside."""
    for f in range(features):
        value = values[f]
        if math.isnan(value):
            continue
        ranges[f, LOW] = min(ranges[f, LOW], value) if seen[f] else value
        ranges[f, HIGH] = max(ranges[f, HIGH], value) if seen[f] else value
        seen[f] += 1
