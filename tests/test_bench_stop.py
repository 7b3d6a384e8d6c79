"""The stopping benchmark: arms meet the same events, and what it says can be read by a program."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import stop_stream
from benchmarks.stop_network import fresh, judge, train_batch
from benchmarks.stop_stream import BLOCK, AlwaysLearn, PlainRule, Setting
from learners.governor import Act
from service.cli import main


def naive_step(w: list[np.ndarray], x: np.ndarray, y: np.ndarray, rate: float) -> list[np.ndarray]:
    W1, b1, W2, b2 = w
    h = np.maximum(x @ W1.T + b1, 0)
    z = h @ W2.T + b2
    p = np.exp(z - z.max(1, keepdims=True))
    e2 = (p / p.sum(1, keepdims=True) - np.eye(len(b2))[y]) / len(x)
    e1 = e2 @ W2 * (h > 0)
    gradients = (e1.T @ x, e1.sum(0), e2.T @ h, e2.sum(0))
    return [each - rate * g for each, g in zip(w, gradients, strict=True)]


def test_a_step_equals_its_slow_twin() -> None:
    rng = np.random.default_rng(1)
    w = fresh(rng, 6, 5, 3)
    x, y = rng.random((9, 6)), rng.integers(0, 3, 9)
    ref = naive_step([each.copy() for each in w], x, y, 0.3)
    before = judge(w, x, y)[0]
    train_batch(w, x, y, 0.3)
    for got, want in zip(w, ref, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-15)
    assert judge(w, x, y)[0] < before


def test_the_plain_rule_pauses_and_resumes() -> None:
    gate, acts = PlainRule(), []
    for i in range(16 * BLOCK):
        canary, block = i % 10 == 9, i // BLOCK
        worse = 2.0 if gate.paused else 0.5 + 0.1 * block
        acts.append(gate.take(worse if canary else 1 / (1 + block)))
    assert gate.paused
    assert acts.count(Act.RESTORE) == 1
    for _ in range(5 * BLOCK):
        gate.take(2.1)  # Within four deviations.
    assert gate.paused
    for _ in range(BLOCK):
        gate.take(5.0)
    assert not gate.paused


def test_every_arm_meets_the_same_events() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.random((60, 8)), rng.integers(0, 10, 60)
    setting = Setting(pool=20, noise=0.2, drift=500, events=1_000)
    runs = {arm: stop_stream.run(x, y, 3, setting, arm) for arm in stop_stream.ARMS}
    # Nothing can pause within one block, so all arms did the same.
    assert {(r.trained, r.end, r.overall) for r in runs.values()} == {
        (0.9, runs["governor"].end, runs["governor"].overall)
    }
    assert runs["governor"].resumed_after == 0
    assert AlwaysLearn().take(1.0) is Act.NOTHING


@pytest.mark.long
def test_bench_stop(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "stop", "--quick"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["epochs"]["none"]["epoch"]["mean"] == 20
    assert len(found["streams"]) == 3
    assert found["acceptance"] == []
