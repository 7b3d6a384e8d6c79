"""Whatever draws at random in one of River's estimators draws the same each time."""

from __future__ import annotations

import random

from learners.river.adapter import RiverEstimator


def test_neighbors_are_searched_for_alike() -> None:
    one, other = (RiverEstimator("neighbors.KNNClassifier") for _ in range(2))
    draw = random.Random(1)
    for _ in range(560):  # It searches at random after 500.
        x: dict[str, float | str | None] = {f"v{i}": draw.gauss(0, 1) for i in range(12)}
        y = str(draw.randrange(5))
        assert one.step_one(x, y) == other.step_one(x, y)
