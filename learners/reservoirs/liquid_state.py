"""Liquid state: a fixed random network that remembers what came, and read-outs of its state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays, Features, Forecast, Learner, Prediction, Target
from learners.classes import Classes
from learners.inputs import LARGEST as LARGEST_INPUT
from learners.inputs import MOST_DEVIATIONS, Inputs
from learners.parameters import (
    Layout,
    allocate,
    check_range,
    check_state_arrays,
    layout_bytes,
    require,
    require_state,
    with_prefix,
    without_prefix,
)
from learners.reservoirs.bands import Bands
from learners.reservoirs.liquid import Liquid
from learners.reservoirs.readout import Readout, Rule

Form = Literal["rates", "spikes"]
Forecasts = Literal["delta", "rls", "none"]
AVERAGED_OVER = 0.01
LARGEST = 1e6
NEVER = -1e300

# gauges
SCORE, LOG_LOSS, LAST_T, EVENTS = range(4)


class LiquidState(Learner):
    """Passes events through a fixed random network, and learns to read what it needs off its state.

    The network is drawn from the seed and never changes; its state holds what came of late, in
    every mixture. Labels, in events or later ones, teach one read-out. Another learns to say the
    next event's numbers from the state before: `forecast` is the number `feature`, and the score
    is by how many deviations, root mean square over all numbers, an event is off what was said.

    `form` "rates" is an echo state network of leaky units; "spikes" are integrate-and-fire units,
    run for `steps` of a millisecond an event, with traces of their spikes as features. How strongly
    inputs drive these is found in the first 500 events, then stays.

    It fails where what matters came longer ago than the state remembers, which is fewer events than
    there are units; where single numbers tell as much (a plain regression then learns faster); and,
    with spikes, on templates whose spikes move by more than a few milliseconds. Of forecasts see
    `Bands`.

    Parameters
    ----------
    units, form
        Size and kind of the network.
    radius, density
        Spectral radius of the recurrent weights, by the circular law, and share of them; rates only
        for the radius.
    least_leak
        Units forget by shares from this to 1 an event, even in their logarithm; rates only.
    step_seconds
        If given, what one step of forgetting is in time, so that gaps between events count.
    input_scale
        Of input weights, uniform within it; rates only.
    steps, target_hz
        Steps of a millisecond an event, and spikes a second that inputs are to drive units to: the
        fewer, the more inputs have to coincide; spikes only.
    readout
        Of labels: `softmax`, `delta` or `rls`.
    forecasts
        Of the next event's numbers: `delta`, `rls` or `none`.
    rate
        Of normalized steps, below 2.
    ridge, forgetting
        Of recursive least squares; see `Readout`.
    horizons
        Events ahead to forecast; more than one is reached by feeding forecasts back.
    feature
        The number to forecast; `None` takes the first of the first event.
    remembered
        Events whose label may come later.
    standardize, classes, max_features, seed
        As elsewhere.

    References
    ----------
    Maass, Natschlaeger and Markram 2002, Neural Computation 14(11); Jaeger 2001, GMD report 148.
    """

    learns_labels = True

    def __init__(
        self,
        units: int = 200,
        form: Form = "rates",
        radius: float = 0.9,
        density: float = 0.1,
        least_leak: float = 0.1,
        step_seconds: float | None = None,
        input_scale: float = 0.5,
        steps: int = 10,
        target_hz: float = 10.0,
        readout: Rule = "softmax",
        forecasts: Forecasts = "rls",
        rate: float = 0.5,
        ridge: float = 10.0,
        forgetting: float = 0.9995,
        horizons: tuple[int, ...] = (1,),
        feature: str | None = None,
        remembered: int = 32,
        standardize: bool = True,
        classes: int = 16,
        max_features: int = 16,
        seed: int = 1,
    ) -> None:
        require(readout in ("softmax", "delta", "rls"), "readout", readout, "softmax, delta or rls")
        require(forecasts in ("delta", "rls", "none"), "forecasts", forecasts, "delta, rls or none")
        require(0.0 < rate < 2.0, "rate", rate, "in (0, 2)")
        require(1e-6 <= ridge <= 1e6, "ridge", ridge, "0.000001..1000000")
        require(0.9 <= forgetting <= 1.0, "forgetting", forgetting, "0.9..1")
        good = list(horizons) == sorted(set(horizons)) and min(horizons, default=0) >= 1
        require(good and horizons[-1] <= 1_000, "horizons", horizons, "increasing, 1..1000")
        require(0 <= remembered <= 4_096, "remembered", remembered, "0..4096")
        require(1 <= max_features <= 4_096, "max_features", max_features, "1..4096")
        self.units = units
        self.form: Form = form
        self.radius = radius
        self.density = density
        self.least_leak = least_leak
        self.step_seconds = step_seconds
        self.input_scale = input_scale
        self.steps = steps
        self.target_hz = target_hz
        self.readout: Rule = readout
        self.forecasts: Forecasts = forecasts
        self.rate = rate
        self.ridge = ridge
        self.forgetting = forgetting
        self.horizons = tuple(horizons)
        self.feature = feature
        self.remembered = remembered
        self.standardize = standardize
        self.classes = classes
        self.max_features = max_features
        self.seed = seed
        self._inputs = Inputs(max_features, standardize)
        self._classes = Classes(classes)
        self._liquid = Liquid(
            units, form, radius, density, least_leak, step_seconds, input_scale, steps, target_hz,
            max_features, seed,
        )  # fmt: skip
        width = self._liquid.width
        self._labels = Readout(readout, width, classes, rate, ridge, forgetting)
        self._next = (
            None
            if forecasts == "none"
            else Readout(forecasts, width, max_features, rate, ridge, forgetting)
        )
        arrays = allocate(_layout(width, remembered))
        self._ring, self._ring_t = arrays["ring"], arrays["ring_t"]
        self._gauges, self._bands = arrays["gauges"], Bands(max_features, feature)
        self._ring_t[:] = NEVER
        self._gauges[LAST_T] = NEVER

    @classmethod
    def variants(cls) -> Sequence[Mapping[str, Any]]:
        """Return parameters that use all kernels between them."""
        return ({}, {"form": "spikes", "units": 20, "readout": "delta", "forecasts": "delta"})

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of network, read-outs, remembered features, and names."""
        form, units = params.get("form", "rates"), params.get("units", 200)
        features, classes = params.get("max_features", 16), params.get("classes", 16)
        width = Liquid.width_of(form, units, features)
        forecasts = params.get("forecasts", "rls")
        return (
            layout_bytes(_layout(width, params.get("remembered", 32)))
            + Bands.memory_bytes(features)
            + Liquid.memory_bytes(form, units, params.get("density", 0.1), features)
            + Readout.memory_bytes(params.get("readout", "softmax"), width, classes)
            + (0 if forecasts == "none" else Readout.memory_bytes(forecasts, width, features))
            + Inputs.memory_bytes(features)
            + Classes.memory_bytes(classes)
        )

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return how far off an event is, its label, and what comes after it, changing nothing.

        The score is `None` before the second event, for one without numbers, and without
        `forecasts`. Raises `InvalidEvent` for a number that is not finite.
        """
        u = self._inputs.read(x)
        score, expected = self._off(x, u)
        known = self._inputs.known
        f = self._liquid.look(u, self._steps(t), known)
        used = self._liquid.used(known)
        label, proba = self._classes.answer(self._probabilities(f, used))
        rows = self._roll_out(self._liquid.after, f, self.horizons) if self._events else []
        return Prediction(
            score=score, label=label, proba=proba, forecast=rows, expected=expected or None
        )

    def features_now(self) -> NDArray[np.float64]:
        """Return the features after the newest event, as read-outs see them."""
        return self._liquid.f[: self._liquid.used(self._inputs.known)].copy()

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Learn what came, move on, then learn the label, if there is one.

        Raises `InvalidEvent`, before anything changed, for a number that is not finite or a label
        too many.
        """
        if y is not None:
            self._classes.check(y)
        self._move_on(x, t, learn=True)
        if y is not None:
            self._teach(self._liquid.f, y)

    def reset(self) -> None:
        """Begin anew: the network has heard nothing; nothing learned is lost."""
        self._liquid.reset()

    def follow_one(self, x: Features, t: float | None = None) -> None:
        """Move on past an event without learning from it."""
        self._move_on(x, t, learn=False)

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        """Learn the label of one of the `remembered` last events, told by its time.

        Of several with the same time it is the newest's. One of an event that is not remembered, or
        had no time, is passed over.
        """
        self._classes.check(y)
        found = np.flatnonzero(self._ring_t == t) if t is not None else np.array([], np.int64)
        if len(found):
            ages = (int(self._gauges[EVENTS]) - 1 - found) % self.remembered
            self._teach(self._ring[found[np.argmin(ages)]], y)

    def _move_on(self, x: Features, t: float | None, learn: bool) -> None:
        if learn:
            u = self._inputs.learn(x)
            self._liquid.draw(self._inputs.known)
            self._learn_next(x, u)
        else:
            u = self._inputs.read(x)
        self._liquid.move_on(u, self._steps(t), self._inputs.known, learn)
        if t is not None and math.isfinite(t):
            self._gauges[LAST_T] = t
        if self.remembered:
            i = int(self._gauges[EVENTS]) % self.remembered
            self._ring[i] = self._liquid.f
            self._ring_t[i] = NEVER if t is None or not math.isfinite(t) else t
        self._gauges[EVENTS] += 1.0

    def _learn_next(self, x: Features, u: NDArray[np.float64]) -> None:
        """Learn this event's numbers from the state before it."""
        if self._next is None:
            return
        rows = self._inputs.places_of_numbers(x)
        self._bands.choose(self._inputs, rows)
        if not self._events or not len(rows):
            return
        f, used = self._liquid.f, self._liquid.used(self._inputs.known)
        errors = np.zeros(self._inputs.known)
        errors[rows] = u[rows] - self._next.read(f, used, self._inputs.known)[rows]
        np.clip(errors, -LARGEST, LARGEST, out=errors)
        self._average(SCORE, self._bands.note(rows, errors))
        self._next.teach(f, used, errors)

    def _teach(self, f: NDArray[np.float64], y: float | str) -> None:
        truth = self._classes.index(y)
        used = self._liquid.used(self._inputs.known)
        errors = -self._labels.read(f, used, len(self._classes))
        said = self._shares(-errors)[truth]
        errors[truth] += 1.0
        self._labels.teach(f, used, np.clip(errors, -LARGEST, LARGEST))
        self._average(LOG_LOSS, -math.log(max(said, 1e-6)))

    def _off(self, x: Features, u: NDArray[np.float64]) -> tuple[float | None, Mapping[str, float]]:
        """Return how far off an event is from what the state before it says, and what that is."""
        rows = self._inputs.places_of_numbers(x)
        if self._next is None or not self._events or not len(rows):
            return None, {}
        known = self._inputs.known
        said = self._next.read(self._liquid.f, self._liquid.used(known), known)
        off = np.minimum(np.abs(u[rows] - said[rows]), LARGEST)
        return math.sqrt(float((off * off).mean())), self._inputs.named(x, said)

    def _probabilities(self, f: NDArray[np.float64], used: int) -> list[float]:
        return self._shares(self._labels.read(f, used, len(self._classes)))

    def _shares(self, z: NDArray[np.float64]) -> list[float]:
        """Return outputs as probabilities."""
        if self.readout == "softmax" or not len(z):
            return z.tolist()  # type: ignore[no-any-return]
        held = np.clip(z, 1e-6, 1.0)
        return (held / held.sum()).tolist()  # type: ignore[no-any-return]

    def forecast(self, horizon: int) -> Sequence[Forecast]:
        """Return what is expected 1 to `horizon` events from now, fed back for more than one."""
        return self._roll_out(self._liquid.body, self._liquid.f, range(1, horizon + 1))

    def _roll_out(
        self, body: NDArray[np.float64], f: NDArray[np.float64], horizons: Sequence[int]
    ) -> list[Forecast]:
        if self._next is None or not self._bands.known or not len(horizons):
            return []
        known, rows = self._inputs.known, []
        used = self._liquid.used(known)
        said = self._next.read(f, used, known).copy()
        body = body.copy()
        for ahead in range(1, horizons[-1] + 1):
            if ahead in horizons:
                rows.append(self._bands.forecast(self._inputs, ahead, said))
            if ahead < horizons[-1]:
                u = np.zeros(self.max_features)
                most = MOST_DEVIATIONS if self.standardize else LARGEST_INPUT
                np.clip(said, -most, most, out=u[:known])
                f = self._liquid.advance(body, u, known)
                said = self._next.read(f, used, known).copy()
        return rows

    def _steps(self, t: float | None) -> float:
        """Return how many steps of forgetting lie between the last event and a time."""
        if self.step_seconds is None or t is None or self._gauges[LAST_T] == NEVER:
            return 1.0
        gap = t - float(self._gauges[LAST_T])
        return min(max(gap / self.step_seconds, 0.0), LARGEST) if math.isfinite(gap) else 1.0

    def _average(self, which: int, value: float) -> None:
        self._gauges[which] += AVERAGED_OVER * (min(value, LARGEST) - self._gauges[which])

    @property
    def _events(self) -> bool:
        return bool(self._gauges[EVENTS])

    def signals(self) -> Mapping[str, float]:
        """Return losses, and how the network is driven."""
        return dict(self._liquid.signals()) | {
            "liquid_forecast_error": float(self._gauges[SCORE]),
            "liquid_log_loss": float(self._gauges[LOG_LOSS]),
            "liquid_inputs": float(self._inputs.known),
        }

    def get_state(self) -> Arrays:
        """Return state of the network, read-outs, names and labels; the network is drawn anew."""
        state = {name: getattr(self, f"_{name}").copy() for name in _STATE}
        for prefix, part in self._parts():
            state |= with_prefix(prefix, part.get_state())
        return state

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        prefixes = ("classes_", *(prefix for prefix, _ in self._checked_parts()))
        own = {name: a for name, a in arrays.items() if not name.startswith(prefixes)}
        check_state_arrays(own, _layout(self._liquid.width, self.remembered))
        check_range("ring", own["ring"], -LARGEST_INPUT, LARGEST_INPUT)
        check_range("ring_t", own["ring_t"], NEVER, -NEVER)
        check_range("gauges", own["gauges"], NEVER, -NEVER)
        check_range("gauges", own["gauges"][EVENTS:], 0.0, 2.0**53)
        for prefix, part in self._checked_parts():
            part.check_state(without_prefix(prefix, arrays))
        known = len(without_prefix("inputs_", arrays)["seen"])
        check_range("bands_target", arrays["bands_target"], -1, known - 1)
        require_state(known <= self.max_features, "inputs_names", f"got {known} names")
        self._classes.set_state(without_prefix("classes_", arrays))
        for prefix, part in self._checked_parts():
            part.set_state(without_prefix(prefix, arrays))
        self._liquid.draw(known)
        for name in _STATE:
            getattr(self, f"_{name}")[...] = own[name]

    def _checked_parts(self) -> list[tuple[str, Inputs | Liquid | Readout | Bands]]:
        parts: list[tuple[str, Inputs | Liquid | Readout | Bands]] = [
            ("inputs_", self._inputs),
            ("liquid_", self._liquid),
            ("labels_", self._labels),
            ("bands_", self._bands),
        ]
        return parts if self._next is None else [*parts, ("next_", self._next)]

    def _parts(self) -> list[tuple[str, Inputs | Liquid | Readout | Bands | Classes]]:
        return [("classes_", self._classes), *self._checked_parts()]


_STATE = ("ring", "ring_t", "gauges")


def _layout(width: int, remembered: int) -> Layout:
    return {
        "ring": ((remembered, width), np.float64),
        "ring_t": ((remembered,), np.float64),
        "gauges": ((4,), np.float64),
    }
