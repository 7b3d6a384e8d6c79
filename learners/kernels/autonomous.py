"""Units that hand over to each other by themselves, and learn where an input changed who is next.

Shapes: K units, D inputs in [0, 1]. A reduced, event by event form of the autonomously active nets
of Gros and Kaczor 2009, arXiv 0903.1979: each unit has a reservoir that its turn depletes.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

TINY = 1e-12
NEVER = 1e-30

# settings
RATE, DEPLETION, RECOVERY, FLOOR, GATED, WIN_RATE = range(6)
SETTINGS = 6
# what an event was
NOTHING, CARRIED_ON, CHANGED = range(3)


class Units(NamedTuple):
    """All there is."""

    W: Floats  # [K, D] receptive rows, in [0, 1]
    phi: Floats  # [K] reservoirs, in [floor, 1]
    wins: Floats  # [K] share of the events of late that were a unit's
    last: Places  # [1] whose turn it is, or -1
    x: Floats  # [D] the input
    u: Floats  # [K + 1] scratch: the share of a row that an input covers; then 1
    settings: Floats  # [SETTINGS]


@lean_njit
def respond(s: Units, known: int) -> float:
    """Put by how much the input covers each row, W x / sum W, into s.u; return the best cosine.

    Minus one stands for an input that is all zero.
    """
    size, best = 0.0, 0.0
    for j in range(known):
        size += s.x[j] * s.x[j]
    for k in range(s.W.shape[0]):
        both, total, squares = 0.0, 0.0, 0.0
        for j in range(known):
            both += s.W[k, j] * s.x[j]
            total += s.W[k, j]
            squares += s.W[k, j] * s.W[k, j]
        s.u[k] = both / max(total, TINY)
        best = max(best, both / max(math.sqrt(size * squares), TINY))
    s.u[s.W.shape[0]] = 1.0
    return min(best, 1.0) if size > 0.0 else -1.0


@lean_njit
def follow(s: Units, empty: bool, known: int, learn: bool) -> int:
    """Let the next unit have its turn; s.u is that of the input. Return what the event was.

    Alone, the fullest of the others would be next; an input weighs reservoirs by what it covers.
    Only where this made another one next is it learned, if `GATED`.
    """
    alone, chosen = -1, -1
    for k in range(s.phi.shape[0]):
        if k != s.last[0]:
            if alone < 0 or s.phi[k] > s.phi[alone]:
                alone = k
            if chosen < 0 or s.phi[k] * s.u[k] > s.phi[chosen] * s.u[chosen]:
                chosen = k
    winner = alone if empty else chosen
    changed = winner != alone
    if learn and not empty and (changed or s.settings[GATED] == 0.0):
        for j in range(known):
            s.W[winner, j] += s.settings[RATE] * (s.x[j] - s.W[winner, j])
    keep = 1.0 - s.settings[WIN_RATE]
    for k in range(s.phi.shape[0]):
        s.wins[k] = s.wins[k] * keep if s.wins[k] > NEVER else 0.0
    s.wins[winner] += s.settings[WIN_RATE]
    s.phi[winner] = max(s.phi[winner] - s.settings[DEPLETION], s.settings[FLOOR])
    for k in range(s.phi.shape[0]):
        s.phi[k] = min(s.phi[k] + s.settings[RECOVERY], 1.0)
    s.last[0] = winner
    if empty:
        return NOTHING
    return CHANGED if changed else CARRIED_ON
