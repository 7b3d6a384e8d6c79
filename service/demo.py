"""The command `demo`: a live service that learns from real streams while you watch."""

from __future__ import annotations

import argparse
import math
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from threading import Lock

from rich.console import Console
from rich.table import Column, Table

from service.client import Client, is_refused
from service.demo_streams import Source, sources
from service.errors import SynaptideError
from service.progress import Tick, progress
from service.transport import Json

STREAM = "water-flow"
START_SECONDS = 120.0
STOP_SECONDS = 15.0
EPISODES_SHOWN = 10
CHIEF = ("accuracy", "cohen_kappa", "roc_auc", "f1")
"""The figures of quality that are shown."""
_CHUNK_EVENTS = 64
_JOINED_HOURS = 12.0
_ADDRESS = re.compile(r"http://\S+")


@dataclass(frozen=True, slots=True)
class Told:
    """What the service said of a stream."""

    results: list[Json]
    seconds: float
    quality: Json


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
                chosen = sources()
                told = _learn(client.url, chosen)
                _check(told[STREAM].results)
                _report(console, client.url, chosen, told)
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


def _learn(url: str, chosen: Sequence[Source]) -> dict[str, Told]:
    """Replay the streams side by side; return what came of each."""
    with (
        progress("Learning", sum(source.count for source in chosen)) as tick,
        ThreadPoolExecutor(len(chosen)) as pool,
    ):
        learned = Learned(tick)
        told = list(pool.map(lambda source: _replay(url, source, learned), chosen))
    return {source.name: each for source, each in zip(chosen, told, strict=True)}


class Learned:
    """How many events all streams have learned from."""

    def __init__(self, tick: Tick) -> None:
        self._tick, self._count, self._lock = tick, 0, Lock()

    def add(self, events: int) -> None:
        """Show that there are more."""
        with self._lock:
            self._count += events
            self._tick(self._count, self._count)


def _replay(url: str, source: Source, learned: Learned) -> Told:
    results: list[Json] = []
    begun = time.monotonic()
    with Client(url) as client:
        client.create_stream(source.name, source.spec | {"title": source.title})
        events = source.events()
        while chunk := list(islice(events, _CHUNK_EVENTS)):
            results += client.post_ndjson(source.name, chunk)
            learned.add(len(chunk))
        seconds = time.monotonic() - begun
        quality = client.quality(source.name)["overall"]
    refused = [each for each in results if is_refused(each)]
    if refused or len(results) != source.count:
        got = f"{len(results)} results, {len(refused)} of them refused"
        raise DemoError(f"{source.name}: got {got}, expected {source.count}")
    return Told(results, seconds, quality)


def _check(results: Sequence[Json]) -> None:
    """Make sure that every event was scored, from the first score on without a gap."""
    scores = [result.get("anomaly_score") for result in results]
    scored = scores[next((i for i, each in enumerate(scores) if each is not None), 0) :]
    sound = all(each is not None and math.isfinite(each) and 0 <= each <= 1 for each in scored)
    if not sound or results[-1].get("learning") != "learning":
        raise DemoError(f"got {len(results)} results, expected a score in each")


def _report(console: Console, url: str, chosen: Sequence[Source], told: Mapping[str, Told]) -> None:
    _say(console, f"\nAnomalies in {STREAM}, found without labels:\n")
    console.print(_anomalies(told[STREAM].results))
    _say(console, "\nAll streams:\n")
    console.print(_streams(chosen, told))
    events = sum(source.count for source in chosen)
    seconds = max(each.seconds for each in told.values())
    _say(
        console,
        f"Learned from {events:,} events of {len(chosen)} streams one by one in {seconds:.1f} s, "
        f"{events / seconds:,.0f} events per second over HTTP.",
    )
    _say(console, f"\nWatch the streams at {url}/ and read its API at {url}/docs. Things to try:\n")
    for line in _suggestions(url, told[STREAM].results[-1]["offset"]):
        console.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)


def _anomalies(results: Sequence[Json]) -> Table:
    episodes = merged([result for result in results if result["is_anomaly"]])
    episodes = sorted(episodes, key=lambda each: -each[0]["anomaly_score"])[:EPISODES_SHOWN]
    table = Table("time")
    for name in ("events", "flow, l/s", "expected", "score"):
        table.add_column(name, justify="right")
    for worst, count in sorted(episodes, key=lambda each: str(each[0]["ts"])):
        expected = (worst.get("expected_values") or {}).get("flow")
        table.add_row(
            f"{datetime.fromisoformat(worst['ts']):%Y-%m-%d %H:%M}",
            str(count),
            f"{worst['x']['flow']:.2f}",
            "" if expected is None else f"{expected:.2f}",
            f"{worst['anomaly_score']:.3f}",
        )
    return table


def _streams(chosen: Sequence[Source], told: Mapping[str, Told]) -> Table:
    table = Table(Column("stream, learner", no_wrap=True))
    for name in ("events", "a second", "anomalies"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("by the labels", no_wrap=True)
    for source in chosen:
        each = told[source.name]
        learner = source.spec["learner"]
        table.add_row(
            f"{source.name}\n{learner.get('estimator', learner['kind']).rpartition('.')[2]}",
            f"{source.count:,}",
            f"{source.count / each.seconds:,.0f}",
            f"{sum(result['is_anomaly'] for result in each.results):,}",
            "\n".join(f"{name} {each.quality[name]:.3f}" for name in CHIEF if name in each.quality),
        )
    return table


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
