"""The boolean threshold: the search against matrices, and teachers that are found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from learners.base import StateError
from learners.kernels import boolean as kernels
from learners.plastic.boolean_threshold import BooleanThreshold

Floats = NDArray[np.float64]


def signed(draw: np.random.Generator, *shape: int) -> Floats:
    return np.asarray(draw.choice((-1.0, 1.0), shape))


def bits(row: Floats) -> dict[str, float]:
    return {f"b{i}": float(v > 0) for i, v in enumerate(row)}


def reflected(z: Floats, x: Floats, y: Floats, beta: float, margin: float) -> tuple[Floats, float]:
    """Return the copies after one step, and the norm of P_A - P_B."""
    concur = np.where(z.sum(axis=0) >= 0, 1.0, -1.0)
    mirrored = 2 * concur - z
    short = np.maximum(0, margin - y * (mirrored * x).sum(axis=1))
    told = mirrored + (short * y / x.shape[1])[:, None] * x
    return z + beta * (told - concur), float(np.linalg.norm(told - concur))


def test_search_steps_as_matrices_do() -> None:
    draw = np.random.default_rng(1)
    x, y, z = signed(draw, 12, 7), signed(draw, 12), draw.normal(size=(20, 7))
    weights, best, found = np.ones(7), np.ones(7), np.zeros(2)
    padded = (np.vstack([x, np.zeros((8, 7))]), np.append(y, np.zeros(8)))
    for _ in range(20):
        ref, gap = reflected(z[:12], x, y, 0.5, 1.0)
        steps = kernels.search(z, *padded, 12, 1, 0.5, 1.0, weights, best, found)
        assert steps == 1
        np.testing.assert_allclose(z[:12], ref, rtol=1e-10, atol=1e-12)
        assert found[1] == pytest.approx(gap)
    told = [int((y * (x @ w) >= 1.0).sum()) for w in (best, weights)]
    assert found[0] == told[0] >= told[1]


def test_a_teacher_is_found_and_found_again_when_it_changes() -> None:
    draw = np.random.default_rng(2)
    learner = BooleanThreshold(inputs=9, window=40, rounds=200)
    for teacher in (signed(draw, 9), signed(draw, 9)):
        for row in signed(draw, 80, 9):
            learner.learn_one(bits(row), str(bool(row @ teacher > 0)))
        assert learner.signals()["solved"] == 1.0
        told = [
            learner.predict_one(bits(row)) == str(bool(row @ teacher > 0))
            for row in signed(draw, 100, 9)
        ]
        assert np.mean(told) > 0.95


def test_what_contradicts_itself_is_told_as_far_as_it_goes() -> None:
    learner = BooleanThreshold(inputs=3, window=9, rounds=20)
    row = np.array([1.0, 1.0, -1.0])
    for i in range(9):
        learner.learn_one(bits(row), "no" if i == 4 else "yes")
    signals = learner.signals()
    assert signals["solved"] == 0.0
    assert signals["told_share"] == pytest.approx(8 / 9)
    assert signals["gap"] > 0.1
    assert learner.predict_one(bits(row)) == "yes"


def test_one_label_alone_is_the_answer() -> None:
    learner = BooleanThreshold(inputs=3)
    assert learner.predict({"a": 1.0}).label is None
    learner.learn_label({"a": 1.0}, "only")
    assert learner.predict({"a": 0.0}).label == "only"
    # One of three is active: what tells it does so by one weight or by all of them.
    score = learner.predict({"a": 1.0}).score
    assert score is not None
    assert min(abs(score - 2 / 3), score) < 1e-9


@pytest.mark.parametrize(
    "params",
    [
        {"inputs": 0}, {"window": 0}, {"rounds": 0}, {"beta": 0.0}, {"margin": 0.0}, {"seed": -1},
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        BooleanThreshold(**params)


@pytest.mark.parametrize(
    ("name", "value"),
    [("replicas", np.nan), ("x", 2.0), ("best", 0.5), ("found", -1.0), ("counts", -1)],
)
def test_a_state_that_cannot_have_come_about_is_refused(name: str, value: float) -> None:
    learner = BooleanThreshold(inputs=3, window=4)
    state = learner.get_state()
    state[name].reshape(-1)[0] = value
    with pytest.raises(StateError, match=name):
        learner.set_state(state)
