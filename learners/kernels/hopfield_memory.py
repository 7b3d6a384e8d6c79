"""Continuous Hopfield memory: stored patterns, and what a softmax over them brings back.

Shapes: n patterns of room for S, d inputs, C classes. Patterns and events have length 1. After
Ramsauer et al. 2020 (arXiv 2008.02217): a <- X s, p <- softmax(beta a), s <- X^T p; the energy is
E(s) = -lse(beta, X s) + |s|^2 / 2 + ln(n) / beta + 1 / 2, which no such step raises.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STILL = 1e-4
"""A step that moves the state by less than this ends the recall."""
LITTLE = 1e-3
"""Patterns with less of an event than this are left as they are."""
PRIOR = 1e-2
MOST_MERGED = 20.0
USUAL_RATE, STRANGE = 0.01, 0.9
NO_LABEL = -1

# scratch: of the event that was looked at last
LENGTH, TOP, ENERGY, ENTROPY, DISTANCE = 0, 1, 2, 3, 4
SEEN = 5
# figures: those of the event that was learned last, and what is strange
USUAL = 5
FIGURES = 6
# counts
STORED, EVENTS, WRITES, MERGES, EVICTIONS = 0, 1, 2, 3, 4
COUNTS = 5
# settings
BETA, ITERATIONS, MERGE_AT, SURE, USE_RATE, REPAIR = 0, 1, 2, 3, 4, 5
SETTINGS = 6


class Memory(NamedTuple):
    """All there is."""

    X: Floats  # [S, d] patterns
    Y: Floats  # [S, C] what they mean, each at most 1 in sum
    use: Floats  # [S] how much they were brought back of late
    merged: Floats  # [S] events in a pattern, MOST_MERGED at most
    born: Ints  # [S] when they were stored
    owner: Ints  # [S] class of most of Y, or NO_LABEL; follows from Y
    counts: Ints  # [COUNTS]
    figures: Floats  # [FIGURES]
    settings: Floats  # [SETTINGS]
    x: Floats  # [d] the event
    unit: Floats  # [d] with length 1
    found: Floats  # [d] what is brought back
    a: Floats  # [S] overlaps of the event with patterns
    p: Floats  # [S] their parts in what is brought back
    y: Floats  # [C] probabilities
    held: Ints  # [C] patterns of a class
    seen: Floats  # [SEEN]


@lean_njit
def to_unit(x: Floats, known: int, unit: Floats) -> float:
    """Put x with length 1 into unit and return its length, 0 if it has none."""
    largest, squares = 0.0, 0.0
    for j in range(known):
        largest = max(largest, abs(x[j]))
    if largest == 0.0:
        return 0.0
    for j in range(known):
        unit[j] = x[j] / largest
        squares += unit[j] * unit[j]
    for j in range(known):
        unit[j] /= math.sqrt(squares)
    return largest * math.sqrt(squares)


@lean_njit
def overlaps(X: Floats, n: int, known: int, s: Floats, a: Floats) -> int:
    """Put X s into a and return the place of the largest.

    Four sums side by side: one alone would wait for each addition.
    """
    top, whole = 0, known - known % 4
    for k in range(n):
        b = c = e = f = 0.0
        for j in range(0, whole, 4):
            b += X[k, j] * s[j]
            c += X[k, j + 1] * s[j + 1]
            e += X[k, j + 2] * s[j + 2]
            f += X[k, j + 3] * s[j + 3]
        for j in range(whole, known):
            b += X[k, j] * s[j]
        a[k] = (b + c) + (e + f)
        if a[k] > a[top]:
            top = k
    return top


@lean_njit
def attend(a: Floats, n: int, beta: float, most: float, p: Floats) -> float:
    """Put softmax(beta a) into p and return lse(beta, a) - ln(n) / beta; `most` is the largest."""
    total = 0.0
    for k in range(n):
        p[k] = math.exp(beta * (a[k] - most))
        total += p[k]
    for k in range(n):
        p[k] /= total
    return most + math.log(total / n) / beta


@lean_njit
def bring_back(X: Floats, n: int, known: int, p: Floats, s: Floats) -> None:
    """Put X^T p into s."""
    s[:] = 0.0
    for k in range(n):
        for j in range(known):
            s[j] += p[k] * X[k, j]


@lean_njit
def look(m: Memory, known: int, classes: int) -> int:
    """Recall what the event in m.x brings back; return the nearest pattern, or -1 with none.

    The state is in m.found, parts of patterns in m.p, probabilities of classes in m.y, and the
    rest in m.seen.
    """
    n, beta = m.counts[STORED], m.settings[BETA]
    m.seen[LENGTH] = to_unit(m.x, known, m.unit)
    if n == 0 or m.seen[LENGTH] == 0.0:
        for c in range(classes):
            m.y[c] = 1.0 / classes
        return -1
    nearest = overlaps(m.X, n, known, m.unit, m.a)
    m.seen[TOP] = m.a[nearest]
    m.seen[ENERGY] = 1.0 - attend(m.a, n, beta, m.a[nearest], m.p)
    bring_back(m.X, n, known, m.p, m.found)
    for _ in range(1, int(m.settings[ITERATIONS])):
        top = overlaps(m.X, n, known, m.found, m.p)
        attend(m.p, n, beta, m.p[top], m.p)
        for j in range(known):
            m.unit[j] = m.found[j]
        bring_back(m.X, n, known, m.p, m.found)
        moved = 0.0
        for j in range(known):
            moved += (m.found[j] - m.unit[j]) ** 2
        if moved < STILL * STILL:
            break
    _judge(m, n, known, classes)
    return nearest


@lean_njit
def _judge(m: Memory, n: int, known: int, classes: int) -> None:
    to_unit(m.x, known, m.unit)
    along, squares, entropy = 0.0, 0.0, 0.0
    for j in range(known):
        along += m.unit[j] * m.found[j]
        squares += m.found[j] * m.found[j]
    for k in range(n):
        if m.p[k] > 0.0:
            entropy -= m.p[k] * math.log(m.p[k])
    size = math.sqrt(squares)
    m.seen[DISTANCE] = 1.0 - min(max(along / size, 0.0), 1.0) if size > 0.0 else 1.0
    m.seen[ENTROPY] = entropy
    total = 0.0
    for c in range(classes):
        m.y[c] = PRIOR / classes
        for k in range(n):
            m.y[c] += m.p[k] * m.Y[k, c]
        total += m.y[c]
    for c in range(classes):
        m.y[c] /= total


@lean_njit
def name_owner(m: Memory, k: int) -> None:
    """Work out whose pattern k is."""
    best = 0
    for c in range(m.Y.shape[1]):
        if m.Y[k, c] > m.Y[k, best]:
            best = c
    m.owner[k] = best if m.Y[k, best] > 0.0 else NO_LABEL


@lean_njit
def teach(m: Memory, k: int, truth: int, rate: float) -> None:
    """Move what pattern k means towards a class."""
    for c in range(m.Y.shape[1]):
        m.Y[k, c] += rate * ((1.0 if c == truth else 0.0) - m.Y[k, c])
    name_owner(m, k)


@lean_njit
def learn(m: Memory, known: int, classes: int, truth: int, fresh: bool) -> None:
    """Learn the event in m.x of a class or NO_LABEL; not `fresh` is one that was learned before.

    It is stored if its label was not expected or, without one, if it is stranger than nine in ten.
    """
    nearest, f = look(m, known, classes), m.figures
    if m.seen[LENGTH] == 0.0:
        return
    n, novel = m.counts[STORED], True
    if nearest >= 0:
        strange = m.seen[DISTANCE] > f[USUAL]
        novel = m.y[truth] < m.settings[SURE] if truth != NO_LABEL else strange
        novel = novel or m.settings[SURE] == 1.0
        for i in range(SEEN):
            f[i] = m.seen[i]
        _retrieved(m, n, truth, fresh)
        if fresh:
            f[USUAL] += USUAL_RATE * (STRANGE if strange else STRANGE - 1.0)
            f[USUAL] = min(max(f[USUAL], 0.0), 1.0)
    if novel:
        m.counts[WRITES] += 1
        if nearest >= 0 and _fits(m, nearest, truth):
            m.counts[MERGES] += 1
            _merge(m, nearest, known, truth)
        else:
            _store(m, _room(m, n), known, truth)
    if fresh:
        m.counts[EVENTS] += 1


@lean_njit
def _retrieved(m: Memory, n: int, truth: int, fresh: bool) -> None:
    """Count the parts of patterns as use, and let those with a part learn the label."""
    for k in range(n):
        if fresh:
            m.use[k] += m.p[k] - m.settings[USE_RATE] * m.use[k]
        # Of few patterns each has a large part even in what is unlike all of them.
        rate = m.settings[REPAIR] * m.p[k] * min(m.a[k], 1.0)
        if truth != NO_LABEL and m.p[k] > LITTLE and rate > 0.0:
            teach(m, k, truth, rate)


@lean_njit
def _fits(m: Memory, k: int, truth: int) -> bool:
    alike = m.seen[TOP] >= m.settings[MERGE_AT]
    return alike and (truth == NO_LABEL or m.owner[k] == NO_LABEL or m.owner[k] == truth)


@lean_njit
def _merge(m: Memory, k: int, known: int, truth: int) -> None:
    """Make pattern k the mean of its events and this one, with length 1."""
    for j in range(known):
        m.X[k, j] = m.merged[k] * m.X[k, j] + m.unit[j]
    to_unit(m.X[k], known, m.X[k])
    if truth != NO_LABEL:
        # An unlabeled pattern means what its first label says.
        teach(m, k, truth, 1.0 if m.owner[k] == NO_LABEL else 1.0 / (m.merged[k] + 1.0))
    m.merged[k] = min(m.merged[k] + 1.0, MOST_MERGED)


@lean_njit
def _room(m: Memory, n: int) -> int:
    """Return a free place, or that of the least used pattern, but not of the last of its class."""
    if n < m.X.shape[0]:
        m.counts[STORED] += 1
        return n
    m.counts[EVICTIONS] += 1
    m.held[:] = 0
    for k in range(n):
        if m.owner[k] != NO_LABEL:
            m.held[m.owner[k]] += 1
    # A first pass spares the last of each class; with nothing but such, a second spares none.
    for spare in range(2):
        found = -1
        for k in range(n):
            last = m.owner[k] != NO_LABEL and m.held[m.owner[k]] <= 1
            if spare == 0 and last:
                continue
            if found < 0 or (m.use[k], m.born[k]) < (m.use[found], m.born[found]):
                found = k
        if found >= 0:
            return found
    return 0


@lean_njit
def _store(m: Memory, k: int, known: int, truth: int) -> None:
    """Store the event at k, as used as patterns are on average: it would go first otherwise."""
    n, total = m.counts[STORED], 0.0
    m.use[k] = 0.0
    for i in range(n):
        total += m.use[i]
    m.use[k] = total / n if n > 1 else 1.0
    m.X[k, :] = 0.0
    m.Y[k, :] = 0.0
    for j in range(known):
        m.X[k, j] = m.unit[j]
    if truth != NO_LABEL:
        m.Y[k, truth] = 1.0
    name_owner(m, k)
    m.merged[k] = 1.0
    m.born[k] = m.counts[EVENTS]
