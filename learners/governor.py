"""The learning governor: whether learning pays, told by events that are never learned from.

Pure and deterministic: it is asked before each event that has a loss, told the loss after, and
answers what is to become of the learner's weights. It never touches the learner itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np

from learners.base import Arrays, Stateful, check_arrays
from learners.parameters import check_range, require, with_prefix, without_prefix
from learners.stopping import BlockLosses

LEARN, PAUSE, PROBE = range(3)
SMOOTHING = 3
"""Blocks in a mean that is compared with another."""
LEAST_BLOCKS = 2 * SMOOTHING
"""Blocks of learning before a pause."""
SLACK, BAR = 0.5, 15.0
"""Of the sum that sounds a drift: standard deviations that are let pass, and what is too many."""
CLIP = 4.0
LEAST_SPREAD, LEAST_RISE = 0.1, 0.05
"""Of canary losses and of their means, as shares of the mean: what is less is no drift."""
MOST_WAIT = 8
"""A probe that failed makes the next wait twice as long, up to this many times the first wait."""
SURE = 4.0
"""Standard errors by which canaries must be worse than what is trained on."""
PROBE_GAIN = 0.01
LARGEST = 1e100
MOST_SUM = 1e110
Smoothed = tuple[float, float, float, float]

# counts
LABELS, STATE, IN_STATE, TRAINED, PAUSES, RESUMES, PROBES, WAIT, BEST_AT = range(9)
# sums, blocks, since: of this block, of the last three, of all since the best; each with count,
# sum and squares of each loss
TRAINING, CANARY = range(2)
# reference: count, mean and squared deviations of canary losses while paused, and the drift sum
COUNT, MEAN, SQUARES, DRIFT = range(4)
# best: means and squared standard errors of both losses in the best smoothed blocks
BEST_CANARY, BEST_CANARY_SE2, BEST_TRAINING, BEST_TRAINING_SE2 = range(4)


class Act(Enum):
    """What is to become of the learner's weights."""

    NOTHING = "nothing"
    KEEP = "keep"
    RESTORE = "restore"


class Governor(Stateful):
    """Pauses learning when it has begun to harm, and resumes when the stream changes.

    Every `canary_every`-th loss is a canary's, of an event that is never learned from; a block is
    `block_losses` of either. Learning pauses, and the best weights return, when at the end of a
    block all of these hold. Two of the rules GL, PQ and UP fire together (see
    `learners.stopping`). The canary loss is above the training loss, over all blocks since its
    best. And since then the two have parted by more than `rise` standard errors. So what is
    learned by heart is paused; in a stream where nothing recurs the two have the same mean, and
    where the learner generalizes they fall together. If both have risen that is a drift, and the
    judgment begins anew.

    While paused the canary loss is watched: a sum of its deviations, which notices a leap within
    some ten canaries, and the mean of three blocks, for what creeps. After `probe_blocks` paused
    blocks it learns for three and keeps what it learned if canaries are the better for it.

    It fails where labels are so few that no three blocks pass between two drifts, and it cannot
    tell harm smaller than `rise` standard errors of three blocks of canaries.

    Parameters
    ----------
    canary_every, block_losses
        One loss in so many is a canary's; losses in a block.
    rise
        Standard errors by which the two losses must have parted since the canaries' best.
    resume
        Standard errors by which it must rise, while paused, for a slow drift.
    probe_blocks
        Paused blocks before the first probe; 0 never probes.
    correlation
        Above which rules that fire together count.

    References
    ----------
    Page 1954, Continuous inspection schemes, for the sum of deviations.
    """

    _state = ("counts", "sums", "blocks", "since", "reference", "best")

    def __init__(
        self,
        canary_every: int = 10,
        block_losses: int = 1_000,
        rise: float = 2.5,
        resume: float = 4.0,
        probe_blocks: int = 20,
        correlation: float = 0.5,
    ) -> None:
        require(2 <= canary_every <= 1_000, "canary_every", canary_every, "2..1000")
        least = 10 * canary_every
        require(
            least <= block_losses <= 10_000_000,
            "block_losses",
            block_losses,
            f"10 canary_every ({least})..10000000",
        )
        require(0 < rise <= 100, "rise", rise, "in (0, 100]")
        require(0 < resume <= 100, "resume", resume, "in (0, 100]")
        require(0 <= probe_blocks <= 1_000_000, "probe_blocks", probe_blocks, "0..1000000")
        require(0 <= correlation < 1, "correlation", correlation, "in [0, 1)")
        self.canary_every = canary_every
        self.block_losses = block_losses
        self.rise = rise
        self.resume = resume
        self.probe_blocks = probe_blocks
        self.correlation = correlation
        self.losses = BlockLosses()
        self.counts = np.zeros(9, np.int64)
        self.sums = np.zeros((2, 3))
        self.blocks = np.zeros((SMOOTHING, 2, 3))
        self.since = np.zeros((2, 3))
        self.reference = np.zeros(4)
        self.best = np.zeros(4)
        self._begin()

    # Before an event

    @property
    def is_canary(self) -> bool:
        """Whether the next event that has a loss is a canary."""
        return bool(self.counts[LABELS] % self.canary_every == self.canary_every - 1)

    @property
    def paused(self) -> bool:
        """Whether events are not to be learned from."""
        return bool(self.counts[STATE] == PAUSE)

    # After an event

    def take(self, loss: float) -> Act:
        """Take in the loss of an event, as it was before the event was learned from."""
        canary = self.is_canary
        loss = min(max(loss, -LARGEST), LARGEST) if loss == loss else LARGEST
        self.counts[LABELS] += 1
        if not canary and not self.paused:
            self.counts[TRAINED] += 1
        row = self.sums[CANARY if canary else TRAINING]
        row += (1.0, loss, loss * loss)
        if canary and self.paused and self._leaps(loss):
            self._resume()
            return Act.NOTHING
        if self.counts[LABELS] % self.block_losses == 0:
            return self._end_block()
        return Act.NOTHING

    def drifted(self) -> None:
        """Take note that something else has found a drift: what is paused learns again."""
        if self.paused:
            self._resume()

    def _leaps(self, loss: float) -> bool:
        """Add a canary's deviation to the sum; return whether it is too much for chance."""
        count, mean, squares, _ = self.reference
        spread = max(math.sqrt(squares / max(count, 1.0)), LEAST_SPREAD * abs(mean), 1e-12)
        step = min((loss - mean) / spread, CLIP) - SLACK
        self.reference[DRIFT] = max(self.reference[DRIFT] + step, 0.0)
        return bool(self.reference[DRIFT] > BAR)

    def _end_block(self) -> Act:
        at = int(self.counts[IN_STATE]) % SMOOTHING
        self.blocks[at] = self.sums
        self.sums[:] = 0.0
        self.counts[IN_STATE] += 1
        if self.paused:
            return self._end_paused_block()
        if self.counts[STATE] == PROBE:
            return self._end_probing_block()
        return self._end_learning_block(at)

    # Learning

    def _end_learning_block(self, at: int) -> Act:
        training, canary = (_mean(self.blocks[at, i])[0] for i in (TRAINING, CANARY))
        self.losses.add(training, canary)
        self.since += self.blocks[at]
        if self.counts[IN_STATE] < SMOOTHING:
            return Act.NOTHING
        now = self._smoothed()
        if self.counts[IN_STATE] == SMOOTHING or now[BEST_CANARY] < self.best[BEST_CANARY]:
            self.best[:] = now
            self.since[:] = 0.0
            self.counts[BEST_AT] = self.counts[IN_STATE]
            return Act.KEEP
        if self._risen(now, BEST_TRAINING) and self._risen(now, BEST_CANARY):
            # All that comes is harder than it was: that is a drift, and the best is of the past.
            self._begin()
            return Act.NOTHING
        if self._parted(now) and self.losses.correlation() > self.correlation:
            self._pause()
            return Act.RESTORE
        return Act.NOTHING

    def _parted(self, now: Smoothed) -> bool:
        """Whether what is trained on is known better than canaries, and ever more so.

        Since the canaries' best the two losses are apart, all blocks together, and in the last
        ones further apart than they were at the best; both by more than chance.
        """
        late = self.counts[IN_STATE] - self.counts[BEST_AT] >= SMOOTHING
        if not late or self.losses.blocks < LEAST_BLOCKS:
            return False
        canary = now[BEST_CANARY] - float(self.best[BEST_CANARY])
        training = now[BEST_TRAINING] - float(self.best[BEST_TRAINING])
        error2 = sum(now[i] + float(self.best[i]) for i in (BEST_CANARY_SE2, BEST_TRAINING_SE2))
        (canaries, c2), (others, o2) = _mean(self.since[CANARY]), _mean(self.since[TRAINING])
        apart = canaries - others > SURE * math.sqrt(c2 + o2)
        return apart and canary - training > self.rise * math.sqrt(error2)

    def _smoothed(self) -> Smoothed:
        """Return mean and squared standard error of both losses over the last three blocks."""
        total = self.blocks.sum(axis=0)
        return *_mean(total[CANARY]), *_mean(total[TRAINING])

    def _risen(self, now: Smoothed, which: int) -> bool:
        error = math.sqrt(now[which + 1] + float(self.best[which + 1]))
        return now[which] - float(self.best[which]) > self.rise * error

    # Paused

    def _pause(self) -> None:
        self.counts[PAUSES] += 1
        self.counts[WAIT] = self.probe_blocks
        self._enter(PAUSE)
        # Until there are canaries of the pause itself, those of the best blocks stand for them.
        n = SMOOTHING * (self.block_losses // self.canary_every)
        self.reference[:] = 0.0
        self.reference[COUNT] = n
        self.reference[MEAN] = self.best[BEST_CANARY]
        self.reference[SQUARES] = self.best[BEST_CANARY_SE2] * n * n

    def _end_paused_block(self) -> Act:
        blocks = int(self.counts[IN_STATE])
        if blocks <= SMOOTHING:
            self._refer(self.blocks[:blocks, CANARY].sum(axis=0))
            return Act.NOTHING
        mean, error2 = _mean(self.blocks[:, CANARY].sum(axis=0))
        before = float(self.reference[MEAN])
        error = math.sqrt(error2 + self._reference_error2())
        if mean - before > max(self.resume * error, LEAST_RISE * abs(before)):
            self._resume()
        elif self.probe_blocks and blocks >= self.counts[WAIT]:
            self.counts[PROBES] += 1
            self._enter(PROBE)
        return Act.NOTHING

    def _refer(self, total: np.ndarray[Any, Any]) -> None:
        """Take the canaries of the pause so far for what is usual in it."""
        count, sum_, squares = total
        mean = sum_ / max(count, 1.0)
        self.reference[COUNT] = count
        self.reference[MEAN] = mean
        self.reference[SQUARES] = max(squares - count * mean * mean, 0.0)

    def _reference_error2(self) -> float:
        count = max(float(self.reference[COUNT]), 1.0)
        return float(self.reference[SQUARES]) / (count * count)

    def _end_probing_block(self) -> Act:
        if self.counts[IN_STATE] < SMOOTHING:
            return Act.NOTHING
        mean, error2 = _mean(self.blocks[1:, CANARY].sum(axis=0))
        before = float(self.reference[MEAN])
        error = math.sqrt(error2 + self._reference_error2())
        if before - mean > max(PROBE_GAIN * abs(before), 2.0 * error):
            self._resume()
            return Act.NOTHING
        longest = MOST_WAIT * self.probe_blocks
        self.counts[WAIT] = min(2 * int(self.counts[WAIT]), longest)
        self._enter(PAUSE)
        self.reference[DRIFT] = 0.0
        return Act.RESTORE

    # States

    def _resume(self) -> None:
        self.counts[RESUMES] += 1
        self._begin()

    def _begin(self) -> None:
        """Learn, with nothing to compare with."""
        self.losses.clear()
        self.best[:] = math.inf
        self.since[:] = 0.0
        self.reference[:] = 0.0
        self.counts[BEST_AT] = 0
        self._enter(LEARN)

    def _enter(self, state: int) -> None:
        self.counts[STATE] = state
        self.counts[IN_STATE] = 0
        self.sums[:] = 0.0
        self.blocks[:] = 0.0

    def clear(self) -> None:
        """Learn, and judge anew from here; what was counted stays counted."""
        self._begin()

    # What it says

    @property
    def saved(self) -> float:
        """The share of losses whose events were not learned from."""
        labels = int(self.counts[LABELS])
        return 1.0 - int(self.counts[TRAINED]) / labels if labels else 0.0

    def signals(self) -> Mapping[str, float]:
        """Return the state (0 learns, 1 paused, 2 probes), losses, rules and counts."""
        signals = {"gate_state": float(self.counts[STATE])} | self.losses.signals()
        if self.paused:
            signals["canary_loss"] = float(self.reference[MEAN])
        return signals | {
            "drift_sum": float(self.reference[DRIFT]),
            "updates_saved_ratio": self.saved,
            "pauses": float(self.counts[PAUSES]),
            "resumes": float(self.counts[RESUMES]),
            "probes": float(self.counts[PROBES]),
        }

    # State

    def get_state(self) -> Arrays:
        """Return a copy of every state array."""
        return super().get_state() | with_prefix("losses_", self.losses.get_state())

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        own = {name: a for name, a in arrays.items() if not name.startswith("losses_")}
        check_arrays(own, {name: getattr(self, name) for name in self._state})
        check_range("counts", own["counts"], 0, 2**62)
        check_range("counts", own["counts"][STATE : STATE + 1], LEARN, PROBE)
        for name in ("sums", "blocks", "since"):
            check_range(name, own[name][..., 0], 0, 1e9)
            check_range(name, own[name][..., 1], -MOST_SUM, MOST_SUM)
            check_range(name, own[name][..., 2], 0, MOST_SUM * LARGEST)
        check_range("reference", own["reference"][MEAN : MEAN + 1], -LARGEST, LARGEST)
        check_range("reference", own["reference"][[COUNT, SQUARES, DRIFT]], 0, MOST_SUM * LARGEST)
        check_range("best", own["best"][[BEST_CANARY, BEST_TRAINING]], -LARGEST, math.inf)
        check_range("best", own["best"][[BEST_CANARY_SE2, BEST_TRAINING_SE2]], 0, math.inf)
        self.losses.set_state(without_prefix("losses_", arrays))
        super().set_state(own)


def _mean(row: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Return mean and squared standard error of a count, a sum and a sum of squares."""
    count, total, squares = (float(each) for each in row)
    if count < 1.0:
        return 0.0, 0.0
    mean = total / count
    return mean, max(squares / count - mean * mean, 0.0) / count
