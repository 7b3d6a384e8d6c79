"""Sets of small integers as bits of uint64 words: bit i is bit i mod 64 of word i // 64."""

from typing import Any

import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit

Words = NDArray[np.uint64]
ONE = np.uint64(1)


@intrinsic
def _ones(_context: Any, word: Any) -> Any:
    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), emit


@intrinsic
def _trailing_zeros(_context: Any, word: Any) -> Any:
    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], cgutils.false_bit)

    return types.uint64(types.uint64), emit


@lean_njit
def whole(number: Any) -> int:
    """Return an integer of any type as an int64: mixed ones would become floating point."""
    return np.int64(number)  # type: ignore[return-value]


@lean_njit
def popcount(word: Any) -> int:
    """Return the number of ones in a 64-bit word, by the processor's own instruction."""
    return whole(_ones(np.uint64(word)))  # type: ignore[call-arg]


@lean_njit
def lowest_bit(word: Any) -> int:
    """Return the place of the lowest one of a 64-bit word, 64 if there is none."""
    return whole(_trailing_zeros(np.uint64(word)))  # type: ignore[call-arg]


@lean_njit
def has_bit(words: Words, i: int) -> int:
    """Return 1 if `i` is in the set, else 0."""
    return whole((words[i >> 6] >> np.uint64(i & 63)) & ONE)


@lean_njit
def set_bit(words: Words, i: int) -> None:
    """Put `i` in the set."""
    words[i >> 6] |= ONE << np.uint64(i & 63)


@lean_njit
def clear_bit(words: Words, i: int) -> None:
    """Take `i` out of the set."""
    words[i >> 6] &= ~(ONE << np.uint64(i & 63))


@lean_njit
def set_first(words: Words, n: int) -> None:
    """Make the set that of 0 ... n - 1."""
    words[:] = 0
    for i in range(n):
        set_bit(words, i)


@lean_njit
def first_bits(n: int) -> Any:
    """Return the word whose first `n` bits are ones, n at most 64."""
    return ~np.uint64(0) if n == 64 else (ONE << np.uint64(n)) - ONE


@lean_njit
def bits_from(words: Words, start: int, n: int) -> Any:
    """Return the bits start ... start + n - 1, n at most 64, of words that have one to spare."""
    offset = np.uint64(start & 63)
    found = words[start >> 6] >> offset
    if offset != 0:
        found |= words[(start >> 6) + 1] << (np.uint64(64) - offset)
    return found & first_bits(n)


@lean_njit
def add_bits(words: Words, start: int, found: Any) -> None:
    """Put start + i in the set for each bit i of a word `found`; words have one to spare."""
    offset = np.uint64(start & 63)
    words[start >> 6] |= found << offset
    if offset != 0:
        words[(start >> 6) + 1] |= found >> (np.uint64(64) - offset)


@lean_njit
def any_bit(words: Words, start: int, stop: int) -> bool:
    """Return whether the set has an integer in start ... stop - 1."""
    found = np.uint64(0)
    for at in range(start, stop, 64):
        found |= bits_from(words, at, min(64, stop - at))
    return found != 0  # type: ignore[no-any-return]
