"""Weights of +1 and -1 for a window of events, by two projections taken in turn.

For D events in the window, n inputs: `x` float64[D, n] of 1 and -1, `y` float64[D] of 1 and -1,
`replicas` float64[D, n], a copy of the weights for each event. P_A moves each copy to where its
event is told with a margin; P_B makes all copies one, of 1 and -1.
"""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit


@lean_njit
def concur(replicas: NDArray[np.float64], held: int, weights: NDArray[np.float64]) -> None:
    """Put what all copies come to, their mean's signs, in `weights` (P_B); 0 counts as 1."""
    for i in range(weights.shape[0]):
        weights[i] = 0.0
    for d in range(held):
        row = replicas[d]
        for i in range(weights.shape[0]):
            weights[i] += row[i]
    for i in range(weights.shape[0]):
        weights[i] = 1.0 if weights[i] >= 0.0 else -1.0


@lean_njit
def told(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    held: int,
    weights: NDArray[np.float64],
    margin: float,
) -> int:
    """Return how many events the weights tell with a margin."""
    right = 0
    for d in range(held):
        total = 0.0
        row = x[d]
        for i in range(weights.shape[0]):
            total += row[i] * weights[i]
        if y[d] * total >= margin:
            right += 1
    return right


@lean_njit
def search(
    replicas: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    held: int,
    rounds: int,
    beta: float,
    margin: float,
    weights: NDArray[np.float64],
    best: NDArray[np.float64],
    found: NDArray[np.float64],
) -> int:
    """Take at most `rounds` steps Z + beta (P_A(2 P_B(Z) - Z) - P_B(Z)); return how many.

    It ends when all events are told. `best` (float64[n]) has the weights that told most, `found`
    (float64[2]) how many those told and the norm of P_A - P_B in the last step.
    """
    inputs = weights.shape[0]
    for step in range(rounds + 1):
        concur(replicas, held, weights)
        right = float(told(x, y, held, weights, margin))
        if right > found[0]:
            found[0] = right
            for i in range(inputs):
                best[i] = weights[i]
        if right >= held or step == rounds:
            return step
        square = 0.0
        for d in range(held):
            row, copy = x[d], replicas[d]
            total = 0.0
            for i in range(inputs):
                total += (2.0 * weights[i] - copy[i]) * row[i]
            push = max(0.0, margin - y[d] * total) / inputs * y[d]
            for i in range(inputs):
                gap = 2.0 * weights[i] - copy[i] + push * row[i] - weights[i]
                square += gap * gap
                copy[i] += beta * gap
        found[1] = math.sqrt(square)
    return rounds
