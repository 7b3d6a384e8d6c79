"""Blocks that denoise a label one after another, none of which hears of another's error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from learners.base import Arrays
from learners.kernels import noprop as kernels
from learners.parameters import Layout, check_range, require
from learners.plastic.body import MOST
from learners.plastic.rule import Floats, Rule
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

EMA = 0.01
LEAST, GREATEST = 0.02, 0.98
"""Bounds of the signal's share: a block that is told the label would not look at the event."""


class Noprop(Rule):
    """Each block sees the event and a noisy label, and learns to tell the label, by itself.

    Block t is taught from sqrt(a_t) of the label and sqrt(1 - a_t) of noise, a_t rising as
    sin^2(pi t / 2 blocks); an answer begins with nothing and goes from block to block, each mixing
    its own into what the next is given, as the posterior of the noise has it. No gradient passes
    between blocks. Our form for single events: cross-entropy without the published weights,
    classes as they are for embeddings, no noise in answers, so that they are a function of the
    event. Its first block alone is already a classifier: `gain` says what the others add.

    With `blocks` times the weights and cost of `sgd` it is as good on digits seen several times,
    and behind on images seen once.

    References
    ----------
    Li, Teh and Pascanu 2025, NoProp.
    """

    name: ClassVar[str] = "noprop"
    rate = 0.05
    unit_inputs = True
    own_weights = True
    least_hidden = 1
    most_hidden = 1

    def __init__(self, blocks: int = 5) -> None:
        super().__init__()
        require(2 <= blocks <= 100, "noprop.blocks", blocks, "2..100")
        self.blocks = blocks

    def layout(self, shape: Shape) -> Layout:
        """Return every block's weights, and running losses."""
        hidden = shape.hidden[0]
        return {
            "inward": ((self.blocks, shape.inputs + shape.classes, hidden), np.float64),
            "offsets": ((self.blocks, hidden), np.float64),
            "outward": ((self.blocks, hidden + 1, shape.classes), np.float64),
            "losses": ((self.blocks,), np.float64),
            "agreement": ((1,), np.float64),
        }

    def scratch(self, shape: Shape) -> Layout:
        """Return the course of labels, and what a block makes of one."""
        return {
            "pace": ((self.blocks, 4), np.float64),
            "given": ((shape.classes,), np.float64),
            "h": ((shape.hidden[0],), np.float64),
            "out": ((shape.classes,), np.float64),
            "said": ((self.blocks, shape.classes), np.float64),
            "lost": ((self.blocks,), np.float64),
        }

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Draw weights, and set the course of labels.

        Those from inputs have variance 4 / inputs, since inputs lie in [0, 1], those from labels
        begin at zero, so that noise has no say until it has been learned from.
        """
        inward, outward = self.arrays["inward"], self.arrays["outward"]
        n, hidden = body.shape.inputs, body.shape.hidden[0]
        inward[:, :n] = draw.standard_normal(inward[:, :n].shape) * math.sqrt(4.0 / n)
        outward[:, :hidden] = draw.standard_normal(outward[:, :hidden].shape)
        outward *= math.sqrt(2.0 / hidden)
        self.work["pace"][:] = _pace(self.blocks)

    def predict(self, body: Body, x: Floats) -> Floats:
        """Return the last block's probabilities."""
        work = self.work
        kernels.answer(*self._weights(), x, work["given"], work["h"], work["said"])
        return np.asarray(work["said"][-1])

    def learn(self, body: Body, x: Floats, y: int) -> float:
        """Teach each block; return the last one's nats before, of its answer."""
        loss = -math.log(max(float(body.look(x, learning=True)[y]), 1e-300))
        said = self.work["said"]
        agrees = float(said[-1].argmax() == said[-2].argmax())
        self.arrays["agreement"] += EMA * (agrees - self.arrays["agreement"])
        work, lost = self.work, self.work["lost"]
        kernels.teach(
            *self._weights(),
            body.rng,
            x,
            y,
            body.rate,
            MOST,
            work["given"],
            work["h"],
            work["out"],
            lost,
        )
        self.arrays["losses"] += EMA * (np.minimum(lost, 1e3) - self.arrays["losses"])
        return loss

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return running losses of the first and last block in teaching, and their agreement."""
        losses = self.arrays["losses"]
        return {
            "first_loss": float(losses[0]),
            "last_loss": float(losses[-1]),
            "gain": float(losses[0] - losses[-1]),
            "agreement": float(self.arrays["agreement"][0]),
        }

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for weights beyond their limit, or losses below zero."""
        for name in ("inward", "offsets", "outward"):
            check_range(f"noprop_{name}", arrays[name], -MOST, MOST)
        check_range("noprop_losses", arrays["losses"], 0.0, 1e3)
        check_range("noprop_agreement", arrays["agreement"], 0.0, 1.0)

    def _weights(self) -> tuple[Floats, Floats, Floats, Floats]:
        arrays = self.arrays
        return arrays["inward"], arrays["offsets"], arrays["outward"], self.work["pace"]


def _pace(blocks: int) -> Floats:
    """Return signal and noise of what each block is given, and how its answer is mixed in."""
    t = np.arange(blocks + 1)
    share = np.clip(np.sin(np.pi * t / (2 * blocks)) ** 2, LEAST, GREATEST)
    before, after = share[:-1], share[1:]
    kept = before / after
    of_answer = np.sqrt(after) * (1.0 - kept) / (1.0 - before)
    of_given = np.sqrt(kept) * (1.0 - after) / (1.0 - before)
    return np.stack([np.sqrt(before), np.sqrt(1.0 - before), of_answer, of_given], axis=1)
