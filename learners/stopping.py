"""Early stopping: rules over the losses of blocks, and whether they fire together.

A block is an epoch, or a thousand labels of a stream. It has a training loss and a loss on canary
events, which are never learned from.

References
----------
Prechelt 1998, Early stopping - but when?, for GL, PQ, UP and progress. Vilares Ferro, Doval
Mosquera, Ribadas Pena and Darriba Bilbao 2023, Neural Networks 159, for the correlation over time
of rules that are unreliable alone.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays, Stateful, check_arrays
from learners.parameters import check_range, require

ROOM = 64
"""Blocks that are remembered."""
LARGEST = 1e100
"""No loss counts for more."""
FLOOR = 1e-3
"""The best canary loss counts as at least this, or a loss near zero would rise without end."""
RULES = ("gl", "pq", "up")
PAIRS = ((0, 1), (0, 2), (1, 2))
TINY = 1e-12

BLOCKS = 0


class BlockLosses(Stateful):
    """The losses of the last 64 blocks, which rules fired at each, and the best canary loss.

    Parameters
    ----------
    strip
        Blocks over which progress is measured, and which UP compares across.
    window, lag
        Blocks over which firing is correlated, and by how many of them one rule may lead another.
    gl, pq
        Per cent above the best canary loss, and quotient of that and progress, at which the two
        rules fire.
    """

    _state = ("losses", "fired", "best", "counts")

    def __init__(
        self, strip: int = 5, window: int = 10, lag: int = 4, gl: float = 2.0, pq: float = 0.5
    ) -> None:
        require(2 <= strip < ROOM, "strip", strip, f"2..{ROOM - 1}")
        require(3 <= window <= ROOM, "window", window, f"3..{ROOM}")
        require(0 <= lag <= window - 2, "lag", lag, f"0..window - 2 ({window - 2})")
        require(0 < gl <= 1e6, "gl", gl, "in (0, 1000000]")
        require(0 < pq <= 1e6, "pq", pq, "in (0, 1000000]")
        self.strip = strip
        self.window = window
        self.lag = lag
        self.gl = gl
        self.pq = pq
        self.losses = np.zeros((2, ROOM))
        """[2, 64] training and canary loss, a ring."""
        self.fired = np.zeros((len(RULES), ROOM), np.uint8)
        """[3, 64] whether GL, PQ and UP fired, a ring."""
        self.best = np.full(1, math.inf)
        self.counts = np.zeros(1, np.int64)

    @property
    def blocks(self) -> int:
        """How many blocks there have been."""
        return int(self.counts[BLOCKS])

    def add(self, training: float, canary: float) -> None:
        """Take in the losses of one more block."""
        at = self.blocks % ROOM
        self.losses[:, at] = np.clip((training, canary), -LARGEST, LARGEST)
        self.best[0] = min(float(self.best[0]), float(self.losses[1, at]))
        self.counts[BLOCKS] += 1
        quotient = self.quotient()
        self.fired[:, at] = (
            self.generalization_loss() > self.gl,
            quotient is not None and quotient > self.pq,
            self.rises(1),
        )

    def clear(self) -> None:
        """Forget every block."""
        self.losses[:] = 0.0
        self.fired[:] = 0
        self.best[0] = math.inf
        self.counts[:] = 0

    def training(self, last: int) -> NDArray[np.float64]:
        """Return the last so many training losses, oldest first."""
        return self._last(self.losses[0], last)

    def canary(self, last: int) -> NDArray[np.float64]:
        """Return the last so many canary losses, oldest first."""
        return self._last(self.losses[1], last)

    def generalization_loss(self) -> float:
        """Return GL, by how many per cent the canary loss is above its best."""
        if not self.blocks:
            return 0.0
        best = max(float(self.best[0]), FLOOR)
        return max(100.0 * (float(self.canary(1)[0]) / best - 1.0), 0.0)

    def progress(self) -> float | None:
        """Return P_k, by how many per mille the mean training loss of a strip is above its least.

        It is `None` before there is a strip.
        """
        if self.blocks < self.strip:
            return None
        strip = self.training(self.strip)
        return 1000.0 * max(float(strip.mean()) / max(float(strip.min()), TINY) - 1.0, 0.0)

    def quotient(self) -> float | None:
        """Return PQ, the generalization loss over progress; `None` before there is a strip."""
        progress = self.progress()
        if progress is None:
            return None
        return min(self.generalization_loss() / max(progress, TINY), LARGEST)

    def rises(self, successive: int) -> bool:
        """Return UP_s, whether the canary loss rose over each of the last `successive` strips."""
        steps = self.strip * successive
        if self.blocks <= steps or steps >= ROOM:
            return False
        ends = self.canary(steps + 1)[:: self.strip]
        return bool(np.all(np.diff(ends) > 0.0))

    def correlation(self) -> float:
        """Return the largest correlation in time of two rules that fire together, in [0, 1].

        For each pair and each lead of one over the other, the phi coefficient of whether they
        fired, if they did so together oftener than by chance; two that always fire count as 1.
        The largest of so many is liberal: alone it is no reason to stop.
        """
        rows = self._last(self.fired, self.window)
        n = rows.shape[1]
        found = 0.0
        for i, j in PAIRS:
            for lead in range(min(self.lag, n - 1) + 1):
                found = max(found, phi(rows[i, lead:], rows[j, : n - lead]))
                found = max(found, phi(rows[j, lead:], rows[i, : n - lead]))
        return found

    def signals(self) -> dict[str, float]:
        """Return the last block's losses, what the rules go by, and which fired."""
        last = self.blocks > 0
        training = float(self.training(1)[0]) if last else 0.0
        canary = float(self.canary(1)[0]) if last else 0.0
        fired = self._last(self.fired, 1)[:, 0] if last else np.zeros(len(RULES))
        return {
            "train_loss": training,
            "canary_loss": canary,
            "gl": self.generalization_loss(),
            "pq": self.quotient() or 0.0,
            "progress": self.progress() or 0.0,
            "coi_corr": self.correlation(),
        } | {f"coi_fired_{rule}": float(did) for rule, did in zip(RULES, fired, strict=True)}

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        check_arrays(arrays, {name: getattr(self, name) for name in self._state})
        check_range("losses", arrays["losses"], -LARGEST, LARGEST)
        check_range("fired", arrays["fired"], 0, 1)
        check_range("best", arrays["best"], -LARGEST, math.inf)
        check_range("counts", arrays["counts"], 0, 2**62)
        super().set_state(arrays)

    def _last(self, ring: NDArray[np.generic], last: int) -> NDArray[np.float64]:
        last = min(last, self.blocks, ROOM)
        places = np.arange(self.blocks - last, self.blocks) % ROOM
        return ring[..., places].astype(np.float64)


def phi(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the correlation of two rows of 0 and 1 where they are 1 together oftener than chance.

    It is 0 where they are not, or where one is never 1; of two that are always 1 it is 1.
    """
    n = a.size
    if n < 3:
        return 0.0
    # In whole numbers, so that independence is exact.
    p, q, both = int(a.sum()), int(b.sum()), int(a @ b)
    if both == n:
        return 1.0
    if n * both <= p * q:
        return 0.0
    return (n * both - p * q) / math.sqrt(p * (n - p) * q * (n - q))
