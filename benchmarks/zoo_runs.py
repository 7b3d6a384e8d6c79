"""One learner over one trial: accuracy before learning, what it forgot, its time and its bytes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.zoo_arms import Arm
from benchmarks.zoo_streams import Event, Trial
from learners.base import Learner
from learners.plastic.network import PlasticNetwork

LATER = 0.25
"""The share of the events that the later accuracy is told of."""


@dataclass(frozen=True)
class Run:
    """Accuracies are prequential; `final` is that of all phases' held-out events in the end.

    `forgotten` is what a phase's accuracy lost between its end and the end of all.
    """

    accuracy: float
    later: float
    final: float | None
    forgotten: float | None
    microseconds: float
    bytes: int | None


def run(learner: Learner, trial: Trial) -> Run:
    """Feed a trial to a learner, and hold it against what was held out."""
    hits: list[bool] = []
    spent = 0.0
    just: list[float] = []
    begins = (0, *trial.ends)
    for i, begin in enumerate(begins):
        end = begins[i + 1] if i + 1 < len(begins) else len(trial.events)
        begun = time.thread_time()
        hits += [learner.step_one(x, y).label == y for x, y in trial.events[begin:end]]
        spent += time.thread_time() - begun
        if i < len(trial.tests):
            if isinstance(learner, PlasticNetwork):
                learner.new_task()  # Options that ask for boundaries are told; no other is.
            just.append(_right(learner, trial.tests[i]))
    last = [_right(learner, events) for events in trial.tests]
    lost = [a - b for a, b in zip(just[:-1], last[:-1], strict=True)]
    count = len(hits)
    return Run(
        statistics.fmean(hits),
        statistics.fmean(hits[int(count * (1 - LATER)) :]),
        statistics.fmean(last) if last else None,
        statistics.fmean(lost) if lost else None,
        1e6 * spent / count,
        learner.held_bytes() or _state_bytes(learner),
    )


def _state_bytes(learner: Learner) -> int | None:
    """Return the bytes of a snapshot, for who does not say what it holds."""
    if not learner.keeps_state:
        return None
    return sum(array.nbytes for array in learner.get_state().values())


def _right(learner: Learner, events: Sequence[Event]) -> float:
    return statistics.fmean(learner.predict(x).label == y for x, y in events)


def attempt(arm: Arm, trial: Trial, setting: int, seed: int) -> Run:
    """Return a run in one of the settings."""
    learner = arm.build(trial.inputs, trial.classes, arm.settings[setting], seed)
    if arm.sequences is None:
        return run(learner, trial)
    return _run_sequence(learner, [y for _, y in trial.events], arm.sequences)


def _run_sequence(learner: Learner, symbols: Sequence[str], ahead: int) -> Run:
    begun = time.thread_time()
    said = [learner.step_one({"symbol": each}, t=float(i)).label for i, each in enumerate(symbols)]
    spent = 1e6 * (time.thread_time() - begun) / len(symbols)
    came = symbols[ahead:]
    hits = [label == symbol for label, symbol in zip(said, came, strict=False)]
    later = statistics.fmean(hits[int(len(hits) * (1 - LATER)) :])
    return Run(statistics.fmean(hits), later, None, None, spent, learner.held_bytes())


def best_setting(arm: Arm, trial: Trial, seed: int) -> int:
    """Return the setting that is best on a trial for choosing, by accuracy before learning.

    Where phases are held out, what is left of all of them in the end counts as much.
    """

    def worth(setting: int) -> float:
        found = attempt(arm, trial, setting, seed)
        return found.accuracy + (found.accuracy if found.final is None else found.final)

    return max(range(len(arm.settings)), key=worth) if len(arm.settings) > 1 else 0
