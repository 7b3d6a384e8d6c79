"""Each learning rule against its slow twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from learners.base import StateError
from learners.plastic.body import Body
from learners.plastic.network import PlasticNetwork
from learners.plastic.rule import Floats
from tests import naive_rules as naive

SIZES = (5, 6, 3)
SMALL: dict[str, Any] = {"inputs": 5, "hidden": (6,), "classes": 3, "standardize": False}


def event(seed: int) -> tuple[Floats, int]:
    draw = np.random.default_rng(seed)
    return draw.random(5) * (draw.random(5) < 0.7), int(draw.integers(3))


def body_of(rule: str, rate: float = 0.1, **params: Any) -> Body:
    return PlasticNetwork(**SMALL, rule=rule, rate=rate, rule_params=params).body


def refuses(body: Body, name: str, place: int, value: float) -> None:
    """Check that a state with one number changed is not taken."""
    state = body.get_state()
    state[name].reshape(-1)[place] = value
    with pytest.raises(StateError, match=name):
        body.check_state(state)


def test_exponentiated_steps_multiply_both_parts() -> None:
    body = body_of("exponentiated_gradient", 0.5, floor=0.5)
    arrays = body.rule.arrays
    for seed in range(40):
        x, y = event(seed)
        theta, plus, minus = (a.copy() for a in (body.theta, arrays["plus"], arrays["minus"]))
        gradient = naive.gradient_of(theta, SIZES, x, y)
        ref = naive.multiplied(plus, minus, theta, gradient, 0.5, 0.5)
        body.learn(x, y)
        for got, want in zip((arrays["plus"], arrays["minus"], body.theta), ref, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-14)
    assert (arrays["plus"] >= 0.0).all()
    assert 0.0 < body.signals()["exponentiated_gradient_floor_share"] < 1.0
    refuses(body, "exponentiated_gradient_plus", 0, 0.0)
    refuses(body, "exponentiated_gradient_minus", 0, -1.0)


@pytest.mark.parametrize("symmetric", [False, True])
def test_equilibrium_steps_are_what_the_nudge_moved(symmetric: bool) -> None:
    sizes = (5, 6, 4, 3)
    spec = SMALL | {"hidden": (6, 4), "rule": "equilibrium_propagation", "rate": 0.1}
    params = {"beta": 0.3, "symmetric": symmetric, "output_share": 1.0}
    body = PlasticNetwork(**spec, rule_params=params).body
    for seed in range(20):
        x, y = event(seed)
        theta, target = body.theta.copy(), np.eye(3)[y]
        free = naive.settled(theta, sizes, x, np.zeros(13), target, 0.0, 0.5, 20)
        ends = [
            naive.settled(theta, sizes, x, free, target, beta, 0.5, 4)
            for beta in ((0.3, -0.3) if symmetric else (0.3,))
        ]
        up, down = ends[0], ends[1] if symmetric else free
        step = naive.contrast(sizes, x, up) - naive.contrast(sizes, x, down)
        loss = body.update(x, y)
        ref = theta + 0.1 * step / (0.6 if symmetric else 0.3)
        np.testing.assert_allclose(body.theta, ref, rtol=1e-9, atol=1e-12)
        assert loss == pytest.approx(0.5 * np.sum((free[10:] - target) ** 2))
    assert body.signals()["equilibrium_propagation_nudge_displacement"] == pytest.approx(
        np.linalg.norm(up - free)
    )
    refuses(body, "equilibrium_propagation_gauges", 0, np.nan)


def test_units_at_rest_have_least_energy() -> None:
    body = body_of("equilibrium_propagation", 1e-9, free_steps=400)
    energy = "equilibrium_propagation_energy"
    x, y = event(2)
    body.learn(x, y)
    least = body.signals()[energy]
    assert body.signals()["equilibrium_propagation_settle_residual"] < 1e-12
    body = body_of("equilibrium_propagation", 1e-9, free_steps=2)
    body.learn(x, y)
    assert body.signals()[energy] > least


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"rule": "equilibrium_propagation", "hidden": (4, 4, 4)}, "0..2 layers"),
        ({"rule": "equilibrium_propagation", "rule_params": {"beta": 0.0}}, "beta"),
        ({"rule": "equilibrium_propagation", "rule_params": {"pace": 2.0}}, "pace"),
        ({"rule": "equilibrium_propagation", "rule_params": {"free_steps": 0}}, "free_steps"),
        ({"rule": "exponentiated_gradient", "rule_params": {"floor": 0.0}}, "floor"),
    ],
)
def test_wrong_parameters_of_a_rule_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PlasticNetwork(**params)


def test_standardized_inputs_are_brought_between_zero_and_one() -> None:
    learner = PlasticNetwork(inputs=2, rule="equilibrium_propagation")
    for i in range(50):
        learner.learn_one({"a": 1e6 * (-1.0) ** i, "b": 5.0}, "yes")
    pre = learner.body.pre[0, :2]
    assert pre.tolist() == pytest.approx([0.25, 0.5])
