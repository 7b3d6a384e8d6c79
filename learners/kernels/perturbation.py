"""Losses of a network whose units are pushed a little, and the steps that follow from them."""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.network import BELOW, BIASES, HERE, INPUTS, UNITS, WEIGHTS
from learners.kernels.random import next_u64


@lean_njit
def pushed_loss(
    theta: NDArray[np.float64],
    layout: NDArray[np.int64],
    driven: NDArray[np.float64],
    signs: NDArray[np.float64],
    by: float,
    y: int,
    acts: NDArray[np.float64],
) -> float:
    """Return the nats of class y when every unit's net input is moved by its sign times `by`.

    `driven` (float64[units of the first layer]) is what the event gives to the first layer; hidden
    units are rectified.
    """
    top = layout.shape[0] - 1
    for layer in range(top + 1):
        inputs, units = layout[layer, INPUTS], layout[layer, UNITS]
        weights, biases = layout[layer, WEIGHTS], layout[layer, BIASES]
        below, here = layout[layer, BELOW], layout[layer, HERE]
        for j in range(units):
            acts[here + j] = by * signs[here + j]
            acts[here + j] += driven[j] if layer == 0 else theta[biases + j]
        if layer:
            for i in range(inputs):
                value = acts[below + i]
                if value > 0.0:
                    row = theta[weights + i * units : weights + (i + 1) * units]
                    for j in range(units):
                        acts[here + j] += value * row[j]
    here, classes = layout[top, HERE], layout[top, UNITS]
    highest = acts[here]
    for j in range(1, classes):
        highest = max(highest, acts[here + j])
    total = 0.0
    for j in range(classes):
        total += math.exp(acts[here + j] - highest)
    return float(math.log(total) + highest - acts[here + y])


@lean_njit
def perturb(
    theta: NDArray[np.float64],
    layout: NDArray[np.int64],
    driven: NDArray[np.float64],
    rng: NDArray[np.uint64],
    directions: int,
    by: float,
    y: int,
    signs: NDArray[np.float64],
    acts: NDArray[np.float64],
    errs: NDArray[np.float64],
) -> float:
    """Put the mean over directions of slope times signs in `errs`; return the last slope."""
    slope = 0.0
    for j in range(errs.shape[0]):
        errs[j] = 0.0
    for _ in range(directions):
        bits = np.uint64(0)
        for j in range(signs.shape[0]):
            if j % 64 == 0:
                bits = next_u64(rng)
            signs[j] = 1.0 if bits & np.uint64(1) else -1.0
            bits >>= np.uint64(1)
        up = pushed_loss(theta, layout, driven, signs, by, y, acts)
        down = pushed_loss(theta, layout, driven, signs, -by, y, acts)
        slope = (up - down) / (2.0 * by)
        for j in range(errs.shape[0]):
            errs[j] += slope * signs[j] / directions
    return slope
