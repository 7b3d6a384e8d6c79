"""Two nets that run past each other: one from inputs to classes, one from classes back.

The forward net is `theta`, `layout` and `acts` of `learners.kernels.network`. The feedback net has
a matrix for each layer but the first, from its K or n units to those of the layer below, one behind
the other in `back` (float64[B]), rows of the units it reads. `sent` (float64[K, hidden units]) is
what each class sends to each hidden unit, after ELU.
"""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.network import BELOW, HERE, INPUTS, UNITS

SCALE = 128.0
"""The weight of a hidden layer's loss, before it is divided by its units: 256 times a half."""


@lean_njit
def send(back: NDArray[np.float64], layout: NDArray[np.int64], sent: NDArray[np.float64]) -> None:
    """Work out what each class sends down."""
    at, top = back.shape[0], layout.shape[0] - 1
    for layer in range(top, 0, -1):
        lower, units = layout[layer, INPUTS], layout[layer, UNITS]
        below, here = layout[layer, BELOW], layout[layer, HERE]
        at -= lower * units
        for k in range(sent.shape[0]):
            row = sent[k, below : below + lower]
            for i in range(lower):
                row[i] = 0.0
            for j in range(units):
                value = (1.0 if j == k else 0.0) if layer == top else sent[k, here + j]
                if value != 0.0:
                    given = back[at + j * lower : at + (j + 1) * lower]
                    for i in range(lower):
                        row[i] += value * given[i]
            for i in range(lower):
                if row[i] < 0.0:
                    row[i] = math.expm1(row[i])


@lean_njit
def local_errors(
    layout: NDArray[np.int64],
    acts: NDArray[np.float64],
    sent: NDArray[np.float64],
    y: int,
    errs: NDArray[np.float64],
    row: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> float:
    """Put each unit's error in `errs`, and the feedback net's gradient in `gradient` (float64[B]).

    A hidden layer's loss is the mean over classes of (c - t)^2, c the inner product of what it
    says with what a class sends, t 1 for class y and 0 for others. Nothing crosses a layer. Returns
    the largest such loss.
    """
    classes, top = sent.shape[0], layout.shape[0] - 1
    here = layout[top, HERE]
    for j in range(classes):
        errs[here + j] = acts[here + j] - (1.0 if j == y else 0.0)
    worst = 0.0
    for k in range(gradient.shape[0]):
        gradient[k] = 0.0
    at = gradient.shape[0]
    for layer in range(top, 0, -1):
        lower, units = layout[layer, INPUTS], layout[layer, UNITS]
        below, here = layout[layer, BELOW], layout[layer, HERE]
        at -= lower * units
        lost = 0.0
        for i in range(lower):
            errs[below + i] = 0.0
        for k in range(classes):
            score = 0.0
            for i in range(lower):
                score += acts[below + i] * sent[k, below + i]
            off = score - (1.0 if k == y else 0.0)
            lost += off * off / classes
            factor = 2.0 * off / classes * SCALE / lower
            for i in range(lower):
                s = sent[k, below + i]
                errs[below + i] += factor * s
                row[i] = factor * acts[below + i] * (1.0 if s > 0.0 else s + 1.0)
            for j in range(units):
                value = (1.0 if j == k else 0.0) if layer == top else sent[k, here + j]
                if value != 0.0:
                    slopes = gradient[at + j * lower : at + (j + 1) * lower]
                    for i in range(lower):
                        slopes[i] += row[i] * value
        for i in range(lower):
            output = acts[below + i]
            errs[below + i] *= 1.0 if output > 0.0 else output + 1.0
        worst = max(worst, lost)
    return worst


@lean_njit
def descend(
    back: NDArray[np.float64], gradient: NDArray[np.float64], rate: float, clip: float, most: float
) -> bool:
    """Take a step of the feedback net, of a gradient no longer than `clip`; say if it was."""
    square = 0.0
    for k in range(gradient.shape[0]):
        square += gradient[k] * gradient[k]
    norm = math.sqrt(square)
    factor = rate if norm <= clip else rate * clip / norm
    for k in range(back.shape[0]):
        back[k] = min(max(back[k] - factor * gradient[k], -most), most)
    return norm > clip
