"""What a homeostatic network consists of, and the parts that each of its rules uses.

Shapes: B networks of one layout with P weights and U units each, N inputs, C classes, M memories.
All rules share the body; what a rule does not need has length zero.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels import network
from learners.kernels.jit import lean_njit
from learners.kernels.random import below

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CONSTANT, RANDOM, LITERAL, MEMORY_GRADIENT, PER_NEURON, BALANCE = range(6)

# Places in `gauges`.
RATE, NEED, GAIN, LOSS, DEBT, ACCURACY = range(6)
# Places in `counts`.
LABELS, DECISIONS, ACCEPTED, WRONG_WAY, ROLLBACKS, REHEARSED, REPLACED, RUNAWAY, HELD, NEXT = range(
    10
)
# Places in `settings`.
RULE, START, DELTA, FLOOR, CEILING, LEAK, EVERY, REHEARSAL, PATIENCE = range(9)

ROOT_3 = math.sqrt(3.0)
SMOOTH = 0.95
"""What a running mean keeps of itself an event: it looks some twenty events back."""
WORST = 5.0
"""Nats above which a loss says no more: the member is simply wrong."""


class Body(NamedTuple):
    """All arrays of one learner; those from `acts` to `out` are workspaces and no state."""

    settings: Floats  # [9]
    layout: Integers  # [layers, 6]
    theta: Floats  # [B, P]
    safe: Floats  # [B, P], the weights to go back to
    losses: Floats  # [B], discounted sums
    log_rates: Floats  # [U] or [0]
    spread: Floats  # [U] or [0]
    memory_x: Floats  # [M, N]
    memory_y: Integers  # [M]
    memory_acts: Floats  # [M, U] or [0, 0]
    memory_errs: Floats  # [M, U] or [0, 0]
    gauges: Floats  # [6]
    counts: Integers  # [10]
    class_counts: Integers  # [C]
    valences: Integers  # [C], +1 or -1
    rng: NDArray[np.uint64]  # [1]
    acts: Floats  # [B, U]
    errs: Floats  # [B, U]
    shares: Floats  # [B]
    gradient: Floats  # [P] or [0]
    trial: Floats  # [P] or [0]
    out: Floats  # [C]


@lean_njit
def look(body: Body, x: Floats) -> bool:
    """Put the probability of each class in `out`; return whether any network had finite ones.

    The networks' shares are a softmax of minus their recent losses (Vovk 1990, with forgetting).
    """
    top = body.layout[-1, network.HERE]
    classes, members = body.out.shape[0], body.theta.shape[0]
    least = body.losses[0]
    for b in range(1, members):
        least = min(least, body.losses[b])
    total = 0.0
    for b in range(members):
        network.forward(body.theta[b], body.layout, False, x, body.acts[b])
        good = math.isfinite(body.acts[b, top])
        body.shares[b] = math.exp(least - body.losses[b]) if good else 0.0
        total += body.shares[b]
    for c in range(classes):
        body.out[c] = 0.0 if total > 0.0 else 1.0 / classes
    for b in range(members):
        if body.shares[b] > 0.0:
            body.shares[b] /= total
            for c in range(classes):
                body.out[c] += body.shares[b] * body.acts[b, top + c]
    return total > 0.0


@lean_njit
def best_of(out: Floats) -> int:
    """Return the place of the largest, the first of equals."""
    best = 0
    for c in range(1, out.shape[0]):
        if out[c] > out[best]:
            best = c
    return best


@lean_njit
def member_rate(body: Body, b: int) -> float:
    """Return the rate of one network: of two, sqrt 3 to either side of what is regulated."""
    rate = float(body.gauges[RATE])
    if body.settings[RULE] != BALANCE:
        return rate
    rate *= ROOT_3 if b == 1 else 1.0 / ROOT_3
    return min(max(rate, float(body.settings[FLOOR])), float(body.settings[CEILING]))


@lean_njit
def activity(body: Body, b: int, x: Floats) -> float:
    """Return one plus the squared norm of all that the layers read.

    The squared gradient of each layer is at most twice this, so that a rate divided by it means
    the same on inputs of any scale (normalized least mean squares; Nagumo and Noda 1967).
    """
    total = 1.0 + network.dot(x, x)
    for j in range(body.layout[-1, network.HERE]):
        total += body.acts[b, j] * body.acts[b, j]
    return total


@lean_njit
def descend(body: Body, b: int, x: Floats) -> None:
    """Take network b one step downhill, at the rate of its rule; `acts` and `errs` are ready."""
    rule = int(body.settings[RULE])
    factor = -member_rate(body, b)
    if rule >= PER_NEURON:
        factor /= activity(body, b, x)
    if rule == PER_NEURON:
        factor /= body.gauges[RATE]
        for j in range(body.log_rates.shape[0]):
            body.errs[b, j] *= math.exp(body.log_rates[j])
    network.add_gradient(body.theta[b], body.layout, x, body.acts[b], body.errs[b], factor)


@lean_njit
def rehearse(body: Body, need: float) -> None:
    """Repeat remembered events, `need` times `REHEARSAL` of them on average."""
    body.gauges[DEBT] += body.settings[REHEARSAL] * need
    while body.gauges[DEBT] >= 1.0:
        body.gauges[DEBT] -= 1.0
        if body.counts[HELD] == 0:
            continue
        m = below(body.rng, body.counts[HELD])
        x, y = body.memory_x[m], body.memory_y[m]
        body.counts[REHEARSED] += 1
        for b in range(body.theta.shape[0]):
            network.forward(body.theta[b], body.layout, False, x, body.acts[b])
            network.backward(body.theta[b], body.layout, False, body.acts[b], y, body.errs[b])
            descend(body, b, x)


@lean_njit
def remember(body: Body, x: Floats, y: int) -> None:
    """Put an event in the ring, with its label as received."""
    at = body.counts[NEXT]
    network.copy(x, body.memory_x[at])
    body.memory_y[at] = y
    body.counts[NEXT] = (at + 1) % body.memory_x.shape[0]
    body.counts[HELD] = min(body.counts[HELD] + 1, body.memory_x.shape[0])
