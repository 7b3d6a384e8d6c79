"""Streams that a build cannot read: the others go on, and they come back with one that can."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from service import container
from service.client import Client
from service.schemas import StreamSpec, parse_event
from service.stream import Stream
from service.transport import Problem

ROOT = Path(__file__).parents[2]
SPEC: dict[str, Any] = {"learner": {"kind": "rolling_zscore", "window": 50}}
EVERY_20 = SPEC | {"snapshot_every_events": 20}
EVENTS = 60


def event(i: int) -> dict[str, Any]:
    """The i-th event of every stream."""
    value = (i * 7) % 24 + (40.0 if i % 17 == 0 else 0.0)
    return {"id": f"event-{i}", "ts": f"{1_700_000_000 + 60 * i}", "x": {"value": value}}


def events(first: int, last: int) -> list[dict[str, Any]]:
    return [event(i) for i in range(first, last + 1)]


def undisturbed(last: int, spec: dict[str, Any] = SPEC) -> str:
    """The digest of a run over the first events that nothing ever broke."""
    stream = Stream(StreamSpec.model_validate(spec))
    for each in events(1, last):
        stream.step(parse_event(json.dumps(each).encode()), 0.0)
    return stream.digest.hex()


class Service:
    """A server process over one folder, started and killed at will."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port)]
        self._command += ["--data-dir", str(folder / "data")]
        self.tree = ROOT
        """Where the build is that runs."""
        self.settings: dict[str, str] = {}

    @contextmanager
    def running(self, how: int = signal.SIGKILL) -> Iterator[Client]:
        """Run a process as long as the block, and end it with a signal."""
        environment = os.environ | {"PYTHONPATH": str(self.tree)} | self.settings
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                self._command, cwd=self.tree, stdout=output, stderr=output, env=environment
            )
        try:
            with Client(self.url, max_retries=0) as client:
                client.wait_until_ready()
                yield client
            process.send_signal(how)
            process.wait(60)
        finally:
            process.kill()
            process.wait()

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """The file, for another hand to write to."""
        with closing(sqlite3.connect(self.folder / "data" / "synaptide.db")) as connection:
            yield connection
            connection.commit()

    def get(self, path: str) -> Any:
        """The answer to a request, as JSON."""
        with urllib.request.urlopen(self.url + path) as reply:
            return json.load(reply)

    def text(self, path: str) -> str:
        """The answer to a request."""
        with urllib.request.urlopen(self.url + path) as reply:
            text: str = reply.read().decode()
            return text

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        lines = self.text("/metrics").splitlines()
        (value,) = [line.split()[1] for line in lines if line.startswith(f"synaptide_{name} ")]
        return float(value)


def uid_of(db: sqlite3.Connection, name: str) -> int:
    (uid,) = db.execute("SELECT uid FROM streams WHERE name = ?", (name,)).fetchone()
    return int(uid)


def respec(db: sqlite3.Connection, name: str, old: str, new: str) -> None:
    """Change the text of a stored spec, here and in the snapshots."""
    uid = uid_of(db, name)
    for column in ("spec", "first_spec"):
        (spec,) = db.execute(f"SELECT {column} FROM streams WHERE uid = ?", (uid,)).fetchone()
        assert old.encode() in spec
        changed = spec.replace(old.encode(), new.encode())
        db.execute(f"UPDATE streams SET {column} = ? WHERE uid = ?", (changed, uid))


def reschema(db: sqlite3.Connection, name: str, by: int) -> None:
    """Have all snapshots say that another build wrote them."""
    rows = db.execute("SELECT id, blob FROM snapshots WHERE uid = ?", (uid_of(db, name),))
    for row, blob in rows.fetchall():
        header, arrays = container.unpack(blob, 1 << 30)
        header["schemas"]["learner"] += by
        db.execute(
            "UPDATE snapshots SET blob = ? WHERE id = ?", (container.pack(header, arrays), row)
        )


def damage(db: sqlite3.Connection, name: str, every: bool = False) -> None:
    """Spoil the newest snapshot, or every one."""
    limit = -1 if every else 1
    db.execute(
        """UPDATE snapshots SET blob = substr(blob, 1, 100) WHERE id IN
        (SELECT id FROM snapshots WHERE uid = ? ORDER BY id DESC LIMIT ?)""",
        (uid_of(db, name), limit),
    )


def forget(db: sqlite3.Connection, name: str) -> None:
    """Let the first records of a stream go, as retention does."""
    db.execute(
        """DELETE FROM log WHERE stream = ? AND position <=
        (SELECT MIN(position) FROM snapshots WHERE uid = log.stream)""",
        (uid_of(db, name),),
    )


def made(service: Service, **specs: dict[str, Any]) -> None:
    """Make streams with some events each, and end the process in good order."""
    with service.running(signal.SIGTERM) as client:
        for name, spec in specs.items():
            client.create_stream(name, spec)
            for first in range(1, EVENTS, 20):
                client.post(name, events(first, first + 19))


def refused(client: Client, name: str, event: dict[str, Any]) -> Problem:
    with pytest.raises(Problem) as caught:
        client.post(name, event)
    assert (caught.value.status, caught.value.code) == (409, "unreadable")
    return caught.value


def check_isolated(service: Service, client: Client, names: list[str]) -> None:
    """Each of the named is quarantined with a reason; all that lists them works; well goes on."""
    rows = {row["name"]: row for row in client.streams()}
    for name in names:
        status = rows[name]["status"]
        assert status["learning"] == "quarantined", name
        assert "DELETE the stream" in status["reason"]
        assert "held_after" not in status
        assert client.stream(name)["status"]["reason"] == status["reason"]
        assert client.state(name)["learning"] == "quarantined"
    glances = {each["name"]: each for each in service.get("/v1/overview")["streams"]}
    assert {name for name, each in glances.items() if each["state"] == "quarantined"} == set(names)
    assert service.metric("streams_unreadable") == len(names)
    assert client.ready()


def said(service: Service, text: str) -> int:
    return service.log.read_text().count(text)


def test_specs_that_this_build_does_not_know(tmp_path: Path) -> None:
    service = Service(tmp_path)
    made(service, well=SPEC, parameter=SPEC, kind=SPEC, garbled=SPEC, waits=SPEC)
    with service.running() as client:  # Ended by kill -9 with events acknowledged and not applied.
        assert client.post("waits", events(61, 64), "logged") == {"accepted": 4}
    with service.database() as db:
        for name in ("parameter", "waits"):
            respec(db, name, '"window":50', '"window":50,"pooler_increment":1')
        respec(db, "kind", "rolling_zscore", "bygone_learner")
        respec(db, "garbled", "{", "")
    broken = ["garbled", "kind", "parameter", "waits"]
    for first in (61, 71):
        with service.running() as client:
            client.post("well", events(first, first + 4))
            for name in broken:
                refused(client, name, event(65))
            client.post("well", events(first + 5, first + 9))
            check_isolated(service, client, broken)
            assert client.state("well")["digest"] == undisturbed(first + 9)
            reasons = {row["name"]: row["status"].get("reason", "") for row in client.streams()}
            assert "/learner/pooler_increment: not known to this build" in reasons["parameter"]
            assert "got 'bygone_learner', expected one of" in reasons["kind"]
    assert said(service, "stream quarantined") == 2 * len(broken)
    assert said(service, "Traceback") == 0
    with service.database() as db:
        for name in ("parameter", "waits"):
            respec(db, name, ',"pooler_increment":1', "")
        respec(db, "kind", "bygone_learner", "rolling_zscore")
    with service.running() as client:
        for name in ("kind", "parameter"):
            client.post(name, events(61, 65))
            assert client.state(name)["digest"] == undisturbed(65)
        client.post("waits", event(65))
        assert client.state("waits")["digest"] == undisturbed(65)
        assert [each["offset"] for each in client.results("waits", 0)] == list(range(1, 66))
        client.delete_stream("garbled")
        assert service.metric("streams_unreadable") == 0


def test_snapshots_that_cannot_be_read(tmp_path: Path) -> None:
    service = Service(tmp_path)
    lost = ["newer", "spoiled", "altered"]
    made(service, well=SPEC, **dict.fromkeys([*lost, "older", "whole"], EVERY_20))
    with service.database() as db:
        reschema(db, "newer", 1)
        forget(db, "newer")
        damage(db, "spoiled", every=True)
        forget(db, "spoiled")
        damage(db, "older")
        damage(db, "whole", every=True)
        damage(db, "altered", every=True)
        db.execute(
            "UPDATE log SET payload = replace(payload, 'event-5\"', 'event-x\"') WHERE stream = ?",
            (uid_of(db, "altered"),),
        )
    with service.running() as client:
        # The first comes before anybody knows: it is kept, and refused from then on.
        assert client.post("newer", events(61, 62), "logged") == {"accepted": 2}
        kept = refused(client, "spoiled", event(61))
        assert "checksum" in kept.detail
        refused(client, "altered", event(61))
        assert said(service, "replaying it came to") == 1
        for name in ("well", "older", "whole"):
            client.post(name, events(61, 70))
            assert client.state(name)["digest"] == undisturbed(70, client.stream(name)["spec"])
        assert "state_schema: got " in refused(client, "newer", event(63)).detail
        check_isolated(service, client, lost)
        with pytest.raises(Problem, match="has the learner"):
            client.create_stream("newer", EVERY_20 | {"threshold": 0.9})
        assert client.create_stream("newer", EVERY_20)["status"]["learning"] == "quarantined"
    assert said(service, "stream recovered by replay, without its newest snapshot") == 2
    with service.running() as client:  # What was replayed has a snapshot that can be read.
        for name in ("well", "older", "whole"):
            client.post(name, events(71, 75))
            assert client.state(name)["digest"] == undisturbed(75, client.stream(name)["spec"])
    assert said(service, "stream recovered by replay, without its newest snapshot") == 2
    assert said(service, "Traceback") == 0
    with service.database() as db:
        reschema(db, "newer", -1)
    with service.running() as client:
        client.post("newer", events(63, 65))
        assert client.state("newer")["digest"] == undisturbed(65, EVERY_20)
        assert [each["offset"] for each in client.results("newer", 0)] == list(range(1, 66))


def test_a_stream_begins_anew_with_another_spec_or_a_snapshot(tmp_path: Path) -> None:
    service = Service(tmp_path)
    made(service, well=SPEC, respecified=SPEC, restored=SPEC)
    with service.running(signal.SIGTERM) as client:
        kept = client.download_snapshot("restored", client.snapshot("restored")["id"])
        client.post("respecified", events(61, 62), "logged")
    with service.database() as db:
        respec(db, "respecified", '"window":50', '"window":50,"bygone":1')
        damage(db, "restored", every=True)
        forget(db, "restored")
    with service.running() as client:
        refused(client, "restored", event(61))
        other = {"learner": {"kind": "rolling_zscore", "window": 30}}
        assert client.create_stream("respecified", other)["status"]["learning"] != "quarantined"
        (result,) = client.post("respecified", [event(63)])
        assert result["offset"] == 63
        client.restore("restored", kept)
        (result,) = client.post("restored", [event(62)])
        assert result["offset"] == 62
        client.post("well", events(61, 62))
        check_isolated(service, client, [])
        digests = {name: client.state(name)["digest"] for name in ("respecified", "restored")}
    with service.running() as client:
        for name, digest in digests.items():
            assert client.state(name)["digest"] == digest
            client.post(name, events(64, 65))
        assert client.state("well")["digest"] == undisturbed(62)
        assert said(service, "Traceback") == 0


def test_rows_that_cannot_be_read(tmp_path: Path) -> None:
    service = Service(tmp_path)
    made(service, well=SPEC, entry=SPEC, history=SPEC, results=SPEC, status=SPEC)
    with service.database() as db:
        (last,) = db.execute("SELECT MAX(position) FROM log").fetchone()
        now = 1_700_000_000.0
        for i, payload in enumerate((b'{"x":', json.dumps(event(61)).encode()), 1):
            row = (last + i, uid_of(db, "entry"), now, 1, 60 + i, payload)
            db.execute("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)", row)
        uid = uid_of(db, "history")
        db.execute("UPDATE log SET payload = x'00ff' WHERE stream = ?", (uid,))
        damage(db, "history", every=True)
        uid = uid_of(db, "results")
        db.execute("UPDATE results SET payload = x'7b' WHERE uid = ? AND last <= 20", (uid,))
        db.execute("UPDATE heads SET status = x'7b' WHERE uid = ?", (uid_of(db, "status"),))
    with service.running() as client:
        client.post("well", events(61, 65))
        refused(client, "history", event(61))
        client.post("status", events(61, 65))
        assert client.state("status")["digest"] == undisturbed(65)
        assert client.state("entry")["learning"] == "quarantined"
        assert client.state("entry")["offset"] == 61
        (letter,) = service.get("/v1/streams/entry/dead-letters")["dead_letters"]
        assert (letter["reason"], letter["event"]) == ("raised", '{"x":')
        with pytest.raises(Problem, match="expected 20 or more"):
            list(client.results("results", 0))
        assert len(list(client.results("results", 20))) == 40
        client.post("well", events(66, 70))
        assert client.state("well")["digest"] == undisturbed(70)
        assert client.ready()
    assert said(service, "worker failed") == 0
    with service.running() as client:
        assert client.state("entry")["learning"] == "quarantined"
        client.post("entry", event(62))
        assert client.state("entry")["offset"] == 62
