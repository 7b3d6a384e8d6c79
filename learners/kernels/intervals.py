"""Bands about forecasts that hold the stated share of what comes, also while it drifts.

Shapes: H horizons, Q bands waiting for their value. A band is the forecast plus or minus a
spread times a factor of its side; the factor grows when a value falls outside and shrinks while
none does, so that each tail gets its share in the long run whatever the values do.

Source: Gibbs and Candes 2021, Adaptive conformal inference under distribution shift; the update
is their equation 2 on the logarithm of the width (quantile tracking as in Angelopoulos, Candes
and Tibshirani 2023, Conformal PID control, section 2.1), which needs no scale of its own.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit

PACE = 0.05  # step of the logarithm of a factor, one event ahead
HURRY, SETTLED = 3.0, 50.0  # first steps are larger; events until half of that is over
MOST = 6.0  # of the logarithm of a factor
ERROR_RATE = 0.02
FIRST = 10  # errors before a band is more than a guess

LOWER, UPPER, MIDDLE = 0, 1, 2


class Intervals(NamedTuple):
    """Arrays of the bands."""

    factor: NDArray[np.float64]  # [H, 2] logarithms of the factors below and above
    error: NDArray[np.float64]  # [H] average absolute error of late
    seen: NDArray[np.int64]  # [H] errors so far
    waiting: NDArray[np.float64]  # [H, Q, 3] ring of lower, upper, middle; NaN where none
    events: NDArray[np.int64]  # [1] bands pushed
    horizons: NDArray[np.int64]  # [H]
    settings: NDArray[np.float64]  # [1] coverage


@lean_njit
def spread_of(v: Intervals, h: int, told: float) -> float:
    """Return the width a factor of 1 stands for: late errors, tempered by a told spread.

    The geometric mean of the two, or the late errors alone if nothing, NaN or 0, was told.
    """
    error = v.error[h]
    if told > 0.0 and told < np.inf:
        return math.sqrt(error) * math.sqrt(told)
    return error  # type: ignore[no-any-return]


@lean_njit
def band(
    v: Intervals, h: int, middle: float, told: float, guess: float, out: NDArray[np.float64]
) -> None:
    """Put lower and upper end of the band about `middle` in out[0] and out[1].

    `told` is the forecaster's own spread, or NaN; `guess` the half width while there were fewer
    than FIRST errors.
    """
    if v.seen[h] < FIRST:
        out[LOWER], out[UPPER] = middle - guess, middle + guess
        return
    spread = spread_of(v, h, told)
    out[LOWER] = middle - spread * math.exp(v.factor[h, LOWER])
    out[UPPER] = middle + spread * math.exp(v.factor[h, UPPER])


@lean_njit
def intervals_learn(v: Intervals, value: float) -> None:
    """Judge the bands made for this event by its value; NaN judges none."""
    if math.isnan(value):
        return
    tail = 0.5 * (1.0 - v.settings[0])
    for h in range(v.horizons.shape[0]):
        ahead = v.horizons[h]
        if ahead > v.events[0]:
            continue
        at = (v.events[0] - ahead) % v.waiting.shape[1]
        middle = v.waiting[h, at, MIDDLE]
        if math.isnan(middle):
            continue
        v.seen[h] += 1
        seen = v.seen[h]
        error = abs(value - middle)
        v.error[h] += (error - v.error[h]) * max(ERROR_RATE, 1.0 / seen)
        if seen <= FIRST:
            continue
        pace = PACE / math.sqrt(ahead) * (1.0 + HURRY * SETTLED / (SETTLED + seen))
        below = 1.0 if value < v.waiting[h, at, LOWER] else 0.0
        above = 1.0 if value > v.waiting[h, at, UPPER] else 0.0
        for side, out in ((LOWER, below), (UPPER, above)):
            moved = v.factor[h, side] + pace * (out - tail)
            v.factor[h, side] = min(max(moved, -MOST), MOST)


@lean_njit
def intervals_push(v: Intervals, h: int, lower: float, upper: float, middle: float) -> None:
    """Let a band of horizon number `h` wait for its value; NaN in `middle` for none."""
    at = v.events[0] % v.waiting.shape[1]
    v.waiting[h, at, LOWER] = lower
    v.waiting[h, at, UPPER] = upper
    v.waiting[h, at, MIDDLE] = middle


@lean_njit
def intervals_reset(v: Intervals) -> None:
    """Let no band wait."""
    v.events[0] = 0
