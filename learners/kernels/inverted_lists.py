"""For each presynaptic cell, the segments it drives: pooled blocks of 8 slots, chained, unordered.

`head` of a cell is 1 + the place of its last entry in `block`, 0 if it drives none: places 8 b to
8 b + 7 are block b, and only a cell's first block may have room. Links hold a block's number + 1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.kernels.bits import whole
from learners.kernels.jit import lean_njit

BLOCK = 8

# counts of `segments.Memory`
BLOCKS, FREE_BLOCKS, FREE_BLOCK = 11, 12, 15


@lean_njit
def push_link(
    head: NDArray[np.uint32],
    block: NDArray[Any],
    block_next: NDArray[np.uint32],
    counts: NDArray[np.int64],
    cell: int,
    slot: int,
) -> None:
    """Add `slot` to the list of `cell`; there must be a block left."""
    at = whole(head[cell])
    if at % BLOCK == 0:
        fresh = counts[FREE_BLOCK] - 1
        if fresh >= 0:
            counts[FREE_BLOCK] = block_next[fresh]
            counts[FREE_BLOCKS] -= 1
        else:
            fresh = counts[BLOCKS]
            counts[BLOCKS] += 1
        block_next[fresh] = at // BLOCK
        at = fresh * BLOCK
    block[at] = slot
    head[cell] = at + 1


@lean_njit
def drop_link(
    head: NDArray[np.uint32],
    block: NDArray[Any],
    block_next: NDArray[np.uint32],
    counts: NDArray[np.int64],
    cell: int,
    slot: int,
) -> None:
    """Remove `slot` from the list of `cell`, where it must be."""
    last = whole(head[cell]) - 1
    first = last // BLOCK
    start, at = first * BLOCK, last
    while block[at] != slot:
        if at == start:
            start = (whole(block_next[start // BLOCK]) - 1) * BLOCK
            at = start + BLOCK
        at -= 1
    block[at] = block[last]
    if last % BLOCK > 0:
        head[cell] = last
        return
    head[cell] = block_next[first] * BLOCK
    block_next[first] = counts[FREE_BLOCK]
    counts[FREE_BLOCK] = first + 1
    counts[FREE_BLOCKS] += 1
