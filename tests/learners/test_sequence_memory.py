"""The temporal memory's published behavior, and sequence memory on whole streams."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from learners.base import InvalidEvent, StateError
from learners.kernels.sequence_step import RESOLUTION
from learners.sequence_memory import SequenceMemory
from learners.temporal_memory import TemporalMemory

Code = NDArray[np.int32]

PAPER: dict[str, Any] = {
    "activation_threshold": 15,
    "matching_threshold": 15,
    "initial_permanence": 0.21,
    "permanence_increment": 0.1,
    "permanence_decrement": 0.1,
    "predicted_decrement": 0.02,
    "new_synapses": 32,
    "max_synapses": 128,
    "max_segments": 8192,
}
SMALL: dict[str, Any] = {
    "columns": 256,
    "active_columns": 16,
    "cells_per_column": 8,
    "activation_threshold": 8,
    "matching_threshold": 6,
    "new_synapses": 12,
    "max_synapses": 16,
    "max_segments": 512,
    "decoder_rows": 256,
}


def codes(n: int, w: int = 41, seed: int = 3) -> list[Code]:
    draw = np.random.default_rng(seed)
    return [np.sort(draw.choice(2048, w, replace=False)).astype(np.int32) for _ in range(n)]


def test_first_presentation_bursts() -> None:
    tm = TemporalMemory(**PAPER)
    assert tm.compute(codes(1)[0]) == 1.0
    assert len(tm.active_cells) == 41 * 32
    assert len(tm.winner_cells) == 41
    assert tm.segments == 0


def test_repeated_sequence_with_resets() -> None:
    tm = TemporalMemory(**PAPER)
    abcd = codes(4)
    rounds = []
    for _ in range(8):
        tm.reset()
        rounds.append([tm.compute(code) for code in abcd])
    assert rounds[:4] == [[1.0] * 4] * 4
    assert rounds[4:] == [[1.0, 0.0, 0.0, 0.0]] * 4


def test_repeated_sequence_without_resets() -> None:
    """The one burst wanders through the sequence, then a loop of twice the length is learned."""
    tm = TemporalMemory(**PAPER)
    abcd = codes(4)
    rounds = [[tm.compute(code) for code in abcd] for _ in range(22)]
    a, b, c, d = np.eye(4).tolist()
    assert rounds[:4] == [[1.0] * 4] * 4
    assert rounds[4:17] == [a, *[b] * 4, *[c] * 4, *[d] * 4]
    assert rounds[17:] == [[0.0] * 4, a, [0.0] * 4, a, [0.0] * 4]


def test_contexts_stay_apart() -> None:
    x, y, a, b, c, d, e = codes(7)
    tm = TemporalMemory(**PAPER)
    in_context = {}
    for _ in range(40):
        for name, sequence in (("d", (x, a, b, c)), ("e", (y, a, b, c))):
            tm.reset()
            for code in sequence:
                tm.compute(code)
            in_context[name] = (set(tm.winner_cells.tolist()), set(tm.predicted_columns.tolist()))
            tm.compute(d if name == "d" else e)
    assert len(in_context["d"][0] & in_context["e"][0]) <= 2
    assert in_context["d"][1] == set(d.tolist())
    assert in_context["e"][1] == set(e.tolist())


def test_killed_cells_neither_predict_nor_drive() -> None:
    a, b, c = codes(3)
    tm = TemporalMemory(**PAPER)
    for _ in range(8):
        tm.reset()
        for code in (a, b, c):
            tm.compute(code)
    tm.reset()
    tm.compute(a, learn=False)
    predictive = tm.predictive_cells.astype(np.int32)
    synapses, dead = tm.synapses, predictive[:15]
    tm.kill_cells(dead)
    assert tm.synapses < synapses
    assert tm.predictive_cells.tolist() == predictive[15:].tolist()
    tm.compute(b, learn=False)
    assert set(tm.predicted_columns.tolist()) == set(c.tolist())
    driven = tm.get_state()["syn_cell"]
    assert not np.isin(driven, dead).any()
    tm.kill_cells(tm.active_cells)
    assert tm.active_cells.size == 0
    assert tm.predictive_cells.size == 0


def test_quality_gate() -> None:
    """20 sequences of 50 codes, 5 learning passes: the gate htm.core sets itself."""
    tm = TemporalMemory(max_synapses=64, max_segments_per_cell=255)
    pool = codes(1000, w=50)
    sequences = [pool[i : i + 50] for i in range(0, 1000, 50)]
    scores = []
    for learning_pass in range(6):
        for sequence in sequences:
            tm.reset()
            for code in sequence:
                score = tm.compute(code, learn=learning_pass < 5)
                if learning_pass == 5:
                    scores.append(score)
    assert np.mean(scores) <= 0.021


@pytest.mark.parametrize(
    ("bridging", "corrupted", "known"),
    [
        (0, "xa?cde", False),
        (1, "xa?cde", True),
        (1, "xab?cde", True),
        (1, "xa??de", False),
        (2, "xa??de", True),
        (2, "xab??cde", True),
        (1, "xacde", False),
        (2, "?abcde", False),
    ],
)
def test_bridging_goes_on_behind_replaced_and_inserted_elements(
    bridging: int, corrupted: str, known: bool
) -> None:
    """The end depends on the start, x or y; a skipped element and a lost start are not made up."""
    code = dict(zip("xyabcdef", codes(8), strict=True))
    noise = iter(codes(4, seed=77))
    tm = TemporalMemory(**PAPER, active_columns=41, bridging=bridging)
    for _ in range(80):
        for sequence in ("xabcde", "yabcdf"):
            tm.reset()
            for symbol in sequence:
                tm.compute(code[symbol])
    assert tm.bridged == 0
    tm.reset()
    for symbol in corrupted[:-1]:
        tm.compute(next(noise) if symbol == "?" else code[symbol])
    predicted = set(tm.predicted_columns.tolist())
    assert (predicted == set(code["e"].tolist())) == known
    assert predicted >= set(code["e"].tolist())
    assert tm.bridged == known


@pytest.mark.parametrize("bridging", [0, 2])
def test_restored_memory_goes_on_alike(bridging: int) -> None:
    params = PAPER | {"columns": 128, "max_segments": 300, "max_segments_per_cell": 3}
    params |= {"activation_threshold": 6, "matching_threshold": 5, "new_synapses": 9}
    params |= {"bridging": bridging}
    tm = TemporalMemory(**params)
    draw = np.random.default_rng(8)
    pool = [np.sort(draw.choice(128, 10, replace=False)).astype(np.int32) for _ in range(12)]

    def step(memory: TemporalMemory, i: int, noise: float) -> float:
        return memory.compute(pool[i % 12 if noise < 0.8 else int(noise * 1000) % 12])

    for i in range(500):
        step(tm, i, draw.random())
    while bridging and len(tm.get_state()["ahead"]) == 0:
        step(tm, int(draw.integers(12)), 0.0)
    twin = TemporalMemory(**params)
    twin.set_state(tm.get_state())
    assert tm.evictions > 0
    for i in range(1000):
        noise = draw.random()
        assert step(tm, i, noise) == step(twin, i, noise)
    for name, array in tm.get_state().items():
        np.testing.assert_array_equal(array, twin.get_state()[name])


def sine(n: int, period: int = 24) -> list[float]:
    return [50.0 + 40.0 * math.sin(2 * math.pi * i / period) for i in range(n)]


def run(learner: SequenceMemory, values: list[float], step_seconds: float = 3600.0) -> list[Any]:
    return [learner.step_one({"v": v}, t=i * step_seconds) for i, v in enumerate(values)]


def test_cycle_is_learned_and_a_break_noticed() -> None:
    learner = SequenceMemory(**SMALL, horizons=(1, 3))
    values = sine(1200)
    values[1100] = 88.0
    predictions = run(learner, values)
    scores = [p.score for p in predictions]
    assert scores[0] == 1.0
    assert np.mean(scores[900:1090]) < 0.2
    assert scores[1100] > 0.3
    for place, horizon in enumerate((1, 3)):
        errors = [
            abs(predictions[i].forecast[place].value - values[i + horizon])
            for i in range(900, 1090)
        ]
        assert np.mean(errors) < 8.0
    assert predictions[1000].expected == {"v": predictions[999].forecast[0].value}


def test_scale_follows_the_spread_of_the_past() -> None:
    learner = SequenceMemory(**SMALL)
    run(learner, [float(v) for v in np.random.default_rng(1).uniform(0, 130, 600)])
    assert learner.signals()["resolution"] == pytest.approx(1.4, rel=0.25)
    run(learner, [float(v) for v in np.random.default_rng(1).uniform(0, 150, 600)])
    assert learner.signals()["resolution"] == pytest.approx(1.4, rel=0.25)
    run(learner, [float(v) for v in np.random.default_rng(1).uniform(0, 1300, 1200)])
    assert learner.signals()["resolution"] == pytest.approx(14.0, rel=0.25)


def test_one_outlier_costs_the_resolution_for_512_events_at_most() -> None:
    learner = SequenceMemory(**SMALL)
    values = [float(v) for v in np.random.default_rng(1).uniform(0, 130, 1200)]
    values[3] = 1e308
    run(learner, values)
    assert learner.signals()["resolution"] == pytest.approx(1.4, rel=0.3)


def test_flat_line_keeps_the_scale() -> None:
    learner = SequenceMemory(**SMALL)
    run(learner, sine(512) + [7.0] * 1536)
    assert learner.signals()["resolution"] == pytest.approx(80 * 1.4 / 130, rel=0.2)


def test_segments_stay_within_the_budget() -> None:
    learner = SequenceMemory(**(SMALL | {"max_segments": 100}))
    run(learner, [float(v) for v in np.random.default_rng(1).normal(size=800)])
    signals = learner.signals()
    assert signals["segments"] <= 100
    assert signals["evictions"] > 0


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ({"w": 1.0}, "expected 'v'"),
        ({"v": "hot"}, "got 'hot'"),
        ({"v": math.inf}, "finite"),
        ({"v": 10**400}, "finite"),
    ],
)
def test_unusable_event_changes_nothing(x: dict[str, Any], words: str) -> None:
    learner = SequenceMemory(**SMALL)
    run(learner, sine(40))
    before = learner.get_state()
    for act in (learner.predict, learner.learn_one, learner.step_one):
        with pytest.raises(InvalidEvent, match=words):
            act(x)
    for name, array in learner.get_state().items():
        np.testing.assert_array_equal(array, before[name])


def test_feature_is_the_only_number_of_the_first_event() -> None:
    with pytest.raises(InvalidEvent, match=r"\['a', 'b'\]"):
        SequenceMemory(**SMALL).step_one({"a": 1.0, "b": 2.0})
    learner = SequenceMemory(**SMALL)
    learner.step_one({"place": "north", "a": 1.0, "b": None})
    learner.step_one({"place": "north", "a": None, "b": 2.0})
    assert bytes(learner.get_state()["feature"]) == b"a"


def test_reset_forgets_context_only() -> None:
    learner = SequenceMemory(**SMALL)
    run(learner, sine(600))
    segments = learner.signals()["segments"]
    learner.reset()
    prediction = learner.step_one({"v": 50.0}, t=0.0)
    assert prediction.score == 1.0
    assert prediction.expected is None
    assert learner.signals()["segments"] >= segments


@pytest.mark.parametrize(
    "params",
    [
        {"activation_threshold": 0},
        {"activation_threshold": 14},
        {"matching_threshold": 9},
        {"new_synapses": 17},
        {"active_columns": 300},
        {"initial_permanence": 0.0},
        {"connected_permanence": 1.5},
        {"eviction": "random"},
        {"value_bits": 100},
        {"horizons": ()},
        {"horizons": (2, 1)},
        {"coverage": 1.0},
        {"seed": -1},
        {"feature": ""},
        {"potential": 0.0},
        {"boost": -1.0},
        {"max_segments": 2**30},
    ],
)
def test_silly_parameters_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"got .*, expected "):
        SequenceMemory(**(SMALL | params))


HOSTILE: list[tuple[str, Any]] = [
    ("memory_syn_cell", 60_000),
    ("memory_seg_cell", 60_000),
    ("memory_seg_n", 17),
    ("memory_active", 2048),
    ("memory_winners", -5),
    ("memory_ahead", -1),
    ("memory_ahead", 2048),
    ("memory_ahead", 7),
    ("memory_free", 3),
    ("memory_scalars", -1),
    ("memory_syn_perm", 0),
    ("forecast_decoder_row", 256),
    ("forecast_decoder_edges", 0.0),
    ("forecast_intervals_error", math.nan),
    ("forecast_seasons_ring", math.inf),
    ("forecast_head_weight", math.nan),
    ("pooler_flipped", 2**64 - 1),
    ("state", math.inf),
    ("ring", math.nan),
    ("seen", -1),
    ("feature", 255),
]


@pytest.mark.parametrize(("name", "entry"), HOSTILE)
def test_hostile_snapshot_is_refused(name: str, entry: Any) -> None:
    learner = SequenceMemory(**SMALL)
    draw = np.random.default_rng(5)
    run(learner, [*sine(200), *draw.normal(50, 30, 150).tolist(), *sine(100)])
    before = learner.get_state()
    bad = {key: array.copy() for key, array in before.items()}
    if not len(bad[name]):
        bad[name] = np.array([entry], bad[name].dtype)
    bad[name][...] = entry
    with pytest.raises(StateError):
        learner.set_state(bad)
    for key, array in learner.get_state().items():
        np.testing.assert_array_equal(array, before[key])


def test_scale_reads_no_later_value() -> None:
    values = sine(100)
    short, long = SequenceMemory(**SMALL), SequenceMemory(**SMALL)
    run(short, values)
    scores = [p.score for p in run(long, [*values, 1e6, -1e6])]
    assert scores[:100] == [p.score for p in run(SequenceMemory(**SMALL), values)]
    assert short._scale.state[RESOLUTION] == pytest.approx(80 * 1.4 / 130, rel=0.3)
