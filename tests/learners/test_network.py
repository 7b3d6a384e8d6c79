"""The dense network: its kernels against matrices, its gradient against differences, its speed."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.kernels import network as kernels
from learners.network import Network, draw_weights, layout_of, parameters_of
from tests import naive_network as naive

SIZES = ((3, 2), (5, 4, 3), (4, 7, 6, 2), (1, 3, 2, 5, 4))
several = pytest.mark.parametrize("sizes", SIZES, ids=str)
both = pytest.mark.parametrize("relu", [False, True], ids=("elu", "relu"))


def event(sizes: tuple[int, ...], seed: int) -> tuple[naive.Floats, int]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=sizes[0]) * (draw.random(sizes[0]) < 0.7)
    return x, int(draw.integers(sizes[-1]))


@several
@both
def test_says_and_steps_as_matrices_do(sizes: tuple[int, ...], relu: bool) -> None:
    network = Network(sizes, relu)
    network.draw(3)
    for seed in range(20):
        x, y = event(sizes, seed)
        before = network.theta.copy()
        ref = naive.outputs(naive.layers(before, sizes), relu, x)[-1]
        got = network.probabilities(x)
        np.testing.assert_allclose(got, ref, rtol=1e-12)
        loss = network.step(x, y, 0.1)
        assert loss == pytest.approx(naive.loss(before, sizes, relu, x, y), rel=1e-12)
        ref = before - 0.1 * naive.gradient(before, sizes, relu, x, y)
        np.testing.assert_allclose(network.theta, ref, rtol=1e-11, atol=1e-14)


@several
@both
def test_gradient_is_the_slope_of_the_loss(sizes: tuple[int, ...], relu: bool) -> None:
    network = Network(sizes, relu)
    network.draw(1)
    x, y = event(sizes, 8)
    network.theta += np.random.default_rng(2).normal(0.0, 0.1, network.theta.shape)
    start = network.theta.copy()
    network.step(x, y, 1.0)
    got = start - network.theta
    for k in range(len(start)):
        up, down = start.copy(), start.copy()
        up[k] += 1e-6
        down[k] -= 1e-6
        rise = naive.loss(up, sizes, relu, x, y) - naive.loss(down, sizes, relu, x, y)
        assert got[k] == pytest.approx(rise / 2e-6, rel=1e-5, abs=1e-8)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=12))
def test_probabilities_of_any_logits_are_finite(logits: list[float]) -> None:
    out = np.array(logits)
    kernels.softmax(out)
    assert np.isfinite(out).all()
    assert out.sum() == pytest.approx(1.0)


def test_weights_come_from_the_seed_alone() -> None:
    sizes = (400, 30, 7)
    first = draw_weights(layout_of(sizes), 5)
    assert first.shape == (parameters_of(sizes),)
    assert (first == draw_weights(layout_of(sizes), 5)).all()
    assert (first != draw_weights(layout_of(sizes), 6)).any()
    (weights, biases), _ = naive.layers(first, sizes)
    assert weights.std() == pytest.approx((2 / 400) ** 0.5, rel=0.05)
    assert not biases.any()


def test_learns_what_a_linear_one_cannot() -> None:
    network = Network((2, 8, 2))
    network.draw(0)
    corners = [(np.array([a, b]), int(a != b)) for a in (0.0, 1.0) for b in (0.0, 1.0)]
    for _ in range(2000):
        for x, y in corners:
            network.step(x, y, 0.1)
    assert all(int(network.probabilities(x).argmax()) == y for x, y in corners)


def test_wrong_shapes_are_refused() -> None:
    network = Network((3, 2))
    with pytest.raises(ValueError, match="x: got"):
        network.step(np.zeros(4), 0, 0.1)
    with pytest.raises(ValueError, match=r"y: got 2, expected 0\.\.1"):
        network.step(np.zeros(3), 2, 0.1)
    for sizes in ((3,), (3, 0, 2)):
        with pytest.raises(ValueError, match="sizes"):
            Network(sizes)


def test_an_event_is_cheap() -> None:
    network = Network((784, 128, 10))
    network.draw(0)
    x = np.random.default_rng(0).random(784)
    network.step(x, 1, 0.01)
    taken = []
    for _ in range(200):
        begun = time.perf_counter()
        network.step(x, 1, 0.01)
        taken.append(time.perf_counter() - begun)
    assert min(taken) < 500e-6
