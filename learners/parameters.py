"""What parameters of learners share: refusal, fixed point, and arrays known before they exist."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from learners.base import Arrays, StateError

FULL = 65_535

Layout = dict[str, tuple[tuple[int, ...], DTypeLike]]
"""Shape and dtype of each array by name."""


def require(good: bool, name: str, got: object, expected: str) -> None:
    """Raise `ValueError` naming what was got and expected, unless `good`."""
    if not good:
        raise ValueError(f"{name}: got {got!r}, expected {expected}")


def require_state(good: bool, name: str, problem: str) -> None:
    """Raise `StateError` unless `good`."""
    if not good:
        raise StateError(f"{name}: {problem}")


def fixed_point(permanence: float) -> int:
    """Return a permanence in [0, 1] in units of 1/65535."""
    return round(permanence * FULL)


def allocate(layout: Layout) -> dict[str, NDArray[Any]]:
    """Return zeros of the layout; the system hands out their pages when they are first used."""
    return {name: np.zeros(shape, dtype) for name, (shape, dtype) in layout.items()}


def layout_bytes(layout: Layout) -> int:
    """Return the bytes that `allocate` would take."""
    return sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in layout.values())


def with_prefix(prefix: str, arrays: Arrays) -> Arrays:
    """Return the arrays under prefixed names."""
    return {prefix + name: array for name, array in arrays.items()}


def without_prefix(prefix: str, arrays: Arrays) -> Arrays:
    """Return the arrays whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def check_state_arrays(got: Arrays, want: Layout) -> None:
    """Raise `StateError` unless names, dtypes and shapes agree; a length of -1 agrees with any."""
    if got.keys() != want.keys():
        raise StateError(f"arrays: got {sorted(got)}, expected {sorted(want)}")
    for name, (shape, dtype) in want.items():
        array = got[name]
        agrees = array.ndim == len(shape) and all(
            wanted in (-1, length) for wanted, length in zip(shape, array.shape, strict=True)
        )
        if array.dtype != np.dtype(dtype) or not agrees:
            raise StateError(
                f"{name}: got {array.dtype}{list(array.shape)}, "
                f"expected {np.dtype(dtype)}{list(shape)}"
            )


def check_range(name: str, array: NDArray[Any], low: float, high: float) -> None:
    """Raise `StateError` unless every entry lies in [low, high]; NaN never does."""
    if array.size and not bool(np.all((array >= low) & (array <= high))):
        raise StateError(f"{name}: got an entry outside [{low}, {high}]")


def text_array(value: object) -> NDArray[np.uint8]:
    """Return the value as JSON in bytes."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8).copy()


def names_in(name: str, array: NDArray[np.uint8], most: int | None = None) -> list[str]:
    """Return the distinct names an array holds, or raise `StateError`."""
    names = list_in(name, array)
    require_state(all(isinstance(each, str) for each in names), name, "expected strings")
    require_state(len(set(names)) == len(names), name, "expected each name once")
    require_state(most is None or len(names) <= most, name, f"got {len(names)} names")
    return names


def list_in(name: str, array: NDArray[np.uint8]) -> list[Any]:
    """Return the list of strings or numbers that an array holds, or raise `StateError`."""
    try:
        found = json.loads(array.tobytes())
    except (ValueError, RecursionError) as error:
        raise StateError(f"{name}: {error}") from None
    require_state(isinstance(found, list), name, "expected a list")
    hashable = all(isinstance(each, str | float | int) for each in found)
    require_state(hashable, name, "expected strings or numbers")
    return list(found)
