"""Missing values among the last events of each feature.

Shapes: F features, W events kept.
"""

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import njit


@njit
def missing_update(
    ring: NDArray[np.uint8],  # [F, W]
    missing: NDArray[np.int64],  # [F]
    since: NDArray[np.int64],  # [F]
    now: NDArray[np.uint8],  # [F]: 1 where the event has no value
    features: int,
) -> None:
    """Take in one event."""
    for f in range(features):
        place = since[f] % ring.shape[1]
        missing[f] += np.int64(now[f]) - np.int64(ring[f, place])
        ring[f, place] = now[f]
        since[f] += 1
