"""What a stream's learner is taught: what was asked for, holds, and pauses that harm brings about.

Pure and synchronous, and part of the stream's state. It says of each event and label whether it
is learned from, keeps the best weights, and puts them back.
"""

from __future__ import annotations

from typing import Any, Literal

from learners.base import Arrays, Learner, Prediction, Target, array_bytes
from learners.governor import Act, Governor
from learners.holding import Hold
from learners.loss import loss_of
from learners.parameters import with_prefix, without_prefix
from service import catalog
from service.schemas import GovernorPolicy, StreamSpec

Asked = Literal["learning", "paused", "auto"]
PausedBy = Literal["request", "anomaly", "harm"]
_PARTS = ("governor_", "hold_", "best_")


class Tutor:
    """Decides what is learned, by a stream's policy and by what was asked for."""

    def __init__(self, spec: StreamSpec) -> None:
        self.asked: Asked = "auto"
        self.policy = spec.governor or GovernorPolicy()
        pause, hold = self.policy.pause, self.policy.hold
        if pause is not None and not catalog.keeps_state(spec.learner):
            raise ValueError(
                "pause: got a learner that keeps no state, expected one whose best weights can be "
                "put back"
            )
        self.governor = None if pause is None else Governor(**pause.values())
        self.hold = None if hold is None else Hold(**hold.model_dump())
        self._by_score = pause is not None and pause.watch == "score"
        self._best: Arrays = {}
        self._held = False

    # Before an event

    @property
    def looks_first(self) -> bool:
        """Whether an event is judged before it is known if it will be learned from."""
        return self.asked == "paused" or (self.asked == "auto" and self.hold is not None)

    @property
    def holding(self) -> bool:
        """Whether the event before was held, and alarms are to go on."""
        return self._held

    def holds(self, anomalous: bool, t: float) -> bool:
        """Take in whether an event is an anomaly; return whether nothing may learn from it."""
        held = self.hold is not None and self.asked == "auto" and self.hold.take(anomalous, t)
        self._held = held
        return held or self.asked == "paused"

    @property
    def skips(self) -> bool:
        """Whether the learner passes over the next event and over labels."""
        if self.asked != "auto":
            return self.asked == "paused"
        governor = self.governor
        return governor is not None and (governor.paused or (self._by_score and governor.is_canary))

    @property
    def withholds(self) -> bool:
        """Whether the next label is a canary's."""
        governor = self.governor
        return (
            self.asked == "auto"
            and governor is not None
            and not self._by_score
            and governor.is_canary
        )

    # After an event

    def took(self, learner: Learner, prediction: Prediction, y: Target) -> None:
        """Take in how well an event was foreseen; keep the learner's weights, or put them back."""
        if self.governor is None or self.asked != "auto":
            return
        loss = prediction.score if self._by_score else loss_of(prediction, y)
        if loss is None:
            return
        act = self.governor.take(loss)
        if act is Act.KEEP:
            self._best = learner.get_state()
        elif act is Act.RESTORE:
            learner.set_state(self._best)

    def drifted(self) -> None:
        """Take note of a drift that an indicator found."""
        if self.governor is not None:
            self.governor.drifted()

    # Commands

    def ask(self, state: Asked) -> None:
        """Do as is asked from here on; whatever is asked, the governor judges anew."""
        self.asked = state
        self._held = False
        if self.governor is not None:
            self.governor.clear()

    def under(self, spec: StreamSpec) -> Tutor:
        """Return what goes on under another spec: itself, if the policy is the same."""
        if self.policy == (spec.governor or GovernorPolicy()):
            return self
        other = Tutor(spec)
        other.asked = self.asked
        return other

    # What it says

    @property
    def paused_by(self) -> PausedBy | None:
        """Why nothing is learned, or `None` if something is."""
        if self.asked == "paused":
            return "request"
        if self._held and self.asked == "auto":
            return "anomaly"
        return "harm" if self.asked == "auto" and self.governor and self.governor.paused else None

    def report(self) -> dict[str, Any]:
        """Return what a client sees."""
        return {"asked": self.asked, "paused_by": self.paused_by}

    def signals(self) -> dict[str, float]:
        """Return the signals of both, as far as they are there."""
        signals: dict[str, float] = {}
        for part in (self.governor, self.hold):
            if part is not None:
                signals |= part.signals()
        return signals

    def held_bytes(self) -> int:
        """Return about how many bytes it holds, most of them best weights."""
        return array_bytes(self._best.values()) + (8_000 if self.governor else 0)

    # State

    def get_state(self) -> Arrays:
        """Return the arrays of both, and the best weights."""
        state = with_prefix("best_", self._best)
        if self.governor is not None:
            state |= with_prefix("governor_", self.governor.get_state())
        if self.hold is not None:
            state |= with_prefix("hold_", self.hold.get_state())
        return state

    def set_state(self, spec: StreamSpec, asked: Asked, arrays: Arrays) -> None:
        """Take over what the policy has room for, or raise `StateError`."""
        governor, hold, best = (without_prefix(each, arrays) for each in _PARTS)
        if self.governor is not None and governor:
            if best:
                # Weights that do not fit are refused now, and not when they are put back.
                catalog.build_learner(spec.learner).set_state(best)
            self.governor.set_state(governor)
            self._best = best
        if self.hold is not None and hold:
            self.hold.set_state(hold)
            self._held = self.hold.holding
        self.asked = asked
