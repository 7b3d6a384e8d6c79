"""Units that collect spikes, one of which may fire at a time, and weights that only ever grow.

For n inputs, N units, K classes:

    inward   float64[n, N]  each column adds up to a constant
    outward  float64[N, K]  each column adds up to a constant
    offsets  float64[N]     by how much a unit's threshold has risen
"""

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.random import next_u64


@lean_njit
def scale_column(weights: NDArray[np.float64], k: int, total: float, most: float) -> None:
    """Bring a column's sum to `total`, no weight above `most` before."""
    found = 0.0
    for i in range(weights.shape[0]):
        weights[i, k] = min(weights[i, k], most)
        found += weights[i, k]
    if found > 0.0:
        for i in range(weights.shape[0]):
            weights[i, k] *= total / found


@lean_njit
def present(
    inward: NDArray[np.float64],
    offsets: NDArray[np.float64],
    rng: NDArray[np.uint64],
    x: NDArray[np.float64],
    steps: int,
    chance: float,
    leak: float,
    threshold: float,
    learning: bool,
    rate: float,
    rise: float,
    total: float,
    most: float,
    potential: NDArray[np.float64],
    trace: NDArray[np.float64],
    counts: NDArray[np.float64],
) -> None:
    """Show an event for some steps, and count which unit fired how often in `counts` (float64[N]).

    At each step an input spikes with `chance` times its number; potentials leak and collect the
    weights of what spiked. The unit that is most above its threshold fires if it is above it, and
    all potentials go to zero. While `learning` it takes `rate` times the inputs' traces, its sum is
    restored, and its threshold rises.
    """
    for j in range(counts.shape[0]):
        potential[j] = counts[j] = 0.0
    for i in range(trace.shape[0]):
        trace[i] = 0.0
    for _ in range(steps):
        for j in range(potential.shape[0]):
            potential[j] *= leak
        for i in range(trace.shape[0]):
            trace[i] *= leak
            # No draw for an input that cannot spike.
            if x[i] <= 0.0:
                continue
            if np.float64(next_u64(rng) >> np.uint64(11)) * 2.0**-53 < x[i] * chance:
                trace[i] += 1.0
                row = inward[i]
                for j in range(potential.shape[0]):
                    potential[j] += row[j]
        best = 0
        for j in range(1, potential.shape[0]):
            if potential[j] - offsets[j] > potential[best] - offsets[best]:
                best = j
        if potential[best] - offsets[best] <= threshold:
            continue
        counts[best] += 1.0
        for j in range(potential.shape[0]):
            potential[j] = 0.0
        if learning:
            for i in range(trace.shape[0]):
                inward[i, best] += rate * trace[i]
            scale_column(inward, best, total, most)
            offsets[best] += rise


@lean_njit
def move_pool(
    weights: NDArray[np.float64],
    spiked: NDArray[np.bool_],
    rng: NDArray[np.uint64],
    share: float,
    amount: float,
    most: float,
) -> int:
    """Add up to `amount`, at random, to weights of some inputs that spiked; return how many.

    An input that spiked is one of them with probability `share`. Weights stop at `most` on either
    side of zero.
    """
    moved = 0
    for i in range(weights.shape[0]):
        if not spiked[i]:
            continue
        chosen = np.float64(next_u64(rng) >> np.uint64(11)) * 2.0**-53 < share
        by = np.float64(next_u64(rng) >> np.uint64(11)) * 2.0**-53 * amount
        if chosen:
            weights[i] = min(max(weights[i] + by, -most), most)
            moved += 1
    return moved
