"""For each cell, the segments it drives: pooled blocks of 8 slots, chained, unordered.

Heads and links hold a block's id + 1. Only a cell's first block may have room. `counts` is that
of `segments.Memory`.
"""

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import njit

BLOCK = 8
BLOCKS, FREE_BLOCKS = 11, 12


@njit
def push_link(
    head: NDArray[np.int32],
    fill: NDArray[np.uint8],
    block: NDArray[np.int32],
    block_next: NDArray[np.int32],
    free_blocks: NDArray[np.int32],
    counts: NDArray[np.int64],
    cell: int,
    slot: int,
) -> None:
    """Add `slot` to the list of `cell`."""
    if head[cell] == 0 or fill[cell] == BLOCK:
        if counts[FREE_BLOCKS] > 0:
            counts[FREE_BLOCKS] -= 1
            fresh = free_blocks[counts[FREE_BLOCKS]]
        else:
            fresh = np.int32(counts[BLOCKS])
            counts[BLOCKS] += 1
        block_next[fresh] = head[cell]
        head[cell] = fresh + 1
        fill[cell] = 0
    block[head[cell] - 1, fill[cell]] = slot
    fill[cell] += 1


@njit
def drop_link(
    head: NDArray[np.int32],
    fill: NDArray[np.uint8],
    block: NDArray[np.int32],
    block_next: NDArray[np.int32],
    free_blocks: NDArray[np.int32],
    counts: NDArray[np.int64],
    cell: int,
    slot: int,
) -> None:
    """Remove `slot` from the list of `cell`, where it must be."""
    first = head[cell] - 1
    at, n = first, np.int64(fill[cell])
    while True:
        place = -1
        for i in range(n):
            if block[at, i] == slot:
                place = i
                break
        if place >= 0:
            break
        at, n = block_next[at] - 1, np.int64(BLOCK)
    fill[cell] -= 1
    block[at, place] = block[first, fill[cell]]
    if fill[cell] == 0:
        head[cell] = block_next[first]
        fill[cell] = BLOCK if head[cell] != 0 else 0
        free_blocks[counts[FREE_BLOCKS]] = first
        counts[FREE_BLOCKS] += 1
