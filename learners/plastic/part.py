"""What a learning rule and an option have in common: declared parameters, arrays of their own."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from learners.base import Arrays
from learners.parameters import Layout, require
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body


class Part:
    """Parameters flat in `__init__`, each with a default; state and workspaces as named arrays.

    What every part may override does nothing here, so that a part says only what is its own.
    """

    name: ClassVar[str]

    def __init__(self) -> None:
        self.arrays: Arrays = {}
        """Its state, after `layout`; the snapshot has each array under the part's name."""
        self.work: Arrays = {}
        """Its workspaces, after `scratch`."""

    def layout(self, shape: Shape) -> Layout:
        """Return the arrays of its state for a network of a shape."""
        return {}

    def scratch(self, shape: Shape) -> Layout:
        """Return the arrays that hold nothing from one event to the next."""
        return {}

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Fill arrays, which are zeros, before the first event."""

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for arrays, of the right shapes, that it could not have come to."""

    def check_times(self, arrays: Arrays, labels: int) -> None:
        """Raise `StateError` for what would have come after more labels than there have been."""

    def restored(self, body: Body) -> None:
        """Work out what follows from a state that has just been put back."""

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return finite internals worth a metric, at a cost that does not grow with events."""
        return {}


P = TypeVar("P", bound=Part)


def build(table: Mapping[str, type[P]], field: str, kind: str, params: Mapping[str, Any]) -> P:
    """Return the part of a kind, or raise `ValueError` naming what was got and expected."""
    require(kind in table, field, kind, " | ".join(table))
    known = {n: p.default for n, p in inspect.signature(table[kind]).parameters.items()}
    for name, value in params.items():
        expected = ", ".join(known) or "no parameters"
        require(name in known, f"{field} {kind}", name, expected)
        default = known[name]
        whole = isinstance(value, int) and not isinstance(value, bool)
        good = type(value) is type(default) or (isinstance(default, float) and whole)
        require(good, f"{kind}.{name}", value, f"{type(default).__name__}")
        if isinstance(value, float):
            require(math.isfinite(value), f"{kind}.{name}", value, "a finite number")
    return table[kind](**params)
