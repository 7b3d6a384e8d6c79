"""Numbers and times as sparse binary vectors, written into a part of a uint8 vector."""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.random import hash32

DAY_SECONDS = 86_400.0
LARGEST_INDEX = float(1 << 62)


@lean_njit
def scalar_index(value: float, resolution: float) -> int:
    """Return floor(value / resolution), clipped to +-2**62."""
    index = math.floor(value / resolution) if abs(value) < LARGEST_INDEX * resolution else 0
    if abs(value) >= LARGEST_INDEX * resolution:
        return -(1 << 62) if value < 0 else 1 << 62
    return np.int64(index)  # type: ignore[return-value]


@lean_njit
def set_scalar_bits(
    bits: NDArray[np.uint8], at: int, n: int, w: int, index: int, seed: int
) -> None:
    """Set up to `w` of bits[at : at + n]: bit k is hash(index + k, seed) mod n.

    Two indices d apart share w - |d| hashes, so their codes overlap. Colliding hashes lose a
    bit. Source: the hash form of the random distributed scalar encoder in htm.core.
    """
    for k in range(w):
        bits[at + hash32(index + k, seed) % n] = 1


@lean_njit
def set_periodic_bits(bits: NDArray[np.uint8], at: int, n: int, w: int, phase: float) -> None:
    """Set `w` (odd) neighbors of bits[at : at + n], as a ring, about the `phase` in [0, 1)."""
    center = np.int64(math.floor(phase * n))
    half = w // 2
    for k in range(w):
        bits[at + (center + k - half) % n] = 1


@lean_njit
def day_phase(t: float) -> float:
    """Return the part of the UTC day that has passed at `t` seconds since 1970, in [0, 1)."""
    return (t % DAY_SECONDS) / DAY_SECONDS


@lean_njit
def week_day(t: float) -> float:
    """Return days since Monday 00:00 UTC at `t` seconds since 1970, in [0, 7)."""
    return (t / DAY_SECONDS + 3.0) % 7.0


@lean_njit
def set_weekend_bits(bits: NDArray[np.uint8], at: int, w: int, t: float) -> None:
    """Set the second block of `w` bits from Friday 18:00 to Sunday 24:00 UTC, else the first."""
    start = at + w if week_day(t) >= 4.75 else at
    bits[start : start + w] = 1


@lean_njit
def encode_event(
    bits: NDArray[np.uint8], layout: NDArray[np.int64], value: float, t: float, resolution: float
) -> None:
    """Fill `bits` with the code of a value and its time; NaN in either leaves its part zero.

    `layout` holds n and w of the value, n and w of the time of day, n and w of the day of the
    week, w of the weekend and the seed; a part with n or w = 0 takes no room.
    """
    bits[:] = 0
    at = layout[0]
    if not math.isnan(value):
        index = scalar_index(value, resolution)
        set_scalar_bits(bits, 0, layout[0], layout[1], index, layout[7])
    if math.isnan(t):
        return
    if layout[2] > 0:
        set_periodic_bits(bits, at, layout[2], layout[3], day_phase(t))
        at += layout[2]
    if layout[4] > 0:
        set_periodic_bits(bits, at, layout[4], layout[5], week_day(t) / 7.0)
        at += layout[4]
    if layout[6] > 0:
        set_weekend_bits(bits, at, layout[6], t)
