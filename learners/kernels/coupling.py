"""Replicas draw each other's weights along, and how far they lie apart is measured on the way.

Shapes: n replicas of P weights; M[i, j] is how much of replica j goes into replica i, and its rows
sum to 1.
"""

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit


@lean_njit
def couple(
    weights: NDArray[np.float64],  # (n, P): as they are after learning
    before: NDArray[np.float64],  # (n, P): as they were before; takes what comes out
    mixing: NDArray[np.float64],  # (n, n)
    column: NDArray[np.float64],  # (n,): workspace
    spreads: NDArray[np.float64],  # (2,): takes those of the steps and of what comes out
) -> None:
    """Mix replicas: w_i <- sum_j M[i, j] w_j (Bouvrie and Slotine 2011, equation 1, one step).

    A spread is the mean squared deviation of a replica from the mean of all.
    """
    n, P = weights.shape
    steps = after = 0.0
    for p in range(P):
        mean_step = mean = 0.0
        for i in range(n):
            column[i] = weights[i, p] - before[i, p]
            mean_step += column[i] / n
        for i in range(n):
            steps += (column[i] - mean_step) ** 2
            column[i] = 0.0
            for j in range(n):
                column[i] += mixing[i, j] * weights[j, p]
            mean += column[i] / n
        for i in range(n):
            after += (column[i] - mean) ** 2
            before[i, p] = column[i]
    spreads[0] = steps / (n * P)
    spreads[1] = after / (n * P)
