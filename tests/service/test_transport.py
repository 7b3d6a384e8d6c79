"""Retries: when the same is asked again, when it must not be, and what is said then."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from service.client import Client, Problem, Unreachable

Answer = tuple[int, dict[str, str], Any] | None
"""Status, headers and content; `None` hangs up in the place of an answer."""

EVENT = {"x": {"v": 1}}
RESULT = {"event_id": "@1", "offset": 1}
QUEUE_FULL: Answer = (429, {"Retry-After": "3"}, {"status": 429, "code": "queue-full"})
NOT_READY: Answer = (503, {"Retry-After": "1"}, {"status": 503, "code": "not-ready"})
UNKNOWN: Answer = (503, {}, {"status": 503, "code": "journal-unavailable", "detail": "disk full"})
DONE: Answer = (200, {}, RESULT)


class Script:
    """A server that gives the answers it was told to, in order, and keeps what it was asked."""

    def __init__(self, answers: list[Answer]) -> None:
        self.asked: list[tuple[str, list[Any]]] = []
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """End it; every answer must have been asked for."""
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while self._answers:
            connection, _ = self._listener.accept()
            with connection, connection.makefile("rb") as lines:
                while self._answers and self._answer(connection, lines):
                    pass

    def _answer(self, connection: socket.socket, lines: Any) -> bool:
        request = lines.readline().decode().split()
        if not request:
            return False
        length = 0
        while header := lines.readline().strip():
            name, _, value = header.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        body = lines.read(length)
        self.asked.append((request[1], [json.loads(line) for line in body.splitlines()]))
        answer = self._answers.pop(0)
        if answer is None:
            return False
        status, headers, content = answer
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        kind = "application/json" if status < 300 else "application/problem+json"
        sent = {"Content-Length": str(len(text)), "Content-Type": kind} | headers
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        connection.sendall(f"HTTP/1.1 {status} x\r\n{head}\r\n".encode() + text)
        return sent.get("Connection") != "close"


@contextmanager
def played(*answers: Answer, **options: Any) -> Iterator[tuple[Client, Script, list[float]]]:
    script = Script(list(answers))
    now = [0.0]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    with Client(script.url, 10, sleep=sleep, clock=lambda: now[0], **options) as client:
        yield client, script, waits
    script.close()


@pytest.mark.parametrize(("refusal", "wait"), [(QUEUE_FULL, 3.0), (NOT_READY, 1.0)])
def test_a_refusal_that_took_nothing_is_waited_out(refusal: Answer, wait: float) -> None:
    with played(refusal, refusal, DONE) as (client, script, waits):
        assert client.post("s", EVENT) == RESULT
        assert waits == [wait, wait]
        assert script.asked == [("/v1/streams/s/events?ack=applied&atomic=false", [EVENT])] * 3


def test_retries_are_bounded() -> None:
    with played(QUEUE_FULL, QUEUE_FULL, max_retries=1) as (client, _, waits):
        with pytest.raises(Problem) as caught:
            client.post("s", EVENT)
        assert (caught.value.status, caught.value.code, waits) == (429, "queue-full", [3.0])


def test_an_unknown_outcome_is_not_asked_again_without_ids() -> None:
    with (
        played(UNKNOWN) as (client, _, waits),
        pytest.raises(Problem, match=r"disk full \(503 journal-unavailable\)"),
    ):
        client.post("s", EVENT)
    assert waits == []


@pytest.mark.parametrize("trouble", [UNKNOWN, None])
def test_events_with_ids_are_posted_again(trouble: Answer) -> None:
    with played(DONE, trouble, DONE) as (client, script, _):
        client.stream("s")
        assert client.post("s", EVENT | {"id": "a"}) == RESULT
        assert script.asked[1] == script.asked[2]


@pytest.mark.parametrize("post", ["one", "list", "lines"])
def test_events_without_ids_are_never_posted_twice(post: str) -> None:
    posts: dict[str, Callable[[Client], Any]] = {
        "one": lambda client: client.post("s", EVENT),
        "list": lambda client: client.post("s", [EVENT | {"id": "a"}, EVENT]),
        "lines": lambda client: list(client.post_ndjson("s", [b'{"id":"a"}', EVENT])),
    }
    with played(DONE, None) as (client, script, waits):
        client.stream("s")
        with pytest.raises(Unreachable, match="broke before the answer"):
            posts[post](client)
    assert waits == []
    assert len(script.asked) == 2


def test_lines_are_given_ids_when_asked() -> None:
    lines: list[Any] = [b'{"x":{"v":1}}\r\n', b"\n", {"id": "own", "x": {"v": 2}}, {"x": {"v": 3}}]
    batches: Sequence[Answer] = (
        (200, {}, b'{"offset":1}\n{"offset":2}\n'),
        (200, {}, b'{"offset":3}\n'),
    )
    with played(*batches) as (client, script, _):
        results = list(client.post_ndjson("s", lines, batch=2, ids="f"))
    assert [result["offset"] for result in results] == [1, 2, 3]
    assert [each["id"] for _, body in script.asked for each in body] == ["f-1", "own", "f-4"]


def test_a_refused_line_is_named_by_its_place_in_all() -> None:
    batches: Sequence[Answer] = (
        (200, {}, b'{"offset":1}\n'),
        (207, {}, b'{"line":1,"status":422,"code":"x","errors":[{"pointer":"/x","line":1}]}\n'),
    )
    with played(*batches) as (client, _, _):
        _, refused = client.post_ndjson("s", [b"", b'{"x":{"v":1}}', b"{}"], batch=1)
    assert (refused["line"], refused["errors"][0]["line"]) == (3, 3)


def test_an_idle_connection_that_was_closed_is_made_anew() -> None:
    with played((200, {"Connection": "close"}, {}), None, DONE, DONE) as (client, script, _):
        client.stream("s")
        client.stream("s")
        assert client.post("s", EVENT) == RESULT
    assert len(script.asked) == 4


def test_it_stops_trying_after_a_time() -> None:
    with played(DONE) as (client, _, waits):
        client.stream("s")
    with pytest.raises(Unreachable, match="broke before the answer"):
        client.stream("s")
    assert 30 <= sum(waits) < 32


def test_a_service_that_never_answered_is_not_waited_for() -> None:
    with pytest.raises(Unreachable, match=r"no service answers at http://127\.0\.0\.1:9: "):
        Client("127.0.0.1:9").streams()


def test_waiting_until_ready_ends() -> None:
    with played(DONE) as (client, _, waits):
        client.wait_until_ready()
    with pytest.raises(Unreachable, match="was not ready within 2 seconds"):
        client.wait_until_ready(2)
    assert 2 <= sum(waits) < 3


def test_a_refusal_by_another_program_is_shown_as_it_came() -> None:
    with (
        played((502, {}, b"<h1>Bad gateway</h1>")) as (client, _, _),
        pytest.raises(Problem, match=r"<h1>Bad gateway</h1> \(502 unknown\)"),
    ):
        client.stream("s")


@pytest.mark.parametrize("url", ["", "ftp://host", "http://", "http://host:port"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"url: got|port"):
        Client(url)


def test_a_line_holds_one_event() -> None:
    with pytest.raises(ValueError, match="expected no line break"):
        list(Client().post_ndjson("s", [b"{\n}"]))


def sse(*events: bytes) -> Answer:
    return 200, {"Connection": "close"}, b"".join(events)


def at(offset: int) -> bytes:
    return b'id: %d\nevent: result\ndata: {"offset":%d}\n\n' % (offset, offset)


def test_following_goes_on_where_it_broke() -> None:
    live = (sse(b": still here\n\n", at(1), at(2)), NOT_READY, None, sse(at(2), at(3)))
    with played((200, {"Connection": "close"}, RESULT), *live) as (client, script, _):
        client.stream("s")
        results = client.follow("s", after=0)
        assert [next(results)["offset"] for _ in range(3)] == [1, 2, 3]
        results.close()  # type: ignore[attr-defined]
    assert len(script.asked) == 5


def test_following_ends_with_a_problem() -> None:
    gone = b'event: problem\ndata: {"status":410,"code":"results-expired","detail":"old"}\n\n'
    with (
        played(sse(at(1), gone)) as (client, _, _),
        pytest.raises(Problem, match=r"old \(410 results-expired\)"),
    ):
        list(client.follow("s", after=0))


def test_following_gives_up_after_a_time() -> None:
    with played(sse(at(1))) as (client, _, waits):
        results = client.follow("s", after=0)
        assert next(results)["offset"] == 1
    with pytest.raises(Unreachable):
        next(results)
    assert 30 <= sum(waits) < 32
