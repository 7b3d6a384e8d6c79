"""A fast memory beside slow weights, in one of three forms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from learners.base import Arrays
from learners.kernels import network as dense
from learners.parameters import Layout, check_range, require
from learners.plastic.body import MOST
from learners.plastic.option import Floats, Option
from learners.plastic.options.rehearsal import Rehearsal
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

READOUT, VOTE, COPY = "readout", "vote", "copy"
FORMS = (READOUT, VOTE, COPY)
NETWORK_LOSS, MIXED_LOSS, NEAR, APART = range(4)
SHARE = 0.01
TINY = 1e-6
FARTHEST = 1e12


class FastSlow(Option):
    """A fast readout, a vote of stored events, or a slow copy, beside the network's weights.

    "readout" adds F h to the output's net inputs, h what the last layer reads. F is learned at
    `fast_rate` and decays by `decay` an event, and the same errors teach the weights below: it
    follows labels whose meaning changes ever again. It fails with a decay of 0, which is a larger
    rate for good.

    "vote" lets the events that `rehearsal` has stored vote, each with exp(-d / T) for its squared
    distance d to the event, T being `width` times the running mean of that to the nearest. "copy"
    has weights that follow the network's at `pace`. Either answers together with the network, half
    and half: to weigh them by what they said lately was tried, and gives up what is good at events
    that do not come at the time. A vote fails where distances mean nothing, a copy lags behind.

    References
    ----------
    The idea of complementary memories: 2025, arXiv:2504.20109, which gives no equations; the forms
    are our own.
    """

    name: ClassVar[str] = "fast_slow"
    needs_layers = True
    goes_with_weights = True

    def __init__(
        self,
        form: str = READOUT,
        fast_rate: float = 0.5,
        decay: float = 0.01,
        width: float = 0.25,
        pace: float = 0.001,
    ) -> None:
        super().__init__()
        require(form in FORMS, "fast_slow.form", form, " | ".join(FORMS))
        require(0.0 < fast_rate <= 1.0, "fast_slow.fast_rate", fast_rate, "above 0, at most 1")
        require(0.0 <= decay < 1.0, "fast_slow.decay", decay, "0 or more, below 1")
        require(0.01 <= width <= 100.0, "fast_slow.width", width, "0.01..100")
        require(0.0 < pace <= 1.0, "fast_slow.pace", pace, "above 0, at most 1")
        self.form, self.fast_rate, self.decay = form, fast_rate, decay
        self.width, self.pace = width, pace
        self._store: Rehearsal | None = None
        self._answered = False
        self._nearest = 0.0

    def layout(self, shape: Shape) -> Layout:
        """Return what is fast or slow, and gauges."""
        read = (shape.inputs, *shape.hidden)[-1]
        own: dict[str, tuple[int, ...]] = {
            READOUT: (shape.classes, read),
            VOTE: (0,),
            COPY: (shape.weights,),
        }
        return {"weights": (own[self.form], np.float64), "gauges": ((4,), np.float64)}

    def scratch(self, shape: Shape) -> Layout:
        """Return both answers, the copy's units, and a step towards the weights."""
        copied = self.form == COPY
        return {
            "network": ((shape.classes,), np.float64),
            "other": ((shape.classes,), np.float64),
            "read": (((shape.inputs, *shape.hidden)[-1],), np.float64),
            "acts": ((shape.units if copied else 0,), np.float64),
            "step": ((shape.weights if copied else 0,), np.float64),
        }

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Begin the copy; raise `ValueError` for a vote without stored events."""
        if self.form == COPY:
            self.arrays["weights"][:] = body.theta
        if self.form == VOTE:
            store = body.options.get(Rehearsal.name)
            if not isinstance(store, Rehearsal):
                raise ValueError("options: got 'fast_slow' with form 'vote' without 'rehearsal'")
            self._store = store

    def before(self, body: Body, x: Floats, y: int) -> None:
        """Wait for the answer to this event."""
        self._answered = False

    def answer(self, body: Body, x: Floats, out: Floats, learning: bool) -> None:
        """Add the fast readout."""
        if self.form == READOUT:
            read = self._read(body, x)
            fast = self.arrays["weights"] @ read
            fast -= fast.max()
            out *= np.exp(fast)
            out /= max(float(out.sum()), 1e-300)
            if learning and body.fresh:
                self.work["network"][:] = out
                self.work["read"][:] = read
                self._answered = True

    def speak(self, body: Body, x: Floats, out: Floats) -> None:
        """Mix in what votes or the copy say."""
        if self.form == READOUT:
            return
        own, other = self.work["network"], self.work["other"]
        own[:] = out
        if self.form == COPY:
            acts, relu = self.work["acts"], body.rule.relu
            dense.forward(self.arrays["weights"], body.layout, relu, x, acts)
            other[:] = acts[body.shape.hidden_units :]
        elif not self._vote(x, other):
            return
        self._answered = True
        out += other
        out *= 0.5

    def after(self, body: Body, x: Floats, y: int, loss: float) -> None:
        """Learn the readout, let the copy follow, and compare what was said."""
        if self.form == COPY:
            step = np.subtract(body.theta, self.arrays["weights"], out=self.work["step"])
            step *= self.pace
            self.arrays["weights"] += step
        if self._answered and self.form == READOUT:
            self._learn_readout(y)
        elif self._answered:
            self._compare(y, max(SHARE, 1.0 / body.labels))

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return the readout's norm, or how often both disagree and what the mixture gains."""
        gauges = self.arrays["gauges"]
        if self.form == READOUT:
            fast = self.arrays["weights"].ravel()
            return {"norm": math.sqrt(float(fast @ fast))}
        return {
            "disagreement": float(gauges[APART]),
            "gain": float(gauges[NETWORK_LOSS] - gauges[MIXED_LOSS]),
        }

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for weights or gauges that cannot have come about."""
        check_range("fast_slow_weights", arrays["weights"], -MOST, MOST)
        check_range("fast_slow_gauges", arrays["gauges"], 0.0, FARTHEST)

    def _read(self, body: Body, x: Floats) -> Floats:
        """Return what the last layer reads."""
        hidden = body.shape.hidden
        end = body.shape.hidden_units
        return body.acts[end - hidden[-1] : end] if hidden else x

    def _learn_readout(self, y: int) -> None:
        error, read, fast = self.work["network"], self.work["read"], self.arrays["weights"]
        error[y] -= 1.0
        fast *= 1.0 - self.decay
        fast -= np.outer(error, read * (self.fast_rate / (float(read @ read) + 1.0)))
        np.clip(fast, -MOST, MOST, out=fast)

    def _vote(self, x: Floats, out: Floats) -> bool:
        """Put the votes in `out`; return whether there were any."""
        if self._store is None or not self._store.held:
            return False
        distances = self._store.distances(x)
        self._nearest = float(distances.min())
        width = max(self.width * float(self.arrays["gauges"][NEAR]), TINY)
        votes = np.exp((self._nearest - distances) / width)
        out[:] = np.bincount(self._store.labels(), votes, len(out))
        out /= out.sum()
        return True

    def _compare(self, y: int, share: float) -> None:
        gauges, own, other = self.arrays["gauges"], self.work["network"], self.work["other"]
        alone, mixed = max(float(own[y]), TINY), max(0.5 * float(own[y] + other[y]), TINY)
        for gauge, value in (
            (NETWORK_LOSS, max(-math.log(alone), 0.0)),
            (MIXED_LOSS, max(-math.log(mixed), 0.0)),
            (NEAR, min(self._nearest, FARTHEST)),
            (APART, float(own.argmax() != other.argmax())),
        ):
            gauges[gauge] += share * (value - gauges[gauge])
