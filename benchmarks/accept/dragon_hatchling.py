"""Dragon hatchling: state and attention are one, cycles, and a noisy table beside one of counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accept.rows import Row, at_least, at_most
from learners.memories.dragon_hatchling import DragonHatchling

Floats = NDArray[np.float64]
PERIOD, ALPHABET, NOISE = 13, 16, 0.1
EVENTS = 20_000


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield equalities, then what was measured of sequences."""
    draws = [np.random.default_rng((seed, 11)) for seed in range(1, seeds + 1)]
    found = [published_layers(draw) for draw in draws]
    yield at_most("published layers: recurrence and attention differ by", 1e-10, found)
    found = [from_attention(draw, 200) for draw in draws]
    yield at_most("this learner: its state and attention over 200 events differ by", 1e-10, found)
    cycles = [cycle(draw) for draw in draws]
    statement = f"period {PERIOD}: right once each step has come, events 14 to 39"
    yield at_least(statement, 1.0, [each[0] for each in cycles])
    statement = f"period {PERIOD}, orders 1, 2, 4: the same"
    yield at_least(statement, 1.0, [each[1] for each in cycles])
    tables = [noisy_table(draw, EVENTS) for draw in draws]
    name = "second-order table of 16 symbols, 10 % noise"
    yield at_least(f"{name}: right, where .906 can be", 0.86, [each[0] for each in tables])
    yield at_most(f"{name}: bits a symbol", 1.2, [each[1] for each in tables])
    behind = [counted - right for right, _, counted in tables]
    yield at_most(f"{name}: behind a table of counts", 0.03, behind)


def symbols_of(learner: DragonHatchling, sequence: list[int]) -> tuple[list[bool], list[float]]:
    """Return for each symbol whether it was foretold, and how surprising it was."""
    right, bits = [], []
    for symbol in sequence:
        said = learner.step_one({"symbol": float(symbol)})
        right.append(said.label == symbol)
        bits.append(said.score or 0.0)
    return right, bits


def cycle(draw: np.random.Generator) -> tuple[float, float]:
    """Return the share foretold of the second and third round, of order 2 alone and by default."""
    period = draw.permutation(ALPHABET)[:PERIOD].tolist()
    found = []
    for orders in ((2,), (1, 2, 4)):
        right, _ = symbols_of(DragonHatchling(symbols=ALPHABET, orders=orders), 3 * period)
        found.append(float(np.mean(right[PERIOD + 1 :])))
    return found[0], found[1]


def noisy_table(draw: np.random.Generator, events: int) -> tuple[float, float, float]:
    """Return share right and bits of the learner, and the share right of counts (+ .1)."""
    table = draw.integers(0, ALPHABET, (ALPHABET, ALPHABET))
    sequence = [0, 1]
    while len(sequence) < events:
        noisy = draw.random() < NOISE
        drawn = int(draw.integers(ALPHABET))
        sequence.append(drawn if noisy else int(table[sequence[-2], sequence[-1]]))
    right, bits = symbols_of(DragonHatchling(symbols=ALPHABET + 1, orders=(2,)), sequence)
    counts = np.full((ALPHABET,) * 3, 0.1)
    counted = []
    for i in range(2, events):
        row = counts[sequence[i - 2], sequence[i - 1]]
        counted.append(int(row.argmax()) == sequence[i])
        row[sequence[i]] += 1.0
    return float(np.mean(right)), float(np.mean(bits)), float(np.mean(counted))


def from_attention(draw: np.random.Generator, events: int) -> float:
    """Return by how much the state's response differs from attention over all that was written.

    The response to key k is sum over s of pace_s (k . k_s) (v_s - y_s).
    """
    learner = DragonHatchling(symbols=ALPHABET, orders=(2,))
    memory = learner._memory
    for symbol in range(ALPHABET):
        learner.learn_one({"symbol": symbol})
    memory.S[:] = 0.0
    learner.follow_one({"symbol": 0})
    keys: list[Floats] = []
    errors: list[Floats] = []
    worst = 0.0
    for symbol in draw.integers(0, 4, events).tolist():
        key = np.zeros(learner.units)
        kept = int(memory.kept[0])
        key[memory.places[0, :kept]] = memory.keys[0, :kept]
        y = np.zeros(ALPHABET)
        for other, error in zip(keys, errors, strict=True):
            y += float(key @ other) * error
        worst = max(worst, float(np.abs(y - memory.y[0]).max()))
        pace = learner.rate * (1.0 - 0.8 * min(max(float(y.max()), 0.0), 1.0))
        keys.append(key)
        errors.append(pace * (np.eye(ALPHABET)[symbol] - y))
        learner.learn_one({"symbol": symbol})
    return worst


def published_layers(draw: np.random.Generator, T: int = 40, L: int = 3) -> float:
    """Return by how much two forms of the published layers differ, over T positions and L layers.

    Two heads of 64 neurons over 16 dimensions; the layers share their weights (appendix E of the
    paper, and its code).
    """
    heads, N, D = 2, 64, 16
    weights = {
        "encoder": draw.normal(0, 0.2, (heads, D, N)),
        "values": draw.normal(0, 0.2, (heads, D, N)),
        "decoder": draw.normal(0, 0.2, (heads * N, D)),
    }
    x = _norm(draw.normal(size=(T, D)))
    at_once, stepwise = x.copy(), x.copy()
    for _ in range(L):
        at_once = _layer(at_once, weights, _attention)
    states: list[Any] = [np.zeros((heads, N, D)) for _ in range(L)]
    for t in range(T):
        for layer in range(L):
            row = _layer(stepwise[t : t + 1], weights, _recurrence(states[layer], t))
            stepwise[t] = row[0]
    return float(np.abs(at_once - stepwise).max())


def _layer(x: Floats, weights: dict[str, Floats], attend: Any) -> Floats:
    gates = []
    for h in range(len(weights["encoder"])):
        keys = np.maximum(x @ weights["encoder"][h], 0.0)
        read = _norm(attend(h, keys, x))
        gates.append(keys * np.maximum(read @ weights["values"][h], 0.0))
    return _norm(x + _norm(np.concatenate(gates, axis=1) @ weights["decoder"]))


def _attention(h: int, keys: Floats, x: Floats) -> Floats:
    turned = np.array([_turn(key, t) for t, key in enumerate(keys)])
    return np.asarray(np.tril(turned @ turned.T, -1) @ x)


def _recurrence(state: Floats, t: int) -> Any:
    def attend(h: int, keys: Floats, x: Floats) -> Floats:
        turned = _turn(keys[0], t)
        read = turned @ state[h]
        state[h] += np.outer(turned, x[0])
        return np.asarray(read[None])

    return attend


def _turn(key: Floats, t: int) -> Floats:
    """Return a key turned by its position, in pairs (rotary embedding)."""
    pairs = np.arange(len(key)) // 2 * 2
    angle = t * 2.0 ** (-16.0 * pairs / len(key))
    partner = np.stack([-key[1::2], key[::2]], axis=1).ravel()
    return np.asarray(key * np.cos(angle) + partner * np.sin(angle))


def _norm(x: Floats) -> Floats:
    centered = x - x.mean(axis=-1, keepdims=True)
    return np.asarray(centered / np.sqrt((centered**2).mean(axis=-1, keepdims=True) + 1e-5))
