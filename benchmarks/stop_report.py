"""What the stopping benchmark found: tables, and the acceptance lines with their verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.stop_batch import Stop
from benchmarks.stop_stream import BLOCK, Run

Json = dict[str, Any]
FIGURES = ("trained", "before", "end", "overall", "pauses")
NEAR = 0.01


def table(arms: Mapping[str, Sequence[Run]]) -> Json:
    """Return mean, least and most of every figure of each arm, and when it resumed."""
    return {arm: _row(runs) for arm, runs in arms.items()}


def _row(runs: Sequence[Run]) -> Json:
    found: Json = {name: _spread([getattr(r, name) for r in runs]) for name in FIGURES}
    found["resumed_after"] = [r.resumed_after for r in runs]
    found["paused_at"] = [[t for t, paused in r.changes if paused] for r in runs]
    return found


def _spread(values: Sequence[float]) -> Json:
    numbers = {"mean": float(np.mean(values)), "min": min(values), "max": max(values)}
    return {name: round(value, 4) for name, value in numbers.items()}


def acceptance(
    stops: Sequence[Mapping[str, Stop]], streams: Sequence[Mapping[str, Sequence[Run]]]
) -> list[Json]:
    """Return the lines that decide; `streams` are the drifting, the noisy and the clean one."""
    drifting, _, clean = streams
    epoch = {rule: float(np.mean([s[rule].epoch for s in stops])) for rule in stops[0]}
    error = {rule: float(np.mean([s[rule].error for s in stops])) for rule in stops[0]}
    gate, always = drifting["governor"], drifting["always learn"]
    resumed = [r.resumed_after for r in gate]
    soon = sum(after is not None and after <= 3 * BLOCK for after in resumed)
    enough = -(-5 * len(gate) // 6)
    lines = [
        _line(
            "epochs: COI stops between GL2 and patience 10",
            f"{epoch['GL2']:.1f} to {epoch['patience 10']:.1f}",
            epoch["COI"],
            epoch["GL2"] <= epoch["COI"] <= epoch["patience 10"],
        ),
        _line(
            "epochs: error where COI stops, per cent",
            f"below {error['none'] - 5:.2f}",
            error["COI"],
            error["COI"] < error["none"] - 5,
        ),
        _at_most("drift: share of events trained on", 0.45, _mean(gate, "trained")),
        _at_least("drift: accuracy at the end", _mean(always, "end"), _mean(gate, "end")),
        _line(
            "drift: seeds that learned again within 3 blocks",
            f"{enough} or more of {len(gate)}",
            soon,
            soon >= enough,
        ),
    ]
    for arm in ("governor", "plain rule"):
        for figure in ("end", "overall"):
            least = _mean(clean["always learn"], figure) - NEAR
            name = f"clean: accuracy {'at the end' if figure == 'end' else figure}, {arm}"
            lines.append(_at_least(name, least, _mean(clean[arm], figure)))
    return lines


def _mean(runs: Sequence[Run], figure: str) -> float:
    return float(np.mean([getattr(r, figure) for r in runs]))


def _line(name: str, expected: str, measured: float, good: bool) -> Json:
    return {
        "line": name,
        "expected": expected,
        "measured": round(measured, 4),
        "verdict": "met" if good else "missed",
    }


def _at_most(name: str, most: float, measured: float) -> Json:
    return _line(name, f"at most {most:.3f}", measured, measured <= most)


def _at_least(name: str, least: float, measured: float) -> Json:
    return _line(name, f"at least {least:.3f}", measured, measured >= least)


def print_tables(found: Json, console: Console) -> None:
    """Print what was found, with the earlier figures beside."""
    rules = Table("rule", "stop epoch", "error there %", "of the best so far %", "published")
    for rule, row in found["epochs"].items():
        cells = [f"{row[c]['mean']:.2f} ± {row[c]['sd']:.2f}" for c in row]
        rules.add_row(rule, *cells, "{:.1f}, {:.2f}, {:.2f}".format(*found["published"][rule]))
    console.print(rules)
    for name, arms in found["streams"].items():
        one = Table(name, "share trained on", "before or middle", "end", "overall", "learned again")
        for arm, row in arms.items():
            cells = ["{mean:.3f} ({min:.3f} to {max:.3f})".format(**row[f]) for f in FIGURES[:4]]
            after = [each for each in row["resumed_after"] if each is not None]
            one.add_row(arm, *cells, ", ".join(map(str, after)))
        console.print(one)
    lines = Table("acceptance", "expected", "measured", "verdict")
    for line in found["acceptance"]:
        lines.add_row(line["line"], line["expected"], str(line["measured"]), line["verdict"])
    console.print(lines)
