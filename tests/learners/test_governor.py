"""The governor on streams of losses made up for it, each with one thing that it must tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.base import StateError
from learners.governor import LEARN, PAUSE, PROBE, STATE, Act, Governor

SMALL = {"canary_every": 5, "block_losses": 100}
Loss = Callable[[float, bool, bool], float]
"""The mean loss after so many blocks, of a canary or not, while paused or not."""


def run(
    governor: Governor, loss: Loss, blocks: float, seed: int = 0, start: float = 0.0
) -> Iterator[tuple[int, Act]]:
    draw = np.random.default_rng(seed)
    for i in range(int(blocks * governor.block_losses)):
        at = start + i / governor.block_losses
        mean = loss(at, governor.is_canary, governor.paused)
        act = governor.take(mean * (0.5 + draw.random()))
        if act is not Act.NOTHING:
            yield i, act


def learns_by_heart(at: float, canary: bool, paused: bool) -> float:
    if paused:
        return 0.6
    return 0.6 + 0.05 * at if canary else 1.0 / (1.0 + at)


def generalizes(at: float, canary: bool, paused: bool) -> float:
    return 0.05 + 1.0 / (1.0 + at)


def moves(at: float, canary: bool, paused: bool) -> float:
    return 0.5 / (1.0 + at) if at < 10 else 2.0


def state(governor: Governor) -> int:
    return int(governor.counts[STATE])


def test_what_is_learned_by_heart_is_paused_and_its_best_comes_back() -> None:
    governor = Governor(**SMALL)
    acts = list(run(governor, learns_by_heart, 15))
    assert acts[-1][1] is Act.RESTORE
    assert all(act is Act.KEEP for _, act in acts[:-1])
    assert governor.paused
    assert governor.signals()["pauses"] == 1
    assert governor.signals()["canary_loss"] == pytest.approx(0.6, abs=0.1)
    assert 0.2 < governor.saved < 0.9


@pytest.mark.parametrize("loss", [generalizes, moves, lambda at, canary, paused: 1.0])
def test_what_should_not_pause_does_not_but_by_a_rare_chance(loss: Loss) -> None:
    pauses = 0.0
    for seed in range(20):
        governor = Governor(**SMALL)
        list(run(governor, loss, 40, seed))
        pauses += governor.signals()["pauses"]
    assert pauses <= 1


def test_weights_from_before_a_drift_do_not_come_back() -> None:
    def drifts(at: float, canary: bool, paused: bool) -> float:
        """Generalizes, is struck by a drift, and then learns by heart."""
        if at < 10:
            return generalizes(at, canary, paused)
        return 2.0 + 0.02 * at if canary or at < 13 else 2.0 / (at - 12)

    for seed in range(10):
        governor = Governor(**SMALL)
        acts = list(run(governor, drifts, 30, seed))
        after = [act for i, act in acts if i >= 10 * governor.block_losses]
        assert after[0] is Act.KEEP
        assert Act.RESTORE in after


def paused_governor(probe_blocks: int = 20) -> Governor:
    governor = Governor(**SMALL, probe_blocks=probe_blocks)
    for _, act in run(governor, learns_by_heart, 60):
        if act is Act.RESTORE:
            return governor
    raise AssertionError("it never paused")


def test_a_leap_is_noticed_within_a_block() -> None:
    governor = paused_governor()
    list(run(governor, lambda *_: 0.6, 4))
    assert governor.paused
    list(run(governor, lambda *_: 2.0, 0.5))
    assert not governor.paused
    assert governor.signals()["resumes"] == 1


def test_a_leap_right_after_the_pause_is_noticed_too() -> None:
    governor = paused_governor()
    list(run(governor, lambda *_: 2.0, 0.5))
    assert not governor.paused


def test_what_creeps_is_noticed_in_blocks() -> None:
    governor = paused_governor(probe_blocks=0)
    list(run(governor, lambda *_: 0.6, 5))
    assert governor.paused
    list(run(governor, lambda at, *_: 0.6 + 0.01 * at, 15))
    assert not governor.paused


def test_another_detector_resumes_it() -> None:
    governor = paused_governor()
    governor.drifted()
    assert not governor.paused
    governor.drifted()
    assert governor.signals()["resumes"] == 1


def test_a_probe_without_gain_is_taken_back_and_the_next_one_waits_longer() -> None:
    governor = paused_governor(probe_blocks=6)
    acts = list(run(governor, lambda *_: 0.6, 21))
    ends = [i // governor.block_losses for i, act in acts if act is Act.RESTORE]
    assert ends == [8]
    assert state(governor) == PROBE
    assert governor.signals()["probes"] == 2


def test_a_probe_that_gains_is_kept() -> None:
    governor = paused_governor(probe_blocks=6)
    acts = list(run(governor, lambda at, canary, paused: 0.6 if paused else 0.2, 10))
    assert [act for _, act in acts if act is Act.RESTORE] == []
    assert state(governor) == LEARN


def test_it_never_probes_when_told_not_to() -> None:
    governor = paused_governor(probe_blocks=0)
    list(run(governor, lambda *_: 0.6, 100))
    assert state(governor) == PAUSE


def test_it_resumes_bit_exact() -> None:
    for blocks in (0, 3.3, 12):
        first, second = Governor(**SMALL), Governor(**SMALL)
        list(run(first, learns_by_heart, blocks))
        second.set_state(first.get_state())
        again = [
            list(run(each, learns_by_heart, 12, seed=5, start=blocks)) for each in (first, second)
        ]
        assert again[0] == again[1]
        for name, array in first.get_state().items():
            assert array.tobytes() == second.get_state()[name].tobytes()


def test_clear_begins_anew_and_keeps_the_counts() -> None:
    governor = paused_governor()
    saved = governor.saved
    governor.clear()
    assert not governor.paused
    assert (governor.saved, governor.signals()["pauses"]) == (saved, 1)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_arrays_from_a_stranger(data: st.DataObject) -> None:
    governor = Governor(**SMALL)
    list(run(governor, learns_by_heart, data.draw(st.sampled_from([0, 2, 11]))))
    good, bad = governor.get_state(), governor.get_state()
    array = bad[data.draw(st.sampled_from(sorted(bad)))].reshape(-1)
    at = data.draw(st.integers(0, array.size - 1))
    if array.dtype == np.float64:
        array[at] = data.draw(st.floats())
    else:
        array[at] = data.draw(st.integers(0, int(np.iinfo(array.dtype).max) // 4))
    try:
        governor.set_state(bad)
    except StateError:
        assert all(a.tobytes() == good[n].tobytes() for n, a in governor.get_state().items())
        return
    for _ in range(2):
        list(run(governor, learns_by_heart, 4))
        for loss in (math.inf, -math.inf, math.nan, 1e308):
            governor.take(loss)
        assert all(map(math.isfinite, governor.signals().values()))
        governor.set_state(governor.get_state())


@pytest.mark.parametrize(
    "bad",
    [
        {"canary_every": 1},
        {"block_losses": 99},
        {"rise": 0.0},
        {"resume": math.inf},
        {"probe_blocks": -1},
        {"correlation": 1.0},
    ],
)
def test_parameters_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(bad))}: got"):
        Governor(**bad)  # type: ignore[arg-type]
