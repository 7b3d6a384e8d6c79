"""Random numbers and hashes from one 64-bit word of state.

The generator is splitmix64 (Steele, Lea and Flood 2014): a counter passed through a mixing
function. It is not for secrets. Its state is a `uint64[1]` array, part of its owner's state.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
LOW_32 = np.uint64(0xFFFFFFFF)


@lean_njit
def mix64(z: Any) -> Any:
    """Return the splitmix64 finalizer of the 64-bit word `z`, a bijection."""
    z = np.uint64(z)
    z = (z ^ (z >> np.uint64(30))) * MIX_1
    z = (z ^ (z >> np.uint64(27))) * MIX_2
    return z ^ (z >> np.uint64(31))


@lean_njit
def next_u64(rng: NDArray[np.uint64]) -> Any:
    """Advance `rng` (uint64[1]) and return 64 uniform bits."""
    rng[0] += GOLDEN
    return mix64(rng[0])


@lean_njit
def below(rng: NDArray[np.uint64], n: int) -> int:
    """Return a uniform integer in [0, n) without bias, for 1 <= n < 2**32 (Lemire 2019)."""
    m = np.uint64(n)
    product = (next_u64(rng) >> np.uint64(32)) * m
    if (product & LOW_32) < m:
        floor = (np.uint64(1 << 32) - m) % m
        while (product & LOW_32) < floor:
            product = (next_u64(rng) >> np.uint64(32)) * m
    return np.int64(product >> np.uint64(32))  # type: ignore[return-value]


@lean_njit
def hash64(index: Any, seed: Any) -> Any:
    """Return a 64-bit hash of a signed `index` under `seed`."""
    return mix64(mix64(np.uint64(seed) + GOLDEN) + np.uint64(index) * GOLDEN)


@lean_njit
def hash32(index: Any, seed: Any) -> Any:
    """Return the upper 32 bits of `hash64` as an int64 in [0, 2**32)."""
    return np.int64(hash64(index, seed) >> np.uint64(32))
