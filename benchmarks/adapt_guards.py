"""Settings that make an adaptive network collapse, with each guard by itself and without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.adapt_runs import STATISTICS, Params, Run, adapted
from benchmarks.images import Images
from learners.kernels import adaptive_network as kernels
from learners.kernels.adaptive_network import Network

WILD: Mapping[str, Params] = {
    "Hebb 1e-3, gain 1e-3": STATISTICS
    | {"hebbian_rate": 1e-3, "hebbian_every": 1, "gain_rate": 1e-3},
    "unfiltered gain 1e-2": STATISTICS | {"gain_rate": 1e-2},
    "unfiltered gain 1": STATISTICS | {"gain_rate": 1.0},
}
"""The first two collapsed where they were first measured; a network that labels taught event by
event takes a hundred times the rate of the second."""
GUARDS: Params = {
    "entropy_filter": 0.4,
    "recovery_entropy": 0.005,
    "anchor": 1e-3,
    "redundancy": 0.9,
    "weighting": True,
    "balance": 0.4,
    "largest_drift": 0.1,
}
OFF: Params = {name: type(value)(0) for name, value in GUARDS.items()}
LAST = 500


def arms(setting: str) -> dict[str, Params]:
    """Return the sets of guards to try; what is unfiltered has no filter in any of them."""
    usable = {
        name: value
        for name, value in GUARDS.items()
        if name != "entropy_filter" or "unfiltered" not in setting
    }
    return {
        "no guard": OFF,
        **{f"{name} alone": {**OFF, name: value} for name, value in usable.items()},
        **{f"all but {name}": {**OFF, **usable, name: OFF[name]} for name in usable},
        "all": {**OFF, **usable},
    }


def guarded(net: Network, images: Images) -> dict[str, dict[str, dict[str, float]]]:
    """Return what each set of guards makes of each setting."""
    return {
        setting: {
            name: _figures(adapted(net, images, {**wild, **guards}))
            for name, guards in arms(setting).items()
        }
        for setting, wild in WILD.items()
    }


def _figures(run: Run) -> dict[str, float]:
    return {
        "error": run.error,
        "last_error": run.last_error(LAST),
        "weight_drift": run.drift,
        "effective_classes": run.effective_classes,
        "source_resets": float(run.count(kernels.RESETS)),
        "drift_caps": float(run.count(kernels.CAPPED)),
    }


def caught_by(rows: Mapping[str, Mapping[str, Any]], tolerance: float) -> list[str]:
    """Return the guards that alone keep the last errors near the best arm's, where none fails."""
    best = min(row["last_error"]["mean"] for row in rows.values())
    if rows["no guard"]["last_error"]["mean"] <= best + tolerance:
        return []
    return [
        name.removesuffix(" alone")
        for name, row in rows.items()
        if name.endswith(" alone") and row["last_error"]["mean"] <= best + tolerance
    ]
