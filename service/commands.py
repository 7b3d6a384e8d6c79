"""The commands `serve`, `streams` and `bench`."""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from service.rows import InputError
from service.transport import Json

DEFAULT_SPEC: Json = {"learner": {"kind": "sequence_memory"}}


class UsageError(Exception):
    """The command cannot be carried out as it was given."""


def read_spec(path: Path | None) -> Json:
    """Return the JSON object of a file, or the default spec; the service checks what it means."""
    if path is None:
        return DEFAULT_SPEC
    try:
        spec = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if not isinstance(spec, dict):
        raise InputError(f"{path}: got {type(spec).__name__}, expected an object")
    return spec


# serve


def serve(arguments: argparse.Namespace) -> int:
    """Run the service until it is told to stop."""
    from pydantic import ValidationError

    from service.settings import Settings

    wanted = _settings(arguments, Settings.model_fields)
    try:
        settings = Settings(**wanted)
    except ValidationError as error:
        raise UsageError("; ".join(_said(item) for item in error.errors())) from None
    from service.app import run

    run(settings)
    return 0


def _settings(arguments: argparse.Namespace, known: Iterable[str]) -> Json:
    """Return the settings given as flags; the rest is left to variables and defaults."""
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    del given["command"]
    for name in given:
        if name not in known:
            raise UsageError(f"--{name}: got {given[name]!r}, not available in this build")
    return given


def _said(item: Mapping[str, Any]) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    where = "_".join(map(str, item["loc"]))
    return f"{where}: got {item['input']!r}, {message}" if where else message


# streams


def streams(arguments: argparse.Namespace) -> int:
    """List, create, show or delete streams, or say whether one learns."""
    from service.client import Client

    with Client(arguments.url) as client:
        match arguments.action:
            case "list":
                found = client.streams()
            case "create":
                found = [client.create_stream(arguments.name, read_spec(arguments.spec))]
            case "show":
                found = [client.stream(arguments.name)]
            case "learning":
                found = [client.put_learning(arguments.name, arguments.state)]
            case _:
                client.delete_stream(arguments.name)
                print(f"deleted {arguments.name}", file=sys.stderr)
                return 0
    if arguments.json or not sys.stdout.isatty():
        for each in found:
            print(json.dumps(each))
    elif arguments.action == "list":
        _print_table(found)
    else:
        _print_stream(found[0])
    return 0


def _print_table(found: Iterable[Json]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("stream", "learner", "learning", padding=(0, 0, 0, 1))
    for name in ("offset", "anomalies", "score"):
        table.add_column(name, justify="right")
    table.add_column("newest")
    for each in found:
        status = each.get("status") or {}
        score = status.get("anomaly_score")
        table.add_row(
            each["name"],
            each["spec"]["learner"].get("kind", "unknown"),
            status.get("learning", "warming"),
            str(each["offset"]),
            str(status.get("anomalies", 0)),
            "" if score is None else f"{score:.3f}",
            (status.get("newest_ts") or "")[:16].replace("T", " "),
        )
    Console().print(table)


def _print_stream(stream: Json) -> None:
    from rich.console import Console

    Console().print_json(data=stream)


# bench


def bench(arguments: argparse.Namespace) -> int:
    """Run a benchmark and print what it found as one JSON object."""
    found = _benchmarks()
    name = arguments.name.replace("-", "_")
    if name not in found:
        names = ", ".join(each.replace("_", "-") for each in found) or "none in this installation"
        raise UsageError(f"bench: got {arguments.name!r}, expected one of: {names}")
    if arguments.data is not None and not arguments.data.is_dir():
        raise InputError(f"{arguments.data}: --data: there is no such folder")
    module = importlib.import_module(f"benchmarks.{name}")
    options = {each: getattr(arguments, each) for each in _OPTIONS if getattr(arguments, each)}
    for option in options.keys() - inspect.signature(module.main).parameters.keys():
        raise UsageError(f"--{option}: bench {arguments.name} {_OPTIONS[option]}")
    common = {each: getattr(arguments, each) for each in ("data", "seeds", "quick")}
    print(json.dumps(module.main(**common, **options)))
    return 0


_OPTIONS = {
    "plot": "draws nothing",
    "accept": "has no such lines",
    "only": "has no parts",
    "page": "writes no page",
}
"""What only some benchmarks take, and what is said of the others."""


def _benchmarks() -> list[str]:
    try:
        package = importlib.import_module("benchmarks")
    except ModuleNotFoundError:
        return []
    files = (file for folder in package.__path__ for file in Path(folder).glob("*.py"))
    return sorted(file.stem for file in files if "\ndef main(" in file.read_text("utf-8"))
