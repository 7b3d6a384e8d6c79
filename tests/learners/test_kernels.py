"""Every kernel against its slow twin."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.binary_pooler import BinaryPooler
from learners.kernels import lanes, segments
from learners.kernels import likelihood as likelihood_kernels
from learners.kernels import random as random_kernels
from learners.kernels import rolling as rolling_kernels
from learners.kernels.bits import add_bits, first_bits, popcount, set_bit
from learners.kernels.inverted_lists import BLOCKS, FREE_BLOCKS
from learners.kernels.jit import njit
from learners.kernels.sorting import sort_first
from learners.kernels.spatial_pooler import move_permanences, pooler_learn
from learners.spatial_pooler import SpatialPooler
from learners.temporal_memory import TemporalMemory
from tests import naive

words = st.integers(0, 2**64 - 1)
quick = settings(max_examples=50, deadline=None)


@quick
@given(words, st.integers(1, 2**32 - 1))
def test_random(seed: int, n: int) -> None:
    rng = np.array([seed], np.uint64)
    twin = naive.Random(seed)
    for _ in range(5):
        ref = twin.next_u64()
        got = int(random_kernels.next_u64(rng))
        assert got == ref
        assert int(random_kernels.below(rng, n)) == twin.below(n)


@quick
@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**63 - 1))
def test_hash64(index: int, seed: int) -> None:
    ref = naive.hash64(index, seed)
    got = int(random_kernels.hash64(index, seed))
    assert got == ref


def test_bounded_integers_are_uniform() -> None:
    rng = np.array([7], np.uint64)
    seen = Counter(int(random_kernels.below(rng, 3)) for _ in range(3000))
    assert all(900 < seen[i] < 1100 for i in range(3))


@quick
@given(words)
def test_popcount(word: int) -> None:
    ref = word.bit_count()
    got = int(popcount(np.uint64(word)))
    assert got == ref


@njit
def mask_in(words: Any, cells: Any, start: int) -> Any:
    return lanes.lanes_in(words, cells, start)


@njit
def mask_from(row: Any, start: int, least: int) -> Any:
    return lanes.lanes_from(row, start, least)


@njit
def moved(row: Any, start: int, up: Any, plus: int, down: Any, minus: int) -> Any:
    return lanes.move_lanes(row, start, up, plus, down, minus)


def lanes_of(mask: Any) -> list[int]:
    return [i for i in range(64) if int(mask) >> i & 1]


@pytest.mark.parametrize("kind", [np.uint16, np.uint32])
@quick
@given(st.sets(st.integers(0, 299)), st.integers(0, 24), st.integers(0, 2**32))
def test_lanes_in(kind: type[Any], members: set[int], start: int, seed: int) -> None:
    bits = np.zeros(300 // 64 + 2, np.uint64)
    for i in members:
        set_bit(bits, i)
    cells = np.random.default_rng(seed).integers(0, 300, 40).astype(kind)
    ref = [i for i in range(16) if cells[start + i] in members]
    got = lanes_of(mask_in(bits, cells, start))
    assert got == ref


@pytest.mark.parametrize(("kind", "room"), [(np.uint8, 64), (np.uint16, 16)])
@quick
@given(st.integers(0, 24), st.integers(1, 255), st.integers(0, 2**32))
def test_lanes_from(kind: type[Any], room: int, start: int, least: int, seed: int) -> None:
    row = np.random.default_rng(seed).integers(0, 256, 24 + room).astype(kind)
    ref = [i for i in range(room) if row[start + i] >= least]
    got = lanes_of(mask_from(row, start, least))
    assert got == ref


@quick
@given(
    st.lists(st.integers(0, 65_535), min_size=40, max_size=40),
    st.integers(0, 24),
    st.tuples(st.integers(0, 65_535), st.integers(0, 65_535)),
    st.tuples(st.integers(0, 65_535), st.integers(0, 65_535)),
)
def test_move_lanes(
    row: list[int], start: int, masks: tuple[int, int], steps: tuple[int, int]
) -> None:
    ref = list(row)
    for i in range(16):
        up, down = ((mask >> i & 1) * step for mask, step in zip(masks, steps, strict=True))
        ref[start + i] = max(min(ref[start + i] + up, 65_535) - down, 0)
    array = np.array(row, np.uint16)
    rises, falls = (np.uint64(mask) for mask in masks)
    got = lanes_of(moved(array, start, rises, steps[0], falls, steps[1]))
    assert array.tolist() == ref
    assert got == [i for i in range(16) if ref[start + i] == 0]
    assert lanes_of(lanes.first_lanes(start)) == list(range(min(start, 16)))


@quick
@given(st.sets(st.integers(0, 199)), st.integers(0, 136), st.integers(0, 64))
def test_add_bits(members: set[int], start: int, n: int) -> None:
    got = np.zeros(200 // 64 + 2, np.uint64)
    for i in members:
        set_bit(got, i)
    add_bits(got, start, np.uint64(first_bits(n)))
    ref = members | set(range(start, start + n))
    assert [i for word in range(5) for i in np.add(64 * word, lanes_of(got[word]))] == sorted(ref)


@pytest.mark.parametrize("inputs", [70, 64])
def test_spatial_pooler(inputs: int) -> None:
    pooler = SpatialPooler(inputs, columns=32, active_columns=5, increment=0.05, decrement=0.01)
    a = pooler.arrays
    draw = np.random.default_rng(3)
    assert ((pooler.permanence > 0).sum(axis=1) == round(0.8 * inputs)).all()
    for _ in range(60):
        bits = (draw.random(inputs) < 0.2).astype(np.uint8)
        ref = naive.winners(bits, pooler.permanence, int(pooler.settings[2]), 5)
        got = pooler.compute(bits, learn=False)
        assert got.tolist() == ref
        increment, decrement, _ = pooler.settings.tolist()
        after = naive.move_permanences(bits, pooler.permanence, ref, increment, decrement)
        move_permanences(bits, a, pooler.permanence, pooler.settings)
        np.testing.assert_array_equal(pooler.permanence, after)


def pairs(rows: Any) -> set[tuple[int, int]]:
    """Return the pairs of input and column in rows of bits."""
    bits = np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little")
    return {(int(i), int(c)) for i, c in zip(*np.nonzero(bits), strict=True)}


@pytest.mark.parametrize(("inputs", "columns"), [(70, 32), (64, 64), (40, 100)])
def test_binary_pooler(inputs: int, columns: int) -> None:
    pooler = BinaryPooler(inputs, columns, 5, connect=0.2, disconnect=0.05, seed=9)
    a = pooler.arrays
    random, pool, connected = naive.Random(9), pairs(a.pool), pairs(a.connected)
    assert Counter(c for _, c in pool) == dict.fromkeys(range(columns), round(0.8 * inputs))
    assert connected < pool
    draw = np.random.default_rng(3)
    for _ in range(60):
        bits = (draw.random(inputs) < draw.choice([0.0, 0.2, 0.9])).astype(np.uint8)
        table = np.array([[(i, c) in connected for i in range(inputs)] for c in range(columns)])
        ref = naive.winners(bits, table.astype(np.uint16), 1, 5)
        got = pooler.compute(bits, learn=False)
        assert got.tolist() == ref
        naive.pooler_learn(bits, pool, connected, ref, 0.2, 0.05, random)
        pooler_learn(bits, a)
        assert pairs(a.connected) == connected
        assert int(a.rng[0]) == random.state


def test_boosting_lets_more_columns_win() -> None:
    bits = np.zeros(64, np.uint8)
    bits[:12] = 1
    used = {}
    for boost in (0.0, 100.0):
        pooler = BinaryPooler(64, columns=64, active_columns=4, boost=boost)
        used[boost] = {int(c) for _ in range(100) for c in pooler.compute(bits)}
    assert len(used[0.0]) == 4
    assert len(used[100.0]) > 20


SMALL: dict[str, Any] = {
    "columns": 16,
    "cells_per_column": 4,
    "activation_threshold": 3,
    "matching_threshold": 2,
    "new_synapses": 5,
    "max_synapses": 7,
    "predicted_decrement": 0.02,
    "permanence_increment": 0.1,
    "permanence_decrement": 0.05,
}


def twin_of(tm: TemporalMemory, eviction: str, seed: int) -> naive.TemporalMemory:
    p = tm.arrays.settings.tolist()
    names = {
        "cells": segments.CELLS,
        "activation": segments.ACTIVATION,
        "match": segments.MATCH,
        "initial": segments.INITIAL,
        "connected": segments.CONNECTED,
        "increment": segments.INCREMENT,
        "decrement": segments.DECREMENT,
        "punishment": segments.PUNISHMENT,
        "new_synapses": segments.NEW_SYNAPSES,
        "max_segments_per_cell": segments.CELL_SEGMENTS,
    }
    own = {name: p[place] for name, place in names.items()}
    own |= {"max_synapses": tm.max_synapses, "max_segments": tm.max_segments}
    own |= {"bridging": tm.bridging, "listed": len(tm.arrays.active)}
    return naive.TemporalMemory(own, eviction, seed)


def check_lists(tm: TemporalMemory) -> None:
    """Each synapse stands in exactly one list, and every count agrees."""
    m = tm.arrays
    want = Counter(
        (int(cell), slot)
        for slot in range(int(m.counts[segments.SLOTS]))
        for cell in m.syn_cell[slot, : m.seg_n[slot]]
    )
    got: Counter[tuple[int, int]] = Counter()
    blocks = 0
    for cell, head in enumerate(m.link_head):
        stop = int(head)
        while stop > 0:
            start = (stop - 1) // 8 * 8
            got.update((cell, int(slot)) for slot in m.block[start:stop])
            stop = 8 * int(m.block_next[start // 8])
            blocks += 1
    assert got == want
    assert sum(want.values()) == tm.synapses
    assert blocks == m.counts[BLOCKS] - m.counts[FREE_BLOCKS]
    owned = Counter(int(m.seg_cell[s]) for s in np.flatnonzero(m.seg_n))
    assert all(m.cell_n[cell] == owned[cell] for cell in range(len(m.cell_n)))


@pytest.mark.parametrize("eviction", ["least_useful", "least_recently_used"])
@pytest.mark.parametrize(("per_cell", "total"), [(128, 4096), (1, 4096), (128, 40)])
@pytest.mark.parametrize("bridging", [0, 1, 3])
def test_temporal_memory(eviction: str, per_cell: int, total: int, bridging: int) -> None:
    tm = TemporalMemory(
        **SMALL,
        max_segments_per_cell=per_cell,
        max_segments=total,
        eviction=eviction,
        active_columns=5,
        bridging=bridging,
        seed=5,
    )
    twin = twin_of(tm, eviction, 5)
    draw = np.random.default_rng(11)
    codes = [np.sort(draw.choice(16, 5, replace=False)).astype(np.int32) for _ in range(7)]
    for step in range(400):
        columns = codes[step % 7] if draw.random() < 0.85 else codes[draw.integers(7)]
        learn = bool(draw.random() < 0.9)
        if draw.random() < 0.02:
            tm.reset()
            twin.reset()
        ref = twin.compute(columns.tolist(), learn)
        got = tm.compute(columns, learn)
        assert got == ref
        assert tm.active_cells.tolist() == twin.active
        assert tm.winner_cells.tolist() == twin.winners
        assert tm.predictive_cells.tolist() == sorted(twin.predicted)
        assert tm.bridged == twin.bridged
        assert tm.get_state()["ahead"].tolist() == (sorted(twin.ahead[0]) if twin.lost else [])
    assert (tm.bridged > 0) == (bridging > 0)
    m = tm.arrays
    for slot, segment in twin.segments.items():
        n = m.seg_n[slot]
        pairs = zip(m.syn_cell[slot, :n].tolist(), m.syn_perm[slot, :n].tolist(), strict=True)
        assert [list(pair) for pair in pairs] == segment.synapses
        assert (int(m.seg_cell[slot]), int(m.seg_used[slot])) == (segment.cell, segment.used)
    assert tm.segments == len(twin.segments)
    assert tm.evictions == twin.evictions
    assert (twin.evictions > 0) == (per_cell == 1 or total == 40)
    assert int(m.rng[0]) == twin.random.state
    check_lists(tm)


@pytest.mark.parametrize("history", [60, 1000])
def test_likelihood(history: int) -> None:
    draw = np.random.default_rng(4)
    n, periods = 400, (20, 15, 10)
    scores = np.clip(draw.normal(0.2, 0.05, n), 0, 1)
    scores[300:310] = 1.0
    values = draw.normal(size=n)
    values[100:200] = 3.0
    ref = naive.likelihood(scores.tolist(), values.tolist(), *periods, history, 10)
    rings, counts = np.zeros((2, history)), np.zeros(1, np.int64)
    state = np.array([0.5, 1e6, 1.0, 0.0301])
    got = []
    for score, value in zip(scores, values, strict=True):
        likelihood_kernels.likelihood_update(
            rings[0], rings[1], counts, state, np.array([*periods, 10]), score, value
        )
        got.append(state[likelihood_kernels.VALUE])
    np.testing.assert_allclose(got, ref, rtol=1e-6)


@quick
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.integers(2, 9))
def test_rolling(values: list[float], window: int) -> None:
    row, seen, moments = np.zeros(window), np.zeros(1, np.int64), np.zeros(2)
    for i, value in enumerate(values):
        rolling_kernels.push(row, seen, 0, moments, value)
        ref = naive.rolling(values[: i + 1], window)
        got = moments
        np.testing.assert_allclose(got[0], ref[0], rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(got[1], ref[1], rtol=1e-6, atol=1e-2)


@quick
@given(st.lists(st.integers(-5, 2**40), max_size=30), st.integers(0, 30))
def test_sort_first(keys: list[int], n: int) -> None:
    n = min(n, len(keys))
    ref = sorted(keys[:n]) + keys[n:]
    got = np.array(keys, np.int64)
    sort_first(got, n)
    assert got.tolist() == ref
