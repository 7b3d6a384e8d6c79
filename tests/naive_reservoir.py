"""Slow, obvious twins of the reservoirs' kernels: whole matrices, one line an equation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def dense(others: NDArray[np.int64], weights: Floats) -> Floats:
    """Return connections as a matrix, row by row."""
    W = np.zeros((len(others), len(others)))
    for i, row in enumerate(others):
        W[i, row] = weights[i]
    return W


def step_rates(
    W: Floats, W_in: Floats, bias: Floats, leaks: Floats, x: Floats, u: Floats
) -> Floats:
    return np.asarray((1 - leaks) * x + leaks * np.tanh(W @ x + W_in @ u + bias))


def step_spikes(
    W: Floats, W_in: Floats, gain: float, u: Floats, steps: int, body: Floats
) -> tuple[Floats, int]:
    """`W[j, i]` is from i to j; the rows of body are v, I, refractory, fast, slow."""
    v, current, refractory, fast, slow = body.copy()
    count = 0
    for _ in range(steps):
        drive = current + gain * W_in @ u
        free = refractory == 0
        v = np.where(free, np.maximum(v * np.exp(-1 / 30) + drive, -1), v)
        refractory = np.maximum(refractory - 1, 0)
        spikes = v > 1
        v = np.where(spikes, 0, v)
        refractory = np.where(spikes, 3, refractory)
        current = current * np.exp(-1 / 5) + W @ spikes
        fast = fast * np.exp(-1 / 30) + (1 - np.exp(-1 / 30)) * spikes
        slow = slow * np.exp(-1 / 120) + (1 - np.exp(-1 / 120)) * spikes
        count += int(spikes.sum())
    return np.array([v, current, refractory, fast, slow]), count


def least_squares(F: Floats, targets: Floats, forgetting: float, ridge: float) -> Floats:
    """Return the weights [features, outputs] that recursive least squares must come to."""
    weights = forgetting ** np.arange(len(F))[::-1]
    A = (F * weights[:, None]).T @ F + ridge * forgetting ** len(F) * np.eye(F.shape[1])
    return np.asarray(np.linalg.solve(A, (F * weights[:, None]).T @ targets), np.float64)


def currents(J: Floats, W_back: Floats, W_in: Floats, r: Floats, back: Floats, u: Floats) -> Floats:
    return np.asarray(J @ r + W_back @ back + W_in @ u)
