"""When to stop learning: the rules over epochs, and the governor on streams that never end.

First the rules of Prechelt and their correlation over time on a small noisy set, with the figures
of an earlier study beside them. Then three streams on which learning may pause: a small pool that
recurs, with wrong labels and a drift, where it should; a larger one; and a clean one, where it
should not. Every arm meets the same events, and a tenth of them are canaries for each.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import stop_batch, stop_stream
from benchmarks.images import digits
from benchmarks.stop_report import acceptance, print_tables, table
from benchmarks.stop_stream import ARMS, Setting

EPOCHS, NOISE = 200, 0.2
STREAMS = {
    "pool of 300, 20 % noise, drift": Setting(300, 0.2, 20_000),
    "pool of 1400, 20 % noise": Setting(1_400, 0.2, None),
    "pool of 1400, clean": Setting(1_400, 0.0, None),
}
QUICK_EPOCHS, QUICK_EVENTS = 20, 4_000


def main(data: Path | None, seeds: int, quick: bool) -> dict[str, Any]:
    """Run both parts once a seed on scikit-learn's digits; `quick` is too short to judge."""
    console, images = Console(stderr=True), digits()
    seeds, epochs = (1, QUICK_EPOCHS) if quick else (seeds, EPOCHS)
    begun = time.perf_counter()
    stops = []
    for seed in range(seeds):
        console.print(f"epochs, seed {seed}", style="dim")
        stops.append(stop_batch.run(images.x, images.y, seed, epochs, NOISE))
    runs: dict[str, dict[str, list[stop_stream.Run]]] = {}
    for name, setting in STREAMS.items():
        shown = _shortened(setting) if quick else setting
        runs[name] = {arm: [] for arm in ARMS}
        for seed in range(seeds):
            console.print(f"{name}, seed {seed}", style="dim")
            for arm, each in runs[name].items():
                each.append(stop_stream.run(images.x, images.y, seed, shown, arm))
    found = {
        "benchmark": "stop",
        "seeds": seeds,
        "quick": quick,
        "seconds": round(time.perf_counter() - begun, 1),
        "epochs": stop_batch.table(stops),
        "published": stop_batch.PUBLISHED,
        "streams": {name: table(arms) for name, arms in runs.items()},
        "acceptance": [] if quick else acceptance(stops, list(runs.values())),
    }
    print_tables(found, console if console.is_terminal else Console(stderr=True, width=160))
    return found


def _shortened(setting: Setting) -> Setting:
    drift = None if setting.drift is None else QUICK_EVENTS // 2
    return Setting(setting.pool, setting.noise, drift, QUICK_EVENTS)
