"""A dense network for streams: its weights as one array, its step as one kernel."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from learners.kernels import network as kernels
from learners.parameters import require

Floats = NDArray[np.float64]


class Network:
    """A dense network for classification: weights in one vector, workspaces beside it.

    Weights begin normal with variance 2 / inputs (He et al. 2015, section 2.2), biases at zero.
    It fails on inputs far from unit scale: the largest stable rate falls with their squared norm.

    Parameters
    ----------
    sizes
        Inputs, units of each hidden layer, classes; at least two numbers.
    relu
        Rectified hidden units instead of ELU.
    """

    def __init__(self, sizes: Sequence[int], relu: bool = False) -> None:
        require(len(sizes) >= 2 and min(sizes) >= 1, "sizes", list(sizes), "two or more, each >= 1")
        self.relu = relu
        self.layout = layout_of(sizes)
        self.theta: Floats = np.zeros(parameters_of(sizes))
        self.acts: Floats = np.zeros(sum(sizes[1:]))
        self.errs: Floats = np.zeros(sum(sizes[1:]))

    def draw(self, seed: int) -> None:
        """Draw fresh weights from a generator of that seed."""
        self.theta[:] = draw_weights(self.layout, seed)

    def probabilities(self, x: Floats) -> Floats:
        """Return the probability of each class for x (float64[inputs]), as a view."""
        kernels.forward(self.theta, self.layout, self.relu, x, self.acts)
        return self.acts[int(self.layout[-1, kernels.HERE]) :]

    def step(self, x: Floats, y: int, rate: float) -> float:
        """Take one step downhill for x (float64[inputs]) of class y; return the loss before."""
        inputs, classes = int(self.layout[0, kernels.INPUTS]), int(self.layout[-1, kernels.UNITS])
        require(x.shape == (inputs,), "x", x.shape, f"({inputs},)")
        require(0 <= y < classes, "y", y, f"0..{classes - 1}")
        return kernels.sgd(self.theta, self.layout, self.relu, x, y, rate, self.acts, self.errs)


def layout_of(sizes: Sequence[int]) -> NDArray[np.int64]:
    """Return where each layer's parts lie (see `learners.kernels.network`)."""
    rows: list[tuple[int, ...]] = []
    at = here = 0
    for inputs, units in itertools.pairwise(sizes):
        below = here - inputs if rows else 0
        rows.append((inputs, units, at, at + inputs * units, below, here))
        at += (inputs + 1) * units
        here += units
    return np.array(rows, np.int64)


def parameters_of(sizes: Sequence[int]) -> int:
    """Return how many weights and biases a network of these sizes has."""
    return sum((a + 1) * b for a, b in itertools.pairwise(sizes))


def draw_weights(layout: NDArray[np.int64], seed: int) -> Floats:
    """Return weights (float64[P]): normal with variance 2 / inputs, and zero biases."""
    draw = np.random.default_rng(seed)
    parts = []
    for inputs, units in layout[:, :2].tolist():
        parts.append(draw.standard_normal(inputs * units) * math.sqrt(2.0 / inputs))
        parts.append(np.zeros(units))
    return np.concatenate(parts)
