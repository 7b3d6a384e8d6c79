"""Bidirectional learning: inputs changed on purpose, with noise on the inputs beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accept.rows import Row, at_least, not_run
from benchmarks.images import Images, has
from benchmarks.plastic_streams import accuracy, learn, mnist_parts, network, pooled
from learners.kernels import network as dense
from learners.plastic.body import Body

EVENTS, TESTED = 6_000, 1_000
CHANGED_BY = 0.1


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield accuracy as it is and under attack, each beside that of gradient steps."""
    if not has(data, "mnist"):
        yield not_run("MNIST 14 x 14", "needs --data with mnist")
        return
    found = []
    for seed in range(1, seeds + 1):
        parts = tuple(pooled(p) for p in mnist_parts(data, seed, EVENTS, TESTED))
        plain = _run(parts, seed, {})
        both = _run(parts, seed, {"rule": "bidirectional", "rule_params": {"weight": 0.2}})
        noisy = _run((_noisy(parts[0], seed), parts[1]), seed, {})
        found.append((both[0] - plain[0], both[1] - plain[1], noisy[1] - both[1]))
    clean, attacked, noise = zip(*found, strict=True)
    name = f"MNIST 14 x 14, 128 hidden, {EVENTS} events once"
    yield at_least(f"{name}: accuracy above that of SGD", -0.01, clean)
    yield at_least("the same, pixels changed by .1 up the gradient: above SGD", 0.03, attacked)
    yield at_least("the same: of SGD with noise of .2 on its inputs, above it", -0.02, noise)


def _noisy(images: Images, seed: int) -> Images:
    noise = np.random.default_rng(seed).normal(0.0, 0.2, images.x.shape)
    return Images(images.name, images.x + noise, images.y)


def _run(parts: tuple[Images, ...], seed: int, spec: dict[str, Any]) -> tuple[float, float]:
    body = network(parts[0], hidden=(128,), seed=seed, **spec)
    learn(body, parts[0], 1, seed)
    return accuracy(body, parts[1]), accuracy(body, _attacked(body, parts[1]))


def _attacked(body: Body, images: Images) -> Images:
    """Return images changed by the sign of the loss's slope (Goodfellow et al. 2015)."""
    inputs, units = body.shape.sizes[:2]
    weights = body.theta[: inputs * units].reshape(inputs, units)
    errs = np.zeros_like(body.acts)
    out = images.x.copy()
    for x, y in zip(out, images.y.tolist(), strict=True):
        body.look(x)
        dense.backward(body.theta, body.layout, True, body.acts, y, errs)
        x += CHANGED_BY * np.sign(weights @ errs[:units])
    return Images(images.name, np.clip(out, 0.0, 1.0), images.y)
