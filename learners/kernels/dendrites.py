"""Dendrites of a temporal memory: which segments a set of active cells makes active or matches.

Source: Cui, Ahmad and Hawkins 2016, section 2.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.kernels.bits import Words, set_bit, whole
from learners.kernels.inverted_lists import BLOCK
from learners.kernels.jit import lean_njit
from learners.kernels.segments import (
    ACTIVATION,
    ACTIVE,
    AGES,
    CONNECTED,
    ITERATION,
    MATCH,
    MATCHING,
    PREDICTING,
    SLOTS,
    Memory,
    find_hits,
)

PAGE = 64  # segments whose counts are looked at together


@lean_njit
def count_potential(
    active: NDArray[np.uint32],
    head: NDArray[np.uint32],
    block: NDArray[Any],
    block_next: NDArray[np.uint32],
    potential: NDArray[np.uint8],
) -> None:
    """Add to the count of each segment its synapses on `active` cells."""
    for i in range(active.shape[0]):
        stop = whole(head[active[i]])
        while stop > 0:
            start = (stop - 1) // BLOCK * BLOCK
            for at in range(start, stop):
                potential[block[at]] += np.uint8(1)
            stop = whole(block_next[start // BLOCK]) * BLOCK


@lean_njit
def connected_count(m: Memory, slot: int, active: Words) -> int:
    """Return how many connected synapses of a segment lie on `active` cells (eq. 2)."""
    threshold, hit, n = np.int32(m.settings[CONNECTED]), m.hit, np.int32(0)
    perms = m.syn_perm[slot]
    find_hits(m, slot, active)
    for i in range(whole(m.seg_n[slot])):
        n += hit[i] & np.int32(np.int32(perms[i]) >= threshold)
    return whole(n)


@lean_njit
def activate_dendrites(m: Memory, learn: bool) -> None:
    """Find the segments that the active cells match and activate (eq. 2)."""
    slots, threshold = m.counts[SLOTS], m.settings[MATCH]
    m.is_predicted[:] = 0
    m.potential[:slots] = 0
    count_potential(m.active[: m.counts[ACTIVE]], m.link_head, m.block, m.block_next, m.potential)
    n = predicting = whole(0)
    for start in range(0, slots, PAGE):
        most = np.uint8(0)
        for slot in range(start, start + PAGE):
            most = max(most, m.potential[slot])
        if most < threshold:
            continue
        for slot in range(start, min(start + PAGE, slots)):
            if m.potential[slot] < threshold:
                continue
            active = connected_count(m, slot, m.is_active) >= m.settings[ACTIVATION]
            m.matching[n] = 2 * slot + active
            n += 1
            if active:
                predicting += 1
                set_bit(m.is_predicted, m.seg_cell[slot])
                if learn:
                    m.seg_used[slot] = m.counts[ITERATION] & AGES
    m.counts[MATCHING] = n
    m.counts[PREDICTING] = predicting
    m.counts[ITERATION] += learn
