"""Boolean threshold: weights of a teacher recovered exactly, and what one wrong label does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.accept.rows import Row, at_least, at_most
from learners.plastic.boolean_threshold import BooleanThreshold

MOST_STEPS = 20_000


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield whether the teacher was found, ten times a seed, and in how many steps."""
    for inputs, events, usual in ((15, 30, 143), (31, 60, 684), (61, 200, 950)):
        found = [
            [solved(inputs, events, 10 * s + i) for i in range(10)] for s in range(1, seeds + 1)
        ]
        name = f"{inputs} inputs, {events} events"
        all_told = [float(np.mean([told for told, _, _ in each])) for each in found]
        yield at_least(f"{name}: share of teachers whose events are all told", 1.0, all_told)
        likeness = [float(np.mean([overlap for _, overlap, _ in each])) for each in found]
        yield at_least(f"{name}: overlap with the teacher", 1.0, likeness)
        steps = [float(np.median([taken for _, _, taken in each])) for each in found]
        yield at_most(f"{name}: median steps, twice {usual}", 2 * usual, steps)
    hard = [
        float(np.mean([solved(61, 120, 10 * s + i, 3_000)[0] for i in range(10)]))
        for s in range(1, seeds + 1)
    ]
    yield at_least("61 inputs, 120 events, hard: share told within 3000 steps", 0.6, hard)
    wrong = [solved(31, 60, s, 3_000, wrong=1)[0] for s in range(1, seeds + 1)]
    yield at_most(
        "31 inputs, 60 events, one label wrong: share told, for there is nothing", 0.1, wrong
    )


def solved(
    inputs: int, events: int, seed: int, most: int = MOST_STEPS, wrong: int = 0
) -> tuple[float, float, float]:
    """Return whether all events are told, the overlap with the teacher, and steps taken."""
    draw = np.random.default_rng(seed)
    teacher = draw.choice((-1.0, 1.0), inputs)
    x = draw.choice((-1.0, 1.0), (events, inputs))
    y = x @ teacher > 0.0
    y[:wrong] = ~y[:wrong]
    learner = BooleanThreshold(inputs, events, rounds=1, seed=seed)
    # The first label stands for the positive side.
    order = np.argsort(~y, kind="stable")
    for row, label in zip(x[order], y[order], strict=True):
        learner.learn_one({f"b{i}": float(v > 0) for i, v in enumerate(row)}, str(bool(label)))
    learner.search(most)
    overlap = float(learner.best @ teacher) / inputs
    return learner.signals()["solved"], overlap, learner.signals()["steps"]
