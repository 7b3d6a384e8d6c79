"""Weights held by pairs of devices that take pulses of one size and saturate.

`theta` and `layout` are those of `learners.kernels.network`; `plus` and `minus` (float64[P], in
[0, 1]) lie like `theta`, and their places of biases are not used: biases are plain numbers.
"""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.network import BELOW, BIASES, HERE, INPUTS, UNITS, WEIGHTS
from learners.kernels.random import next_u64

FULL = 0.9
"""Where a device that is only ever written upwards is erased."""


@lean_njit
def snapped(g: float, levels: int, bend: float) -> float:
    """Return a conductance held to [0, 1], and to its level where all steps are alike."""
    g = min(max(g, 0.0), 1.0)
    return math.floor(g * levels + 0.5) / levels if bend == 0.0 else g


@lean_njit
def pulse(
    theta: NDArray[np.float64],
    plus: NDArray[np.float64],
    minus: NDArray[np.float64],
    layout: NDArray[np.int64],
    rng: NDArray[np.uint64],
    x: NDArray[np.float64],
    acts: NDArray[np.float64],
    errs: NDArray[np.float64],
    rate: float,
    levels: int,
    bend: float,
    span: float,
    one_way: bool,
    most: float,
    counted: NDArray[np.float64],
) -> None:
    """Give pulses by chance, as many on average as a gradient step asks for.

    A pulse up adds a exp(-bend G) to a device, one down takes a exp(-bend (1 - G)), a such that it
    has `levels`. One way, devices only ever go up, and one above `FULL` is erased and the weight
    written anew. `counted` (float64[2]) gets how many pulses and how many such writes there were.
    """
    size = 1.0 / levels
    if bend > 0.0:
        size = bend / (levels * (1.0 - math.exp(-bend)))
    step = span / levels * (1.0 if one_way else 2.0)
    counted[0] = counted[1] = 0.0
    for layer in range(layout.shape[0]):
        inputs, units = layout[layer, INPUTS], layout[layer, UNITS]
        weights, biases = layout[layer, WEIGHTS], layout[layer, BIASES]
        below, here = layout[layer, BELOW], layout[layer, HERE]
        source = x if layer == 0 else acts[below : below + inputs]
        for i in range(inputs):
            value = rate / step * source[i]
            if value == 0.0:
                continue
            for j in range(units):
                wanted = -value * errs[here + j]
                if wanted == 0.0:
                    continue
                if np.float64(next_u64(rng) >> np.uint64(11)) * 2.0**-53 >= abs(wanted):
                    continue
                counted[0] += 1.0
                k = weights + i * units + j
                rising, falling = (plus, minus) if wanted > 0.0 else (minus, plus)
                rising[k] = snapped(rising[k] + size * math.exp(-bend * rising[k]), levels, bend)
                if not one_way:
                    less = size * math.exp(-bend * (1.0 - falling[k]))
                    falling[k] = snapped(falling[k] - less, levels, bend)
                elif rising[k] > FULL:
                    left = plus[k] - minus[k]
                    plus[k] = snapped(left, levels, bend)
                    minus[k] = snapped(-left, levels, bend)
                    counted[1] += 1.0
                theta[k] = span * (plus[k] - minus[k])
        for j in range(units):
            k = biases + j
            theta[k] = min(max(theta[k] - rate * errs[here + j], -most), most)
