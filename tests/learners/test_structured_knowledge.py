"""Structured knowledge: the papers' identity and run, and what the indicator guards against."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.images import digits
from benchmarks.knowledge_batch import LAYERS, Chain, flow_peaks, read_out
from learners.base import Features, Prediction, StateError
from learners.indicators.structured_knowledge import StructuredKnowledge
from learners.kernels import structured_knowledge as kernels
from tests import naive_knowledge as naive

Floats = NDArray[np.float64]


def binary_entropy(D: Floats) -> Floats:
    return np.asarray(-(D * np.log2(D) + (1 - D) * np.log2(1 - D)))


def test_summed_steps_are_binary_entropy() -> None:
    sweep = np.linspace(-8.0, 8.0, 10_001).reshape(-1, 1, 1)
    z, D = np.empty((1, 1)), np.empty((1, 1))
    decisions = []
    for x in sweep:
        kernels.forward(x, np.ones((1, 1)), np.zeros(1), math.inf, z, D)
        decisions.append(D.copy())
    at_end, midway = [0.0], [0.0]
    for i in range(1, len(sweep)):
        middle = (sweep[i] + sweep[i - 1]) / 2
        for sums, at in ((at_end, sweep[i]), (midway, middle)):
            sums.append(sums[-1] + kernels.entropy_step(at, decisions[i], decisions[i - 1]))
    expected = binary_entropy(np.ravel(decisions))
    expected -= expected[0]
    assert np.abs(np.array(at_end) - expected).max() < 2e-3
    assert np.abs(np.array(midway) - expected).max() < 1e-6


def test_a_chain_is_the_same_as_the_twin() -> None:
    x = np.random.default_rng(3).random((20, 6)) * (np.arange(6) != 2)
    chain = Chain(x, (5, 4, 3), rate=0.05, seed=2)
    weights = [each.W.copy() for each in chain.layers]
    ref = naive.batch_run(x, weights, [each.b for each in chain.layers], 0.05, steps=30)
    got = [said for _ in range(30) if (said := chain.step())]
    assert len(got) == 29
    for (entropy, alignment, flow), step in zip(got, ref, strict=True):
        np.testing.assert_allclose(entropy, step.entropy, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(alignment, step.alignment, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(flow, step.flow, rtol=1e-9, atol=1e-12)


@pytest.fixture(scope="module")
def batch() -> tuple[Floats, NDArray[np.int64]]:
    images = digits()
    return images.x[:300], images.y[:300]


def test_time_is_rate_times_steps(batch: tuple[Floats, NDArray[np.int64]]) -> None:
    coarse = np.array(flow_peaks(batch[0], 0.01, 130, seed=0)[:3])
    fine = np.array(flow_peaks(batch[0], 0.005, 260, seed=0)[:3])
    assert coarse[1] < coarse[2] < coarse[0] < 130
    assert np.all(np.abs(fine * 0.005 / (coarse * 0.01) - 1) < 0.1)


def test_more_learning_takes_away_what_tells_classes_apart(
    batch: tuple[Floats, NDArray[np.int64]],
) -> None:
    x, y = batch
    chain = Chain(x, LAYERS, 0.02, seed=0)
    found = {}
    for steps in (1, 150):
        while chain.steps < steps:
            chain.step()
        third = chain.decisions(x)[2]
        found[steps] = read_out(third[:200], y[:200], third[200:], y[200:])
    assert found[1] > 0.7
    assert found[150] < 0.4


def feed(indicator: StructuredKnowledge, events: list[Features]) -> list[dict[str, float]]:
    said = []
    for x in events:
        indicator.update(Prediction(), x)
        said.append(dict(indicator.signals()))
    return said


def named(rows: list[list[float]]) -> list[Features]:
    return [{f"f{i}": value for i, value in enumerate(row)} for row in rows]


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(
        st.lists(st.floats(-1e3, 1e3).map(lambda v: round(v, 3)), min_size=3, max_size=3),
        min_size=1,
        max_size=40,
    ),
    horizon=st.sampled_from([0.5, 3.0, 30.0]),
    decay=st.sampled_from([0.0, 0.1]),
)
def test_events_are_the_same_as_the_twin(
    rows: list[list[float]], horizon: float, decay: float
) -> None:
    params: dict[str, Any] = {"learning_rate": 0.3, "horizon": horizon, "decay": decay}
    indicator = StructuredKnowledge(neurons=4, max_features=3, clip=7.0, **params)
    first, seen, got = indicator._layer.W.copy(), [], []
    for x in named(rows):
        indicator.update(Prediction(), x)
        seen.append(indicator._inputs.vector.copy())
        got.append(dict(indicator.signals()))
    ref = naive.events_run(seen, first, 0.3, horizon, decay, clip=7.0)
    for said, expected in zip(got, ref, strict=True):
        for name, value in expected.items():
            assert said[f"knowledge_{name}"] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_learning_alone_is_told_from_a_change_of_input() -> None:
    indicator = StructuredKnowledge(horizon=1e-3, max_features=2)
    rows: list[Features] = [{"a": 1.0, "b": 3.0}, {"a": 2.0, "b": 1.0}, {"a": 4.0, "b": 1.0}] * 5
    said = feed(indicator, rows)
    assert said[1]["knowledge_entropy_step"] != 0.0
    assert said[1]["knowledge_flow"] > 0.0
    assert all(each["knowledge_flow"] == 0.0 for each in said[2:])
    assert all(each["knowledge_input_entropy"] != 0.0 for each in said[2:])
    assert said[-1]["knowledge_elapsed"] == 1e-3


def test_an_unusual_event_stands_out() -> None:
    draw = np.random.default_rng(1)
    usual = named(draw.normal(0, 1, (500, 4)).tolist())
    indicator = StructuredKnowledge()
    values = []
    for x in [*usual, *named([[9.0, -9.0, 9.0, -9.0]])]:
        indicator.update(Prediction(), x)
        values.append(indicator.value())
    assert values[:21] == [None] * 21
    told = [each for each in values if each is not None]
    assert len(told) == 480
    assert told[-1] > max(told[100:-1])


def test_a_lasting_change_begins_the_layer_anew() -> None:
    draw = np.random.default_rng(5)
    indicator = StructuredKnowledge(learning_rate=0.01)
    first = indicator.get_state()["W"]
    drifts = []
    for mean in (0.0, 6.0):
        for x in named((mean + draw.normal(0, 1, (3_000, 4))).tolist()):
            indicator.update(Prediction(), x)
            drifts += [(mean, each) for each in indicator.drifts()]
            if indicator.drifts():
                assert indicator.signals()["knowledge_elapsed"] == 0.0
                np.testing.assert_array_equal(indicator.get_state()["W"], first)
    assert drifts
    assert drifts[0][0] == 6.0
    assert (drifts[0][1].detector, drifts[0][1].watch) == ("structured_knowledge", "knowledge_norm")
    assert drifts[0][1].size > 0.0
    assert indicator.signals()["knowledge_begun"] == 1.0 + len(drifts)


def test_knowledge_stays_within_clip() -> None:
    indicator = StructuredKnowledge(learning_rate=1.0, horizon=1_000.0, max_features=4)
    said = feed(indicator, named(np.random.default_rng(2).normal(0, 1, (900, 4)).tolist()))
    assert said[-1]["knowledge_saturated_share"] > 0.5
    assert max(each["knowledge_norm"] for each in said) <= 6.0 * math.sqrt(32) + 1e-9


def test_events_without_numbers_change_nothing() -> None:
    indicator = StructuredKnowledge(max_features=3)
    feed(indicator, named([[1.0, 2.0], [2.0, 1.0]]))
    before = indicator.get_state()
    feed(indicator, [{}, {"f0": None}, {"f0": math.nan, "f1": math.inf}])
    after = indicator.get_state()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


@pytest.mark.parametrize(
    "params",
    [
        {"neurons": 0},
        {"learning_rate": 0.0},
        {"horizon": 0.0},
        {"decay": 1.0},
        {"clip": 0.5},
        {"memory_events": 1},
        {"max_features": 0},
        {"seed": -1},
    ],
)
def test_silly_parameters_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"got .*, expected "):
        StructuredKnowledge(**params)


@pytest.mark.parametrize(
    ("name", "entry"), [("W", math.nan), ("z_after", 6.1), ("D_before", 1.1), ("counts", -1)]
)
def test_hostile_snapshot_is_refused(name: str, entry: float) -> None:
    indicator = StructuredKnowledge(max_features=2)
    feed(indicator, named([[1.0, 2.0], [2.0, 1.0]]))
    bad = indicator.get_state()
    bad[name].reshape(-1)[0] = entry
    with pytest.raises(StateError):
        indicator.set_state(bad)
