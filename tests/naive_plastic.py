"""The slow twins of the plastic network: a matrix for each layer, a loop for each weight."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from tests import naive_network as net
from tests.naive_network import Floats


def sgd(theta: Floats, sizes: Sequence[int], x: Floats, y: int, rate: float) -> Floats:
    """Return the weights after one step."""
    return np.asarray(theta - rate * net.gradient(theta, sizes, True, x, y))


def by_history(
    theta: Floats,
    sums: Floats,
    gradient: Floats,
    rate: float,
    threshold: float,
    power: float,
    epsilon: float,
) -> tuple[Floats, Floats]:
    """Return weights and sums after one step of the documented rule, weight by weight."""
    theta, sums = theta.copy(), sums.copy()
    for k, g in enumerate(gradient.tolist()):
        if g**2 > threshold:
            sums[k] += abs(g) ** power
            theta[k] -= rate * g / (epsilon + sums[k]) ** (1 / power)
    return theta, sums


def from_factors(sizes: Sequence[int], pre: Floats, post: Floats, bias: Floats) -> Floats:
    """Return a step in factors as one vector like theta."""
    parts, read, here = [], 0, 0
    for layer, (inputs, units) in enumerate(itertools.pairwise(sizes)):
        weights, biases = np.zeros((units, inputs)), np.zeros(units)
        for t in range(len(pre)):
            above = post[t, here : here + units]
            weights += np.outer(above, pre[t, read : read + inputs])
            biases += bias[t, layer] * above
        parts.append((weights, biases))
        read += inputs
        here += units
    return net.flat(parts)
