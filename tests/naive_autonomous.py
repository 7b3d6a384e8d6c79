"""The slow, obvious twin of the autonomous units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Autonomous:
    """Rows, reservoirs, and whose turn it was."""

    def __init__(self, W: Floats, rate: float, depletion: float, recovery: float, gated: bool):
        self.W, self.phi, self.last = W.copy(), np.ones(len(W)), -1
        self.rate, self.depletion, self.recovery = rate, depletion, recovery
        self.gated = gated

    def covered(self, x: Floats) -> Floats:
        return np.asarray(self.W @ x / np.maximum(self.W.sum(1), 1e-12))

    def cosine(self, x: Floats) -> float:
        sizes = np.linalg.norm(self.W, axis=1) * np.linalg.norm(x)
        return float(np.max(self.W @ x / np.maximum(sizes, 1e-12)))

    def follow(self, x: Floats) -> None:
        others = np.arange(len(self.W)) != self.last
        alone = int(np.argmax(np.where(others, self.phi, -1.0)))
        chosen = int(np.argmax(np.where(others, self.phi * self.covered(x), -1.0)))
        winner = chosen if x.any() else alone
        if x.any() and (winner != alone or not self.gated):
            self.W[winner] += self.rate * (x - self.W[winner])
        self.phi[winner] = max(self.phi[winner] - self.depletion, 0.2)
        self.phi = np.minimum(self.phi + self.recovery, 1.0)
        self.last = winner
