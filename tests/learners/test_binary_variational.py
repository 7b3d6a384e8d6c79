"""Binary weights as distributions: gradients, steps and what is left of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from learners.base import StateError
from learners.kernels.random import next_u64
from learners.plastic.body import Body
from learners.plastic.network import PlasticNetwork
from learners.plastic.option import Floats
from learners.plastic.rules.binary_variational import BinaryVariational


def network(**params: Any) -> tuple[Body, BinaryVariational]:
    learner = PlasticNetwork(
        5,
        3,
        hidden=(6,),
        standardize=False,
        rule="binary_variational",
        rule_params={"horizon": 100, **params},
        seed=3,
    )
    rule = learner.body.rule
    assert isinstance(rule, BinaryVariational)
    return learner.body, rule


def event(seed: int) -> tuple[Floats, int]:
    draw = np.random.default_rng(seed)
    return draw.random(5), int(draw.integers(3))


def sampled_loss(
    fields: list[Floats], noise: list[Floats], beta: float, x: Floats, y: int
) -> float:
    active = x
    for layer, (field, each) in enumerate(zip(fields, noise, strict=True)):
        mean = np.tanh(beta * field)
        net = active @ mean / np.sqrt(len(field))
        net = net + np.sqrt((active**2) @ (1 - mean**2) / len(field)) * each
        active = np.maximum(net, 0.0) if layer == 0 else net
    return float(np.log(np.exp(active).sum()) - active[y])


def test_gradients_are_those_of_the_sampled_loss() -> None:
    body, rule = network()
    x, y = event(1)
    rng = body.rng.copy()
    draw = np.random.default_rng(int(next_u64(rng)))
    noise = [draw.standard_normal(6), draw.standard_normal(3)]
    fields = [rule.arrays[f"field_{layer}"].copy() for layer in range(2)]
    got, _ = rule._gradients(body, x, y)
    for layer in range(2):
        for at in np.ndindex(fields[layer].shape):
            sides = []
            for step in (1e-6, -1e-6):
                moved = [field.copy() for field in fields]
                moved[layer][at] += step
                sides.append(sampled_loss(moved, noise, rule.beta, x, y))
            assert got[layer][at] == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-6)


def test_a_step_is_adams_with_a_pull_back() -> None:
    body, rule = network(drag=2.0)
    first = second = last = np.zeros((5, 6))
    field = rule.arrays["field_0"].copy()
    draw = np.random.default_rng(0)
    for t in range(1, 20):
        beta = 10 * np.tanh(0.1 + 2 * (t - 1) / 100)
        g = draw.normal(size=(5, 6))
        free = 1 - np.tanh(beta * field) ** 2
        rule._step(body, [g.copy(), np.zeros((6, 3))], [free, np.zeros((6, 3))])
        g = g + 2.0 * beta**2 * free * last
        first, second = 0.9 * first + 0.1 * g, 0.99 * second + 0.01 * g * g
        step = -0.01 * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.99**t)) + 1e-8)
        moved = np.clip(field + step, -5.0, 5.0)
        last, field = moved - field, moved
        np.testing.assert_allclose(rule.arrays["field_0"], field, rtol=1e-9, atol=1e-12)


def test_it_learns_grows_sure_and_one_bit_is_left() -> None:
    body, rule = network(horizon=3_000)
    unsure = body.signals()
    draw = np.random.default_rng(2)
    for _ in range(1_500):
        y = int(draw.integers(3))
        body.learn(np.eye(5)[y] + 0.1 * draw.random(5), y)
    signals = body.signals()
    assert rule.beta == pytest.approx(10 * np.tanh(1.1), rel=1e-3)
    assert signals["binary_variational_certainty"] > unsure["binary_variational_certainty"]
    assert signals["binary_variational_entropy_bits"] < unsure["binary_variational_entropy_bits"]
    assert 0.3 < signals["binary_variational_frozen_share"] <= 1.0
    assert abs(signals["binary_variational_one_bit_gap"]) < 0.5
    assert [int(body.look(np.eye(5)[y]).argmax()) for y in range(3)] == [0, 1, 2]
    by_means = body.look(np.eye(5)[0]).copy()
    rule.one_bit = True
    for layer in range(2):
        field = rule.arrays[f"field_{layer}"]
        field[:] = np.where(field < 0.0, -5.0, 5.0)
    by_signs = body.look(np.eye(5)[0]).copy()
    rule.one_bit = False
    np.testing.assert_allclose(body.look(np.eye(5)[0]), by_signs)
    assert (by_signs != by_means).any()


@pytest.mark.parametrize(
    ("params", "said"), [({"horizon": 0}, "horizon: got 0"), ({"drag": -1.0}, "drag: got -1")]
)
def test_wrong_parameters_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        network(**params)


@pytest.mark.parametrize(
    ("name", "value"),
    [("field_0", 6.0), ("first_1", np.nan), ("second_0", -1.0), ("steps", -1), ("gauges", 2.0)],
)
def test_a_state_that_cannot_have_come_about_is_refused(name: str, value: float) -> None:
    learner = PlasticNetwork(5, 3, hidden=(4,), rule="binary_variational")
    state = learner.get_state()
    state[f"binary_variational_{name}"].flat[0] = value
    with pytest.raises(StateError, match=name):
        learner.set_state(state)
