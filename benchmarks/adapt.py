"""Adaptation without labels: how a taught network does as its images get worse, by method.

A network is taught by the labels of 30,000 images, three times, one after the other, by the learner
itself; then 5,000 others come without labels, each kind of corruption from the same start, and a
stream that moves from one to the next and back. Settings were chosen with seed 0 on the last 5,000
test images, mostly of MNIST, clean, with gauss, impulse, inversion, and moving; the passes, the
rate of the gains and the pace after a reset after a first run of all this, which one pass and
rates four times as high had failed in parts. What is printed is of other seeds and of the first
5,000 test images; shot noise had no part in any choice.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.adapt_data import CORRUPTIONS, FIVE, corrupted, moving
from benchmarks.adapt_guards import caught_by, guarded
from benchmarks.adapt_runs import METHODS, adapted, batch_error, taught
from benchmarks.adapt_verdicts import acceptance
from benchmarks.images import Images, digits, has, read
from benchmarks.soft_hebbian import mnist_vote

Json = dict[str, Any]
TAUGHT, PASSES, SEEN, STOP, GUARDED = 30_000, 3, 5_000, 300, 2_000
WIDTH = 190
"""Characters of a table."""
BATCH = "batch statistics, 128"
SOME = ("source", "running statistics", "all (default)")
PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "source": {"clean": 3.2, "mean": 69.7},
    BATCH: {"clean": 3.3, "mean": 34.2},
    "running statistics": {"clean": 3.1, "mean": 34.0},
    "  + Hebb + gain": {"clean": 3.4, "mean": 33.8},
}
"""Means over five corruptions of another 784-256-10 network, taught in batches, one seed."""


def main(data: Path | None, seeds: int, quick: bool) -> Json:
    """Run on MNIST, and on Fashion-MNIST where `data` holds it; on digits without, or `quick`."""
    console = Console(stderr=True, width=WIDTH)
    begun = time.perf_counter()
    full = has(data, "mnist") and not quick
    seeds = seeds if full else 1
    names = [name for name in ("mnist", "fashion") if has(data, name)] if full else ["digits"]
    found: Json = {"benchmark": "adapt", "seeds": seeds, "quick": quick}
    for name in names:
        methods = list(METHODS) if name != "fashion" else list(SOME)
        runs = []
        for seed in range(1, 1 + seeds):
            console.print(f"{name}, seed {seed} of {seeds}", style="dim")
            runs.append(_run(*_images(data, name, seed), methods, seed, name != "fashion"))
        found[name] = _gather(runs)
        _print(console, name, found[name])
    if full:
        found["soft_hebbian_vote"] = round(mnist_vote(data, seed=1), 4)
    found["acceptance"] = acceptance(found["mnist"], found["soft_hebbian_vote"]) if full else []
    found["seconds"] = round(time.perf_counter() - begun, 1)
    for line in found["acceptance"]:
        console.print(f"{line['name']}: {line['measured']} ({line['verdict']})")
    return found


def _images(data: Path | None, name: str, seed: int) -> tuple[Images, Images, int]:
    """Return images to be taught by, images to adapt to, and the number of hidden units."""
    if name == "digits":
        images = digits().shuffled(0)
        source = images.at(np.arange(1_200))
        return _passes(source, 10, seed), images.at(np.arange(1_200, len(images))), 64
    source = read(data, name).at(np.arange(TAUGHT))
    return _passes(source, PASSES, seed), read(data, name, "test").at(np.arange(SEEN)), 256


def _passes(images: Images, count: int, seed: int) -> Images:
    order = np.random.default_rng(seed)
    return images.at(np.concatenate([order.permutation(len(images)) for _ in range(count)]))


def _run(
    source: Images, images: Images, hidden: int, methods: Sequence[str], seed: int, guards: bool
) -> Json:
    """Return the errors of one seed, by method and stream."""
    learned = taught(source, hidden, seed)
    conditions = corrupted(images, seed)
    streams = conditions | {"moving": moving(conditions, STOP)}
    errors = {
        name: {each: adapted(learned.net, streams[each], METHODS[name]).error for each in streams}
        for name in methods
    }
    errors[BATCH] = {each: batch_error(learned.net, conditions[each]) for each in conditions}
    for row in errors.values():
        row["mean"] = statistics.fmean(row[each] for each in FIVE)
    gauss = conditions["gauss"]
    part = gauss.at(np.arange(min(GUARDED, len(gauss))))
    return {
        "errors": errors,
        "taught_error": learned.last_error(5_000),
        "guards": guarded(learned.net, part) if guards else {},
    }


def _gather(runs: Sequence[Json]) -> Json:
    """Return means and spreads over the seeds."""
    guards = _over([run["guards"] for run in runs])
    return {
        "errors": _over([run["errors"] for run in runs]),
        "taught_error": _over([run["taught_error"] for run in runs]),
        "by_seed": [run["errors"] for run in runs],
        "guards": guards,
        "caught_by": {setting: caught_by(rows, 2.0) for setting, rows in guards.items()},
    }


def _over(values: Sequence[Any]) -> Any:
    """Return the spread of numbers, or of each number in mappings of the same keys."""
    if isinstance(values[0], Mapping):
        return {key: _over([value[key] for value in values]) for key in values[0]}
    spread = {"mean": statistics.fmean(values), "min": min(values), "max": max(values)}
    return {name: round(value, 3) for name, value in spread.items()}


def _print(console: Console, name: str, found: Json) -> None:
    streams = [*CORRUPTIONS, "mean", "moving"]
    shown = [each.replace("mean", "mean of five") for each in streams]
    table = Table("error in %", *shown, title=f"{name}: mean (least to most) over seeds")
    for method, row in found["errors"].items():
        table.add_row(method, *(_cell(row.get(each)) for each in streams))
        if name == "mnist" and method in PUBLISHED:
            row = PUBLISHED[method]
            cells = [f"{row[each]}" if each in row else "" for each in streams]
            table.add_row("    published design, measured before", *cells, style="dim")
    console.print(table)
    for setting, rows in found["guards"].items():
        columns = list(rows["all"])
        table = Table("gauss", *columns, title=f"{name}: {setting}")
        for arm, row in rows.items():
            table.add_row(arm, *(_cell(row[each]) for each in columns))
        console.print(table)
        caught = ", ".join(found["caught_by"][setting])
        console.print(f"caught alone by: {caught or 'nothing, or nothing to catch'}")


def _cell(spread: Mapping[str, float] | None) -> str:
    if spread is None:
        return ""
    if spread["min"] == spread["max"]:
        return f"{spread['mean']:.2f}"
    return f"{spread['mean']:.2f} ({spread['min']:.2f} to {spread['max']:.2f})"
