"""Blocks that each make a better label of a noisy one, taught apart.

For T blocks, n inputs, H hidden units, K classes:

    inward  float64[T, n + K, H]  from inputs, then from the noisy label
    offsets float64[T, H]
    outward float64[T, H + 1, K]  the last row are offsets
    pace    float64[T, 4]         signal and noise of what a block is taught with, then by how much
                                  its answer and what it was given go into what the next is given
"""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.network import TINY, copy, dot, softmax
from learners.kernels.random import next_u64

SIGNAL, NOISE, OF_ANSWER, OF_GIVEN = range(4)


@lean_njit
def normal(rng: NDArray[np.uint64]) -> float:
    """Return a normal number (Box and Muller 1958)."""
    one = (np.float64(next_u64(rng) >> np.uint64(11)) + 1.0) * 2.0**-53
    other = np.float64(next_u64(rng) >> np.uint64(11)) * 2.0**-53
    return math.sqrt(-2.0 * math.log(one)) * math.cos(2.0 * math.pi * other)


@lean_njit
def denoise(
    inward: NDArray[np.float64],
    offsets: NDArray[np.float64],
    outward: NDArray[np.float64],
    t: int,
    x: NDArray[np.float64],
    given: NDArray[np.float64],
    h: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Put block t's probabilities in `out`, given a noisy label."""
    inputs = x.shape[0]
    copy(offsets[t], h)
    for i in range(inward.shape[1]):
        value = x[i] if i < inputs else given[i - inputs]
        if value != 0.0:
            row = inward[t, i]
            for j in range(h.shape[0]):
                h[j] += value * row[j]
    copy(outward[t, h.shape[0]], out)
    for j in range(h.shape[0]):
        h[j] = max(h[j], 0.0)
        if h[j] != 0.0:
            row = outward[t, j]
            for k in range(out.shape[0]):
                out[k] += h[j] * row[k]
    softmax(out)


@lean_njit
def answer(
    inward: NDArray[np.float64],
    offsets: NDArray[np.float64],
    outward: NDArray[np.float64],
    pace: NDArray[np.float64],
    x: NDArray[np.float64],
    given: NDArray[np.float64],
    h: NDArray[np.float64],
    said: NDArray[np.float64],
) -> None:
    """Put every block's probabilities in `said` (float64[T, K]), each given what came before it."""
    for k in range(given.shape[0]):
        given[k] = 0.0
    for t in range(said.shape[0]):
        denoise(inward, offsets, outward, t, x, given, h, said[t])
        for k in range(given.shape[0]):
            given[k] = pace[t, OF_ANSWER] * said[t, k] + pace[t, OF_GIVEN] * given[k]


@lean_njit
def teach(
    inward: NDArray[np.float64],
    offsets: NDArray[np.float64],
    outward: NDArray[np.float64],
    pace: NDArray[np.float64],
    rng: NDArray[np.uint64],
    x: NDArray[np.float64],
    y: int,
    rate: float,
    most: float,
    given: NDArray[np.float64],
    h: NDArray[np.float64],
    out: NDArray[np.float64],
    losses: NDArray[np.float64],
) -> None:
    """Take one step of each block alone, from the label with noise; its nats go to `losses`."""
    inputs, hidden = x.shape[0], h.shape[0]
    for t in range(losses.shape[0]):
        for k in range(given.shape[0]):
            label = pace[t, SIGNAL] if k == y else 0.0
            given[k] = label + pace[t, NOISE] * normal(rng)
        denoise(inward, offsets, outward, t, x, given, h, out)
        losses[t] = -math.log(max(out[y], TINY))
        out[y] -= 1.0
        for j in range(hidden):
            row = outward[t, j]
            error = dot(row, out) if h[j] > 0.0 else 0.0
            if h[j] != 0.0:
                for k in range(out.shape[0]):
                    row[k] = min(max(row[k] - rate * h[j] * out[k], -most), most)
            h[j] = error
        row = outward[t, hidden]
        for k in range(out.shape[0]):
            row[k] = min(max(row[k] - rate * out[k], -most), most)
        for i in range(inward.shape[1]):
            value = rate * (x[i] if i < inputs else given[i - inputs])
            if value != 0.0:
                row = inward[t, i]
                for j in range(hidden):
                    row[j] = min(max(row[j] - value * h[j], -most), most)
        row = offsets[t]
        for j in range(hidden):
            row[j] = min(max(row[j] - rate * h[j], -most), most)
