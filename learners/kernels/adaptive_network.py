"""A dense network that is taught by labels, and adapts itself where they stop.

Shapes: D inputs, H hidden units, C classes, K remembered conditions; row K of what is kept of a
condition is the one that may be about to begin. Row 0 is the condition of the source.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit

CLASSES_RATE = 1.0 / 500.0
LARGEST_GAIN = 1e3
FURTHEST = 32.0  # deviations at which an input or a hidden unit ends
TINY = 1e-5

# Network.condition
RHO, FIT, FIT_SQUARES, EVENTS, USED, LOG_VARIANCES, FIELDS = 0, 1, 2, 3, 4, 5, 6
# Network.counts
LABELED, UNLABELED, ADAPTED, ACTIVE, PHASE, STREAK = 0, 1, 2, 3, 4, 5
RESETS, OPENED, HELD, CAPPED, ALARMS, WIDTH, COUNTS = 6, 7, 8, 9, 10, 11, 12
# counts[PHASE]: labels come; they have stopped; they came back. What adaptation undoes is what
# differs from the inputs of the first phase.
TAUGHT, ADAPTS, TAUGHT_AGAIN = 0, 1, 2
# Network.figures
ENTROPY, RELIABLE, RECOVERY, DRIFT, SOURCE_LENGTH, PACE, FIGURES = 0, 1, 2, 3, 4, 5, 6


class Rules(NamedTuple):
    """What a learner was asked to do."""

    learning_rate: float
    labels_stop_after: int
    alike: bool
    correct_inputs: bool
    statistics_start: float
    statistics_decay: float
    statistics_floor: float
    conditions: int
    alarm_events: int
    hebbian_rate: float
    hebbian_every: int
    inverse_temperature: float
    gain_rate: float
    entropy_filter: float
    recovery_entropy: float
    anchor: float
    redundancy: float
    weighting: bool
    balance: float
    largest_drift: float


class Network(NamedTuple):
    """All there is, each array by name."""

    first: NDArray[np.float32]  # [D, H]
    first_source: NDArray[np.float32]  # [D, H] as labels left it
    second: NDArray[np.float64]  # [H, C]
    bias: NDArray[np.float64]  # [C]
    gain_source: NDArray[np.float64]  # [2, H] gain, shift as labels left them
    input_source: NDArray[np.float64]  # [2, D] mean, variance under labels
    gain: NDArray[np.float64]  # [K, 2, H] gain, shift
    inputs: NDArray[np.float64]  # [K + 1, 2, D] mean, variance
    hidden: NDArray[np.float64]  # [K, 2, H] mean, variance
    condition: NDArray[np.float64]  # [K + 1, 6]
    label_share: NDArray[np.float64]  # [C] of the last labels
    class_share: NDArray[np.float64]  # [C] mean probabilities of the last 500
    usual: NDArray[np.float64]  # [C] mean probabilities of the last 10 reliable events
    counts: NDArray[np.int64]  # [12] WIDTH: how many inputs there are
    figures: NDArray[np.float64]  # [6]
    inverse: NDArray[np.float64]  # [K + 1, D] scratch: 1 / floored variance
    distances: NDArray[np.float64]  # [K + 1] scratch
    x: NDArray[np.float64]  # [D] scratch: raw
    corrected: NDArray[np.float32]  # [D] scratch
    sums: NDArray[np.float32]  # [H] scratch
    shares: NDArray[np.float32]  # [H] scratch
    decays: NDArray[np.float32]  # [H] scratch
    extremes: NDArray[np.float32]  # [H] scratch
    squares: NDArray[np.float32]  # [H] scratch
    u: NDArray[np.float64]  # [H] scratch
    h: NDArray[np.float64]  # [H] scratch
    a: NDArray[np.float64]  # [H] scratch
    delta: NDArray[np.float32]  # [H] scratch
    p: NDArray[np.float64]  # [C] scratch
    dz: NDArray[np.float64]  # [C] scratch


@lean_njit
def mean_of(row: NDArray[np.float64], n: int) -> float:
    """Return the mean of the first `n` > 0 of a row."""
    total = 0.0
    for i in range(n):
        total += row[i]
    return total / n


@lean_njit
def copy_row(to: NDArray[Any], source: NDArray[Any]) -> None:
    """Copy a row; a slice's assignment would take memory for its source."""
    for i in range(to.shape[0]):
        to[i] = source[i]


@lean_njit
def copy_rows(to: NDArray[Any], source: NDArray[Any]) -> None:
    """Copy rows."""
    for i in range(to.shape[0]):
        copy_row(to[i], source[i])


@lean_njit
def clip(value: float, most: float) -> float:
    """Return the value, at most `most` from 0."""
    return min(max(value, -most), most)


@lean_njit
def entropy_of(shares: NDArray[np.float64], known: int) -> float:
    """Return -sum p ln p over the first `known` shares, which need not add up to 1."""
    total, weighted = 0.0, 0.0
    for c in range(known):
        if shares[c] > 0.0:
            total += shares[c]
            weighted -= shares[c] * math.log(shares[c])
    return weighted / total + math.log(total) if total > 0.0 else 0.0


@lean_njit
def follow(moments: NDArray[np.float64], values: NDArray[np.float64], n: int, rate: float) -> None:
    """Move mean and variance, [2, n], toward n values; the variance is about the mean before."""
    for i in range(n):
        e = values[i] - moments[0, i]
        moments[0, i] += rate * e
        moments[1, i] += rate * ((1.0 - rate) * e * e - moments[1, i])


@lean_njit
def project(net: Network) -> None:
    """Work out u = x W of the corrected inputs."""
    H = net.u.shape[0]
    net.sums[:] = 0
    for i in range(net.counts[WIDTH]):
        x = net.corrected[i]
        if x != 0:
            for j in range(H):
                net.sums[j] += x * net.first[i, j]
    for j in range(H):
        net.u[j] = net.sums[j]


@lean_njit
def forward(net: Network, k: int, known: int) -> float:
    """Work out the probabilities `p` of the first `known` classes from u; return their entropy."""
    p = net.p
    for c in range(known):
        p[c] = net.bias[c]
    for j in range(net.u.shape[0]):
        deviation = math.sqrt(net.hidden[k, 1, j] + TINY)
        net.h[j] = clip((net.u[j] - net.hidden[k, 0, j]) / deviation, FURTHEST)
        net.a[j] = net.gain[k, 0, j] * net.h[j] + net.gain[k, 1, j]
        if net.a[j] > 0.0:
            for c in range(known):
                p[c] += net.a[j] * net.second[j, c]
    most = p[0]
    for c in range(1, known):
        most = max(most, p[c])
    total = 0.0
    for c in range(known):
        p[c] = math.exp(p[c] - most)
        total += p[c]
    for c in range(known):
        p[c] /= total
    return entropy_of(p, known)
