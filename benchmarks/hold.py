"""A long fault, with learning held and without: how long it is alarmed, and the hour after it.

A daily series of a value every five minutes, made up: two levels a day and noise that remembers.
After three weeks of it a fault lasts two days, of level, of pattern or of nothing but one value;
then it is as it was. Every stream sees the same events.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from service.schemas import Event, StreamSpec
from service.stream import Stream

STEP, DAY = 300.0, 288
BEFORE, LONG, AFTER = 21 * DAY, 2 * DAY, 2 * DAY
HOUR = 12
FAULTS = ("level", "pattern", "stuck")
LEARNERS: dict[str, dict[str, Any]] = {
    "sequence_memory": {"kind": "sequence_memory"},
    "rolling_zscore": {"kind": "rolling_zscore", "window": DAY},
    "HalfSpaceTrees": {
        "kind": "river",
        "estimator": "anomaly.HalfSpaceTrees",
        "preprocessing": [{"estimator": "preprocessing.MinMaxScaler"}],
    },
}
SCORERS: dict[str, dict[str, Any]] = {
    "novelty": {"kind": "novelty"},
    "anomaly_likelihood": {"kind": "anomaly_likelihood", "learning_period": 2 * DAY},
}
PAIRS = [*((learner, "novelty") for learner in LEARNERS), ("sequence_memory", "anomaly_likelihood")]
HOLD: dict[str, Any] = {"hold": {}}


def series(seed: int, fault: str, before: int = BEFORE, long: int = LONG) -> NDArray[np.float64]:
    """Return the values of all three parts."""
    rng = np.random.default_rng([seed, 7])
    n = before + long + AFTER
    i = np.arange(n)
    clean = 50 + 20 * np.sin(2 * math.pi * i / DAY) + 6 * np.sin(4 * math.pi * i / DAY + 1)
    noise = np.zeros(n)
    for k in range(1, n):
        noise[k] = 0.7 * noise[k - 1] + rng.normal()
    values: NDArray[np.float64] = clean + 1.5 * noise
    faulty = slice(before, before + long)
    if fault == "level":
        values[faulty] += 60
    elif fault == "pattern":
        # Up and down within an hour, inside of the range there has been.
        values[faulty] = 50 + 22 * np.sin(2 * math.pi * i[faulty] / HOUR) + noise[faulty]
    elif fault == "stuck":
        values[faulty] = 95.0
    else:
        raise ValueError(f"fault: got {fault!r}, expected one of {', '.join(FAULTS)}")
    return values


def run(
    learner: str, scorer: str, values: NDArray[np.float64], hold: bool, before: int, long: int
) -> dict[str, float]:
    """Return what was alarmed of a stream before, during and after the fault."""
    spec = {"learner": LEARNERS[learner], "indicators": [SCORERS[scorer]]}
    stream = Stream(StreamSpec.model_validate(spec | ({"governor": HOLD} if hold else {})))
    alarmed = np.zeros(len(values), bool)
    held = np.zeros(len(values), bool)
    for i, value in enumerate(values):
        reply = stream.step(Event(x={"v": float(value)}), STEP * i)
        alarmed[i] = b'"is_anomaly":true' in reply.line
        held[i] = b'"learning":"paused"' in reply.line
    end = before + long
    found = np.flatnonzero(alarmed[before:end])
    return {
        "hour_before_most": _most_in_an_hour(alarmed[before - DAY : before]),
        "alarmed": float(alarmed[before:end].mean()),
        "last_hour": float(alarmed[end - HOUR : end].mean()),
        "first_alarm_after": float(found[0]) if len(found) else math.inf,
        "hour_after": float(alarmed[end : end + HOUR].sum()),
        "hour_after_that": float(alarmed[end + HOUR : end + 2 * HOUR].sum()),
        "held_before": float(held[DAY:before].mean()),
        "held_after": float(held[end:].mean()),
    }


def _most_in_an_hour(alarmed: NDArray[np.bool_]) -> float:
    sums = np.convolve(alarmed, np.ones(HOUR), "valid")
    return float(sums.max())


def main(data: Path | None, seeds: int, quick: bool) -> dict[str, Any]:
    """Run learners, scorers and faults, with and without holding; `quick` runs a part."""
    console = Console(stderr=True)
    seeds = 1 if quick else seeds
    before, long = (7 * DAY, DAY) if quick else (BEFORE, LONG)
    pairs = [("rolling_zscore", "novelty")] if quick else PAIRS
    found: dict[str, Any] = {}
    for learner, scorer in pairs:
        for fault in FAULTS:
            console.print(f"{learner}, {scorer}, {fault}", style="dim")
            for hold in (False, True):
                runs = [
                    run(learner, scorer, series(seed, fault, before, long), hold, before, long)
                    for seed in range(seeds)
                ]
                name = f"{learner}, {scorer}, {fault}, {'held' if hold else 'not held'}"
                found[name] = _mean(runs)
    _print(found, console if console.is_terminal else Console(stderr=True, width=160))
    return {"benchmark": "hold", "seeds": seeds, "quick": quick, "runs": found}


def _mean(runs: list[dict[str, float]]) -> dict[str, float]:
    means = {name: float(np.mean([each[name] for each in runs])) for name in runs[0]}
    return {name: round(v, 3) if math.isfinite(v) else -1.0 for name, v in means.items()}


def _print(found: dict[str, Any], console: Console) -> None:
    table = Table(
        "stream",
        "first alarm after",
        "fault alarmed",
        "its last hour",
        "alarms in the hour after",
        "in the next",
        "most in an hour of the day before",
        "held before, after",
    )
    for name, row in found.items():
        table.add_row(
            name,
            f"{row['first_alarm_after']:.0f}",
            f"{row['alarmed']:.3f}",
            f"{row['last_hour']:.3f}",
            f"{row['hour_after']:.1f}",
            f"{row['hour_after_that']:.1f}",
            f"{row['hour_before_most']:.1f}",
            f"{row['held_before']:.3f}, {row['held_after']:.3f}",
        )
    console.print(table)
