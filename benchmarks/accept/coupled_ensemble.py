"""Coupled replicas: what a graph makes of their noise, in closed form, and what they gain."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accept.rows import Row, at_least, near
from benchmarks.images import digits
from learners.coupled_ensemble import CoupledEnsemble, laplacian
from learners.homeostatic import Homeostatic
from learners.kernels.coupling import couple

CURVATURE, NOISE, DT = 1.0, 0.5, 0.002
RUNS, BURN_IN, STEPS, EVERY = 300, 3_000, 15_000, 40
HOMEOSTATIC: dict[str, Any] = {"inputs": 64, "hidden": (64,), "rule": "constant", "rate": 0.05}


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield closed forms on a quadratic loss, then what eight replicas do on digits."""
    for topology, n, strength in (
        ("all", 4, 0.25),
        ("all", 4, 1.0),
        ("all", 16, 0.25),
        ("all", 16, 1.0),
        ("ring", 12, 0.5),
        ("ring", 12, 2.0),
        ("star", 12, 0.5),
        ("star", 12, 2.0),
    ):
        graph = strength * laplacian(topology, n) * (n if topology == "all" else 1)
        found = [_variances(graph, seed) for seed in range(seeds)]
        modes = NOISE**2 / (2 * n) / (CURVATURE + np.linalg.eigvalsh(graph))
        one, mean = float(modes.sum()), NOISE**2 / (2 * CURVATURE * n)
        what = f"{n} replicas, {topology}, strength {strength:g}"
        yield near(f"{what}: variance of one", one, 0.05 * one, [each[0] for each in found])
        yield near(f"{what}: of their mean", mean, 0.05 * mean, [each[1] for each in found])
    single = [_right(Homeostatic(**HOMEOSTATIC, seed=seed), seed) for seed in range(seeds)]
    eight = [_right(_ensemble(seed, 0.0), seed) for seed in range(seeds)]
    coupled = [_right(_ensemble(seed, 0.05), seed) for seed in range(seeds)]
    gains = [b - a for a, b in zip(single, eight, strict=True)]
    yield at_least("digits, prequential: eight uncoupled less one", 0.0, gains)
    gains = [b - a for a, b in zip(single, coupled, strict=True)]
    yield at_least("digits, prequential: eight coupled by .05 less one", 0.0, gains)


def _variances(graph: Any, seed: int) -> tuple[float, float]:
    """Return the variance of a replica and of the mean of all, each run a weight of its own."""
    draw = np.random.default_rng(seed)
    n = len(graph)
    mixing = np.eye(n) - DT * graph
    w, column, spreads = np.zeros((n, RUNS)), np.zeros(n), np.zeros(2)
    before, found = w.copy(), []
    for step in range(STEPS):
        w *= 1.0 - CURVATURE * DT
        w += NOISE * math.sqrt(DT) * draw.standard_normal(w.shape)
        couple(w, before, mixing, column, spreads)
        w, before = before, w
        before[:] = w
        if step >= BURN_IN and not step % EVERY:
            found.append((float(np.mean(w**2)), float(np.mean(w.mean(0) ** 2))))
    one, mean = np.mean(found, axis=0).tolist()
    return one, mean


def _ensemble(seed: int, coupling: float) -> CoupledEnsemble:
    replica = {"kind": "homeostatic", **HOMEOSTATIC, "seed": seed}
    return CoupledEnsemble(replica, coupling=coupling, seed=seed)


def _right(learner: Any, seed: int) -> float:
    images = digits().shuffled(seed)
    hits = 0
    for x, y in zip(images.x, images.y, strict=True):
        event = {f"p{i}": float(v) for i, v in enumerate(x)}
        hits += learner.step_one(event, str(y)).label == str(y)
    return hits / len(images)
