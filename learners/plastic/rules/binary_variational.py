"""Binary weights as distributions: what is certain moves little, and one bit a weight is left."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from learners.base import Arrays
from learners.kernels.random import next_u64
from learners.parameters import Layout, check_range, require
from learners.plastic.rule import Floats, Rule
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

HIGHEST = 5.0
STEEPEST = 10.0
FIRST, SECOND = 0.9, 0.99
MOST = 1e6
EMA = 0.05
COMPARE_EVERY = 10
TINY = 1e-12
FROZEN = 0.99
SAMPLE = 1_024
KINDS = ("field", "first", "second", "last")


class BinaryVariational(Rule):
    """Each weight is +1 or -1, with mean tanh(beta field); fields learn by sampled net inputs.

    A unit's net input has mean mu.a / sqrt(n) and variance (1 - mu^2).a^2 / n; one sample of it
    goes on. Gradients reach a field through 1 - mu^2, so that a weight that is certain moves
    little. `drag` times beta^2 (1 - mu^2) times the last step pulls back to what was known one
    update before (the prior of the released code, which needs no task). beta goes from 1 to 10 over
    `horizon` labels, after tanh: the released code knows the length of all tasks, a stream has to
    be told. Steps are Adam's. With `one_bit` answers are by the signs of fields alone.

    It is a rule and not an option, for its weights, its way forward and its steps are all its own.
    There are no biases. It fails once beta is high and what is to be learned changes: the network
    is then frozen for good, which `frozen_share` tells.

    References
    ----------
    Li, Huang et al. 2022, arXiv:2212.02846, and the released code for permuted MNIST.
    """

    name: ClassVar[str] = "binary_variational"
    rate = 0.01
    own_weights = True

    def __init__(self, horizon: int = 100_000, drag: float = 1.0, one_bit: bool = False) -> None:
        super().__init__()
        name = self.name
        require(1 <= horizon <= 10**12, f"{name}.horizon", horizon, "1..10^12")
        require(0.0 <= drag <= 1e6, f"{name}.drag", drag, "0..1e6")
        self.horizon, self.drag, self.one_bit = horizon, drag, one_bit

    def layout(self, shape: Shape) -> Layout:
        """Return fields, both moments of their gradients, last steps, and gauges."""
        found: Layout = {"gauges": ((2,), np.float64), "steps": ((1,), np.int64)}
        for layer, (inputs, units) in enumerate(_sizes(shape)):
            for kind in KINDS:
                found[f"{kind}_{layer}"] = ((inputs, units), np.float64)
        return found

    def scratch(self, shape: Shape) -> Layout:
        """Return the answer."""
        return {"out": ((shape.classes,), np.float64)}

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Draw fields, normal."""
        for layer in range(body.shape.layers):
            field = self.arrays[f"field_{layer}"]
            field[:] = np.clip(draw.standard_normal(field.shape), -HIGHEST, HIGHEST)

    @property
    def beta(self) -> float:
        """How steep means are, by how many labels there have been."""
        progress = min(1.0, int(self.arrays["steps"][0]) / self.horizon)
        return STEEPEST * math.tanh(0.1 + 2.0 * progress)

    def predict(self, body: Body, x: Floats) -> Floats:
        """Return the probabilities of mean weights, or of their signs."""
        self.work["out"][:] = self._answer(body, x, self.one_bit)
        return np.asarray(self.work["out"])

    def learn(self, body: Body, x: Floats, y: int) -> float:
        """Step the fields down the sampled loss; return the nats of the answer before."""
        said = body.look(x, learning=True)
        loss = -math.log(max(float(said[y]), 1e-300))
        if int(self.arrays["steps"][0]) % COMPARE_EVERY == 0:
            for gauge, signs in enumerate((False, True)):
                right = float(self._answer(body, x, signs).argmax() == y)
                self.arrays["gauges"][gauge] += EMA * (right - self.arrays["gauges"][gauge])
        self._step(body, *self._gradients(body, x, y))
        return loss

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return how sure weights are, how many for good, and what one bit a weight costs."""
        some = [
            field.ravel()[:: max(field.size // SAMPLE, 1)]
            for field in (self.arrays[f"field_{n}"] for n in range(body.shape.layers))
        ]
        mean = np.abs(np.tanh(self.beta * np.concatenate(some)))
        up = np.clip((1.0 + mean) / 2.0, TINY, 1.0 - TINY)
        entropy = -(up * np.log2(up) + (1.0 - up) * np.log2(1.0 - up))
        gauges = self.arrays["gauges"]
        return {
            "beta": self.beta,
            "certainty": float(mean.mean()),
            "frozen_share": float((mean > FROZEN).mean()),
            "entropy_bits": float(entropy.mean()),
            "one_bit_gap": float(gauges[0] - gauges[1]),
        }

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for fields or moments beyond their limits."""
        check_range(f"{self.name}_gauges", arrays["gauges"], 0.0, 1.0)
        check_range(f"{self.name}_steps", arrays["steps"], 0, 2**62)
        for name, array in arrays.items():
            if name.startswith("field"):
                check_range(f"{self.name}_{name}", array, -HIGHEST, HIGHEST)
            elif name.startswith(KINDS):
                least = 0.0 if name.startswith("second") else -MOST
                check_range(f"{self.name}_{name}", array, least, MOST)

    def _answer(self, body: Body, x: Floats, signs: bool) -> Floats:
        active, beta = x, self.beta
        for layer in range(body.shape.layers):
            field = self.arrays[f"field_{layer}"]
            mean = np.where(field < 0.0, -1.0, 1.0) if signs else np.tanh(beta * field)
            active = (active @ mean) / math.sqrt(len(field))
            if layer < body.shape.layers - 1:
                active = np.maximum(active, 0.0)
        return _softmax(active)

    def _gradients(self, body: Body, x: Floats, y: int) -> tuple[list[Floats], list[Floats]]:
        """Return the loss's derivative by fields for one sample of net inputs, and 1 - mu^2."""
        draw = np.random.default_rng(int(next_u64(body.rng)))
        beta, active = self.beta, x
        passed: list[tuple[Floats, Floats, Floats, Floats]] = []
        for layer in range(body.shape.layers):
            mean = np.tanh(beta * self.arrays[f"field_{layer}"])
            free = 1.0 - mean * mean
            n = len(mean)
            spread = np.sqrt((active * active) @ free / n) + TINY
            noise = draw.standard_normal(len(spread))
            net = (active @ mean) / math.sqrt(n) + spread * noise
            passed.append((active, mean, free, noise / spread))
            active = np.maximum(net, 0.0) if layer < body.shape.layers - 1 else net
        error = _softmax(active)
        error[y] -= 1.0
        found: list[Floats] = []
        for below, mean, free, pull in reversed(passed):
            n = len(mean)
            pulled = error * pull
            by_mean = np.outer(below, error) / math.sqrt(n)
            by_mean -= np.outer(below * below, pulled) * mean / n
            found.append(by_mean * (beta * free))
            error = (mean @ error) / math.sqrt(n) + below * (free @ pulled) / n
            error[below <= 0.0] = 0.0
        return found[::-1], [free for _, _, free, _ in passed]

    def _step(self, body: Body, gradients: list[Floats], frees: list[Floats]) -> None:
        beta = self.beta
        self.arrays["steps"] += 1
        t = int(self.arrays["steps"][0])
        for layer, (gradient, free) in enumerate(zip(gradients, frees, strict=True)):
            field, first, second, last = (self.arrays[f"{kind}_{layer}"] for kind in KINDS)
            if self.drag:
                gradient += (self.drag * beta * beta) * free * last
            np.clip(gradient, -1e3, 1e3, out=gradient)
            first += (1.0 - FIRST) * (gradient - first)
            second += (1.0 - SECOND) * (gradient * gradient - second)
            scale = np.sqrt(second / (1.0 - SECOND**t)) + 1e-8
            last[:] = field
            field -= body.rate / (1.0 - FIRST**t) * first / scale
            np.clip(field, -HIGHEST, HIGHEST, out=field)
            np.subtract(field, last, out=last)


def _softmax(net: Floats) -> Floats:
    out = np.exp(net - net.max())
    return np.asarray(out / out.sum())


def _sizes(shape: Shape) -> list[tuple[int, int]]:
    return list(zip(shape.sizes[:-1], shape.sizes[1:], strict=True))
