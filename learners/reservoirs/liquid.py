"""The fixed random network of a liquid state: drawn from a seed, with a state that runs on."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays
from learners.inputs import LARGEST as LARGEST_INPUT
from learners.kernels import reservoir as kernels
from learners.parameters import Layout, allocate, check_range, check_state_arrays, require

Floats = NDArray[np.float64]

BIAS_SCALE = 0.1
EXCITATORY = 0.8
INHIBITION = 3.3
"""How much stronger inhibitory connections are."""
CONNECTION = 6.0
"""Size of excitatory weights times units, in thresholds."""
INPUT_DENSITY = 0.3
CALIBRATED_AFTER = 500.0
CALIBRATION_RATE = 0.005
RATE_AVERAGED_OVER = 0.02
LARGEST = 1e3

# gauges
GAIN, RATE, CALIBRATED = range(3)


class Liquid:
    """Units whose connections and input weights come from the seed alone; only the state is kept.

    `f` are its features after the newest event: states, 1 and inputs of rate units; fast traces,
    slow traces and 1 of spiking ones.
    """

    def __init__(
        self,
        units: int,
        form: str,
        radius: float,
        density: float,
        least_leak: float,
        step_seconds: float | None,
        input_scale: float,
        steps: int,
        target_hz: float,
        inputs: int,
        seed: int,
    ) -> None:
        require(2 <= units <= 4_096, "units", units, "2..4096")
        require(form in ("rates", "spikes"), "form", form, "rates or spikes")
        require(0.0 <= radius <= 2.0, "radius", radius, "0..2")
        require(0.0 < density <= 1.0, "density", density, "in (0, 1]")
        require(0.0 < least_leak <= 1.0, "least_leak", least_leak, "in (0, 1]")
        good = step_seconds is None or 1e-9 <= step_seconds <= 1e9
        require(good, "step_seconds", step_seconds, "null or 1e-9..1e9")
        require(0.0 < input_scale <= 100.0, "input_scale", input_scale, "in (0, 100]")
        require(1 <= steps <= 1_000, "steps", steps, "1..1000")
        require(0.1 <= target_hz <= 200.0, "target_hz", target_hz, "0.1..200")
        require(0 <= seed < 2**63, "seed", seed, "0..2^63 - 1")
        self.units, self.form, self.steps, self.seed = units, form, steps, seed
        self.input_scale, self.target_rate = input_scale, 1e-3 * target_hz
        self.width = self.width_of(form, units, inputs)
        draw = np.random.default_rng((seed, 1 << 32))
        m = _connections(units, density)
        self._others = np.array([draw.choice(units, m, replace=False) for _ in range(units)])
        self._weights: Floats = draw.standard_normal((units, m))
        if form == "rates":
            self._weights *= radius / math.sqrt(m)
        else:
            strength = np.where(np.arange(units) < EXCITATORY * units, 1.0, -INHIBITION)
            self._weights = np.abs(self._weights) * strength[:, None] * CONNECTION / units
        self._leaks: Floats = least_leak ** draw.random(units)
        self._bias: Floats = BIAS_SCALE * draw.standard_normal(units)
        self._W_in: Floats = np.zeros((units, inputs))
        self._drawn = 0
        arrays = allocate(_layout(units, self.width))
        self.body: Floats = arrays["body"]
        self.f: Floats = arrays["f"]
        self.gauges: Floats = arrays["gauges"]
        self.gauges[GAIN] = 1.0
        self.after: Floats = np.zeros_like(self.body)
        self._f_after: Floats = np.zeros_like(self.f)

    @property
    def arrays(self) -> tuple[object, ...]:
        """All arrays it holds."""
        return tuple(vars(self).values())

    @staticmethod
    def width_of(form: str, units: int, inputs: int) -> int:
        """Return how many features there are at most."""
        return units + 1 + inputs if form == "rates" else 2 * units + 1

    @classmethod
    def memory_bytes(cls, form: str, units: int, density: float, inputs: int) -> int:
        """Return the bytes of all arrays."""
        m = _connections(units, density)
        width = cls.width_of(form, units, inputs)
        return 8 * (units * (2 * m + inputs + 13) + 2 * width + 3)

    def used(self, known: int) -> int:
        """Return how many features there are with as many inputs."""
        return self.width_of(self.form, self.units, known)

    def draw(self, known: int) -> None:
        """Draw the weights of inputs that are new, each from a seed of its own."""
        for j in range(self._drawn, known):
            draw = np.random.default_rng((self.seed, j))
            column = draw.uniform(-1.0, 1.0, self.units)
            if self.form == "rates":
                self._W_in[:, j] = self.input_scale * column
            else:
                self._W_in[:, j] = column * (draw.random(self.units) < INPUT_DENSITY)
        self._drawn = known

    def reset(self) -> None:
        """Forget what came; how strongly inputs drive stays."""
        self.body[:] = 0.0
        self.f[:] = 0.0

    def look(self, u: Floats, steps: float, known: int) -> Floats:
        """Return the features that inputs lead to, as a view; `after` holds the state."""
        self._step(self.body, u, steps, min(known, self._drawn), self.after)
        return self._f_after

    def advance(self, body: Floats, u: Floats, known: int) -> Floats:
        """Move a copy of the state one event on; return its features as a view."""
        self._step(body, u, 1.0, known, self.after)
        body[:] = self.after
        return self._f_after

    def move_on(self, u: Floats, steps: float, known: int, learn: bool) -> None:
        """Move the state on; while it is new, find how strongly inputs are to drive it."""
        rate = self._step(self.body, u, steps, known, self.after)
        self.body[:] = self.after
        self.f[:] = self._f_after
        self.gauges[RATE] += RATE_AVERAGED_OVER * (rate - self.gauges[RATE])
        if learn and self.form == "spikes" and self.gauges[CALIBRATED] < CALIBRATED_AFTER:
            low = self.gauges[RATE] < self.target_rate
            step = CALIBRATION_RATE if low else -CALIBRATION_RATE
            self.gauges[GAIN] = min(max(self.gauges[GAIN] * math.exp(step), 1e-3), LARGEST)
            self.gauges[CALIBRATED] += 1.0

    def _step(self, body: Floats, u: Floats, steps: float, known: int, after: Floats) -> float:
        if self.form == "spikes":
            gain = float(self.gauges[GAIN])
            return kernels.step_spikes(
                self._others, self._weights, self._W_in, gain, u, known, self.steps, body, after,
                self._f_after,
            )  # fmt: skip
        leaks = self._leaks if steps == 1.0 else 1.0 - (1.0 - self._leaks) ** steps
        kernels.step_rates(
            self._others, self._weights, self._W_in, self._bias, leaks, u, known, body, after,
            self._f_after,
        )  # fmt: skip
        return 0.0

    def signals(self) -> Mapping[str, float]:
        """Return how strongly units are driven."""
        if self.form == "spikes":
            return {
                "liquid_rate_hz": 1e3 * float(self.gauges[RATE]),
                "liquid_gain": float(self.gauges[GAIN]),
                "liquid_silent": float(np.mean(self.body[kernels.SLOW] < 1e-6)),
            }
        x = np.abs(self.body[0])
        return {
            "liquid_activity": float(x.mean()),
            "liquid_saturated": float(np.mean(x > 0.95)),
        }

    def get_state(self) -> Arrays:
        """Return a copy of every state array."""
        return {"body": self.body.copy(), "f": self.f.copy(), "gauges": self.gauges.copy()}

    def check_state(self, arrays: Arrays) -> None:
        """Raise `StateError` unless `set_state` could take these."""
        check_state_arrays(arrays, _layout(self.units, self.width))
        check_range("body", arrays["body"], -LARGEST * LARGEST, LARGEST * LARGEST)
        check_range("f", arrays["f"], -LARGEST_INPUT, LARGEST_INPUT)
        check_range("gauges", arrays["gauges"], 0.0, LARGEST)

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state with what `check_state` accepted."""
        for name in ("body", "f", "gauges"):
            getattr(self, name)[...] = arrays[name]
        # A step writes those of the inputs there are.
        self._f_after[:] = 0.0


def _connections(units: int, density: float) -> int:
    return max(round(density * units), 1)


def _layout(units: int, width: int) -> Layout:
    return {
        "body": ((5, units), np.float64),
        "f": ((width,), np.float64),
        "gauges": ((3,), np.float64),
    }
