"""Mean and spread of the last values of a few features, each in its own ring.

Shapes: F features, W values kept of each. NaN is a missing value and changes nothing.
"""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import njit

MEAN, SQUARES = 0, 1
ROOT_HALF = math.sqrt(0.5)


@njit
def summarize(row: NDArray[np.float64], n: int, moments: NDArray[np.float64]) -> None:
    """Put the mean of row[:n] and the sum of squares about it in `moments`, in two passes."""
    shift = row[0]
    total = 0.0
    for i in range(n):
        total += row[i] - shift
    mean = shift + total / n
    squares = 0.0
    for i in range(n):
        squares += (row[i] - mean) * (row[i] - mean)
    moments[MEAN], moments[SQUARES] = mean, squares


@njit
def push(
    row: NDArray[np.float64],
    seen: NDArray[np.int64],
    f: int,
    moments: NDArray[np.float64],
    v: float,
) -> None:
    """Put one value in a ring and update its moments (Welford 1962, sliding).

    The moments are summed afresh when the ring wraps, and when one departure took nearly all of
    the spread with it, so that rounding never piles up.
    """
    room = row.shape[0]
    at = seen[f] % room
    mean, squares = moments[MEAN], moments[SQUARES]
    if seen[f] < room:
        step = v - mean
        moments[MEAN] = mean + step / (seen[f] + 1)
        moments[SQUARES] = squares + step * (v - moments[MEAN])
        row[at] = v
        seen[f] += 1
        return
    old = row[at]
    row[at] = v
    seen[f] += 1
    moments[MEAN] = mean + (v - old) / room
    moments[SQUARES] = squares + (v - old) * (v - moments[MEAN] + old - mean)
    if at == room - 1 or moments[SQUARES] < 1e-4 * squares:
        summarize(row, room, moments)


@njit
def rolling_look(
    seen: NDArray[np.int64],
    moments: NDArray[np.float64],
    values: NDArray[np.float64],
    features: int,
    window: int,
    min_samples: int,
    out: NDArray[np.float64],
) -> float:
    """Return the worst feature's two-sided normal probability, -1 while there is none.

    out[f] becomes the mean and the standard deviation of feature f, NaN below `min_samples`.
    """
    score = -1.0
    for f in range(features):
        out[f, 0] = out[f, 1] = np.nan
        if seen[f] < min_samples:
            continue
        out[f, 0] = moments[f, MEAN]
        out[f, 1] = math.sqrt(moments[f, SQUARES] / min(seen[f], window))
        distance = abs(values[f] - out[f, 0])
        if out[f, 1] > 0.0:
            score = max(score, math.erf(distance / out[f, 1] * ROOT_HALF))
        elif distance >= 0.0:
            score = max(score, 1.0 if distance > 0.0 else 0.0)
    return score


@njit
def rolling_learn(
    ring: NDArray[np.float64],
    seen: NDArray[np.int64],
    moments: NDArray[np.float64],
    values: NDArray[np.float64],
    features: int,
) -> None:
    """Take in one event."""
    for f in range(features):
        if not math.isnan(values[f]):
            push(ring[f], seen, f, moments[f], values[f])


@njit
def rolling_step(
    ring: NDArray[np.float64],
    seen: NDArray[np.int64],
    moments: NDArray[np.float64],
    values: NDArray[np.float64],
    features: int,
    min_samples: int,
    out: NDArray[np.float64],
) -> float:
    """`rolling_look`, then `rolling_learn`."""
    score = rolling_look(seen, moments, values, features, ring.shape[1], min_samples, out)
    rolling_learn(ring, seen, moments, values, features)
    return score
