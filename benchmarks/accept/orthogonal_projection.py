"""Orthogonal projection: what a step leaves alone, exactly and on permuted MNIST."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accept.rows import Row, at_least, at_most, not_run
from benchmarks.images import has
from benchmarks.plastic_streams import (
    Continual,
    continual,
    digit_parts,
    network,
    permuted_mnist,
    split_digits,
)
from learners.plastic.body import Body
from learners.plastic.network import PlasticNetwork

MOST_SEEDS = 2
WIDTH, PRINCIPAL, EVENTS = 30, 5, 4_000
Floats = NDArray[np.float64]


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield what holds exactly, what of a principal subspace, then tasks of permuted images."""
    every = range(1, seeds + 1)
    found = [_leaks(seed) for seed in every]
    title = "30 inputs of 5 principal directions"
    yield at_most("output on what is protected: change by a step", 1e-12, [a for a, *_ in found])
    yield at_least(f"{title}: least cosine of principal angles", 0.999, [b for _, b, *_ in found])
    yield at_most(f"{title}: change of old outputs, relative", 0.03, [c for *_, c, _ in found])
    yield at_least("the same without projection", 0.3, [d for *_, d in found])
    images, _ = digit_parts()
    options = {"orthogonal_projection": {"directions": 20, "more": 8}}
    split = [
        split_digits(network(images, hidden=(64,), rate=0.05, options=options, seed=s), s)
        for s in every
    ]
    title = "split digits: accuracy, SGD .18, .264 before directions were made orthonormal"
    yield at_least(title, 0.264, split)
    if not has(data, "mnist"):
        yield not_run("permuted MNIST", "needs --data with mnist")
        return
    few = every[:MOST_SEEDS]
    sgd = [_permuted(seed, data, 0.01, {}) for seed in few]
    runs = [_permuted(seed, data, 0.02, {"orthogonal_projection": {}}) for seed in few]
    base = statistics.fmean(each.final for each in sgd)
    gain = [a.final - b.final for a, b in zip(runs, sgd, strict=True)]
    yield at_least(f"permuted MNIST: accuracy on 4 tasks, above SGD ({base:.3f})", 0.03, gain)
    base = statistics.fmean(each.forgotten for each in sgd)
    lost = [each.forgotten for each in runs]
    yield at_most(f"permuted MNIST: forgotten, by SGD {base:.3f}", 0.03, lost)


def _leaks(seed: int) -> tuple[float, float, float, float]:
    """Return the change on protected inputs, the cosine, and changes with and without."""
    draw = np.random.default_rng((seed, 8))
    basis = np.linalg.qr(draw.standard_normal((WIDTH, PRINCIPAL)))[0].T
    scale = np.linspace(3.0, 1.5, PRINCIPAL)

    def old() -> Floats:
        found: Floats = (draw.standard_normal(PRINCIPAL) * scale) @ basis
        return found + 0.05 * draw.standard_normal(WIDTH)

    body = PlasticNetwork(
        WIDTH,
        3,
        hidden=(),
        standardize=False,
        rate=0.05,
        options={"orthogonal_projection": {"directions": PRINCIPAL + 1, "more": 1}},
        seed=seed,
    ).body
    for _ in range(EVENTS):
        body.learn(old(), int(draw.integers(3)))
    body.new_task()
    rows = body.options["orthogonal_projection"].arrays["directions_0"][: PRINCIPAL + 1]
    angles = np.linalg.svd(rows[:, :-1] @ basis.T, compute_uv=False)
    held = [old() for _ in range(50)]
    exact = _exact(body, rows, draw)
    steps = [(draw.standard_normal(WIDTH), int(draw.integers(3))) for _ in range(20)]
    with_it = _moved(body, held, steps)
    free = PlasticNetwork(WIDTH, 3, hidden=(), standardize=False, rate=0.05, seed=seed).body
    free.theta[:] = body.theta
    return exact, float(angles.min()), with_it, _moved(free, held, steps)


def _exact(body: Body, rows: Floats, draw: np.random.Generator) -> float:
    """Return how far a step moves the net inputs of combinations of protected directions."""
    before = body.theta.copy()
    body.learn(draw.standard_normal(WIDTH), 0)
    step = (body.theta - before).reshape(WIDTH + 1, 3)
    body.theta[:] = before
    return float(np.abs(rows @ step).max())


def _moved(body: Body, held: list[Floats], steps: list[tuple[Floats, int]]) -> float:
    """Return by how much steps move net inputs of held inputs, relative to their size."""
    read = np.hstack([np.array(held), np.ones((len(held), 1))])
    before = read @ body.theta.reshape(WIDTH + 1, 3)
    kept = body.theta.copy()
    for x, y in steps:
        body.learn(x, y)
    after = read @ body.theta.reshape(WIDTH + 1, 3)
    body.theta[:] = kept
    return float(np.linalg.norm(after - before) / np.linalg.norm(before))


def _permuted(seed: int, data: Path | None, rate: float, options: Any) -> Continual:
    tasks = permuted_mnist(data, seed)
    body = network(tasks[0][0], hidden=(128,), rate=rate, options=options, seed=seed)
    return continual(body, tasks, seed)
