"""Orthogonal projection: what a step leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from learners.base import StateError
from learners.plastic.body import Body
from learners.plastic.network import PlasticNetwork
from learners.plastic.option import Floats
from learners.plastic.options.orthogonal_projection import OrthogonalProjection
from tests import naive_network as net

SIZES = (6, 8, 3)


def network(**params: Any) -> tuple[Body, OrthogonalProjection]:
    options = {"orthogonal_projection": {"directions": 3, "more": 2} | params}
    learner = PlasticNetwork(
        6, 3, hidden=(8,), standardize=False, rate=0.1, options=options, seed=4
    )
    option = learner.body.options["orthogonal_projection"]
    assert isinstance(option, OrthogonalProjection)
    return learner.body, option


def event(seed: int) -> tuple[Floats, int]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=6), int(draw.integers(3))


def test_directions_and_steps_are_as_matrices_have_them() -> None:
    body, option = network()
    for seed in range(20):
        if seed == 10:
            body.new_task()
        x, y = event(seed)
        theta = body.theta.copy()
        rows = [option.arrays[f"directions_{layer}"].copy() for layer in range(2)]
        ranks = option.arrays["ranks"].tolist()
        body.learn(x, y)
        reads = [x, net.outputs(net.layers(theta, SIZES), True, x)[-2]]
        gradient = net.layers(net.gradient(theta, SIZES, True, x, y), SIZES)
        ref = []
        for layer, (frozen, learning) in enumerate(ranks):
            z = np.append(reads[layer], 1.0)
            kept, new = rows[layer][:frozen], rows[layer][frozen : frozen + learning]
            long = z * 3.0 / np.linalg.norm(z)
            rest = long - new.T @ (new @ long) - kept.T @ (kept @ long)
            ref_rows = new + 0.01 * np.outer(new @ long, rest)
            got = option.arrays[f"directions_{layer}"][frozen : frozen + learning]
            np.testing.assert_allclose(got, ref_rows, rtol=1e-9, atol=1e-12)
            left = z - kept.T @ (kept @ z)
            errors = gradient[layer][1]
            ref.append((np.outer(errors, left[:-1]), errors * left[-1]))
        np.testing.assert_allclose(body.theta, theta - 0.1 * net.flat(ref), rtol=1e-9, atol=1e-12)
    assert body.bias.tolist() == [[1.0, 1.0]]


def test_a_task_that_ends_leaves_orthonormal_directions_as_far_as_there_is_room() -> None:
    body, option = network(tasks=4, every=5)
    for seed in range(31):
        body.learn(*event(seed))
    assert body.counts[3] == 6
    frozen, learning = option.arrays["ranks"][0].tolist()
    assert (frozen, learning) == (5, 0)
    rows = option.arrays["directions_0"]
    assert len(rows) == int(0.8 * 7)
    np.testing.assert_allclose(rows @ rows.T, np.eye(5), atol=1e-12)
    signals = body.signals()
    assert signals["orthogonal_projection_frozen_share"] == 7 / 9
    assert 0.0 < signals["orthogonal_projection_plasticity"] < 1.0
    assert 0.0 < signals["orthogonal_projection_captured"] < 1.0


def test_what_is_protected_is_left_alone() -> None:
    body, option = network()
    for seed in range(50):
        body.learn(*event(seed))
    body.new_task()
    rows = option.arrays["directions_0"][:3]
    before = body.theta[: 7 * 8].reshape(7, 8).copy()
    body.learn(*event(99))
    step = body.theta[: 7 * 8].reshape(7, 8) - before
    assert np.abs(step).max() > 1e-4
    assert np.abs(rows @ step).max() < 1e-14


def test_biases_read_as_before_after_a_step_that_was_not_taken() -> None:
    body, _ = network()
    body.learn(*event(0))
    body.new_task()
    x = 900.0 * event(5)[0]
    body.learn(x, int(body.look(x).argmin()))
    assert body.counts[1] == 1
    body.learn(*event(1))
    assert body.bias.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"directions": 0}, "directions: got 0"),
        ({"more": 5_000}, "more: got 5000"),
        ({"tasks": 0}, "tasks: got 0"),
        ({"every": -1}, "every: got -1"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        network(**params)


@pytest.mark.parametrize(
    ("name", "value"), [("directions_1", np.nan), ("ranks", 99), ("ranks", -1), ("gauges", 2.0)]
)
def test_a_state_that_cannot_have_come_about_is_refused(name: str, value: float) -> None:
    learner = PlasticNetwork(6, 3, options={"orthogonal_projection": {}})
    state = learner.get_state()
    state[f"orthogonal_projection_{name}"].flat[0] = value
    with pytest.raises(StateError, match=name):
        learner.set_state(state)


@pytest.mark.parametrize("task", [False, True])
def test_directions_from_which_learning_would_run_away_are_refused(task: bool) -> None:
    learner = PlasticNetwork(6, 3, options={"orthogonal_projection": {"directions": 3}})
    draw = np.random.default_rng(2)
    for i in range(200):
        x = dict(zip("abcdef", draw.normal(size=6).tolist(), strict=True))
        learner.learn_one(x, "uvw"[i % 3])
    if task:
        learner.new_task()
    state = learner.get_state()
    learner.set_state(state)
    # Each row has a norm of about 1, and all are one direction.
    state["orthogonal_projection_directions_0"][:3] = state["orthogonal_projection_directions_0"][0]
    with pytest.raises(StateError, match="directions_0"):
        learner.set_state(state)
