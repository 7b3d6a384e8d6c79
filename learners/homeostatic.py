"""Homeostatic network: an online classifier that sets its own rate, and rehearses when in need."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays, Features, Learner, Prediction, Target
from learners.classes import Classes
from learners.inputs import Inputs
from learners.kernels import homeostasis as kernels
from learners.kernels import homeostasis_body as places
from learners.network import draw_weights, layout_of, parameters_of
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

Rule = Literal["constant", "random", "literal", "memory_gradient", "per_neuron", "balance"]
Score = Literal["error_chance", "entropy"]

RULES: tuple[str, ...] = get_args(Rule)
STATE = (
    "theta", "safe", "losses", "log_rates", "spread", "memory_x", "memory_y", "memory_acts",
    "memory_errs", "gauges", "counts", "class_counts", "valences", "rng",
)  # fmt: skip
NORMALIZED = (0.01, 10.0)
"""Floor and ceiling of rates that are divided by activity."""
STARTS = {"balance": 10.0}
RUNAWAY_EVENTS = 200
"""How long the running loss may be a nat above that of chance before weights go back."""
MOST_CLASSES = 256


class Homeostatic(Learner):
    """A dense network that learns each labeled event once, at a rate that follows its needs.

    With the rule `balance`, its default, there are two networks, a factor of three apart in rate;
    their probabilities are mixed by their losses of some twenty events, and both rates move
    towards the one that does better, so that they settle where slower and faster are equally
    good. Rates are divided by the squared norm of what the layers read. The less an event was
    expected, the more remembered events are rehearsed after it.

    The other rules have one network: `constant`; `memory_gradient`, `literal` and `random`, which
    accept or refuse to let the rate be moved by the valence of a class (Man, Damasio and Neven
    2022, arXiv 2205.08645, and its code; `memory_gradient` simulates the step with the mean
    gradient over the memory); and `per_neuron`, a rate for each neuron by whether its gradient
    agrees with those of remembered events.

    An event without a label changes nothing. The score is 1 - max p, or the entropy over ln C.
    It fails where labels are noise, which it keeps rehearsing; where what changes is not the last
    layer's to mend, as in any network this small; and, like all of its kind, on the first few
    hundred events. `literal` tends to a rate of zero; `memory_gradient` without a ceiling runs off
    to rates that harm.

    Parameters
    ----------
    inputs, classes, hidden
        Places for features (a string takes one for each of its values), most labels, and the
        units of each hidden layer.
    standardize
        Whether numbers are brought to mean 0 and deviation 1; else they should be near unit scale.
    rule
        How rates are set.
    rate
        The rate to begin with: of a plain gradient step, on the first event. If it is not given
        it is .01, or with `balance` the highest there is, from which it comes down soonest.
    memory, rehearsal
        Labeled events remembered, and how many of them are rehearsed after an event that was
        entirely unexpected; 0 for none, as published.
    every, delta, ceiling, leak
        Of the published rules: labels between decisions, by what share of `rate` the rate moves,
        its absolute limit, and how fast it leaks back. The floor is `floor` times `rate`.
    score
        `error_chance` or `entropy`.
    seed
        Of the weights.
    """

    learns_labels = True

    def __init__(
        self,
        inputs: int = 64,
        classes: int = 10,
        hidden: tuple[int, ...] = (80, 60),
        standardize: bool = True,
        rule: Rule = "balance",
        rate: float | None = None,
        memory: int = 20,
        rehearsal: float = 8.0,
        every: int = 10,
        delta: float = 0.1,
        floor: float = 0.1,
        ceiling: float = 0.03,
        leak: float = 0.0,
        score: Score = "error_chance",
        seed: int = 1,
    ) -> None:
        require(2 <= classes <= MOST_CLASSES, "classes", classes, f"2..{MOST_CLASSES}")
        require(len(hidden) <= 8, "hidden", hidden, "at most 8 layers")
        require(all(1 <= n <= 4_096 for n in hidden), "hidden", hidden, "1..4096 units a layer")
        require(rule in RULES, "rule", rule, " | ".join(RULES))
        require(score in get_args(Score), "score", score, " | ".join(get_args(Score)))
        begin = STARTS.get(rule, 0.01) if rate is None else rate
        require(0.0 < begin <= 10.0, "rate", rate, "above 0, at most 10")
        require(2 <= memory <= 10_000, "memory", memory, "2..10000")
        require(0.0 <= rehearsal <= 100.0, "rehearsal", rehearsal, "0..100")
        require(1 <= every <= 100_000, "every", every, "1..100000")
        require(0.0 < delta <= 1.0, "delta", delta, "above 0, at most 1")
        require(0.0 <= floor <= 1.0, "floor", floor, "0..1")
        if rule in RULES[1:4]:
            require(begin <= ceiling, "ceiling", ceiling, f"the rate {begin} or above")
        require(0.0 <= leak < 1.0, "leak", leak, "0 to below 1")
        require(0 <= seed < 2**63, "seed", seed, "0..2**63-1")
        self.inputs, self.classes, self.hidden = inputs, classes, tuple(hidden)
        self.standardize, self.rule, self.rate = standardize, rule, rate
        self.memory, self.rehearsal, self.every = memory, rehearsal, every
        self.delta, self.floor, self.ceiling, self.leak = delta, floor, ceiling, leak
        self.score, self.seed = score, seed
        self._inputs = Inputs(inputs, standardize)
        self._classes = Classes(classes)
        self._settings = _settings(rule, begin, delta, floor, ceiling, leak, every, rehearsal)
        self.body = _body(inputs, self.hidden, classes, rule, memory, self._settings, seed)

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of all arrays, and of the tables of names."""
        inputs, classes = params.get("inputs", 64), params.get("classes", 10)
        hidden = tuple(params.get("hidden", (80, 60)))
        rule, memory = params.get("rule", "balance"), params.get("memory", 20)
        own = layout_bytes(_layout(inputs, hidden, classes, rule, memory))
        return own + Inputs.memory_bytes(inputs) + Classes.memory_bytes(classes)

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return label, probabilities and score, or nothing before there was a label.

        Raises `InvalidEvent` for a number that is not finite.
        """
        vector = self._inputs.read(x)
        if not len(self._classes):
            return Prediction()
        places.look(self.body, vector)
        out = self.body.out.tolist()
        label, proba = self._classes.answer(out)
        return Prediction(score=self._score(out), label=label, proba=proba)

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Learn from a labeled event; raises `InvalidEvent` before anything changed."""
        if y is not None:
            self._classes.check(y)
            vector = self._inputs.learn(x)
            kernels.learn(self.body, vector, self._classes.index(y))

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        """Learn from a label that came after its event, as if both came now."""
        self.learn_one(x, y, t)

    def signals(self) -> Mapping[str, float]:
        """Return rate, need, accuracy and how often what was done; see docs."""
        body, counts = self.body, self.body.counts
        gauges = dict(zip(("rate", "need", "gain", "loss"), body.gauges.tolist(), strict=False))
        labels, decisions = max(int(counts[places.LABELS]), 1), int(counts[places.DECISIONS])
        accepted = int(counts[places.ACCEPTED])
        known = {
            "learning_rate": gauges["rate"],
            "need": gauges["need"],
            "accuracy": float(body.gauges[places.ACCURACY]),
            "rehearsals": int(counts[places.REHEARSED]) / labels,
            "rollbacks": float(counts[places.ROLLBACKS]),
            "labels": float(counts[places.LABELS]),
        }
        if self.rule in RULES[1:4]:
            known["rate_ratio"] = gauges["rate"] / float(body.settings[places.START])
            known["accept_rate"] = accepted / max(decisions, 1)
            known["wrong_way_rate"] = int(counts[places.WRONG_WAY]) / max(accepted, 1)
            known["memory_gain"] = gauges["gain"]
        if self.rule == "balance":
            lead = float(body.losses[0] - body.losses[1])
            known["fast_share"] = 1.0 / (1.0 + math.exp(-min(max(lead, -500.0), 500.0)))
            known["replaced"] = float(counts[places.REPLACED])
        return known

    def weights(self) -> Sequence[NDArray[np.float64]]:
        """Return the weights, of one network or of two."""
        return (self.body.theta,)

    def get_state(self) -> Arrays:
        """Return weights, memory, rates and counters, names and labels."""
        own = {name: getattr(self.body, name).copy() for name in STATE}
        return own | with_prefix("inputs_", self._inputs.get_state()) | self._classes.get_state()

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        own = {name: arrays[name] for name in STATE if name in arrays}
        inputs = without_prefix("inputs_", arrays)
        rest = arrays.keys() - own.keys() - {"inputs_" + name for name in inputs} - {"labels"}
        require_state(not rest, "arrays", f"got {sorted(rest)} beside what is known")
        self._check(own)
        self._inputs.check_state(inputs)
        self._classes.set_state({name: arrays[name] for name in ("labels",) if name in arrays})
        self._inputs.set_state(inputs)
        for name, array in own.items():
            getattr(self.body, name)[...] = array

    def _check(self, own: Arrays) -> None:
        body = self.body
        like: Layout = {n: (getattr(body, n).shape, getattr(body, n).dtype) for n in STATE}
        check_state_arrays(own, like)
        check_range("memory_y", own["memory_y"], 0, self._classes.most - 1)
        check_range("counts", own["counts"], 0, 2**62)
        room = len(body.memory_x)
        check_range("counts", own["counts"][places.HELD : places.HELD + 1], 0, room)
        check_range("counts", own["counts"][places.NEXT :], 0, room - 1)
        check_range("valences", own["valences"], -1, 1)
        check_range("gauges", own["gauges"], -math.inf, math.inf)
        check_range("gauges", own["gauges"][[places.DEBT]], 0.0, 1.0)

    def _score(self, out: Sequence[float]) -> float:
        if self.score == "entropy":
            return -sum(p * math.log(p) for p in out if p > 0.0) / math.log(len(out))
        return 1.0 - max(out)


def _settings(
    rule: str,
    rate: float,
    delta: float,
    floor: float,
    ceiling: float,
    leak: float,
    every: int,
    rehearsal: float,
) -> NDArray[np.float64]:
    """Return the numbers that a rule goes by, as its kernels read them."""
    number = RULES.index(rule)
    if number >= places.PER_NEURON:
        low, high = NORMALIZED
    elif number == places.CONSTANT:
        low = high = rate
    else:
        low, high = max(floor * rate, 1e-8), ceiling
    return np.array(
        [number, rate, delta * rate, low, high, leak, every, rehearsal, RUNAWAY_EVENTS], np.float64
    )


def _layout(inputs: int, hidden: tuple[int, ...], classes: int, rule: str, memory: int) -> Layout:
    sizes = (inputs, *hidden, classes)
    weights, units = parameters_of(sizes), sum(sizes[1:])
    members = 2 if rule == "balance" else 1
    neurons = units if rule == "per_neuron" else 0
    scratch = weights if rule in RULES[1:4] else 0
    f, i = np.float64, np.int64
    return {
        "settings": ((9,), f),
        "layout": ((len(sizes) - 1, 6), i),
        "theta": ((members, weights), f),
        "safe": ((members, weights), f),
        "losses": ((members,), f),
        "log_rates": ((neurons,), f),
        "spread": ((neurons,), f),
        "memory_x": ((memory, inputs), f),
        "memory_y": ((memory,), i),
        "memory_acts": ((memory if neurons else 0, neurons), f),
        "memory_errs": ((memory if neurons else 0, neurons), f),
        "gauges": ((6,), f),
        "counts": ((10,), i),
        "class_counts": ((classes,), i),
        "valences": ((classes,), i),
        "rng": ((1,), np.uint64),
        "acts": ((members, units), f),
        "errs": ((members, units), f),
        "shares": ((members,), f),
        "gradient": ((scratch,), f),
        "trial": ((max(scratch, neurons),), f),
        "out": ((classes,), f),
    }


def _body(
    inputs: int,
    hidden: tuple[int, ...],
    classes: int,
    rule: str,
    memory: int,
    settings: NDArray[np.float64],
    seed: int,
) -> places.Body:
    """Return the arrays of a learner that has seen nothing."""
    body = places.Body(**allocate(_layout(inputs, hidden, classes, rule, memory)))
    body.settings[:] = settings
    body.layout[:] = layout_of((inputs, *hidden, classes))
    body.theta[:] = draw_weights(body.layout, seed)
    body.safe[:] = body.theta
    body.rng[0] = seed
    body.valences[:] = 1
    body.gauges[places.RATE] = min(max(settings[places.START], settings[3]), settings[4])
    return body
