"""The slow, obvious twin of structured knowledge: whole matrices, as the papers write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sigmoid(z: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-z)))


def entropy(z: Floats, D: Floats, D_old: Floats) -> float:
    return float(-np.sum(z * (D - D_old)) / np.log(2))


def cosine(a: Floats, b: Floats) -> float:
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.sum(a * b)) / size if size else 0.0


def gradient(z: Floats, D: Floats, D_old: Floats) -> Floats:
    return np.asarray(-(z * D * (1 - D) + D - D_old) / np.log(2))


@dataclass
class Step:
    """One step of the batch run, a row or matrix a layer."""

    entropy: list[float]
    alignment: list[float]
    flow: list[float]


def batch_run(
    x: Floats, W: Sequence[Floats], b: Sequence[Floats], rate: float, steps: int
) -> list[Step]:
    """A chain of layers learns from the same inputs again and again."""
    W, b = [each.copy() for each in W], [each.copy() for each in b]
    said = []
    Z: list[Floats] = []
    D: list[Floats] = []
    for k in range(steps):
        Z_old, D_old = Z, D
        Z, D, below = [], [], x
        for W_l, b_l in zip(W, b, strict=True):
            Z.append(below @ W_l + b_l)
            D.append(sigmoid(Z[-1]))
            below = D[-1]
        if k == 0:
            continue
        layers = range(len(W))
        said.append(
            Step(
                [entropy(Z[i], D[i], D_old[i]) for i in layers],
                [cosine(Z[i], D[i] - D_old[i]) for i in layers],
                [float(np.linalg.norm(Z[i] - Z_old[i])) / rate for i in layers],
            )
        )
        for i in layers:
            g = gradient(Z[i], D[i], D_old[i])
            W[i] -= rate * (x if i == 0 else D_old[i - 1]).T @ g / len(x)
            b[i] -= rate * g.mean(0)
    return said


def events_run(
    xs: Sequence[Floats], W: Floats, rate: float, horizon: float, decay: float, clip: float
) -> list[dict[str, float]]:
    """One layer sees one event after another."""
    W, b = W.copy(), np.zeros(W.shape[1])
    said: list[dict[str, float]] = []
    steps, entropies = 0, [0.0]
    z_before = z_after = b
    for n, x in enumerate(xs):
        z = np.clip(x @ W + b, -clip, clip)
        z_new = z
        coming = event = 0.0
        if n:
            coming = entropy(z, sigmoid(z), sigmoid(z_after))
            event = entropy(z, sigmoid(z), sigmoid(z_before))
        if n and steps * rate < horizon:
            g = gradient(z, sigmoid(z), sigmoid(z_before))
            W = (1 - decay) * W - rate * np.outer(x, g)
            b = b - rate * g
            z_new = np.clip(x @ W + b, -clip, clip)
            steps += 1
        off = abs(event - entropies[-1])
        said.append(
            {
                "entropy_step": entropy(z_new, sigmoid(z_new), sigmoid(z)),
                "input_entropy": coming,
                "alignment": cosine(z_new, sigmoid(z_new) - sigmoid(z)),
                "flow": float(np.linalg.norm(z_new - z)) / rate,
                "structural_probability": np.exp(-off / max(abs(event), 1e-12)) if n > 1 else 1.0,
                "norm": float(np.linalg.norm(z)),
                "elapsed": steps * rate,
                "saturated_share": float(np.mean(np.abs(z) >= 6)),
            }
        )
        entropies.append(event)
        z_before, z_after = z, z_new
    return said
