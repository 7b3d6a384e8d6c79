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
