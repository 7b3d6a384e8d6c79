"""Laws of the sequence memory: bounded for ever, hard to make forget, restored to the bit."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.kernels import bits, inverted_lists, segments
from learners.kernels.dendrites import activate_dendrites
from learners.kernels.temporal_memory import predicted_cells
from learners.sequence_memory import SequenceMemory
from learners.temporal_memory import TemporalMemory
from tests.learners.test_kernels import SMALL, check_lists, twin_of
from tests.learners.test_sequence_memory import PAPER, Code, codes
from tests.learners.test_sequence_memory import SMALL as SMALL_LEARNER

few = settings(max_examples=25, deadline=None)


def learn_noise(learner: SequenceMemory, records: int, chunks: int) -> list[tuple[float, int]]:
    """Return seconds of the thread and bytes held, after each part of the records."""
    draw, out = np.random.default_rng(6), []
    for chunk in range(chunks):
        values = draw.normal(size=records // chunks).tolist()
        first = chunk * len(values)
        begun = time.thread_time()
        for i, value in enumerate(values, first):
            learner.step_one({"v": value}, t=300.0 * i)
        out.append((time.thread_time() - begun, learner.held_bytes()))
    return out


@pytest.mark.parametrize(
    ("records", "params"),
    [(30_000, SMALL_LEARNER), pytest.param(1_000_000, {}, marks=pytest.mark.long)],
)
def test_random_records_stay_in_the_budget_and_keep_their_speed(
    records: int, params: dict[str, Any]
) -> None:
    learner = SequenceMemory(**params)
    budget = learner.max_segments
    chunks = learn_noise(learner, records, chunks=15)
    signals = learner.signals()
    assert signals["segments"] == budget
    assert signals["evictions"] > 0.2 * budget
    assert max(held for _, held in chunks) <= SequenceMemory.memory_bytes(**params)
    (early, held), (late, held_late) = (
        (statistics.median(s for s, _ in part), part[-1][1]) for part in (chunks[3:9], chunks[9:])
    )
    assert held_late < 1.15 * held
    assert late < 3.0 * early


def recall(memory: TemporalMemory, sequences: list[list[Code]]) -> float:
    """Return the mean share of unpredicted columns after the first element, learning nothing."""
    scores = []
    for sequence in sequences:
        memory.reset()
        scores += [memory.compute(code, learn=False) for code in sequence][1:]
    return float(np.mean(scores))


@pytest.mark.parametrize(
    ("eviction", "keeps"), [("least_useful", True), ("least_recently_used", False)]
)
def test_noise_does_not_wipe_out_what_was_learned(eviction: str, keeps: bool) -> None:
    memory = TemporalMemory(**PAPER | {"max_segments": 4_096, "eviction": eviction})
    pool = codes(60)
    sequences = [pool[i : i + 15] for i in range(0, 60, 15)]
    for _ in range(15):
        for sequence in sequences:
            memory.reset()
            for code in sequence:
                memory.compute(code)
    assert recall(memory, sequences) < 0.02
    for code in codes(1_000, seed=77):
        memory.compute(code)
    assert memory.evictions > 5 * memory.max_segments
    assert (recall(memory, sequences) < 0.1) == keeps


def test_restored_learner_goes_on_alike_for_ten_thousand_records() -> None:
    learner = SequenceMemory(max_segments=3_000, horizons=(1, 5))
    draw = np.random.default_rng(12)
    values = 50 + 40 * np.sin(np.arange(12_000) / 7.6) + draw.normal(size=12_000)
    steps = [({"v": value}, 1_800.0 * i) for i, value in enumerate(values.tolist())]
    for x, t in steps[:2_000]:
        learner.step_one(x, t=t)
    twin = SequenceMemory(max_segments=3_000, horizons=(1, 5))
    twin.set_state(learner.get_state())
    for x, t in steps[2_000:]:
        assert learner.step_one(x, t=t) == twin.step_one(x, t=t)
    assert learner.signals()["evictions"] > 0
    ref, got = learner.get_state(), twin.get_state()
    assert ref.keys() == got.keys()
    for name, array in ref.items():
        np.testing.assert_array_equal(got[name], array)


@few
@given(
    params=st.fixed_dictionaries(
        {
            "cells_per_column": st.sampled_from([1, 3, 4, 33]),
            "max_synapses": st.integers(5, 9),
            "predicted_decrement": st.sampled_from([0.0, 0.02, 0.2]),
            "permanence_decrement": st.sampled_from([0.0, 0.05, 0.3]),
            "max_segments_per_cell": st.sampled_from([1, 3, 255]),
            "max_segments": st.sampled_from([12, 40, 2048]),
            "eviction": st.sampled_from(["least_useful", "least_recently_used"]),
        }
    ),
    seed=st.integers(0, 2**32),
    events=st.lists(st.integers(0, 7), min_size=20, max_size=120),
)
def test_temporal_memory_equals_its_twin(
    params: dict[str, Any], seed: int, events: list[int]
) -> None:
    params = SMALL | params
    tm = TemporalMemory(**params, seed=seed)
    twin = twin_of(tm, params["eviction"], seed)
    draw = np.random.default_rng(seed)
    known = [np.sort(draw.choice(16, draw.integers(1, 9), replace=False)) for _ in range(7)]
    for event in events:
        if event == 7:
            tm.reset()
            twin.reset()
            continue
        columns = known[event].astype(np.int32)
        ref = twin.compute(columns.tolist(), learn=True)
        got = tm.compute(columns)
        assert got == ref
        assert tm.active_cells.tolist() == twin.active
        assert tm.winner_cells.tolist() == twin.winners
        owners = {twin.segments[slot].cell for slot in twin.predicting}
        assert tm.predictive_cells.tolist() == sorted(owners)
    assert (tm.segments, tm.evictions) == (len(twin.segments), twin.evictions)
    assert int(tm.arrays.rng[0]) == twin.random.state
    check_lists(tm)


@few
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_predicted_cells_equal_their_twin(seed: int, per_column: int) -> None:
    tm = TemporalMemory(**SMALL | {"cells_per_column": 70})
    draw = np.random.default_rng(seed)
    columns = np.sort(draw.choice(16, 5, replace=False)).astype(np.int32)
    predicted = sorted({int(c) for c in draw.integers(0, 16 * 70, draw.integers(0, 25))})
    for cell in predicted:
        bits.set_bit(tm.arrays.is_predicted, cell)
    by_column = [[c for c in predicted if c // 70 == column] for column in columns]
    ref = sorted(c for own in by_column if len(own) <= per_column for c in own)
    cells = np.zeros(5 * per_column, np.int32)
    hits, n = predicted_cells(tm.arrays, columns, cells, per_column)
    assert hits == sum(bool(own) for own in by_column)
    assert cells[:n].tolist() == ref


@few
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 299)), max_size=300))
def test_inverted_lists(pairs: list[tuple[int, int]]) -> None:
    """A pair that is there is dropped, any other is added."""
    tm = TemporalMemory(columns=5, cells_per_column=1, max_segments=300)
    tm.arrays = segments.Memory(**tm._allocate(300, 200))
    ref: set[tuple[int, int]] = set()
    for cell, slot in pairs:
        change = segments.unlink if (cell, slot) in ref else segments.link
        change(tm.arrays, cell, slot)
        ref ^= {(cell, slot)}
    potential = Counter(slot for _, slot in ref)
    for cell in range(5):
        bits.set_bit(tm.arrays.is_active, cell)
        tm.arrays.active[cell] = cell
    tm.arrays.counts[[segments.ACTIVE, segments.SLOTS]] = 5, 300
    activate_dendrites(tm.arrays, False)
    got = tm.arrays.potential[:300]
    assert got.tolist() == [potential[slot] for slot in range(300)]
    used = tm.arrays.counts[inverted_lists.BLOCKS] - tm.arrays.counts[inverted_lists.FREE_BLOCKS]
    lists = Counter(cell for cell, _ in ref)
    assert used == sum(-(-n // inverted_lists.BLOCK) for n in lists.values())


@few
@given(st.sets(st.integers(0, 199)), st.integers(0, 199), st.integers(0, 64))
def test_bits(members: set[int], start: int, n: int) -> None:
    n = min(n, 200 - start)
    words = np.zeros(200 // 64 + 2, np.uint64)
    for i in members:
        bits.set_bit(words, i)
    ref = sum(1 << i for i in range(n) if start + i in members)
    got = int(bits.bits_from(words, start, n))
    assert got == ref
    assert bits.any_bit(words, start, start + n) == (ref != 0)
    assert bits.lowest_bit(np.uint64(got)) == ((ref & -ref).bit_length() - 1 if ref else 64)
    assert [bits.has_bit(words, i) for i in range(200)] == [int(i in members) for i in range(200)]
    for i in members:
        bits.clear_bit(words, i)
    assert not words.any()
