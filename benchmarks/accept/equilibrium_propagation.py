"""Equilibrium propagation: how far its steps are from the gradient, and what images come to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accept.rows import Row, at_least, near, not_run
from benchmarks.images import has
from benchmarks.plastic_streams import accuracy, digit_parts, learn, mnist_parts, network, pooled
from learners.kernels import plastic as kernels
from learners.plastic.body import Body
from learners.plastic.network import PlasticNetwork

Floats = NDArray[np.float64]
RULE = "equilibrium_propagation"
BETAS = (0.1, 0.01)


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield the law of its bias, then digits and MNIST."""
    every = range(1, seeds + 1)
    for symmetric, factor in ((False, 10.0), (True, 100.0)):
        off = [[bias(seed, beta, symmetric) for beta in BETAS] for seed in every]
        ways = "both ways" if symmetric else "one way"
        name = f"6-5-3, nudged {ways}: error against differences"
        yield near(
            f"{name}, by how much less at a tenth of beta",
            factor,
            0.2 * factor,
            [great / small for great, small in off],
        )
    images, tested = digit_parts()
    said, first = [], []
    for seed in every:
        body = network(images, hidden=(64,), rule=RULE, seed=seed)
        first.append(learn(body, images, 3, seed))
        said.append(accuracy(body, tested))
    yield at_least("digits, 64 hidden, 3 passes: test accuracy", 0.94, said)
    yield at_least("the same: accuracy before learning, first pass", 0.7, first)
    if not has(data, "mnist"):
        yield not_run("MNIST 14 x 14", "needs --data with mnist")
        return
    said = []
    for seed in every:
        images, tested = (pooled(part) for part in mnist_parts(data, seed, 5_000, 2_000))
        body = network(images, hidden=(128,), rule=RULE, seed=seed)
        learn(body, images, 1, seed)
        said.append(accuracy(body, tested))
    yield at_least("MNIST 14 x 14, 128 hidden, 5000 events once: test accuracy", 0.873, said)


def bias(seed: int, beta: float, symmetric: bool) -> float:
    """Return the largest error of a step against central differences, as a share of the largest."""
    draw = np.random.default_rng(seed)
    body = _still_network(beta, symmetric)
    x, y = draw.random(6), int(draw.integers(3))
    body.theta[:] = draw.uniform(-0.2, 0.2, len(body.theta))
    for _, units, _, biases, _, _ in body.layout.tolist():
        body.theta[biases : biases + units] = 0.4
    body.rule.learn(body, x, y)
    assert body.acts.min() > 0.0
    assert body.acts.max() < 1.0
    step = np.zeros_like(body.theta)
    kernels.write(step, body.layout, body.pre, body.post, body.bias, -1.0, 1e6)
    slope = np.zeros_like(step)
    for k in range(len(slope)):
        slope[k] = (_cost(body, k, 1e-5, x, y) - _cost(body, k, -1e-5, x, y)) / 2e-5
    return float(np.abs(step - slope).max() / np.abs(slope).max())


def _still_network(beta: float, symmetric: bool) -> Body:
    params = {
        "beta": beta,
        "symmetric": symmetric,
        "free_steps": 300,
        "nudged_steps": 300,
        "output_share": 1.0,
    }
    # The smallest rate there is: learning here is only to fill in the step.
    return PlasticNetwork(6, 3, (5,), False, RULE, rate=1e-300, rule_params=params).body


def _cost(body: Body, place: int, by: float, x: Floats, y: int) -> float:
    kept = body.theta[place]
    body.theta[place] = kept + by
    body.rule.predict(body, x)
    body.theta[place] = kept
    states = body.acts[body.shape.hidden_units :].copy()
    states[y] -= 1.0
    return 0.5 * float(states @ states)
