"""After how many events values repeat: the last values, and how far each lag is off.

Shapes: V values kept, G lags looked at. At each event one of BLOCKS blocks of lags, drawn by a
hash of the event's number, is compared with the value; so a lag costs a sixteenth of a look.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.random import hash32

LAGS, BLOCKS = 2_048, 16
BLOCK = LAGS // BLOCKS
KEPT = 2 * LAGS + 16  # values, beside twice those back to the farthest horizon
MEMORY = 250.0  # looks at a lag that its average spans
FAR = 16.0  # steps; a difference beyond counts as this
ENOUGH = 8.0  # looks before a lag may be taken
OFTEN, SELDOM = 64, 256  # events between choices, before and after LAGS events
NEAR_BEST, BETTER, SHORTER = 1.25, 0.9, 0.75
STEP_MEMORY = 500.0

# Seasons.counts
EVENTS, LAG = 0, 1


class Seasons(NamedTuple):
    """Arrays of what repeats."""

    ring: NDArray[np.float64]  # [V] last values, a missing one as the value before; the place of
    # the event under way, counts[EVENTS] mod V, is scratch
    off: NDArray[np.float32]  # [G] average difference over lag i + 1, in average steps
    looks: NDArray[np.float32]  # [G] how often, up to MEMORY
    step: NDArray[np.float64]  # [1] average absolute step from value to value
    counts: NDArray[np.int64]  # [2] values pushed, the lag after which they repeat or 0


@lean_njit
def scale_of(s: Seasons) -> float:
    """Return the average step, 1 while all values were the same."""
    return s.step[0] if s.step[0] > 0.0 else 1.0


@lean_njit
def look_at_block(s: Seasons, value: float, first: int) -> None:
    """Average how far `value`, the latest, is from those first + 1 to first + BLOCK ago."""
    ring, off, looks = s.ring, s.off, s.looks
    n, room, scale = s.counts[EVENTS], ring.shape[0], scale_of(s)
    at = (n - 1 - first) % room
    for i in range(first, min(first + BLOCK, n - 1)):
        at = room - 1 if at == 0 else at - 1
        apart = abs(value - ring[at]) / scale
        if not apart < FAR:
            apart = FAR
        looks[i] = min(looks[i] + np.float32(1.0), np.float32(MEMORY))
        off[i] += (np.float32(apart) - off[i]) / looks[i]


@lean_njit
def best_lag(s: Seasons) -> int:
    """Return the shortest lag nearly as good as the best one, or 0.

    Short lags are near only because values move slowly, so the search begins where a lag is as
    far off as lags are on average.
    """
    most = min(s.off.shape[0], s.counts[EVENTS] // 2)
    total, counted = 0.0, 0
    for i in range(most):
        if s.looks[i] >= ENOUGH:
            total += s.off[i]
            counted += 1
    first = 0
    while first < most and (s.looks[first] < ENOUGH or s.off[first] * counted < total):
        first += 1
    best = np.inf
    for i in range(first, most):
        if s.looks[i] >= ENOUGH:
            best = min(best, s.off[i])
    for i in range(first, most):
        if s.looks[i] >= ENOUGH and s.off[i] <= NEAR_BEST * best:
            found = i
            for j in range(i, min(most, i + i // 4 + 1)):
                if s.looks[j] >= ENOUGH and s.off[j] < s.off[found]:
                    found = j
            return found + 1
    return 0


@lean_njit
def choose_lag(s: Seasons) -> None:
    """Take the best lag if it is clearly better than the one in use, or clearly shorter."""
    found, used = best_lag(s), s.counts[LAG]
    if found == 0 or used == 0:
        s.counts[LAG] = max(found, used)
    elif found < SHORTER * used or s.off[found - 1] < BETTER * s.off[used - 1]:
        s.counts[LAG] = found


@lean_njit
def measure_step(s: Seasons, value: float) -> None:
    """Average in the step to `value`, which is about to be pushed; NaN is none."""
    n = s.counts[EVENTS]
    if n > 0 and not math.isnan(value):
        before = s.ring[(n - 1) % s.ring.shape[0]]
        s.step[0] += (abs(value - before) - s.step[0]) / min(np.float64(n), STEP_MEMORY)


@lean_njit
def seasons_learn(s: Seasons, value: float) -> None:
    """Push a value, or the one before for NaN, and look at some lags."""
    n, room = s.counts[EVENTS], s.ring.shape[0]
    before = s.ring[(n - 1) % room] if n > 0 else 0.0
    missing = math.isnan(value)
    s.ring[n % room] = before if missing else value
    s.counts[EVENTS] = n + 1
    if missing or n == 0:
        return
    look_at_block(s, value, BLOCK * (hash32(n, 0) % BLOCKS))
    if n % (OFTEN if n < LAGS else SELDOM) == 0:
        choose_lag(s)
