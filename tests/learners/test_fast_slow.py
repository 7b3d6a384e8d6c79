"""Fast and slow memories: each form against what it says it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from learners.base import StateError
from learners.plastic.body import Body
from learners.plastic.network import PlasticNetwork
from learners.plastic.option import Floats
from learners.plastic.options.fast_slow import FastSlow
from learners.plastic.options.rehearsal import Rehearsal
from tests import naive_network as net

SIZES = (5, 6, 3)


def network(rehearsal: dict[str, Any] | None = None, **params: Any) -> tuple[Body, FastSlow]:
    options = {"fast_slow": params} | ({} if rehearsal is None else {"rehearsal": rehearsal})
    learner = PlasticNetwork(
        5, 3, hidden=(6,), standardize=False, rate=0.05, options=options, seed=2
    )
    option = learner.body.options["fast_slow"]
    assert isinstance(option, FastSlow)
    return learner.body, option


def event(seed: int) -> tuple[Floats, int]:
    draw = np.random.default_rng(seed)
    return np.float32(draw.normal(size=5)).astype(float), int(draw.integers(3))


def test_a_readout_learns_fast_and_forgets() -> None:
    body, option = network(fast_rate=0.4, decay=0.1)
    fast = np.zeros((3, 6))
    for seed in range(40):
        x, y = event(seed)
        theta = body.theta.copy()
        read = net.outputs(net.layers(theta, SIZES), True, x)[-2]
        p = net.outputs(net.layers(theta, SIZES), True, x)[-1] * np.exp(fast @ read)
        p /= p.sum()
        np.testing.assert_allclose(body.look(x), p, rtol=1e-9)
        body.learn(x, y)
        error = p - np.eye(3)[y]
        fast = 0.9 * fast - 0.4 * np.outer(error, read) / (read @ read + 1.0)
        np.testing.assert_allclose(option.arrays["weights"], fast, rtol=1e-9, atol=1e-12)
        top = body.theta[-3:] - theta[-3:]
        np.testing.assert_allclose(top, -0.05 * error, rtol=1e-9, atol=1e-12)
    assert body.signals()["fast_slow_norm"] == pytest.approx(np.linalg.norm(fast))


def test_a_readout_does_not_learn_events_of_the_past() -> None:
    body, option = network(rehearsal={"capacity": 4})
    x, y = event(0)
    body.learn(x, y)
    before = option.arrays["weights"].copy()
    body.update(x, y)
    assert (option.arrays["weights"] == before).all()


def test_a_readout_reads_inputs_where_nothing_is_hidden() -> None:
    learner = PlasticNetwork(2, 2, hidden=(), options={"fast_slow": {}}, standardize=False)
    for _ in range(30):
        learner.learn_one({"a": 1.0, "b": 0.0}, "one")
        learner.learn_one({"a": 0.0, "b": 1.0}, "two")
    proba = learner.predict({"a": 0.0, "b": 1.0}).proba
    assert proba is not None
    assert proba["two"] > 0.8


def test_a_copy_follows_at_its_pace_and_answers_half() -> None:
    body, option = network(form="copy", pace=0.2)
    slow = body.theta.copy()
    for seed in range(20):
        x, y = event(seed)
        said = [net.outputs(net.layers(w, SIZES), True, x)[-1] for w in (body.theta, slow)]
        np.testing.assert_allclose(body.look(x), (said[0] + said[1]) / 2, rtol=1e-9)
        body.learn(x, y)
        assert body.said == (said[0] + said[1]).argmax()
        slow += 0.2 * (body.theta - slow)
        np.testing.assert_allclose(option.arrays["weights"], slow, rtol=1e-12)


def test_stored_events_vote_by_their_distance() -> None:
    body, option = network(rehearsal={"capacity": 8, "draws": 0}, form="vote", width=0.5)
    store = body.options["rehearsal"]
    assert isinstance(store, Rehearsal)
    near = 0.0
    for seed in range(30):
        x, y = event(seed)
        alone = net.outputs(net.layers(body.theta, SIZES), True, x)[-1]
        out = body.look(x).copy()
        if store.held:
            d = ((store.arrays["x"][: store.held].astype(float) - x) ** 2).sum(axis=1)
            votes = np.bincount(store.labels(), np.exp((d.min() - d) / max(0.5 * near, 1e-6)), 3)
            np.testing.assert_allclose(out, (alone + votes / votes.sum()) / 2, rtol=1e-3, atol=1e-4)
            near += max(0.01, 1 / (seed + 1)) * (d.min() - near)
        else:
            np.testing.assert_allclose(out, alone)
        body.learn(x, y)
    assert option.arrays["gauges"][2] == pytest.approx(near, rel=1e-3)
    signals = body.signals()
    assert 0.0 <= signals["fast_slow_disagreement"] <= 1.0
    assert np.isfinite(signals["fast_slow_gain"])


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"form": "fast"}, "form: got 'fast', expected readout"),
        ({"form": "vote"}, "'fast_slow' with form 'vote' without 'rehearsal'"),
        ({"fast_rate": 0.0}, "fast_rate: got 0.0"),
        ({"decay": 1.0}, "decay: got 1.0"),
        ({"width": 0.0}, "width: got 0.0"),
        ({"pace": 2.0}, "pace: got 2.0"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        network(**params)


@pytest.mark.parametrize(("name", "value"), [("weights", np.nan), ("gauges", -1.0)])
def test_a_state_that_cannot_have_come_about_is_refused(name: str, value: float) -> None:
    learner = PlasticNetwork(5, 3, options={"fast_slow": {}})
    state = learner.get_state()
    state[f"fast_slow_{name}"].flat[0] = value
    with pytest.raises(StateError, match=name):
        learner.set_state(state)
