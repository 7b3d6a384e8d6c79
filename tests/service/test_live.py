"""Results as they come: server-sent events and the socket, against a real server."""

from __future__ import annotations

import json
import socket as sockets
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from service.api import live, replies
from tests.conftest import Serving
from tests.service.raw import (
    JSON,
    NDJSON,
    PATIENCE_SECONDS,
    Sent,
    ask,
    close_code,
    heard,
    listening,
    opened,
)

SPEC = json.dumps({"learner": {"kind": "rolling_zscore", "window": 20, "min_samples": 5}})
RESULTS = TypeAdapter(list[replies.Result])


def event(i: int, **more: Any) -> dict[str, Any]:
    return {"ts": f"2026-01-01T00:{i // 60:02}:{i % 60:02}Z", "x": {"v": float(i % 7)}} | more


def frame(seq: int, events: list[Any]) -> str:
    return json.dumps({"type": "events", "seq": seq, "events": events})


def follow(after: int) -> str:
    return json.dumps({"type": "follow", "after": after})


class Place:
    """One stream of a server."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        self.path = f"/v1/streams/{name}"

    def make(self) -> None:
        assert ask(self.url, "PUT", self.path, JSON, SPEC).status == 201

    def post(self, begin: int, end: int) -> list[Any]:
        """Post some events; return their results."""
        body = b"\n".join(json.dumps(event(i)).encode() for i in range(begin, end))
        answer = ask(self.url, "POST", f"{self.path}/events", NDJSON, body)
        assert answer.status == 200, answer.body
        return answer.lines

    def results(self) -> list[Any]:
        results: list[Any] = ask(self.url, "GET", f"{self.path}/results?limit=10000").json[
            "results"
        ]
        return results

    def offset(self) -> int:
        return int(ask(self.url, "GET", f"{self.path}/state").json["offset"])

    def listening(self, query: str = "", **headers: str) -> Any:
        return listening(self.url, f"{self.path}/live{query}", **headers)

    def opened(self, **options: Any) -> ClientConnection:
        return opened(self.url, self.name, **options)


@pytest.fixture
def place(server: str, request: pytest.FixtureRequest) -> Place:
    """A stream of the test's own."""
    place = Place(server, request.node.name.replace("[", ".").replace("]", ""))
    place.make()
    return place


def some(events: Iterator[Sent], count: int) -> list[Sent]:
    """Return the next events, comments passed over; fewer if the stream ends or falls silent."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    patient = takewhile(lambda _: time.monotonic() < deadline, events)
    return list(islice((each for each in patient if each.kind != "comment"), count))


def are(results: list[Any], events: Iterable[Sent]) -> None:
    """Check that these are the results, each under its offset."""
    got = list(events)
    assert [each.data for each in got] == results
    assert {each.kind for each in got} == {"result"}
    assert [each.id for each in got] == [each["offset"] for each in results]
    RESULTS.validate_json(json.dumps(results))


# Server-sent events


def test_what_comes_is_what_was_answered(place: Place) -> None:
    place.post(0, 5)
    with place.listening() as events:
        said = place.post(5, 12)
        are(said, some(events, 7))
        more = place.post(12, 1_012)
        are(more, some(events, 1_000))


@pytest.mark.parametrize("way", ["header", "query", "both"])
def test_it_goes_on_where_it_was_left(place: Place, way: str) -> None:
    said = place.post(0, 700)
    headers = {} if way == "query" else {"Last_Event_ID": "123"}
    query = {"header": "", "query": "?after=123", "both": "?after=5"}[way]
    with place.listening(query, **headers) as events:
        are(said[123:], some(events, 577))
        are(place.post(700, 703), some(events, 3))


def test_all_of_it_from_the_beginning(place: Place) -> None:
    said = place.post(0, 20)
    with place.listening("?after=0") as events:
        are(said, some(events, 20))


def test_two_listeners_hear_the_same(place: Place) -> None:
    with place.listening() as one, place.listening() as other:
        said = place.post(0, 9)
        are(said, some(one, 9))
        are(said, some(other, 9))


def test_a_silent_stream_shows_that_it_lives(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.05)
    with place.listening() as events:
        assert [next(events).data for _ in range(3)] == ["still here"] * 3
        said = place.post(0, 2)
        are(said, some(events, 2))


def test_a_place_that_is_not_reached_yet_is_waited_for(place: Place) -> None:
    place.post(0, 5)
    with place.listening(Last_Event_ID="8") as events:
        are(place.post(5, 10)[3:], some(events, 2))


def test_listening_goes_on_after_a_restart(serving: Serving, tmp_path: Path) -> None:
    with ExitStack() as stack:
        with serving(tmp_path) as url:
            place = Place(url, "s")
            place.make()
            events = stack.enter_context(place.listening("?after=0"))
            said = place.post(0, 30)
            begun = some(events, 10)
        # The service, when it stops, ends what has no end of its own.
        last = begun + some(events, 1_000)
        are(said, last)
    with serving(tmp_path) as url:
        place = Place(url, "s")
        with place.listening(Last_Event_ID=str(last[12].id)) as events:
            are(said[13:], some(events, 17))
            are(place.post(30, 35), some(events, 5))


def test_a_stream_that_is_deleted_ends_what_follows_it(place: Place) -> None:
    with place.listening() as events, place.opened() as socket:
        assert heard(socket)["type"] == "hello"
        socket.send(follow(0))
        socket.send(frame(1, []))
        assert heard(socket)["seq"] == 1
        assert ask(place.url, "DELETE", place.path).status == 204
        (last,) = some(events, 2)
        assert (last.kind, last.id, last.data["code"]) == ("problem", None, "stream-not-found")
        said = heard(socket)
        assert (said["type"], said["code"]) == ("problem", "stream-not-found")
        socket.send(frame(2, [event(0)]))
        said = heard(socket)
        assert (said["type"], said["seq"], said["code"]) == ("problem", 2, "stream-not-found")


def test_who_listens_slowly_misses_nothing(place: Place) -> None:
    with place.listening() as events:
        said = [each for i in range(6) for each in place.post(500 * i, 500 * (i + 1))]
        are(said, some(events, 3_000))


def test_who_falls_behind_what_is_kept_is_told(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path, results_kept=50) as url:
        place = Place(url, "s")
        place.make()
        place.post(0, 10)
        blob = taken(place)
        twin = Place(url, "twin")
        twin.make()
        with twin.listening() as events, twin.opened() as socket:
            heard(socket)
            socket.send(follow(0))
            socket.send(frame(1, []))
            heard(socket)
            done = ask(url, "POST", f"{twin.path}/restore", {}, blob)
            assert (done.status, done.json["offset"]) == (200, 10)
            twin.post(10, 11)
            (problem,) = some(events, 9)
            assert (problem.kind, problem.data["oldest"]) == ("problem", 11)
            said = heard(socket)
            assert (said["type"], said["code"], said["oldest"]) == (
                "problem",
                "results-expired",
                11,
            )
            socket.send(follow(10))
            assert heard(socket)["results"][0]["offset"] == 11


def taken(place: Place) -> bytes:
    """Return a snapshot's bytes."""
    made = ask(place.url, "POST", f"{place.path}/snapshots").json["id"]
    return ask(place.url, "GET", f"{place.path}/snapshots/{made}").body


# The socket


def test_it_says_hello_and_answers_in_order(place: Place) -> None:
    place.post(0, 3)
    with place.opened() as socket:
        assert heard(socket) == {"type": "hello", "credits": 4_096, "offset": 3}
        for seq in (7, 3, -1, 2**63 - 1, 7):
            socket.send(frame(seq, [event(3 + i) for i in range(20)]))
        said = [heard(socket) for _ in range(5)]
    assert [each["seq"] for each in said] == [7, 3, -1, 2**63 - 1, 7]
    assert {(each["type"], each["credits"]) for each in said} == {("results", 20)}
    assert [result for each in said for result in each["results"]] == place.results()[3:]


def test_the_socket_teaches_what_http_teaches(place: Place) -> None:
    other = Place(place.url, f"{place.name}-http")
    other.make()
    said = other.post(0, 200)
    with place.opened() as socket:
        heard(socket)
        for i in range(10):
            socket.send(frame(i, [event(j) for j in range(20 * i, 20 * i + 20)]))
        got = [result for _ in range(10) for result in heard(socket)["results"]]
    assert got == said


def test_duplicates_and_refusals_over_the_socket(place: Place) -> None:
    with place.opened() as socket:
        heard(socket)
        socket.send(frame(1, [event(0, id="a"), event(1, id="a"), {"x": {"v": "word"}}, event(2)]))
        first, again, refused, last = heard(socket)["results"]
    assert again == first | {"duplicate": True}
    assert (refused["status"], refused["code"], refused["line"]) == (422, "invalid-event", 3)
    assert (first["offset"], last["offset"]) == (1, 2)


def test_an_empty_frame_is_answered(place: Place) -> None:
    with place.opened() as socket:
        heard(socket)
        socket.send(frame(5, []))
        assert heard(socket) == {"type": "results", "seq": 5, "credits": 0, "results": []}


def test_empty_frames_are_no_way_around_the_credits(serving: Serving, tmp_path: Path) -> None:
    """They cost none, and all are answered in order although no more wait than credits allow."""
    with serving(tmp_path, socket_credits=2) as url:
        place = Place(url, "s")
        place.make()
        with place.opened() as socket:
            heard(socket)
            for seq in range(300):
                socket.send(frame(seq, []))
            socket.send(frame(300, [event(0)] * 2))
            said = [heard(socket) for _ in range(301)]
        assert [each["seq"] for each in said] == list(range(301))
        assert [len(each["results"]) for each in said[-2:]] == [0, 2]


def test_credits_come_back_and_no_more_are_lent(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path, socket_credits=8) as url:
        place = Place(url, "s")
        place.make()
        with place.opened() as socket:
            assert heard(socket)["credits"] == 8
            for seq in range(20):
                socket.send(frame(seq, [event(seq)] * 8))
                assert heard(socket)["credits"] == 8
            socket.send(frame(20, [event(20)] * 9))
            said = heard(socket)
            assert (said["type"], said["code"], said["seq"]) == ("problem", "queue-full", 20)
            assert said["credits"] == 8
            assert close_code(socket) == 1008
        assert place.offset() == 160


def test_no_more_is_lent_than_the_queue_can_hold(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path, socket_credits=8, max_queued_entries=4) as url:
        place = Place(url, "s")
        place.make()
        with place.opened() as one, place.opened() as other:
            assert (heard(one)["credits"], heard(other)["credits"]) == (4, 4)
            for seq in range(25):  # Together they ask for more than the queue can hold.
                one.send(frame(seq, [event(0)] * 4))
                other.send(frame(seq, [event(0)] * 4))
                assert len(heard(one)["results"]) == len(heard(other)["results"]) == 4
        assert place.offset() == 200


def test_a_follower_hears_everyone(place: Place) -> None:
    said = place.post(0, 300)
    with place.opened() as socket:
        heard(socket)
        socket.send(follow(250))
        got: list[Any] = []
        while len(got) < 50:
            said_live = heard(socket)
            assert said_live["type"] == "live"
            got += said_live["results"]
        assert got == said[250:]
        said = place.post(300, 310)
        socket.send(frame(1, [event(310)]))
        answered, got = None, []
        while answered is None or len(got) < 11:
            each = heard(socket)
            if each["type"] == "live":
                got += each["results"]
            else:
                assert answered is None
                answered = each["results"]
        assert got == said + answered
        socket.send(follow(309))  # Another place takes the place of the first.
        assert [each["offset"] for each in heard(socket)["results"]] == [310, 311]


def test_following_goes_on_after_a_restart(serving: Serving, tmp_path: Path) -> None:
    with ExitStack() as stack:
        with serving(tmp_path) as url:
            place = Place(url, "s")
            place.make()
            socket = stack.enter_context(place.opened())
            heard(socket)
            socket.send(follow(0))
            said = place.post(0, 10)
            got: list[Any] = []
            while len(got) < 10:
                got += heard(socket)["results"]
            assert got == said
        assert close_code(socket) == 1012
    with serving(tmp_path) as url:
        place = Place(url, "s")
        with place.opened() as socket:
            assert heard(socket)["offset"] == 10
            socket.send(follow(6))
            assert heard(socket)["results"] == said[6:]
            socket.send(frame(1, [event(3, id="new")]))
            assert {heard(socket)["type"], heard(socket)["type"]} == {"live", "results"}


def test_what_was_sent_before_a_stop_is_answered_or_was_not_taken(
    serving: Serving, tmp_path: Path
) -> None:
    """Nothing that was answered is lost, and nothing is applied twice."""
    answered: list[int] = []

    def work(socket: ClientConnection) -> None:
        try:
            for seq in range(100_000):
                socket.send(frame(seq, [event(0, id=f"e{seq}-{i}") for i in range(5)]))
                answered.extend(each["offset"] for each in heard(socket)["results"])
        except ConnectionClosed:
            return

    with ExitStack() as stack:
        with serving(tmp_path) as url:
            place = Place(url, "s")
            place.make()
            socket = stack.enter_context(place.opened())
            heard(socket)
            worker = threading.Thread(target=work, args=[socket])
            worker.start()
            while len(answered) < 500:
                time.sleep(0.005)
        worker.join(30)
    assert not worker.is_alive()
    assert answered == list(range(1, len(answered) + 1))
    with serving(tmp_path) as url:
        place = Place(url, "s")
        assert len(answered) <= place.offset() <= len(answered) + 5
        ids = [each["event_id"] for each in place.results()]
        assert len(set(ids)) == len(ids)


# Clients that go away

HALF_A_FRAME = b'\x81\xfe\x01\x00\0\0\0\0{"type":"events","seq":9,"events":[{"x":{"v":1}}'
"""A text frame of 256 bytes, masked with zeros, of which the first few come."""


@pytest.mark.parametrize("abruptly", [False, True], ids=["closed", "reset"])
def test_a_socket_that_goes_away_harms_nothing(
    place: Place, abruptly: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as logs:
        for i in range(30):
            with place.opened() as socket:
                heard(socket)
                if i % 2:
                    socket.send(follow(0))
                for seq in range(5):
                    socket.send(frame(seq, [event(0, id=f"{i}-{seq}-{j}") for j in range(20)]))
                if i % 3 == 0:
                    socket.socket.sendall(HALF_A_FRAME)
                elif i % 3 == 1:
                    socket.send('{"type":"dance"}')
                    socket.send("nope")  # Which is answered, and the socket closed.
                vanish(socket, abruptly)
        with place.opened() as socket:
            heard(socket)
            socket.send(frame(1, [event(0)]))
            result = heard(socket)["results"][0]
    # Whole frames are applied or not, never in part, never twice.
    ids = [each["event_id"] for each in place.results()][: result["offset"] - 1]
    assert len(set(ids)) == len(ids)
    frames = [tuple(each.split("-")[:2]) for each in ids if "-" in each]
    assert all(frames.count(each) == 20 for each in set(frames))
    assert [line for line in logs if line["log_level"] in ("error", "critical")] == []
    assert [record for record in caplog.records if record.name == "uvicorn.error"] == []


def vanish(socket: ClientConnection, abruptly: bool) -> None:
    """End the connection without a word."""
    if abruptly:
        linger = struct.pack("ii", 1, 0)
        socket.socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, linger)
    socket.socket.shutdown(sockets.SHUT_RDWR)
    socket.socket.close()


def test_many_sockets_at_once(place: Place) -> None:
    with ExitStack() as stack:
        crowd = [stack.enter_context(place.opened()) for _ in range(50)]
        for i, socket in enumerate(crowd):
            assert heard(socket)["type"] == "hello"
            socket.send(frame(i, [event(i, id=f"e{i}")]))
        offsets = [heard(socket)["results"][0]["offset"] for socket in crowd]
    assert sorted(offsets) == list(range(1, 51))
