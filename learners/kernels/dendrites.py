"""Dendrites of a temporal memory: which segments a set of active cells makes active or matches.

Source: Cui, Ahmad and Hawkins 2016, section 2.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.kernels.bits import ONE, lowest_bit, set_bit, whole
from learners.kernels.inverted_lists import BLOCK
from learners.kernels.jit import lean_njit
from learners.kernels.lanes import PAGE, lanes_from
from learners.kernels.segments import (
    ACTIVATION,
    ACTIVE,
    AGES,
    ITERATION,
    MATCH,
    MATCHING,
    PREDICTING,
    SLOTS,
    Memory,
    find_hits,
)


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
        first = stop // BLOCK * BLOCK
        for at in range(first, stop):
            potential[block[at]] += np.uint8(1)
        following = np.uint64(stop // BLOCK if first == stop else block_next[first // BLOCK])
        while following > 0:  # full blocks, of which there may be hundreds
            start = (following - ONE) * np.uint64(BLOCK)
            following = np.uint64(block_next[following - ONE])
            for at in range(BLOCK):
                potential[block[start + np.uint64(at)]] += np.uint8(1)


@lean_njit
def activate_dendrites(m: Memory, learn: bool) -> None:
    """Find the segments that the active cells match and activate (eq. 2)."""
    slots, threshold = m.counts[SLOTS], m.settings[MATCH]
    m.is_predicted[:] = 0
    m.potential[:slots] = 0
    count_potential(m.active[: m.counts[ACTIVE]], m.link_head, m.block, m.block_next, m.potential)
    n = predicting = whole(0)
    for start in range(0, slots, PAGE):
        found = lanes_from(m.potential, start, threshold)
        while found != 0:
            slot = start + lowest_bit(found)
            found &= found - ONE
            active = find_hits(m, slot) >= m.settings[ACTIVATION]
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
