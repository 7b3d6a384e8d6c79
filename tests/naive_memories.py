"""Slow and obvious twins of the kernels of memories."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def keep_largest(values: Floats, most: int) -> list[int]:
    """Return the places of the `most` largest positive values, lower places first among equals."""
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    return sorted(i for i in order[:most] if values[i] > 0.0)


def sparse_key(drive: Floats, active: int) -> Floats:
    """Return the largest of a projection with length 1, and zeros."""
    key = np.zeros(len(drive))
    places = keep_largest(drive, active)
    key[places] = drive[places]
    return key / np.linalg.norm(key) if places else key


class Associations:
    """A matrix of classes by places."""

    def __init__(self, classes: int, places: int, rule: str, rate: float, keep: float) -> None:
        self.S = np.zeros((classes, places))
        self.rule, self.rate, self.keep = rule, rate, keep
        self.writes, self.error, self.size, self.gain = 0, 0.0, 0.0, 8.0

    def responses(self, key: Floats) -> Floats:
        found = self.S @ key / (self.size + 1e-12)
        return np.clip(found, -10.0, 10.0)

    def probabilities(self, key: Floats) -> Floats:
        z = self.gain * self.responses(key)
        p = np.exp(z - z.max())
        return np.asarray(p / p.sum())

    def learn(self, key: Floats, truth: int) -> None:
        if not key.any():
            return
        v = np.eye(len(self.S))[truth]
        slope = float((v - self.probabilities(key)) @ self.responses(key))
        y = self.S @ key
        self.gain = min(max(self.gain + 0.1 * slope, 0.1), 100.0)
        self.size += max(0.01, 1.0 / (self.writes + 1)) * (float(np.abs(y).max()) - self.size)
        if self.rule == "delta":
            self.S += self.rate * np.outer(v - y, key) / (1e-12 + float(key @ key))
        else:
            self.S = self.keep * self.S + self.rate * np.outer(v, key)
        self.writes += 1
        missed = float((v - y) @ (v - y))
        self.error += max(0.01, 1.0 / self.writes) * (missed - self.error)
