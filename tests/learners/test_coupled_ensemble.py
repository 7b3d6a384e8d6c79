"""Replicas that learn different samples of a stream and draw each other along."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from learners.base import InvalidEvent, StateError
from learners.coupled_ensemble import CHANCES, CoupledEnsemble, laplacian
from learners.homeostatic import Homeostatic
from learners.kernels import coupling as kernels
from tests import naive_coupling as naive
from tests.learners.test_contract import same

REPLICA: dict[str, Any] = {
    "kind": "homeostatic",
    "inputs": 3,
    "hidden": (6,),
    "classes": 3,
    "rule": "constant",
}


def events(n: int, seed: int = 3) -> list[tuple[dict[str, float], str]]:
    draw = np.random.default_rng(seed)
    points = draw.normal(size=(n, 2))
    return [({"a": float(a), "b": float(b)}, "in" if a * b > 0 else "out") for a, b in points]


@pytest.mark.parametrize("topology", ["all", "ring", "star"])
def test_coupling_is_that_of_its_twin(topology: str) -> None:
    draw = np.random.default_rng(1)
    weights, before = draw.normal(size=(2, 5, 7))
    mixing = np.eye(5) - 0.1 * laplacian(topology, 5)
    ref = naive.couple(weights, before, mixing)
    spreads = np.zeros(2)
    kernels.couple(weights, before, mixing, np.zeros(5), spreads)
    np.testing.assert_allclose(before, ref[0])
    np.testing.assert_allclose(spreads, ref[1])


def test_a_graph_draws_together_and_leaves_the_mean() -> None:
    for topology in ("all", "ring", "star"):
        graph = laplacian(topology, 6)
        assert np.array_equal(graph, graph.T)
        np.testing.assert_allclose(graph.sum(0), 0.0, atol=1e-15)
        assert np.linalg.eigvalsh(graph)[1] > 0.1
    assert np.linalg.eigvalsh(laplacian("star", 6))[-1] == pytest.approx(6.0)
    assert np.linalg.eigvalsh(laplacian("ring", 6))[-1] == pytest.approx(4.0)


def test_each_learns_as_often_as_poisson_says() -> None:
    ensemble = CoupledEnsemble(REPLICA, replicas=64, seed=5)
    for x, y in events(3):
        ensemble.learn_one(x, y)
    times = []
    for _ in range(400):
        times += ensemble._times({"a": 1.0, "b": 1.0}, "in")
        ensemble._events += 1
    shares = np.bincount(times, minlength=7) / len(times)
    expected = np.diff([0.0, *CHANCES])
    np.testing.assert_allclose(shares[:6], expected, atol=0.01)


def test_full_coupling_makes_all_alike() -> None:
    ensemble = CoupledEnsemble(REPLICA, replicas=4, coupling=1.0)
    for x, y in events(200):
        ensemble.learn_one(x, y)
    first, *others = (member.weights()[0] for member in ensemble._members)
    assert all(np.allclose(first, other, atol=1e-12) for other in others)
    assert ensemble.signals()["disagreement"] < 1e-20
    assert ensemble.signals()["steps_spread"] > 0.0


def test_coupling_keeps_the_weights_closer_together() -> None:
    disagreements = []
    for coupling in (0.0, 0.02, 0.2):
        ensemble = CoupledEnsemble(REPLICA, replicas=6, coupling=coupling)
        for x, y in events(600):
            ensemble.learn_one(x, y)
        disagreements.append(ensemble.signals()["disagreement"])
    assert disagreements[0] > 2 * disagreements[1] > 8 * disagreements[2]
    assert "expected_disagreement" not in CoupledEnsemble(coupling=0.0).signals()


@pytest.mark.parametrize("topology", ["all", "ring", "star"])
def test_steps_that_know_nothing_of_each_other_spread_weights_as_the_closed_form_says(
    topology: Any,
) -> None:
    n, draw, found = 6, np.random.default_rng(7), []
    ensemble = CoupledEnsemble(REPLICA, replicas=n, coupling=0.1, topology=topology)
    before, column, spreads = np.zeros((n, 2_000)), np.zeros(n), np.zeros(2)
    for step in range(300):
        weights = before + draw.normal(size=before.shape)
        kernels.couple(weights, before, ensemble._mixing, column, spreads)
        if step > 100:
            found.append(spreads[1] / spreads[0])
    assert ensemble._gain == pytest.approx(np.mean(found), rel=0.02)


def test_the_mean_is_better_than_one() -> None:
    right = []
    for learner in (
        Homeostatic(**{name: value for name, value in REPLICA.items() if name != "kind"}),
        CoupledEnsemble(REPLICA, replicas=8, coupling=0.0),
    ):
        right.append(sum(learner.step_one(x, y).label == y for x, y in events(800)))
    assert right[1] > right[0]


def test_what_is_new_is_learned_by_all_so_that_places_agree() -> None:
    ensemble = CoupledEnsemble(REPLICA | {"inputs": 6, "classes": 6}, replicas=5)
    for i in range(6):
        ensemble.learn_one({"a": 1.0, f"n{i}": 2.0, "color": f"c{i % 2}"}, i)
    states = [member.get_state() for member in ensemble._members]
    for name in ("inputs_names", "labels"):
        assert all(np.array_equal(state[name], states[0][name]) for state in states)


def test_an_event_that_cannot_be_learned_changes_nothing() -> None:
    ensemble = CoupledEnsemble(REPLICA, replicas=2)
    for x, y in events(50):
        ensemble.learn_one(x, y)
    before = ensemble.get_state()
    for _ in range(40):  # Whichever of the two would learn it, and also when none would.
        ensemble._events += 1
        with pytest.raises(InvalidEvent):
            ensemble.learn_one({"a": float("inf"), "b": 0.0}, "in")
        with pytest.raises(InvalidEvent):
            ensemble.learn_label({"a": float("nan"), "b": 0.0}, "in")
    ensemble._events -= 40
    assert same(ensemble.get_state(), before)


def test_a_label_that_comes_later_teaches() -> None:
    at_once, later = (CoupledEnsemble(REPLICA, replicas=3) for _ in range(2))
    for x, y in events(100):
        at_once.learn_one(x, y)
        later.learn_label(x, y)
        later.follow_one(x)
    assert at_once.predict_proba_one({"a": 1.0, "b": 1.0}) == later.predict_proba_one(
        {"a": 1.0, "b": 1.0}
    )


def test_replicas_that_do_not_belong_together_are_refused() -> None:
    ensemble = CoupledEnsemble(REPLICA, replicas=2)
    for x, y in events(20):
        ensemble.learn_one(x, y)
    state = ensemble.get_state()
    other = CoupledEnsemble(REPLICA, replicas=2)
    for x, _ in events(20):
        other.learn_one(x, "else")
    bad = state | {"r1_labels": other.get_state()["r1_labels"]}
    with pytest.raises(StateError, match="other names or labels"):
        ensemble.set_state(bad)
    with pytest.raises(StateError, match="beside what is known"):
        ensemble.set_state(state | {"r2_labels": state["r1_labels"]})
    assert same(ensemble.get_state(), state)


def test_what_no_replica_could_learn_stays_new() -> None:
    """Names without a number or a label give no place, whatever an ensemble has heard of."""
    ensemble = CoupledEnsemble(REPLICA | {"inputs": 8, "standardize": False}, replicas=6)
    ensemble.learn_one({"c": 1.0, "a": None, "b": None}, "u")
    for name in ("a", "b", "d", "e", "f", "g"):
        ensemble.learn_one({name: 1.0}, None)
        ensemble.learn_label({name: 1.0}, "u")
    states = [member.get_state() for member in ensemble._members]
    assert all(np.array_equal(s["inputs_names"], states[0]["inputs_names"]) for s in states)
    CoupledEnsemble(REPLICA | {"inputs": 8, "standardize": False}, replicas=6).set_state(
        ensemble.get_state()
    )


@pytest.mark.parametrize("label", [float("nan"), float("inf"), 10**400])
def test_a_label_that_is_none_is_refused(label: float) -> None:
    ensemble = CoupledEnsemble(REPLICA, replicas=2)
    for x, y in events(9):
        ensemble.learn_one(x, y)
    before = ensemble.get_state()
    with pytest.raises(InvalidEvent, match="finite"):
        ensemble.learn_one({"a": 1.0}, label)
    assert same(ensemble.get_state(), before)


@pytest.mark.parametrize(
    "bad", [{"events": np.array([2**62])}, {"means": np.array([np.inf, 0.0])}], ids=["n", "means"]
)
def test_a_state_that_would_not_last_is_refused(bad: dict[str, Any]) -> None:
    ensemble = CoupledEnsemble(REPLICA, replicas=2)
    with pytest.raises(StateError, match=next(iter(bad))):
        ensemble.set_state(ensemble.get_state() | bad)


@pytest.mark.parametrize(
    "params",
    [{"rule": "noprop"}, {"options": {"group_sparsity": {}}}, {"options": {"fast_slow": {}}}],
    ids=str,
)
def test_weights_that_something_else_goes_with_are_not_averaged(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="by changing its weights alone"):
        CoupledEnsemble({"kind": "plastic_network", "hidden": (8,), **params})


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"coupling": 0.3, "topology": "ring"}, "to 0.25 for 8 replicas and 'ring'"),
        ({"coupling": 1.5}, "to 1 for"),
        ({"coupling": 0.2, "topology": "star"}, "to 0.125"),
        ({"coupling": 1e-18}, "1e-06 to 1 for"),
        ({"replicas": 1}, "2..64"),
        ({"topology": "tree"}, "all | ring | star"),
        ({"learner": {"kind": "river"}}, "homeostatic"),
        ({"learner": {"kind": "homeostatic", "rate": -1.0}}, "rate"),
    ],
)
def test_what_makes_no_sense_is_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("|", r"\|")):
        CoupledEnsemble(**params)
