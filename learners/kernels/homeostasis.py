"""One labeled event of a homeostatic network, and a whole stream of them."""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels import network
from learners.kernels.homeostasis_body import (
    ACCURACY,
    CONSTANT,
    DEBT,
    HELD,
    LABELS,
    LOSS,
    NEED,
    NEXT,
    PATIENCE,
    PER_NEURON,
    RATE,
    ROLLBACKS,
    RULE,
    RUNAWAY,
    SMOOTH,
    START,
    Body,
    Floats,
    Integers,
    activity,
    best_of,
    look,
    rehearse,
    remember,
)
from learners.kernels.homeostasis_rules import by_rule, set_rate
from learners.kernels.jit import lean_njit, njit

SAFE_EVERY = 1_000
"""Labels between copies of the weights to go back to."""
SLOW = 0.99


@lean_njit
def learn(body: Body, x: Floats, y: int) -> None:
    """Learn from x (float64[N]) of class y; `out` has the probabilities from before.

    Where no network says anything finite, the weights go back to the last sound copy and the
    event is not learned from.
    """
    if not look(body, x):
        roll_back(body)
        return
    if body.counts[LABELS] == 0:
        begin(body, x)
    body.counts[LABELS] += 1
    note(body, y)
    keep_balanced(body, y)
    need = 1.0 - body.out[y]
    by_rule(body, x, y)
    rehearse(body, need)
    remember(body, x, y)
    guard(body)


@lean_njit
def begin(body: Body, x: Floats) -> None:
    """Turn the rate that a plain step would have on the first event into a normalized one."""
    rate = body.settings[START]
    if body.settings[RULE] >= PER_NEURON:
        rate *= activity(body, 0, x)
    set_rate(body, rate)
    for j in range(body.log_rates.shape[0]):
        body.log_rates[j] = math.log(body.gauges[RATE])


@lean_njit
def note(body: Body, y: int) -> None:
    """Take what was said of this event, and its class, into the running means."""
    gauges, loss = body.gauges, -math.log(max(body.out[y], network.TINY))
    keep = min(SLOW, 1.0 - 1.0 / body.counts[LABELS])
    gauges[LOSS] = keep * gauges[LOSS] + (1.0 - keep) * loss
    gauges[ACCURACY] = keep * gauges[ACCURACY] + (1.0 - keep) * (best_of(body.out) == y)
    if body.settings[RULE] >= PER_NEURON or body.settings[RULE] == CONSTANT:
        keep = min(SMOOTH, keep)
        gauges[NEED] = keep * gauges[NEED] + (1.0 - keep) * (1.0 - body.out[y])


@lean_njit
def keep_balanced(body: Body, y: int) -> None:
    """Share the classes out anew, largest first to the lighter side, when it may be due.

    Where one side had more events than the other, the rate would drift to it.
    """
    body.class_counts[y] += 1
    if body.class_counts[y] > 1 and body.counts[LABELS] % SAFE_EVERY != 0:
        return
    classes = body.class_counts.shape[0]
    for c in range(classes):
        body.valences[c] = 0
    sum_of_sides = 0
    for _ in range(classes):
        largest = -1
        for c in range(classes):
            free = body.valences[c] == 0
            if free and (largest < 0 or body.class_counts[c] > body.class_counts[largest]):
                largest = c
        side = 1 if sum_of_sides <= 0 else -1
        body.valences[largest] = side
        sum_of_sides += side * body.class_counts[largest]


@lean_njit
def guard(body: Body) -> None:
    """Go back where the loss has run away for long; now and then keep what is sound."""
    limit = math.log(body.out.shape[0])
    runs_away = not body.gauges[LOSS] <= limit + 1.0
    body.counts[RUNAWAY] = body.counts[RUNAWAY] + 1 if runs_away else 0
    if body.counts[RUNAWAY] >= body.settings[PATIENCE]:
        roll_back(body)
    elif body.counts[LABELS] % SAFE_EVERY == 0 and body.gauges[LOSS] <= limit and sound(body):
        for b in range(body.theta.shape[0]):
            network.copy(body.theta[b], body.safe[b])


@lean_njit
def sound(body: Body) -> bool:
    """Return whether every weight is finite."""
    for b in range(body.theta.shape[0]):
        for k in range(body.theta.shape[1]):
            if not math.isfinite(body.theta[b, k]):
                return False
    return True


@lean_njit
def roll_back(body: Body) -> None:
    """Go back to the last sound weights and the first rate, with nothing remembered."""
    for b in range(body.theta.shape[0]):
        network.copy(body.safe[b], body.theta[b])
        body.losses[b] = 0.0
    body.spread.fill(0.0)
    body.gauges[DEBT] = 0.0
    body.gauges[LOSS] = math.log(body.out.shape[0])
    body.counts[RUNAWAY] = body.counts[HELD] = body.counts[NEXT] = 0
    body.counts[ROLLBACKS] += 1
    if body.settings[RULE] < PER_NEURON:
        set_rate(body, body.settings[START])


@njit
def run(body: Body, xs: Floats, ys: Integers, hits: NDArray[np.uint8], rates: Floats) -> None:
    """Predict and learn each of xs (float64[E, N]) with classes ys; tell hits and rates [E]."""
    for e in range(xs.shape[0]):
        learn(body, xs[e], ys[e])
        hits[e] = best_of(body.out) == ys[e]
        rates[e] = body.gauges[RATE]
