"""Classp: steps that shrink for each weight by what it has learned, beside SGD and AdaGrad."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.accept.rows import Row, at_least, at_most, near, not_run
from benchmarks.images import Images, has
from benchmarks.plastic_streams import (
    Continual,
    continual,
    digit_parts,
    drift,
    network,
    permuted_digits,
    permuted_mnist,
)

Tasks = list[tuple[Images, Images]]
SGD: dict[str, Any] = {}
ADAGRAD: dict[str, Any] = {"classp": {"threshold": 0.0}}
GATED: dict[str, Any] = {"classp": {"threshold": 1e-4}}
RELEARNING: dict[str, Any] = {"classp": {"threshold": 1e-4, "on_shift": "relearn"}}


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield what is claimed of inputs that change, with AdaGrad beside it, and what it costs."""
    every = range(1, seeds + 1)
    tasks = {seed: permuted_digits(seed) for seed in every}
    sgd, ada, gated = (
        [_run(tasks[s], s, rate, options, 2)[0] for s in every]
        for rate, options in ((0.02, SGD), (0.02, ADAGRAD), (0.02, GATED))
    )
    yield from _gain("permuted digits, 4 tasks, 2 passes", sgd, ada, gated, 0.07)
    images, _ = digit_parts()
    plain, keep, relearn = (
        [_last_of_drift(images, seed, options) for seed in every]
        for options in (SGD, GATED, RELEARNING)
    )
    less = [a - b for a, b in zip(plain, keep, strict=True)]
    yield at_least("labels drift, keep: by how much SGD is better in the end", 0.15, less)
    less = [a - b for a, b in zip(plain, relearn, strict=True)]
    yield at_most("labels drift, relearn: by how much SGD is better in the end", 0.01, less)
    if not has(data, "mnist"):
        yield not_run("permuted MNIST", "needs --data with mnist")
        return
    tasks = {seed: permuted_mnist(data, seed) for seed in every}
    sgd = [_run(tasks[s], s, 0.01, SGD)[0] for s in every]
    ada = [_run(tasks[s], s, 0.02, ADAGRAD)[0] for s in every]
    runs = [_run(tasks[s], s, 0.02, GATED) for s in every]
    final, beside = ([run.final for run in each] for each in ([run for run, _ in runs], ada))
    title = f"permuted MNIST, no task told: accuracy (AdaGrad {statistics.fmean(beside):.3f})"
    yield at_least(title, 0.86, final)
    yield from _gain("permuted MNIST, 4 x 4000", sgd, ada, [run for run, _ in runs], 0.04)
    yield near(
        "the same: share of weights an event moves", 0.029, 0.01, [share for _, share in runs]
    )
    guarded = [_run(tasks[s], s, 0.02, RELEARNING)[0].final for s in every]
    yield near(
        "the same, relearn: final accuracy, for the guard takes changed inputs for changed labels",
        0.805,
        0.02,
        guarded,
    )


def _last_of_drift(images: Images, seed: int, options: Any) -> float:
    return drift(
        network(images, hidden=(64,), rate=0.05, seed=seed, options=options), images, seed
    )[1]


def _run(
    tasks: Tasks, seed: int, rate: float, options: Any, passes: int = 1
) -> tuple[Continual, float]:
    body = network(tasks[0][0], hidden=(128,), rate=rate, options=options, seed=seed)
    found = continual(body, tasks, seed, passes)
    return found, body.signals().get("classp_moved_share", 1.0)


def _gain(
    name: str,
    sgd: Sequence[Continual],
    ada: Sequence[Continual],
    gated: Sequence[Continual],
    least: float,
) -> Iterator[Row]:
    base = statistics.fmean(each.final for each in sgd)
    gain = [a.final - b.final for a, b in zip(gated, sgd, strict=True)]
    yield at_least(f"{name}: final accuracy above that of SGD ({base:.3f})", least, gain)
    gain = [a.final - b.final for a, b in zip(ada, sgd, strict=True)]
    yield at_least(
        f"{name}: of AdaGrad (threshold 0) above SGD, nearly all of it", least - 0.01, gain
    )
    lost = [each.forgotten for each in gated]
    base = statistics.fmean(each.forgotten for each in sgd)
    yield at_most(f"{name}: forgotten, by SGD {base:.3f}", base, lost)
