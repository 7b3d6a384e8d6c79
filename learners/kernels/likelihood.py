"""Anomaly likelihood: how improbable the recent mean of a score is, given its history."""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import njit

MEAN_FLOOR = 0.03
VARIANCE_FLOOR = 0.0003
FLAT_VARIANCE = 1.5e-5
NULL_MEAN, NULL_VARIANCE = 0.5, 1e6
RED, YELLOW = 1e-5, 1e-3
ROOT_2 = 1.4142
LOG_SCALE = -23.02585084720009

# state
MEAN, VARIANCE, LAST_TAIL, VALUE = 0, 1, 2, 3


@njit
def fit(
    scores: NDArray[np.float64],
    values: NDArray[np.float64],
    events: int,
    learning_period: int,
    averaging: int,
    state: NDArray[np.float64],
) -> None:
    """Fit a normal distribution to the trailing means of the scores in the ring.

    A score whose value is NaN was not absorbed: it counts in means alone. Where these are more
    than half, the distribution stays as it is.
    """
    room = scores.shape[0]
    n = min(events, room)
    skip = min(n, max(0, learning_period - max(0, events - room)))
    if skip >= n:
        state[MEAN], state[VARIANCE] = NULL_MEAN, NULL_VARIANCE
        return
    first = events - n
    value_mean = value_m2 = score_mean = score_m2 = window = 0.0
    count = 0
    for i in range(n):
        window += scores[(first + i) % room]
        if i >= averaging:
            window -= scores[(first + i - averaging) % room]
        value = values[(first + i) % room]
        if i < skip or math.isnan(value):
            continue
        count += 1
        step = value - value_mean
        value_mean += step / count
        value_m2 += step * (value - value_mean)
        average = window / min(i + 1, averaging)
        step = average - score_mean
        score_mean += step / count
        score_m2 += step * (average - score_mean)
    if 2 * count < n - skip:
        return
    state[MEAN], state[VARIANCE] = NULL_MEAN, NULL_VARIANCE
    if value_m2 / count < FLAT_VARIANCE:
        return
    state[MEAN] = max(score_mean, MEAN_FLOOR)
    state[VARIANCE] = max(score_m2 / count, VARIANCE_FLOOR)


@njit
def tail_probability(x: float, mean: float, variance: float) -> float:
    """Return the normal tail beyond `x`, on the side of the mean where it lies."""
    z = abs(x - mean) / math.sqrt(variance)
    return 0.5 * math.erfc(z / ROOT_2)


@njit
def likelihood_judge(
    scores: NDArray[np.float64],
    values: NDArray[np.float64],
    counts: NDArray[np.int64],
    state: NDArray[np.float64],
    settings: NDArray[np.int64],
    score: float,
    holding: bool,
) -> None:
    """Take a score into the trailing mean; state[VALUE] becomes the likelihood on the log scale.

    `holding` tells not to quiet one extreme value after another. `settings` holds learning_period,
    estimation_samples, reestimation_period and averaging; `counts` the events so
    far. The distribution lags by one event, as in the source.
    """
    room = scores.shape[0]
    events = counts[0]
    learning_period, averaging = settings[0], settings[3]
    probation = learning_period + settings[1]
    tail = 0.5
    if events >= probation:
        if events == probation or events % settings[2] == 0:
            fit(scores, values, events, learning_period, averaging, state)
        total, n = score, 1
        while n < min(averaging, events + 1):
            total += scores[(events - n) % room]
            n += 1
        raw = tail_probability(total / n, state[MEAN], state[VARIANCE])
        quiet = raw <= RED and state[LAST_TAIL] <= RED and not holding
        tail = YELLOW if quiet else raw
        state[LAST_TAIL] = raw
    scores[events % room] = score
    values[events % room] = math.nan
    counts[0] = events + 1
    likelihood = 1.0 - tail
    state[VALUE] = math.log(1.0000000001 - likelihood) / LOG_SCALE


@njit
def likelihood_absorb(values: NDArray[np.float64], counts: NDArray[np.int64], value: float) -> None:
    """Have the score judged last count in fits."""
    values[(counts[0] - 1) % values.shape[0]] = value


@njit
def likelihood_update(
    scores: NDArray[np.float64],
    values: NDArray[np.float64],
    counts: NDArray[np.int64],
    state: NDArray[np.float64],
    settings: NDArray[np.int64],
    score: float,
    value: float,
) -> None:
    """Judge one score, then absorb it."""
    likelihood_judge(scores, values, counts, state, settings, score, False)
    likelihood_absorb(values, counts, value)
