"""Weights as differences of two positive numbers that are multiplied, never added to.

`theta` and `layout` are those of `learners.kernels.network`; `plus` and `minus` (float64[P]) lie
like `theta`, and their places of biases are not used.
"""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.network import BELOW, BIASES, HERE, INPUTS, UNITS, WEIGHTS


@lean_njit
def multiply(
    theta: NDArray[np.float64],
    plus: NDArray[np.float64],
    minus: NDArray[np.float64],
    layout: NDArray[np.int64],
    x: NDArray[np.float64],
    acts: NDArray[np.float64],
    errs: NDArray[np.float64],
    rate: float,
    floor: float,
    most: float,
) -> float:
    """Take a step: w+ exp(-f) and w- exp(f), f the rate times the gradient, held to [-1, 1].

    Biases take a plain step. Returns the largest |f|.
    """
    largest = 0.0
    for layer in range(layout.shape[0]):
        inputs, units = layout[layer, INPUTS], layout[layer, UNITS]
        weights, biases = layout[layer, WEIGHTS], layout[layer, BIASES]
        below, here = layout[layer, BELOW], layout[layer, HERE]
        source = x if layer == 0 else acts[below : below + inputs]
        for i in range(inputs):
            value = rate * source[i]
            if value == 0.0:
                continue
            for j in range(units):
                error = errs[here + j]
                if error == 0.0:
                    continue
                f = min(max(value * error, -1.0), 1.0)
                largest = max(largest, abs(f))
                k = weights + i * units + j
                shrink = math.exp(-f)
                plus[k] = min(max(plus[k] * shrink, floor), most)
                minus[k] = min(max(minus[k] / shrink, floor), most)
                theta[k] = plus[k] - minus[k]
        for j in range(units):
            k = biases + j
            theta[k] = min(max(theta[k] - rate * errs[here + j], -most), most)
    return largest
