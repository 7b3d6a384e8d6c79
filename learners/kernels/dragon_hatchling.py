"""Synapses between sparse codes of what came last and the symbol that comes next.

Shapes: B banks, M symbols of context at most, N units, K of them active, V symbols. Keys are
positive, sparse and of length 1, as in the dragon hatchling (Kosowski et al. 2025, arXiv
2509.26507), whose state is one matrix that linear attention writes; here the value of a key is the
symbol after it, and it is written by the delta rule.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.sparse_code import keep_largest

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NONE = -1
LARGEST = 1e6
STEADY = 0.8
"""By how much less a key is moved that foretells something already."""
LEAST_SHARE = 1e-3
"""Of the weight that a bank has: one that was bad for long is heard again within some events."""
SURPRISE_LIMIT = 20.0
RATE = 0.01

# figures: running bits, running share that was right, |dS| of the latest event, its novelty
BITS, RIGHT, CHANGE, NOVELTY = 0, 1, 2, 3
FIGURES = 4


class Memory(NamedTuple):
    """All there is."""

    S: Floats  # [B, N, V]
    R: NDArray[np.float32]  # [M, V, N] projections of a symbol by how long ago it came
    orders: Ints  # [B] symbols of context
    recent: Ints  # [M] symbols, the latest first, or NONE
    weights: Floats  # [B] how far banks are trusted
    figures: Floats  # [FIGURES]
    keys: Floats  # [B, K]
    places: Ints  # [B, K]
    kept: Ints  # [B]
    drive: Floats  # [N] scratch
    scratch: Floats  # [N]
    order: Ints  # [N] scratch
    y: Floats  # [B, V] responses
    q: Floats  # [B, V] probabilities by each bank
    p: Floats  # [V] probabilities


@lean_njit
def encode(m: Memory, b: int) -> None:
    """Put the key of the context of bank b into its row of m.keys and m.places."""
    m.drive[:] = 0.0
    for j in range(m.orders[b]):
        symbol = m.recent[j]
        if symbol != NONE:
            for i in range(m.drive.shape[0]):
                m.drive[i] += m.R[j, symbol, i]
    kept = keep_largest(m.drive, m.keys.shape[1], m.scratch, m.order)
    squares = 0.0
    for i in range(kept):
        m.places[b, i] = m.order[i]
        m.keys[b, i] = m.drive[m.order[i]]
        squares += m.keys[b, i] ** 2
    for i in range(kept):
        m.keys[b, i] /= math.sqrt(squares)
    m.kept[b] = kept


@lean_njit
def foresee(m: Memory, known: int, gain: float) -> None:
    """Put what comes next into m.p: softmax of the response of each bank, mixed by weights."""
    m.p[:] = 0.0
    for b in range(m.orders.shape[0]):
        encode(m, b)
        m.y[b, :], m.q[b, :] = 0.0, 0.0
        for i in range(m.kept[b]):
            for c in range(known):
                m.y[b, c] += m.keys[b, i] * m.S[b, m.places[b, i], c]
        most, total = -math.inf, 0.0
        for c in range(known):
            most = max(most, m.y[b, c])
        for c in range(known):
            m.q[b, c] = math.exp(gain * (m.y[b, c] - most))
            total += m.q[b, c]
        for c in range(known):
            m.q[b, c] /= total
            m.p[c] += m.weights[b] * m.q[b, c]


@lean_njit
def learn(m: Memory, truth: int, rate: float) -> None:
    """Associate the keys with the symbol that came, S <- S + rate k (v - S k)^T, and weigh banks.

    Weights are those of Hedge on the log loss: w <- w q(truth), in sum 1, a small share of it
    spread evenly (Herbster and Warmuth 1998).
    """
    B, V = m.orders.shape[0], m.p.shape[0]
    total, change = 0.0, 0.0
    for b in range(B):
        m.weights[b] *= max(m.q[b, truth], LEAST_SHARE)
        total += m.weights[b]
        most = 0.0
        for c in range(V):
            most = max(most, m.y[b, c])
        pace = rate * (1.0 - STEADY * min(most, 1.0))
        for i in range(m.kept[b]):
            for c in range(V):
                if c != truth and m.y[b, c] == 0.0:
                    continue
                step = pace * m.keys[b, i] * ((1.0 if c == truth else 0.0) - m.y[b, c])
                found = m.S[b, m.places[b, i], c] + step
                m.S[b, m.places[b, i], c] = min(max(found, -LARGEST), LARGEST)
                change += abs(step)
    for b in range(B):
        m.weights[b] = (1.0 - LEAST_SHARE) * m.weights[b] / total + LEAST_SHARE / B
    m.figures[CHANGE] = change


@lean_njit
def follow(m: Memory, symbol: int) -> None:
    """Make a symbol the latest of the context."""
    for j in range(m.recent.shape[0] - 1, 0, -1):
        m.recent[j] = m.recent[j - 1]
    m.recent[0] = symbol
