"""The slow twin of coupled replicas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def couple(weights: Floats, before: Floats, mixing: Floats) -> tuple[Floats, Floats]:
    """Return the mixed replicas, and the spreads of their steps and of themselves."""
    mixed = mixing @ weights
    spreads = [np.mean((each - each.mean(0)) ** 2) for each in (weights - before, mixed)]
    return mixed, np.array(spreads)
