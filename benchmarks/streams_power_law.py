"""An environment in which what was learned comes back, the more rarely the longer it has been away.

New pairs of classes come phase after phase; a share of each later phase is events of old pairs,
each pair with a weight that falls with its age in phases: as a power of it, exponentially, or not
at all. After Gandhi et al. 2024, arXiv:2401.10393.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.images import Images

PHASES, PHASE_EVENTS = 5, 800
Fall = Callable[[int], float]
FALLS: Mapping[str, Fall] = {
    "power": lambda age: 1.0 / age,
    "exponential": lambda age: math.exp(-age),
    "uniform": lambda age: 1.0,
}


def recurring(
    images: Images, seed: int, share: float, fall: str = "power"
) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Yield 5 phases of 800 events, of which a share is of the pairs of earlier phases."""
    draw = np.random.default_rng((seed, 9))
    pairs = [np.flatnonzero(images.y // 2 == pair) for pair in range(PHASES)]
    for phase in range(PHASES):
        weights = np.array([FALLS[fall](phase - pair) for pair in range(phase)])
        for _ in range(PHASE_EVENTS):
            old = phase > 0 and draw.random() < share
            pair = int(draw.choice(phase, p=weights / weights.sum())) if old else phase
            i = int(draw.choice(pairs[pair]))
            yield images.x[i], int(images.y[i])
