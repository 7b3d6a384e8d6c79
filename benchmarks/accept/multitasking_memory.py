"""Multitasking memory: amplitudes of patterns recalled at once, learning from examples, labels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accept.rows import Row, at_least, at_most, near
from learners.kernels import multitasking_memory as kernels
from learners.memories.multitasking_memory import MultitaskingMemory

Floats = NDArray[np.float64]
Draws = list[np.random.Generator]


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield amplitudes without and with noise, learning from examples, and several labels."""
    draws = [np.random.default_rng((seed, 13)) for seed in range(1, seeds + 1)]
    yield from _hierarchy(draws)
    yield from _parallel(draws)
    yield from _examples(draws)
    yield from _labels(draws)


def diluted(draw: np.random.Generator, N: int, K: int, d: float) -> Floats:
    """Return K patterns (float64[N, K]), each entry 0 with probability d, else a random sign."""
    signs = np.where(draw.random((N, K)) < 0.5, -1.0, 1.0)
    return np.where(draw.random((N, K)) < d, 0.0, signs)


def holding(xi: Floats, state: Floats, each: float = 0.0) -> kernels.Patterns:
    """Return patterns, with `each` as mass if given, and a state that is measured."""
    N, K = xi.shape
    p = kernels.Patterns(np.ascontiguousarray(xi), np.zeros(K), np.zeros(K), state, np.zeros(K))
    for k in range(K):
        kernels.weigh(p, N, k)
    if each:
        p.mass[:] = each
    kernels.measure(p, N, K)
    return p


def from_first(draw: np.random.Generator, xi: Floats) -> Floats:
    """Return the first pattern, its open sites at random."""
    return np.where(xi[:, 0] != 0.0, xi[:, 0], np.where(draw.random(len(xi)) < 0.5, -1.0, 1.0))


def amplitudes(
    draw: np.random.Generator, N: int, K: int, d: float, noise: float, sweeps: int
) -> list[float]:
    """Return |m|, the largest first, after so many sweeps from the first pattern."""
    xi = diluted(draw, N, K, d)
    p = holding(xi, from_first(draw, xi), N * (1.0 - d))
    rng = draw.integers(0, 2**63, 1).astype(np.uint64)
    for _ in range(sweeps):
        if kernels.sweep(p, N, K, True, noise, rng) == 0 and noise == 0.0:
            break
    return sorted(np.abs(p.m).tolist(), reverse=True)


def _hierarchy(draws: Draws) -> Iterator[Row]:
    for N, K, d, by in (
        (3_000, 2, 0.3, 0.06),
        (3_000, 3, 0.4, 0.06),
        (3_000, 3, 0.55, 0.06),
        (3_000, 3, 0.7, 0.06),
        (3_000, 5, 0.4, 0.06),
        (2_000, 3, 0.4, 0.07),
        (2_000, 5, 0.4, 0.07),
    ):
        found = np.array([amplitudes(draw, N, K, d, 0.0, 50) for draw in draws])
        law = d ** np.arange(K)
        off = np.abs(found.mean(0) - law).max()
        yield at_most(f"{K} patterns, dilution {d}, {N} sites: off d^(k-1) by", by, [float(off)])
    for d in (0.2, 0.4, 0.85):
        found = np.array([amplitudes(draw, 2_000, 3, d, 0.02, 50) for draw in draws])
        off = np.abs(found.mean(0) - d ** np.arange(3)).max()
        yield at_most(f"3 patterns, dilution {d}, noise .02: off d^(k-1) by", 0.06, [float(off)])


def equal_amplitude(d: float, noise: float, K: int = 3) -> float:
    """Return m = E[xi tanh(m sum xi / noise)] / (1 - d), all patterns being equal."""
    weights = {0: d, 1: (1.0 - d) / 2.0, -1: (1.0 - d) / 2.0}
    m = 1.0
    for _ in range(2_000):
        total = 0.0
        for xi in itertools.product((-1, 0, 1), repeat=K):
            weight = math.prod(weights[each] for each in xi)
            total += weight * xi[0] * math.tanh(m * sum(xi) / noise)
        m = total / (1.0 - d)
    return m


def _parallel(draws: Draws) -> Iterator[Row]:
    for noise in (0.5, 0.7):
        law = equal_amplitude(0.85, noise)
        found = [amplitudes(draw, 6_000, 3, 0.85, noise, 80) for draw in draws]
        name = f"3 patterns, dilution .85, noise {noise}"
        yield near(f"{name}: mean amplitude", law, 0.05, [float(np.mean(m)) for m in found])
        yield at_most(f"{name}: largest - smallest", 0.12, [m[0] - m[-1] for m in found])
        found = [amplitudes(draw, 60_000, 3, 0.85, noise, 80) for draw in draws]
        larger = [m[0] - m[-1] for m in found]
        yield at_most(f"{name}: the same of 60,000 sites, not 6,000", 0.12, larger)
    found = [amplitudes(draw, 6_000, 3, 0.4, 0.7, 80) for draw in draws]
    name = "3 patterns, dilution .4, noise .7: largest over next"
    yield at_least(name, 4.0, [m[0] / m[1] for m in found])


def archetypes(draw: np.random.Generator, r: float, M: int) -> tuple[float, float]:
    """Return the overlap with a pattern recalled, from M examples each of quality r, of 3 patterns.

    First with a teacher, by the learner's means; then without, each example being a pattern.
    """
    N, K, d = 1_000, 3, 0.2
    xi = diluted(draw, N, K, d)
    learner = MultitaskingMemory(
        0.5, window=10**9, separator="", scaling="none", classes=K, max_features=N
    )
    names = [f"site{i}" for i in range(N)]
    examples = []
    for k in range(K):
        for _ in range(M):
            example = xi[:, k] * np.where(draw.random(N) < (1.0 + r) / 2.0, 1.0, -1.0)
            examples.append(example)
            learner.learn_one(dict(zip(names, example.tolist(), strict=True)), float(k))
    first = from_first(draw, xi)
    found = []
    for patterns in (learner._patterns.A, np.array(examples).T):
        p = holding(patterns, first.copy(), N * (1.0 - d))
        kernels.settle(p, N, patterns.shape[1], True, 50, np.zeros(1, np.uint64))
        found.append(float(xi[:, 0] @ p.s) / (N * (1.0 - d)))
    return found[0], found[1]


def _examples(draws: Draws) -> Iterator[Row]:
    for r, M, sup, unsup in (
        (0.6, 40, 1.01, 1.01),
        (0.3, 100, 0.98, 1.0),
        (0.6, 5, 0.81, 0.84),
        (0.3, 20, 0.82, 0.51),
    ):
        found = [archetypes(draw, r, M) for draw in draws]
        rho = (1.0 - r * r) / (M * r * r)
        name = f"{M} examples of quality {r}, entropy {rho:.2f}"
        taught, untaught = [each[0] for each in found], [each[1] for each in found]
        if rho > 0.11:
            yield near(f"{name}: overlap, with a teacher", sup, 0.1, taught)
            yield near(f"{name}: overlap, without", unsup, 0.1, untaught)
            continue
        yield at_least(f"{name}: overlap, with a teacher", 0.95, taught)
        yield at_least(f"{name}: overlap, without", 0.95, untaught)
        apart = [abs(a - b) for a, b in found]
        yield at_most(f"{name}: the two differ by", 0.05, apart)


def labels_told(
    draw: np.random.Generator, sweeps: int, sites: int = 128, K: int = 6, d: float = 0.8
) -> float:
    """Return F1 of one or two labels told at once, of the second half of 1,200 events.

    A fifth of the signs are missing, a tenth are wrong, a tenth of the open sites have one.
    """
    xi = diluted(draw, sites, K, d)
    learner = MultitaskingMemory(0.5, sweeps, scaling="none", classes=K, max_features=sites)
    right = wrong = missed = 0
    for n in range(1_200):
        which = draw.permutation(K)[: draw.integers(1, 3)]
        s = np.sign(xi[:, which].sum(axis=1))
        s = np.where(draw.random(sites) < 0.2, 0.0, s)
        s = np.where(draw.random(sites) < 0.1, -s, s)
        extra = (s == 0.0) & (draw.random(sites) < 0.1)
        s = np.where(extra, np.where(draw.random(sites) < 0.5, -1.0, 1.0), s)
        meant = {chr(97 + int(k)) for k in which}
        x = {f"s{i}": value for i, value in enumerate(s.tolist())}
        said = learner.step_one(x, "+".join(sorted(meant))).label
        told = set(str(said).split("+"))
        if n >= 600:
            right += len(told & meant)
            wrong += len(told - meant)
            missed += len(meant - told)
    return 2 * right / (2 * right + wrong + missed)


def _labels(draws: Draws) -> Iterator[Row]:
    found = [labels_told(draw, 10) for draw in draws]
    yield at_least("one or two labels at once of noisy signs: F1", 0.9, found)
    plain = [labels_told(draw, 0) for draw in draws]
    more = [a - b for a, b in zip(found, plain, strict=True)]
    yield at_least("the same: F1 above that without settling", 0.01, more)
