"""Soft Hebbian units that compete for each input, and read-outs of who won.

Shapes: K units, d inputs, C classes. The rule is that of SoftHebb (Moraitis et al. 2022,
Neuromorphic Computing and Engineering 2) as its code has it: the whole change is divided by its
largest entry, and each unit's rate follows from how far its norm is from 1.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit

Floats = NDArray[np.float64]

LEAST = 1e-10
IDLE = 1e-4
"""Units with less than this share of the winner's part in an event are left as they are."""
MOST_NORM = 1_000.0
NEVER = 1e-30
VOTES_FORGET = 0.01
"""The least rate of votes, as a share of that of the read-out."""
NORMAL_WITHIN = 5e-3

# settings
SHARPNESS, RATE, POWER, ANTI, READ_RATE, WIN_RATE = 0, 1, 2, 3, 4, 5
SETTINGS = 6


class Units(NamedTuple):
    """All there is."""

    W: Floats  # [K, d]
    norms: Floats  # [K] |w|
    wins: Floats  # [K] share of the events of late that a unit won
    V: Floats  # [K, C] of the softmax read-out its weights, of votes each unit's share of classes
    bias: Floats  # [C]
    told: Floats  # [K] labels that a unit had a part in, votes only
    x: Floats  # [d] the event
    places: NDArray[np.int64]  # [d] scratch: which inputs are not zero
    u: Floats  # [K] scratch
    y: Floats  # [K] scratch: parts in the competition, or features
    p: Floats  # [C] probabilities of classes
    settings: Floats  # [SETTINGS]


@lean_njit
def respond(s: Units, known: int) -> int:
    """Put u = W x, over the first `known` inputs, into s.u and return the winner.

    Four sums side by side: one alone would wait for each addition.
    """
    W, x, places, u = s.W, s.x, s.places, s.u
    m = 0
    for j in range(known):
        if x[j] != 0.0:
            places[m] = j
            m += 1
    winner, whole = 0, m - m % 4
    for k in range(u.shape[0]):
        a = b = c = e = 0.0
        for i in range(0, whole, 4):
            j0, j1, j2, j3 = places[i], places[i + 1], places[i + 2], places[i + 3]
            a += x[j0] * W[k, j0]
            b += x[j1] * W[k, j1]
            c += x[j2] * W[k, j2]
            e += x[j3] * W[k, j3]
        for i in range(whole, m):
            a += x[places[i]] * W[k, places[i]]
        u[k] = (a + b) + (c + e)
        if u[k] > u[winner]:
            winner = k
    return winner


@lean_njit
def soften(u: Floats, sharpness: float, most: float, y: Floats) -> None:
    """Put softmax(sharpness u) into y; `most` is the largest u."""
    total = 0.0
    for k in range(u.shape[0]):
        y[k] = math.exp(sharpness * (u[k] - most))
        total += y[k]
    for k in range(u.shape[0]):
        y[k] /= total


@lean_njit
def stand_out(u: Floats, votes: bool, h: Floats) -> None:
    """Put by how many deviations beyond one each unit exceeds the mean of all into h, or 0.

    It does not depend on the size of inputs. For votes these are taken to the fourth power, and
    sum to 1.
    """
    K = u.shape[0]
    mean, variance, total = 0.0, 0.0, 0.0
    for k in range(K):
        mean += u[k] / K
    for k in range(K):
        variance += (u[k] - mean) ** 2 / K
    deviation = math.sqrt(variance)
    for k in range(K):
        h[k] = max((u[k] - mean) / deviation - 1.0, 0.0) if deviation > 0.0 else 0.0
        if votes:
            h[k] **= 4
            total += h[k]
    if total > 0.0:
        for k in range(K):
            h[k] /= total


@lean_njit
def hebbian_update(s: Units, known: int, winner: int) -> None:
    """Move units towards the input by their part in it: dw = c (x - u w), Oja's rule.

    s.u and s.y are those of the input; c is y, and -y for all but the winner if the settings say
    so. All is divided by the largest change, then each unit's by its rate (||w| - 1| + 1e-10)^q.
    """
    W, x, u, y, norms = s.W, s.x, s.u, s.y, s.norms
    least, largest = IDLE * y[winner], 0.0
    for k in range(u.shape[0]):
        if y[k] >= least:
            for j in range(known):
                largest = max(largest, y[k] * abs(x[j] - u[k] * W[k, j]))
    for k in range(u.shape[0]):
        if y[k] < least:
            continue
        part = -y[k] if s.settings[ANTI] != 0.0 and k != winner else y[k]
        rate = s.settings[RATE] * (abs(norms[k] - 1.0) + LEAST) ** s.settings[POWER]
        step, squares = rate * part / (largest + 1e-30), 0.0
        for j in range(known):
            W[k, j] += step * (x[j] - u[k] * W[k, j])
            squares += W[k, j] * W[k, j]
        norms[k] = _within_norm(W, k, known, math.sqrt(squares))


@lean_njit
def _within_norm(W: Floats, k: int, known: int, norm: float) -> float:
    """Shorten a unit that is too long, which units pushed away from inputs become."""
    if norm <= MOST_NORM:
        return norm
    for j in range(known):
        W[k, j] *= MOST_NORM / norm
    return MOST_NORM


@lean_njit
def measure(W: Floats, known: int, norms: Floats) -> None:
    """Put the length of each unit into norms."""
    for k in range(norms.shape[0]):
        squares = 0.0
        for j in range(known):
            squares += W[k, j] * W[k, j]
        norms[k] = math.sqrt(squares)


@lean_njit
def distance(s: Units, winner: int, known: int) -> float:
    """Return 1 - cos of input and winner, in [0, 1]; -1 for an input that is all zero."""
    squares = 0.0
    for j in range(known):
        squares += s.x[j] * s.x[j]
    if squares == 0.0:
        return -1.0
    size = math.sqrt(squares) * s.norms[winner]
    return 1.0 - min(max(s.u[winner] / size, 0.0), 1.0) if size > 0.0 else 1.0


@lean_njit
def read_softmax(s: Units, classes: int) -> None:
    """Put softmax(h V + bias) over the first `classes` into s.p; the features h are in s.y."""
    most = -math.inf
    for c in range(classes):
        s.p[c] = s.bias[c]
        for k in range(s.y.shape[0]):
            s.p[c] += s.y[k] * s.V[k, c]
        most = max(most, s.p[c])
    total = 0.0
    for c in range(classes):
        s.p[c] = math.exp(s.p[c] - most)
        total += s.p[c]
    for c in range(classes):
        s.p[c] /= total


@lean_njit
def learn_softmax(s: Units, classes: int, truth: int) -> None:
    """Learn a label by a normalized gradient step of the log loss; s.p is what was said."""
    squares = 1.0
    for k in range(s.y.shape[0]):
        squares += s.y[k] * s.y[k]
    rate = s.settings[READ_RATE] / squares
    for c in range(classes):
        error = rate * ((1.0 if c == truth else 0.0) - s.p[c])
        s.bias[c] += error
        for k in range(s.y.shape[0]):
            s.V[k, c] += error * s.y[k]


@lean_njit
def read_votes(s: Units, classes: int) -> None:
    """Put what the units say of the classes, each by its part, into s.p."""
    total = 0.0
    for c in range(classes):
        s.p[c] = LEAST
        for k in range(s.y.shape[0]):
            s.p[c] += s.y[k] * s.V[k, c]
        total += s.p[c]
    for c in range(classes):
        s.p[c] /= total


@lean_njit
def learn_votes(s: Units, classes: int, truth: int) -> None:
    """Move each unit's share of classes towards a label: a mean at first, then one that forgets."""
    for k in range(s.y.shape[0]):
        if s.y[k] == 0.0:
            continue
        s.told[k] += s.y[k]
        rate = min(s.y[k] * max(1.0 / s.told[k], VOTES_FORGET * s.settings[READ_RATE]), 1.0)
        for c in range(classes):
            s.V[k, c] += rate * ((1.0 if c == truth else 0.0) - s.V[k, c])


@lean_njit
def look(s: Units, known: int, classes: int, votes: bool) -> float:
    """Put the probabilities of classes into s.p and return the distance from the winner."""
    winner = respond(s, known)
    said = distance(s, winner, known)
    if classes > 0:
        stand_out(s.u, votes, s.y)
        if votes:
            read_votes(s, classes)
        else:
            read_softmax(s, classes)
    return said


@lean_njit
def learn(s: Units, known: int, classes: int, truth: int, votes: bool, compete: bool) -> None:
    """Learn a label unless it is -1, then, if asked, let the units compete for the input in s.x.

    An input that is all zero does not change them.
    """
    winner = respond(s, known)
    if truth >= 0:
        stand_out(s.u, votes, s.y)
        if votes:
            learn_votes(s, classes, truth)
        else:
            read_softmax(s, classes)
            learn_softmax(s, classes, truth)
    if compete and distance(s, winner, known) >= 0.0:
        _compete(s, known, winner)


@lean_njit
def _compete(s: Units, known: int, winner: int) -> None:
    soften(s.u, s.settings[SHARPNESS], s.u[winner], s.y)
    hebbian_update(s, known, winner)
    keep = 1.0 - s.settings[WIN_RATE]
    for k in range(s.wins.shape[0]):
        s.wins[k] = s.wins[k] * keep if s.wins[k] > NEVER else 0.0
    s.wins[winner] += s.settings[WIN_RATE]
