"""Structured knowledge accumulation: a layer's knowledge z, its decisions D, and their entropy.

Shapes: N inputs of d features, n neurons. Equations of Mahi, arXiv 2503.13942 (K) and 2504.03214
(T), with the discrete gradient as K's eq. 22 and its code have it: of the paper's three versions
the one that its figures came from.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit

Floats = NDArray[np.float64]

LN_2 = math.log(2.0)
SATURATED = 6.0
"""Knowledge of this size or more decides as good as always alike."""
LEAST = 1e-12
MOST_DEVIATIONS = 1e6
WARMING = 20
"""Events before what is usual can be told."""

# said
ENTROPY, ALIGNMENT, FLOW, INPUT_ENTROPY, EVENT_ENTROPY = 0, 1, 2, 3, 4
PROBABILITY, NORM, SATURATED_SHARE, DEVIATION, TOTAL = 5, 6, 7, 8, 9
SAID = 10
# moments
MEAN, VARIANCE = 0, 1
# counts
EVENTS, STEPS = 0, 1
# settings
RATE, HORIZON, DECAY, CLIP, FORGETTING = 0, 1, 2, 3, 4


class Knowledge(NamedTuple):
    """One layer that sees one event at a time, N = 1."""

    W: Floats  # [d, n]
    b: Floats  # [n]
    x: Floats  # [1, d] the event
    z: Floats  # [1, n] of the event under the weights it found
    D: Floats  # [1, n]
    z_before: Floats  # [1, n] the same of the event before
    D_before: Floats  # [1, n]
    z_after: Floats  # [1, n] of the event before under the weights it left
    D_after: Floats  # [1, n]
    gradient: Floats  # [n] scratch
    said: Floats  # [SAID] of the latest event
    moments: Floats  # [2] usual entropy step from event to event, and its variance
    counts: NDArray[np.int64]  # [2] events, steps of learning
    settings: Floats  # [5]


@lean_njit
def forward(x: Floats, W: Floats, b: Floats, clip: float, z: Floats, D: Floats) -> None:
    """Put knowledge z = x W + b, kept within +-clip, and decisions D = sigmoid(z) into z and D."""
    for i in range(x.shape[0]):
        for k in range(b.shape[0]):
            z[i, k] = b[k]
        for j in range(x.shape[1]):
            x_ij = x[i, j]
            if x_ij != 0.0:
                for k in range(b.shape[0]):
                    z[i, k] += x_ij * W[j, k]
        for k in range(b.shape[0]):
            z[i, k] = min(max(z[i, k], -clip), clip)
            D[i, k] = 1.0 / (1.0 + math.exp(-z[i, k]))


@lean_njit
def entropy_step(z: Floats, D: Floats, D_old: Floats) -> float:
    """Return dH = -(1 / ln 2) sum z (D - D_old), in bits, over all inputs and neurons."""
    total = 0.0
    for i in range(z.shape[0]):
        for k in range(z.shape[1]):
            total += z[i, k] * (D[i, k] - D_old[i, k])
    return -total / LN_2


@lean_njit
def alignment(z: Floats, D: Floats, D_old: Floats) -> float:
    """Return the cosine of z and D - D_old, 0 where either is nothing."""
    dot, knowledge, change = 0.0, 0.0, 0.0
    for i in range(z.shape[0]):
        for k in range(z.shape[1]):
            shift = D[i, k] - D_old[i, k]
            dot += z[i, k] * shift
            knowledge += z[i, k] * z[i, k]
            change += shift * shift
    size = math.sqrt(knowledge) * math.sqrt(change)
    return min(max(dot / size, -1.0), 1.0) if size > 0.0 else 0.0


@lean_njit
def flow(z: Floats, z_old: Floats, rate: float) -> float:
    """Return |z - z_old| / rate, how fast knowledge moves in the time of a step (T)."""
    squares = 0.0
    for i in range(z.shape[0]):
        for k in range(z.shape[1]):
            squares += (z[i, k] - z_old[i, k]) ** 2
    return math.sqrt(squares) / rate


@lean_njit
def learn(
    x: Floats,
    z: Floats,
    D: Floats,
    D_old: Floats,
    rate: float,
    gradient: Floats,  # [n] scratch
    W: Floats,
    b: Floats,
) -> None:
    """Go down the entropy: W += rate / (N ln 2) x^T [z D (1 - D) + D - D_old] (K eq. 22)."""
    scale = rate / (LN_2 * x.shape[0])
    for i in range(x.shape[0]):
        for k in range(b.shape[0]):
            D_ik = D[i, k]
            gradient[k] = scale * (z[i, k] * D_ik * (1.0 - D_ik) + D_ik - D_old[i, k])
            b[k] += gradient[k]
        for j in range(x.shape[1]):
            x_ij = x[i, j]
            if x_ij != 0.0:
                for k in range(b.shape[0]):
                    W[j, k] += x_ij * gradient[k]


@lean_njit
def knowledge_step(s: Knowledge) -> None:
    """Take in the event in s.x: what it changes by coming, and what learning from it changes.

    The first event is only looked at: there is no shift yet. A change by learning compares the
    weights that an event found and those it left, both on that event.
    """
    rate, said, first = s.settings[RATE], s.said, s.counts[EVENTS] == 0
    forward(s.x, s.W, s.b, s.settings[CLIP], s.z, s.D)
    said[INPUT_ENTROPY] = 0.0 if first else entropy_step(s.z, s.D, s.D_after)
    before = said[EVENT_ENTROPY]
    said[EVENT_ENTROPY] = 0.0 if first else entropy_step(s.z, s.D, s.D_before)
    said[ENTROPY] = said[ALIGNMENT] = said[FLOW] = 0.0
    _hand_on(s.z, s.D, s.z_after, s.D_after)
    if not first and s.counts[STEPS] * rate < s.settings[HORIZON]:
        _learn_from_event(s, rate)
    _hand_on(s.z, s.D, s.z_before, s.D_before)
    _say(s, before)
    s.counts[EVENTS] += 1


@lean_njit
def _hand_on(z: Floats, D: Floats, to_z: Floats, to_D: Floats) -> None:
    for k in range(z.shape[1]):
        to_z[0, k], to_D[0, k] = z[0, k], D[0, k]


@lean_njit
def _learn_from_event(s: Knowledge, rate: float) -> None:
    said, keep = s.said, 1.0 - s.settings[DECAY]
    if keep < 1.0:
        for j in range(s.W.shape[0]):
            for k in range(s.W.shape[1]):
                s.W[j, k] *= keep
    learn(s.x, s.z, s.D, s.D_before, rate, s.gradient, s.W, s.b)
    s.counts[STEPS] += 1
    forward(s.x, s.W, s.b, s.settings[CLIP], s.z_after, s.D_after)
    said[ENTROPY] = entropy_step(s.z_after, s.D_after, s.D)
    said[ALIGNMENT] = alignment(s.z_after, s.D_after, s.D)
    said[FLOW] = flow(s.z_after, s.z, rate)
    said[TOTAL] += said[ENTROPY]


@lean_njit
def _say(s: Knowledge, before: float) -> None:
    """Say how the entropy step compares with the one before and with the usual one."""
    said, step, events = s.said, s.said[EVENT_ENTROPY], s.counts[EVENTS]
    said[PROBABILITY] = math.exp(-abs(step - before) / max(abs(step), LEAST)) if events > 1 else 1.0
    squares, saturated = 0.0, 0
    for k in range(s.z.shape[1]):
        squares += s.z[0, k] * s.z[0, k]
        saturated += abs(s.z[0, k]) >= SATURATED
    said[NORM] = math.sqrt(squares)
    said[SATURATED_SHARE] = saturated / s.z.shape[1]
    off = step - s.moments[MEAN]
    deviation = math.sqrt(s.moments[VARIANCE])
    said[DEVIATION] = 0.0
    if events > WARMING:
        said[DEVIATION] = min(abs(off) / max(deviation, LEAST), MOST_DEVIATIONS)
    if events > 0:
        share = max(s.settings[FORGETTING], 1.0 / events)
        s.moments[MEAN] += share * off
        s.moments[VARIANCE] = (1.0 - share) * (s.moments[VARIANCE] + share * off * off)
