"""Decoder: which value bucket comes h events ahead, by softmax regression on the active code.

Shapes: H horizons, K buckets, N columns, C cells, R rows for cells, k active columns, Q patterns
kept. A pattern is the active columns and those of their cells that were predicted; a bursting
column says nothing of the context and contributes its column's weights alone, so an event
touches at most 2 k rows of weights.

Source: the SDR classifier of the paper's taxi experiment, with a column's weights added as a
back-off.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import njit

VALUE_RATE = 0.3

# Decoder.counts
EVENTS, ROWS = 0, 1

# Forecast columns
MIDDLE, LOWER, UPPER = 0, 1, 2


class Decoder(NamedTuple):
    """Arrays of a decoder."""

    column_weight: NDArray[np.float32]  # [N, H K]
    cell_weight: NDArray[np.float32]  # [R, H K]
    cell_row: NDArray[np.int32]  # [C] row + 1
    row_cell: NDArray[np.int32]  # [R]
    pattern_columns: NDArray[np.int32]  # [Q, k] ring
    pattern_cells: NDArray[np.int32]  # [Q, k]
    pattern_n: NDArray[np.int32]  # [Q] cells in the pattern
    bucket_value: NDArray[np.float64]  # [K] running average
    bucket_seen: NDArray[np.uint8]  # [K]
    learned: NDArray[np.int64]  # [H] updates at each horizon
    edges: NDArray[np.float64]  # [2] lower edge of the first bucket, width of a bucket
    counts: NDArray[np.int64]  # [2] patterns pushed, rows in use
    horizons: NDArray[np.int64]  # [H]
    settings: NDArray[np.float64]  # [2] learning rate, coverage
    score: NDArray[np.float64]  # [H K] scratch


@njit
def bucket_of(d: Decoder, value: float) -> int:
    """Return the bucket of a value; what lies outside goes to the nearest end."""
    place = (value - d.edges[0]) / d.edges[1]
    last = d.bucket_value.shape[0] - 1
    if place >= last:
        return last  # type: ignore[no-any-return]
    return 0 if place < 0.0 else np.int64(place)  # type: ignore[return-value]


@njit
def add_scores(
    d: Decoder,
    columns: NDArray[np.int32],
    cells: NDArray[np.int32],
    n_cells: int,
    start: int,
    stop: int,
) -> None:
    """Sum into score[start:stop] the weights of the columns and of the cells that have any."""
    d.score[start:stop] = 0.0
    for column in columns:
        for j in range(start, stop):
            d.score[j] += d.column_weight[column, j]
    for i in range(n_cells):
        row = d.cell_row[cells[i]] - 1
        if row >= 0:
            for j in range(start, stop):
                d.score[j] += d.cell_weight[row, j]


@njit
def softmax_seen(d: Decoder, start: int) -> None:
    """Turn score[start : start + K] into probabilities, zero for a bucket never seen."""
    buckets = d.bucket_value.shape[0]
    top = -np.inf
    for b in range(buckets):
        if d.bucket_seen[b]:
            top = max(top, d.score[start + b])
    total = 0.0
    for b in range(buckets):
        p = math.exp(d.score[start + b] - top) if d.bucket_seen[b] else 0.0
        d.score[start + b] = p
        total += p
    for b in range(buckets):
        d.score[start + b] /= total


@njit
def quantile(d: Decoder, start: int, q: float) -> float:
    """Return where the distribution in score[start : start + K] reaches `q`.

    Linear inside a bucket; an end bucket that lies open reaches to its average value.
    """
    buckets = d.bucket_value.shape[0]
    below, last = 0.0, -1
    for b in range(buckets):
        p = d.score[start + b]
        if p == 0.0:
            continue
        last = b
        if below + p >= q:
            break
        below += p
    value = d.bucket_value[last]
    low = min(d.edges[0] + last * d.edges[1], value)
    high = max(d.edges[0] + (last + 1) * d.edges[1], value)
    part = min(max((q - below) / d.score[start + last], 0.0), 1.0)
    return low * (1.0 - part) + high * part  # type: ignore[no-any-return]


@njit
def decoder_infer(
    d: Decoder,
    columns: NDArray[np.int32],
    cells: NDArray[np.int32],
    n_cells: int,
    forecast: NDArray[np.float64],
) -> None:
    """Fill forecast[H, 3] with value, lower and upper; NaN at a horizon that never learned."""
    buckets = d.bucket_value.shape[0]
    tail = 0.5 * (1.0 - d.settings[1])
    add_scores(d, columns, cells, n_cells, 0, d.score.shape[0])
    for h in range(d.horizons.shape[0]):
        forecast[h, :] = np.nan
        if d.learned[h] == 0:
            continue
        start = h * buckets
        softmax_seen(d, start)
        forecast[h, MIDDLE] = quantile(d, start, 0.5)
        forecast[h, LOWER] = min(quantile(d, start, tail), forecast[h, MIDDLE])
        forecast[h, UPPER] = max(quantile(d, start, 1.0 - tail), forecast[h, MIDDLE])


@njit
def row_of(d: Decoder, cell: int) -> int:
    """Return the row of a cell's weights, a new one if there is room, else -1."""
    if d.cell_row[cell] == 0 and d.counts[ROWS] < d.row_cell.shape[0]:
        d.row_cell[d.counts[ROWS]] = cell
        d.counts[ROWS] += 1
        d.cell_row[cell] = d.counts[ROWS]
    return d.cell_row[cell] - 1  # type: ignore[no-any-return]


@njit
def learn_pattern(d: Decoder, at: int, h: int, bucket: int) -> None:
    """One gradient step of pattern `at` toward `bucket` at horizon number `h`."""
    buckets = d.bucket_value.shape[0]
    start, stop = h * buckets, (h + 1) * buckets
    columns, cells, n = d.pattern_columns[at], d.pattern_cells[at], d.pattern_n[at]
    add_scores(d, columns, cells, n, start, stop)
    softmax_seen(d, start)
    rate = d.settings[0]
    for j in range(start, stop):
        d.score[j] = -rate * d.score[j]
    d.score[start + bucket] += rate
    for column in columns:
        for j in range(start, stop):
            d.column_weight[column, j] += np.float32(d.score[j])
    for i in range(n):
        row = row_of(d, cells[i])
        if row >= 0:
            for j in range(start, stop):
                d.cell_weight[row, j] += np.float32(d.score[j])


@njit
def decoder_learn(d: Decoder, value: float) -> None:
    """Teach the patterns of each horizon ago the bucket of `value`; NaN teaches nothing."""
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
        if d.horizons[h] <= d.counts[EVENTS]:
            at = (d.counts[EVENTS] - d.horizons[h]) % d.pattern_n.shape[0]
            learn_pattern(d, at, h, bucket)
            d.learned[h] += 1


@njit
def push_pattern(
    d: Decoder, columns: NDArray[np.int32], cells: NDArray[np.int32], n_cells: int
) -> None:
    """Remember the pattern of this event."""
    at = d.counts[EVENTS] % d.pattern_n.shape[0]
    for i in range(columns.shape[0]):
        d.pattern_columns[at, i] = columns[i]
    for i in range(n_cells):
        d.pattern_cells[at, i] = cells[i]
    d.pattern_n[at] = n_cells
    d.counts[EVENTS] += 1


@njit
def rescale_decoder(d: Decoder, low: float, high: float) -> None:
    """Spread the buckets over [low, high] and forget what the old ones meant."""
    buckets = d.bucket_value.shape[0]
    d.edges[0] = low
    d.edges[1] = high / buckets - low / buckets
    d.column_weight[:] = 0.0
    d.cell_weight[: d.counts[ROWS]] = 0.0
    for row in range(d.counts[ROWS]):
        d.cell_row[d.row_cell[row]] = 0
    d.counts[ROWS] = 0
    d.bucket_seen[:] = 0
    d.bucket_value[:] = 0.0
    d.learned[:] = 0
