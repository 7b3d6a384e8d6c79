"""Each learning rule against its slow twin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from learners.base import StateError
from learners.kernels import network as dense
from learners.plastic.body import Body
from learners.plastic.network import PlasticNetwork
from learners.plastic.rule import Floats
from tests import naive as naive_random
from tests import naive_network as net
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
        ({"rule": "counter_current", "hidden": ()}, "1..4 layers"),
        ({"rule": "curl_descent", "rule_params": {"where": "x"}}, "where"),
        ({"rule": "noprop", "rule_params": {"blocks": 1}}, "blocks"),
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


def test_counter_currents_learn_from_where_they_meet() -> None:
    sizes = (5, 6, 4, 3)
    spec = SMALL | {"hidden": (6, 4), "rule": "counter_current", "rate": 0.1}
    body = PlasticNetwork(**spec, rule_params={"clip": 2.0}).body
    clips = 0
    for seed in range(30):
        x, y = event(seed)
        theta, flat = body.theta.copy(), body.rule.arrays["back"].copy()
        backs = [flat[:24].reshape(4, 6).T, flat[24:].reshape(3, 4).T]
        forward, feedback = naive.counter_current(theta, backs, sizes, x, y)
        feedback_flat = np.concatenate([each.T.ravel() for each in feedback])
        body.learn(x, y)
        for got, start, gradient in (
            (body.theta, theta, forward),
            (body.rule.arrays["back"], flat, feedback_flat),
        ):
            norm = float(np.linalg.norm(gradient))
            clips += norm > 2.0
            ref = start - 0.1 * gradient * min(1.0, 2.0 / norm)
            np.testing.assert_allclose(got, ref, rtol=1e-8, atol=1e-12)
    assert 0 < clips < 60
    signals = body.signals()
    assert 0.0 < signals["counter_current_forward_clips"] < 1.0
    assert -1.0 <= signals["counter_current_alignment"] <= 1.0
    refuses(body, "counter_current_back", 0, np.inf)


def test_blocks_are_taught_apart_and_answer_in_a_chain() -> None:
    body = body_of("noprop", 0.1, blocks=3)
    arrays, pace = body.rule.arrays, body.rule.work["pace"]
    for seed in range(20):
        x, y = event(seed)
        given = np.zeros(3)
        for t in range(3):
            part = (arrays["inward"][t], arrays["offsets"][t], arrays["outward"][t])
            _, said = naive.block(*part, x, given)
            given = pace[t, 2] * said + pace[t, 3] * given
        np.testing.assert_allclose(body.look(x), said, rtol=1e-10)
        random = Random(int(body.rng[0]))
        ref = []
        for t in range(3):
            noise = np.array([random.normal() for _ in range(3)])
            label = pace[t, 0] * np.eye(3)[y] + pace[t, 1] * noise
            part = (arrays["inward"][t], arrays["offsets"][t], arrays["outward"][t])
            ref.append(naive.taught(part, x, label, y, 0.1))
        body.learn(x, y)
        for t in range(3):
            for name, want in zip(("inward", "offsets", "outward"), ref[t], strict=True):
                np.testing.assert_allclose(arrays[name][t], want, rtol=1e-9, atol=1e-12)
    assert 0.0 <= body.signals()["noprop_agreement"] <= 1.0
    refuses(body, "noprop_inward", 0, np.nan)
    refuses(body, "noprop_losses", 0, -1.0)


def test_the_course_of_labels_keeps_signal_and_noise_together() -> None:
    pace = body_of("noprop", blocks=4).rule.work["pace"]
    np.testing.assert_allclose(pace[:, 0] ** 2 + pace[:, 1] ** 2, 1.0)
    assert (np.diff(pace[:, 0]) > 0.0).all()
    # A block that is right of a label without noise passes on the next label without noise.
    after = np.append(pace[1:, 0], np.sqrt(0.98))
    np.testing.assert_allclose(pace[:, 2] + pace[:, 3] * pace[:, 0], after)


class Random(naive_random.Random):
    """The generator of the kernels, with normal numbers."""

    def normal(self) -> float:
        one = ((self.next_u64() >> 11) + 1) * 2.0**-53
        other = (self.next_u64() >> 11) * 2.0**-53
        return math.sqrt(-2 * math.log(one)) * math.cos(2 * math.pi * other)


def test_pushed_units_tell_the_slope_of_the_loss() -> None:
    sizes = (5, 6, 4, 3)
    spec = SMALL | {"hidden": (6, 4), "rule": "node_perturbation", "rate": 0.1}
    body = PlasticNetwork(**spec, rule_params={"directions": 2, "by": 1e-3}).body
    for seed in range(10):
        x, y = event(seed)
        random, theta = Random(int(body.rng[0])), body.theta.copy()
        ref = np.zeros(13)
        for _ in range(2):
            bits = random.next_u64()
            signs = np.array([1.0 if bits >> j & 1 else -1.0 for j in range(13)])
            up = naive.pushed_loss(theta, sizes, x, y, 1e-3 * signs)
            down = naive.pushed_loss(theta, sizes, x, y, -1e-3 * signs)
            ref += (up - down) / 2e-3 * signs / 2
        loss = body.update(x, y)
        assert loss == pytest.approx(naive.pushed_loss(theta, sizes, x, y, np.zeros(13)))
        np.testing.assert_allclose(body.post[0], ref, rtol=1e-6, atol=1e-9)
    refuses(body, "node_perturbation_gauges", 0, np.nan)


def test_many_directions_come_to_the_gradient() -> None:
    # Many units need several words of signs.
    params: dict[str, Any] = {"rule": "node_perturbation", "rule_params": {"directions": 1_000}}
    body = PlasticNetwork(**SMALL | {"hidden": (70,)}, **params).body
    x, y = event(1)
    body.rule.learn(body, x, y)
    errs = np.zeros(73)
    body.theta[:] = PlasticNetwork(**SMALL | {"hidden": (70,)}, **params).body.theta
    body.look(x)
    dense.backward(body.theta, body.layout, True, body.acts, y, errs)
    # Units that are silent have no slope but take part in the noise.
    cosine = float(errs @ body.post[0] / np.linalg.norm(errs) / np.linalg.norm(body.post[0]))
    assert cosine > 0.9


@pytest.mark.parametrize("where", ["readout", "hidden"])
def test_curled_steps_have_some_signs_turned(where: str) -> None:
    spec = SMALL | {"hidden": (6, 4), "rule": "curl_descent", "rate": 0.1}
    body = PlasticNetwork(**spec, rule_params={"where": where, "flipped": 0.5}).body
    signs = body.rule.arrays["signs"]
    assert (signs < 0).sum() == (2 if where == "readout" else 5)
    for seed in range(10):
        x, y = event(seed)
        theta = body.theta.copy()
        step = net.layers(net.gradient(theta, (5, 6, 4, 3), True, x, y), (5, 6, 4, 3))
        if where == "readout":
            step[2] = (step[2][0] * signs[6:], step[2][1])
        else:
            step[0] = (step[0][0] * signs[:6, None], step[0][1] * signs[:6])
            step[1] = (step[1][0] * signs[6:, None], step[1][1] * signs[6:])
        body.learn(x, y)
        np.testing.assert_allclose(body.theta, theta - 0.1 * net.flat(step), atol=1e-12)
    assert 0.0 < body.signals()["curl_descent_curl_share"] < 1.0
    refuses(body, "curl_descent_signs", 0, 0.5)


def test_curl_can_keep_the_norm_of_each_layer() -> None:
    body = body_of("curl_descent", 0.5, keep_norm=True)
    norms = [np.linalg.norm(w) for w, _ in net.layers(body.theta, SIZES)]
    for seed in range(10):
        body.learn(*event(seed))
    assert [np.linalg.norm(w) for w, _ in net.layers(body.theta, SIZES)] == pytest.approx(norms)


def test_bidirectional_steps_go_down_both_losses() -> None:
    sizes = (5, 6, 4, 3)
    spec = SMALL | {"hidden": (6, 4), "rule": "bidirectional", "rate": 0.1}
    body = PlasticNetwork(**spec, rule_params={"weight": 0.5}).body
    for seed in range(4):
        x, y = event(seed)
        theta, downward = body.theta.copy(), body.rule.arrays["downward"].copy()
        slope = np.zeros(len(theta) + len(downward))
        for k in range(len(slope)):
            ends = []
            for by in (1e-6, -1e-6):
                moved = np.concatenate([theta, downward])
                moved[k] += by
                ends.append(
                    naive.making_loss(moved[: len(theta)], moved[len(theta) :], sizes, x, y)
                )
            slope[k] = (ends[0] - ends[1]) / 2e-6
        body.learn(x, y)
        ref = theta - 0.1 * (net.gradient(theta, sizes, True, x, y) + 0.5 * slope[: len(theta)])
        np.testing.assert_allclose(body.theta, ref, atol=1e-8)
        ref = downward - 0.05 * slope[len(theta) :]
        np.testing.assert_allclose(body.rule.arrays["downward"], ref, atol=1e-8)
    assert body.signals()["bidirectional_reconstruction_error"] > 0.0
    refuses(body, "bidirectional_downward", 0, np.nan)


@pytest.mark.parametrize("one_way", [False, True])
@pytest.mark.parametrize("bend", [0.0, 3.0])
def test_pulses_move_devices_as_often_as_steps_ask_for(one_way: bool, bend: float) -> None:
    params = {"levels": 20, "bend": bend, "span": 2.0, "one_way": one_way}
    body = body_of("discrete_conductance", 0.3, **params)
    arrays = body.rule.arrays
    refreshed = 0.0
    for seed in range(150):
        x, y = event(seed % 40)
        random, theta = Random(int(body.rng[0])), body.theta.copy()
        pairs = np.stack([arrays["plus"], arrays["minus"]])
        gradient = naive.gradient_of(theta, SIZES, x, y)
        ref, pulses = pairs.copy(), 0
        biases = [*range(30, 36), *range(54, 57)]
        for k in set(range(57)) - set(biases):
            wanted = 0.3 * gradient[k] / (2.0 / 20 * (1 if one_way else 2))
            if wanted != 0.0 and (random.next_u64() >> 11) * 2.0**-53 < abs(wanted):
                pair = (float(pairs[0, k]), float(pairs[1, k]))
                ref[:, k] = naive.pulsed(pair, wanted < 0, 20, bend, one_way)
                pulses += 1
        body.learn(x, y)
        assert body.rule.work["counted"][0] == pulses
        refreshed += body.rule.work["counted"][1]
        got = np.stack([arrays["plus"], arrays["minus"]])
        np.testing.assert_allclose(got, ref, rtol=1e-10, atol=1e-12)
        want = 2.0 * (got[0] - got[1])
        want[biases] = (theta - 0.3 * gradient)[biases]
        np.testing.assert_allclose(body.theta, want, rtol=1e-10, atol=1e-12)
    assert (refreshed > 0) == one_way
    assert body.signals()["discrete_conductance_pulses"] > 0.0
    refuses(body, "discrete_conductance_plus", 0, 1.5)
    if bend == 0.0:
        refuses(body, "discrete_conductance_minus", 0, 0.52)


def test_spiking_units_win_and_are_scaled_back() -> None:
    params = {"steps": 20, "threshold": 0.2, "rise": 0.05, "class_rate": 0.5}
    body = body_of("symmetric_stdp", 0.1, **params)
    arrays = body.rule.arrays
    fired = 0.0
    for seed in range(30):
        x, y = event(seed)
        random = Random(int(body.rng[0]))
        spikes = [
            np.array([v > 0 and (random.next_u64() >> 11) * 2.0**-53 < 0.5 * v for v in x], float)
            for _ in range(20)
        ]
        twin = naive.Spiking(arrays["inward"], arrays["offsets"], 0.95, 0.2)
        counts = twin.present(spikes, False, 0.0, 0.0, 0.5)
        drive = counts @ arrays["outward"]
        ref = drive / drive.sum() if drive.sum() else np.full(3, 1 / 3)
        np.testing.assert_allclose(body.look(x), ref, rtol=1e-10)
        assert (twin.inward == arrays["inward"]).all()
        outward = arrays["outward"].copy()
        counts = twin.present(spikes, True, 0.1, 0.05, 0.5)
        body.learn(x, y)
        np.testing.assert_allclose(arrays["inward"], twin.inward, rtol=1e-10)
        np.testing.assert_allclose(arrays["offsets"], twin.offsets, rtol=1e-10)
        if counts.any():
            grown = np.minimum(outward[:, y] + 0.5 * counts, 8.0)
            outward[:, y] = grown * 4.8 / grown.sum()
        np.testing.assert_allclose(arrays["outward"], outward, rtol=1e-10)
        np.testing.assert_allclose(arrays["inward"].sum(axis=0), 0.5, atol=1e-9)
        fired += counts.sum()
    assert fired > 50
    assert body.signals()["symmetric_stdp_sum_error"] < 1e-9
    refuses(body, "symmetric_stdp_inward", 0, -0.1)
    refuses(body, "symmetric_stdp_offsets", 0, np.nan)


def test_log_weights_are_sampled_from_parts_of_weights_alone() -> None:
    spec: dict[str, Any] = {"inputs": 40, "hidden": (60,), "rule": "exponentiated_gradient"}
    body = PlasticNetwork(**spec).body
    plus = body.rule.arrays["plus"]
    some = [float(each) for each in plus[:: len(plus) // 1_024] if each > 0.0]
    assert 1_000 < len(some) < len(plus) / 2
    told = body.signals()["exponentiated_gradient_log_mean"]
    assert told == pytest.approx(np.mean(np.log(some)))
