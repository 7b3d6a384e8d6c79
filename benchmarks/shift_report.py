"""What the runs under concept shift come to: figures, tables, and the lines that decide."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.shift_arms import ARMS, GRID, Run
from benchmarks.shift_streams import SHIFTS

Json = dict[str, Any]
Runs = dict[tuple[str, str], list[Run]]
"""The runs of each seed by arm and shift."""

BASE, SEARCHED, REHEARSING = "constant 0.01", "constant, best of grid", "the same, rehearsing"
OURS = "balance"


def best_rates(runs: Runs) -> dict[str, float]:
    """Return the constant rate with the best mean accuracy for each shift."""
    return {
        shift: max(GRID, key=lambda rate: _mean(runs[f"constant {rate:g}", shift]))
        for shift in SHIFTS
    }


def _mean(runs: Sequence[Run]) -> float:
    return statistics.fmean(run.accuracy for run in runs)


def rows(runs: Runs) -> dict[str, dict[str, list[Run]]]:
    """Return the runs of each arm by shift, baselines first, the searched one among them."""
    best = best_rates(runs)
    found = {BASE: {shift: runs[BASE, shift] for shift in SHIFTS}}
    found[SEARCHED] = {s: runs[f"constant {rate:g}", s] for s, rate in best.items()}
    found[REHEARSING] = {s: runs[f"constant {rate:g}, rehearsing", s] for s, rate in best.items()}
    for arm in [*ARMS, *dict.fromkeys(arm for arm, _ in runs)]:
        if arm not in found and not arm.startswith("constant"):
            found[arm] = {s: runs[arm, s] for s in SHIFTS if (arm, s) in runs}
    return found


def report(runs: Runs) -> Json:
    """Return accuracy with its spread, cost and rates by arm and shift, and the whole grid."""
    unit = statistics.fmean(r.microseconds for s in SHIFTS for r in runs[BASE, s])
    arms = {
        arm: {shift: _figures(each, unit) for shift, each in by_shift.items()}
        for arm, by_shift in rows(runs).items()
    }
    grid = {
        f"{rate:g}": {s: round(_mean(runs[f"constant {rate:g}", s]), 4) for s in SHIFTS}
        for rate in GRID
    }
    return {
        "arms": arms,
        "grid": grid,
        "best_rates": best_rates(runs),
        "microseconds_of_constant": round(unit, 1),
    }


def _figures(runs: Sequence[Run], unit: float) -> Json:
    accuracy = [run.accuracy for run in runs]
    return {
        "accuracy": round(statistics.fmean(accuracy), 4),
        "spread": [round(min(accuracy), 4), round(max(accuracy), 4)],
        "last_quarter": round(statistics.fmean(run.last_quarter for run in runs), 4),
        "cost": round(statistics.fmean(run.microseconds for run in runs) / unit, 2),
        "rehearsals": round(statistics.fmean(run.rehearsals for run in runs), 2),
        "end_rate": [round(run.end_rate, 6) for run in runs],
        "rollbacks": sum(run.rollbacks for run in runs),
    }


def acceptance(runs: Mapping[str, Runs]) -> list[Json]:
    """Return the lines that decide: of the published rules, then ours against the search."""
    d = runs["digits"]

    def all_of(arm: str, shift: str) -> list[float]:
        return [run.accuracy for run in d[arm, shift]]

    def gain(arm: str, shift: str) -> list[float]:
        return [a - b for a, b in zip(all_of(arm, shift), all_of(BASE, shift), strict=True)]

    free, high = "memory gradient, no ceiling", "memory gradient from .03"
    least = [run.least_rate for run in d["literal", "every 100"]]
    lines = [
        _line(f"{free}: gain over constant, every 100", ">= 0.015", gain(free, "every 100"),
              lambda v: statistics.fmean(v) >= 0.015),
        _line(f"{free}: gain over constant, never", "within 0.005", gain(free, "never"),
              lambda v: abs(statistics.fmean(v)) <= 0.005),
        _line(f"{high}, ceiling .03, every 100", "> 0.80", all_of(high, "every 100"),
              lambda v: statistics.fmean(v) > 0.8),
        _line(f"{high}, no ceiling, no rollback, every 100", "< 0.5",
              all_of(high + ", unguarded", "every 100"), lambda v: statistics.fmean(v) < 0.5),
        _line("literal, no floor: least rate, every 100", "< 0.001 in a seed", least,
              lambda v: min(v) < 1e-3),
    ]  # fmt: skip
    for shift in SHIFTS:
        pairs = zip(all_of("balance from .001", shift), all_of(OURS, shift), strict=True)
        moved = [low - top for low, top in pairs]
        lines.append(
            _line(f"balance from .001 less from the top, {shift}", "within 0.01", moved,
                  lambda v: abs(statistics.fmean(v)) <= 0.01)
        )  # fmt: skip
    for name, each in runs.items():
        lines += [_against_search(name, each, shift) for shift in SHIFTS]
    return lines


def _against_search(name: str, runs: Runs, shift: str) -> Json:
    rate = best_rates(runs)[shift]
    pairs = zip(runs[OURS, shift], runs[f"constant {rate:g}", shift], strict=True)
    gains = [ours.accuracy - theirs.accuracy for ours, theirs in pairs]
    what = f"{name}, {shift}: balance less the best constant ({rate:g})"
    return _line(what, ">= 0", gains, lambda v: statistics.fmean(v) >= 0.0)


def _line(
    name: str, expected: str, values: Sequence[float], good: Callable[[Sequence[float]], bool]
) -> Json:
    return {
        "line": name,
        "expected": expected,
        "measured": round(statistics.fmean(values), 4),
        "spread": [round(min(values), 4), round(max(values), 4)],
        "verdict": "met" if good(values) else "missed",
    }


def print_table(console: Console, name: str, found: Json) -> None:
    """Print the accuracy of every arm on one data set, and what an event costs it."""
    unit, rates = found["microseconds_of_constant"], found["best_rates"]
    title = f"{name}: mean accuracy (least to most); cost 1 is {unit} microseconds an event"
    table = Table("", *SHIFTS, "cost", title=title, title_justify="left")
    for arm, by_shift in found["arms"].items():
        costs = [each["cost"] for each in by_shift.values()]
        cells = (_cell(by_shift[s]) if s in by_shift else "" for s in SHIFTS)
        table.add_row(arm, *cells, f"{statistics.fmean(costs):.1f}")
    table.add_row("best rate of the grid", *(f"{rates[shift]:g}" for shift in SHIFTS), "")
    console.print(table)


def print_lines(console: Console, lines: Sequence[Json]) -> None:
    """Print what was to be met, and what was."""
    table = Table("to be met", "expected", "measured", "spread", "verdict")
    for line in lines:
        spread = "{} to {}".format(*line["spread"])
        table.add_row(
            line["line"], line["expected"], str(line["measured"]), spread, line["verdict"]
        )
    console.print(table if lines else "shortened: nothing is judged")


def _cell(figures: Json) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(figures["accuracy"], *figures["spread"])
