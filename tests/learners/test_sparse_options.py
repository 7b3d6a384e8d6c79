"""Options that leave units or weights out: which, and that the rest is as without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from learners.base import StateError
from learners.plastic.body import Body
from learners.plastic.network import PlasticNetwork
from learners.plastic.option import Floats, Option
from learners.plastic.options.dynamic_pruning import holding
from tests import naive_network as net

SIZES = (8, 12, 6, 3)
Layers = list[Floats]


def network(name: str, **params: Any) -> tuple[Body, Option]:
    learner = PlasticNetwork(
        8, 3, hidden=(12, 6), standardize=False, rate=0.05, options={name: params}, seed=4
    )
    return learner.body, learner.body.options[name]


def event(seed: int) -> tuple[Floats, int]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=8), int(draw.integers(3))


def layer_outputs(body: Body, x: Floats, masks: Layers) -> Layers:
    """Return what each layer puts out where units are set to 0."""
    out, read = [], x
    for layer, (weights, biases) in enumerate(net.layers(body.theta, SIZES)):
        read = weights @ read + biases
        if layer < 2:
            read = np.maximum(read, 0.0) * masks[layer]
        out.append(read)
    return out


def predicted(option: Option, body: Body, x: Floats) -> Layers:
    masks: Layers = []
    for layer in range(2):
        read = x if layer == 0 else layer_outputs(body, x, [*masks, np.ones(6)])[0]
        a, b, c = (option.arrays[f"{name}_{layer}"] for name in "abc")
        masks.append((a @ b @ read + c >= 0.0).astype(float))
    return masks


@pytest.mark.parametrize(("mass", "wanted"), [(0.5, [2]), (0.8, [2, 0]), (1.0, [2, 0, 3])])
def test_the_fewest_units_hold_a_share(mass: float, wanted: list[int]) -> None:
    ref = np.zeros(4)
    ref[wanted] = 1.0
    assert (holding(np.array([3.0, 0.0, 6.0, 1.0]), mass) == ref).all()
    assert not holding(np.zeros(4), mass).any()


def test_units_that_are_not_expected_are_0_in_answers() -> None:
    body, option = network("dynamic_pruning", mass=0.6, rank=4, mask_rate=0.5)
    plain = PlasticNetwork(8, 3, hidden=(12, 6), standardize=False, rate=0.05, seed=4).body
    left_out = 0
    for seed in range(300):
        x, y = event(seed)
        masks = predicted(option, body, x)
        logits = layer_outputs(body, x, masks)[-1]
        ref = np.exp(logits - logits.max())
        np.testing.assert_allclose(body.look(x), ref / ref.sum(), rtol=1e-9)
        left_out += 18 - int(masks[0].sum() + masks[1].sum())
        body.learn(x, y)
        plain.learn(x, y)
    assert (body.theta == plain.theta).all()
    assert left_out > 300
    signals = body.signals()
    assert 0.05 < signals["dynamic_pruning_kept_share"] < 0.9
    assert signals["dynamic_pruning_recall"] > 0.5
    assert signals["dynamic_pruning_precision"] > 0.5
    assert signals["dynamic_pruning_products_share"] > 0.0


def test_masks_in_learning_leave_their_units_alone() -> None:
    body, option = network("dynamic_pruning", mass=0.5, rank=4, mask_rate=0.5, in_learning=True)
    for seed in range(200):
        body.learn(*event(seed))
    x, y = event(999)
    masks = predicted(option, body, x)
    before = net.layers(body.theta, SIZES)
    body.learn(x, y)
    after = net.layers(body.theta, SIZES)
    silent = masks[0] == 0.0
    assert silent.any()
    assert (after[0][0][silent] == before[0][0][silent]).all()
    assert (after[1][0][:, silent] == before[1][0][:, silent]).all()
    assert (after[0][0] != before[0][0]).any()


def test_a_predictor_steps_down_its_logistic_loss() -> None:
    body, option = network("dynamic_pruning", rank=3, mask_rate=0.1)
    for seed in range(5):
        body.learn(*event(seed))
    x, y = event(50)
    a, b, c = (option.arrays[f"{name}_0"].copy() for name in "abc")
    active = layer_outputs(body, x, [np.ones(12), np.ones(6)])[0]
    error = 1.0 / (1.0 + np.exp(-(a @ b @ x + c))) - holding(active, 0.95)
    body.learn(x, y)
    inner = b @ x
    ref = (
        a - 0.1 * np.outer(error, inner) / (1.0 + inner @ inner),
        b - 0.1 * np.outer(a.T @ error, x) / (1.0 + x @ x),
        c - 0.1 * error,
    )
    for name, want in zip("abc", ref, strict=True):
        np.testing.assert_allclose(option.arrays[f"{name}_0"], want, rtol=1e-9, atol=1e-14)


def test_groups_are_whole_and_the_rest_is_nearly_empty() -> None:
    body, option = network("group_sparsity", groups=2, between=0.0, rewire_every=0)
    first = option.arrays["mask"][: 8 * 12].reshape(8, 12)
    assert first[:4, :6].all()
    assert first[4:, 6:].all()
    assert first.sum() == 48
    for seed in range(50):
        body.learn(*event(seed))
    weights = body.theta[: 8 * 12].reshape(8, 12)
    assert not weights[~first].any()
    assert weights[first].all()
    assert body.signals()["group_sparsity_density"] == 0.5
    assert body.signals()["group_sparsity_inside_share"] == 1.0


def test_the_weakest_weights_make_room_for_the_most_correlated() -> None:
    body, option = network("group_sparsity", groups=2, between=0.1, rewire_every=80, replaced=0.1)
    moments, products = np.zeros((2, 8 + 12 + 6)), np.zeros((8, 12))
    for seed in range(80):
        x, y = event(seed)
        if seed == 79:
            mask = option.arrays["mask"][: 8 * 12].reshape(8, 12).copy()
        hidden = layer_outputs(body, x, [np.ones(12), np.ones(6)])
        body.learn(x, y)
        if (seed + 1) % 8 == 0:
            off = np.concatenate([x, hidden[0], hidden[1]]) - moments[0]
            moments[0] += 0.02 * off
            moments[1] += 0.02 * (off * off - moments[1])
            products = 0.98 * products + 0.02 * np.outer(off[:8], off[8:20])
    likely = np.abs(products) / np.sqrt(np.outer(moments[1, :8], moments[1, 8:20]))
    now = option.arrays["mask"][: 8 * 12].reshape(8, 12)
    grown, gone = now & ~mask, mask & ~now
    count = int(0.1 * mask.sum())
    assert (grown.sum(), gone.sum(), now.sum()) == (count, count, mask.sum())
    assert likely[grown].min() > likely[~now & ~mask].max() - 1e-6
    assert not body.theta[: 8 * 12].reshape(8, 12)[gone].any()
    signals = body.signals()
    assert signals["group_sparsity_rewired"] == count + int(0.1 * option.arrays["mask"][96:].sum())
    assert 0.0 < signals["group_sparsity_grown_correlation"] <= 1.0


def test_what_is_told_of_groups_is_counted_from_the_weights_there_are() -> None:
    body, option = network("group_sparsity", groups=2, between=0.2, rewire_every=20, replaced=0.3)
    fresh, _ = network("group_sparsity", groups=2, between=0.9, rewire_every=20, replaced=0.3)
    for seed in range(45):
        body.learn(*event(seed))
        fresh.set_state(body.get_state())
        layers = [option.arrays["mask"][:96].reshape(8, 12), option.arrays["mask"][96:]]
        layers[1] = layers[1].reshape(12, 6)
        inside = sum(
            mask[: len(mask) // 2, : mask.shape[1] // 2].sum()
            + mask[len(mask) // 2 :, mask.shape[1] // 2 :].sum()
            for mask in layers
        )
        held = option.arrays["mask"].sum()
        for each in (body, fresh):
            assert each.signals()["group_sparsity_density"] == held / len(option.arrays["mask"])
            assert each.signals()["group_sparsity_inside_share"] == inside / held


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("dynamic_pruning", {"mass": 0.0}, "mass: got 0.0"),
        ("dynamic_pruning", {"rank": 0}, "rank: got 0"),
        ("dynamic_pruning", {"mask_rate": 0.0}, "mask_rate: got 0.0"),
        ("group_sparsity", {"groups": 0}, "groups: got 0"),
        ("group_sparsity", {"between": 1.5}, "between: got 1.5"),
        ("group_sparsity", {"rewire_every": -1}, "rewire_every: got -1"),
        ("group_sparsity", {"replaced": 0.9}, "replaced: got 0.9"),
    ],
)
def test_wrong_parameters_are_refused(name: str, params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        network(name, **params)


@pytest.mark.parametrize(
    ("name", "array", "value"),
    [
        ("dynamic_pruning", "a_0", np.nan),
        ("dynamic_pruning", "gauges", 2.0),
        ("group_sparsity", "moments", np.inf),
        ("group_sparsity", "products", np.nan),
        ("group_sparsity", "gauges", -1.0),
    ],
)
def test_a_state_that_cannot_have_come_about_is_refused(
    name: str, array: str, value: float
) -> None:
    learner = PlasticNetwork(8, 3, hidden=(4,), options={name: {}})
    state = learner.get_state()
    state[f"{name}_{array}"].flat[0] = value
    with pytest.raises(StateError, match=array):
        learner.set_state(state)
