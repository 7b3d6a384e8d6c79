"""Hebbian adaptation: its kernels' twin, what sets it off, what holds it back, what it is for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from learners.adaptive_arrays import copy_network, fresh_network
from learners.base import Features, InvalidEvent, StateError
from learners.hebbian_adaptation import HebbianAdaptation
from learners.kernels import adaptive_network as kernels
from learners.kernels import adaptive_steps as steps
from tests import naive_adaptation as naive

Floats = NDArray[np.float64]
D, C = 36, 4
PATTERNS = np.random.default_rng(40).normal(size=(C, D)) * np.repeat([0.5, 1.5], D // 2)
PARAMS: dict[str, Any] = {
    "inputs": D,
    "hidden": 24,
    "max_classes": C,
    "inputs_alike": True,
    "labels_stop_after": 10,
    "learning_rate": 0.05,
}
NO_GUARD: dict[str, Any] = {
    "entropy_filter": 0.0,
    "anchor": 0.0,
    "redundancy": 0.0,
    "weighting": False,
    "balance": 0.0,
    "largest_drift": 0.0,
}
NOTHING: dict[str, Any] = {
    "correct_inputs": False,
    "statistics_start": 0.0,
    "statistics_floor": 0.0,
    "alarm_events": 0,
    "hebbian_rate": 0.0,
    "gain_rate": 0.0,
}


def events(n: int, seed: int, noise: float = 0.6) -> tuple[Floats, NDArray[np.int64]]:
    """Return patterns with noise, and which they are."""
    draw = np.random.default_rng(seed)
    y = draw.integers(0, C, n)
    return 2.0 + PATTERNS[y] + noise * draw.normal(size=(n, D)), y


def named(x: Floats) -> Features:
    return {f"x{i}": value for i, value in enumerate(x.tolist())}


def taught(n: int = 800, **params: Any) -> HebbianAdaptation:
    learner = HebbianAdaptation(**PARAMS | params)
    for x, y in zip(*events(n, 1), strict=True):
        learner.learn_one(named(x), int(y))
    return learner


def error(learner: HebbianAdaptation, X: Floats, y: NDArray[np.int64]) -> float:
    """Return the share of wrong labels over a stream that is not labeled."""
    wrong = [learner.step_one(named(x)).label != of for x, of in zip(X, y, strict=True)]
    return float(np.mean(wrong))


def same(a: HebbianAdaptation, b: HebbianAdaptation) -> bool:
    one, other = a.get_state(), b.get_state()
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


CONDITIONS: list[tuple[str, Any]] = [
    ("as ever", lambda X: X),
    ("faint", lambda X: 0.3 * X + 9.0),
    ("reversed", lambda X: 5.0 - X),
    ("as ever again", lambda X: X),
]


# The kernels and their twin


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"conditions": 1, "inputs_alike": False},
        {"conditions": 2, "hebbian_rate": 0.01, "hebbian_every": 1, "gain_rate": 0.1},
        {"gain_rate": 1.0, "entropy_filter": 0.0, "balance": 0.9, "weighting": False},
        {"recovery_entropy": 0.15, "redundancy": 0.0, "correct_inputs": False},
        {"alarm_events": 0, "largest_drift": 0.0, "hebbian_rate": 0.01},
    ],
)
def test_kernels_equal_their_naive_twin(params: dict[str, Any]) -> None:
    learner = HebbianAdaptation(**PARAMS | {"hidden": 12} | params)
    net, rules = learner.network, learner.rules
    net.counts[kernels.WIDTH] = D
    ref = naive.Adaptation(net, rules, C)
    for part in range(6):
        change = CONDITIONS[part % 4][1]
        for i, (x, y) in enumerate(zip(*events(150, part), strict=True)):
            x = x if part == 0 else change(x)
            net.x[:] = x
            got = steps.look(net, rules, C)
            np.testing.assert_allclose(net.p, ref.look(x), atol=2e-3)
            assert got == pytest.approx(naive.entropy(net.p) / math.log(C), abs=1e-9)
            net.x[:] = x
            if part == 0 or (part == 4 and i < 40):
                steps.teach(net, rules, int(y), C)
                ref.teach(x, int(y))
            else:
                steps.adapt(net, rules, C)
                ref.adapt(x)
    np.testing.assert_allclose(net.first, ref.first, atol=2e-3)
    np.testing.assert_allclose(net.class_share, ref.class_share, atol=2e-3)
    held = int(net.counts[kernels.HELD])
    assert held == len(ref.conditions)
    for k in range(held):
        np.testing.assert_allclose(net.inputs[k], ref.conditions[k].inputs, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(net.gain[k], ref.conditions[k].gain, atol=5e-3)
    counted = [kernels.RESETS, kernels.CAPPED, kernels.OPENED, kernels.ADAPTED, kernels.LABELED]
    assert net.counts[counted].tolist() == [
        ref.resets,
        ref.capped,
        ref.opened,
        ref.adapted,
        ref.labeled,
    ]


def test_descent_follows_the_gradient_of_the_loss() -> None:
    net = fresh_network(5, 6, 3, 1, seed=3)
    rules = HebbianAdaptation(learning_rate=1e-3, inputs_alike=True, conditions=1).rules
    net.counts[kernels.WIDTH] = 5
    draw = np.random.default_rng(0)
    for i in range(50):
        net.x[:] = draw.normal(size=5)
        steps.teach(net, rules, i % 3, 3)
    kept = net.x.copy()
    before = copy_network(net)
    steps.teach(net, rules, 1, 3)

    def loss(entry: tuple[int, int], by: float) -> float:
        probe = copy_network(net)
        probe.first[:] = before.first
        probe.second[:], probe.bias[:] = before.second, before.bias
        probe.gain[:] = before.gain
        probe.second[entry] += by
        probe.x[:] = kept
        steps.look(probe, rules, 3)
        return -math.log(probe.p[1])

    for entry in ((0, 1), (3, 0), (5, 2)):
        slope = (loss(entry, 1e-5) - loss(entry, -1e-5)) / 2e-5
        step = net.second[entry] - before.second[entry]
        assert step == pytest.approx(-1e-3 * slope, abs=1e-8)


# Labels


def test_it_learns_from_labels_with_events_or_after_them_alike() -> None:
    with_events, after = HebbianAdaptation(**PARAMS), HebbianAdaptation(**PARAMS)
    for x, y in zip(*events(400, 1), strict=True):
        with_events.learn_one(named(x), int(y))
        after.learn_one(named(x))
        after.learn_label(named(x), int(y))
    assert same(with_events, after)
    assert error(with_events, *events(300, 2)) < 0.03
    assert after.signals()["adapting"] == 0.0


def test_adaptation_begins_when_labels_have_stopped_and_ends_when_they_return() -> None:
    learner = taught()
    X, y = events(60, 2)
    before = learner.get_state()
    for x in X[:10]:
        learner.learn_one(named(x))
    after = learner.get_state()
    assert all(same_array(before, after, n) for n in before if n != "counts")
    assert learner.signals()["adapting"] == 0.0
    learner.learn_one(named(X[10]))
    assert learner.signals()["adapting"] == 1.0
    source = learner.network.first_source.copy()
    assert source.tobytes() == before["first"].tobytes()
    for x in X[11:50]:
        learner.learn_one(named(x))
    assert learner.network.first_source.tobytes() == source.tobytes()
    assert learner.signals()["weight_drift"] > 0.0
    learner.learn_label(named(X[50]), int(y[50]))
    assert learner.signals()["adapting"] == 0.0
    for x in X[:11]:
        learner.learn_one(named(x))
    assert learner.network.first_source.tobytes() != source.tobytes()


def same_array(a: dict[str, Any], b: dict[str, Any], name: str) -> bool:
    return bool(a[name].tobytes() == b[name].tobytes())


def test_labels_that_return_in_another_condition_teach_what_was_adapted() -> None:
    learner = taught()
    X, y = events(600, 3)
    reversed_x = 5.0 - X
    assert error(learner, reversed_x[:200], y[:200]) < 0.15
    for x, of in zip(reversed_x[200:400], y[200:400], strict=True):
        learner.learn_one(named(x), int(of))
    assert error(learner, reversed_x[400:], y[400:]) < 0.03
    assert error(learner, *events(200, 4)) < 0.05


def test_nothing_is_adapted_before_two_classes_are_known() -> None:
    learner = HebbianAdaptation(**PARAMS)
    x = named(events(1, 0)[0][0])
    assert learner.predict(x).label is None
    learner.learn_one(x, "a")
    for _ in range(50):
        learner.learn_one(x)
    said = learner.predict(x)
    assert (said.label, said.score, said.proba) == ("a", None, {"a": 1.0})
    assert learner.signals()["adapting"] == 0.0


def test_predict_adapts_nothing() -> None:
    learner = taught()
    error(learner, *events(100, 2))
    before = learner.get_state()
    for x in 0.3 * events(100, 3)[0]:
        learner.predict(named(x))
    assert all(same_array(before, learner.get_state(), name) for name in before)


def test_what_it_cannot_use_is_refused_before_anything_changed() -> None:
    learner = taught(100)
    before = learner.get_state()
    x = named(events(1, 0)[0][0])
    for bad_x, y in (({"x0": math.inf}, 1), (x, "fifth"), (x, math.nan)):
        with pytest.raises(InvalidEvent):
            learner.learn_one(bad_x, y)
    assert all(same_array(before, learner.get_state(), name) for name in before)


# What it is for


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize(("name", "change"), CONDITIONS[1:3])
def test_it_keeps_up_where_the_source_is_lost(name: str, change: Any, alike: bool) -> None:
    X, y = events(600, 5)
    lost = error(taught(inputs_alike=alike, **NOTHING), change(X), y)
    kept = error(taught(inputs_alike=alike), change(X), y)
    assert lost > 0.5
    if alike or name != "reversed":
        assert kept < 0.1


def test_a_condition_met_before_is_known_at_once() -> None:
    learner = taught()
    for name, change in CONDITIONS * 2:
        X, y = events(200, len(name))
        error(learner, change(X), y)
    found = learner.signals()
    assert found["conditions"] == 3.0
    for name, change in CONDITIONS:
        X, y = events(10, len(name))
        assert error(learner, change(X), y) == 0.0
    assert learner.signals()["conditions"] == 3.0


def test_one_condition_moves_its_statistics_fast_again_when_nothing_fits() -> None:
    X, y = events(300, 6)
    errors = []
    for alarm_events in (0, 5):
        learner = taught(conditions=1, alarm_events=alarm_events)
        error(learner, *events(300, 7))
        errors.append(error(learner, 5.0 - X, y))
    assert errors[1] < 0.6 * errors[0]


# Guards


@pytest.mark.parametrize("guard", [{"largest_drift": 0.1}, {"anchor": 0.3}])
def test_the_first_layer_is_kept_near_its_source(guard: dict[str, float]) -> None:
    wild: dict[str, Any] = {"hebbian_rate": 0.02, "hebbian_every": 1, "gain_rate": 0.0}
    X, y = events(1_500, 8)
    loose, held = taught(**wild | NO_GUARD), taught(**wild | NO_GUARD | guard)
    lost, kept = error(loose, X, y), error(held, X, y)
    assert loose.signals()["weight_drift"] > 0.5
    assert held.signals()["weight_drift"] < 0.2
    assert kept < 0.5 * lost


def test_predictions_that_gather_in_one_class_bring_the_source_back() -> None:
    wild: dict[str, Any] = {"gain_rate": 10.0, "hebbian_rate": 0.0}
    X, y = events(1_500, 9, noise=1.5)
    loose, held = taught(**wild | NO_GUARD), taught(**wild | NO_GUARD | {"balance": 0.4})
    lost, kept = error(loose, X, y), error(held, X, y)
    assert loose.signals()["effective_classes"] < 1.5
    assert held.signals()["source_resets"] > 0
    assert kept < lost


def test_entropy_that_all_but_ends_brings_the_source_back() -> None:
    certain = taught(**NO_GUARD | {"gain_rate": 5.0, "recovery_entropy": 0.05})
    error(certain, *events(300, 9))
    assert certain.signals()["source_resets"] > 0


@pytest.mark.parametrize(
    ("guard", "less"),
    [({"entropy_filter": 0.05}, True), ({"redundancy": 0.5}, True), ({"weighting": True}, False)],
)
def test_filters_and_weights_change_how_far_gains_move(guard: dict[str, Any], less: bool) -> None:
    X, y = events(300, 10, noise=1.5)
    shifts = []
    for params in (NO_GUARD, NO_GUARD | guard):
        learner = taught(**params | {"gain_rate": 1e-3, "hebbian_rate": 0.0})
        error(learner, X, y)
        shifts.append(learner.signals()["gain_shift"])
    assert (shifts[1] < shifts[0]) == less


# State


def test_restored_learner_goes_on_alike_for_a_thousand_events() -> None:
    learner, twin = taught(), HebbianAdaptation(**PARAMS)
    pairs = list(zip(*events(150, 11), strict=True))
    stream = [(change(x), y) for _, change in CONDITIONS * 3 for x, y in pairs]
    for i, (x, y) in enumerate(stream):
        if i % 300 == 100:
            twin.set_state(learner.get_state())
        label = int(y) if 700 < i < 760 else None
        said = learner.step_one(named(x), label)
        if i >= 100:
            assert twin.step_one(named(x), label) == said
    assert same(learner, twin)
    assert twin.signals() == learner.signals()


def test_state_that_no_learner_could_have_is_refused() -> None:
    learner = taught(100)
    good = learner.get_state()
    counts, more = good["counts"].copy(), good["counts"].copy()
    counts[kernels.ACTIVE], more[kernels.WIDTH] = 5, 7
    phase = good["counts"].copy()
    phase[kernels.PHASE] = 9
    for bad in (
        {"first": good["first"] * np.nan},
        {"hidden": good["hidden"] - 5.0},
        {"counts": counts},
        {"counts": more},
        {"counts": phase},
    ):
        with pytest.raises(StateError):
            learner.set_state(good | bad)
    assert all(same_array(good, learner.get_state(), name) for name in good)


@pytest.mark.parametrize("alike", [True, False])
def test_a_hundred_thousand_hostile_events_leave_everything_finite(alike: bool) -> None:
    params: dict[str, Any] = {"inputs": 3, "hidden": 8, "inputs_alike": alike, "conditions": 3}
    learner = HebbianAdaptation(**params, labels_stop_after=5, learning_rate=1.0, gain_rate=1.0)
    draw = np.random.default_rng(13)
    wild: list[Any] = [None, 0.0, 1e308, -1e308, 5e-324, 1.0, -7.5, 1e100, "text"]
    kinds = draw.integers(0, 4, 100_000).tolist()
    picks = draw.integers(0, len(wild), (100_000, 3)).tolist()
    plain = draw.normal(size=(100_000, 3)).tolist()
    for i, kind in enumerate(kinds):
        values = [wild[p] for p in picks[i]] if kind == 0 else plain[i] if kind > 1 else [4.0] * 3
        y = i % 3 if i // 50 % 2 == 0 else None
        x = dict(zip("abc", values, strict=True))
        if i % 100 == 0:
            said = learner.predict(x)
            assert said.score is None or 0.0 <= said.score <= 1.0
            assert all(map(math.isfinite, (said.proba or {}).values()))
            assert all(map(math.isfinite, learner.signals().values()))
        learner.learn_one(x, y)
    state = learner.get_state()
    assert all(np.isfinite(a).all() for a in state.values() if a.dtype.kind == "f")
    HebbianAdaptation(**params, labels_stop_after=5, learning_rate=1.0, gain_rate=1.0).set_state(
        state
    )


def test_parameters_that_make_no_sense_are_refused() -> None:
    for bad in ({"inputs": 0}, {"conditions": 0}, {"statistics_floor": 0.9}, {"balance": -1.0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            HebbianAdaptation(**bad)
