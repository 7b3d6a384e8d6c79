"""Multitasking memory: diluted patterns of which several are recalled at once.

Shapes: N sites, K patterns. Entries of patterns are in [-1, 1], those of states -1, 0 or 1. After
Agliari et al. 2023 (arXiv 2308.04106): the field at a site is sum_mu A_i,mu m_mu, with amplitudes
m_mu = sum_i A_i,mu s_i / mass_mu, without what the site itself adds to it. For entries of -1, 0
and 1 the mass is how many are not 0; for means of examples see `weigh`.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.random import next_u64

Floats = NDArray[np.float64]

NO_FIELD = 1e-12
TO_UNIT = 2.0**-53


class Patterns(NamedTuple):
    """Patterns, and what a state has of each."""

    A: Floats  # [N, K]
    mass: Floats  # [K] what amplitudes are divided by, or 0 for a pattern that says nothing
    strength: Floats  # [K] about how large entries are that are not noise
    s: Floats  # [N] the state
    m: Floats  # [K] amplitudes


@lean_njit
def to_signs(x: Floats, known: int, threshold: float, s: Floats) -> int:
    """Put 1 where x is beyond the threshold, -1 beyond the negative one, 0 elsewhere into s.

    Return how many are not 0.
    """
    s[:] = 0.0
    some = 0
    for i in range(known):
        if abs(x[i]) > threshold:
            s[i] = 1.0 if x[i] > 0.0 else -1.0
            some += 1
    return some


@lean_njit
def measure(p: Patterns, sites: int, patterns: int) -> None:
    """Put the amplitudes of the state in p.s into p.m."""
    for k in range(patterns):
        p.m[k] = 0.0
    for i in range(sites):
        if p.s[i] != 0.0:
            for k in range(patterns):
                p.m[k] += p.A[i, k] * p.s[i]
    for k in range(patterns):
        p.m[k] = p.m[k] / p.mass[k] if p.mass[k] > 0.0 else 0.0


@lean_njit
def sweep(
    p: Patterns, sites: int, patterns: int, fill: bool, noise: float, rng: NDArray[np.uint64]
) -> int:
    """Set each site in turn by its field; return how many changed. p.m is that of p.s, and stays.

    With noise 0 a site takes the sign of its field, and keeps its own where there is none; else it
    is 1 with probability 1 / (1 + exp(-2 h / noise)), and `rng` moves on. Sites at 0 stay so unless
    `fill`.
    """
    changed = 0
    for i in range(sites):
        own = p.s[i]
        if own == 0.0 and not fill:
            continue
        h = 0.0
        for k in range(patterns):
            if p.mass[k] > 0.0:
                h += p.A[i, k] * (p.m[k] - p.A[i, k] * own / p.mass[k])
        new = own
        if noise > 0.0:
            u = (next_u64(rng) >> np.uint64(11)) * TO_UNIT
            new = 1.0 if u * (1.0 + math.exp(min(-2.0 * h / noise, 700.0))) < 1.0 else -1.0
        elif abs(h) > NO_FIELD:
            new = 1.0 if h > 0.0 else -1.0
        if new != own:
            changed += 1
            p.s[i] = new
            for k in range(patterns):
                if p.mass[k] > 0.0:
                    p.m[k] += p.A[i, k] * (new - own) / p.mass[k]
    return changed


@lean_njit
def settle(
    p: Patterns, sites: int, patterns: int, fill: bool, most: int, rng: NDArray[np.uint64]
) -> int:
    """Sweep without noise until nothing changes, `most` times; return how often."""
    measure(p, sites, patterns)
    for n in range(most):
        if sweep(p, sites, patterns, fill, 0.0, rng) == 0:
            return n + 1
    return most


@lean_njit
def agreement(p: Patterns, sites: int, patterns: int, x: Floats, threshold: float) -> float:
    """Return the cosine of the signs of x and the fields at them, 0 where there is no field."""
    along, squares, some = 0.0, 0.0, 0
    for i in range(sites):
        if abs(x[i]) > threshold:
            h = 0.0
            for k in range(patterns):
                h += p.A[i, k] * p.m[k]
            along += h if x[i] > 0.0 else -h
            squares += h * h
            some += 1
    return along / math.sqrt(squares * some) if squares > 0.0 else 0.0


@lean_njit
def teach(p: Patterns, sites: int, k: int, rate: float) -> None:
    """Move pattern k towards the state, by `rate`."""
    for i in range(sites):
        p.A[i, k] += rate * (p.s[i] - p.A[i, k])
    weigh(p, sites, k)


@lean_njit
def weigh(p: Patterns, sites: int, k: int) -> None:
    """Work out strength and mass of pattern k: sqrt(sum A^4 / sum A^2), and sum A^2 over it.

    In a mean of n noisy examples, entries r where the pattern has some and 1 / sqrt(n) elsewhere,
    the strength is about r and the mass r times how many there are: sum |A| would count the noise.
    """
    squares, fourth = 0.0, 0.0
    for i in range(sites):
        square = p.A[i, k] * p.A[i, k]
        squares += square
        fourth += square * square
    p.strength[k] = math.sqrt(fourth / squares) if fourth > 0.0 else 0.0
    p.mass[k] = squares / p.strength[k] if p.strength[k] > 0.0 else 0.0
