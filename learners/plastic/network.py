"""Plastic network: an online classifier whose learning rule and options are chosen by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from learners.base import Arrays, Features, Learner, Prediction, Target
from learners.classes import Classes
from learners.inputs import Inputs
from learners.parameters import require, require_state, with_prefix, without_prefix
from learners.plastic.body import Body, body_bytes
from learners.plastic.option import Option
from learners.plastic.options import OPTIONS
from learners.plastic.pairs import require_pairs, why_not
from learners.plastic.part import build
from learners.plastic.rule import FactorRule, Floats, Rule
from learners.plastic.rules import RULES
from learners.plastic.shape import Shape

MOST_CLASSES = 256
MOST_INPUT = 1_000.0
Params = Mapping[str, Any]


class PlasticNetwork(Learner):
    """A dense network that learns each labeled event once, by a rule and with options of choice.

    An event without a label changes nothing. The score is 1 - max p. Rules and options are
    described in `learners.plastic.rules` and `learners.plastic.options`, and what was measured of
    them in the docs: no rule is known to beat `sgd` on images; what helps are options, each
    against one kind of change. Of two that do not go together both are named.

    It fails on inputs far from unit scale, for any rule's largest stable rate falls with their
    squared norm: a step that would move a weight by more than 10 is not taken, weights stop at a
    million, and inputs that are not standardized at a thousand.

    Parameters
    ----------
    inputs, classes, hidden
        Places for features (a string takes one for each of its values), most labels, and the
        units of each hidden layer.
    standardize
        Whether numbers are brought to mean 0 and deviation 1; else they should be near unit scale.
    rule, rule_params
        The name of the rule, and its parameters where they are not to be its defaults.
    rate
        The learning rate; if it is not given, the rule's own.
    options
        Parameters of each option by its name.
    seed
        Of weights, and of what rules and options draw.
    """

    learns_labels = True

    def __init__(
        self,
        inputs: int = 64,
        classes: int = 10,
        hidden: tuple[int, ...] = (64,),
        standardize: bool = True,
        rule: str = "sgd",
        rate: float | None = None,
        rule_params: dict[str, Any] | None = None,
        options: dict[str, dict[str, Any]] | None = None,
        seed: int = 1,
    ) -> None:
        shape, chosen, added = _parts(inputs, hidden, classes, rule, rule_params, options)
        require(0 <= seed < 2**63, "seed", seed, "0..2**63-1")
        require(rate is None or 0.0 < rate <= 10.0, "rate", rate, "above 0, at most 10")
        self.inputs, self.classes, self.hidden = inputs, classes, tuple(hidden)
        self.standardize, self.rule, self.rate = standardize, rule, rate
        self.rule_params, self.options, self.seed = rule_params, options, seed
        self._inputs = Inputs(inputs, standardize)
        self._classes = Classes(classes)
        self.body = Body(shape, chosen, added, chosen.rate if rate is None else rate, seed)

    @classmethod
    def variants(cls) -> Sequence[Mapping[str, Any]]:
        """Return parameters with each rule, and with each option beside a rule that can have it."""
        options = [each for each in OPTIONS.values() if not each.needs]
        beside = (
            {
                "rule": next(r.name for r in RULES.values() if not why_not(r, o)),
                "options": {o.name: {}},
            }
            for o in options
        )
        return (*({"rule": name} for name in RULES), *beside)

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of all arrays, and of the tables of names."""
        inputs, classes = params.get("inputs", 64), params.get("classes", 10)
        hidden, rule = tuple(params.get("hidden", (64,))), params.get("rule", "sgd")
        parts = (rule, params.get("rule_params"), params.get("options"))
        own = body_bytes(*_parts(inputs, hidden, classes, *parts))
        return own + Inputs.memory_bytes(inputs) + Classes.memory_bytes(classes)

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return label, probabilities and score among the labels known, or nothing before one.

        Raises `InvalidEvent` for a number that is not finite.
        """
        vector = self._inputs.read(x)
        known = len(self._classes)
        if not known:
            return Prediction()
        out = self.body.look(self._bring(vector))[:known].tolist()
        total = sum(out)
        # A class that no label has named cannot be answered, so it is given no share.
        shares = [share / total for share in out] if total > 0.0 else [1.0 / known] * known
        label, proba = self._classes.answer(shares)
        return Prediction(score=1.0 - max(shares), label=label, proba=proba)

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Learn from a labeled event; raises `InvalidEvent` before anything changed."""
        if y is not None:
            self._classes.check(y)
            vector = self._bring(self._inputs.learn(x))
            self.body.learn(vector, self._classes.index(y))

    def step_one(self, x: Features, y: Target = None, t: float | None = None) -> Prediction:
        """Predict, then learn; what is there to learn by is often what was read to predict."""
        prediction = self.predict(x, t)
        if y is None or prediction.label is None or self.standardize or not self._inputs.complete:
            self.learn_one(x, y, t)
        else:
            self._classes.check(y)
            self.body.learn(self._inputs.vector, self._classes.index(y))
        return prediction

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        """Learn from a label that came after its event, as if both came now."""
        self.learn_one(x, y, t)

    def new_task(self) -> None:
        """Tell options that another task begins with the next event."""
        self.body.new_task()

    def signals(self) -> Mapping[str, float]:
        """Return running loss and accuracy, norms, and what rule and options say of themselves."""
        return self.body.signals()

    def weights(self) -> Sequence[Floats]:
        """Return the weights, unless rule or options keep something that goes with them."""
        rule, options = self.body.rule, self.body.options.values()
        alone = isinstance(rule, FactorRule) and not rule.arrays
        return (self.body.theta,) if alone and not any(o.goes_with_weights for o in options) else ()

    def get_state(self) -> Arrays:
        """Return weights, gauges, arrays of rule and options, names and labels."""
        own = self.body.get_state() | self._classes.get_state()
        return own | with_prefix("inputs_", self._inputs.get_state())

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        own = {n: a for n, a in arrays.items() if n != "labels" and not n.startswith("inputs_")}
        require_state("labels" in arrays, "arrays", "got no labels")
        self.body.check_state(own)
        inputs = without_prefix("inputs_", arrays)
        self._inputs.check_state(inputs)
        self._classes.set_state({"labels": arrays["labels"]})
        self._inputs.set_state(inputs)
        self.body.set_state(own)

    def _bring(self, vector: Floats) -> Floats:
        """Bring inputs to where the rule wants them, in place."""
        if self.body.rule.unit_inputs:
            if self.standardize:
                vector *= 0.25
                vector += 0.5
            return np.clip(vector, 0.0, 1.0, out=vector)
        return vector if self.standardize else np.clip(vector, -MOST_INPUT, MOST_INPUT, out=vector)


def _parts(
    inputs: int,
    hidden: tuple[int, ...],
    classes: int,
    rule: str,
    rule_params: Params | None,
    options: Mapping[str, Params] | None,
) -> tuple[Shape, Rule, dict[str, Option]]:
    """Return the parts of a network, or raise `ValueError` for what does not fit together."""
    require(1 <= inputs <= 65_536, "inputs", inputs, "1..65536")
    require(2 <= classes <= MOST_CLASSES, "classes", classes, f"2..{MOST_CLASSES}")
    require(all(1 <= n <= 4_096 for n in hidden), "hidden", hidden, "1..4096 units a layer")
    chosen = build(RULES, "rule", rule, rule_params or {})
    least, most = chosen.least_hidden, chosen.most_hidden
    require(least <= len(hidden) <= most, "hidden", hidden, f"{least}..{most} layers for {rule}")
    given = options or {}
    added = {name: build(OPTIONS, "options", name, params) for name, params in given.items()}
    # The order of the table, not that of the spec, so that one meaning has one result.
    ordered = {name: added[name] for name in OPTIONS if name in added}
    require_pairs(type(chosen), [type(each) for each in ordered.values()])
    return Shape(inputs, tuple(hidden), classes), chosen, ordered
