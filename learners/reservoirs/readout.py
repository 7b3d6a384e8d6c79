"""A linear read-out of features, taught online by normalized steps or recursive least squares."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays
from learners.kernels import reservoir as kernels
from learners.kernels.network import softmax
from learners.parameters import Layout, allocate, check_range, check_state_arrays, layout_bytes

Floats = NDArray[np.float64]
Rule = Literal["delta", "softmax", "rls"]

LARGEST = 1e12


class Readout:
    """Outputs that are sums of features, or the softmax of such sums.

    `delta` and `softmax` take a step along the error, divided by 1 and the squared length of the
    features (normalized least mean squares; its error in the long run is rate / (2 - rate) of the
    noise). `rls` solves for all events at once, each counting `forgetting` less than the next.

    It fails, under `rls`, near as many events as features if `ridge` is small: the error then has a
    peak of sigma^2 N / (P - N - 1), which a ridge of 10 to 50 takes away for features of unit
    variance; and with a forgetting of 1 it learns nothing anew.

    Parameters
    ----------
    features, outputs
        F and C.
    rate
        Of the normalized step, below 2.
    ridge, forgetting
        Of least squares: P begins as I / ridge.
    """

    def __init__(
        self,
        rule: Rule,
        features: int,
        outputs: int,
        rate: float = 0.5,
        ridge: float = 10.0,
        forgetting: float = 0.9995,
    ) -> None:
        self.rule: Rule = rule
        self.rate, self.ridge, self.forgetting = rate, ridge, forgetting
        self._layout = _layout(rule, features, outputs)
        arrays = allocate(self._layout)
        self.W: Floats = arrays["W"]
        self.P: Floats | None = arrays.get("P")
        if self.P is not None:
            np.fill_diagonal(self.P, 1.0 / ridge)
        self.z: Floats = np.zeros(outputs)
        self._k: Floats = np.zeros(features)
        self.last_step = 0.0
        """Length of the latest step of a unit error."""

    @property
    def arrays(self) -> tuple[Floats, ...]:
        """All arrays it holds."""
        return (self.W, self.z, self._k) if self.P is None else (self.W, self.z, self._k, self.P)

    @staticmethod
    def memory_bytes(rule: Rule, features: int, outputs: int) -> int:
        """Return the bytes of all arrays."""
        return layout_bytes(_layout(rule, features, outputs)) + 8 * (features + outputs)

    def read(self, f: Floats, used: int, outputs: int) -> Floats:
        """Return the first outputs (float64[outputs]) for features, as a view."""
        kernels.read(self.W, f, used, outputs, self.z)
        found = self.z[:outputs]
        if self.rule == "softmax" and outputs:
            softmax(found)
        return found

    def teach(self, f: Floats, used: int, errors: Floats) -> None:
        """Move towards outputs that are off by `errors` (float64[C], first outputs first)."""
        if self.P is not None:
            kernels.gain(self.P, f, used, self.forgetting, self.ridge, self._k)
        else:
            np.multiply(f, self.rate / (1.0 + kernels.squares(f, used)), out=self._k)
        self.last_step = math.sqrt(kernels.squares(self._k, used))
        kernels.move(self.W, self._k, used, len(errors), errors)
        np.clip(self.W[:used], -LARGEST, LARGEST, out=self.W[:used])

    def mean_variance(self) -> float:
        """Return the mean diagonal entry of P in units of its first, 0 without least squares."""
        return 0.0 if self.P is None else float(np.trace(self.P)) * self.ridge / len(self.P)

    def get_state(self) -> Arrays:
        """Return a copy of every state array."""
        state = {"W": self.W.copy()}
        return state if self.P is None else state | {"P": self.P.copy()}

    def check_state(self, arrays: Arrays) -> None:
        """Raise `StateError` unless `set_state` could take these."""
        check_state_arrays(arrays, self._layout)
        check_range("W", arrays["W"], -LARGEST, LARGEST)
        if self.P is not None:
            most = 2 * kernels.MOST_TRACE * len(self.P) / self.ridge
            check_range("P", arrays["P"], -most, most)

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state with what `check_state` accepted."""
        self.W[:] = arrays["W"]
        if self.P is not None:
            self.P[:] = arrays["P"]


def _layout(rule: Rule, features: int, outputs: int) -> Layout:
    layout: Layout = {"W": ((features, outputs), np.float64)}
    return layout | {"P": ((features, features), np.float64)} if rule == "rls" else layout
