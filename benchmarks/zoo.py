"""Every learner, rule and option: what their sources promise, and what came of it here."""

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
from service.rows import InputError


def main(
    data: Path | None, seeds: int, quick: bool, accept: bool = False, only: Sequence[str] = ()
) -> Json:
    """Run the acceptance of every system, or of those in `only`; `quick` leaves `data` aside."""
    if not accept:
        raise InputError("zoo: expected --accept")
    return _accept(None if quick else data, seeds, only)


def _accept(data: Path | None, seeds: int, only: Sequence[str]) -> Json:
    console = Console(stderr=True)
    rows: list[Json] = []
    begun = time.perf_counter()
    for system in _chosen(only):
        module = importlib.import_module(f"benchmarks.accept.{system}")
        console.print(f"{system}, {seeds} seeds", style="dim")
        last = time.perf_counter()
        found: list[Row] = []
        for row in module.accept(seeds, data):
            now = time.perf_counter()
            found.append(row)
            rows.append({"system": system, **row.to_json(), "seconds": round(now - last, 1)})
            last = now
        console.print(_table(system, found))
    verdicts = [row["verdict"] for row in rows]
    return {
        "benchmark": "zoo",
        "seeds": seeds,
        "acceptance": rows,
        **{each.replace(" ", "_"): verdicts.count(each) for each in ("met", "missed", "not run")},
        "seconds": round(time.perf_counter() - begun, 1),
    }


def _chosen(only: Sequence[str]) -> Sequence[str]:
    for name in only:
        if name not in SYSTEMS:
            raise InputError(f"--only: got {name!r}, expected one of: {', '.join(SYSTEMS)}")
    return only or SYSTEMS


def _table(system: str, rows: Sequence[Row]) -> Table:
    table = Table(system, "expected", "measured", "range", "verdict")
    for row in rows:
        found = row.to_json()["measured"]
        measured = f"{found['mean']:g}" if found else ""
        reach = f"{found['min']:g} to {found['max']:g}" if found else ""
        table.add_row(row.statement, row.expected, measured, reach, row.verdict)
    return table
