"""Forecasts: the decoder's reading, a linear head over it and what repeats, and their mixture.

Shapes: H horizons, P features, D events of readings kept. The head is recursive least squares
with forgetting; what it forecasts is the change from the last value, in average steps, so that
with all weights zero it says that nothing will change. The mixture of the last value, the
decoder's median and the head weighs each by its errors of late.

Sources: Ljung and Soderstrom 1983 for recursive least squares; Vovk 1998 for weights that fall
exponentially with the losses, here discounted.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.decoder import EVENTS as PATTERNS
from learners.kernels.decoder import (
    MEAN,
    MEDIAN,
    SPREAD,
    Decoder,
    decoder_infer,
    decoder_learn,
    event_rows,
)
from learners.kernels.intervals import (
    Intervals,
    band,
    intervals_learn,
    intervals_push,
    intervals_reset,
)
from learners.kernels.jit import lean_njit
from learners.kernels.seasons import (
    EVENTS,
    LAG,
    Seasons,
    measure_step,
    scale_of,
    seasons_learn,
)

FEATURES = 17
FORGETTING = 0.9995
FIRST_VARIANCE = 10.0
SURPRISE = 4.0  # average errors; a larger error counts as this
BOUND = 1e3  # average steps; features and errors beyond count as this
LARGEST = 2.0**1020
YOUNG = 16  # updates before the decoder is listened to
SLOW = 200.0  # errors that the average error spans

DISCOUNT, SHARPNESS, WORST = 0.995, 0.1, 5.0
EXPERTS = 3

# Head.past columns, and where experts 1 and 2 speak
PAST_MEDIAN, PAST_MEAN, PAST_HEAD, PAST_MIXED = 0, 1, 2, 3
VOICE = (-1, PAST_MEDIAN, PAST_HEAD)


class Head(NamedTuple):
    """Arrays of the linear head and the mixture."""

    weight: NDArray[np.float64]  # [H, P]
    variance: NDArray[np.float64]  # [H, P, P] inverse of the features' discounted products
    late: NDArray[np.float64]  # [H] average error of the head, in average steps
    loss: NDArray[np.float64]  # [H, 3] discounted losses of last value, decoder and head
    usual: NDArray[np.float64]  # [H] average loss, in the value's unit
    learned: NDArray[np.int64]  # [H] updates
    past: NDArray[np.float64]  # [H, D, 4] median, mean, head and mixture, NaN where none; the
    # place of the event under way, seasons.counts[EVENTS] mod D, is scratch
    x: NDArray[np.float64]  # [P] scratch: features
    gain: NDArray[np.float64]  # [P] scratch
    off: NDArray[np.float64]  # [3] scratch: errors of the experts
    ends: NDArray[np.float64]  # [2] scratch: of a band


class Forecaster(NamedTuple):
    """All that forecasting keeps."""

    decoder: Decoder
    seasons: Seasons
    head: Head
    intervals: Intervals


@lean_njit
def clip(value: float, bound: float) -> float:
    """Return the value within +-bound, 0 for NaN."""
    if math.isnan(value):
        return 0.0
    return min(max(value, -bound), bound)


@lean_njit
def steps(ring: NDArray[np.float64], i: int, j: int, scale: float) -> float:
    """Return value number `i` less number `j`, in average steps; the first if it is earlier."""
    room = ring.shape[0]
    apart = (ring[max(i, 0) % room] - ring[max(j, 0) % room]) / scale
    return min(max(apart, -BOUND), BOUND)  # type: ignore[no-any-return]


@lean_njit
def fill_features(
    x: NDArray[np.float64],
    ring: NDArray[np.float64],
    past: NDArray[np.float64],
    h: int,
    ahead: int,
    at: int,
    lag: int,
    scale: float,
) -> None:
    """Fill `x` with what was known at event `at` of what comes `ahead`, horizon number `h`.

    Everything is a difference of two values, in average steps: the last steps; what followed, one
    and two seasons ago, and how far off those were; what the decoder reads, read before, and how
    wrong it and the mixture were of late. What is not known is 0.
    """
    y, deep = ring[at % ring.shape[0]], past.shape[1]
    x[0] = 1.0
    x[1] = steps(ring, at, at - 1, scale)
    x[2] = steps(ring, at - 1, at - 2, scale)
    x[3] = steps(ring, at - 2, at - 4, scale)
    x[4] = steps(ring, at - 4, at - 8, scale)
    for k in range(2):
        season = max(lag * (k + 1), 1)
        season *= (ahead + season - 1) // season
        known = lag > 0 and at - season - 1 >= 0
        x[5 + 3 * k] = steps(ring, at + ahead - season, at - season, scale) if known else 0.0
        x[6 + 3 * k] = steps(ring, at - season, at, scale) if known else 0.0
        x[7 + 3 * k] = steps(ring, at - season, at - season - 1, scale) if known else 0.0
    now, made = at % deep, (at - ahead) % deep
    x[11] = clip((past[h, now, PAST_MEDIAN] - y) / scale, BOUND)
    x[12] = clip((past[h, now, PAST_MEAN] - y) / scale, BOUND)
    x[13] = clip((y - past[h, made, PAST_MEDIAN]) / scale, BOUND)
    x[14] = clip((y - past[h, made, PAST_MIXED]) / scale, BOUND)
    before = ring[max(at - 1, 0) % ring.shape[0]]
    x[15] = clip((before - past[h, (at - ahead - 1) % deep, PAST_MEDIAN]) / scale, BOUND)
    x[16] = clip((past[h, (at - 1) % deep, PAST_MEDIAN] - y) / scale, BOUND)


@lean_njit
def head_output(weight: NDArray[np.float64], h: int, x: NDArray[np.float64]) -> float:
    """Return the head's forecast from the features `x`: a change, in average steps."""
    out = 0.0
    for i in range(FEATURES):
        out += weight[h, i] * x[i]
    return clip(out, BOUND)


@lean_njit
def reset_variance(variance: NDArray[np.float64], h: int) -> None:
    """Forget how sure the weights are."""
    for i in range(FEATURES):
        for j in range(FEATURES):
            variance[h, i, j] = FIRST_VARIANCE if i == j else 0.0


@lean_njit
def least_squares(
    weight: NDArray[np.float64],
    variance: NDArray[np.float64],
    gain: NDArray[np.float64],
    h: int,
    x: NDArray[np.float64],
    error: float,
) -> None:
    """One step of recursive least squares: `error` is the target less the output for `x`."""
    excited = 0.0
    for i in range(FEATURES):
        g = 0.0
        for j in range(FEATURES):
            g += variance[h, i, j] * x[j]
        gain[i] = g
        excited += g * x[i]
    if not excited < np.inf:
        reset_variance(variance, h)
        return
    below = FORGETTING + max(excited, 0.0)
    for i in range(FEATURES):
        part = gain[i] / below
        weight[h, i] = clip(weight[h, i] + part * error, BOUND)
        for j in range(i + 1):
            v = (variance[h, i, j] - part * gain[j]) / FORGETTING
            variance[h, i, j] = v
            variance[h, j, i] = v
    bound_variance(variance, gain, h)


@lean_njit
def bound_variance(variance: NDArray[np.float64], shrink: NDArray[np.float64], h: int) -> None:
    """Keep each feature's variance in (0, FIRST_VARIANCE]: what is rarely excited winds up.

    Row and column of one beyond are shrunk, which leaves the matrix positive; one that rounding
    made negative is drawn afresh.
    """
    beyond = False
    for i in range(FEATURES):
        v = variance[h, i, i]
        if not v > 0.0:
            reset_variance(variance, h)
            return
        shrink[i] = 1.0
        if v > FIRST_VARIANCE:
            shrink[i] = math.sqrt(FIRST_VARIANCE / v)
            beyond = True
    if beyond:
        for i in range(FEATURES):
            for j in range(FEATURES):
                variance[h, i, j] *= shrink[i] * shrink[j]


@lean_njit
def head_learn(head: Head, h: int, target: float) -> None:
    """Teach the head that head.x was followed by `target`, in average steps.

    An error beyond SURPRISE average ones counts as that many, lest one outlier turn the weights.
    """
    error = target - head_output(head.weight, h, head.x)
    most = SURPRISE * head.late[h] if head.late[h] > 0.0 else BOUND
    head.learned[h] += 1
    size = min(abs(error), 2.0 * most)
    head.late[h] += (size - head.late[h]) / min(np.float64(head.learned[h]), SLOW)
    error = min(max(error, -most), most)
    least_squares(head.weight, head.variance, head.gain, h, head.x, error)


@lean_njit
def mixture(
    past: NDArray[np.float64], loss: NDArray[np.float64], h: int, at: int, y: float
) -> float:
    """Return the mean of what the experts say, weighted by how little they were off of late.

    They are the last value `y`, and the decoder's median and the head in past[h, at] unless NaN.
    """
    least = loss[h, 0]
    for k in range(1, EXPERTS):
        if not math.isnan(past[h, at, VOICE[k]]):
            least = min(least, loss[h, k])
    total = math.exp(SHARPNESS * (least - loss[h, 0]))
    out = 0.0
    for k in range(1, EXPERTS):
        told = past[h, at, VOICE[k]]
        if not math.isnan(told):
            w = math.exp(SHARPNESS * (least - loss[h, k]))
            total += w
            out += w * (told - y)
    return y + out / total


@lean_njit
def mixture_learn(head: Head, h: int, at: int, y: float, value: float) -> None:
    """Add to the losses how far off `value` was each expert, in usual errors.

    Who said nothing is charged the usual error.
    """
    off = head.off
    total, counted = 0.0, 0
    for k in range(EXPERTS):
        told = y if k == 0 else head.past[h, at, VOICE[k]]
        off[k] = abs(value - told)
        if not math.isnan(off[k]):
            total += off[k]
            counted += 1
    rate = max(1.0 - DISCOUNT, 1.0 / (1.0 + head.learned[h]))
    head.usual[h] += (total / counted - head.usual[h]) * rate
    usual = head.usual[h] if head.usual[h] > 0.0 else 1.0
    for k in range(EXPERTS):
        charge = 1.0 if math.isnan(off[k]) else min(off[k] / usual, WORST)
        head.loss[h, k] = DISCOUNT * head.loss[h, k] + charge


@lean_njit
def forecaster_look(
    f: Forecaster,
    value: float,
    t: float,
    cells: NDArray[np.int32],
    n_cells: int,
    forecast: NDArray[np.float64],
) -> None:
    """Fill forecast[H, 3] with value, lower and upper; NaN at a horizon that never learned.

    Changes nothing but scratch.
    """
    n, ring, past = f.seasons.counts[EVENTS], f.seasons.ring, f.head.past
    before = ring[(n - 1) % ring.shape[0]] if n > 0 else math.nan
    value = value if math.isnan(value) else clip(value, LARGEST)
    now = before if math.isnan(value) else value
    event_rows(f.decoder, value, before, t, cells, n_cells)
    decoder_infer(f.decoder)
    ring[n % ring.shape[0]] = clip(now, LARGEST)
    at, lag, scale = n % past.shape[1], f.seasons.counts[LAG], scale_of(f.seasons)
    wide = f.decoder.edges[1] * f.decoder.bucket_value.shape[0]
    for h in range(forecast.shape[0]):
        heard = f.decoder.learned[h] >= YOUNG
        past[h, at, PAST_MEDIAN] = f.decoder.reading[h, MEDIAN] if heard else math.nan
        past[h, at, PAST_MEAN] = f.decoder.reading[h, MEAN] if heard else math.nan
        fill_features(f.head.x, ring, past, h, f.decoder.horizons[h], n, lag, scale)
        moved = now + scale * head_output(f.head.weight, h, f.head.x)
        past[h, at, PAST_HEAD] = min(max(moved, -LARGEST), LARGEST)
        middle = mixture(past, f.head.loss, h, at, now)
        past[h, at, PAST_MIXED] = min(max(middle, -LARGEST), LARGEST)
        told = f.decoder.reading[h, SPREAD] if heard else math.nan
        band(f.intervals, h, middle, told, wide, f.head.ends)
        forecast[h, 0] = middle if f.head.learned[h] > 0 else math.nan
        forecast[h, 1] = clip(f.head.ends[0], LARGEST)
        forecast[h, 2] = clip(f.head.ends[1], LARGEST)


@lean_njit
def forecaster_learn(f: Forecaster, value: float, forecast: NDArray[np.float64]) -> None:
    """Learn from the event that `forecaster_look` just saw, and keep what it forecast."""
    n, ring, past = f.seasons.counts[EVENTS], f.seasons.ring, f.head.past
    if not math.isnan(value):
        value = clip(value, LARGEST)
        intervals_learn(f.intervals, value)
        measure_step(f.seasons, value)
        lag, scale = f.seasons.counts[LAG], scale_of(f.seasons)
        for h in range(forecast.shape[0]):
            ahead = f.decoder.horizons[h]
            made = n - ahead
            at = made % past.shape[1]
            if made < 0 or math.isnan(past[h, at, PAST_MIXED]):
                continue
            fill_features(f.head.x, ring, past, h, ahead, made, lag, scale)
            y = ring[made % ring.shape[0]]
            mixture_learn(f.head, h, at, y, value)
            head_learn(f.head, h, clip((value - y) / scale, BOUND))
    decoder_learn(f.decoder, value)
    for h in range(forecast.shape[0]):
        middle = past[h, n % past.shape[1], PAST_MIXED]
        intervals_push(f.intervals, h, forecast[h, 1], forecast[h, 2], middle)
    f.intervals.events[0] += 1
    seasons_learn(f.seasons, value)


@lean_njit
def forecaster_reset(f: Forecaster) -> None:
    """Begin a new sequence: no forecast made before is judged after."""
    f.decoder.counts[PATTERNS] = 0
    f.head.past[:] = math.nan
    intervals_reset(f.intervals)
