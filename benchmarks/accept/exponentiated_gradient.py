"""Exponentiated gradient: few relevant inputs among many, beside gradient steps, and its signs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accept.rows import Row, at_least, at_most, near, never
from benchmarks.plastic_streams import accuracy, digit_parts, learn, network
from learners.kernels import exponentiated
from learners.kernels import network as dense
from learners.network import layout_of

RELEVANT, EVENTS = 5, 3_000
RATE = 0.1
"""Of exponentiated steps: the best of .0125, .025, .05, .1, .2 on seeds 101 to 103."""


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield the sum of losses on a sparse linear function, and what images come to."""
    every = range(1, seeds + 1)
    for inputs in (100, 1_000):
        law = inputs * RELEVANT * (1.0 - (1.0 - 1.0 / inputs) ** EVENTS)
        plain = [descended(inputs, seed) for seed in every]
        yield near(
            f"{RELEVANT} of {inputs} inputs matter: summed squared loss of gradient steps",
            round(law, 1),
            0.02 * law,
            plain,
        )
        shares = [multiplied(inputs, s) / p for s, p in zip(every, plain, strict=True)]
        most = 0.2 if inputs == 1_000 else 0.6
        yield at_most("the same: that of exponentiated steps, as a share of it", most, shares)
    images, tested = digit_parts()
    said, first, not_positive = [], [], []
    for seed in every:
        body = network(images, hidden=(64,), rule="exponentiated_gradient", seed=seed)
        first.append(learn(body, images, 3, seed))
        said.append(accuracy(body, tested))
        parts = [body.rule.arrays[part] for part in ("plus", "minus")]
        biases = np.concatenate([np.arange(b, b + u) for _, u, _, b, _, _ in body.layout.tolist()])
        not_positive.append(float(sum((np.delete(part, biases) <= 0.0).sum() for part in parts)))
    yield at_least("digits, 64 hidden, 3 passes: test accuracy", 0.9, said)
    yield at_least("the same: accuracy before learning, first pass", 0.502, first)
    yield never("the same: parts of weights whose sign has changed", not_positive)


def _stream(inputs: int, seed: int) -> Iterator[tuple[NDArray[np.float64], float]]:
    draw = np.random.default_rng(seed)
    matters = draw.permutation(inputs)[:RELEVANT]
    signs = draw.choice((-1.0, 1.0), RELEVANT)
    for _ in range(EVENTS):
        x = draw.choice((-1.0, 1.0), inputs)
        yield x, float(x[matters] @ signs)


def descended(inputs: int, seed: int) -> float:
    """Return the summed squared loss of gradient steps at a rate of 1 / inputs."""
    layout, theta = layout_of((inputs, 1)), np.zeros(inputs + 1)
    acts, errs, lost = np.zeros(1), np.zeros(1), 0.0
    for x, y in _stream(inputs, seed):
        errs[0] = theta[:inputs] @ x - y
        lost += errs[0] ** 2
        dense.add_gradient(theta, layout, x, acts, errs, -1.0 / inputs)
        theta[inputs] = 0.0
    return lost


def multiplied(inputs: int, seed: int, rate: float = RATE) -> float:
    """Return the summed squared loss of exponentiated steps."""
    layout, theta = layout_of((inputs, 1)), np.zeros(inputs + 1)
    plus, minus = (np.full(inputs + 1, 1.0 / inputs) for _ in range(2))
    acts, errs, lost = np.zeros(1), np.zeros(1), 0.0
    for x, y in _stream(inputs, seed):
        errs[0] = theta[:inputs] @ x - y
        lost += errs[0] ** 2
        exponentiated.multiply(theta, plus, minus, layout, x, acts, errs, rate, 1e-9, 1e6)
        theta[inputs] = 0.0
    return lost
