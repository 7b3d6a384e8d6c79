"""Learning events of the past again, while a gate watches that they still mean the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays
from learners.kernels.random import below, next_u64
from learners.parameters import Layout, check_range, require, require_state
from learners.plastic.contradictions import (
    ALERT,
    DROP,
    FLUSH,
    KEEP,
    Gate,
    check_gate,
    gate_layout,
)
from learners.plastic.option import Floats, Option
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

ACTIONS = (FLUSH, DROP, ALERT, KEEP)
UNIFORM, CYCLE, HARD = "uniform", "cycle", "hard"
PRIORITIES = (UNIFORM, CYCLE, HARD)
HELD, SEEN, DRIFTS, ASKED = range(4)
REPLAYED, NEW, POOL, TURN, NEAR = range(5)
SHARE = 0.01
WARM_UP = 100
FAR = 1.5
"""A neighbor so many times as far as usual, squared, contradicts nothing: inputs have changed."""
NEAR_SHARE, FAR_SHARE = 0.005, 0.0005
FARTHEST = 1e12
LEAST_HELD = 20
"""With fewer stored events there is no telling who is a neighbor of whom."""
LEAST_POOL, POOL_STEP, POOL_EVERY = 0.25, 0.7, 200
MOST_LOSS = 1e3
WORD = 2.0**-64


class Rehearsal(Option):
    """After each event `draws` of `capacity` stored ones are learned again.

    Stored is a uniform sample of all events (reservoir sampling); drawn is one of them with
    weight (age + `age_offset`)^-`decay`, uniformly with a decay of 0. It is the best cure known
    here for classes that come one after the other, and poison where labels change their meaning:
    stored events then teach what is no longer so. A gate watches for that: see
    `learners.plastic.contradictions`. `on_contradiction` says what it does: "flush" empties the
    store and announces a shift, "drop" watches label by label and drops the stored events of the
    label alone, "alert" announces and counts alone, "keep" does not watch.

    `priority` other than "uniform" draws from a share of the stored events that goes from a
    quarter to all of them and back: the easiest ("cycle") or the hardest ("hard") by their last
    losses. Neither is known to be better than uniform draws.

    Stored events are raw data, in memory and in snapshots. It fails in wide inputs of mostly noise,
    where neighbors mean nothing, and a change within the first hundred counted events is missed.
    Inputs that change little by little may look to it like labels that do.

    References
    ----------
    Vitter 1985 (reservoir); Gandhi et al. 2024, arXiv:2401.10393 (recurrence as a power of age);
    Kesgin and Amasyali 2022, arXiv:2202.05531 (cycles). The gate is our own.
    """

    name: ClassVar[str] = "rehearsal"

    def __init__(
        self,
        capacity: int = 200,
        draws: int = 1,
        decay: float = 0.0,
        age_offset: float = 50.0,
        on_contradiction: str = FLUSH,
        known: int = 10,
        priority: str = UNIFORM,
    ) -> None:
        super().__init__()
        require(1 <= capacity <= 10_000, "rehearsal.capacity", capacity, "1..10000")
        require(0 <= draws <= 16, "rehearsal.draws", draws, "0..16")
        require(0.0 <= decay <= 4.0, "rehearsal.decay", decay, "0..4")
        require(1.0 <= age_offset <= 1e6, "rehearsal.age_offset", age_offset, "1..1e6")
        named = on_contradiction in ACTIONS
        require(named, "rehearsal.on_contradiction", on_contradiction, " | ".join(ACTIONS))
        require(1 <= known <= 1_000, "rehearsal.known", known, "1..1000")
        require(priority in PRIORITIES, "rehearsal.priority", priority, " | ".join(PRIORITIES))
        self.capacity, self.draws, self.decay = capacity, draws, decay
        self.age_offset, self.on_contradiction, self.known = age_offset, on_contradiction, known
        self.priority = priority
        self.announces_shifts = on_contradiction in (FLUSH, ALERT)
        self.gate = Gate(on_contradiction == DROP, known)

    def layout(self, shape: Shape) -> Layout:
        """Return the stored events with labels, times and losses, and what the gate counts."""
        return {
            "x": ((self.capacity, shape.inputs), np.float32),
            "y": ((self.capacity,), np.int64),
            "at": ((self.capacity,), np.int64),
            "loss": ((self.capacity,), np.float64),
            "tally": ((4,), np.int64),
            "gauges": ((5,), np.float64),
            **gate_layout(shape),
        }

    def scratch(self, shape: Shape) -> Layout:
        """Return squared norms of what is stored, distances to them, and one event."""
        return {
            "squares": ((self.capacity,), np.float32),
            "distances": ((self.capacity,), np.float32),
            "narrow": ((shape.inputs,), np.float32),
            "event": ((shape.inputs,), np.float64),
        }

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Draw from all at first."""
        self.arrays["gauges"][[POOL, TURN]] = 1.0, -1.0
        self.gate.begin(self.arrays)

    @property
    def held(self) -> int:
        """How many events are stored."""
        return int(self.arrays["tally"][HELD])

    def labels(self) -> NDArray[np.int64]:
        """Return the classes of the stored events, as a view."""
        return self.arrays["y"][: self.held]

    def distances(self, x: Floats) -> NDArray[np.float32]:
        """Return the squared distance to each stored event, as a view; not exact to rounding."""
        held, narrow = self.held, self.work["narrow"]
        narrow[:] = x
        out: NDArray[np.float32] = np.dot(
            self.arrays["x"][:held], narrow, out=self.work["distances"][:held]
        )
        out *= -2.0
        out += self.work["squares"][:held]
        out += np.dot(narrow, narrow)
        return np.maximum(out, 0.0, out=out)

    def after(self, body: Body, x: Floats, y: int, loss: float) -> None:
        """Ask the gate, learn stored events again, and store the new one if it is sampled."""
        loss = min(loss, MOST_LOSS)
        if self.on_contradiction != KEEP:
            self._watch(body, x, y)
        gauges = self.arrays["gauges"]
        gauges[NEW] += max(SHARE, 1.0 / body.labels) * (loss - gauges[NEW])
        for _ in range(self.draws if self.held else 0):
            self._replay(body)
        if self.priority != UNIFORM and body.labels % POOL_EVERY == 0:
            self._turn()
        self._store(body, x, y, loss)

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return what is stored and how old it is, what the gate sees, and what is forgotten."""
        held, gauges = self.held, self.arrays["gauges"]
        known = {
            "held": float(held),
            "meaning_drift": float(self.arrays["tally"][DRIFTS]),
            "forgetting": float(gauges[REPLAYED] - gauges[NEW]) if self.draws else 0.0,
            "age_median": 0.0,
            "label_entropy": 0.0,
            **self.gate.signals(self.arrays),
        }
        if held:
            known["age_median"] = float(body.labels - np.median(self.arrays["at"][:held]))
            counts = np.bincount(self.labels())
            shares = counts[counts > 0] / held
            known["label_entropy"] = float(-(shares * np.log(shares)).sum())
        return known

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for events that cannot have been stored."""
        held, seen, *_ = arrays["tally"].tolist()
        check_range("rehearsal_tally", arrays["tally"], 0, 2**62)
        require_state(held <= min(seen, self.capacity), "rehearsal_tally", f"got {held} stored")
        check_range("rehearsal_x", arrays["x"], -1e4, 1e4)
        check_range("rehearsal_y", arrays["y"], 0, len(arrays["label_count"]) - 1)
        check_range("rehearsal_at", arrays["at"], 0, 2**62)
        check_range("rehearsal_loss", arrays["loss"], 0.0, MOST_LOSS)
        check_range("rehearsal_gauges", arrays["gauges"][:POOL], 0.0, MOST_LOSS)
        check_range("rehearsal_gauges", arrays["gauges"][POOL:TURN], LEAST_POOL, 1.0)
        check_range("rehearsal_gauges", arrays["gauges"][TURN:NEAR], -1.0, 1.0)
        check_range("rehearsal_gauges", arrays["gauges"][NEAR:], 0.0, FARTHEST)
        check_gate(arrays)

    def check_times(self, arrays: Arrays, labels: int) -> None:
        """Raise `StateError` for events stored later than now: they would have negative ages."""
        check_range("rehearsal_at", arrays["at"], 0, labels)

    def restored(self, body: Body) -> None:
        """Work out the squared norms."""
        for slot in range(self.held):
            self._measure(slot)

    def _watch(self, body: Body, x: Floats, y: int) -> None:
        now = body.labels
        self.gate.count(self.arrays, y, now)
        if self.held <= LEAST_HELD:
            return
        distances = self.distances(x)
        slot = int(distances.argmin())
        # By label, what has been dropped leaves no near neighbor behind.
        if not self._is_near(float(distances[slot])) and not self.gate.by_label:
            return
        if not self.gate.contradicted(self.arrays, slot, y, now):
            return
        self.arrays["tally"][DRIFTS] += 1
        if self.on_contradiction == DROP:
            self._keep(self.labels() != self.arrays["y"][slot])
            return
        if self.on_contradiction == FLUSH:
            self.arrays["tally"][:DRIFTS] = 0
        else:
            self.gate.begin_again(self.arrays, now)
        body.shift()

    def _is_near(self, distance: float) -> bool:
        """Whether the nearest stored event is about as near as it usually is."""
        gauges, tally = self.arrays["gauges"], self.arrays["tally"]
        tally[ASKED] += 1
        near = tally[ASKED] < WARM_UP or distance <= FAR * gauges[NEAR]
        share = max(1.0 / tally[ASKED], NEAR_SHARE if near else FAR_SHARE)
        gauges[NEAR] += share * (min(distance, FARTHEST) - gauges[NEAR])
        return bool(near)

    def _replay(self, body: Body) -> None:
        slot, event = self._draw(body), self.work["event"]
        event[:] = self.arrays["x"][slot]
        loss = min(body.update(event, int(self.arrays["y"][slot])), MOST_LOSS)
        gauges = self.arrays["gauges"]
        gauges[REPLAYED] += max(SHARE, 1.0 / body.labels) * (loss - gauges[REPLAYED])
        self.arrays["loss"][slot] += 0.5 * (loss - self.arrays["loss"][slot])

    def _draw(self, body: Body) -> int:
        held = self.held
        pool = None
        if self.priority != UNIFORM:
            key = self.arrays["loss"][:held] * (1.0 if self.priority == CYCLE else -1.0)
            size = max(int(self.arrays["gauges"][POOL] * held), 1)
            pool = np.argsort(key, kind="stable")[:size]
            held = size
        if self.decay == 0.0:
            at = int(below(body.rng, held))
        else:
            stored = self.arrays["at"][:held] if pool is None else self.arrays["at"][pool]
            weights = (body.labels - stored + self.age_offset) ** -self.decay
            reach = weights.cumsum()
            want = float(next_u64(body.rng)) * WORD * reach[-1]
            at = min(int(np.searchsorted(reach, want, side="right")), held - 1)
        return at if pool is None else int(pool[at])

    def _turn(self) -> None:
        """Widen or narrow the pool, and turn at either end."""
        gauges = self.arrays["gauges"]
        size = gauges[POOL] * POOL_STEP ** -gauges[TURN]
        if not LEAST_POOL <= size <= 1.0:
            gauges[TURN] = -gauges[TURN]
        gauges[POOL] = min(max(size, LEAST_POOL), 1.0)

    def _store(self, body: Body, x: Floats, y: int, loss: float) -> None:
        tally = self.arrays["tally"]
        tally[SEEN] += 1
        slot = self.held
        if slot < self.capacity:
            tally[HELD] += 1
        else:
            slot = int(below(body.rng, int(min(tally[SEEN], 2**32 - 1))))
            if slot >= self.capacity:
                return
        self.arrays["x"][slot] = x
        self.arrays["y"][slot] = y
        self.arrays["at"][slot] = body.labels
        self.arrays["loss"][slot] = loss
        self._measure(slot)

    def _measure(self, slot: int) -> None:
        row = self.arrays["x"][slot]
        self.work["squares"][slot] = np.dot(row, row)

    def _keep(self, good: NDArray[np.bool_]) -> None:
        """Keep the stored events that are good, as a sample of so much less of the stream."""
        held, left = self.held, int(good.sum())
        for name in ("x", "y", "at", "loss"):
            self.arrays[name][:left] = self.arrays[name][:held][good]
        self.work["squares"][:left] = self.work["squares"][:held][good]
        tally = self.arrays["tally"]
        tally[HELD] = left
        tally[SEEN] = max(int(tally[SEEN]) * left // held, left)
