"""Sorting in place, without allocating."""

from typing import Any

from numpy.typing import NDArray

from learners.kernels.jit import lean_njit


@lean_njit
def sift_down(keys: NDArray[Any], at: int, n: int) -> None:
    """Restore the heap keys[:n] below `at`."""
    key = keys[at]
    while 2 * at + 1 < n:
        child = 2 * at + 1
        if child + 1 < n and keys[child + 1] > keys[child]:
            child += 1
        if keys[child] <= key:
            break
        keys[at] = keys[child]
        at = child
    keys[at] = key


@lean_njit
def sort_first(keys: NDArray[Any], n: int) -> None:
    """Sort keys[:n] in ascending order (heapsort: no worst case, no recursion)."""
    for at in range(n // 2 - 1, -1, -1):
        sift_down(keys, at, n)
    for end in range(n - 1, 0, -1):
        largest = keys[0]
        keys[0] = keys[end]
        keys[end] = largest
        sift_down(keys, 0, end)
