"""What a codec is: an estimator's state as arrays, and what codecs share.

A codec knows one class of River. `to_arrays` copies out all that learning changed; `from_arrays`
writes it into a freshly built estimator of the same parameters, or raises `StateError`. Parameters
are never part of the state: they come from the stream's spec. Features stand in the arrays as a
JSON list in UTF-8 bytes, so that no array holds objects.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays
from learners.parameters import list_in, require_state

Label = float | bool | str

LONGEST_NAME = 200
MOST_EVENTS = 1 << 53
LONGEST_LABEL = 1_000
NAME_BYTES = 2_600
"""Most bytes of a name of `LONGEST_NAME` characters, as text and as JSON."""

LABEL_BYTES = 13_000
ESTIMATOR_BYTES = 16_384
"""Bytes of an estimator that has learned nothing, its parameters and its generator among them."""


class Size(NamedTuple):
    """How many features and classes an estimator may come to know."""

    features: int
    classes: int


class Codec:
    """The state of one class of estimators as arrays."""

    fields: ClassVar[frozenset[str]] = frozenset()
    """Every attribute that such an estimator has; a test holds River to it."""

    defaults: ClassVar[Mapping[str, Any]] = {}
    """Parameters that River would choose otherwise, so that memory stays bounded."""

    def check_params(self, params: Mapping[str, Any]) -> None:
        """Raise `ValueError` for parameters that River would silently replace."""

    def check(self, estimator: Any) -> None:
        """Raise `ValueError` if the estimator's parameters could make it fail or grow."""

    def keeps(self, estimator: Any) -> bool:
        """Return whether all of the estimator's state is in its arrays."""
        return True

    def takes_text(self, estimator: Any) -> bool:
        """Return whether a feature may be a string."""
        return False

    def memory_bytes(self, estimator: Any, size: Size) -> int:
        """Return the most bytes that the estimator will hold."""
        raise NotImplementedError

    def admits(self, estimator: Any, size: Size) -> bool:
        """Return whether the estimator may come to know as much, and let it grow if it fits."""
        return True

    def to_arrays(self, estimator: Any) -> Arrays:
        """Return the state of the estimator, copied."""
        raise NotImplementedError

    def from_arrays(self, estimator: Any, arrays: Arrays) -> None:
        """Write the state into a fresh estimator; raises `StateError` if it does not fit."""
        raise NotImplementedError


def require_param(good: bool, name: str, got: object, expected: str) -> None:
    """Raise `ValueError` about a parameter of the estimator, unless `good`."""
    if not good:
        raise ValueError(f"params: {name}: got {shown(got)}, expected {expected}")


def shown(got: object) -> str:
    """Return a value as an error message shows it."""
    text = repr(got)
    return text if len(text) <= 100 else f"{text[:100]}..."


def is_int(value: object, low: int, high: int) -> bool:
    """Return whether the value is an integer in [low, high]."""
    return type(value) is int and low <= value <= high


def is_number(value: object, low: float = -1e12, high: float = 1e12) -> bool:
    """Return whether the value is a finite number in [low, high]."""
    return type(value) in (int, float) and low <= value <= high  # type: ignore[operator]


def labels_in(name: str, array: NDArray[np.uint8]) -> list[Label]:
    """Return the distinct labels an array holds, all of one type, or raise `StateError`."""
    labels = list_in(name, array)
    types = {type(each) for each in labels}
    require_state(len(types) <= 1 and types <= {bool, float, str}, name, "expected one type")
    finite = all(math.isfinite(each) for each in labels if isinstance(each, float))
    require_state(finite and len(set(labels)) == len(labels), name, "expected each label once")
    return labels


def floats(values: Iterable[float]) -> NDArray[np.float64]:
    """Return the values as float64[n]."""
    return np.array(list(values), np.float64)


def require_rows(name: str, array: NDArray[Any], rows: int) -> None:
    """Raise `StateError` unless the array has as many rows as that."""
    require_state(len(array) == rows, name, f"got {len(array)} rows, expected {rows}")


def require_each(name: str, array: NDArray[Any], low: float, high: float = math.inf) -> None:
    """Raise `StateError` unless each entry is in [low, high] or, among floats, NaN."""
    outside = (array < low) | (array > high)
    require_state(not bool(outside.any()), name, f"got an entry outside [{low}, {high}]")


def generator_arrays(generator: random.Random) -> Arrays:
    """Return the state of a generator: Mersenne words uint32[625], and a spare normal or none."""
    _, words, spare = generator.getstate()
    return {
        "generator": np.array(words, np.uint32),
        "generator_spare": floats([] if spare is None else [spare]),
    }


GENERATOR_LAYOUT: dict[str, tuple[tuple[int, ...], Any]] = {
    "generator": ((625,), np.uint32),
    "generator_spare": ((-1,), np.float64),
}


def set_generator(generator: random.Random, arrays: Arrays) -> None:
    """Write the state of a generator, or raise `StateError`."""
    words = tuple(arrays["generator"].tolist())
    spare: Sequence[float] = arrays["generator_spare"].tolist()
    require_state(words[-1] <= 624, "generator", f"got a position of {words[-1]}")
    require_state(len(spare) <= 1, "generator_spare", f"got {len(spare)} numbers")
    generator.setstate((3, words, spare[0] if spare else None))
