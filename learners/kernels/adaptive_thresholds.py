"""Features with thresholds of their own: only units that an event exceeds compete for it.

Shapes: K units, d inputs, C classes. Units, responses and read-out are those of
`learners.kernels.soft_hebbian`; here weights have length 1. After FEAST (Afshar et al. 2020,
Sensors 20(6):1600).
"""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.soft_hebbian import (
    Units,
    learn_softmax,
    read_softmax,
    respond,
    stand_out,
)

Floats = NDArray[np.float64]

MISSED = -1
FAST, SLOW = 0.05, 5e-4
"""Rates of the means that similarity is compared by."""
NOTHING_LEFT = 1e-30
"""A row of fewer squares, where unit and event cancel out, is rounding."""
COMPARED_FROM = 1_000
"""Events from which on there is a comparison."""

# settings
RATE, RISE, FALL, READ_RATE, WIN_RATE = 0, 1, 2, 4, 5
# figures
EVENTS, MISSES, SLOPE, NOW, MEAN, VARIANCE, NOVELTY = 0, 1, 2, 3, 4, 5, 6
FIGURES = 7


@lean_njit
def to_unit(x: Floats) -> float:
    """Give x length 1 and return the length it had."""
    largest, squares = 0.0, 0.0
    for j in range(x.shape[0]):
        largest = max(largest, abs(x[j]))
    if largest == 0.0:
        return 0.0
    for j in range(x.shape[0]):
        x[j] /= largest
        squares += x[j] * x[j]
    for j in range(x.shape[0]):
        x[j] /= math.sqrt(squares)
    return largest * math.sqrt(squares)


@lean_njit
def winner_of(s: Units, thresholds: Floats) -> int:
    """Return the unit of the largest response among those at or above their threshold, or -1."""
    found = MISSED
    for k in range(thresholds.shape[0]):
        if s.u[k] >= thresholds[k] and (found == MISSED or s.u[k] > s.u[found]):
            found = k
    return found


@lean_njit
def look(s: Units, classes: int) -> float:
    """Put the probabilities of classes into s.p; return 1 - the largest cosine, or -1."""
    if to_unit(s.x) == 0.0:
        for c in range(classes):
            s.p[c] = 1.0 / classes
        return -1.0
    best = respond(s, s.x.shape[0])
    if classes > 0:
        stand_out(s.u, False, s.y)
        read_softmax(s, classes)
    found: float = 1.0 - min(max(s.u[best], 0.0), 1.0)
    return found


@lean_njit
def learn(
    s: Units, thresholds: Floats, figures: Floats, classes: int, truth: int, compete: bool
) -> None:
    """Learn a label unless it is -1, then, if asked, let one unit have the event in s.x.

    The winner moves towards the event and its threshold rises; without one all thresholds fall.
    """
    if to_unit(s.x) == 0.0:
        return
    best = respond(s, s.x.shape[0])
    if truth >= 0:
        stand_out(s.u, False, s.y)
        read_softmax(s, classes)
        learn_softmax(s, classes, truth)
    if compete:
        figures[EVENTS] += 1.0
        compare(figures, s.u[best])
        _compete(s, thresholds, figures, winner_of(s, thresholds))


@lean_njit
def compare(figures: Floats, similarity: float) -> None:
    """Hold the similarity of late against that of long: by how many deviations it has fallen."""
    f, t = figures, figures[EVENTS]
    f[NOW] += max(FAST, 1.0 / t) * (similarity - f[NOW])
    off = f[NOW] - f[MEAN]
    deviation = math.sqrt(f[VARIANCE])
    ready = t > COMPARED_FROM and deviation > 1e-9
    f[NOVELTY] = min(max(-off / deviation, -1e6), 1e6) if ready else 0.0
    rate = max(SLOW, 1.0 / t)
    f[MEAN] += rate * off
    f[VARIANCE] = (1.0 - rate) * (f[VARIANCE] + rate * off * off)


@lean_njit
def _compete(s: Units, thresholds: Floats, figures: Floats, winner: int) -> None:
    K, missed, moved = thresholds.shape[0], 0.0, 0.0
    rate = max(s.settings[WIN_RATE], 1.0 / figures[EVENTS])
    for k in range(K):
        s.wins[k] -= rate * s.wins[k]
    if winner == MISSED:
        missed = 1.0
        for k in range(K):
            before = thresholds[k]
            thresholds[k] = max(before - s.settings[FALL], -1.0)
            moved += (thresholds[k] - before) / K
    else:
        s.wins[winner] += rate
        before = thresholds[winner]
        thresholds[winner] = min(before + s.settings[RISE], 1.0)
        moved = (thresholds[winner] - before) / K
        _draw_near(s, winner)
    figures[MISSES] += rate * (missed - figures[MISSES])
    figures[SLOPE] += rate * (moved - figures[SLOPE])


@lean_njit
def _draw_near(s: Units, k: int) -> None:
    """Move unit k towards the event: w <- (w + rate (x - w)) / |.|; none that is opposite to it."""
    squares = 0.0
    for j in range(s.x.shape[0]):
        moved = s.W[k, j] + s.settings[RATE] * (s.x[j] - s.W[k, j])
        squares += moved * moved
    if squares > NOTHING_LEFT:
        for j in range(s.x.shape[0]):
            moved = s.W[k, j] + s.settings[RATE] * (s.x[j] - s.W[k, j])
            s.W[k, j] = moved / math.sqrt(squares)
