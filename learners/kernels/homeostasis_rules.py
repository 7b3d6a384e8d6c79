"""How a homeostatic network sets its rates: the published rules, and two of our own."""

import math

import numpy as np

from learners.kernels import network
from learners.kernels.homeostasis_body import (
    ACCEPTED,
    BALANCE,
    CEILING,
    DECISIONS,
    DELTA,
    EVERY,
    FLOOR,
    GAIN,
    HELD,
    LABELS,
    LEAK,
    LITERAL,
    NEED,
    NEXT,
    PER_NEURON,
    RANDOM,
    RATE,
    REPLACED,
    RULE,
    SMOOTH,
    START,
    WORST,
    WRONG_WAY,
    Body,
    Floats,
    best_of,
    descend,
)
from learners.kernels.jit import lean_njit
from learners.kernels.random import next_u64

SPEED, HASTE, SETTLING = 0.0005, 4.0, 400
"""Log rate an event when one network has all the share: SPEED, a tenfold change in 4,600 events,
and HASTE / (labels + SETTLING) while that is more, so that it matters little where rates began."""
HOPELESS = 20.0
"""Discounted nats behind the other at which a network is replaced: one nat an event."""
NEURON_SPEED = 0.005
HALF = np.uint64(1 << 63)


@lean_njit
def balance(body: Body, x: Floats, y: int) -> None:
    """Step two networks, a slower and a faster, and move their rates towards the better one.

    The set point is the rate at which going slower and going faster would be equally good.
    """
    for b in range(2):
        loss = network.backward(body.theta[b], body.layout, False, body.acts[b], y, body.errs[b])
        body.losses[b] = SMOOTH * body.losses[b] + (loss if loss < WORST else WORST)
        if body.shares[b] > 0.0:
            descend(body, b, x)
    drive = body.shares[1] - body.shares[0]
    speed = max(SPEED, HASTE / (body.counts[LABELS] + SETTLING))
    set_rate(body, body.gauges[RATE] * math.exp(speed * drive))
    for b in range(2):
        if body.shares[b] == 0.0 or body.losses[b] - body.losses[1 - b] > HOPELESS:
            network.copy(body.theta[1 - b], body.theta[b])
            body.losses[b] = body.losses[1 - b]
            body.counts[REPLACED] += 1


@lean_njit
def set_rate(body: Body, rate: float) -> None:
    """Set the rate, within floor and ceiling."""
    body.gauges[RATE] = min(max(rate, body.settings[FLOOR]), body.settings[CEILING])


@lean_njit
def per_neuron(body: Body, x: Floats, y: int) -> None:
    """Move each neuron's log rate by whether its gradient agrees with those remembered.

    A neuron's gradient is its error times what it read, so that the inner product of two is the
    product of the errors times that of the inputs: a derivative of the loss by the log rate
    (Baydin et al. 2018, equation 5) for every neuron, at the price of one inner product a layer.
    """
    network.backward(body.theta[0], body.layout, False, body.acts[0], y, body.errs[0])
    for layer in range(body.layout.shape[0]):
        agree(body, layer, x)
    body.gauges[RATE] = math.exp(mean(body.log_rates))
    network.copy(body.acts[0], body.memory_acts[body.counts[NEXT]])
    network.copy(body.errs[0], body.memory_errs[body.counts[NEXT]])
    descend(body, 0, x)


@lean_njit
def agree(body: Body, layer: int, x: Floats) -> None:
    """Move the log rates of one layer."""
    inputs, units = body.layout[layer, network.INPUTS], body.layout[layer, network.UNITS]
    below, here = body.layout[layer, network.BELOW], body.layout[layer, network.HERE]
    low, high = math.log(body.settings[FLOOR]), math.log(body.settings[CEILING])
    for j in range(here, here + units):
        body.trial[j] = 0.0
    for m in range(body.counts[HELD]):
        if layer == 0:
            common = 1.0 + network.dot(x, body.memory_x[m])
        else:
            now, then = body.acts[0, below : below + inputs], body.memory_acts[m]
            common = 1.0 + network.dot(now, then[below : below + inputs])
        for j in range(here, here + units):
            body.trial[j] += common * body.errs[0, j] * body.memory_errs[m, j]
    for j in range(here, here + units):
        found = body.trial[j]
        if math.isfinite(found):
            body.spread[j] = 0.99 * body.spread[j] + 0.01 * abs(found)
            step = found / body.spread[j] if body.spread[j] > 0.0 else 0.0
            body.log_rates[j] += NEURON_SPEED * min(max(step, -2.0), 2.0)
            body.log_rates[j] = min(max(body.log_rates[j], low), high)


@lean_njit
def mean(values: Floats) -> float:
    """Return the mean."""
    total = 0.0
    for k in range(values.shape[0]):
        total += float(values[k])
    return total / len(values)


@lean_njit
def published(body: Body, x: Floats, y: int) -> None:
    """Decide, every `EVERY` labels, whether to accept this event; then step as always.

    Who accepts has its rate moved one `DELTA` by the valence of the event's true class, and
    expects to have it moved by that of the class it guesses (Man, Damasio and Neven 2022).
    """
    network.backward(body.theta[0], body.layout, False, body.acts[0], y, body.errs[0])
    rule = int(body.settings[RULE])
    full = body.counts[HELD] == body.memory_x.shape[0]
    if rule >= RANDOM and full and body.counts[LABELS] % int(body.settings[EVERY]) == 0:
        decide(body, x, y, rule)
        network.forward(body.theta[0], body.layout, False, x, body.acts[0])
        network.backward(body.theta[0], body.layout, False, body.acts[0], y, body.errs[0])
    descend(body, 0, x)
    if rule != RANDOM:
        leak = body.settings[LEAK] * (body.settings[START] - body.gauges[RATE])
        set_rate(body, body.gauges[RATE] + leak)


@lean_njit
def decide(body: Body, x: Floats, y: int, rule: int) -> None:
    """Accept if the rate that would follow gives better accuracy on the memory, or by a coin."""
    guess = best_of(body.out)
    rate, delta = body.gauges[RATE], body.settings[DELTA]
    body.counts[DECISIONS] += 1
    if rule == RANDOM:
        accept = next_u64(body.rng) < HALF
    else:
        make_gradient(body, x, rule)
        moved = rate + delta * body.valences[guess]
        moved = min(max(moved, body.settings[FLOOR]), body.settings[CEILING])
        left = simulated(body, rate)
        body.gauges[GAIN] = simulated(body, moved) - left
        body.gauges[NEED] = 1.0 - left
        accept = body.gauges[GAIN] > 0.0
    if accept:
        body.counts[ACCEPTED] += 1
        body.counts[WRONG_WAY] += body.valences[guess] != body.valences[y]
        set_rate(body, rate + delta * body.valences[y])


@lean_njit
def make_gradient(body: Body, x: Floats, rule: int) -> None:
    """Put the event's gradient, or with `MEMORY_GRADIENT` the memory's mean, in `gradient`."""
    body.gradient.fill(0.0)
    acts, errs = body.acts[0], body.errs[0]
    if rule == LITERAL:
        network.add_gradient(body.gradient, body.layout, x, acts, errs, 1.0)
        return
    held = body.counts[HELD]
    for m in range(held):
        network.forward(body.theta[0], body.layout, False, body.memory_x[m], acts)
        network.backward(body.theta[0], body.layout, False, acts, body.memory_y[m], errs)
        network.add_gradient(body.gradient, body.layout, body.memory_x[m], acts, errs, 1.0 / held)


@lean_njit
def simulated(body: Body, rate: float) -> float:
    """Return the accuracy on the memory after a step of `gradient` at a rate."""
    for k in range(body.trial.shape[0]):
        body.trial[k] = body.theta[0, k] - rate * body.gradient[k]
    right, held = 0, int(body.counts[HELD])
    for m in range(held):
        network.forward(body.trial, body.layout, False, body.memory_x[m], body.acts[0])
        right += network.likeliest(body.acts[0], body.layout) == body.memory_y[m]
    return right / held


@lean_njit
def by_rule(body: Body, x: Floats, y: int) -> None:
    """Step by the rule of the settings."""
    rule = int(body.settings[RULE])
    if rule == BALANCE:
        balance(body, x, y)
    elif rule == PER_NEURON:
        per_neuron(body, x, y)
    else:
        published(body, x, y)
