"""Two nets that run past each other, each layer of which learns from what it meets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from learners.base import Arrays
from learners.kernels import counter_current as kernels
from learners.kernels import plastic
from learners.parameters import Layout, check_range, require
from learners.plastic.body import MOST
from learners.plastic.rule import FactorRule, Floats
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

LOSS, ALIGNMENT, MARGIN, FORWARD_CLIPS, FEEDBACK_CLIPS = range(5)
NAME = "counter_current"
BACK = 0.25
ALIGN_EVERY = 100
EMA = 0.01


class CounterCurrent(FactorRule):
    """A forward net from inputs, and a feedback net from the classes, that meet at each layer.

    Each hidden layer learns that what it says should have an inner product of 1 with what the
    right class sends down, and 0 with what others send; the feedback net learns the same from its
    side. No error crosses a layer, no weight is used both ways. After the released code, whose
    loss of classification this is: matching what layers say, as the paper's figure has it,
    collapses. There are no biases. Each net's gradient is clipped to a norm of `clip`, without
    which it does not work.

    It costs three passes for each class on top; with more than some hundred classes that is most
    of it. It begins more slowly than `sgd`.

    References
    ----------
    Kao and Hariharan 2024, Counter-current learning, NeurIPS.
    """

    name: ClassVar[str] = NAME
    rate = 0.15
    relu = False
    least_hidden = 1

    def __init__(self, clip: float = 1.0) -> None:
        super().__init__()
        require(1e-3 <= clip <= 1e3, f"{NAME}.clip", clip, "0.001..1000")
        self.clip = clip

    def layout(self, shape: Shape) -> Layout:
        """Return the feedback net and gauges."""
        return {"back": ((_back(shape),), np.float64), "gauges": ((5,), np.float64)}

    def scratch(self, shape: Shape) -> Layout:
        """Return what each class sends to each hidden unit, and the feedback net's gradient."""
        return {
            "sent": ((shape.classes, shape.hidden_units), np.float64),
            "row": ((shape.hidden_units,), np.float64),
            "gradient": ((_back(shape),), np.float64),
        }

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Draw the forward net with variance 1 / inputs, the feedback net a quarter as large.

        Of larger feedback both nets were seen to learn less.
        """
        super().begin(body, draw)
        body.theta *= math.sqrt(0.5)
        body.bias[:] = 0.0
        at = 0
        for lower, units in body.layout[1:, :2].tolist():
            size = BACK / math.sqrt(units)
            self.arrays["back"][at : at + lower * units] = size * draw.standard_normal(
                lower * units
            )
            at += lower * units
        self.restored(body)

    def restored(self, body: Body) -> None:
        """Work out what classes send; it changes only as the feedback net learns."""
        kernels.send(self.arrays["back"], body.layout, self.work["sent"])

    def factors(self, body: Body, x: Floats, y: int) -> float:
        """Fill in the forward net's step, take that of the feedback net; return nats."""
        out = body.look(x, learning=True)
        loss = -math.log(max(float(out[y]), 1e-300))
        body.sources(x)
        sent, gauges = self.work["sent"], self.arrays["gauges"]
        self._note_margin(body, y)
        worst = kernels.local_errors(
            body.layout, body.acts, sent, y, body.post[0], self.work["row"], self.work["gradient"]
        )
        gauges[LOSS] += EMA * (min(worst, 1e3) - gauges[LOSS])
        norm = self._clip(body)
        gauges[FORWARD_CLIPS] += EMA * (float(norm > self.clip) - gauges[FORWARD_CLIPS])
        clipped = kernels.descend(
            self.arrays["back"], self.work["gradient"], body.rate, self.clip, MOST
        )
        gauges[FEEDBACK_CLIPS] += EMA * (float(clipped) - gauges[FEEDBACK_CLIPS])
        if body.labels % ALIGN_EVERY == 1:
            gauges[ALIGNMENT] = self._alignment(body)
        self.restored(body)
        return loss

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return running local loss, alignment of both nets, margin of the class, and clips."""
        names = ("local_loss", "alignment", "margin", "forward_clips", "feedback_clips")
        return dict(zip(names, self.arrays["gauges"].tolist(), strict=True))

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for weights beyond their limit."""
        check_range(f"{NAME}_back", arrays["back"], -MOST, MOST)
        check_range(f"{NAME}_gauges", arrays["gauges"], -1e6, 1e6)

    def _clip(self, body: Body) -> float:
        """Shorten the forward net's step to `clip`; return the norm it had."""
        found = np.zeros(2)
        plastic.measure(body.layout, body.pre, body.post, body.bias, found)
        norm = math.sqrt(float(found[0]))
        if norm > self.clip:
            body.post *= self.clip / norm
        return norm

    def _note_margin(self, body: Body, y: int) -> None:
        """The score of the right class above the best of others, at the last hidden layer."""
        below, lower = int(body.layout[-1, 4]), int(body.layout[-1, 0])
        here = slice(below, below + lower)
        scores = self.work["sent"][:, here] @ body.acts[here]
        margin = float(scores[y] - np.delete(scores, y).max())
        gauges = self.arrays["gauges"]
        gauges[MARGIN] += EMA * (min(max(margin, -1e3), 1e3) - gauges[MARGIN])

    def _alignment(self, body: Body) -> float:
        """Return the cosine between the readout and the feedback net's matrix beside it."""
        lower, units, weights = body.layout[-1, :3].tolist()
        forward = body.theta[weights : weights + lower * units].reshape(lower, units)
        back = self.arrays["back"][-lower * units :].reshape(units, lower)
        norms = float(np.linalg.norm(forward) * np.linalg.norm(back))
        return float(np.sum(forward * back.T)) / norms if norms > 0.0 else 0.0


def _back(shape: Shape) -> int:
    """Return how many weights the feedback net has."""
    sizes = shape.sizes[1:]
    return sum(a * b for a, b in itertools.pairwise(sizes))
