"""The slow twin of the dense network: matrices, one layer at a time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Layers = list[tuple[Floats, Floats]]


def layers(theta: Floats, sizes: Sequence[int]) -> Layers:
    """Return (weights[unit, input], biases) of each layer, as copies."""
    found, at = [], 0
    for inputs, units in itertools.pairwise(sizes):
        weights = theta[at : at + inputs * units].reshape(inputs, units).T.copy()
        at += inputs * units
        found.append((weights, theta[at : at + units].copy()))
        at += units
    return found


def flat(parts: Layers) -> Floats:
    """Return layers as one vector, the other way round."""
    return np.concatenate([part for w, b in parts for part in (w.T.ravel(), b)])


def outputs(parts: Layers, relu: bool, x: Floats) -> list[Floats]:
    """Return what each layer says of x, the last one in probabilities."""
    said = [x]
    for w, b in parts[:-1]:
        z = w @ said[-1] + b
        said.append(np.maximum(z, 0) if relu else np.where(z > 0, z, np.exp(np.minimum(z, 0)) - 1))
    w, b = parts[-1]
    z = w @ said[-1] + b
    powers = np.exp(z - z.max())
    return [*said, powers / powers.sum()]


def loss(theta: Floats, sizes: Sequence[int], relu: bool, x: Floats, y: int) -> float:
    return -float(np.log(outputs(layers(theta, sizes), relu, x)[-1][y]))


def gradient(theta: Floats, sizes: Sequence[int], relu: bool, x: Floats, y: int) -> Floats:
    """Return the derivative of the loss by theta."""
    parts = layers(theta, sizes)
    said = outputs(parts, relu, x)
    error = said[-1] - np.eye(sizes[-1])[y]
    found: Layers = []
    for (w, _), below in zip(reversed(parts), reversed(said[:-1]), strict=True):
        found.append((np.outer(error, below), error))
        slope = np.where(below > 0, 1.0, 0.0 if relu else below + 1.0)
        error = (w.T @ error) * slope
    return flat(found[::-1])
