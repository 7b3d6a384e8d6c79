"""The homeostatic network: against its twin, its traps, its guards, and what it is for."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.images import digits
from benchmarks.shift_arms import ARMS, CONSTANT, build, run_arm
from benchmarks.shift_streams import Stream, stream
from learners.base import Features, InvalidEvent, StateError
from learners.homeostatic import RULES, Homeostatic
from learners.kernels import homeostasis as kernels
from learners.kernels import homeostasis_body as places
from tests import naive_homeostasis as naive

Floats = NDArray[np.float64]
each_rule = pytest.mark.parametrize("rule", RULES)
SMALL: dict[str, Any] = {"inputs": 4, "classes": 3, "hidden": (6, 5), "standardize": False}


def events(n: int, seed: int = 1, noise: float = 0.5) -> tuple[Floats, NDArray[np.int64]]:
    """Return noisy points around three corners, whose labels change places in the middle."""
    draw = np.random.default_rng(seed)
    y = np.concatenate([np.arange(3), draw.integers(0, 3, n - 3)])
    x = np.eye(4)[y] + noise * draw.normal(size=(n, 4))
    return x, np.where(np.arange(n) < n // 2, y, (y + 1) % 3)


def named(x: Floats) -> Features:
    return {f"x{i}": value for i, value in enumerate(x.tolist())}


@cache
def shifting(n: int, seed: int = 0) -> Stream:
    return stream(digits(), seed, n)


@pytest.mark.parametrize("rule", ["constant", "literal", "memory_gradient", "balance"])
@pytest.mark.parametrize("rehearsal", [0.0, 3.0])
def test_does_what_its_twin_does(rule: str, rehearsal: float) -> None:
    params: dict[str, Any] = {"rule": rule, "rate": 0.03, "memory": 20, "rehearsal": rehearsal}
    if rule == "memory_gradient":
        params |= {"rate": 0.1 if rehearsal else 0.3, "delta": 0.5}
    learner = Homeostatic(**SMALL, **params, ceiling=0.6, seed=5)
    theta = learner.body.theta[0].copy()
    twin = naive.Homeostat((4, 6, 5, 3), theta, 5, **params, ceiling=0.6)
    for e, (x, y) in enumerate(zip(*events(400), strict=True)):
        if e < 3:
            twin.sides = naive.shared_out([1] * (e + 1) + [0] * (2 - e))
        ref = twin.learn(x, int(y))
        kernels.learn(learner.body, x, int(y))
        got = learner.body.out
        np.testing.assert_allclose(got, ref, rtol=1e-4, atol=1e-9)
        if rule != "constant":
            assert learner.body.gauges[places.RATE] == pytest.approx(twin.rate, rel=1e-4)
    assert learner.body.counts[places.ACCEPTED] == twin.accepted
    assert twin.accepted > 0 or rehearsal or rule != "memory_gradient"


def test_a_neuron_goes_faster_as_long_as_gradients_agree() -> None:
    learner = Homeostatic(**SMALL, rule="per_neuron", rehearsal=0.0, memory=5)
    body, x = learner.body, np.array([1.0, 0.0, 0.0, 0.0])
    kernels.learn(body, x, 0)
    theta, rates, errs = body.theta.copy(), body.log_rates.copy(), body.memory_errs[0].copy()
    kernels.learn(body, x, 0)
    assert (body.log_rates > rates).all()
    products = body.memory_errs[1] * errs
    assert (products > 0).all()
    body.theta[...] = theta
    rates = body.log_rates.copy()
    kernels.learn(body, x, 1)
    top = slice(11, 13)
    assert (body.log_rates[top] < rates[top]).all()


@each_rule
def test_learner_is_the_loop_of_the_benchmark(rule: str) -> None:
    part = shifting(400)
    x, y = part.x, part.y["every 100"]
    loop, learner = build(64, 3, {"rule": rule}), build(64, 3, {"rule": rule})
    hits, rates = np.zeros(len(y), np.uint8), np.zeros(len(y))
    kernels.run(loop.body, x, y, hits, rates)
    for row, label, hit in zip(x, y.tolist(), hits.tolist(), strict=True):
        said = learner.step_one(named(row), label)
        assert (said.label == label) == bool(hit) or said.label is None
    for name in ("theta", "losses", "log_rates", "memory_x", "gauges", "counts", "rng"):
        assert getattr(loop.body, name).tobytes() == getattr(learner.body, name).tobytes()


@pytest.mark.parametrize("shift", ["never", "every 100"])
def test_nothing_set_is_at_least_the_best_constant_rate(shift: str) -> None:
    part = shifting(6_000, 4)
    ours = run_arm(part, shift, 4, "balance", ARMS["balance"])
    rates = (0.01, 0.02, 0.03, 0.05)
    others = [run_arm(part, shift, 4, "", CONSTANT | {"rate": rate}) for rate in rates]
    assert ours.accuracy >= max(run.accuracy for run in others)
    assert ours.rollbacks == 0


def test_where_rates_begin_does_not_matter_for_long() -> None:
    part = shifting(6_000, 5)
    low = run_arm(part, "every 300", 5, "", {"rate": 0.001})
    high = run_arm(part, "every 300", 5, "", {})
    assert low.last_quarter == pytest.approx(high.last_quarter, abs=0.02)


def test_literal_rule_puts_itself_to_sleep() -> None:
    part = shifting(30_000, 1)
    run = run_arm(part, "every 100", 1, "literal", ARMS["literal"])
    constant = run_arm(part, "every 100", 1, "", CONSTANT | {"rate": 0.01})
    assert run.least_rate < 1e-3
    assert run.accuracy < constant.accuracy - 0.1
    floored = run_arm(part, "every 100", 1, "literal", {**ARMS["literal"], "floor": 0.4})
    assert floored.least_rate == pytest.approx(0.4 * 0.01)


def test_ceiling_keeps_the_memory_gradient_from_a_rate_too_high() -> None:
    part = shifting(6_000)
    params = ARMS["memory gradient"]
    held = run_arm(part, "every 100", 0, "", {**params, "rate": 0.03})
    assert 0.02 <= held.end_rate <= 0.03 + 1e-12
    assert held.accuracy > 0.75


def test_goes_back_to_sound_weights() -> None:
    learner = Homeostatic(**SMALL, rule="constant", rate=0.1, rehearsal=0.0)
    x, y = events(2_000)
    for row, label in zip(x[:1_000], y[:1_000].tolist(), strict=True):
        learner.learn_one(named(row), label)
    sound = learner.body.safe.copy()
    assert (sound == learner.body.theta).all()
    learner.body.theta[:] = np.nan
    assert all(0.0 <= p <= 1.0 for p in learner.predict_proba_one(named(x[0])).values())
    learner.learn_one(named(x[0]), int(y[0]))
    assert learner.signals()["rollbacks"] == 1.0
    assert (learner.body.theta == sound).all()
    learner.body.theta[...] *= 1e6
    learner.body.gauges[places.LOSS] = 400.0
    learner.body.settings[places.PATIENCE] = 3.0
    for row, label in zip(x[:3], y[:3].tolist(), strict=True):
        learner.learn_one(named(row), label)
    assert learner.signals()["rollbacks"] == 2.0
    assert (learner.body.theta == sound).all()
    assert learner.body.counts[places.HELD] == 0


def test_a_lost_network_is_replaced_by_the_other() -> None:
    learner = Homeostatic(**SMALL)
    x, y = events(60)
    for row, label in zip(x, y.tolist(), strict=True):
        learner.learn_one(named(row), label)
    learner.body.theta[1] = np.nan
    assert learner.predict_one(named(x[0])) is not None
    learner.learn_one(named(x[0]), int(y[0]))
    assert np.isfinite(learner.body.theta).all()
    assert learner.signals()["replaced"] >= 1.0
    assert learner.signals()["rollbacks"] == 0.0


def test_valences_stay_balanced_by_frequency() -> None:
    learner = Homeostatic(**{**SMALL, "classes": 6}, rule="memory_gradient")
    draw = np.random.default_rng(3)
    shares = [0.4, 0.2, 0.2, 0.1, 0.05, 0.05]
    for label in draw.choice(6, 2_000, p=shares).tolist():
        learner.learn_one({"a": 1.0}, label)
    sides = learner.body.valences
    assert set(sides.tolist()) == {-1, 1}
    assert abs(int((sides * learner.body.class_counts).sum())) < 200


def test_no_label_no_change() -> None:
    learner = Homeostatic(**SMALL)
    assert learner.predict({"a": 1.0}).label is None
    before = {name: array.tobytes() for name, array in learner.get_state().items()}
    learner.learn_one({"a": 1.0})
    assert {name: array.tobytes() for name, array in learner.get_state().items()} == before
    learner.learn_label({"a": 1.0}, "yes")
    assert learner.predict_one({"a": 1.0}) == "yes"


def test_rehearses_the_more_the_less_was_expected() -> None:
    learner = Homeostatic(**SMALL)
    x, y = events(600, noise=0.2)
    done = []
    for row, label in zip(x, y.tolist(), strict=True):
        learner.learn_one(named(row), label)
        done.append(int(learner.body.counts[places.REHEARSED]))
    assert done[349] - done[299] > 2 * (done[299] - done[249])
    never = Homeostatic(**SMALL, rehearsal=0.0)
    never.learn_one(named(x[0]), 0)
    assert never.signals()["rehearsals"] == 0.0


def test_scores() -> None:
    chance, entropy = Homeostatic(**SMALL), Homeostatic(**SMALL, score="entropy")
    for row, label in zip(*events(300), strict=True):
        said, other = (
            chance.step_one(named(row), int(label)),
            entropy.step_one(named(row), int(label)),
        )
        if said.proba is not None and len(said.proba) == 3:
            p = np.array(list(said.proba.values()))
            assert said.score == pytest.approx(1.0 - p.max())
            assert other.score == pytest.approx(-(p * np.log(p)).sum() / np.log(3))


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"rule": "other"}, "rule"),
        ({"classes": 1}, "classes"),
        ({"hidden": (0,)}, "hidden"),
        ({"rate": 0.0}, "rate"),
        ({"rule": "memory_gradient", "rate": 0.05}, "ceiling"),
        ({"memory": 1}, "memory"),
        ({"score": "p"}, "score"),
    ],
)
def test_bad_parameters_are_refused(params: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=f"{what}: got"):
        Homeostatic(**params)


def test_bad_events_and_states_change_nothing() -> None:
    learner = Homeostatic(**SMALL)
    for label in (1, 2, 3):
        learner.learn_one({"a": 1.0}, label)
    good = learner.get_state()
    for x, y in (({"a": 1.0}, 4), ({"a": np.inf}, 1), ({"a": 1.0}, np.nan)):
        with pytest.raises(InvalidEvent):
            learner.learn_one(x, y)
    wrong = good["memory_y"].copy()
    wrong[0] = 3
    for bad in (good | {"memory_y": wrong}, good | {"counts": good["counts"] + 50}, {}):
        with pytest.raises(StateError):
            learner.set_state(bad)
    kept = learner.get_state()
    assert all(kept[name].tobytes() == good[name].tobytes() for name in good)
