"""The soft Hebbian rule of an adaptive network's first layer, with its anchor and its cap.

Shapes as in `adaptive_network`.
"""

import math

import numpy as np

from learners.kernels.adaptive_network import (
    CAPPED,
    DRIFT,
    PACE,
    SOURCE_LENGTH,
    TINY,
    WIDTH,
    Network,
    Rules,
    mean_of,
)
from learners.kernels.jit import lean_njit


@lean_njit
def compete(net: Network, rules: Rules) -> None:
    """Move the first layer by the soft Hebbian rule, toward its anchor, and not beyond its cap.

    dW_k = c_k (x - u_k w_k), c = softmax(beta u) of standardized u, over the largest |dW|.
    """
    D, H = net.counts[WIDTH], net.u.shape[0]
    m = mean_of(net.u, H)
    v = 0.0
    for j in range(H):
        v += (net.u[j] - m) ** 2
    beta = rules.inverse_temperature / math.sqrt(v / H + TINY)
    most = net.u[0]
    for j in range(1, H):
        most = max(most, net.u[j])
    total = 0.0
    for j in range(H):
        net.h[j] = math.exp(beta * (net.u[j] - most))
        total += net.h[j]
    for j in range(H):
        net.shares[j] = net.h[j] / total
        net.decays[j] = net.shares[j] * net.sums[j]
        net.extremes[j] = 0
        net.squares[j] = 0
    for i in range(D):
        x = net.corrected[i]
        for j in range(H):
            step = abs(net.shares[j] * x - net.decays[j] * net.first[i, j])
            net.extremes[j] = step if step > net.extremes[j] else net.extremes[j]
    largest = 0.0
    for j in range(H):
        largest = max(largest, net.extremes[j])
    if largest <= 0.0:
        return
    rate, pull = (
        np.float32(net.figures[PACE] * rules.hebbian_rate / largest),
        np.float32(rules.anchor),
    )
    for i in range(D):
        x = net.corrected[i]
        for j in range(H):
            w, source = net.first[i, j], net.first_source[i, j]
            w += rate * (net.shares[j] * x - net.decays[j] * w)
            w += pull * (source - w)
            net.first[i, j] = w
            net.squares[j] += (w - source) * (w - source)
    limit(net, rules)


@lean_njit
def length_of(net: Network) -> float:
    """Return the length of the first layer as one vector."""
    total = 0.0
    for i in range(net.counts[WIDTH]):
        for j in range(net.first.shape[1]):
            total += np.float64(net.first[i, j]) ** 2
    return math.sqrt(total)


@lean_njit
def limit(net: Network, rules: Rules) -> None:
    """Bring the first layer back to as far from its source as it may be."""
    moved = 0.0
    for j in range(net.squares.shape[0]):
        moved += net.squares[j]
    drift = math.sqrt(moved) / max(net.figures[SOURCE_LENGTH], 1e-12)
    if rules.largest_drift > 0.0 and drift > rules.largest_drift:
        back = np.float32(rules.largest_drift / drift)
        for i in range(net.counts[WIDTH]):
            for j in range(net.first.shape[1]):
                source = net.first_source[i, j]
                net.first[i, j] = source + back * (net.first[i, j] - source)
        drift = rules.largest_drift
        net.counts[CAPPED] += 1
    net.figures[DRIFT] = drift
