"""100,000 events of random, constant, exploding and missing input: finite, and the same resumed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from learners.base import Features, Prediction
from learners.homeostatic import Homeostatic, Rule
from learners.indicators.structured_knowledge import StructuredKnowledge
from learners.soft_hebbian import SoftHebbian

EVENTS, AFTER = 100_000, 1_000


def wild(count: int, seed: int) -> Iterator[Features]:
    """Stretches of a hundred events of one kind, with something missing in one of ten."""
    draw = np.random.default_rng(seed)
    kinds = draw.integers(0, 5, count // 100 + 1).tolist()
    for i, row in enumerate(draw.normal(size=(count, 3)).tolist()):
        kind = kinds[i // 100]
        if kind == 1:
            row = [5.0, 5.0, 5.0]
        elif kind == 2:
            row = [value * 10.0 ** (i % 308) for value in row]
        elif kind == 3:
            row = [0.0, 1e308, -1e308]
        x: Features = dict(zip("abc", row, strict=True))
        yield dict.fromkeys(x) if kind == 4 else x if i % 10 else {"b": row[1], "k": "v"}


def test_structured_knowledge() -> None:
    first = StructuredKnowledge(neurons=6, max_features=3, horizon=5.0)
    for i, x in enumerate(wild(EVENTS, 1)):
        first.update(Prediction(), x)
        if i % 97 == 0:
            numbers = [*first.signals().values(), first.value() or 0.0]
            assert all(map(math.isfinite, numbers))
    second = StructuredKnowledge(neurons=6, max_features=3, horizon=5.0)
    second.set_state(first.get_state())
    for x in wild(AFTER, 2):
        first.update(Prediction(), x)
        second.update(Prediction(), x)
        assert (first.value(), first.signals()) == (second.value(), second.signals())
    assert first.held_bytes() <= StructuredKnowledge.memory_bytes(neurons=6, max_features=3)


@pytest.mark.parametrize(
    "params",
    [
        {"readout": "softmax"},
        {"readout": "votes", "standardize": False},
        {"anti_hebbian": True, "standardize": False},
    ],
)
def test_soft_hebbian(params: dict[str, Any]) -> None:
    params = params | {"units": 6, "max_features": 3, "classes": 3}
    first = SoftHebbian(**params)
    for i, x in enumerate(wild(EVENTS, 1)):
        first.learn_one(x, "abc"[i % 3] if i % 2 else None)
        if i % 97 == 0:
            said = first.predict(x)
            numbers = [*first.signals().values(), *(said.proba or {}).values(), said.score or 0.0]
            assert all(map(math.isfinite, numbers))
    second = SoftHebbian(**params)
    second.set_state(first.get_state())
    for i, x in enumerate(wild(AFTER, 2)):
        assert first.step_one(x, "abc"[i % 3]) == second.step_one(x, "abc"[i % 3])
    assert first.held_bytes() <= SoftHebbian.memory_bytes(**params)


@pytest.mark.parametrize("rule", ["balance", "memory_gradient", "per_neuron"])
def test_homeostatic(rule: Rule) -> None:
    params: dict[str, Any] = {"rule": rule, "inputs": 3, "hidden": (4,), "classes": 3}
    first = Homeostatic(**params, standardize=False)
    for i, x in enumerate(wild(EVENTS, 1)):
        first.learn_one(x, "abc"[i % 3] if i % 2 else None)
        if i % 97 == 0:
            said = first.predict(x)
            numbers = [*first.signals().values(), *(said.proba or {}).values(), said.score or 0.0]
            assert all(map(math.isfinite, numbers))
    second = Homeostatic(**params, standardize=False)
    second.set_state(first.get_state())
    for i, x in enumerate(wild(AFTER, 2)):
        assert first.step_one(x, "abc"[i % 3]) == second.step_one(x, "abc"[i % 3])
    assert first.held_bytes() <= Homeostatic.memory_bytes(**params)
