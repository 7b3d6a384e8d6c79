"""Numbers go to their places in a vector, standardized by running moments if need be.

Shapes: n numbers, W places of the vector; a number whose place is -1 is passed over.
"""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import njit

MEAN, SQUARES = 0, 1


@njit
def clip(values: NDArray[np.float64], most: float) -> bool:
    """Hold numbers to [-most, most]; return false, having changed none, if one is not finite."""
    for value in values:
        if not math.isfinite(value):
            return False
    for i in range(len(values)):
        values[i] = min(max(values[i], -most), most)
    return True


@njit
def count(
    values: NDArray[np.float64],  # (n,)
    places: NDArray[np.int64],  # (n,)
    moments: NDArray[np.float64],  # (W, 2)
    seen: NDArray[np.int64],  # (W,)
) -> None:
    """Take numbers into the moments of their places (Welford 1962)."""
    for k in range(len(values)):
        i = places[k]
        if i >= 0:
            seen[i] += 1
            step = values[k] - moments[i, MEAN]
            moments[i, MEAN] += step / seen[i]
            moments[i, SQUARES] += step * (values[k] - moments[i, MEAN])


@njit
def place(
    values: NDArray[np.float64],  # (n,)
    places: NDArray[np.int64],  # (n,)
    vector: NDArray[np.float64],  # (W,)
) -> None:
    """Write numbers to their places, and zero elsewhere."""
    vector[:] = 0.0
    for k in range(len(values)):
        if places[k] >= 0:
            vector[places[k]] = values[k]


@njit
def place_centered(
    values: NDArray[np.float64],  # (n,)
    places: NDArray[np.int64],  # (n,)
    moments: NDArray[np.float64],  # (W, 2)
    vector: NDArray[np.float64],  # (W,)
) -> None:
    """Write by how much numbers differ from their means, and zero elsewhere."""
    vector[:] = 0.0
    for k in range(len(values)):
        if places[k] >= 0:
            vector[places[k]] = values[k] - moments[places[k], MEAN]


@njit
def place_standardized(
    values: NDArray[np.float64],  # (n,)
    places: NDArray[np.int64],  # (n,)
    moments: NDArray[np.float64],  # (W, 2)
    seen: NDArray[np.int64],  # (W,)
    most: float,
    vector: NDArray[np.float64],  # (W,)
) -> None:
    """Write by how many deviations numbers lie from their means, `most` at most; zero elsewhere."""
    vector[:] = 0.0
    for k in range(len(values)):
        i = places[k]
        if i >= 0 and seen[i] > 1:
            deviation = math.sqrt(moments[i, SQUARES] / seen[i])
            if deviation > 0.0:
                found = (values[k] - moments[i, MEAN]) / deviation
                vector[i] = min(max(found, -most), most)
