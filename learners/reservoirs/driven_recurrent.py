"""Driven recurrent network: taught its own dynamics while it runs, so that it can run on alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays, Features, Forecast, Learner, Prediction, Target
from learners.inputs import MOST_DEVIATIONS, Inputs
from learners.kernels import reservoir as kernels
from learners.parameters import (
    Layout,
    allocate,
    check_range,
    check_state_arrays,
    layout_bytes,
    require,
    with_prefix,
    without_prefix,
)
from learners.reservoirs.bands import Bands
from learners.reservoirs.readout import Readout

Floats = NDArray[np.float64]

CONNECTIONS = 0.1
AVERAGED_OVER = 0.01
LARGEST = 1e6
LONGEST_NAME = 1_024

# gauges
ERROR, CHANGE, PINNED_ERROR, EVENTS = range(4)


class DrivenRecurrent(Learner):
    """A recurrent network that learns to produce what comes, with its own output fed back.

    At each event the states of all units move a little, and a read-out says every number of the
    event; recursive least squares keep what is said near what comes while it is fed back, so that
    what is learned is stable when the network runs on by itself (FORCE). `forecast` does that, from
    any event, for as many as asked. The score is by how many deviations, root mean square, an event
    is off what was said.

    Numbers in `driven_by`, and text, drive the network and are not said; in a forecast they stay
    as they were last. Each feature in `pinned` is the current of one unit of its own, whose
    incoming weights are taught by the same least squares: then the inner dynamics are those of what
    is observed, where output alone leaves them arbitrary.

    It fails on noise, which has no dynamics to be learned; where patterns last for many more events
    than `1 / pace` times some tens; and in free run it may lose the phase or fall into another
    pattern although each single step was right, the more so with `teacher`. Of the band of
    forecasts see `Bands`.

    Parameters
    ----------
    units, gain
        N, and of the random weights: above 1 active by itself, below 1 driven by inputs only.
    pace
        The part of the way to its current that a unit moves at each event.
    driven_by, pinned
        Names of features, see above.
    teacher
        The part of what came in what is fed back: 0 is FORCE, 1 teacher forcing.
    ridge, forgetting
        Of least squares; see `Readout`. A small ridge holds the output from the first event on,
        which FORCE lives by; with a forgetting of 1 nothing is learned anew.
    learn_every
        Events to an update.
    horizons, feature
        Events ahead to forecast, and the number; `None` takes the first of the first event.
    standardize, max_features, seed
        As elsewhere; `max_features` of those that are said, and of those that drive.

    References
    ----------
    Sussillo and Abbott 2009, Neuron 63(4); Salatiello and Giese 2020, arXiv 2005.02211, for pinned
    units.
    """

    def __init__(
        self,
        units: int = 200,
        gain: float = 1.5,
        pace: float = 0.1,
        driven_by: tuple[str, ...] = (),
        pinned: tuple[str, ...] = (),
        teacher: float = 0.0,
        ridge: float = 1.0,
        forgetting: float = 0.9999,
        learn_every: int = 2,
        horizons: tuple[int, ...] = (1,),
        feature: str | None = None,
        standardize: bool = True,
        max_features: int = 8,
        seed: int = 1,
    ) -> None:
        require(2 <= units <= 4_096, "units", units, "2..4096")
        require(0.0 <= gain <= 5.0, "gain", gain, "0..5")
        require(0.0 < pace <= 1.0, "pace", pace, "in (0, 1]")
        require(len(pinned) <= units, "pinned", pinned, f"at most {units} names")
        for name, names in (("driven_by", driven_by), ("pinned", pinned)):
            good = all(len(each.encode()) <= LONGEST_NAME for each in names) and len(names) <= 4_096
            require(good, name, len(names), f"4096 names of {LONGEST_NAME} bytes at most")
        apart = not set(driven_by) & set(pinned) and feature not in {*driven_by, *pinned}
        require(apart, "driven_by, pinned", (driven_by, pinned), "names that differ")
        require(0.0 <= teacher <= 1.0, "teacher", teacher, "0..1")
        require(1e-6 <= ridge <= 1e6, "ridge", ridge, "0.000001..1000000")
        require(0.9 <= forgetting <= 1.0, "forgetting", forgetting, "0.9..1")
        require(1 <= learn_every <= 1_000, "learn_every", learn_every, "1..1000")
        good = list(horizons) == sorted(set(horizons)) and min(horizons, default=0) >= 1
        require(good and horizons[-1] <= 10_000, "horizons", horizons, "increasing, 1..10000")
        require(1 <= max_features <= 256, "max_features", max_features, "1..256")
        require(0 <= seed < 2**63, "seed", seed, "0..2^63 - 1")
        self.units = units
        self.gain = gain
        self.pace = pace
        self.driven_by = tuple(driven_by)
        self.pinned = tuple(pinned)
        self.teacher = teacher
        self.ridge = ridge
        self.forgetting = forgetting
        self.learn_every = learn_every
        self.horizons = tuple(horizons)
        self.feature = feature
        self.standardize = standardize
        self.max_features = max_features
        self.seed = seed
        self._said = Inputs(max_features, standardize)
        self._drives = Inputs(max_features, standardize)
        self._pins = Inputs(max(len(pinned), 1), standardize)
        self._readout = Readout(
            "rls", units, max_features + len(pinned), ridge=ridge, forgetting=forgetting
        )
        self._draw()
        arrays = allocate(_layout(units, max_features))
        self._x, self._current, self._u = arrays["x"], arrays["current"], arrays["u"]
        self._gauges, self._bands = arrays["gauges"], Bands(max_features, feature)
        self._x[:] = self._first
        self._r: Floats = np.zeros(units)

    def _draw(self) -> None:
        """Draw all that never changes, and the first weights of pinned units."""
        draw = np.random.default_rng(self.seed)
        N, m = self.units, _connections(self.units)
        self._sources = np.array([draw.choice(N, m, replace=False) for _ in range(N)])
        self._weights: Floats = draw.standard_normal((N, m)) * self.gain / math.sqrt(m)
        self._W_back: Floats = draw.uniform(-1.0, 1.0, (N, self.max_features))
        self._W_in: Floats = draw.uniform(-1.0, 1.0, (N, self.max_features))
        self._first: Floats = 0.5 * draw.standard_normal(N)
        for i in range(len(self.pinned)):
            self._readout.W[self._sources[i], self.max_features + i] = self._weights[i]

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of network, read-out and names."""
        units: int = params.get("units", 200)
        features: int = params.get("max_features", 8)
        pinned = len(params.get("pinned", ()))
        network = 8 * units * (2 * _connections(units) + 2 * features + 2)
        return (
            network
            + layout_bytes(_layout(units, features))
            + Bands.memory_bytes(features)
            + Readout.memory_bytes("rls", units, features + pinned)
            + 2 * Inputs.memory_bytes(features)
            + Inputs.memory_bytes(max(pinned, 1))
        )

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return how far off an event is, and what comes after it, changing nothing.

        The score is `None` before the second event, and without numbers to be said. Raises
        `InvalidEvent` for a number that is not finite.
        """
        said, drives, pins = self._sorted_out(x)
        f, u = self._said.read(said), self._drives.read(drives)
        self._pins.read(pins)
        rows = self._said.places_of_numbers(said)
        state, current = self._x.copy(), self._current.copy()
        z = self._say(state, current)
        score = None
        if self._events and len(rows):
            off = np.minimum(np.abs(f[rows] - z[rows]), LARGEST)
            score = math.sqrt(float((off * off).mean()))
        expected = self._said.named(said, z) if score is not None else None
        forecast: list[Forecast] = []
        if self._events:
            self._drive(z, self._fed_back(z, f, rows), u, current)
            forecast = self._run_on(state, current, u, self.horizons)
        return Prediction(score=score, forecast=forecast, expected=expected)

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Learn what came, then move on; raises as `predict` does, before anything changed."""
        self._move_on(x, learn=True)

    def follow_one(self, x: Features, t: float | None = None) -> None:
        """Move on past an event, driven by it, without learning from it."""
        self._move_on(x, learn=False)

    def rates_one(self) -> Floats:
        """Return the rates of all units (float64[N]) at the newest event."""
        return np.asarray(np.tanh(self._x))

    def _move_on(self, x: Features, learn: bool) -> None:
        said, drives, pins = self._sorted_out(x)
        # Nothing may have changed once one of them refuses.
        f, u, h = self._said.read(said), self._drives.read(drives), self._pins.read(pins)
        if learn:
            f, u, h = self._said.learn(said), self._drives.learn(drives), self._pins.learn(pins)
        rows = self._said.places_of_numbers(said)
        self._bands.choose(self._said, rows)
        z = self._say(self._x, self._current)
        back = self._fed_back(z, f, rows)
        self._drive(z, back, u, self._current)
        if learn:
            self._learn(z, f, rows, h, self._pins.places_of_numbers(pins))
        self._u[:] = u
        self._gauges[EVENTS] += 1.0

    def _learn(
        self, z: Floats, f: Floats, rows: NDArray[np.int64], h: Floats, pins: NDArray[np.int64]
    ) -> None:
        """Learn from how far off outputs and currents of pinned units were."""
        if not len(rows) and not len(pins):
            return
        errors = np.zeros(len(z))
        errors[rows] = f[rows] - z[rows]
        errors[self.max_features + pins] = h[pins] - self._current[pins]
        np.clip(errors, -LARGEST, LARGEST, out=errors)
        if len(rows):
            self._average(ERROR, self._bands.note(rows, errors))
        if len(pins):
            off = errors[self.max_features + pins] ** 2
            self._average(PINNED_ERROR, math.sqrt(float(off.mean())))
        if int(self._gauges[EVENTS]) % self.learn_every == 0:
            self._readout.teach(self._r, self.units, errors)
            self._average(CHANGE, self._readout.last_step * math.sqrt(float(errors @ errors)))

    def _say(self, state: Floats, current: Floats) -> Floats:
        """Move states on and return all outputs (float64[C + pinned]); rates are in self._r."""
        kernels.relax(state, current, self.pace, self._r)
        outputs = self.max_features + len(self.pinned)
        return self._readout.read(self._r, self.units, outputs).copy()

    def _fed_back(self, z: Floats, f: Floats, rows: NDArray[np.int64]) -> Floats:
        most = MOST_DEVIATIONS if self.standardize else LARGEST
        back = np.clip(z[: self.max_features], -most, most)
        if self.teacher:
            came = np.clip(f[rows], -most, most)
            back[rows] = (1.0 - self.teacher) * back[rows] + self.teacher * came
        return back

    def _drive(self, z: Floats, back: Floats, u: Floats, current: Floats) -> None:
        np.clip(u, -LARGEST, LARGEST, out=u)
        pinned = np.clip(z, -LARGEST, LARGEST)
        kernels.drive(
            self._sources, self._weights, self._W_in, self._W_back, pinned, len(self.pinned),
            self._r, back, u, current,
        )  # fmt: skip

    def forecast(self, horizon: int) -> Sequence[Forecast]:
        """Return what the network says 1 to `horizon` events from now, running on by itself."""
        if not self._events or horizon < 1:
            return []
        state, current = self._x.copy(), self._current.copy()
        return self._run_on(state, current, self._u, range(1, horizon + 1))

    def _run_on(
        self, state: Floats, current: Floats, u: Floats, horizons: Sequence[int]
    ) -> list[Forecast]:
        if not self._bands.known:
            return []
        rows: list[Forecast] = []
        none, u = np.zeros(0, np.int64), u.copy()
        for ahead in range(1, horizons[-1] + 1):
            z = self._say(state, current)
            self._drive(z, self._fed_back(z, z, none), u, current)
            if ahead in horizons:
                rows.append(self._bands.forecast(self._said, ahead, z))
        return rows

    def _sorted_out(self, x: Features) -> tuple[Features, Features, Features]:
        """Return what is to be said, what drives, and what is pinned."""
        said: dict[str, float | str | None] = {}
        drives: dict[str, float | str | None] = {}
        pins: dict[str, float | str | None] = {}
        for name, value in x.items():
            if name in self.pinned:
                pins[name] = None if isinstance(value, str) else value
            elif name in self.driven_by or isinstance(value, str):
                drives[name] = value
            else:
                said[name] = value
        return said, drives, pins

    def _average(self, which: int, value: float) -> None:
        self._gauges[which] += AVERAGED_OVER * (min(value, LARGEST) - self._gauges[which])

    @property
    def _events(self) -> bool:
        """Whether there were any."""
        return bool(self._gauges[EVENTS])

    def signals(self) -> Mapping[str, float]:
        """Return errors, how much is still learned, and how far units are from saturation."""
        return {
            "recurrent_error": float(self._gauges[ERROR]),
            "recurrent_change": float(self._gauges[CHANGE]),
            "recurrent_pinned_error": float(self._gauges[PINNED_ERROR]),
            "recurrent_uncertainty": self._readout.mean_variance(),
            "recurrent_largest_state": float(np.abs(self._x).max()),
            "recurrent_saturated": float(np.mean(np.abs(self._x) > 2.0)),
        }

    def get_state(self) -> Arrays:
        """Return states, read-out and names; what is random is drawn anew."""
        state = {name: getattr(self, f"_{name}").copy() for name in _STATE}
        for prefix, part in self._parts():
            state |= with_prefix(prefix, part.get_state())
        return state

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        prefixes = tuple(prefix for prefix, _ in self._parts())
        own = {name: a for name, a in arrays.items() if not name.startswith(prefixes)}
        check_state_arrays(own, _layout(self.units, self.max_features))
        for name in ("x", "current", "u"):
            check_range(name, own[name], -(LARGEST**2), LARGEST**2)
        check_range("gauges", own["gauges"], 0.0, 2.0**53)
        for prefix, part in self._parts():
            part.check_state(without_prefix(prefix, arrays))
        known = len(without_prefix("said_", arrays)["seen"])
        check_range("bands_target", arrays["bands_target"], -1, known - 1)
        for prefix, part in self._parts():
            part.set_state(without_prefix(prefix, arrays))
        for name in _STATE:
            getattr(self, f"_{name}")[...] = own[name]

    def _parts(self) -> list[tuple[str, Inputs | Readout | Bands]]:
        return [
            ("said_", self._said),
            ("drives_", self._drives),
            ("pins_", self._pins),
            ("readout_", self._readout),
            ("bands_", self._bands),
        ]


_STATE = ("x", "current", "u", "gauges")


def _connections(units: int) -> int:
    return max(int(CONNECTIONS * units), min(units, 8))


def _layout(units: int, features: int) -> Layout:
    return {
        "x": ((units,), np.float64),
        "current": ((units,), np.float64),
        "u": ((features,), np.float64),
        "gauges": ((4,), np.float64),
    }
