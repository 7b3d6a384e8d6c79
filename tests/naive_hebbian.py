"""The slow, obvious twin of the soft Hebbian units: whole matrices, every unit at each event."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def softmax(z: Floats) -> Floats:
    parts = np.exp(z - z.max())
    return np.asarray(parts / parts.sum())


def features(u: Floats, votes: bool) -> Floats:
    h = np.maximum((u - u.mean()) / u.std() - 1, 0) if u.std() > 0 else 0 * u
    return np.asarray(h**4 / max((h**4).sum(), 1e-300) if votes else h)


def hebbian_update(
    W: Floats, x: Floats, sharpness: float, rate: float, power: float, anti: bool
) -> Floats:
    """Return the units after one event."""
    u = W @ x
    y = softmax(sharpness * u)
    c = np.where(np.arange(len(u)) == u.argmax(), y, -y) if anti else y
    c = np.where(y < 1e-4 * y.max(), 0.0, c)
    change = c[:, None] * (x - u[:, None] * W)
    change /= np.abs(change).max() + 1e-30
    rates = rate * (np.abs(np.linalg.norm(W, axis=1) - 1) + 1e-10) ** power
    moved = W + rates[:, None] * change
    norms = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.asarray(np.where(norms > 1_000.0, moved * 1_000.0 / norms, moved))


class Softmax:
    """Softmax regression by normalized gradient steps."""

    def __init__(self, units: int, classes: int, rate: float) -> None:
        self.V, self.bias, self.rate = np.zeros((units, classes)), np.zeros(classes), rate

    def read(self, y: Floats) -> Floats:
        return softmax(y @ self.V + self.bias)

    def learn(self, y: Floats, truth: int) -> None:
        error = np.eye(len(self.bias))[truth] - self.read(y)
        step = self.rate / (1 + y @ y)
        self.V += step * np.outer(y, error)
        self.bias += step * error


class Votes:
    """The classes of each unit's events: a mean at first, then one that forgets."""

    def __init__(self, units: int, classes: int, rate: float) -> None:
        self.V, self.told, self.rate = np.zeros((units, classes)), np.zeros(units), rate

    def read(self, y: Floats) -> Floats:
        said = y @ self.V + 1e-10
        return np.asarray(said / said.sum())

    def learn(self, y: Floats, truth: int) -> None:
        self.told += y
        rate = np.minimum(y * np.maximum(1 / np.maximum(self.told, 1e-300), self.rate / 100), 1)
        self.V += rate[:, None] * (np.eye(self.V.shape[1])[truth] - self.V)
