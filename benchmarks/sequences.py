"""High-order sequences: the paper's five experiments on discrete symbols, measured anew.

The temporal memory alone, without a pooler, on random codes of 41 in 2048 columns. Beside it the
published figures, and a table of what followed what, to show how much of each task is plain
recall. Beyond the paper, the same memory with `bridging`, and more ways to corrupt a sequence.
Source: Cui, Ahmad and Hawkins 2016, Neural Computation 28(11), figures 3 to 9.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import sequences_published as published
from benchmarks import sequences_runs as runs
from benchmarks.plots import Canvas
from benchmarks.sequences_acceptance import acceptance
from benchmarks.sequences_figure import draw
from benchmarks.sequences_models import PAPER
from benchmarks.sequences_report import Results, report
from benchmarks.sequences_tables import print_tables
from service.warm import warm

Found = TypeVar("Found")

WIDTH = 160
"""Of the tables where there is no terminal to ask."""


def main(data: Path | None, seeds: int, quick: bool, plot: Path | None = None) -> dict[str, Any]:
    """Run every experiment once a seed; return figures, published ones and verdicts.

    `data` may hold the published curves, which the figure then draws whole. `quick` runs one
    seed over much shorter streams: enough to see it learn, too little to judge.
    """
    console = Console(stderr=True)
    canvas = Canvas(plot, rows=2, columns=3) if plot else None
    curves = published.curves(data)
    plan, seeds = (runs.QUICK, 1) if quick else (runs.Plan(), seeds)
    warm()
    begun = time.perf_counter()
    results = _run(plan, seeds, console)
    lines = acceptance(results)
    found = {
        "benchmark": "sequences",
        "seeds": seeds,
        "quick": quick,
        "seconds": round(time.perf_counter() - begun, 1),
        "parameters": PAPER,
        "experiments": report(results),
        "acceptance": lines,
    }
    if quick:
        found["note"] = "shortened streams, one seed: nothing is judged"
    print_tables(found, console if console.is_terminal else Console(stderr=True, width=WIDTH))
    if canvas:
        draw(canvas, results, curves)
        canvas.save(f"High-order sequences, {seeds} seed{'s' * (seeds > 1)}")
    return found


def _run(plan: runs.Plan, seeds: int, console: Console) -> Results:
    r = Results(plan)
    columns = ("{task.description}", "{task.completed:,} elements")
    with Progress(
        SpinnerColumn(), *map(TextColumn, columns), TimeElapsedColumn(), console=console
    ) as progress:
        each = partial(_each_seed, progress, seeds)
        for n in (0, 1):
            name = f"bridging {n}" if n else "no bridging"
            run = partial(runs.run_high_order, plan, n)
            r.high_order[n] = each(f"E1 ends swapped, {name}", run)
            run = partial(runs.run_noise_throughout, plan, n)
            r.noise_throughout[n] = each(f"E4 noise from the start, {name}", run)
            run = partial(runs.run_noise_later, plan, n)
            r.noise_later[n] = each(f"E4 noise later, {name}", run)
        r.corruptions = each("E4 other corruptions", partial(runs.run_corruptions, plan))
        for ends in (2, 4):
            run = partial(runs.run_several_ends, plan, ends)
            r.several_ends[ends] = each(f"E2 {ends} possible ends", run)
        for n in plan.lengths:
            r.lengths[n] = each(f"E3 length {n}", partial(runs.run_length, n))
        r.killed = each("E5 killed cells", partial(runs.run_killed, plan))
    return r


def _each_seed(
    progress: Progress, seeds: int, name: str, run: Callable[[int, runs.Tick], Found]
) -> list[Found]:
    task = progress.add_task(name, total=None)
    found = []
    for seed in range(seeds):
        progress.update(task, description=f"{name}, seed {seed + 1} of {seeds}")
        found.append(run(seed, partial(progress.advance, task)))
    progress.update(task, description=name, total=progress.tasks[task].completed)
    if not progress.console.is_terminal:
        progress.console.print(name, style="dim")
    return found
