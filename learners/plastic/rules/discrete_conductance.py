"""Weights as pairs of devices of few levels, written by pulses of one size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from learners.base import Arrays
from learners.kernels import conductance as kernels
from learners.kernels import network as dense
from learners.parameters import Layout, check_range, require, require_state
from learners.plastic.body import MOST
from learners.plastic.rule import Floats, Rule
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

PULSES, REFRESHES = range(2)
EMA = 0.01
NAME = "discrete_conductance"
SAMPLE = 1_024


class DiscreteConductance(Rule):
    """A weight is `span` times the difference of two conductances in [0, 1], moved by pulses.

    All pulses are alike; a gradient step becomes one with a probability that makes it right on
    average. With `bend` above 0 devices saturate: a pulse does less the further a device already
    is. `one_way` only ever writes upwards, and erases a pair when one of it is nearly full;
    otherwise one device goes up and the other down. One way is the better only where devices
    bend strongly (6). A simulation of hardware, and a trial of weights in few bits: it gains
    nothing over `sgd`, and rates have to suit the size of a pulse, `span` / `levels`.

    References
    ----------
    Neural Computing and Applications 31, 2019, on devices of discrete and limited conductance.
    """

    name: ClassVar[str] = NAME
    rate = 0.01

    def __init__(
        self, levels: int = 64, bend: float = 0.0, span: float = 1.0, one_way: bool = False
    ) -> None:
        super().__init__()
        require(2 <= levels <= 65_536, f"{NAME}.levels", levels, "2..65536")
        require(0.0 <= bend <= 20.0, f"{NAME}.bend", bend, "0..20")
        require(1e-3 <= span <= 1e3, f"{NAME}.span", span, "0.001..1000")
        self.levels, self.bend, self.span, self.one_way = levels, bend, span, one_way

    def layout(self, shape: Shape) -> Layout:
        """Return both devices of each weight, and running counts."""
        parts: Layout = dict.fromkeys(("plus", "minus"), ((shape.weights,), np.float64))
        return parts | {"gauges": ((2,), np.float64)}

    def scratch(self, shape: Shape) -> Layout:
        """Return the counts of one event."""
        return {"counted": ((2,), np.float64)}

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Write normal weights of variance 2 / inputs, on one device or about the middle of two."""
        for inputs, units, weights in body.layout[:, :3].tolist():
            drawn = draw.standard_normal(inputs * units) * math.sqrt(2.0 / inputs) / self.span
            here = slice(weights, weights + inputs * units)
            for part, sign in (("plus", 1.0), ("minus", -1.0)):
                g = sign * drawn if self.one_way else 0.5 + 0.5 * sign * drawn
                g = np.clip(g, 0.0, 1.0)
                if self.bend == 0.0:
                    g = np.floor(g * self.levels + 0.5) / self.levels
                self.arrays[part][here] = g
        self.restored(body)

    def restored(self, body: Body) -> None:
        """Read the weights off the devices."""
        for inputs, units, weights in body.layout[:, :3].tolist():
            here = slice(weights, weights + inputs * units)
            body.theta[here] = self.span * (self.arrays["plus"][here] - self.arrays["minus"][here])

    def learn(self, body: Body, x: Floats, y: int) -> float:
        """Give pulses; return the loss in nats before."""
        body.look(x, learning=True)
        loss = dense.backward(body.theta, body.layout, self.relu, body.acts, y, body.errs)
        counted = self.work["counted"]
        kernels.pulse(
            body.theta,
            self.arrays["plus"],
            self.arrays["minus"],
            body.layout,
            body.rng,
            x,
            body.acts,
            body.errs,
            body.rate,
            self.levels,
            self.bend,
            self.span,
            self.one_way,
            MOST,
            counted,
        )
        self.arrays["gauges"] += EMA * (counted - self.arrays["gauges"])
        return loss

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return pulses and refreshes an event, and of a sample the saturated and the range."""
        plus, minus = (
            self.arrays[part][:: max(len(body.theta) // SAMPLE, 1)] for part in ("plus", "minus")
        )
        full = (plus > kernels.FULL) | (minus > kernels.FULL)
        return {
            "pulses": float(self.arrays["gauges"][PULSES]),
            "refreshes": float(self.arrays["gauges"][REFRESHES]),
            "saturated_share": float(np.mean(full)),
            "range": float(np.abs(plus - minus).max()),
        }

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for conductances outside of [0, 1], or between levels."""
        for part in ("plus", "minus"):
            check_range(f"{NAME}_{part}", arrays[part], 0.0, 1.0)
            if self.bend == 0.0:
                levels = arrays[part] * self.levels
                on_level = bool(np.all(np.abs(levels - np.round(levels)) < 1e-6))
                require_state(on_level, f"{NAME}_{part}", "got a conductance between levels")
        check_range(f"{NAME}_gauges", arrays["gauges"], 0.0, 1e12)
