"""Prometheus and its tool, as they are installed; and what a query says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
BOARDS = sorted((ROOT / "deploy" / "grafana" / "boards").glob("*.json"))
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))

T = TypeVar("T")


def tool(name: str) -> str:
    """Return the path of a program, or skip the test; where CI is set, that is a failure."""
    path = shutil.which(name)
    if path is None:
        said = f"{name}: not installed; Debian's package prometheus has it"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    return path


def promtool(*arguments: str, stdin: bytes = b"", where: Path = ROOT) -> str:
    """Run promtool, which must be content, and return what it said."""
    command = [tool("promtool"), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, cwd=where, timeout=120)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def eventually(found: Callable[[], T], seconds: float = 60.0) -> T:
    """Ask again and again until there is something; return it, or fail with what there was."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"after {seconds} seconds: got {value!r}"
        time.sleep(0.05)
    return value


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series an expression has now."""
        result: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return result

    def ask(self, what: str, **parameters: str) -> Any:
        """Return the data of a reply."""
        with urlopen(f"{self.url}/api/v1/{what}?{urlencode(parameters)}", timeout=30) as reply:
            return json.load(reply)["data"]


@contextmanager
def scraping(target: str, folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus with our own configuration, but hurried, and with a target of the test."""
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    hurried = ("scrape_interval", "scrape_timeout", "evaluation_interval")
    configuration["global"] = dict.fromkeys(hurried, "1s")
    configuration["rule_files"] = [str(PROMETHEUS / path) for path in configuration["rule_files"]]
    (job,) = configuration["scrape_configs"]
    job["static_configs"] = [{"targets": [target]}]
    path, log = folder / "prometheus.yml", folder / "prometheus.log"
    path.write_text(yaml.safe_dump(configuration), "utf-8")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                tool("prometheus"),
                f"--config.file={path}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--enable-feature=exemplar-storage",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Prometheus(f"http://{eventually(lambda: _address(log, process))}")
        finally:
            process.terminate()
            process.wait(30)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    """Return where Prometheus listens, once it is ready."""
    said = log.read_text("utf-8")
    assert process.poll() is None, said
    ready = "Server is ready to receive web requests" in said
    found = re.search(r'msg="Listening on" address=(\S+)', said)
    return found[1] if ready and found else ""


def scrape(url: str, *, modern: bool = False, query: str = "") -> str:
    """Return what Prometheus would get from a service."""
    accept = "application/openmetrics-text; version=1.0.0" if modern else "text/plain"
    with urlopen(Request(f"{url}/metrics{query}", headers={"Accept": accept})) as reply:
        text: str = reply.read().decode()
        return text


# What a query says

_WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}
_ASIDE = (
    r'"(?:[^"\\]|\\.)*"',
    r"\{[^{}]*\}",
    r"\[[^\]]*\]",
    r"\b(?:by|on|ignoring|without|group_left|group_right)\s*\([^()]*\)",
    r"\$\w+",
)


def names_in(expression: str) -> set[str]:
    """Return the names of the metrics in a PromQL expression."""
    for aside in _ASIDE:
        expression = re.sub(aside, " ", expression)
    words = re.findall(r"(?<![\w:])[a-zA-Z_:][\w:]*(?![\w:]|\s*\()", expression)
    return {word for word in words if word not in _WORDS}


def rules() -> list[dict[str, Any]]:
    """Return every rule."""
    files = [yaml.safe_load(path.read_text("utf-8")) for path in RULES]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def panels(board: Path) -> list[dict[str, Any]]:
    """Return the panels of a board that show something."""
    document = json.loads(board.read_text("utf-8"))
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def queries() -> list[tuple[str, str]]:
    """Return every query of every board, with the name of its panel."""
    return [
        (f"{board.stem} {panel['id']}, {panel['title']}: {target['refId']}", target["expr"])
        for board in BOARDS
        for panel in panels(board)
        for target in panel["targets"]
    ]
