"""Gradient steps of which a share goes the wrong way, for good."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from learners.base import Arrays
from learners.kernels import network as dense
from learners.parameters import Layout, check_range, require, require_state
from learners.plastic.rule import FactorRule, Floats
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

EMA = 0.01
READOUT, HIDDEN = "readout", "hidden"


class CurlDescent(FactorRule):
    """The steps of some units have the other sign, drawn once: no gradient of any loss.

    With `where` "readout" what is flipped are the steps of the weights that lead from some of the
    last hidden units to the classes, and a fifth of them is borne; with "hidden" those into some
    hidden units, of which a twentieth may ruin it all. `keep_norm` brings each layer's weights
    back to the norm they began with, as the released code does. A demonstration that learning
    need not be a descent; of no use.

    References
    ----------
    Ninou, Kadmon and Cayco-Gajic 2025, Curl descent.
    """

    name: ClassVar[str] = "curl_descent"
    least_hidden = 1

    def __init__(self, flipped: float = 0.2, where: str = READOUT, keep_norm: bool = False) -> None:
        super().__init__()
        require(0.0 <= flipped <= 1.0, "curl_descent.flipped", flipped, "0..1")
        require(where in (READOUT, HIDDEN), "curl_descent.where", where, f"{READOUT} | {HIDDEN}")
        self.flipped, self.where, self.keep_norm = flipped, where, keep_norm

    def layout(self, shape: Shape) -> Layout:
        """Return the sign of each hidden unit's steps, norms at first, and the flipped share."""
        return {
            "signs": ((shape.hidden_units,), np.float64),
            "norms": ((shape.layers,), np.float64),
            "share": ((1,), np.float64),
        }

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Draw weights, and which units are flipped."""
        super().begin(body, draw)
        signs = self.arrays["signs"]
        signs[:] = 1.0
        first = 0 if self.where == HIDDEN else len(signs) - body.shape.hidden[-1]
        units = len(signs) - first
        signs[first + draw.permutation(units)[: round(self.flipped * units)]] = -1.0
        self.arrays["norms"][:] = [math.sqrt(float(w @ w)) for w in _weights(body)]

    def factors(self, body: Body, x: Floats, y: int) -> float:
        """Fill in the gradient with some of it flipped; return the loss in nats."""
        body.look(x, learning=True)
        body.sources(x)
        loss = dense.backward(body.theta, body.layout, self.relu, body.acts, y, body.post[0])
        signs, hidden = self.arrays["signs"], body.shape.hidden_units
        if self.where == HIDDEN:
            self._note(body.post[0, :hidden] ** 2)
            body.post[0, :hidden] *= signs
        else:
            self._note(body.pre[0, body.shape.inputs :] ** 2)
            # Only the last layer's signs can be below zero.
            body.pre[0, body.shape.inputs :] *= signs
        return loss

    def learn(self, body: Body, x: Floats, y: int) -> float:
        """Write the step, then bring norms back if that is wanted."""
        loss = super().learn(body, x, y)
        if self.keep_norm:
            for weights, norm in zip(_weights(body), self.arrays["norms"].tolist(), strict=True):
                now = math.sqrt(float(weights @ weights))
                if now > 0.0:
                    weights *= norm / now
        return loss

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return the share of units flipped, and of the squared gradient."""
        return {
            "flipped_share": float(np.mean(self.arrays["signs"] < 0.0)),
            "curl_share": float(self.arrays["share"][0]),
        }

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for signs that are none, or norms beyond measure."""
        good = np.array_equal(np.abs(arrays["signs"]), np.ones_like(arrays["signs"]))
        require_state(good, "curl_descent_signs", "expected 1 or -1")
        check_range("curl_descent_norms", arrays["norms"], 0.0, 1e6)
        check_range("curl_descent_share", arrays["share"], 0.0, 1.0)

    def _note(self, squares: Floats) -> None:
        total = float(squares.sum())
        share = float(squares[self.arrays["signs"] < 0.0].sum()) / total if total > 0.0 else 0.0
        self.arrays["share"] += EMA * (share - self.arrays["share"])


def _weights(body: Body) -> list[Floats]:
    """Return each layer's weights without biases, as views."""
    return [body.theta[w : w + i * u] for i, u, w in body.layout[:, :3].tolist()]
