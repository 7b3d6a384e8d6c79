"""The weights, workspaces and gauges of a network, and the one way through an update."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays
from learners.kernels import network as dense
from learners.kernels import plastic as kernels
from learners.parameters import (
    Layout,
    allocate,
    check_range,
    check_state_arrays,
    layout_bytes,
)
from learners.plastic.option import Option
from learners.plastic.part import Part
from learners.plastic.rule import FactorRule, Rule
from learners.plastic.shape import Shape

Floats = NDArray[np.float64]

MOST = 1e6
"""Where weights stop; no sum over four layers of them can then fail to be finite."""
MOST_STEP = 10.0
"""A step that would move one weight by more is not taken."""
EMA = 0.01
DEAD = 0.01
"""A unit is dead that was active in a lesser share of the last few hundred events."""
NORM_EVERY = 100
LABELS, REJECTED, SHIFTS, TASKS = range(4)
LOSS, ACCURACY, GRADIENT, NORM = range(4)
STATE = ("theta", "active", "gauges", "counts", "rng")


class Body:
    """A network with one rule and its options.

    `theta` (float64[weights]) and `layout` are as `learners.kernels.network` has them, the step's
    factors `pre`, `post` and `bias` as `learners.kernels.plastic` has.
    """

    def __init__(
        self, shape: Shape, rule: Rule, options: Mapping[str, Option], rate: float, seed: int
    ) -> None:
        self.shape, self.rule, self.options = shape, rule, dict(options)
        self.rate, self.seed = rate, seed
        self.layout = shape.layout
        own = allocate(_state(shape, rule) | _scratch(shape, rule))
        self.theta, self.active = own["theta"], own["active"]
        self.gauges, self.counts, self.rng = own["gauges"], own["counts"], own["rng"]
        self.acts, self.errs = own["acts"], own["errs"]
        self.pre, self.post, self.bias = own["pre"], own["post"], own["bias"]
        self._spoken = own["spoken"]
        self.said = 0
        """The class that was most probable when an event's learning began."""
        self.fresh = False
        """Whether the update under way is of the event itself and not of one of the past."""
        self.learning = False
        """Whether what is looked at is to be learned."""
        self._found = np.zeros(2)
        self._out = self.acts[shape.hidden_units :]
        self._writer = next((each for each in options.values() if each.writes), None)
        self._masks = any(each.masks for each in options.values())
        for part in self.parts():
            part.arrays, part.work = allocate(part.layout(shape)), allocate(part.scratch(shape))
        self.rng[0] = seed
        self.bias[:] = 1.0
        self.active[:] = 1.0
        for number, part in enumerate(self.parts()):
            part.begin(self, np.random.default_rng((seed, number)))
        self._weigh()

    def parts(self) -> Iterator[Part]:
        """The rule and the options."""
        yield self.rule
        yield from self.options.values()

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """Every array that is held."""
        own = (self.theta, self.active, self.gauges, self.counts, self.rng, self.layout)
        of_parts = (a for p in self.parts() for a in (*p.arrays.values(), *p.work.values()))
        steps = (self.acts, self.errs, self.pre, self.post, self.bias, self._spoken)
        return (*own, *steps, *of_parts)

    @property
    def labels(self) -> int:
        """How many labels have been learned, that of the event under way among them."""
        return int(self.counts[LABELS])

    def forward(self, x: Floats) -> Floats:
        """Return the probability of each class after all layers, as a view."""
        if not self._masks:
            dense.forward(self.theta, self.layout, self.rule.relu, x, self.acts)
            return self._out
        source = x
        for layer, (units, here) in enumerate(self.layout[:, [dense.UNITS, dense.HERE]].tolist()):
            kernels.forward_layer(self.theta, self.layout, self.rule.relu, layer, x, self.acts)
            out = self.acts[here : here + units]
            if layer < self.shape.layers - 1:
                for option in self.options.values():
                    option.mask(self, layer, source, out)
            source = out
        return self._out

    def look(self, x: Floats, learning: bool = False) -> Floats:
        """Return the probability of each class, as rule and options have it, as a view."""
        self.learning = learning
        out = self.rule.predict(self, x)
        for option in self.options.values():
            option.answer(self, x, out, learning)
        if learning and not self.fresh:
            return out
        spoken = self._spoken if learning else out
        spoken[:] = out
        for option in self.options.values():
            option.speak(self, x, spoken)
        if learning:
            self.said = int(spoken.argmax())
        return out

    def learn(self, x: Floats, y: int) -> None:
        """Learn that x (float64[inputs]) is of class y, with all that options do about it."""
        self.counts[LABELS] += 1
        for option in self.options.values():
            option.before(self, x, y)
        self.fresh = True
        loss = self.update(x, y)
        self.fresh = False
        self._note(loss, y)
        for option in self.options.values():
            option.after(self, x, y, loss)
        if self.labels % NORM_EVERY == 0:
            self._weigh()

    def update(self, x: Floats, y: int) -> float:
        """Learn one event, new or of the past; return the loss before."""
        return self.rule.learn(self, x, y)

    def write_step(self) -> None:
        """Write the step that the factors make."""
        for option in self.options.values():
            option.shape(self)
        kernels.measure(self.layout, self.pre, self.post, self.bias, self._found)
        square, largest = self._found.tolist()
        if not self.rate * largest <= MOST_STEP:
            self.counts[REJECTED] += 1
            return
        self.gauges[GRADIENT] += EMA * (math.sqrt(square) - self.gauges[GRADIENT])
        if self._writer is None:
            kernels.write(self.theta, self.layout, self.pre, self.post, self.bias, self.rate, MOST)
        else:
            self._writer.write(self)
        for option in self.options.values():
            option.settle(self)

    def shift(self) -> None:
        """Tell options that labels have changed their meaning."""
        self.counts[SHIFTS] += 1
        for option in self.options.values():
            option.shifted(self)

    def new_task(self) -> None:
        """Tell options that another task begins."""
        self.counts[TASKS] += 1
        for option in self.options.values():
            option.new_task(self)

    def sources(self, x: Floats, term: int = 0) -> None:
        """Put what each layer has read in the factors of a term."""
        self.pre[term, : self.shape.inputs] = x
        self.pre[term, self.shape.inputs :] = self.acts[: self.shape.hidden_units]

    def signals(self) -> dict[str, float]:
        """Return running loss, accuracy, norms, dead units, and those of rule and options."""
        known = {
            "labels": float(self.counts[LABELS]),
            "loss": float(self.gauges[LOSS]),
            "accuracy": float(self.gauges[ACCURACY]),
            "weight_norm": float(self.gauges[NORM]),
        }
        if isinstance(self.rule, FactorRule):
            norm = max(float(self.gauges[NORM]), 1e-12)
            known["gradient_norm"] = float(self.gauges[GRADIENT])
            known["update_ratio"] = self.rate * known["gradient_norm"] / norm
            known["dead_units"] = float(np.mean(self.active < DEAD)) if len(self.active) else 0.0
            known["rejected_updates"] = float(self.counts[REJECTED])
        for part in self.parts():
            known |= {f"{part.name}_{name}": v for name, v in part.signals(self).items()}
        return known

    def get_state(self) -> Arrays:
        """Return copies of weights, gauges and the arrays of rule and options."""
        state: Arrays = {name: getattr(self, name).copy() for name in STATE}
        for part in self.parts():
            state |= {f"{part.name}_{name}": array.copy() for name, array in part.arrays.items()}
        return state

    def check_state(self, arrays: Arrays) -> None:
        """Raise `StateError` unless `set_state` could take these."""
        check_state_arrays(arrays, state_layout(self.shape, self.rule, self.options))
        check_range("theta", arrays["theta"], -MOST, MOST)
        check_range("active", arrays["active"], 0.0, 1.0)
        check_range("gauges", arrays["gauges"], 0.0, 1e300)
        # No weight moves by more than `MOST_STEP`, up to rounding.
        longest = 1.001 * MOST_STEP * math.sqrt(self.shape.weights)
        check_range("gauges", self.rate * arrays["gauges"][GRADIENT], 0.0, longest)
        check_range("counts", arrays["counts"], 0, 2**62)
        for part in self.parts():
            own = {name: arrays[f"{part.name}_{name}"] for name in part.arrays}
            part.check(own)
            part.check_times(own, int(arrays["counts"][LABELS]))

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state by one that has been checked."""
        for name in STATE:
            getattr(self, name)[...] = arrays[name]
        for part in self.parts():
            for name, array in part.arrays.items():
                array[...] = arrays[f"{part.name}_{name}"]
        for part in self.parts():
            part.restored(self)

    def _note(self, loss: float, y: int) -> None:
        gauges, hidden = self.gauges, self.shape.hidden_units
        share = max(EMA, 1.0 / self.labels)
        gauges[LOSS] += share * (min(loss, 1e3) - gauges[LOSS])
        gauges[ACCURACY] += share * (float(self.said == y) - gauges[ACCURACY])
        if len(self.active):
            self.active += EMA * ((self.acts[:hidden] > 0.0) - self.active)

    def _weigh(self) -> None:
        self.gauges[NORM] = math.sqrt(float(self.theta @ self.theta))


def state_layout(shape: Shape, rule: Rule, options: Mapping[str, Option]) -> Layout:
    """Return every array of the state, those of rule and options under their names."""
    found = _state(shape, rule)
    for part in (rule, *options.values()):
        found |= {f"{part.name}_{name}": like for name, like in part.layout(shape).items()}
    return found


def body_bytes(shape: Shape, rule: Rule, options: Mapping[str, Option]) -> int:
    """Return the bytes of all arrays that a body will hold."""
    own = layout_bytes(state_layout(shape, rule, options) | _scratch(shape, rule))
    parts = (rule, *options.values())
    return own + shape.layout.nbytes + sum(layout_bytes(each.scratch(shape)) for each in parts)


def _state(shape: Shape, rule: Rule) -> Layout:
    return {
        "theta": ((0 if rule.own_weights else shape.weights,), np.float64),
        "active": ((0 if rule.own_weights else shape.hidden_units,), np.float64),
        "gauges": ((4,), np.float64),
        "counts": ((4,), np.int64),
        "rng": ((1,), np.uint64),
    }


def _scratch(shape: Shape, rule: Rule) -> Layout:
    terms = rule.terms if isinstance(rule, FactorRule) else 0
    return {
        "acts": ((shape.units,), np.float64),
        "errs": ((shape.units,), np.float64),
        "spoken": ((shape.classes,), np.float64),
        "pre": ((terms, shape.inputs + shape.hidden_units), np.float64),
        "post": ((terms, shape.units), np.float64),
        "bias": ((terms, shape.layers), np.float64),
    }
