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

# what a step does
JUDGE, ABSORB, HOLDING = 1, 2, 4
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
def weigh(
    largest: NDArray[np.float64], seen: int, settings: NDArray[np.int64], x: float, does: int
) -> float:
    """Return the decades of `x` after `seen` others; keep it among the largest."""
    learning_period, min_samples = settings[0], settings[1]
    count = seen - learning_period
    found = 0.0
    if does & JUDGE and seen >= min_samples:
        found = decades(largest, count, x)
    if does & ABSORB and count >= 0:
        keep_largest(largest, count, x)
    return found


@njit
def look_at(n: Novelty, f: int, view: int, number: float, does: int) -> float:
    """Return how far from all before it a number of one view is, in decades; keep it."""
    row = n.representatives[f, view]
    seen = n.seen[f, view] - (does == ABSORB)
    distance = nearest(row, n.held[f, view], number)
    found = weigh(n.largest[f, view], seen, n.settings, distance, does)
    if does & ABSORB and (distance > 0.0 or n.held[f, view] == 0):
        n.held[f, view] = represent(row, n.held[f, view], number)
    n.seen[f, view] = seen + 1
    return found


@njit
def from_profile(profile: NDArray[np.float64], value: float, t: float, does: int) -> float:
    """Return the distance from the usual value at this time of day, which then follows."""
    bin_ = min(int((t % 86400.0) / SECONDS_A_BIN), BINS - 1)
    usual = value if math.isnan(profile[bin_]) else profile[bin_]
    deviation = value - usual
    if does & ABSORB:
        profile[bin_] = usual + PROFILE_RATE * deviation
    return deviation


@njit
def look_at_all(n: Novelty, f: int, value: float, t: float, does: int) -> None:
    """Look at all views of a number; what they say replaces what less strange features said."""
    seen = n.seen[f, VALUE] - (does == ABSORB)
    if does & JUDGE:
        n.recent[f, seen % RECENT] = value
    m = min(seen + 1, RECENT)
    total = 0.0
    for i in range(m):
        total += n.recent[f, i]
    one = look_at(n, f, VALUE, value, does)
    two = look_at(n, f, AVERAGE, total / m, does)
    three = 0.0
    if not math.isnan(t):
        three = look_at(n, f, DAILY, from_profile(n.profile[f], value, t, does), does)
    if does & HOLDING and one + three == 0.0:
        two = 0.0
    if does & JUDGE and one + two + three > n.said[TOTAL]:
        n.said[VALUE], n.said[AVERAGE], n.said[DAILY] = one, two, three
        n.said[TOTAL] = one + two + three


@njit
def novelty_step(n: Novelty, features: int, t: float, score: float, does: int) -> None:
    """Judge one event, or absorb the one judged last, or both, as `does` has it.

    What is to be said of it is left in `said`. Judging moves on the last values and scores, and
    counts them; absorbing changes what distances are measured from and how they are weighed. While
    HOLDING no event is quieted by those before it, and a mean counts only as long as what is
    latest in it is strange too, for it stays strange after.
    """
    if does & JUDGE:
        n.said[:] = 0.0
    for f in range(features):
        if not math.isnan(n.values[f]):
            look_at_all(n, f, n.values[f], t, does)
    if not math.isnan(score):
        seen, room = n.counts[SCORES] - (does == ABSORB), n.scores.shape[0]
        if does & JUDGE:
            n.scores[seen % room] = score
        m = min(seen + 1, room)
        total = 0.0
        for i in range(m):
            total += n.scores[i]
        found = weigh(n.score_largest, seen, n.settings, total / m, does)
        if does & HOLDING and not is_lately_high(n, seen):
            found = 0.0
        n.counts[SCORES] = seen + 1
        if does & JUDGE:
            n.said[SCORE] = found
            n.said[TOTAL] += found
    if does & JUDGE:
        n.said[NEWS] = news(n.evidence, n.counts, n.said[TOTAL])
        if does & HOLDING:
            n.said[NEWS] = n.said[TOTAL]


@njit
def is_lately_high(n: Novelty, seen: int) -> bool:
    """Return whether the mean of the last scores is beyond the k-th largest mean there was."""
    room = n.scores.shape[0]
    m = min(RECENT, seen + 1, room)
    total = 0.0
    for i in range(m):
        total += n.scores[(seen - i) % room]
    return total / m > n.score_largest[n.score_largest.shape[0] - 1]  # type: ignore[no-any-return]


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
