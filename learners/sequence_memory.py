"""HTM sequence memory: encoder, spatial pooler, temporal memory and forecaster as one learner."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from inspect import signature
from typing import Any

import numpy as np

from learners.base import (
    Arrays,
    Features,
    Forecast,
    InvalidEvent,
    Learner,
    Prediction,
    StateError,
    Target,
)
from learners.binary_pooler import BinaryPooler
from learners.encoders import DateEncoder
from learners.forecaster import Forecaster
from learners.kernels import sequence_step as kernels
from learners.kernels.jit import entry
from learners.kernels.temporal_memory import count_predicted_columns
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
from learners.temporal_memory import TemporalMemory

RING = 512
LONGEST_NAME = 1024
NAN = math.nan
LARGEST = float(np.finfo(np.float64).max)


class SequenceMemory(Learner):
    """Learns the sequences one numeric feature runs through, and forecasts it.

    The value and its time of day become a sparse code, a spatial pooler turns the code into
    active columns, and a temporal memory predicts the next ones. The score is the share of active
    columns that was not predicted. A forecaster reads the predicted cells, the value and its time
    and what repeats. All scales are found from the values seen so far, never from those to come.

    It fails on noise without any repetition, where the score stays near 1; on one corrupted
    event, after which the context is lost for a while unless `bridging` is given; and it sees one
    feature only.

    Parameters
    ----------
    columns, active_columns, cells_per_column
        N, k and M.
    activation_threshold, matching_threshold, initial_permanence, connected_permanence
        Of segments and synapses; see `TemporalMemory`, as for all down to `bridging`.
    permanence_increment, permanence_decrement, predicted_decrement
        Learning and forgetting.
    new_synapses, max_synapses, max_segments_per_cell, max_segments, eviction
        Size. With the default caps the whole learner never exceeds 7 MB.
    bridging
        Events in a row, replaced or inserted, that a sequence may go on behind.
    potential, pooler_connect, pooler_disconnect, boost
        Of the spatial pooler; see `BinaryPooler`.
    value_bits, value_on_bits
        n and w of the value's code.
    time_of_day, day_of_week, weekend
        Parts of the time (UTC) that join the code; without any, forecasts see no time either.
    horizons, coverage
        Events ahead to forecast, increasing; probability of the band.
    decoder_rate, decoder_buckets, decoder_rows
        Gradient step, value buckets, rows of weights; see `Decoder`.
    feature
        Name of the feature; `None` takes the only numeric one of the first event.
    seed
        Of everything drawn.

    References
    ----------
    Cui, Ahmad and Hawkins 2016, Neural Computation 28(11); parameters after the Numenta anomaly
    benchmark's `numentaTM` detector.
    """

    state_schema = 3

    def __init__(
        self,
        columns: int = 2048,
        active_columns: int = 40,
        cells_per_column: int = 32,
        activation_threshold: int = 20,
        matching_threshold: int = 13,
        initial_permanence: float = 0.24,
        connected_permanence: float = 0.5,
        permanence_increment: float = 0.04,
        permanence_decrement: float = 0.008,
        predicted_decrement: float = 0.001,
        new_synapses: int = 31,
        max_synapses: int = 40,
        max_segments_per_cell: int = 128,
        max_segments: int = 16_384,
        eviction: str = "least_useful",
        bridging: int = 0,
        potential: float = 0.8,
        pooler_connect: float = 0.01,
        pooler_disconnect: float = 0.0007,
        boost: float = 0.0,
        value_bits: int = 400,
        value_on_bits: int = 21,
        time_of_day: bool = True,
        day_of_week: bool = False,
        weekend: bool = False,
        horizons: tuple[int, ...] = (1,),
        coverage: float = 0.9,
        decoder_rate: float = 1.5,
        decoder_buckets: int = 32,
        decoder_rows: int = 4096,
        feature: str | None = None,
        seed: int = 1,
    ) -> None:
        require(1 <= value_on_bits <= 10_000, "value_on_bits", value_on_bits, "1..10000")
        require(
            6 * value_on_bits < value_bits <= 60_000,
            "value_bits",
            value_bits,
            f"more than 6 value_on_bits ({value_on_bits}), at most 60000",
        )
        require(0 <= seed < 2**63, "seed", seed, "in [0, 2**63)")
        require(
            activation_threshold <= active_columns,
            "activation_threshold",
            activation_threshold,
            f"at most active_columns ({active_columns}), or nothing is ever predicted",
        )
        require(
            feature is None or 0 < len(feature.encode()) <= LONGEST_NAME,
            "feature",
            feature,
            f"1 to {LONGEST_NAME} bytes",
        )
        self.columns = columns
        self.active_columns = active_columns
        self.cells_per_column = cells_per_column
        self.activation_threshold = activation_threshold
        self.matching_threshold = matching_threshold
        self.initial_permanence = initial_permanence
        self.connected_permanence = connected_permanence
        self.permanence_increment = permanence_increment
        self.permanence_decrement = permanence_decrement
        self.predicted_decrement = predicted_decrement
        self.new_synapses = new_synapses
        self.max_synapses = max_synapses
        self.max_segments_per_cell = max_segments_per_cell
        self.max_segments = max_segments
        self.eviction = eviction
        self.bridging = bridging
        self.potential = potential
        self.pooler_connect = pooler_connect
        self.pooler_disconnect = pooler_disconnect
        self.boost = boost
        self.value_bits = value_bits
        self.value_on_bits = value_on_bits
        self.time_of_day = time_of_day
        self.day_of_week = day_of_week
        self.weekend = weekend
        self.horizons = tuple(horizons)
        self.coverage = coverage
        self.decoder_rate = decoder_rate
        self.decoder_buckets = decoder_buckets
        self.decoder_rows = decoder_rows
        self.feature = feature
        self.seed = seed
        self._build()

    def _build(self) -> None:
        layout = _code_layout(self.value_bits, self.time_of_day, self.day_of_week, self.weekend)
        inputs = _code_bits(layout)
        self._memory = TemporalMemory(
            columns=self.columns,
            cells_per_column=self.cells_per_column,
            activation_threshold=self.activation_threshold,
            matching_threshold=self.matching_threshold,
            initial_permanence=self.initial_permanence,
            connected_permanence=self.connected_permanence,
            permanence_increment=self.permanence_increment,
            permanence_decrement=self.permanence_decrement,
            predicted_decrement=self.predicted_decrement,
            new_synapses=self.new_synapses,
            max_synapses=self.max_synapses,
            max_segments_per_cell=self.max_segments_per_cell,
            max_segments=self.max_segments,
            eviction=self.eviction,
            active_columns=self.active_columns,
            bridging=self.bridging,
            seed=self.seed,
        )
        self._pooler = BinaryPooler(
            inputs=inputs,
            columns=self.columns,
            active_columns=self.active_columns,
            potential=self.potential,
            connect=self.pooler_connect,
            disconnect=self.pooler_disconnect,
            boost=self.boost,
            seed=self.seed,
        )
        self._forecaster = Forecaster(
            active_columns=self.active_columns,
            horizons=self.horizons,
            buckets=self.decoder_buckets,
            rows=self.decoder_rows,
            rate=self.decoder_rate,
            coverage=self.coverage,
        )
        self._scale = kernels.Scale(
            **allocate(_scale_layout(inputs, self.active_columns, len(self.horizons)))
        )
        self._scale.layout[:] = [*layout, self.seed]
        self._scale.layout[1] = self.value_on_bits
        self._scale.state[kernels.RESOLUTION] = 1.0
        self._scale.state[kernels.BURSTS] = 1.0
        self._scale.expected[:] = NAN
        self._feature = self.feature

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the most bytes that a learner with these parameters will ever hold."""
        p = {name: q.default for name, q in signature(cls).parameters.items()} | params
        k = p["active_columns"]
        layout = _code_layout(p["value_bits"], p["time_of_day"], p["day_of_week"], p["weekend"])
        inputs = _code_bits(layout)
        return (
            TemporalMemory.memory_bytes(**p)
            + BinaryPooler.memory_bytes(inputs, p["columns"], k)
            + Forecaster.memory_bytes(k, p["horizons"], p["decoder_buckets"], p["decoder_rows"])
            + layout_bytes(_scale_layout(inputs, k, len(p["horizons"])))
        )

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return score and forecasts of `x`, changing nothing.

        Raises
        ------
        InvalidEvent
            If the feature is not in `x`, or is no finite number and not `None`.
        """
        name = self._feature or _only_number(x)
        value = _value(x, name)
        s = self._scale
        score = self._look_entry(*self._arrays(), value, _time(t))
        return self._prediction(name, score, s.expected.tolist(), s.forecast.tolist())

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Learn from one event; raises as `predict` does, before anything changed."""
        name = self._feature or _only_number(x)
        self._step(_value(x, name), _time(t))
        self._feature = name

    def step_one(self, x: Features, y: Target = None, t: float | None = None) -> Prediction:
        """Predict, then learn, in one pass; raises as `predict` does."""
        s = self._scale
        expected = s.expected.tolist()
        name = self._feature or _only_number(x)
        value = _value(x, name)
        score = self._step(value, _time(t))
        self._feature = name
        return self._prediction(name, score, expected, s.forecast.tolist())

    def follow_one(self, x: Features, t: float | None = None) -> None:
        """Move on in the sequence; what is forecast sees a missing value. Raises as `predict`."""
        name = self._feature or _only_number(x)
        value = _value(x, name)
        self._follow_entry(*self._arrays(), value, _time(t))

    def _step(self, value: float, t: float) -> float:
        """Learn from one event and return its score, taking more memory when it is needed."""
        score = self._step_entry(*self._arrays(), value, t)
        if score == kernels.NO_ROOM:
            self._memory.make_room(self.active_columns)
            score = self._step_entry(*self._arrays(), value, t)
        return score

    def _arrays(self) -> tuple[Any, Any, Any, Any]:
        return self._scale, self._pooler.arrays, self._memory.arrays, self._forecaster.arrays

    @cached_property
    def _look_entry(self) -> Callable[..., float]:
        return entry(kernels.sequence_look, *self._arrays(), NAN, NAN)

    @cached_property
    def _follow_entry(self) -> Callable[..., float]:
        return entry(kernels.sequence_follow, *self._arrays(), NAN, NAN)

    @cached_property
    def _step_entry(self) -> Callable[..., float]:
        return entry(kernels.sequence_step, *self._arrays(), NAN, NAN)

    def forecast(self, horizon: int) -> list[Forecast]:
        """Return the last event's forecasts for the parameter `horizons` up to `horizon`."""
        return [f for f in self._forecasts(self._scale.expected.tolist()) if f.horizon <= horizon]

    def reset(self) -> None:
        """Begin a new sequence: no context and no pending forecast; nothing learned is lost."""
        kernels.sequence_reset(self._scale, self._memory.arrays, self._forecaster.arrays)

    def signals(self) -> Mapping[str, float]:
        """Return sizes, evictions, how much bursts and is predicted, and when values repeat."""
        m = self._memory
        state = self._scale.state
        return {
            "segments": float(m.segments),
            "synapses": float(m.synapses),
            "evictions": float(m.evictions),
            "burst_rate": float(state[kernels.BURSTS]),
            "predicted_columns": count_predicted_columns(m.arrays) / self.active_columns,
            "resolution": float(state[kernels.RESOLUTION]),
            "season": float(self._forecaster.season),
        }

    def get_state(self) -> Arrays:
        """Return copies of all state arrays, without what can be rebuilt."""
        name = (self._feature or "").encode()
        state = {part: getattr(self._scale, part).copy() for part in _SCALE_STATE}
        state["feature"] = np.frombuffer(name, np.uint8).copy()
        for prefix, part in self._parts():
            state |= with_prefix(prefix, part.get_state())
        return state

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        prefixes = tuple(prefix for prefix, _ in self._parts())
        own = {name: a for name, a in arrays.items() if not name.startswith(prefixes)}
        feature = self._check_own(own)
        for prefix, part in self._parts():
            part.check_state(without_prefix(prefix, arrays))
        for prefix, part in self._parts():
            part.set_state(without_prefix(prefix, arrays))
        for name in _SCALE_STATE:
            getattr(self._scale, name)[...] = own[name]
        self._feature = feature

    def _parts(self) -> tuple[tuple[str, TemporalMemory | BinaryPooler | Forecaster], ...]:
        return (
            ("memory_", self._memory),
            ("pooler_", self._pooler),
            ("forecast_", self._forecaster),
        )

    def _check_own(self, arrays: Arrays) -> str | None:
        layout = _scale_layout(1, 1, len(self.horizons))
        like: Layout = {name: layout[name] for name in _SCALE_STATE}
        check_state_arrays(arrays, like | {"feature": ((-1,), np.uint8)})
        state, expected = arrays["state"], arrays["expected"]
        check_range("ring", arrays["ring"], -LARGEST, LARGEST)
        check_range("seen", arrays["seen"], 0, 2**62)
        check_range("state", state, -LARGEST, LARGEST)
        require_state(state[kernels.RESOLUTION] > 0, "state", "expected a resolution above zero")
        check_range("expected", expected[~np.isnan(expected)], -LARGEST, LARGEST)
        require_state(len(arrays["feature"]) <= LONGEST_NAME, "feature", "too long a name")
        try:
            feature = arrays["feature"].tobytes().decode() or None
        except UnicodeDecodeError as error:
            raise StateError(f"feature: {error}") from error
        agrees = self.feature is None or feature == self.feature
        require_state(agrees, "feature", f"got {feature!r}, expected {self.feature!r}")
        return feature

    def _prediction(
        self, name: str, score: float, expected: list[list[float]], forecast: list[list[float]]
    ) -> Prediction:
        known = self.horizons[0] == 1 and expected[0][0] == expected[0][0]
        return Prediction(
            score=score,
            forecast=self._forecasts(forecast),
            expected={name: expected[0][0]} if known else None,
        )

    def _forecasts(self, rows: list[list[float]]) -> list[Forecast]:
        return [
            Forecast(horizon, row[0], row[1], row[2])
            for horizon, row in zip(self.horizons, rows, strict=True)
            if row[0] == row[0]
        ]


_SCALE_STATE = ("ring", "seen", "state", "expected")


def _code_layout(value_bits: int, time_of_day: bool, day_of_week: bool, weekend: bool) -> list[int]:
    """Return the entries of `kernels.encoders.encode_event`'s layout but the seed."""
    return [value_bits, 0, *DateEncoder(time_of_day, day_of_week, weekend).layout]


def _code_bits(layout: list[int]) -> int:
    return layout[0] + layout[2] + layout[4] + 2 * layout[6]


def _scale_layout(inputs: int, active_columns: int, horizons: int) -> Layout:
    return {
        "ring": ((RING,), np.float64),
        "seen": ((1,), np.int64),
        "state": ((5,), np.float64),
        "expected": ((horizons, 3), np.float64),
        "layout": ((8,), np.int64),
        "bits": ((inputs,), np.uint8),
        "sorted": ((RING,), np.float64),
        "cells": ((active_columns,), np.int32),
        "forecast": ((horizons, 3), np.float64),
    }


def _time(t: float | None) -> float:
    return NAN if t is None else t


def _only_number(x: Features) -> str:
    """Return the name of the only number in `x`, or of the only missing value."""
    numbers = [name for name, v in x.items() if v is not None and not isinstance(v, str)]
    missing = [name for name, v in x.items() if v is None]
    names = numbers or missing
    if len(names) != 1:
        raise InvalidEvent(
            f"x: got numbers {sorted(names)}, expected exactly one, or the parameter `feature`"
        )
    return names[0]


def _value(x: Features, name: str) -> float:
    """Return the value of a feature, NaN if it is missing."""
    try:
        value = x[name]
    except KeyError:
        raise InvalidEvent(f"x: got {sorted(x)}, expected {name!r} among them") from None
    if value is None:
        return NAN
    if isinstance(value, str):
        raise InvalidEvent(f"{name}: got {value!r}, expected a number or null")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidEvent(f"{name}: got {value!r}, expected a finite number")
    return number
