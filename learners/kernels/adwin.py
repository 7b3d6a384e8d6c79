"""ADWIN, the adaptive window of Bifet and Gavalda 2007, on arrays.

The window is a row of buckets for each power of two: row i holds up to M + 1 buckets of 2**i values
each, oldest first, as their sum and their sum of squared deviations. Every `clock` values each cut
between two buckets is tried; while the means on both sides differ by more than the bound of section
4, with the variance of the whole window (equation 3.1), the oldest bucket is dropped.
"""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import njit

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

WIDTH, TOTAL, SQUARES, TICK, ROWS = range(5)
"""Places in `window`: values, their sum, their squared deviations, values since the start, rows."""


@njit
def adwin_update(
    sums: Floats,  # float64[rows, M + 2]
    squares: Floats,  # float64[rows, M + 2]
    fill: Counts,  # int64[rows]
    window: Floats,  # float64[5]
    settings: Floats,  # float64[5]: delta, clock, M, shortest side, grace period
    value: float,
    means: Floats,  # float64[2], out: the means on both sides of the clearest cut
) -> bool:
    """Take in a value; return whether the mean changed, and drop what came before."""
    _insert(sums, squares, fill, window, value)
    _compress(sums, squares, fill, window, int(settings[2]))
    window[TICK] += 1.0
    if int(window[TICK]) % int(settings[1]) != 0 or window[WIDTH] <= settings[4]:
        return False
    if not _cut_found(sums, squares, fill, window, settings, means):
        return False
    _drop_oldest(sums, squares, fill, window)
    later = np.empty(2)
    while _cut_found(sums, squares, fill, window, settings, later):
        _drop_oldest(sums, squares, fill, window)
    return True


@njit
def _insert(
    sums: Floats,
    squares: Floats,
    fill: Counts,
    window: Floats,
    value: float,
) -> None:
    sums[0, fill[0]] = value
    squares[0, fill[0]] = 0.0
    fill[0] += 1
    window[WIDTH] += 1.0
    width = window[WIDTH]
    if width > 1.0:
        deviation = value - window[TOTAL] / (width - 1.0)
        window[SQUARES] += (width - 1.0) * deviation * deviation / width
    window[TOTAL] += value


@njit
def _compress(sums: Floats, squares: Floats, fill: Counts, window: Floats, most: int) -> None:
    """Merge the two oldest buckets of a row that is too full into one of the next row."""
    row = 0
    while fill[row] == most + 1 and row + 1 < len(fill):
        half = 2.0**row
        gap = sums[row, 0] / half - sums[row, 1] / half
        above = row + 1
        if above == int(window[ROWS]):
            window[ROWS] += 1.0
        sums[above, fill[above]] = sums[row, 0] + sums[row, 1]
        squares[above, fill[above]] = (
            squares[row, 0] + squares[row, 1] + half * half * gap * gap / (half + half)
        )
        fill[above] += 1
        _shift(sums, squares, fill, row, 2)
        row = above


@njit
def _shift(sums: Floats, squares: Floats, fill: Counts, row: int, count: int) -> None:
    for k in range(count, fill[row]):
        sums[row, k - count] = sums[row, k]
        squares[row, k - count] = squares[row, k]
    fill[row] -= count


@njit
def _cut_found(
    sums: Floats,
    squares: Floats,
    fill: Counts,
    window: Floats,
    settings: Floats,
    means: Floats,
) -> bool:
    """Return whether some cut has means that differ too much.

    `means` becomes those of the cut where they differ most for what chance allows: the first one
    found lies long before the change, and what is dropped for it says little of what came after.
    """
    width = window[WIDTH]
    shortest = settings[3]
    bound = math.log(2.0 * math.log(width) / settings[0])
    variance = window[SQUARES] / width
    old_n, old_sum = 0.0, 0.0
    new_n, new_sum = width, window[TOTAL]
    clearest = 0.0
    for row in range(int(window[ROWS]) - 1, -1, -1):
        each = 2.0**row
        for k in range(fill[row]):
            old_n += each
            new_n -= each
            old_sum += sums[row, k]
            new_sum -= sums[row, k]
            if row == 0 and k == fill[row] - 1:
                return clearest > 0.0
            if new_n >= shortest and old_n >= shortest:
                reciprocal = 1.0 / (old_n - shortest + 1.0) + 1.0 / (new_n - shortest + 1.0)
                most = (
                    math.sqrt(2.0 * reciprocal * variance * bound) + 2.0 / 3.0 * bound * reciprocal
                )
                gap = abs(old_sum / old_n - new_sum / new_n)
                if gap > most and gap / most > clearest:
                    clearest = gap / most
                    means[0], means[1] = old_sum / old_n, new_sum / new_n
    return clearest > 0.0


@njit
def _drop_oldest(sums: Floats, squares: Floats, fill: Counts, window: Floats) -> None:
    row = int(window[ROWS]) - 1
    n, total, own = 2.0**row, sums[row, 0], squares[row, 0]
    window[WIDTH] -= n
    window[TOTAL] -= total
    gap = total / n - window[TOTAL] / window[WIDTH]
    window[SQUARES] -= own + n * window[WIDTH] * gap * gap / (n + window[WIDTH])
    _shift(sums, squares, fill, row, 1)
    if fill[row] == 0:
        window[ROWS] -= 1.0
