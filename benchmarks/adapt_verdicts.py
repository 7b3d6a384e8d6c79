"""What `bench adapt` has to show, each line with what was measured and whether that is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.adapt_data import CORRUPTIONS

Json = dict[str, Any]
PUBLISHED_MEAN = 33.8
DEFAULT, STATISTICS, SOURCE = "all (default)", "running statistics", "source"
AS_PUBLISHED = "  + Hebb + gain"


def acceptance(found: Mapping[str, Any], vote: float) -> list[Json]:
    """Return each line: its name, what was measured, and a verdict over every seed."""
    runs = found["by_seed"]
    return [
        _vote(vote),
        *(_from_to(runs, name) for name in ("contrast", "brightness")),
        _never_worse(runs, AS_PUBLISHED),
        _never_worse(runs, DEFAULT),
        _clean(runs),
        *(_mean(runs, name) for name in (AS_PUBLISHED, DEFAULT)),
        _moving(runs),
        *(_caught(found, setting) for setting in found["guards"]),
    ]


def _line(name: str, measured: str, good: bool) -> Json:
    return {"name": name, "measured": measured, "verdict": "met" if good else "NOT met"}


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _vote(accuracy: float) -> Json:
    name = "(1) soft_hebbian, 20,000 images one by one, majority vote: at least 90 %"
    return _line(name, f"{100.0 * accuracy:.2f}", accuracy >= 0.9)


def _from_to(runs: Sequence[Json], stream: str) -> Json:
    before = [run[SOURCE][stream] for run in runs]
    after = [run[STATISTICS][stream] for run in runs]
    good = min(before) > 60.0 and max(after) < 6.0
    name = f"(2) {stream}: under 6 % by running statistics, from above 60 %"
    return _line(name, f"{_list(before)} to {_list(after)}", good)


def _never_worse(runs: Sequence[Json], method: str) -> Json:
    worst = [max(run[method][each] - run[STATISTICS][each] for each in CORRUPTIONS) for run in runs]
    name = f"(3) {method.strip()}: at most 1.5 points above running statistics on any corruption"
    return _line(name, _list(worst), max(worst) <= 1.5)


def _clean(runs: Sequence[Json]) -> Json:
    rise = [run[DEFAULT]["clean"] - run[SOURCE]["clean"] for run in runs]
    return _line("(3) clean error rises by less than 1 point", _list(rise), max(rise) < 1.0)


def _mean(runs: Sequence[Json], method: str) -> Json:
    means = [run[method]["mean"] for run in runs]
    name = f"{method.strip()}: mean of five at most {PUBLISHED_MEAN} %"
    return _line(name, _list(means), sum(means) / len(means) <= PUBLISHED_MEAN)


def _moving(runs: Sequence[Json]) -> Json:
    before, after = ([run[m]["moving"] for run in runs] for m in (STATISTICS, DEFAULT))
    good = all(a < b for a, b in zip(after, before, strict=True))
    name = "the moving stream: better than running statistics alone"
    return _line(name, f"{_list(before)} to {_list(after)}", good)


def _caught(found: Mapping[str, Any], setting: str) -> Json:
    rows = found["guards"][setting]
    loose, held = rows["no guard"], rows["all"]
    beside = found["errors"][STATISTICS]["gauss"]["mean"]
    collapses = loose["last_error"]["mean"] > beside + 10.0
    good = held["last_error"]["mean"] <= beside + 5.0
    measured = (
        f"last errors {loose['last_error']['mean']:.1f} without guards, "
        f"{held['last_error']['mean']:.1f} with all, resets {held['source_resets']['mean']:.1f}, "
        f"caught alone by {', '.join(found['caught_by'][setting]) or 'none'}"
    )
    line = _line(f"(4) {setting}: caught by the guards", measured, good)
    return line if collapses else line | {"verdict": "nothing to catch"}
