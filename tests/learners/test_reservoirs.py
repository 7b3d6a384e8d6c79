"""What reservoirs share: their kernels against twins, and the read-out taught online."""

from __future__ import annotations

import math

import numpy as np
import pytest

from learners.base import StateError
from learners.kernels import reservoir as kernels
from learners.reservoirs.readout import Readout
from tests import naive_reservoir as naive


@pytest.mark.parametrize("seed", [1, 2])
def test_rates_same_as_the_twin(seed: int) -> None:
    draw = np.random.default_rng(seed)
    others = np.array([draw.choice(9, 3, replace=False) for _ in range(9)])
    weights, W_in = draw.normal(size=(9, 3)), draw.normal(size=(9, 4))
    bias, leaks = draw.normal(size=9), draw.random(9)
    body, after, f = draw.normal(size=(5, 9)), np.zeros((5, 9)), np.zeros(14)
    u = draw.normal(size=4)
    kernels.step_rates(others, weights, W_in, bias, leaks, u, 3, body, after, f)
    W = naive.dense(others, weights)
    ref = naive.step_rates(W, W_in[:, :3], bias, leaks, body[0], u[:3])
    np.testing.assert_allclose(after[0], ref, rtol=1e-12)
    np.testing.assert_allclose(f[:13], [*ref, 1.0, *u[:3]], rtol=1e-12)
    assert f[13] == 0.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_spikes_same_as_the_twin(seed: int) -> None:
    draw = np.random.default_rng(seed)
    others = np.array([draw.choice(12, 4, replace=False) for _ in range(12)])
    weights, W_in = draw.normal(size=(12, 4)) * 0.5, draw.normal(size=(12, 3))
    body, after, f = np.zeros((5, 12)), np.zeros((5, 12)), np.zeros(25)
    W = naive.dense(others, weights).T
    total = 0
    for _ in range(10):
        u = draw.normal(size=3) * (draw.random(3) > 0.3)
        got = kernels.step_spikes(others, weights, W_in, 0.4, u, 3, 5, body, after, f)
        ref, count = naive.step_spikes(W, W_in, 0.4, u, 5, body)
        np.testing.assert_allclose(after, ref, atol=1e-12)
        np.testing.assert_allclose(f, [*30 * ref[3], *30 * ref[4], 1.0], atol=1e-12)
        assert got == pytest.approx(count / 60)
        body[:] = after
        total += count
    assert total > 20


def test_currents_same_as_the_twin() -> None:
    draw = np.random.default_rng(5)
    sources = np.array([draw.choice(8, 3, replace=False) for _ in range(8)])
    weights, W_in, W_back = (draw.normal(size=(8, n)) for n in (3, 2, 2))
    r, u, back, pinned = (draw.normal(size=n) for n in (8, 2, 2, 5))
    got, x, state = np.zeros(8), draw.normal(size=8), np.zeros(8)
    kernels.drive(sources, weights, W_in, W_back, pinned, 2, r, back, u, got)
    ref = naive.currents(naive.dense(sources, weights), W_back, W_in, r, back, u)
    ref[:2] += pinned[2:4] - (naive.dense(sources, weights) @ r)[:2]
    np.testing.assert_allclose(got, ref, rtol=1e-12)
    moved = x + 0.1 * (got - x)
    kernels.relax(x, got, 0.1, state)
    np.testing.assert_allclose(x, moved, rtol=1e-12)
    np.testing.assert_allclose(state, np.tanh(moved), rtol=1e-12)


@pytest.mark.parametrize("forgetting", [1.0, 0.95])
def test_recursive_least_squares_come_to_the_solution(forgetting: float) -> None:
    draw = np.random.default_rng(6)
    F, targets = draw.normal(size=(60, 7)), draw.normal(size=(60, 2))
    readout = Readout("rls", 9, 3, ridge=2.0, forgetting=forgetting)
    for row, target in zip(F, targets, strict=True):
        f = np.concatenate([row, [5.0, 5.0]])
        readout.teach(f, 7, target - readout.read(f, 7, 2))
    ref = naive.least_squares(F, targets, forgetting, 2.0)
    np.testing.assert_allclose(readout.W[:7, :2], ref, rtol=1e-8)
    assert readout.P is not None
    assert (readout.P == readout.P.T).all()
    assert not readout.W[7:].any()


def test_forgetting_without_anything_new_does_not_grow_without_end() -> None:
    readout = Readout("rls", 3, 1, ridge=1.0, forgetting=0.9)
    for _ in range(2_000):
        readout.teach(np.array([1.0, 0.0, 0.0]), 3, np.array([0.1]))
    assert readout.P is not None
    assert np.isfinite(readout.P).all()
    assert np.trace(readout.P) <= kernels.MOST_TRACE * 3 * 1.01
    readout.P[:] = -5.0
    readout.teach(np.array([1.0, 2.0, 0.5]), 3, np.array([0.1]))
    assert np.linalg.eigvalsh(readout.P).min() > 0.0


def test_normalized_steps() -> None:
    readout = Readout("delta", 3, 2, rate=0.5)
    f = np.array([1.0, 2.0, 0.0])
    readout.teach(f, 3, np.array([6.0, 0.0]))
    np.testing.assert_allclose(readout.W[:, 0], 0.5 / 6.0 * 6.0 * f)
    assert readout.last_step == pytest.approx(0.5 / 6.0 * math.sqrt(5.0))
    assert readout.mean_variance() == 0.0
    softmax = Readout("softmax", 3, 4)
    assert softmax.read(f, 3, 2).tolist() == [0.5, 0.5]
    assert softmax.read(f, 3, 0).tolist() == []


def test_strange_states_of_read_outs_are_refused() -> None:
    readout = Readout("rls", 3, 2)
    good = readout.get_state()
    for name, value in (("W", math.nan), ("W", 1e13), ("P", math.inf)):
        with pytest.raises(StateError):
            readout.check_state(good | {name: np.full_like(good[name], value)})
