"""What learners, rules and options are worth on streams, and what their sources promise."""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.accept import SYSTEMS
from benchmarks.accept.rows import Row
from benchmarks.spread import Json
from benchmarks.zoo_arms import ARMS
from benchmarks.zoo_report import figures, table, write_page
from benchmarks.zoo_runs import Run, attempt, best_setting
from benchmarks.zoo_streams import STREAMS
from service.rows import InputError


def main(
    data: Path | None,
    seeds: int,
    quick: bool,
    accept: bool = False,
    only: Sequence[str] = (),
    page: Path | None = None,
) -> Json:
    """Try the arms of the zoo on every stream, or, to `accept`, the statements of every system.

    `only` names systems to accept, or else streams; `quick` is one seed on what needs no data.
    """
    data, seeds = (None, 1) if quick else (data, seeds)
    return _accept(data, seeds, only) if accept else _try(data, seeds, only, page)


def _try(data: Path | None, seeds: int, only: Sequence[str], page: Path | None) -> Json:
    console = Console(stderr=True)
    begun = time.perf_counter()
    chosen = [STREAMS[name] for name in _chosen(only, tuple(STREAMS))]
    streams = [stream for stream in chosen if stream.can_run(data)]
    all_runs: dict[str, dict[str, list[Run]]] = {}
    settings: dict[str, Json] = {}
    for stream in streams:
        trials = [stream.make(seed, False, data) for seed in range(1, seeds + 1)]
        runs, settings[stream.name] = all_runs.setdefault(stream.name, {}), {}
        for arm in ARMS.values():
            if arm.sequences is not None and not trials[0].sequence:
                continue
            console.print(f"{stream.name}: {arm.name}", style="dim")
            best = best_setting(arm, stream.make(0, True, data), 0)
            settings[stream.name][arm.name] = arm.settings[best]
            runs[arm.name] = [attempt(arm, trial, best, i + 1) for i, trial in enumerate(trials)]
        console.print(table(stream, figures(runs)))
        if page is not None:  # A long run that is cut short leaves what it has.
            done = [each for each in streams if each.name in all_runs]
            write_page(page, done, all_runs, seeds)
    return {
        "benchmark": "zoo",
        "seeds": seeds,
        "streams": {name: figures(runs) for name, runs in all_runs.items()},
        "settings": settings,
        "left_out": [stream.name for stream in chosen if stream not in streams],
        "seconds": round(time.perf_counter() - begun, 1),
    }


def _accept(data: Path | None, seeds: int, only: Sequence[str]) -> Json:
    console = Console(stderr=True)
    rows: list[Json] = []
    begun = time.perf_counter()
    for system in _chosen(only, SYSTEMS):
        module = importlib.import_module(f"benchmarks.accept.{system}")
        console.print(f"{system}, {seeds} seeds", style="dim")
        last = time.perf_counter()
        found: list[Row] = []
        for row in module.accept(seeds, data):
            now = time.perf_counter()
            found.append(row)
            rows.append({"system": system, **row.to_json(), "seconds": round(now - last, 1)})
            last = now
        console.print(_verdicts(system, found))
    verdicts = [row["verdict"] for row in rows]
    return {
        "benchmark": "zoo",
        "seeds": seeds,
        "acceptance": rows,
        **{each.replace(" ", "_"): verdicts.count(each) for each in ("met", "missed", "not run")},
        "seconds": round(time.perf_counter() - begun, 1),
    }


def _chosen(only: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    for name in only:
        if name not in known:
            raise InputError(f"--only: got {name!r}, expected one of: {', '.join(known)}")
    return only or known


def _verdicts(system: str, rows: Sequence[Row]) -> Table:
    table = Table(system, "expected", "measured", "range", "verdict")
    for row in rows:
        found = row.to_json()["measured"]
        measured = f"{found['mean']:g}" if found else ""
        reach = f"{found['min']:g} to {found['max']:g}" if found else ""
        table.add_row(row.statement, row.expected, measured, reach, row.verdict)
    return table
