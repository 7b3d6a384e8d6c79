"""Sparse codes: random projections of which the largest few are kept."""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


@lean_njit
def keep_largest(values: Floats, most: int, scratch: Floats, places: Places) -> int:
    """Put the places of the `most` largest positive values, in order, into places; return how many.

    Of equal values the one further ahead is kept. Quickselect (Hoare 1961) finds the least kept.
    """
    m = 0
    for i in range(values.shape[0]):
        if values[i] > 0.0:
            scratch[m] = values[i]
            places[m] = i
            m += 1
    if m <= most:
        return m
    low, high, want = 0, m - 1, most - 1
    while low < high:
        pivot = scratch[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while scratch[i] > pivot:
                i += 1
            while scratch[j] < pivot:
                j -= 1
            if i <= j:
                scratch[i], scratch[j] = scratch[j], scratch[i]
                i += 1
                j -= 1
        if want <= j:
            high = j
        elif want >= i:
            low = i
        else:
            break
    least, equal = scratch[want], most
    for k in range(m):
        if values[places[k]] > least:
            equal -= 1
    kept = 0
    for k in range(m):
        value = values[places[k]]
        if value > least or (value == least and equal > 0):
            equal -= 1 if value == least else 0
            places[kept] = places[k]
            kept += 1
    return kept


@lean_njit
def normalize_kept(values: Floats, places: Places, kept: int, key: Floats) -> None:
    """Put values at the first `kept` places into key, one after the other, with length 1."""
    largest, squares = 0.0, 0.0
    for i in range(kept):
        largest = max(largest, values[places[i]])
    for i in range(kept):
        key[i] = values[places[i]] / largest
        squares += key[i] * key[i]
    for i in range(kept):
        key[i] /= math.sqrt(squares)
