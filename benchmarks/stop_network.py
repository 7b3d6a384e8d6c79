"""The small network of the stopping benchmark: one hidden layer of rectified units, plain SGD."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import njit

Floats = NDArray[np.float64]
Weights = tuple[Floats, Floats, Floats, Floats]


def fresh(rng: np.random.Generator, inputs: int, hidden: int, classes: int) -> Weights:
    """Return weights of N(0, 2 / fan-in) and biases of zero."""
    return (
        rng.normal(0.0, np.sqrt(2.0 / inputs), (hidden, inputs)),
        np.zeros(hidden),
        rng.normal(0.0, np.sqrt(2.0 / hidden), (classes, hidden)),
        np.zeros(classes),
    )


@njit
def forward(w: Any, x: Floats, h: Floats, p: Floats) -> None:
    """Fill the hidden activations `h` and the probabilities `p` of one input."""
    W1, b1, W2, b2 = w
    for j in range(h.shape[0]):
        total = b1[j]
        for i in range(x.shape[0]):
            total += W1[j, i] * x[i]
        h[j] = max(total, 0.0)
    most = -np.inf
    for c in range(p.shape[0]):
        total = b2[c]
        for j in range(h.shape[0]):
            total += W2[c, j] * h[j]
        p[c] = total
        most = max(most, total)
    total = 0.0
    for c in range(p.shape[0]):
        p[c] = np.exp(p[c] - most)
        total += p[c]
    for c in range(p.shape[0]):
        p[c] /= total


@njit
def train_batch(w: Any, X: Floats, y: NDArray[np.int64], rate: float) -> None:
    """Take one step down the mean gradient of the cross-entropy of a batch [B, I]."""
    W1, b1, W2, b2 = w
    B, H, C = X.shape[0], W1.shape[0], W2.shape[0]
    gW1, gb1 = np.zeros_like(W1), np.zeros_like(b1)
    gW2, gb2 = np.zeros_like(W2), np.zeros_like(b2)
    h, p = np.empty(H), np.empty(C)
    for n in range(B):
        forward(w, X[n], h, p)
        p[y[n]] -= 1.0
        for c in range(C):
            gb2[c] += p[c]
            for j in range(H):
                gW2[c, j] += p[c] * h[j]
        for j in range(H):
            if h[j] <= 0.0:
                continue
            e = 0.0
            for c in range(C):
                e += p[c] * W2[c, j]
            gb1[j] += e
            for i in range(X.shape[1]):
                gW1[j, i] += e * X[n, i]
    step = rate / B
    W1 -= step * gW1
    b1 -= step * gb1
    W2 -= step * gW2
    b2 -= step * gb2


@njit
def judge(w: Any, X: Floats, y: NDArray[np.int64]) -> tuple[float, float]:
    """Return mean cross-entropy and share of errors over a set."""
    h, p = np.empty(w[0].shape[0]), np.empty(w[2].shape[0])
    loss, wrong = 0.0, 0
    for n in range(X.shape[0]):
        forward(w, X[n], h, p)
        loss -= np.log(max(p[y[n]], 1e-12))
        wrong += np.argmax(p) != y[n]
    return loss / X.shape[0], wrong / X.shape[0]


@njit
def train_epoch(
    w: Any, X: Floats, y: NDArray[np.int64], order: NDArray[np.int64], rate: float, batch: int
) -> None:
    """Take one step for each batch of a shuffled set."""
    for start in range(0, order.shape[0], batch):
        chosen = order[start : start + batch]
        train_batch(w, X[chosen], y[chosen], rate)
