"""Binary weights as distributions: forgetting, and what one bit a weight is worth."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accept.rows import Row, at_least, at_most, near
from benchmarks.plastic_streams import Continual, accuracy, continual, network, permuted_digits
from learners.plastic.network import PlasticNetwork
from learners.plastic.rules.binary_variational import BinaryVariational

MOST_SEEDS = 3
LABELS = 4 * 2 * 1_400
WIDTH, TAUGHT, ASKED = 200, 600, 2_000
Floats = NDArray[np.float64]


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield the law of a binary teacher, then tasks of permuted digits beside SGD."""
    every = range(1, min(seeds, MOST_SEEDS) + 1)
    found = [_student(seed) for seed in range(1, seeds + 1)]
    off = [error - law for error, law, _, _ in found]
    yield near("binary teacher: error less arccos(overlap) / pi of the student", 0.0, 0.02, off)
    title = f"binary teacher of {WIDTH} weights, {TAUGHT} events: error"
    yield at_most(title, 0.15, [error for error, *_ in found])
    after = [left for *_, left in found]
    title = "the same after as many events of a teacher with overlap .5: error, 1/3 if all is lost"
    yield at_most(title, 0.36, after)
    sgd = statistics.fmean(_tasks(seed, "sgd", 0.02, {})[0].final for seed in every)
    runs = [_tasks(seed, "binary_variational", 0.01, {"horizon": 3 * LABELS}) for seed in every]
    title = "permuted digits, 4 tasks, 2 passes"
    yield at_most(f"{title}: forgotten", 0.16, [run.forgotten for run, _ in runs])
    yield at_least(
        f"{title}: accuracy of one bit a weight, above SGD ({sgd:.3f})",
        0.0,
        [one_bit - sgd for _, one_bit in runs],
    )
    yield at_least(f"{title}: accuracy", 0.733 - 0.02, [run.final for run, _ in runs])


def _tasks(seed: int, rule: str, rate: float, params: Any) -> tuple[Continual, float]:
    tasks = permuted_digits(seed)
    spec: dict[str, Any] = {"rule": rule, "rule_params": params, "rate": rate, "seed": seed}
    body = network(tasks[0][0], hidden=(128,), **spec)
    found, one_bit = continual(body, tasks, seed, 2), 0.0
    if isinstance(body.rule, BinaryVariational):
        body.rule.one_bit = True
        one_bit = statistics.fmean(accuracy(body, tested) for _, tested in tasks)
    return found, one_bit


def _student(seed: int) -> tuple[float, float, float, float]:
    """Return error, its law, and both after another teacher, of a student without hidden units."""
    draw = np.random.default_rng((seed, 12))
    teacher = draw.choice([-1.0, 1.0], WIDTH)
    other = teacher.copy()
    other[draw.permutation(WIDTH)[: WIDTH // 4]] *= -1.0
    learner = PlasticNetwork(
        WIDTH,
        2,
        hidden=(),
        standardize=False,
        rule="binary_variational",
        rule_params={"horizon": 100 * TAUGHT, "drag": 0.0},
        rate=0.1,
        seed=seed,
    )
    body, asked = learner.body, draw.standard_normal((ASKED, WIDTH))

    def taught(by: Floats) -> tuple[float, float]:
        for x in draw.standard_normal((TAUGHT, WIDTH)):
            body.learn(x, int(x @ by > 0.0))
        wrong = [int(body.look(x).argmax()) != int(x @ teacher > 0.0) for x in asked]
        mean = np.tanh(body.rule.beta * body.rule.arrays["field_0"])  # type: ignore[attr-defined]
        line = mean[:, 1] - mean[:, 0]
        overlap = line @ teacher / np.linalg.norm(line) / np.sqrt(WIDTH)
        return float(np.mean(wrong)), float(np.arccos(overlap) / np.pi)

    return (*taught(teacher), *taught(other)[::-1])
