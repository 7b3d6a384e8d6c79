"""Decoder: which value bucket comes h events ahead, by softmax regression on sparse features.

Shapes: H horizons, K buckets, R rows of weights, k cells at most, F = TILES + SLOPES + k features
at most, Q patterns kept. Features are the predicted cells of the active columns, which tell the
sequence, and tiles of the value and its time, which tell the place. Each is hashed to a row; a
pattern is the rows of one event. Weights are fixed point, so that their sum is exact.

Sources: the SDR classifier of Cui, Ahmad and Hawkins 2016; tile coding, Sutton and Barto 2018,
section 9.5.4; hashed features, Weinberger et al. 2009.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.encoders import day_phase, week_day
from learners.kernels.jit import lean_njit
from learners.kernels.random import hash32

UNIT = 1.0 / 8192.0
FULL = 32_767
VALUE_RATE = 0.3

TILES, SLOPES = 16, 8
ACROSS, HOURS, DAYS = 6, 8, 4  # tiles over the range of values, the day and the week
FINE = 10  # tiles over the range of values, and of steps, without a time
NOWHERE = 15  # in place of a tile number, where the time or the value is missing

# Decoder.counts
EVENTS, ROWS = 0, 1

# Decoder.reading columns
MEDIAN, MEAN, SPREAD = 0, 1, 2


class Decoder(NamedTuple):
    """Arrays of a decoder."""

    weight: NDArray[np.int16]  # [H, R, K] in units of 1/8192
    pattern: NDArray[np.int32]  # [Q, F] ring of rows
    pattern_n: NDArray[np.int32]  # [Q] features in the pattern
    bucket_value: NDArray[np.float64]  # [K] running average
    bucket_seen: NDArray[np.uint8]  # [K]
    learned: NDArray[np.int64]  # [H] updates at each horizon
    edges: NDArray[np.float64]  # [2] lower edge of the first bucket, width of a bucket
    counts: NDArray[np.int64]  # [2] patterns pushed, rows of this event
    horizons: NDArray[np.int64]  # [H]
    settings: NDArray[np.float64]  # [2] learning rate, coverage
    rows: NDArray[np.int32]  # [F] scratch: rows of this event
    total: NDArray[np.int32]  # [K] scratch
    mass: NDArray[np.float64]  # [H, K] scratch: probabilities
    reading: NDArray[np.float64]  # [H, 3] scratch: median, mean and spread of each horizon


@lean_njit
def bucket_of(d: Decoder, value: float) -> int:
    """Return the bucket of a value; what lies outside goes to the nearest end."""
    place = (value - d.edges[0]) / d.edges[1]
    last = d.bucket_value.shape[0] - 1
    if place >= last:
        return last  # type: ignore[no-any-return]
    return 0 if place < 0.0 else np.int64(place)  # type: ignore[return-value]


@lean_njit
def tile(place: float, across: int, shift: float) -> int:
    """Return the number of the tile at `place`, 0..1 being the range, of one shifted tiling."""
    return np.int64(math.floor(min(max(place, -1.0), 2.0) * across + shift))  # type: ignore[return-value]


@lean_njit
def event_rows(
    d: Decoder, value: float, before: float, t: float, cells: NDArray[np.int32], n_cells: int
) -> None:
    """Leave in d.rows the rows of an event's features; NaN stands for what is missing.

    Tilings are shifted against each other by odd parts of a tile. Those over value, time of day
    and day of the week see a smooth surface; those over the value and its last step, the motion.
    """
    room = d.weight.shape[1]
    wide = d.edges[1] * d.bucket_value.shape[0]
    timed, valued = not math.isnan(t), not math.isnan(value)
    place = (value - d.edges[0]) / wide if valued else 0.0
    day, week = (day_phase(t), week_day(t) / 7.0) if timed else (0.0, 0.0)
    n = 0
    for i in range(TILES):
        shift = i / TILES
        a = tile(place, ACROSS, shift) + 32 if valued else NOWHERE
        b = tile(day, HOURS, (3 * i % TILES) / TILES) % HOURS if timed else NOWHERE
        c = tile(week, DAYS, (5 * i % TILES) / TILES) % DAYS if timed else NOWHERE
        d.rows[n] = hash32((a * 16 + b) * 16 + c, i) % room
        n += 1
    if valued and not math.isnan(before):
        step = min(max(value / wide - before / wide, -1.0), 1.0)
        for i in range(SLOPES):
            a = tile(place, FINE, i / SLOPES) + 32
            b = tile(step, FINE, (3 * i % SLOPES) / SLOPES) + 32
            d.rows[n] = hash32(a * 64 + b, TILES + i) % room
            n += 1
    for i in range(n_cells):
        d.rows[n] = hash32(cells[i], TILES + SLOPES) % room
        n += 1
    d.counts[ROWS] = n


@lean_njit
def add_rows(
    weight: NDArray[np.int16], h: int, rows: NDArray[np.int32], n: int, total: NDArray[np.int32]
) -> None:
    """Sum the first `n` rows of weights into `total`."""
    for b in range(total.shape[0]):
        total[b] = 0
    for i in range(n):
        row = rows[i]
        for b in range(total.shape[0]):
            total[b] += weight[h, row, b]


@lean_njit
def move_rows(
    weight: NDArray[np.int16], h: int, rows: NDArray[np.int32], n: int, delta: NDArray[np.int32]
) -> None:
    """Add `delta` to the first `n` rows of weights, as far as they can go."""
    most, least = np.int32(FULL), np.int32(-FULL)
    for i in range(n):
        row = rows[i]
        for b in range(delta.shape[0]):
            moved = np.int32(np.int32(weight[h, row, b]) + delta[b])
            moved = most if moved > most else moved
            moved = least if moved < least else moved
            weight[h, row, b] = np.int16(moved)


@lean_njit
def softmax_seen(d: Decoder, h: int) -> None:
    """Turn `total` into probabilities in mass[h], zero for a bucket never seen."""
    seen, sums, mass = d.bucket_seen, d.total, d.mass
    top = -np.inf
    for b in range(seen.shape[0]):
        if seen[b]:
            top = max(top, sums[b])
    whole = 0.0
    for b in range(seen.shape[0]):
        p = math.exp((sums[b] - top) * UNIT) if seen[b] else 0.0
        mass[h, b] = p
        whole += p
    for b in range(seen.shape[0]):
        mass[h, b] /= whole


@lean_njit
def quantile(d: Decoder, h: int, q: float) -> float:
    """Return where the distribution in mass[h] reaches `q`.

    Linear inside a bucket; an end bucket that lies open reaches to its average value.
    """
    mass = d.mass
    below, last = 0.0, -1
    for b in range(mass.shape[1]):
        p = mass[h, b]
        if p == 0.0:
            continue
        last = b
        if below + p >= q:
            break
        below += p
    value = d.bucket_value[last]
    low = min(d.edges[0] + last * d.edges[1], value)
    high = max(d.edges[0] + (last + 1) * d.edges[1], value)
    part = min(max((q - below) / mass[h, last], 0.0), 1.0)
    return low * (1.0 - part) + high * part  # type: ignore[no-any-return]


@lean_njit
def decoder_infer(d: Decoder) -> None:
    """Fill `mass` and `reading` from d.rows; NaN in the reading of a horizon that never learned.

    The spread is the mean absolute error a Laplace distribution with the same band would have.
    """
    outside = 1.0 - d.settings[1]
    for h in range(d.horizons.shape[0]):
        if d.learned[h] == 0:
            for i in range(d.reading.shape[1]):
                d.reading[h, i] = np.nan
            continue
        add_rows(d.weight, h, d.rows, d.counts[ROWS], d.total)
        softmax_seen(d, h)
        mean = 0.0
        for b in range(d.bucket_value.shape[0]):
            mean += d.mass[h, b] * d.bucket_value[b]
        d.reading[h, MEDIAN] = quantile(d, h, 0.5)
        d.reading[h, MEAN] = mean
        band = quantile(d, h, 1.0 - 0.5 * outside) - quantile(d, h, 0.5 * outside)
        d.reading[h, SPREAD] = max(band, 0.0) / (-2.0 * math.log(outside))


@lean_njit
def learn_pattern(d: Decoder, at: int, h: int, bucket: int) -> None:
    """One gradient step of pattern `at` toward `bucket` at horizon number `h`.

    The rate is shared by the features, as in normalized least mean squares, so that a step means
    the same however many cells were predicted.
    """
    n = d.pattern_n[at]
    for i in range(n):
        d.rows[i] = d.pattern[at, i]
    add_rows(d.weight, h, d.rows, n, d.total)
    softmax_seen(d, h)
    rate = d.settings[0] / (n * UNIT)
    for b in range(d.total.shape[0]):
        goal = 1.0 if b == bucket else 0.0
        d.total[b] = np.int32(math.floor(rate * (goal - d.mass[h, b]) + 0.5))
    move_rows(d.weight, h, d.rows, n, d.total)


@lean_njit
def decoder_learn(d: Decoder, value: float) -> None:
    """Teach the patterns of each horizon ago the bucket of `value`, and keep this event's.

    NaN teaches nothing. Kept first, for learning overwrites d.rows; the oldest pattern, whose
    place it takes, is one event too old by then.
    """
    room = d.pattern_n.shape[0]
    at = d.counts[EVENTS] % room
    for i in range(d.counts[ROWS]):
        d.pattern[at, i] = d.rows[i]
    d.pattern_n[at] = d.counts[ROWS]
    d.counts[EVENTS] += 1
    if math.isnan(value):
        return
    bucket = bucket_of(d, value)
    if d.bucket_seen[bucket]:
        old = d.bucket_value[bucket]
        d.bucket_value[bucket] = (1.0 - VALUE_RATE) * old + VALUE_RATE * value
    else:
        d.bucket_seen[bucket] = 1
        d.bucket_value[bucket] = value
    for h in range(d.horizons.shape[0]):
        made = d.counts[EVENTS] - 1 - d.horizons[h]
        if made >= 0:
            learn_pattern(d, made % room, h, bucket)
            d.learned[h] += 1


@lean_njit
def rescale_decoder(d: Decoder, low: float, high: float) -> None:
    """Spread the buckets over [low, high] and forget what the old ones meant."""
    buckets = d.bucket_value.shape[0]
    d.edges[0] = low
    d.edges[1] = high / buckets - low / buckets
    d.weight[:] = 0
    d.bucket_seen[:] = 0
    d.bucket_value[:] = 0.0
    d.learned[:] = 0
