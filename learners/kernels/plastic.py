"""Steps of a network given in factors, and the ways of writing one.

`theta`, `layout` and `acts` are those of `learners.kernels.network`. A step has T terms:

    pre    float64[T, inputs + hidden units]  what each layer reads, the event's inputs first
    post   float64[T, units]                  by how much each unit's net input should fall
    bias   float64[T, layers]                 what a layer's biases read: 1, or 0 to leave them

The step of a weight is minus the rate times the sum over terms of pre[input] post[unit].
"""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.network import BELOW, BIASES, HERE, INPUTS, UNITS, WEIGHTS, dot, softmax


@lean_njit
def reads(layout: NDArray[np.int64], layer: int) -> int:
    """Return where the inputs of a layer begin in `pre`."""
    return layout[layer, BELOW] + layout[0, INPUTS] if layer else 0


@lean_njit
def forward_layer(
    theta: NDArray[np.float64],
    layout: NDArray[np.int64],
    relu: bool,
    layer: int,
    x: NDArray[np.float64],
    acts: NDArray[np.float64],
) -> None:
    """Put one layer's outputs in `acts`, reading those of the layer below."""
    inputs, units = layout[layer, INPUTS], layout[layer, UNITS]
    weights, biases = layout[layer, WEIGHTS], layout[layer, BIASES]
    below, here = layout[layer, BELOW], layout[layer, HERE]
    source = x if layer == 0 else acts[below : below + inputs]
    out = acts[here : here + units]
    for j in range(units):
        out[j] = theta[biases + j]
    for i in range(inputs):
        value = source[i]
        if value != 0.0:
            row = theta[weights + i * units : weights + (i + 1) * units]
            for j in range(units):
                out[j] += value * row[j]
    if layer == layout.shape[0] - 1:
        softmax(out)
    else:
        for j in range(units):
            if out[j] < 0.0:
                out[j] = 0.0 if relu else math.expm1(out[j])


@lean_njit
def measure(
    layout: NDArray[np.int64],
    pre: NDArray[np.float64],
    post: NDArray[np.float64],
    bias: NDArray[np.float64],
    found: NDArray[np.float64],
) -> None:
    """Put a step's squared norm, and a bound of its largest entry, in `found` (float64[2])."""
    square = largest = 0.0
    for layer in range(layout.shape[0]):
        inputs, units = layout[layer, INPUTS], layout[layer, UNITS]
        at, here = reads(layout, layer), layout[layer, HERE]
        most = 0.0
        for s in range(pre.shape[0]):
            high_pre, high_post = abs(bias[s, layer]), 0.0
            for i in range(inputs):
                high_pre = max(high_pre, abs(pre[s, at + i]))
            for j in range(units):
                high_post = max(high_post, abs(post[s, here + j]))
            most += high_pre * high_post
            for t in range(pre.shape[0]):
                below = bias[s, layer] * bias[t, layer]
                below += dot(pre[s, at : at + inputs], pre[t, at : at + inputs])
                above = dot(post[s, here : here + units], post[t, here : here + units])
                square += below * above
        largest = max(largest, most)
    found[0] = max(square, 0.0)
    found[1] = largest


@lean_njit
def write(
    theta: NDArray[np.float64],
    layout: NDArray[np.int64],
    pre: NDArray[np.float64],
    post: NDArray[np.float64],
    bias: NDArray[np.float64],
    rate: float,
    most: float,
) -> None:
    """Take a step at a rate; weights stop at `most` on either side of zero."""
    for t in range(pre.shape[0]):
        for layer in range(layout.shape[0]):
            inputs, units = layout[layer, INPUTS], layout[layer, UNITS]
            weights, at, here = layout[layer, WEIGHTS], reads(layout, layer), layout[layer, HERE]
            errors = post[t, here : here + units]
            for i in range(inputs + 1):
                value = -rate * (bias[t, layer] if i == inputs else pre[t, at + i])
                if value != 0.0:
                    # Biases lie behind the weights, as one row more.
                    row = theta[weights + i * units : weights + (i + 1) * units]
                    for j in range(units):
                        row[j] = min(max(row[j] + value * errors[j], -most), most)


@lean_njit
def write_by_history(
    theta: NDArray[np.float64],
    sums: NDArray[np.float64],
    layout: NDArray[np.int64],
    pre: NDArray[np.float64],
    post: NDArray[np.float64],
    bias: NDArray[np.float64],
    rate: float,
    most: float,
    threshold: float,
    power: float,
    epsilon: float,
) -> int:
    """Take a step divided by what each weight's steps have summed up to (`sums`, float64[P]).

    Weights whose squared gradient g does not exceed the threshold stay; of the others S += |g|^p,
    w -= rate g / (epsilon + S)^(1/p). Returns how many moved.
    """
    moved = 0
    for layer in range(layout.shape[0]):
        inputs, units = layout[layer, INPUTS], layout[layer, UNITS]
        weights, at, here = layout[layer, WEIGHTS], reads(layout, layer), layout[layer, HERE]
        for i in range(inputs + 1):
            silent = True
            for t in range(pre.shape[0]):
                if (bias[t, layer] if i == inputs else pre[t, at + i]) != 0.0:
                    silent = False
            if silent:
                continue
            begin = weights + i * units
            for j in range(units):
                g = 0.0
                for t in range(pre.shape[0]):
                    g += (bias[t, layer] if i == inputs else pre[t, at + i]) * post[t, here + j]
                if g * g > threshold:
                    moved += 1
                    if power == 2.0:
                        sums[begin + j] += g * g
                        step = g / math.sqrt(epsilon + sums[begin + j])
                    else:
                        sums[begin + j] += abs(g) ** power
                        step = g / (epsilon + sums[begin + j]) ** (1.0 / power)
                    theta[begin + j] = min(max(theta[begin + j] - rate * step, -most), most)
    return moved
