"""Replicas of one learner that see each event a different number of times, and draw together."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from learners.base import (
    Arrays,
    Features,
    Forecast,
    Learner,
    Prediction,
    StateError,
    Target,
    class_name,
)
from learners.classes import Classes
from learners.homeostatic import Homeostatic
from learners.kernels.coupling import couple
from learners.kernels.random import hash32
from learners.parameters import (
    Layout,
    check_range,
    check_state_arrays,
    require,
    require_state,
    with_prefix,
    without_prefix,
)
from learners.places import Places
from learners.plastic.network import PlasticNetwork

REPLICATED: Mapping[str, type[Learner]] = {
    "homeostatic": Homeostatic,
    "plastic_network": PlasticNetwork,
}
"""Learners whose weights can be averaged."""

Topology = Literal["all", "ring", "star"]
MOST_NAMES, NAME_BYTES, MOST_LABELS = 65_536, 1 << 20, 4_096
MOST_SPREAD = 1e200
LEAST = 1e-6
"""With a coupling of less, replicas are as good as alone."""
RATE = 0.01
"""Of the running means that the signals are."""
CHANCES = (0.36788, 0.73576, 0.91970, 0.98101, 0.99634, 0.99941)
"""That Poisson's variable of mean 1 is at most 0, 1, ..."""


class CoupledEnsemble(Learner):
    """N replicas of a learner, each on its own sample of the events, coupled at a chosen strength.

    Each replica learns an event as often as a Poisson variable of mean 1 says (online bagging).
    Then each moves towards its neighbors, w_i <- w_i + coupling sum_j A_ij (w_j - w_i). What is
    said is the mean of what the replicas say; how far they disagree is how sure they are.

    Coupling makes each replica better and keeps replicas of a curved loss in one basin, where their
    weights may be averaged; on a quadratic loss it does nothing for their mean, and too much of it
    leaves no disagreement to read anything from. What all replicas get wrong, since they see the
    same stream, no number of them averages out. It costs as much as its replicas together.

    Parameters
    ----------
    learner
        The kind of the replicas and its parameters. All begin alike.
    replicas
        How many.
    coupling
        Strength an event: 0 is none, and the largest is one over the largest eigenvalue of the
        Laplacian of the graph (1 for `all`, 1/4 for `ring`, 1/replicas for `star`).
    topology
        Who is whose neighbor: `all` (with weights of 1/replicas), `ring`, or `star`.
    seed
        Of how often each replica learns each event.

    References
    ----------
    Bouvrie and Slotine 2011, Synchronization and redundancy, Neural Computation 23; Oza and Russell
    2001, Online bagging and boosting, section 2, for the Poisson samples. The closed form of
    `expected_disagreement`, for any graph, is our own; see `docs/coupled_ensemble.md`.
    """

    learns_labels = True
    nested: ClassVar[Mapping[str, Mapping[str, type[Learner]]]] = {"learner": REPLICATED}

    def __init__(
        self,
        learner: Mapping[str, Any] | None = None,
        replicas: int = 8,
        coupling: float = 0.05,
        topology: Topology = "all",
        seed: int = 1,
    ) -> None:
        require(2 <= replicas <= 64, "replicas", replicas, "2..64")
        require(topology in get_args(Topology), "topology", topology, "all | ring | star")
        require(0 <= seed < 2**63, "seed", seed, "0..2**63-1")
        eigenvalues = np.linalg.eigvalsh(laplacian(topology, replicas))[1:]
        most = 1.0 / float(eigenvalues[-1])
        want = f"0, or {LEAST:g} to {most:.6g} for {replicas} replicas and {topology!r}"
        within = coupling == 0.0 or LEAST <= coupling <= most * (1 + 1e-12)
        require(within, "coupling", coupling, want)
        self.learner, self.replicas, self.coupling = learner, replicas, coupling
        self.topology, self.seed = topology, seed
        self._cls, self._params = _chosen(learner)
        self._members = self._build()
        averaged = bool(self._members[0].weights())
        require(averaged, "learner", learner, "one that learns by changing its weights alone")
        self._mixing = np.eye(replicas) - coupling * laplacian(topology, replicas)
        self._gain = _gain(1.0 - coupling * eigenvalues) if coupling else None
        self._weights = [np.stack(each) for each in self._parts(self._members)]
        self._before = [each.copy() for each in self._weights]
        self._column, self._spreads = np.zeros(replicas), np.zeros(2)
        self._names = Places(MOST_NAMES, NAME_BYTES)
        self._labels = Classes(MOST_LABELS)
        self._events = np.zeros(1, np.int64)
        self._means = np.zeros(2)  # of the spreads of steps and of weights

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of all replicas, of their weights once more twice, and of names."""
        kind, own = _chosen(params.get("learner"))
        replicas = int(params.get("replicas", 8))
        tables = NAME_BYTES + Classes.memory_bytes(MOST_LABELS)
        return 3 * replicas * kind.memory_bytes(**own) + tables + 16 * replicas**2

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return the mean of what the replicas say; raises as they do."""
        return self._mean([each.predict(x, t) for each in self._members])

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Have each replica learn as often as it is to, and couple them.

        Raises `InvalidEvent` before anything changed, as the replicas do.
        """
        times = self._times(x, y)
        if not any(times):
            self._members[0].predict(x, t)  # Which says if it cannot be learned.
        for member, n in zip(self._members, times, strict=True):
            for _ in range(n):
                member.learn_one(x, y, t)
        self._couple(x, y, by_all=all(times))

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        """Learn from a label that came after its event, each replica as often as it is to."""
        times = self._times(x, y)
        if not any(times):
            self._members[0].predict(x, t)
        for member, n in zip(self._members, times, strict=True):
            for _ in range(n):
                member.learn_label(x, y, t)
        self._couple(x, y, by_all=all(times))

    def follow_one(self, x: Features, t: float | None = None) -> None:
        """Move all replicas on."""
        for member in self._members:
            member.follow_one(x, t)

    def forecast(self, horizon: int) -> Sequence[Forecast]:
        """Return the mean of the replicas' forecasts and of their bounds."""
        said = [each.forecast(horizon) for each in self._members]
        return [
            Forecast(
                each[0].horizon,
                statistics.fmean(f.value for f in each),
                statistics.fmean(f.lower for f in each),
                statistics.fmean(f.upper for f in each),
            )
            for each in zip(*said, strict=False)
        ]

    def signals(self) -> Mapping[str, float]:
        """Return how far weights lie apart, and how far they should by the closed form."""
        steps, spread = self._means.tolist()
        known = {"disagreement": spread, "steps_spread": steps}
        if self._gain is not None:
            known["expected_disagreement"] = self._gain * steps
        first = self._members[0].signals()
        return known | {f"replica_{name}": value for name, value in first.items()}

    def get_state(self) -> Arrays:
        """Return the replicas' states, under `r0_`, `r1_`, ..., and what is known of events."""
        own: Arrays = {"events": self._events.copy(), "means": self._means.copy()}
        own |= {"names": self._names.to_array()} | self._labels.get_state()
        for i, member in enumerate(self._members):
            own |= with_prefix(f"r{i}_", member.get_state())
        return own

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        own = {name: arrays[name] for name in _OWN if name in arrays}
        check_state_arrays(own, _OWN)
        check_range("events", own["events"], 0, 2**53)
        check_range("means", own["means"], 0.0, MOST_SPREAD)
        self._names.check_rows(own)
        labels, fresh = Classes(MOST_LABELS), self._build()
        labels.set_state({"labels": own["labels"]})
        left = len(arrays) - len(own)
        for i, member in enumerate(fresh):
            theirs = without_prefix(f"r{i}_", arrays)
            member.set_state(theirs)
            left -= len(theirs)
        require_state(left == 0, "arrays", f"got {left} beside what is known")
        _check_alike(fresh)
        self._members = fresh
        self._names.restore(own["names"])
        self._labels = labels
        self._events[:], self._means[:] = own["events"], own["means"]
        self._fill(self._before)

    def held_bytes(self) -> int:
        """Return the bytes of all replicas, and of their weights once more twice."""
        held = sum(member.held_bytes() for member in self._members)
        return held + 2 * sum(each.nbytes for each in self._weights)

    def _build(self) -> list[Learner]:
        return [self._cls(**self._params) for _ in range(self.replicas)]

    @staticmethod
    def _parts(members: Sequence[Learner]) -> list[tuple[NDArray[np.float64], ...]]:
        """Return, for each array of weights, that of each replica as one row."""
        rows = [[part.reshape(-1) for part in each.weights()] for each in members]
        return list(zip(*rows, strict=True))

    def _fill(self, stacks: Sequence[NDArray[np.float64]]) -> None:
        for stack, parts in zip(stacks, self._parts(self._members), strict=True):
            np.stack(parts, out=stack)

    def _times(self, x: Features, y: Target) -> list[int]:
        """Return how often each replica is to learn an event: all of them what is new.

        Names and labels have their places in the order in which they come, and replicas whose
        places differ could not be averaged. Raises `InvalidEvent` for a label that is none.
        """
        if y is not None:
            self._labels.check(y)
        new = y is not None and class_name(y) not in self._labels
        new = new or any(name not in self._names.of for name in _names(x))
        at = int(self._events[0]) * self.replicas
        chances = [int(hash32(at + i, self.seed)) / 2**32 for i in range(self.replicas)]
        return [max(int(new), sum(u > chance for chance in CHANCES)) for u in chances]

    def _couple(self, x: Features, y: Target, by_all: bool) -> None:
        """Count the event in, and mix the replicas' weights.

        Names are known once all replicas have learned from them, which takes a label.
        """
        self._events += 1
        if y is not None:
            self._labels.index(y)
            for name in _names(x) if by_all else ():
                self._names.take(name)
        self._fill(self._weights)
        total = sum(each.size for each in self._weights)
        steps = spread = 0.0
        for stack, before in zip(self._weights, self._before, strict=True):
            couple(stack, before, self._mixing, self._column, self._spreads)
            steps += self._spreads[0] * stack.size / total
            spread += self._spreads[1] * stack.size / total
        for before, parts in zip(self._before, self._parts(self._members), strict=True):
            for row, part in zip(before, parts, strict=True):
                part[:] = row
        for i, value in enumerate((min(steps, MOST_SPREAD), min(spread, MOST_SPREAD))):
            self._means[i] += max(RATE, 1.0 / int(self._events[0])) * (value - self._means[i])

    def _mean(self, said: Sequence[Prediction]) -> Prediction:
        scores = [each.score for each in said if each.score is not None]
        score = statistics.fmean(scores) if len(scores) == len(said) else None
        expected = _mean_of([each.expected for each in said])
        proba = _mean_of([each.proba for each in said])
        if proba is None:
            return Prediction(score, expected=expected)
        label = self._labels.named(max(proba, key=proba.__getitem__))
        return Prediction(score, label, proba, expected=expected)


def laplacian(topology: str, n: int) -> NDArray[np.float64]:
    """Return the Laplacian of a graph of n replicas, float64[n, n]."""
    A = np.zeros((n, n))
    if topology == "all":
        A[:] = 1.0 / n
    elif topology == "ring":
        for i in range(n):
            A[i, (i + 1) % n] = A[(i + 1) % n, i] = 1.0
    else:
        A[0, 1:] = A[1:, 0] = 1.0
    np.fill_diagonal(A, 0.0)
    return np.diag(A.sum(1)) - A


def _gain(factors: NDArray[np.floating[Any]]) -> float:
    """Return by how much the weights of coupled replicas spread for each unit that steps do.

    A mode that a step multiplies by f keeps f^2 / (1 - f^2) of the variance that each step adds,
    and the modes of a graph share what is added evenly. Steps that agree over time, as those of a
    replica whose counts differ for good do, spread weights further; a loss that curves, less.
    """
    return float(np.mean(factors**2 / (1.0 - factors**2)))


def _chosen(learner: Mapping[str, Any] | None) -> tuple[type[Learner], dict[str, Any]]:
    """Return class and parameters of the replicas."""
    params = dict(learner or {"kind": "homeostatic"})
    kind = params.pop("kind", None)
    require(kind in REPLICATED, "learner", kind, " | ".join(REPLICATED))
    return REPLICATED[kind], params


def _check_alike(members: Sequence[Learner]) -> None:
    """Raise `StateError` unless names and labels have the same places in all replicas."""
    states = [
        {name: a.tobytes() for name, a in member.get_state().items() if a.dtype == np.uint8}
        for member in members
    ]
    if any(state != states[0] for state in states):
        raise StateError("replicas: got other names or labels, expected those of the first")


def _names(x: Features) -> list[str]:
    """Return the names under which an event's features have their places."""
    return [
        f"{name}={value}" if isinstance(value, str) else name
        for name, value in x.items()
        if value is not None
    ]


def _mean_of(said: Sequence[Mapping[str, float] | None]) -> dict[str, float] | None:
    """Return the mean of each name's numbers, or nothing if a replica says nothing."""
    found = [each for each in said if each]
    if len(found) < len(said):
        return None
    return {name: statistics.fmean(each[name] for each in found) for name in found[0]}


_OWN: Layout = {
    "events": ((1,), np.int64),
    "means": ((2,), np.float64),
    "names": ((-1,), np.uint8),
    "labels": ((-1,), np.uint8),
}
