"""Early stopping: whether learning still pays, by losses of events that are never learned from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from learners.base import Arrays, Features, Indicator, Prediction, Target, check_arrays
from learners.loss import loss_of
from learners.parameters import check_range, require, with_prefix, without_prefix
from learners.stopping import LARGEST, BlockLosses

AGREE = 0.5
"""Correlation above which rules fire for one cause."""
# counts
LOSSES = 0
# sums
TRAINING, CANARY = range(2)
COUNT, TOTAL = range(2)


class EarlyStopping(Indicator):
    """How strongly the rules GL, PQ and UP agree, over blocks, that learning should stop: 0 to 1.

    Every `canary_every`-th label is a canary's: its event is judged and the label kept from the
    learner. The mean loss of a block's canaries is held against its best so far and against the
    progress on all other labels. The value, the largest correlation in time of two rules, says
    how surely they fire for one cause, which with a canary loss above its best is overfitting.

    It says nothing before the first block, and nothing of events without labels unless it watches
    the score. Alone it is no reason to stop: where the loss is small and jitters, rules fire and
    agree by chance. The learning governor (`docs/learning_governor.md`) asks for more.

    Parameters
    ----------
    canary_every, block_losses
        One label in so many is a canary's; labels in a block.
    strip, window, lag, gl, pq
        Of the rules and their correlation; see `learners.stopping.BlockLosses`.
    watch
        What is taken for the loss: `label`, the Brier score or distance of the prediction from
        the label, or `score`, the learner's own surprise, of which nothing is kept from it.

    References
    ----------
    Prechelt 1998; Vilares Ferro et al. 2023, Neural Networks 159.
    """

    _state = ("counts", "sums")

    def __init__(
        self,
        canary_every: int = 10,
        block_losses: int = 1_000,
        strip: int = 5,
        window: int = 10,
        lag: int = 4,
        gl: float = 2.0,
        pq: float = 0.5,
        watch: str = "label",
    ) -> None:
        require(2 <= canary_every <= 1_000, "canary_every", canary_every, "2..1000")
        require(
            canary_every <= block_losses <= 10_000_000,
            "block_losses",
            block_losses,
            f"canary_every ({canary_every})..10000000",
        )
        require(watch in ("label", "score"), "watch", watch, "label or score")
        self.canary_every = canary_every
        self.block_losses = block_losses
        self.strip = strip
        self.window = window
        self.lag = lag
        self.gl = gl
        self.pq = pq
        self.watch = watch
        self._losses = BlockLosses(strip, window, lag, gl, pq)
        self.counts = np.zeros(1, np.int64)
        self.sums = np.zeros((2, 2))

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of 64 blocks and of the sums of one."""
        return sum(a.nbytes for a in BlockLosses().get_state().values()) + 8 + 4 * 8

    @property
    def withholds(self) -> bool:
        """Whether the next label is a canary's."""
        return self.watch == "label" and self._canary()

    def _canary(self) -> bool:
        return bool(self.counts[LOSSES] % self.canary_every == self.canary_every - 1)

    def update(
        self, prediction: Prediction, x: Features, y: Target = None, t: float | None = None
    ) -> None:
        """Take in one event; one without a loss changes nothing."""
        self._take(loss_of(prediction, y) if self.watch == "label" else prediction.score)

    def update_label(
        self, prediction: Prediction, x: Features, y: float | str, t: float | None = None
    ) -> None:
        """Take in a label that came late."""
        if self.watch == "label":
            self._take(loss_of(prediction, y))

    def _take(self, loss: float | None) -> None:
        if loss is None or loss != loss:
            return
        row = self.sums[CANARY if self._canary() else TRAINING]
        row += (1.0, min(max(loss, -LARGEST), LARGEST))
        self.counts[LOSSES] += 1
        if self.counts[LOSSES] % self.block_losses == 0:
            means = self.sums[:, TOTAL] / np.maximum(self.sums[:, COUNT], 1.0)
            self._losses.add(float(means[TRAINING]), float(means[CANARY]))
            self.sums[:] = 0.0

    def value(self) -> float | None:
        """Return the correlation, in [0, 1], or `None` before the first block."""
        return self._losses.correlation() if self._losses.blocks else None

    def signals(self) -> Mapping[str, float]:
        """Return the last block's losses, what the rules go by, which fired, and 1 to stop."""
        said = self._losses.signals()
        return said | {"should_stop": float(said["coi_corr"] > AGREE and said["gl"] > 0.0)}

    def get_state(self) -> Arrays:
        """Return a copy of every state array."""
        return super().get_state() | with_prefix("losses_", self._losses.get_state())

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        own = {name: a for name, a in arrays.items() if not name.startswith("losses_")}
        check_arrays(own, {name: getattr(self, name) for name in self._state})
        check_range("counts", own["counts"], 0, 2**62)
        check_range("sums", own["sums"][:, COUNT], 0, 1e9)
        check_range("sums", own["sums"][:, TOTAL], -1e110, 1e110)
        self._losses.set_state(without_prefix("losses_", arrays))
        super().set_state(own)
