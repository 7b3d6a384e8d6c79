"""The command `demo`: a live service that learns from a real stream while you watch."""

from __future__ import annotations

import argparse
import math
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from service.client import Client
from service.commands import DEFAULT_SPEC
from service.errors import SynaptideError
from service.progress import progress
from service.replay import chunked
from service.rows import EventFile
from service.transport import Json

STREAM = "water-flow"
START_SECONDS = 120.0
STOP_SECONDS = 15.0
EPISODES_SHOWN = 10
_CHUNK_EVENTS = 32
_JOINED_HOURS = 12.0
_ADDRESS = re.compile(r"http://\S+")


class DemoError(SynaptideError):
    """The demonstration did not come to its end"""

    code = "demo-failed"


def demo(arguments: argparse.Namespace) -> int:
    """Start a service, let it learn, show what it found, and serve on until Ctrl-C."""
    signal.signal(signal.SIGTERM, _stop)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="synaptide-demo-") as folder:
        log = Path(folder, "log.txt")
        with _service(Path(folder, "data"), log) as process:
            with console.status("Starting the service and compiling its learners …"):
                client = _ready(process, log)
            with client:
                results, seconds = _learn(client)
                _report(console, client.url, results, seconds)
            if not arguments.exit:
                console.print("\nServing until Ctrl-C.")
                _wait(process, log)
    return 0


def _stop(number: int, frame: object) -> None:
    sys.exit(128 + number)


@contextmanager
def _service(data_dir: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a service in a process of its own, and end it whatever happens."""
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0"]
    with (
        log.open("wb") as output,
        # In a session of its own, Ctrl-C reaches this program only, which then ends the service.
        subprocess.Popen(
            [*command, "--data-dir", str(data_dir)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _ready(process: subprocess.Popen[bytes], log: Path) -> Client:
    """Wait for the address and for the learners, and return a client."""
    deadline = time.monotonic() + START_SECONDS
    client: Client | None = None
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise _ended(process, log)
        if client is None and (address := _ADDRESS.search(log.read_text("utf-8", "replace"))):
            client = Client(address[0])
        if client is not None and client.ready():
            return client
        time.sleep(0.05)
    raise DemoError(f"the service was not ready within {START_SECONDS:g} seconds")


def _ended(process: subprocess.Popen[bytes], log: Path) -> DemoError:
    said = "\n".join(log.read_text("utf-8", "replace").splitlines()[-20:])
    return DemoError(f"the service ended with code {process.returncode}:\n{said}")


def _wait(process: subprocess.Popen[bytes], log: Path) -> None:
    """Serve on; here Ctrl-C is the proper end."""
    try:
        process.wait()
    except KeyboardInterrupt:
        return
    raise _ended(process, log)


def _learn(client: Client) -> tuple[list[Json], float]:
    """Replay the water flow through the service; return results and how long they took."""
    from river.datasets import WaterFlow

    source = WaterFlow()
    client.create_stream(STREAM, DEFAULT_SPEC | {"title": "Water flow in a pipeline, liters/s"})
    results: list[Json] = []
    begun = time.monotonic()
    with (
        EventFile(source.path, ["Water flow [l/s]"], "Time") as rows,
        progress("Learning", source.n_samples) as tick,
    ):
        for chunk in chunked(rows, events=_CHUNK_EVENTS):
            events = [
                {"ts": row.event["ts"], "x": {"flow": flow}}
                for row in chunk
                for flow in row.event["x"].values()
            ]
            answers = client.post_ndjson(STREAM, events)
            for event, answer in zip(events, answers, strict=True):
                results.append(answer | {"flow": event["x"]["flow"]})
            tick(len(results), len(results))
    _check(results, source.n_samples)
    return results, time.monotonic() - begun


def _check(results: Sequence[Json], expected: int) -> None:
    """Make sure that every event was scored, from the first score on without a gap."""
    scores = [result.get("anomaly_score") for result in results]
    scored = scores[next((i for i, each in enumerate(scores) if each is not None), 0) :]
    sound = all(each is not None and math.isfinite(each) and 0 <= each <= 1 for each in scored)
    if len(results) != expected or not sound or results[-1].get("learning") != "learning":
        raise DemoError(f"got {len(results)} results, expected {expected} with a score each")


def _report(console: Console, url: str, results: Sequence[Json], seconds: float) -> None:
    episodes = merged([result for result in results if result["is_anomaly"]])
    episodes = sorted(episodes, key=lambda each: -each[0]["anomaly_score"])[:EPISODES_SHOWN]
    table = Table(title=f"Anomalies in {STREAM}", title_justify="left")
    table.add_column("time")
    for name in ("events", "flow, l/s", "expected", "score"):
        table.add_column(name, justify="right")
    for worst, count in sorted(episodes, key=lambda each: str(each[0]["ts"])):
        expected = (worst.get("expected_values") or {}).get("flow")
        table.add_row(
            f"{datetime.fromisoformat(worst['ts']):%Y-%m-%d %H:%M}",
            str(count),
            f"{worst['flow']:.2f}",
            "" if expected is None else f"{expected:.2f}",
            f"{worst['anomaly_score']:.3f}",
        )
    console.print(table)
    console.print(
        f"Learned from {len(results):,} events one by one in {seconds:.1f} s, "
        f"{len(results) / seconds:,.0f} events per second over HTTP.",
        highlight=False,
        soft_wrap=True,
    )
    warming = sum(result["learning"] == "warming" for result in results)
    console.print(
        f"The first {warming} taught it what is normal here; none of them is called an anomaly.",
        highlight=False,
        soft_wrap=True,
    )
    about = f"\nThe service is at {url} and its API at {url}/docs. Things to try:\n"
    console.print(about, highlight=False, soft_wrap=True)
    for line in _suggestions(url, results[-1]["offset"]):
        console.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)


def merged(anomalies: Sequence[Json]) -> list[tuple[Json, int]]:
    """Join anomalies that lie close together; return the worst of each episode and their count."""
    episodes: list[tuple[Json, int]] = []
    before: datetime | None = None
    for each in anomalies:
        moment = datetime.fromisoformat(each["ts"])
        if before is not None and (moment - before).total_seconds() <= _JOINED_HOURS * 3_600:
            worst, count = episodes[-1]
            if each["anomaly_score"] > worst["anomaly_score"]:
                worst = each
            episodes[-1] = worst, count + 1
        else:
            episodes.append((each, 1))
        before = moment
    return episodes


def _suggestions(url: str, offset: int) -> list[str]:
    stream = f"{url}/v1/streams/{STREAM}"
    return [
        f"curl {stream}/state",
        f"curl {stream}/events -H 'Content-Type: application/json' "
        """-d '{"x": {"flow": 250}}'""",
        f"curl -N '{stream}/live?after={offset - 5}'",
    ]
