"""Every route against a real server: what it does, and that its reply is the documented one."""

from __future__ import annotations

import json
import shutil
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families
from pydantic import TypeAdapter
from structlog.testing import capture_logs

from learners.base import Arrays, Features, Learner, Prediction, Target
from learners.rolling_zscore import RollingZScore
from service import catalog
from service.api import (
    events,
    labels,
    live,
    operations,
    overview,
    replies,
    sockets,
    streams,
    templates,
)
from service.api.state import Api
from service.client import Client
from service.errors import NotReady
from service.formats import FORMAT
from service.journal.sqlite import SqliteJournal
from service.metrics import Metrics
from service.schemas import parse_event, parse_spec
from service.settings import Settings
from service.stream import Stream
from service.version import VERSION
from tests.conftest import Serving
from tests.service.raw import JSON, NDJSON, Answer, ask, close_code, heard, opened

SPEC: dict[str, Any] = {"learner": {"kind": "rolling_zscore", "window": 20, "min_samples": 5}}
ROUTERS = [each.router for each in (streams, events, labels, live, overview, templates, operations)]
ROUTES: dict[str, Any] = {
    route.operation_id: route
    for router in ROUTERS
    for route in router.routes
    if hasattr(route, "operation_id")
}


def event(i: int, **more: Any) -> dict[str, Any]:
    """Return the i-th event; its time is its own, so that digests can be compared."""
    return {"ts": f"2026-01-01T00:{i // 60:02}:{i % 60:02}Z", "x": {"v": float(i % 7)}} | more


class Hand:
    """Asks about one stream, and holds each reply against what is documented."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        self.path = f"/v1/streams/{name}"

    def ask(self, operation: str, status: int, body: Any = None, **options: Any) -> Answer:
        """Call an operation and expect a status."""
        route = ROUTES[operation]
        path = route.path.replace("{stream}", self.name)
        path = path.replace("{snapshot_id}", str(options.pop("snapshot", "")))
        path = path.replace("{template}", str(options.pop("template", "")))
        headers = options.pop("headers", JSON)
        query = "&".join(f"{name}={value}" for name, value in options.items())
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body)
        (method,) = route.methods
        answer = ask(self.url, method, f"{path}?{query}" if query else path, headers, body)
        assert answer.status == status, answer.body[:1_000]
        kind = answer.headers.get("content-type")
        if status >= 400:
            assert kind == "application/problem+json"
            assert answer.json["status"] == status
        elif kind == "application/json":
            TypeAdapter(route.responses[status]["model"]).validate_json(answer.body)
        return answer

    def put(self, spec: Mapping[str, Any] = SPEC, status: int = 201) -> Any:
        return self.ask("put_stream", status, spec).json

    def post(self, body: Any, status: int = 200, **options: Any) -> Any:
        return self.ask("post_events", status, body, **options).json

    def lines(self, lines: list[Any], status: int = 200, **options: Any) -> list[Any]:
        body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        return self.ask("post_events", status, body, headers=NDJSON, **options).lines

    def state(self) -> Any:
        return self.ask("get_state", 200).json

    def receipt(self) -> tuple[int, str]:
        state = self.state()
        return state["offset"], state["digest"]

    def results(self, **options: Any) -> Any:
        return self.ask("get_results", 200, **options).json

    def settled(self, offset: int) -> Any:
        """Return the state when this many events are applied."""
        for _ in range(1_000):
            state = self.state()
            if state["offset"] >= offset:
                break
            time.sleep(0.01)
        assert state["offset"] == offset
        return state


def same_as_alone(hand: Hand, spec: Mapping[str, Any], posted: list[dict[str, Any]]) -> None:
    """Check that the stream stands where a bare one, fed the same, stands."""
    stream = Stream(parse_spec(json.dumps(spec).encode()))
    for each in posted:
        stream.step(parse_event(json.dumps(each).encode()), 0.0)
    assert hand.receipt() == (stream.offset, stream.digest.hex())


@pytest.fixture
def hand(server: str, request: pytest.FixtureRequest) -> Hand:
    """A stream of the test's own."""
    hand = Hand(server, request.node.name.replace("[", ".").replace("]", ""))
    hand.put()
    return hand


# Streams


def test_a_stream_is_made_once(server: str) -> None:
    hand = Hand(server, "life")
    hand.ask("get_stream", 404)
    made = hand.ask("put_stream", 201, SPEC)
    assert made.headers["etag"] == '"1"'
    assert (made.json["name"], made.json["offset"], made.json["version"]) == ("life", 0, 1)
    assert made.json["spec"]["threshold"] == 0.5
    assert made.json["memory_bytes_estimate"] > 20 * 8
    again = hand.ask("put_stream", 200, SPEC)
    assert (again.headers["etag"], again.json) == ('"1"', made.json)
    assert hand.ask("get_stream", 200).json == made.json
    deleted = hand.ask("delete_stream", 204)
    assert deleted.body == b""
    hand.ask("delete_stream", 404)
    assert hand.put()["digest"] == made.json["digest"]


def test_a_stream_is_changed_where_it_may(hand: Hand) -> None:
    made = hand.ask("get_stream", 200)
    changed = hand.ask("put_stream", 200, SPEC | {"threshold": 0.9, "title": "Kessel 3 — süd"})
    assert changed.headers["etag"] == '"2"'
    assert changed.json["spec"]["title"] == "Kessel 3 — süd"
    assert changed.json["digest"] != made.json["digest"]
    got = hand.ask("get_stream", 200)
    assert (got.headers["etag"], got.json) == ('"2"', changed.json)

    refused = hand.ask("put_stream", 409, {"learner": SPEC["learner"] | {"window": 21}})
    assert refused.json["code"] == "spec-conflict"
    assert hand.ask("get_stream", 200).json == changed.json


def test_the_threshold_that_was_changed_is_the_one_that_counts(hand: Hand) -> None:
    spec: dict[str, Any] = SPEC | {"indicators": []}
    hand.ask("delete_stream", 204)
    hand.put(spec | {"threshold": 1.0})
    for i in range(20):
        assert hand.post(event(i))["is_anomaly"] is False
    hand.put(spec | {"threshold": 0.01}, 200)
    said = hand.post(event(20, x={"v": 5.0}))
    assert said["learning"] == "learning"
    assert said["is_anomaly"] is True
    assert hand.ask("get_stream", 200).json["status"]["anomalies"] == 1


def test_streams_are_listed_by_name(server: str) -> None:
    for name in ("list-b", "list-a", "list-C"):
        Hand(server, name).put()
    listed = Hand(server, "").ask("list_streams", 200).json["streams"]
    names = [each["name"] for each in listed]
    assert names == sorted(names)
    assert {"list-a", "list-b", "list-C"} <= set(names)
    one = next(each for each in listed if each["name"] == "list-a")
    assert one == Hand(server, "list-a").ask("get_stream", 200).json


def test_a_stream_made_anew_remembers_nothing(hand: Hand) -> None:
    first = [hand.post(event(i, id=f"e{i}")) for i in range(3)]
    hand.ask("delete_stream", 204)
    hand.ask("get_results", 404)
    hand.put()
    assert hand.state()["offset"] == 0
    assert hand.results() == {"results": [], "next": 0}
    assert hand.post(event(0, id="e0")) == first[0]


def test_the_state_says_what_a_person_would_ask(hand: Hand) -> None:
    fresh = hand.state()
    assert (fresh["learning"], fresh["offset"], fresh["signals"]) == ("warming", 0, {})
    assert fresh["last_snapshot"] is None
    last = hand.post([event(i) for i in range(30)])[-1]
    state = hand.state()
    assert (state["offset"], state["digest"]) == (30, last["digest"])
    assert state["newest_ts"] == "2026-01-01T00:00:29Z"
    assert state["raw_score"] == last["raw_score"]
    assert state["signals"]["values"] == 30.0
    taken = hand.ask("post_snapshot", 201).json
    assert hand.state()["last_snapshot"] == {"id": taken["id"], "offset": 30}


# Events


def test_one_event_has_its_result(hand: Hand) -> None:
    said = hand.post({"id": "a", "ts": "2026-01-01T01:00:00+01:00", "x": {"v": 1}})
    assert (said["event_id"], said["offset"], said["ts"]) == ("a", 1, "2026-01-01T00:00:00Z")
    assert (said["anomaly_score"], said["is_anomaly"], said["learning"]) == (None, False, "warming")
    unnamed = hand.post({"x": {"v": 1}})
    assert (unnamed["event_id"], unnamed["offset"]) == ("@2", 2)
    age = time.time() - TypeAdapter(float).validate_python(_seconds(unnamed["ts"]))
    assert -5 < age < 60


def _seconds(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp()


def test_every_form_teaches_the_same(server: str) -> None:
    posted = [event(i, id=f"e{i}") for i in range(70)]
    said = []
    for form in ("one", "array", "lines", "chunks"):
        hand = Hand(server, f"form-{form}")
        hand.put()
        if form == "one":
            said.append([hand.post(each) for each in posted])
        elif form == "array":
            said.append(hand.post(posted))
        elif form == "lines":
            said.append(hand.lines(posted))
        else:
            body = b"\n".join(json.dumps(each).encode() for each in posted)
            parts = (body[i : i + 777] for i in range(0, len(body), 777))
            answer = ask(server, "POST", f"{hand.path}/events", NDJSON, parts)
            assert answer.headers["content-type"] == "application/x-ndjson"
            said.append(answer.lines)
        same_as_alone(hand, SPEC, posted)
    assert [each["offset"] for each in said[0]] == list(range(1, 71))
    assert all(each == said[0] for each in said)


def test_the_same_id_again_teaches_nothing(hand: Hand) -> None:
    first = hand.post([event(i, id=f"e{i}") for i in range(10)])
    before = hand.receipt()
    assert hand.post(event(99, id="e3", x={"v": 1e6})) == first[3] | {"duplicate": True}
    again = hand.lines([event(i, id=f"e{i}") for i in (9, 0)])
    assert again == [first[9] | {"duplicate": True}, first[0] | {"duplicate": True}]
    assert hand.receipt() == before
    assert hand.results()["results"] == first
    mixed = hand.post([event(10, id="e10"), event(10, id="e10"), event(5, id="e5")])
    assert [each.get("duplicate", False) for each in mixed] == [False, True, True]
    assert mixed[1] == mixed[0] | {"duplicate": True}
    assert hand.state()["offset"] == 11
    same_as_alone(hand, SPEC, [event(i, id=f"e{i}") for i in range(11)])


@pytest.mark.parametrize("ack", ["received", "logged"])
def test_an_event_that_is_not_waited_for_is_applied_all_the_same(hand: Hand, ack: str) -> None:
    posted = [event(i) for i in range(23)]
    assert hand.post(posted[0], 202, ack=ack) == {"accepted": 1}
    assert hand.post(posted[1:20], 202, ack=ack) == {"accepted": 19}
    assert hand.lines(posted[20:], 202, ack=ack) == [{"accepted": 3}]
    hand.settled(23)
    same_as_alone(hand, SPEC, posted)
    some = hand.post([event(23), {"x": {}}], 207, ack=ack)
    assert some["accepted"] == 1
    assert some["refused"][0]["line"] == 2
    assert hand.settled(24)["offset"] == 24


def test_logged_is_on_disk_when_it_is_answered(serving: Serving, tmp_path: Path) -> None:
    posted = [event(i) for i in range(500)]
    with serving(tmp_path / "a") as url:
        hand = Hand(url, "s")
        hand.put()
        assert hand.post(posted, 202, ack="logged") == {"accepted": 500}
        # What a crash at this moment would leave.
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    with serving(tmp_path / "b") as url:
        hand = Hand(url, "s")
        hand.settled(500)
        same_as_alone(hand, SPEC, posted)


def test_applied_is_on_disk_when_it_is_answered(serving: Serving, tmp_path: Path) -> None:
    posted = [event(i) for i in range(50)]
    with serving(tmp_path / "a") as url:
        hand = Hand(url, "s")
        hand.put()
        said = hand.post(posted)
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    with serving(tmp_path / "b") as url:
        hand = Hand(url, "s")
        assert hand.receipt() == (50, said[-1]["digest"])
        assert hand.results()["results"] == said
        assert hand.post(posted[7] | {"id": "new"})["offset"] == 51


def test_all_or_none(hand: Hand) -> None:
    before = hand.receipt()
    problem = hand.post([event(0), {"x": {"v": []}}, 5], 422, atomic="true")
    assert [item["line"] for item in problem["errors"] if item["pointer"] == ""] == [3]
    assert {item["line"] for item in problem["errors"]} == {2, 3}
    hand.lines([event(0), {"y": 1}], 422, atomic="true")
    assert hand.receipt() == before
    assert len(hand.post([event(0), event(1)], atomic="true")) == 2
    assert hand.lines([event(2), event(3)], atomic="true")[-1]["offset"] == 4


def test_a_batch_of_everything(hand: Hand) -> None:
    hand.post(event(50, id="seen"))
    hand.ask("put_stream", 200, SPEC | {"late": {"policy": "rejected"}})
    said = hand.post(
        [
            event(51),
            event(52, id="seen"),
            {"x": {"v": "word"}},
            event(3),
            {"x": {"v": None}, "ts": "2026-01-01T00:00:53Z"},
            {"x": 1},
        ],
        207,
    )
    assert [each.get("offset") for each in said] == [2, 1, None, None, 3, None]
    assert [each.get("line") for each in said] == [None, None, 3, 4, None, 6]
    codes = [each.get("code") for each in said]
    assert codes == [None, None, "invalid-event", "late-event", None, "invalid-input"]
    assert said[1]["duplicate"] is True
    letters = hand.ask("list_dead_letters", 200).json["dead_letters"]
    assert [(each["reason"], each["event"]["x"]) for each in letters] == [
        ("invalid", {"v": "word"}),
        ("invalid", {"v": 3.0}),
    ]


@pytest.mark.parametrize("policy", ["scored_only", "rejected"])
def test_a_late_event_teaches_nothing(hand: Hand, policy: str) -> None:
    hand.ask("delete_stream", 204)
    spec = SPEC | {"late": {"policy": policy, "tolerance_seconds": 10}}
    hand.put(spec)
    posted = [event(60 + i) for i in range(10)]
    hand.post(posted)
    on_the_brink = hand.post(event(59, x={"v": 4.0}))
    assert "late" not in on_the_brink
    signals, before = hand.state()["signals"], hand.receipt()
    if policy == "rejected":
        problem = hand.post(event(58), 422)
        assert problem["code"] == "late-event"
        assert hand.receipt() == before
    else:
        said = hand.post(event(58, x={"v": 1e6}))
        assert (said["late"], said["anomaly_score"], said["is_anomaly"]) == (True, None, False)
        assert said["raw_score"] > 0.99
        assert hand.receipt() == (12, said["digest"])
    assert hand.state()["signals"] == signals
    assert hand.state()["newest_ts"] == "2026-01-01T00:01:09Z"


# Results


class Slow(RollingZScore):
    """Takes as long for an event as the test likes."""

    begun, go_on = threading.Event(), threading.Event()

    def step_one(self, x: Features, y: Target = None, t: float | None = None) -> Prediction:
        Slow.begun.set()
        assert Slow.go_on.wait(30)
        return super().step_one(x, y, t)


def take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have streams that are in memory from now on take as long as the test likes."""
    Slow.begun.clear()
    Slow.go_on.clear()
    learners: dict[str, type[Learner]] = catalog.LEARNERS  # type: ignore[assignment]
    monkeypatch.setitem(learners, "rolling_zscore", Slow)


def test_a_full_queue_says_so(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, max_queued_entries=50) as url:
        hand = Hand(url, "s")
        hand.put()
        take_long(monkeypatch)
        posted = [event(i) for i in range(49)]
        hand.post(posted, 202, ack="received")
        try:
            assert Slow.begun.wait(10)
            full = hand.ask("post_events", 429, [event(50), event(51)])
            assert full.json["code"] == "queue-full"
            assert int(full.headers["retry-after"]) >= 1
            assert hand.post([event(i) for i in range(51)], 413)["code"] == "too-large"
            assert ask(url, "GET", "/livez").status == 200
        finally:
            Slow.go_on.set()
        hand.settled(49)
        same_as_alone(hand, SPEC, posted)
        assert len(hand.post([event(50), event(51)])) == 2
        rejected = ("events_rejected_total", frozenset({("reason", "throttled")}))
        assert scraped(url)[rejected] == 2


def test_a_stream_that_is_deleted_while_an_answer_is_waited_for(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as url:
        hand, other = Hand(url, "s"), Hand(url, "other")
        hand.put()
        take_long(monkeypatch)
        refused: list[Any] = []
        waiting = threading.Thread(target=lambda: refused.append(hand.post(event(0), 404)))
        waiting.start()
        try:
            assert Slow.begun.wait(10)
            with opened(url, "s") as socket:
                heard(socket)
                socket.send(json.dumps({"type": "events", "seq": 5, "events": [event(1)]}))
                socket.send('{"type":"dance"}')
                assert heard(socket)["code"] == "invalid-input"  # So the frame was taken.
                hand.ask("delete_stream", 204)
                said = heard(socket)
        finally:
            Slow.go_on.set()
        waiting.join(10)
        assert (said["type"], said["seq"], said["code"]) == ("problem", 5, "stream-not-found")
        assert [each["code"] for each in refused] == ["stream-not-found"]
        other.put()
        assert other.post(event(0))["offset"] == 1


def test_one_broken_event_among_many(hand: Hand) -> None:
    posted: list[Any] = [event(i) for i in range(1_000)]
    posted[700] = {"x": "broken"}
    said = hand.post(posted, 207)
    assert said[700]["line"] == 701
    del posted[700], said[700]
    assert [each["offset"] for each in said] == list(range(1, 1_000))
    same_as_alone(hand, SPEC, posted)


def test_results_come_in_pages(hand: Hand) -> None:
    said = hand.post([event(i) for i in range(25)])
    got, after = [], 0
    while page := hand.results(after=after, limit=10)["results"]:
        assert len(page) <= 10
        got += page
        after = hand.results(after=after, limit=10)["next"]
    assert (got, after) == (said, 25)
    assert hand.results(after=24) == {"results": said[24:], "next": 25}
    assert hand.results(after=25) == {"results": [], "next": 25}
    assert hand.results(after=1_000) == {"results": [], "next": 1_000}


def test_results_expire(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path, results_kept=100) as url:
        hand = Hand(url, "s")
        hand.put()
        for i in range(20):
            hand.post([event(20 * i + j, id=f"e{20 * i + j}") for j in range(20)])
    # In a new process nothing is remembered but what is on disk.
    with serving(tmp_path, results_kept=100) as url:
        hand = Hand(url, "s")
        gone = hand.ask("get_results", 410, after=5).json
        assert gone["code"] == "results-expired"
        oldest = gone["oldest"]
        assert 400 - 100 - 40 <= oldest <= 301
        assert str(oldest - 1) in gone["detail"]
        page = hand.results(after=oldest - 1, limit=10_000)["results"]
        assert [each["offset"] for each in page] == list(range(oldest, 401))
        hand.ask("get_results", 410, after=oldest - 2)
        assert hand.ask("follow_results", 410, after=5).json["oldest"] == oldest
        before = hand.receipt()
        assert hand.post(event(9, id="e7")) == {"event_id": "e7", "offset": 8, "duplicate": True}
        assert hand.post(event(9, id="e399"))["digest"] == page[-1]["digest"]
        assert hand.receipt() == before


# Snapshots


def test_a_twin_goes_on_digest_for_digest(hand: Hand) -> None:
    hand.post([event(i, id=f"e{i}") for i in range(30)])
    taken = hand.ask("post_snapshot", 201).json
    assert (taken["offset"], taken["digest"]) == hand.receipt()
    listed = hand.ask("list_snapshots", 200).json["snapshots"]
    (kept,) = [each for each in listed if each["id"] == taken["id"]]
    assert (kept["kept"], kept["offset"], kept["size_bytes"]) == (True, 30, taken["size_bytes"])
    blob = hand.ask("get_snapshot", 200, snapshot=taken["id"]).body
    assert len(blob) == taken["size_bytes"]

    twin = Hand(hand.url, f"{hand.name}-twin")
    twin.put()
    done = twin.ask("restore_stream", 200, blob).json
    assert (done["command"], done["offset"], done["digest"]) == ("restore", 30, taken["digest"])
    assert twin.receipt() == hand.receipt()
    assert twin.ask("get_results", 410).json["oldest"] == 31
    more = [event(i, id=f"e{i}") for i in range(25, 60)]
    ours, theirs = hand.post(more), twin.post(more)
    assert ours[5:] == theirs[5:]
    # A first result that the twin never had is answered with its offset.
    assert theirs[0] == {"event_id": "e25", "offset": 26, "duplicate": True}
    assert twin.receipt() == hand.receipt()


def test_a_running_stream_takes_a_learner_over(hand: Hand) -> None:
    hand.post([event(i) for i in range(30)])
    taken = hand.ask("post_snapshot", 201).json
    blob = hand.ask("get_snapshot", 200, snapshot=taken["id"]).body
    signals = hand.state()["signals"]
    poisoned = hand.post([event(30 + i, x={"v": 1e6}) for i in range(10)])[-1]
    assert hand.state()["signals"] != signals
    done = hand.ask("restore_stream", 200, blob).json
    assert done["offset"] == 40
    assert done["digest"] not in (poisoned["digest"], taken["digest"])
    assert hand.state()["signals"] == signals
    said = hand.post(event(41))
    assert said["offset"] == 41
    assert said["expected_values"]["v"] < 7
    # A snapshot of where the stream stands changes nothing, not even the digest.
    now = hand.ask("post_snapshot", 201).json
    same = hand.ask("get_snapshot", 200, snapshot=now["id"]).body
    assert hand.ask("restore_stream", 200, same).json["digest"] == now["digest"]
    assert hand.receipt() == (41, said["digest"])


def test_what_commands_did_is_there_after_a_crash(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path / "a") as url:
        hand = Hand(url, "s")
        hand.put()
        hand.post([event(i) for i in range(30)])
        taken = hand.ask("post_snapshot", 201).json
        blob = hand.ask("get_snapshot", 200, snapshot=taken["id"]).body
        hand.post([event(30 + i, x={"v": 1e6}) for i in range(10)])
        hand.ask("restore_stream", 200, blob)
        hand.put(SPEC | {"threshold": 0.7}, 200)
        hand.post([event(50 + i) for i in range(10)])
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        before, spec = hand.receipt(), hand.ask("get_stream", 200).json["spec"]
        next_one = hand.post(event(70))
    with serving(tmp_path / "b") as url:
        hand = Hand(url, "s")
        assert hand.receipt() == before
        assert hand.ask("get_stream", 200).json["spec"] == spec
        assert hand.ask("get_snapshot", 200, snapshot=taken["id"]).body == blob
        assert hand.post(event(70)) == next_one


# A learner that raises


class Fragile(RollingZScore):
    """Raises on -666 for good, and on -2 as often as `moods` says."""

    moods = 0

    def step_one(self, x: Features, y: Target = None, t: float | None = None) -> Prediction:
        if x.get("v") == -666:
            raise RuntimeError("cannot stand it")
        if x.get("v") == -2 and Fragile.moods:
            Fragile.moods -= 1
            raise RuntimeError("not in the mood")
        return super().step_one(x, y, t)


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> None:
    learners: dict[str, type[Learner]] = catalog.LEARNERS  # type: ignore[assignment]
    monkeypatch.setitem(learners, "rolling_zscore", Fragile)


POISON = {"x": {"v": -666.0}}


@pytest.mark.usefixtures("fragile")
def test_a_learner_that_raises_is_set_aside(serving: Serving, tmp_path: Path) -> None:
    with capture_logs() as logs, serving(tmp_path / "a") as url:
        hand, other = Hand(url, "sick"), Hand(url, "well")
        hand.put()
        other.put()
        hand.post([event(i) for i in range(20)])
        other.post([event(i) for i in range(20)])
        said = hand.post([event(20), event(21, id="bad") | POISON, event(22)], 207)
        assert [each.get("offset") for each in said] == [21, None, 22]
        assert (said[1]["code"], said[1]["line"]) == ("quarantined", 2)
        assert (said[1]["event_id"], said[1]["status"]) == ("bad", 422)
        assert "cannot stand it" in said[1]["detail"]
        assert [line["event"] for line in logs].count("learner raised") == 2
        assert [line["event"] for line in logs].count("stream quarantined") == 1

        # It goes on without learning; what it answers says so.
        signals = hand.state()["signals"]
        silent = hand.post(event(23) | POISON)
        assert (silent["offset"], silent["learning"]) == (23, "quarantined")
        assert (silent["raw_score"], silent["anomaly_score"]) == (None, None)
        assert hand.state()["learning"] == "quarantined"
        assert hand.state()["signals"] == signals
        raised = ("events_dead_lettered_total", frozenset({("reason", "raised")}))
        assert scraped(url)[raised] == 1
        (letter,) = hand.ask("list_dead_letters", 200).json["dead_letters"]
        assert (letter["reason"], letter["event"]["id"]) == ("raised", "bad")
        assert letter["detail"] == "RuntimeError: cannot stand it"
        assert other.post(event(20))["learning"] == "warming"
        assert other.state()["signals"]["values"] == 21.0
        assert other.ask("list_dead_letters", 200).json == {"dead_letters": []}

        shutil.copytree(tmp_path / "a", tmp_path / "b")
        receipts, sick = (hand.receipt(), other.receipt()), hand.state()
        replies = resumed(hand)
    for folder in ("b", "a"):
        with serving(tmp_path / folder) as url:
            hand, other = Hand(url, "sick"), Hand(url, "well")
            (letter,) = hand.ask("list_dead_letters", 200).json["dead_letters"]
            assert letter["event"]["id"] == "bad"
            if folder == "b":  # After a crash, before it was told to learn again.
                assert (hand.receipt(), other.receipt()) == receipts
                assert hand.state()["learning"] == "quarantined"
                assert hand.state()["signals"] == sick["signals"]
                assert resumed(hand) == replies
            else:  # After a stop, when it had learned again.
                assert hand.receipt() == (replies[-1]["offset"], replies[-1]["digest"])
                assert hand.state()["learning"] == "warming"
            assert hand.post(event(50))["learning"] == "warming"
            assert hand.post(event(51) | POISON, 422)["code"] == "quarantined"
            assert len(hand.ask("list_dead_letters", 200).json["dead_letters"]) == 2


class Mute(RollingZScore):
    """Learns, but can say neither how it does nor what it knows."""

    def signals(self) -> Mapping[str, float]:
        raise RuntimeError("no comment")

    def get_state(self) -> Arrays:
        raise RuntimeError("not a word")


def test_a_learner_that_fails_between_events_goes_on(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learners: dict[str, type[Learner]] = catalog.LEARNERS  # type: ignore[assignment]
    monkeypatch.setitem(learners, "rolling_zscore", Mute)
    with capture_logs() as logs, serving(tmp_path) as url:
        hand = Hand(url, "mute")
        hand.put(SPEC | {"snapshot_every_events": 3})
        for i in range(8):
            assert hand.post(event(i))["offset"] == i + 1
        assert "values" not in hand.state()["signals"]
        receipt = hand.receipt()
    assert [line["event"] for line in logs].count("no snapshot") == 3
    with serving(tmp_path) as url:
        assert Hand(url, "mute").receipt() == receipt
        assert Hand(url, "mute").post(event(8))["offset"] == 9


def resumed(hand: Hand) -> list[dict[str, Any]]:
    """Have a stream learn again; return what it then answers."""
    done = hand.ask("put_learning", 200, b'{\n "state": "learning"\n}\n').json
    assert (done["command"], done["offset"]) == ("learning", 23)
    assert hand.receipt() == (23, done["digest"])
    values = hand.state()["signals"]["values"]
    replies: list[dict[str, Any]] = hand.post([event(30 + i) for i in range(9)])
    assert {each["learning"] for each in replies} == {"warming"}
    assert all(each["raw_score"] is not None for each in replies)
    assert hand.state()["signals"]["values"] == values + 9
    return replies


@pytest.mark.usefixtures("fragile")
@pytest.mark.parametrize(
    ("moods", "fails"),
    [
        (0, False),
        (1, False),
        (2, False),
        (3, True),
    ],
)
def test_a_learner_has_three_tries(hand: Hand, moods: int, fails: bool) -> None:
    posted = [event(i) for i in range(70)]
    posted[66]["x"]["v"] = -2.0
    Fragile.moods = moods
    said = hand.lines(posted, 207 if fails else 200)
    assert Fragile.moods == 0
    if fails:
        assert said[66]["code"] == "quarantined"
        assert hand.state()["offset"] == 69
    else:
        same_as_alone(hand, SPEC, posted)
        assert hand.ask("list_dead_letters", 200).json == {"dead_letters": []}


# Operations


def test_health_and_version(server: str) -> None:
    hand = Hand(server, "")
    assert hand.ask("get_livez", 200).json == {"status": "alive"}
    assert hand.ask("get_readyz", 200).json == {"status": "ready"}
    version = hand.ask("get_version", 200).json
    assert (version["version"], version["snapshot_format"]) == (VERSION, FORMAT)


parse_plain: Any = text_string_to_metric_families
parse_modern: Any = parse_openmetrics


def test_who_comes_while_the_service_stops_is_sent_away(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Api] = []

    class Known(Api):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr("service.app.Api", Known)
    with serving(tmp_path) as url:
        hand = Hand(url, "s")
        hand.put()
        said = hand.post(event(0))
        made[0].drain()
        stopping = hand.ask("get_readyz", 503)
        assert stopping.json["detail"] == "the service is stopping"
        assert stopping.headers["retry-after"] == "1"
        for operation, body in {
            "post_events": event(1),
            "put_stream": SPEC,
            "delete_stream": None,
            "post_snapshot": None,
            "restore_stream": b"",
            "put_learning": {"state": "learning"},
        }.items():
            refused = hand.ask(operation, 503, body)
            assert refused.json["code"] == "not-ready"
            assert int(refused.headers["retry-after"]) >= 1
        with opened(url, "s") as socket:
            assert heard(socket)["code"] == "not-ready"
            assert close_code(socket) == 1008
        # What changes nothing is still answered.
        assert hand.ask("get_livez", 200).json == {"status": "alive"}
        assert hand.results()["results"] == [said]
        assert hand.receipt() == (1, said["digest"])


def test_why_a_service_is_not_ready(tmp_path: Path) -> None:
    api = Api(Settings(), Metrics())
    with pytest.raises(NotReady):
        _ = api.journal
    assert api.why_not_ready() == "the learners are being compiled"
    api.warm = True
    assert api.why_not_ready() == "the learners are being compiled"
    healthy = False
    api.open(SqliteJournal(tmp_path), lambda: healthy)
    assert api.why_not_ready() == "the journal cannot be written"
    healthy = True
    assert api.why_not_ready() == ""


def test_a_mistake_of_ours_is_not_blamed_on_the_caller(
    server: str, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: Any) -> Any:
        raise KeyError("a secret")

    monkeypatch.setattr(operations, "choose_encoder", mistaken)
    monkeypatch.setattr(sockets, "parse_frame", mistaken)
    with capture_logs() as logs:
        problem = Hand(server, "").ask("get_metrics", 500).json
        with opened(server, hand.name) as socket:
            heard(socket)
            socket.send("{}")
            assert close_code(socket) == 1011
    assert (problem["code"], "secret" in str(problem)) == ("internal", False)
    assert [line["path"] for line in logs if line["event"] == "unexpected error"] == ["/metrics"]
    assert hand.post(event(0))["offset"] == 1


def scraped(url: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = ask(url, "GET", "/metrics").body.decode()
    return {
        (sample.name.removeprefix("synaptide_"), frozenset(sample.labels.items())): sample.value
        for family in parse_plain(text)
        for sample in family.samples
    }


def test_metrics_move(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        hand = Hand(url, "watched")
        hand.put(SPEC | {"indicators": [], "threshold": 0.9})
        hand.post([event(i, id=f"e{i}") for i in range(20)])
        hand.post(event(20, x={"v": 1e6}))
        hand.post(event(21, id="e3"))
        hand.post(event(22, x={"v": "word"}), 422)
        hand.post([event(23), {}, 5], 207)
        hand.post({"z": 1}, 422)
        got = scraped(url)

        def value(name: str, **labels: str) -> float | None:
            return got.get((name, frozenset(labels.items())))

        assert value("events_ingested_total", transport="http") == 24
        assert value("events_rejected_total", reason="invalid") == 3
        assert value("events_rejected_total", reason="duplicate") == 1
        assert value("events_rejected_total", reason="refused") == 1
        assert value("events_scored_total", kind="rolling_zscore") == 24
        assert value("step_duration_seconds_count", kind="rolling_zscore") is not None
        assert value("streams") == 1
        assert value("streams_not_exported") == 0
        assert value("partition_lag_events", partition="0") == 0
        assert value("stream_events_total", stream="watched") == 22
        anomalies = hand.ask("get_stream", 200).json["status"]["anomalies"]
        assert value("anomalies_total", stream="watched") == anomalies > 0
        assert value("anomaly_threshold", stream="watched") == 0.9
        assert value("anomaly_score", stream="watched") is not None
        newest = value("stream_newest_event_time_seconds", stream="watched")
        assert newest == _seconds("2026-01-01T00:00:23Z")
        assert value("signal", stream="watched", signal="values") == 22

        hand.ask("delete_stream", 204)
        left = scraped(url)
        assert left["streams", frozenset()] == 0
        assert not [labels for _, labels in left if ("stream", "watched") in labels]


def test_open_sockets_are_counted(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path) as url, Client(url) as client:
        client.create_stream("talk", SPEC)
        name = ("websocket_connections", frozenset[tuple[str, str]]())
        assert scraped(url)[name] == 0
        with client.socket("talk"), client.socket("talk"):
            assert scraped(url)[name] == 2


def test_metrics_in_both_dialects(server: str) -> None:
    plain = ask(server, "GET", "/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    # The newer dialect leaves the suffix of facts out of their family's name, as it does _total.
    names = {family.name.removesuffix("_info") for family in parse_plain(plain.body.decode())}
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    modern = ask(server, "GET", "/metrics", accept)
    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    assert {
        family.name.removesuffix("_info") for family in parse_modern(modern.body.decode())
    } == names
    known = ("synaptide_", "process_", "python")
    assert all(name.startswith(known) for name in names)


def test_documents_are_served(server: str) -> None:
    page = ask(server, "GET", "/docs")
    assert page.status == 200
    assert b"/openapi.json" in page.body
    assert ask(server, "GET", "/openapi.json").json["info"]["version"] == VERSION


# The description


@pytest.fixture(scope="module")
def described(server: str) -> Any:
    return ask(server, "GET", "/openapi.json").json


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a document."""
    if isinstance(node, dict):
        yield node
    for each in node.values() if isinstance(node, dict) else node:
        if isinstance(each, dict | list):
            yield from nodes(each)


def test_every_reference_leads_somewhere(described: Any) -> None:
    references = {each["$ref"] for each in nodes(described) if isinstance(each.get("$ref"), str)}
    assert "#/components/schemas/Event" in references
    assert "#/components/schemas/StreamSpec" in references
    for reference in references:
        place = described
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert place["type"] == "object", reference


def test_every_operation_is_described(described: Any) -> None:
    operations = [
        (path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    assert {each["operationId"] for _, _, each in operations} == set(ROUTES)
    for path, _, operation in operations:
        assert operation["summary"], path
        assert operation["description"], path
        assert operation["tags"], path
        text = json.dumps(operation["responses"])
        assert "HTTPValidationError" not in text, path
        if path.startswith("/v1"):
            kinds = operation["responses"]["4XX"]["content"]
            assert list(kinds) == ["application/problem+json"]
        for parameter in operation.get("parameters", []):
            assert parameter["name"] != "stream" or parameter["schema"]["examples"]
    assert set(described["paths"]) == {ROUTES[name].path for name in ROUTES}


def test_every_example_is_true(server: str, described: Any) -> None:
    hand = Hand(server, "examples")
    paths = described["paths"]
    spec_body = paths["/v1/streams/{stream}"]["put"]["requestBody"]["content"]
    for example in spec_body["application/json"]["examples"].values():
        hand.put(example["value"])
        hand.ask("delete_stream", 204)
    for example in described["components"]["schemas"]["StreamSpec"]["examples"]:
        hand.put(example)
        hand.ask("delete_stream", 204)
    hand.put()
    body = paths["/v1/streams/{stream}/events"]["post"]["requestBody"]["content"]
    for example in body["application/json"]["examples"].values():
        hand.post(example["value"])
    lines = body["application/x-ndjson"]["examples"]["a line each"]["value"].encode()
    hand.ask("post_events", 200, lines, headers=NDJSON)
    hand.ask("delete_stream", 204)
    for example in described["components"]["schemas"]["Event"]["examples"]:
        hand.put()
        hand.post(example)
        hand.ask("delete_stream", 204)
    hand.put()
    learning = paths["/v1/streams/{stream}/learning"]["put"]["requestBody"]["content"]
    hand.ask("put_learning", 200, learning["application/json"]["examples"]["learn again"]["value"])
    for model in (replies.Result, replies.Problem):
        (example,) = described["components"]["schemas"][model.__name__]["examples"]
        model.model_validate_json(json.dumps(example))


# Clients that go away


def gone_away(url: str, head: bytes, abruptly: bool) -> None:
    """Send the beginning of a request and be gone."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port))
    connection.sendall(head)
    time.sleep(0.05)
    if abruptly:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("abruptly", [False, True], ids=["closed", "reset"])
def test_a_client_that_goes_away_harms_nothing(
    hand: Hand, abruptly: bool, caplog: pytest.LogCaptureFixture
) -> None:
    before = hand.receipt()
    post = f"POST {hand.path}/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    length, chunked = "Content-Length: 100\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"
    whole = json.dumps(event(0, id="whole"))
    with capture_logs() as logs:
        for head in (
            "",
            "POST /v1",
            post,
            post + length,
            post + length + '{"x":{"v":1}}',
            post + chunked + '5\r\n{"x":',
            post + chunked + 'd\r\n{"x":{"v":1}}\r\n',
            post.replace("/events", "/restore") + length + "SYN",
            post.replace("POST", "PUT").replace("/events", "") + length + "{",
            f"GET {hand.path}/live?after=0 HTTP/1.1\r\nHost: x\r\n\r\n",
            f"GET {hand.path}/results HTTP/1.1\r\nHost: x\r\n\r\n",
        ):
            gone_away(hand.url, head.encode(), abruptly)
        assert hand.receipt() == before
        # The whole event is taken, though nobody hears the answer.
        gone_away(hand.url, f"{post}Content-Length: {len(whole)}\r\n\r\n{whole}".encode(), abruptly)
        hand.settled(1)
        again = hand.post(event(5, id="whole"))
        assert (again["offset"], again["duplicate"]) == (1, True)
        same_as_alone(hand, SPEC, [event(0, id="whole")])
    assert [line for line in logs if line["log_level"] in ("error", "critical")] == []
    assert [record for record in caplog.records if record.name == "uvicorn.error"] == []
