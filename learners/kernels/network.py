"""One event of a dense network: forward, backward and a gradient step, without allocation.

All weights lie in one flat vector `theta` (float64[P]), each layer's in rows of its inputs,
weights[input, unit], and then its biases: a sum over inputs then runs along rows, which the
compiler turns into vector instructions without changing the order of any sum, and an input that is
zero costs nothing. `layout` (int64[layers, 6]) says where each layer's parts are:

    INPUTS, UNITS   how many it reads, how many it has
    WEIGHTS, BIASES where they begin in `theta`
    BELOW, HERE     where its inputs and its units begin in `acts` and `errs` (float64[units])

The first layer reads `x` (float64[inputs]) instead. Hidden units are ELU with α = 1 (Clevert et
al. 2016) or, with `relu`, rectified; outputs are softmax, the loss is cross-entropy in nats.
"""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit

INPUTS, UNITS, WEIGHTS, BIASES, BELOW, HERE = range(6)

TINY = 1e-300


@lean_njit
def forward(
    theta: NDArray[np.float64],
    layout: NDArray[np.int64],
    relu: bool,
    x: NDArray[np.float64],
    acts: NDArray[np.float64],
) -> None:
    """Put every unit's output in `acts`; the last layer's are probabilities."""
    last = layout.shape[0] - 1
    for layer in range(layout.shape[0]):
        inputs, units = layout[layer, INPUTS], layout[layer, UNITS]
        weights, biases = layout[layer, WEIGHTS], layout[layer, BIASES]
        below, here = layout[layer, BELOW], layout[layer, HERE]
        source = x if layer == 0 else acts[below : below + inputs]
        out = acts[here : here + units]
        copy(theta[biases : biases + units], out)
        for i in range(inputs):
            value = source[i]
            if value != 0.0:
                row = theta[weights + i * units : weights + (i + 1) * units]
                for j in range(units):
                    out[j] += value * row[j]
        if layer == last:
            softmax(out)
        elif relu:
            for j in range(units):
                out[j] = max(out[j], 0.0)
        else:
            for j in range(units):
                if out[j] < 0.0:
                    out[j] = math.expm1(out[j])


@lean_njit
def copy(source: NDArray[np.float64], target: NDArray[np.float64]) -> None:
    """Copy without the buffer that a slice assignment would ask for."""
    for k in range(source.shape[0]):
        target[k] = source[k]


@lean_njit
def softmax(out: NDArray[np.float64]) -> None:
    """Turn logits into probabilities in place."""
    highest = out[0]
    for j in range(1, out.shape[0]):
        highest = max(highest, out[j])
    total = 0.0
    for j in range(out.shape[0]):
        out[j] = math.exp(out[j] - highest)
        total += out[j]
    for j in range(out.shape[0]):
        out[j] /= total


@lean_njit
def backward(
    theta: NDArray[np.float64],
    layout: NDArray[np.int64],
    relu: bool,
    acts: NDArray[np.float64],
    y: int,
    errs: NDArray[np.float64],
) -> float:
    """Put the loss's derivative by each unit's net input in `errs`; return the loss.

    `acts` are those of `forward` for the same event, `y` is the index of its class.
    """
    top = layout.shape[0] - 1
    here, units = layout[top, HERE], layout[top, UNITS]
    for j in range(units):
        errs[here + j] = acts[here + j]
    errs[here + y] -= 1.0
    for layer in range(top, 0, -1):
        inputs, units = layout[layer, INPUTS], layout[layer, UNITS]
        weights, below, here = layout[layer, WEIGHTS], layout[layer, BELOW], layout[layer, HERE]
        above = errs[here : here + units]
        for i in range(inputs):
            output = acts[below + i]
            if relu and output <= 0.0:
                errs[below + i] = 0.0
                continue
            row = theta[weights + i * units : weights + (i + 1) * units]
            slope = 1.0 if output > 0.0 else output + 1.0
            errs[below + i] = slope * dot(row, above)
    return -math.log(max(acts[layout[top, HERE] + y], TINY))


@lean_njit
def dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the inner product, in four sums side by side."""
    n = a.shape[0]
    s0 = s1 = s2 = s3 = 0.0
    whole = n - n % 4
    for k in range(0, whole, 4):
        s0 += a[k] * b[k]
        s1 += a[k + 1] * b[k + 1]
        s2 += a[k + 2] * b[k + 2]
        s3 += a[k + 3] * b[k + 3]
    for k in range(whole, n):
        s0 += a[k] * b[k]
    return (s0 + s1) + (s2 + s3)


@lean_njit
def add_gradient(
    target: NDArray[np.float64],
    layout: NDArray[np.int64],
    x: NDArray[np.float64],
    acts: NDArray[np.float64],
    errs: NDArray[np.float64],
    factor: float,
) -> None:
    """Add `factor` times the gradient by all weights to `target` (float64[P]).

    With `theta` as target and minus the rate as factor it is a step downhill. Rates of single
    units are a matter of scaling `errs` first.
    """
    for layer in range(layout.shape[0]):
        inputs, units = layout[layer, INPUTS], layout[layer, UNITS]
        weights, biases = layout[layer, WEIGHTS], layout[layer, BIASES]
        below, here = layout[layer, BELOW], layout[layer, HERE]
        source = x if layer == 0 else acts[below : below + inputs]
        errors = errs[here : here + units]
        for i in range(inputs):
            value = factor * source[i]
            if value != 0.0:
                row = target[weights + i * units : weights + (i + 1) * units]
                for j in range(units):
                    row[j] += value * errors[j]
        row = target[biases : biases + units]
        for j in range(units):
            row[j] += factor * errors[j]


@lean_njit
def sgd(
    theta: NDArray[np.float64],
    layout: NDArray[np.int64],
    relu: bool,
    x: NDArray[np.float64],
    y: int,
    rate: float,
    acts: NDArray[np.float64],
    errs: NDArray[np.float64],
) -> float:
    """Take one step downhill on one event; return its loss before the step."""
    forward(theta, layout, relu, x, acts)
    loss = backward(theta, layout, relu, acts, y, errs)
    add_gradient(theta, layout, x, acts, errs, -rate)
    return loss


@lean_njit
def likeliest(acts: NDArray[np.float64], layout: NDArray[np.int64]) -> int:
    """Return the class of the highest probability, the first of equals."""
    top = layout.shape[0] - 1
    here = layout[top, HERE]
    best = 0
    for j in range(1, layout[top, UNITS]):
        if acts[here + j] > acts[here + best]:
            best = j
    return best
