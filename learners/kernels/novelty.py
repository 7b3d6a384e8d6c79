"""How far numbers lie from all there have been, counted in decades of improbability.

Shapes: F features, V = 3 views of each, K representatives of a view, k largest distances kept,
B = 48 half hours of a day, A scores in a mean, Q events that an alarm lasts. NaN is missing.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import njit

VALUE, AVERAGE, DAILY = 0, 1, 2
VIEWS = 3
RECENT = 3
BINS = 48
SECONDS_A_BIN = 1800.0
PROFILE_RATE = 0.1
ALARM = 4.0
STRANGER = 1.1
FADE = 0.3
MOST_DECADES = 1e6
LN_10 = math.log(10.0)

# counts
EVENTS, SCORES = 0, 1
# said: decades of each view of the strangest feature, of the score, of them all, and what is left
# of them after earlier alarms
SCORE, TOTAL, NEWS = 3, 4, 5


class Novelty(NamedTuple):
    """All there is, each array by name."""

    representatives: NDArray[np.float64]  # [F, V, K + 1] sorted numbers there have been
    held: NDArray[np.int64]  # [F, V] how many of them
    largest: NDArray[np.float64]  # [F, V, k + 1] largest distances so far, falling
    seen: NDArray[np.int64]  # [F, V] numbers so far
    recent: NDArray[np.float64]  # [F, 3] last values
    profile: NDArray[np.float64]  # [F, B] usual value at each time of day, NaN unknown
    scores: NDArray[np.float64]  # [A] last scores of the learner
    score_largest: NDArray[np.float64]  # [k + 1] largest means of them
    evidence: NDArray[np.float64]  # [Q] decades of the last events
    counts: NDArray[np.int64]  # [2] events, scores
    said: NDArray[np.float64]  # [6] of the latest event
    values: NDArray[np.float64]  # [F] scratch
    settings: NDArray[np.int64]  # [2] learning_period, min_samples


@njit
def nearest(row: NDArray[np.float64], held: int, number: float) -> float:
    """Return the distance to the nearest of the first `held` numbers of a sorted row."""
    at = np.searchsorted(row[:held], number)
    distance = math.inf
    if at < held:
        distance = row[at] - number
    if at > 0:
        distance = min(distance, number - row[at - 1])
    return distance if held else 0.0


@njit
def represent(row: NDArray[np.float64], held: int, number: float) -> int:
    """Put a number in its place; where there is no room, give up one in the tightest spot."""
    at = np.searchsorted(row[:held], number)
    for i in range(held, at, -1):
        row[i] = row[i - 1]
    row[at] = number
    held += 1
    if held < row.shape[0]:
        return held
    tightest, spot = math.inf, 1
    for i in range(1, held - 1):
        gap = row[i + 1] - row[i - 1]
        if gap < tightest:
            tightest, spot = gap, i
    for i in range(spot, held - 1):
        row[i] = row[i + 1]
    return held - 1


@njit
def decades(largest: NDArray[np.float64], count: int, x: float) -> float:
    """Return -log10 of the chance of `x`, 0 if it is not beyond the k-th largest of `count`.

    The tail beyond that is taken to be exponential, its mean that of the k distances beyond.
    """
    k = largest.shape[0] - 1
    u = largest[k]
    if count <= k or not x > u:
        return 0.0
    excess = 0.0
    for i in range(k):
        excess += largest[i] - u
    excess /= k
    found = math.log((count + 1) / k) + (x - u) / excess if excess > 0.0 else math.log(count + 1.0)
    return min(found / LN_10, MOST_DECADES)


@njit
def keep_largest(largest: NDArray[np.float64], count: int, x: float) -> None:
    """Keep the k + 1 largest of `count` numbers and `x`, falling."""
    room = largest.shape[0]
    if count < room:
        i = count
    elif x > largest[room - 1]:
        i = room - 1
    else:
        return
    largest[i] = x
    while i > 0 and largest[i] > largest[i - 1]:
        largest[i], largest[i - 1] = largest[i - 1], largest[i]
        i -= 1


@njit
def judge(largest: NDArray[np.float64], seen: int, settings: NDArray[np.int64], x: float) -> float:
    """Return the decades of `x` after `seen` others, then keep it among the largest."""
    learning_period, min_samples = settings[0], settings[1]
    count = seen - learning_period
    found = decades(largest, count, x) if seen >= min_samples else 0.0
    if count >= 0:
        keep_largest(largest, count, x)
    return found


@njit
def look_at(n: Novelty, f: int, view: int, number: float) -> float:
    """Return how far from all before it a number of one view is, in decades; then keep it."""
    row = n.representatives[f, view]
    distance = nearest(row, n.held[f, view], number)
    found = judge(n.largest[f, view], n.seen[f, view], n.settings, distance)
    if distance > 0.0 or n.held[f, view] == 0:
        n.held[f, view] = represent(row, n.held[f, view], number)
    n.seen[f, view] += 1
    return found


@njit
def from_profile(profile: NDArray[np.float64], value: float, t: float) -> float:
    """Return the distance from the usual value at this time of day, which then follows."""
    bin_ = min(int((t % 86400.0) / SECONDS_A_BIN), BINS - 1)
    if math.isnan(profile[bin_]):
        profile[bin_] = value
    deviation = value - profile[bin_]
    profile[bin_] += PROFILE_RATE * deviation
    return deviation  # type: ignore[no-any-return]


@njit
def novelty_step(n: Novelty, features: int, t: float, score: float) -> None:
    """Take in one event; what is to be said of it is left in `said`."""
    n.said[:] = 0.0
    strangest = 0.0
    for f in range(features):
        value = n.values[f]
        if math.isnan(value):
            continue
        n.recent[f, n.seen[f, VALUE] % RECENT] = value
        m = min(n.seen[f, VALUE] + 1, RECENT)
        total = 0.0
        for i in range(m):
            total += n.recent[f, i]
        one = look_at(n, f, VALUE, value)
        two = look_at(n, f, AVERAGE, total / m)
        three = 0.0
        if not math.isnan(t):
            three = look_at(n, f, DAILY, from_profile(n.profile[f], value, t))
        if one + two + three > strangest:
            strangest = one + two + three
            n.said[VALUE], n.said[AVERAGE], n.said[DAILY] = one, two, three
    if not math.isnan(score):
        seen, room = n.counts[SCORES], n.scores.shape[0]
        n.scores[seen % room] = score
        m = min(seen + 1, room)
        total = 0.0
        for i in range(m):
            total += n.scores[i]
        n.said[SCORE] = judge(n.score_largest, seen, n.settings, total / m)
        n.counts[SCORES] += 1
    n.said[TOTAL] = strangest + n.said[SCORE]
    n.said[NEWS] = news(n.evidence, n.counts, n.said[TOTAL])


@njit
def news(evidence: NDArray[np.float64], counts: NDArray[np.int64], found: float) -> float:
    """Return the decades, or few if one of the last Q events had nearly as many."""
    events, room = counts[EVENTS], evidence.shape[0]
    most = -1.0
    for i in range(min(events, room)):
        most = max(most, evidence[i])
    evidence[events % room] = found
    counts[EVENTS] += 1
    return found if found > STRANGER * most else FADE * min(found, ALARM)
