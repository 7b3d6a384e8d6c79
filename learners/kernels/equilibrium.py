"""A network that settles: symmetric weights, units that drive each other until nothing moves.

`theta` and `layout` are those of `learners.kernels.network`; `acts` (float64[units]) are states in
[0, 1]. With the input held, E = sum h^2 / 2 - sum h_l W_l h_(l-1) - sum b h, and the nudge adds
beta |h_L - t|^2 / 2 (Scellier and Bengio 2017, equations 1 and 3, with the half in the cost).
"""

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.network import BELOW, BIASES, HERE, INPUTS, UNITS, WEIGHTS, dot


@lean_njit
def drive(
    theta: NDArray[np.float64],
    layout: NDArray[np.int64],
    x: NDArray[np.float64],
    driven: NDArray[np.float64],
) -> None:
    """Put what the input gives to each unit of the first layer in `driven`; it stays the same."""
    inputs, units = layout[0, INPUTS], layout[0, UNITS]
    weights, biases = layout[0, WEIGHTS], layout[0, BIASES]
    for j in range(units):
        driven[j] = theta[biases + j]
    for i in range(inputs):
        value = x[i]
        if value != 0.0:
            row = theta[weights + i * units : weights + (i + 1) * units]
            for j in range(units):
                driven[j] += value * row[j]


@lean_njit
def settle(
    theta: NDArray[np.float64],
    layout: NDArray[np.int64],
    driven: NDArray[np.float64],
    y: int,
    beta: float,
    pace: float,
    steps: int,
    net: NDArray[np.float64],
    acts: NDArray[np.float64],
) -> float:
    """Move states by `pace` times their force, all at once; return the largest last movement.

    With beta 0 they settle freely, else class y draws them (pushes, below zero).
    """
    top = layout.shape[0] - 1
    moved = 0.0
    for _ in range(steps):
        for layer in range(top + 1):
            here, units = layout[layer, HERE], layout[layer, UNITS]
            if layer == 0:
                for j in range(units):
                    net[here + j] = driven[j]
                continue
            inputs, below = layout[layer, INPUTS], layout[layer, BELOW]
            weights, biases = layout[layer, WEIGHTS], layout[layer, BIASES]
            for j in range(units):
                net[here + j] = theta[biases + j]
            above = acts[here : here + units]
            for i in range(inputs):
                row = theta[weights + i * units : weights + (i + 1) * units]
                net[below + i] += dot(row, above)
                value = acts[below + i]
                if value != 0.0:
                    for j in range(units):
                        net[here + j] += value * row[j]
        if beta != 0.0:
            here = layout[top, HERE]
            for j in range(layout[top, UNITS]):
                target = 1.0 if j == y else 0.0
                net[here + j] += beta * (target - acts[here + j])
        moved = 0.0
        for k in range(acts.shape[0]):
            state = min(max(acts[k] + pace * (net[k] - acts[k]), 0.0), 1.0)
            moved = max(moved, abs(state - acts[k]))
            acts[k] = state
    return moved
