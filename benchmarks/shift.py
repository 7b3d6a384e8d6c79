"""Concept shift: labels of two classes are exchanged ever again, and a learner has to follow.

Prequential accuracy on digits, MNIST and Fashion-MNIST under five rates of change. The opponent is
the best constant rate of a grid, chosen anew for every data set and rate of change with the very
labels it is judged by; the learner has one setting for all. Also the published rules, as their
authors' code has them (Man, Damasio and Neven 2022, arXiv 2205.08645).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.images import Images, digits, has, read
from benchmarks.shift_arms import ARMS, CONSTANT, DIGITS_ONLY, Params, constants, run_all
from benchmarks.shift_report import Runs, acceptance, best_rates, print_lines, print_table, report
from benchmarks.shift_streams import stream

QUICK = 1_500
EVENTS = {"digits": 30_000, "mnist": 10_000, "fashion": 10_000}
WIDTH = 160
"""Of the tables where there is no terminal to ask."""


def main(data: Path | None, seeds: int, quick: bool) -> dict[str, Any]:
    """Run every arm once a seed on all data there is; return figures and verdicts.

    Without `data`, and if `quick`, on scikit-learn's digits alone; `quick` runs one seed over
    1,500 events, too few to judge.
    """
    console = Console(stderr=True)
    console = console if console.is_terminal else Console(stderr=True, width=WIDTH)
    seeds = 1 if quick else seeds
    begun = time.perf_counter()
    runs: dict[str, Runs] = {}
    figures: dict[str, Any] = {}
    for name, load in _sets(data, quick).items():
        runs[name] = _compared(console, load(), seeds, QUICK if quick else EVENTS[name])
        figures[name] = report(runs[name])
        print_table(console, name, figures[name])
    lines = [] if quick else acceptance(runs)
    print_lines(console, lines)
    return {
        "benchmark": "shift",
        "seeds": seeds,
        "quick": quick,
        "events": {name: QUICK if quick else EVENTS[name] for name in runs},
        "seconds": round(time.perf_counter() - begun, 1),
        "data": figures,
        "acceptance": lines,
    }


def _compared(console: Console, images: Images, seeds: int, events: int) -> Runs:
    """Return the runs of all arms, the searched rates at last with rehearsals beside without."""
    runs: Runs = {}
    arms = {**constants(), **ARMS, **(DIGITS_ONLY if images.name == "digits" else {})}
    _run(console, runs, images, seeds, events, arms)
    for rate in sorted(set(best_rates(runs).values())):
        arm: dict[str, Params] = {
            f"constant {rate:g}, rehearsing": CONSTANT | {"rate": rate, "rehearsal": 8.0}
        }
        _run(console, runs, images, seeds, events, arm)
    return runs


def _sets(data: Path | None, quick: bool) -> dict[str, Callable[[], Images]]:
    found: dict[str, Callable[[], Images]] = {"digits": digits}
    for name in ("mnist", "fashion"):
        if has(data, name) and not quick:
            found[name] = partial(read, data, name)
    return found


def _run(
    console: Console, runs: Runs, images: Images, seeds: int, events: int, arms: dict[str, Params]
) -> None:
    """Add the runs of some arms, one a seed."""
    for seed in range(seeds):
        console.print(f"{images.name}, seed {seed + 1} of {seeds}: {len(arms)} arms", style="dim")
        for key, run in run_all(stream(images, seed, events), seed, arms).items():
            runs.setdefault(key, []).append(run)
