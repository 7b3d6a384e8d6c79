"""Node perturbation: right on average, and what that comes to one event at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accept.rows import Row, at_least, near, not_run
from benchmarks.images import has
from benchmarks.plastic_streams import digits_learned, mnist_learned
from learners.kernels import network as dense
from learners.kernels import plastic as kernels
from learners.plastic.network import PlasticNetwork

Floats = NDArray[np.float64]
RULE = "node_perturbation"
DRAWS = 4_096


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield both laws, of pushing units and of pushing weights, then digits and MNIST."""
    every = range(1, seeds + 1)
    laws = [estimates(seed) for seed in every]
    yield at_least(
        f"6-5-3, mean of {DRAWS} estimates: cosine with the gradient", 0.97, [c for c, _ in laws]
    )
    yield near(
        "weights pushed instead: squared estimates over (weights x squared gradient)",
        1.0,
        0.1,
        [ratio for _, ratio in laws],
    )
    found = [digits_learned(seed, rule=RULE)[1] for seed in every]
    yield at_least("digits, 64 hidden, 8 directions, 3 passes: test accuracy", 0.9, found)
    name = "MNIST 14 x 14, 128 hidden, 8 directions, 5000 events once: test accuracy"
    if not has(data, "mnist"):
        yield not_run(name, "needs --data with mnist")
        return
    yield at_least(name, 0.734, [mnist_learned(data, seed, rule=RULE) for seed in every])


def estimates(seed: int) -> tuple[float, float]:
    """Return the cosine of units' mean estimate, and weights' second moment over its law."""
    draw = np.random.default_rng(seed)
    params = {"directions": 1, "by": 1e-4}
    body = PlasticNetwork(6, 3, (5,), False, RULE, 1e-300, params, seed=seed).body
    x, y = draw.random(6), int(draw.integers(3))
    total = np.zeros_like(body.theta)
    for _ in range(DRAWS):
        body.rule.learn(body, x, y)
        kernels.write(total, body.layout, body.pre, body.post, body.bias, -1.0, 1e9)
    gradient, errs = np.zeros_like(total), np.zeros_like(body.acts)
    body.look(x)
    dense.backward(body.theta, body.layout, True, body.acts, y, errs)
    dense.add_gradient(gradient, body.layout, x, body.acts, errs, 1.0)
    cosine = float(total @ gradient / np.linalg.norm(total) / np.linalg.norm(gradient))
    square = 0.0
    start = body.theta.copy()
    for _ in range(DRAWS):
        signs = draw.choice((-1.0, 1.0), len(start))
        ends = []
        for by in (1e-5, -1e-5):
            body.theta[:] = start + by * signs
            ends.append(-np.log(body.look(x)[y]))
        # Each of the P entries has the slope's square.
        square += len(start) * float((ends[0] - ends[1]) / 2e-5) ** 2
    return cosine, square / DRAWS / (len(start) * float(gradient @ gradient))
