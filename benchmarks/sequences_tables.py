"""The figures of the discrete experiments as tables on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def print_tables(found: Mapping[str, Any], console: Console) -> None:
    """Print a table an experiment, then what was to be met and what was."""
    for name, each in found["experiments"].items():
        axis = next(key for key in ("elements", "length", "killed", "corruption") if key in each)
        table = Table(axis, "measured", "published", title=name, title_justify="left")
        own = {key: each[key] for key in ("bridging_1", "bridging_2", "table") if key in each}
        quoted = {f"{key} (quoted)": row for key, row in each.get("quoted", {}).items()}
        others = own | quoted
        for key in others:
            table.add_column(key, justify="right")
        for i, place in enumerate(each[axis]):
            columns = [each["measured"], _published(each), *others.values()]
            table.add_row(str(place), *(_cell(values, i) for values in columns))
        console.print(table)
        for key in ("elements_to_95_percent", "line", "mean_from_there", "published_range"):
            if key in each:
                console.print(f"{key}: {each[key]}", style="dim", highlight=False)
    table = Table("to be met", "expected", "measured", "spread", "verdict")
    for each in found["acceptance"]:
        spread = "{} to {}".format(*each["spread"])
        table.add_row(
            each["line"], each["expected"], str(each["measured"]), spread, each["verdict"]
        )
    console.print(table if found["acceptance"] else found.get("note", ""))


def _published(each: Mapping[str, Any]) -> Sequence[Any]:
    htm = each.get("published", {}).get("HTM", ())
    if not isinstance(htm, Mapping):
        return list(htm)
    return [{"mean": m, "sd": s} for m, s in zip(htm["mean"], htm["sd"], strict=True)]


def _cell(values: Sequence[Any], i: int) -> str:
    if i >= len(values) or values[i] is None:
        return ""
    value = values[i]
    if not isinstance(value, Mapping):
        return f"{value:g}"
    inner = f"{value['mean']:.4g} ± {value['sd']:.3g}"
    return f"{inner} [{value['min']:.4g}, {value['max']:.4g}]" if "min" in value else inner
