"""A matrix that associates keys with values: linear attention as one state.

Shapes: C classes, N places of a key, d inputs. A key is stored as its entries that are not zero,
`key`, and where they stand, `places`.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.sparse_code import keep_largest, normalize_kept

Floats = NDArray[np.float64]

SPARSE, UNIT, PLAIN = 0, 1, 2
LONGEST_KEY = 1e3
LARGEST = 1e100
MOST_SQUARES = 1e250
TINY = 1e-12
ERROR_RATE, SIZE_RATE, GAIN_RATE = 0.01, 0.01, 0.1
LEAST_GAIN, MOST_GAIN = 0.1, 100.0
MOST_RESPONSE = 10.0
"""In multiples of the usual one, when probabilities are made of it."""

# figures
WRITES, SQUARES, ERROR, SIZE, GAIN = 0, 1, 2, 3, 4
FIGURES = 5


class Memory(NamedTuple):
    """All there is."""

    S: Floats  # [C, N]
    P: Floats  # [d, N] random projection; of one row where keys are not sparse
    x: Floats  # [d] the event
    key: Floats  # [N]
    places: NDArray[np.int64]  # [N]
    drive: Floats  # [N] scratch
    scratch: Floats  # [N]
    y: Floats  # [C] response
    v: Floats  # [C] what was to be associated
    p: Floats  # [C] probabilities
    figures: Floats  # [FIGURES] writes, |S|^2, running |v - S k|^2, usual response, gain


@lean_njit
def encode(m: Memory, known: int, code: int, active: int) -> int:
    """Put the key of the event in m.x into m.key and m.places; return how many entries it has."""
    if code == SPARSE:
        m.drive[:] = 0.0
        for j in range(known):
            if m.x[j] != 0.0:
                for i in range(m.drive.shape[0]):
                    m.drive[i] += m.x[j] * m.P[j, i]
        kept = keep_largest(m.drive, active, m.scratch, m.places)
        normalize_kept(m.drive, m.places, kept, m.key)
        return kept
    kept, largest, squares = 0, 0.0, 0.0
    for j in range(known):
        if m.x[j] != 0.0:
            m.key[kept], m.places[kept] = m.x[j], j
            largest = max(largest, abs(m.x[j]))
            kept += 1
    for i in range(kept):
        squares += (m.key[i] / largest) ** 2
    if kept > 0:
        length = largest * math.sqrt(squares)
        if code == UNIT or length > LONGEST_KEY:
            want = 1.0 if code == UNIT else LONGEST_KEY
            for i in range(kept):
                m.key[i] = m.key[i] / largest / math.sqrt(squares) * want
    return kept


@lean_njit
def recall(m: Memory, kept: int, classes: int) -> None:
    """Put the response y = S k into m.y."""
    for c in range(classes):
        total = 0.0
        for i in range(kept):
            total += m.S[c, m.places[i]] * m.key[i]
        m.y[c] = total


@lean_njit
def associate(m: Memory, kept: int, classes: int, rate: float, keep: float, delta: bool) -> None:
    """Associate the key with m.v; m.y is what it recalls.

    Hebb: S <- keep S + rate v k^T. Delta: S <- S + rate (v - S k) k^T / |k|^2, after which the key
    recalls v exactly if the rate is 1 (Widrow and Hoff 1960; Rescorla and Wagner 1972).
    """
    length, along, moved, missed = 0.0, 0.0, 0.0, 0.0
    for i in range(kept):
        length += m.key[i] * m.key[i]
    if not delta:
        for c in range(m.S.shape[0]):
            for i in range(m.S.shape[1]):
                m.S[c, i] *= keep
    for c in range(classes):
        error = m.v[c] - m.y[c]
        step = rate * error / (TINY + length) if delta else rate * m.v[c]
        along += step * m.y[c]
        moved += step * step
        missed += error * error
        for i in range(kept):
            found = m.S[c, m.places[i]] + step * m.key[i]
            m.S[c, m.places[i]] = min(max(found, -LARGEST), LARGEST)
    f = m.figures
    keep = 1.0 if delta else keep
    squares = f[SQUARES] * keep * keep + 2.0 * keep * along + moved * length
    f[SQUARES] = min(max(squares, 0.0), MOST_SQUARES)
    f[WRITES] += 1.0
    f[ERROR] += max(ERROR_RATE, 1.0 / f[WRITES]) * (missed - f[ERROR])


@lean_njit
def say(m: Memory, classes: int) -> float:
    """Put softmax of the response, in multiples of the usual, into m.p; return 1 - the largest."""
    size, most = m.figures[SIZE], -MOST_RESPONSE
    for c in range(classes):
        m.p[c] = min(max(m.y[c] / (size + TINY), -MOST_RESPONSE), MOST_RESPONSE)
        most = max(most, m.p[c])
    total = 0.0
    for c in range(classes):
        m.p[c] = math.exp(m.figures[GAIN] * (m.p[c] - most))
        total += m.p[c]
    for c in range(classes):
        m.p[c] /= total
    return 1.0 - min(max(most, 0.0), 1.0)


@lean_njit
def look(m: Memory, known: int, code: int, active: int, classes: int) -> float:
    """Put probabilities of classes into m.p; return how unfamiliar the event is, or -1."""
    kept = encode(m, known, code, active)
    if classes == 0:
        return -1.0
    recall(m, kept, classes)
    said = say(m, classes)
    return said if kept > 0 else -1.0


@lean_njit
def learn(
    m: Memory,
    known: int,
    code: int,
    active: int,
    classes: int,
    truth: int,
    rate: float,
    keep: float,
    delta: bool,
) -> None:
    """Associate the event in m.x with a class, and fit gain and usual response to it."""
    kept = encode(m, known, code, active)
    if kept == 0:
        return
    recall(m, kept, classes)
    say(m, classes)
    f = m.figures
    slope, most = 0.0, 0.0
    for c in range(classes):
        response = min(max(m.y[c] / (f[SIZE] + TINY), -MOST_RESPONSE), MOST_RESPONSE)
        m.v[c] = 1.0 if c == truth else 0.0
        slope += (m.v[c] - m.p[c]) * response
        most = max(most, abs(m.y[c]))
    f[GAIN] = min(max(f[GAIN] + GAIN_RATE * slope, LEAST_GAIN), MOST_GAIN)
    f[SIZE] += max(SIZE_RATE, 1.0 / (f[WRITES] + 1.0)) * (most - f[SIZE])
    associate(m, kept, classes, rate, keep, delta)
