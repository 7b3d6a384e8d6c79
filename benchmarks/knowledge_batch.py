"""The published run of structured knowledge: a chain of layers and one batch, again and again.

The algorithm of arXiv 2503.13942 with the step of `structured_knowledge`, and what a linear
read-out finds in each layer on the way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learners.kernels import structured_knowledge as kernels

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

LAYERS = (256, 128, 64, 10)
RIDGE = 1e-2
"""Damping of the read-out, as a share of the mean variance of a feature."""


@dataclass
class Layer:
    """Weights W float64[d, n] and b float64[n]; knowledge and decisions float64[N, n]."""

    W: Floats
    b: Floats
    z: Floats
    D: Floats
    z_old: Floats
    D_old: Floats


class Chain:
    """Layers above one another that see one batch x float64[N, d]; labels are never used."""

    def __init__(self, x: Floats, sizes: Sequence[int], rate: float, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self.x = x
        self.rate = rate
        self.layers: list[Layer] = []
        below = x.shape[1]
        for size in sizes:
            rows = [np.zeros((len(x), size)) for _ in range(4)]
            W = 0.01 * draw.standard_normal((below, size))
            self.layers.append(Layer(W, np.zeros(size), *rows))
            below = size
        self.steps = 0

    def step(self) -> tuple[list[float], list[float], list[float]] | None:
        """Go on by a step; return entropy step, alignment and flow by layer, if there was one.

        Before, each layer's knowledge of this step becomes the old one.
        """
        below = self.x
        for layer in self.layers:
            layer.z, layer.z_old = layer.z_old, layer.z
            layer.D, layer.D_old = layer.D_old, layer.D
            kernels.forward(below, layer.W, layer.b, math.inf, layer.z, layer.D)
            below = layer.D
        self.steps += 1
        if self.steps == 1:
            return None
        said = (
            [kernels.entropy_step(each.z, each.D, each.D_old) for each in self.layers],
            [kernels.alignment(each.z, each.D, each.D_old) for each in self.layers],
            [kernels.flow(each.z, each.z_old, self.rate) for each in self.layers],
        )
        below = self.x
        for each in self.layers:
            scratch = np.empty_like(each.b)
            kernels.learn(below, each.z, each.D, each.D_old, self.rate, scratch, each.W, each.b)
            below = each.D_old
        return said

    def decisions(self, x: Floats) -> list[Floats]:
        """Return the decisions of each layer on other inputs."""
        found = []
        for layer in self.layers:
            z = np.empty((len(x), len(layer.b)))
            D = np.empty_like(z)
            kernels.forward(x, layer.W, layer.b, math.inf, z, D)
            found.append(D)
            x = D
        return found


def flow_peaks(x: Floats, rate: float, steps: int, seed: int) -> list[int]:
    """Return the step of each layer's largest flow, counted from 1."""
    chain = Chain(x, LAYERS, rate, seed)
    flows = [said[2] for _ in range(steps) if (said := chain.step())]
    return [2 + int(place) for place in np.argmax(flows, axis=0)]


def read_out(
    train: Floats, classes: Counts, test: Floats, truth: Counts, ridge: float = RIDGE
) -> float:
    """Return the test accuracy of a linear least-squares read-out of features."""
    mean = train.mean(0)
    one_hot = np.eye(int(max(classes.max(), truth.max())) + 1)[classes]
    centered = train - mean
    gram = centered.T @ centered
    damped = gram + ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(damped, centered.T @ (one_hot - one_hot.mean(0)))
    said = (test - mean) @ weights + one_hot.mean(0)
    return float(np.mean(said.argmax(1) == truth))


def centroids(train: Floats, classes: Counts, test: Floats, truth: Counts) -> float:
    """Return the test accuracy of the nearest class mean."""
    means = np.array([train[classes == each].mean(0) for each in range(int(classes.max()) + 1)])
    distances = ((test[:, None, :] - means) ** 2).sum(2)
    return float(np.mean(distances.argmin(1) == truth))
