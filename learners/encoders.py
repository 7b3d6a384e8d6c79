"""Encoders as pure, small objects: a value, a time or a category to a sparse binary vector."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learners.kernels import encoders as kernels
from learners.kernels.random import below
from learners.parameters import require

Bits = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ScalarEncoder:
    """Random distributed scalar encoder: values that are near share bits.

    Stateless: bit k of the code is hash(floor(value / resolution) + k) mod n, so any range works
    and no value is ever out of it. Two far values share about w^2 / n bits by chance; it fails
    where the resolution is far from the scale of the data, which then looks constant or random.

    Parameters
    ----------
    resolution
        Difference of values that changes one bit, in the value's unit.
    n, w
        Bits and, at most, bits on; n > 6 w.
    seed
        Of the hash.
    """

    resolution: float
    n: int = 400
    w: int = 21
    seed: int = 1

    def __post_init__(self) -> None:
        good = 0 < self.resolution < math.inf
        require(good, "resolution", self.resolution, "finite and above 0")
        require(self.w >= 1, "w", self.w, "at least 1")
        require(self.n > 6 * self.w, "n", self.n, f"more than 6 w ({6 * self.w})")

    def encode(self, value: float | None) -> Bits:
        """Return uint8[n]; all zeros if the value is missing."""
        bits = np.zeros(self.n, np.uint8)
        if value is not None:
            index = kernels.scalar_index(value, self.resolution)
            kernels.set_scalar_bits(bits, 0, self.n, self.w, index, self.seed)
        return bits


@dataclass(frozen=True, slots=True)
class DateEncoder:
    """Time of day, day of the week and weekend, in UTC, from seconds since 1970.

    The time of day is a ring of 54 bits with 21 on (two times 9.49 hours apart share none), the
    day of the week a ring of 147 with 21 on, the weekend (from Friday 18:00) two blocks of 21.
    It knows no time zone, no holiday and no season.
    """

    time_of_day: bool = True
    day_of_week: bool = False
    weekend: bool = False

    @property
    def layout(self) -> tuple[int, int, int, int, int]:
        """Bits and bits on of the day, of the week, and half the bits of the weekend."""
        return (
            *((54, 21) if self.time_of_day else (0, 0)),
            *((147, 21) if self.day_of_week else (0, 0)),
            21 if self.weekend else 0,
        )

    @property
    def n(self) -> int:
        """Bits of the code."""
        layout = self.layout
        return layout[0] + layout[2] + 2 * layout[4]

    def encode(self, t: float | None) -> Bits:
        """Return uint8[n]; all zeros if the time is missing."""
        bits = np.zeros(self.n, np.uint8)
        layout = np.array([0, 0, *self.layout, 0], np.int64)
        kernels.encode_event(bits, layout, math.nan, math.nan if t is None else t, 1.0)
        return bits


@dataclass(frozen=True, slots=True)
class CategoryEncoder:
    """A random w-of-n code for each string, from a stable hash of its text.

    Different strings share about w^2 / n bits by chance, and meaning plays no part in it.
    """

    n: int = 2048
    w: int = 41
    seed: int = 1

    def __post_init__(self) -> None:
        require(1 <= self.w <= self.n < 2**31, "w", self.w, f"1..n ({self.n})")

    def encode(self, category: str | None) -> Bits:
        """Return uint8[n] with exactly w ones; all zeros if the category is missing."""
        bits = np.zeros(self.n, np.uint8)
        if category is None:
            return bits
        text = f"{self.seed}:{category}".encode()
        digest = hashlib.blake2b(text, digest_size=8).digest()
        rng = np.array([int.from_bytes(digest, "little")], np.uint64)
        order = np.arange(self.n, dtype=np.int32)
        for i in range(self.w):
            j = i + below(rng, self.n - i)
            order[i], order[j] = order[j], order[i]
        bits[order[: self.w]] = 1
        return bits
