"""The client against a real server: every verb, and what a broken answer or a refusal does."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service.client import Client, Problem, Unreachable, is_refused

if TYPE_CHECKING:
    from tests.conftest import Serving

SPEC = {"learner": {"kind": "rolling_zscore"}}


def event(i: int, **more: Any) -> dict[str, Any]:
    return {"ts": f"2026-01-01T00:{i // 60:02}:{i % 60:02}Z", "x": {"v": float(i % 7)}} | more


def offsets(results: Any) -> list[int]:
    return [result["offset"] for result in results]


@pytest.fixture
def client(server: str) -> Iterator[Client]:
    with Client(server) as client:
        yield client


@pytest.fixture
def name(client: Client, request: pytest.FixtureRequest) -> str:
    """A stream of the test's own."""
    name = request.node.name.replace("[", ".").replace("]", "")
    client.create_stream(name, SPEC)
    return str(name)


def test_a_stream_is_made_shown_listed_and_deleted(client: Client) -> None:
    made = client.create_stream("a:b.c", SPEC)
    assert (made["name"], made["offset"]) == ("a:b.c", 0)
    assert client.stream("a:b.c")["spec"] == made["spec"]
    assert "a:b.c" in [each["name"] for each in client.streams()]
    client.delete_stream("a:b.c")
    with pytest.raises(Problem) as caught:
        client.stream("a:b.c")
    assert (caught.value.status, caught.value.code) == (404, "stream-not-found")


def test_a_name_that_is_none_is_refused_by_the_server(client: Client) -> None:
    with pytest.raises(Problem) as caught:
        client.create_stream("a/../b?c", SPEC)
    assert caught.value.status in (404, 422)


def test_a_spec_that_is_none_names_its_fields(client: Client) -> None:
    with pytest.raises(Problem) as caught:
        client.create_stream("none", {"learner": {"kind": "rolling_zscore", "color": 1}})
    assert caught.value.errors[0]["pointer"].endswith("/color")


def test_one_event_has_one_result(client: Client, name: str) -> None:
    result = client.post(name, event(0, id="first"))
    assert (result["event_id"], result["offset"]) == ("first", 1)
    assert client.state(name)["digest"] == result["digest"]


def test_a_list_has_results_in_order(client: Client, name: str) -> None:
    results = client.post(name, [event(i) for i in range(100)])
    assert offsets(results) == list(range(1, 101))


def test_an_event_that_is_refused_is_a_problem(client: Client, name: str) -> None:
    with pytest.raises(Problem) as caught:
        client.post(name, {"x": {}})
    assert caught.value.status == 422


def test_a_refused_event_of_a_list_stands_in_its_place(client: Client, name: str) -> None:
    first, second, third = client.post(name, [event(0), {"x": {}}, event(1)])
    assert (is_refused(first), is_refused(second), is_refused(third)) == (False, True, False)
    assert second["line"] == 2


def test_a_list_of_which_all_is_refused_is_no_error(client: Client, name: str) -> None:
    assert is_refused(client.post(name, [{"x": {}}])[0])


def test_an_atomic_list_is_taken_whole_or_not(client: Client, name: str) -> None:
    with pytest.raises(Problem):
        client.post(name, [event(0), {"x": {}}], atomic=True)
    assert client.state(name)["offset"] == 0


@pytest.mark.parametrize("ack", ["logged", "received"])
def test_other_acks_answer_how_many(client: Client, name: str, ack: Any) -> None:
    assert client.post(name, [event(0), event(1)], ack) == {"accepted": 2}
    (answer,) = client.post_ndjson(name, [event(2), b"", b"{", event(3)], ack=ack)
    assert (answer["accepted"], answer["refused"][0]["line"]) == (2, 3)
    assert client.post(name, event(4))["offset"] == 5


def test_lines_go_in_batches(client: Client, name: str) -> None:
    lines: list[Any] = [b"", event(0), b'{"x":{"v":1}}\r\n', b"nonsense", event(200)]
    results = list(client.post_ndjson(name, lines, batch=2))
    assert [result.get("offset") for result in results] == [1, 2, None, 3]
    assert results[2]["line"] == 4


def test_lines_with_ids_are_learned_from_once(client: Client, name: str) -> None:
    lines = [event(i) for i in range(10)]
    first = list(client.post_ndjson(name, lines, batch=4, ids="f"))
    again = list(client.post_ndjson(name, lines, batch=3, ids="f"))
    assert [result["event_id"] for result in first] == [f"f-{i}" for i in range(1, 11)]
    assert again == [result | {"duplicate": True} for result in first]
    assert client.state(name)["offset"] == 10


def test_results_are_read_in_pages(client: Client, name: str) -> None:
    posted = client.post(name, [event(i) for i in range(10)])
    assert client.results(name, after=3, limit=4) == posted[3:7]
    assert client.results(name, after=10) == []


def test_following_gives_what_was_and_what_comes(client: Client, name: str) -> None:
    posted = client.post(name, [event(i) for i in range(5)])
    live = client.follow(name, after=2)
    assert list(islice(live, 3)) == posted[2:]
    result = client.post(name, event(5))
    assert next(live) == result
    live.close()  # type: ignore[attr-defined]


def test_following_goes_on_over_a_restart(tmp_path: Path, serving: Serving) -> None:
    with serving(tmp_path) as url, Client(url) as client:
        client.create_stream("s", SPEC)
        client.post("s", [event(i) for i in range(5)])
        live = Client(url, reconnect_seconds=0).follow("s", after=0)
        assert offsets(islice(live, 3)) == [1, 2, 3]
    assert offsets(islice(live, 2)) == [4, 5]
    with pytest.raises(Unreachable):
        next(live)


def test_a_socket_answers_in_order(client: Client, name: str) -> None:
    with client.socket(name) as socket:
        granted = socket.credits
        assert socket.offset == 0
        first, second = socket.send([event(0), event(1)]), socket.send([event(2)])
        assert (socket.pending, socket.credits) == (2, granted - 3)
        one, two = socket.receive(), socket.receive()
        assert (one.seq, two.seq, socket.credits) == (first, second, granted)
        assert (offsets(one.results), offsets(two.results)) == ([1, 2], [3])
        with pytest.raises(ValueError, match="no frame"):
            socket.receive()


def test_a_socket_keeps_to_its_credits(tmp_path: Path, serving: Serving) -> None:
    with serving(tmp_path, socket_credits=10) as url, Client(url) as client:
        client.create_stream("s", SPEC)
        with client.socket("s") as socket:
            assert socket.credits == 10
            with pytest.raises(ValueError, match="got 11, expected at most 10"):
                socket.send([event(i) for i in range(11)])
            for i in range(30):
                socket.send([event(3 * i + j) for j in range(3)])
            answered = [offset for _ in range(30) for offset in offsets(socket.receive().results)]
            assert answered == list(range(1, 91))
            results = socket.post_all(event(100 + i) for i in range(100))
            assert offsets(results) == list(range(91, 191))


def test_a_socket_and_a_file_of_events_come_to_the_same(client: Client, name: str) -> None:
    events = [event(i) for i in range(300)]
    client.create_stream(f"{name}-twin", SPEC)
    with client.socket(name) as socket:
        by_socket = list(socket.post_all(events))
    assert by_socket == list(client.post_ndjson(f"{name}-twin", events))


def test_a_socket_names_what_is_refused(client: Client, name: str) -> None:
    with client.socket(name) as socket:
        good, bad = socket.post_all([event(0), {"x": {}}])
        assert (is_refused(good), is_refused(bad), bad["line"]) == (False, True, 2)


def test_a_socket_follows_others(client: Client, name: str) -> None:
    posted = client.post(name, [event(i) for i in range(3)])
    with client.socket(name) as socket:
        socket.follow(1)
        live = socket.live()
        assert list(islice(live, 2)) == posted[1:]
        own = list(socket.post_all([event(3)]))
        assert [next(live)] == own


def test_a_socket_of_no_stream_is_a_problem(client: Client) -> None:
    with pytest.raises(Problem) as caught:
        client.socket("absent")
    assert caught.value.code == "stream-not-found"


def test_a_socket_to_nowhere_is_unreachable() -> None:
    with pytest.raises(Unreachable, match=r"no socket at ws://127\.0\.0\.1:9/v1/streams/s/ws"):
        Client("http://127.0.0.1:9").socket("s")


def test_a_frame_that_is_too_large_closes_the_socket(client: Client, name: str) -> None:
    with (
        client.socket(name) as socket,
        pytest.raises(Unreachable, match="the socket was closed"),
    ):
        list(socket.post_all([{"x": {"v": "x" * (1 << 20)}}]))


def test_a_snapshot_makes_a_twin(client: Client, name: str) -> None:
    client.post(name, [event(i) for i in range(50)])
    taken = client.snapshot(name)
    assert taken["offset"] == 50
    assert taken["id"] in [each["id"] for each in client.snapshots(name)]
    client.create_stream(f"{name}-twin", SPEC)
    client.restore(f"{name}-twin", client.download_snapshot(name, taken["id"]))
    more = [event(i) for i in range(50, 60)]
    assert client.post(name, more) == client.post(f"{name}-twin", more)


def test_bytes_that_are_no_snapshot_are_refused(client: Client, name: str) -> None:
    with pytest.raises(Problem) as caught:
        client.restore(name, b"nonsense")
    assert caught.value.code == "bad-snapshot"


def test_operations(client: Client) -> None:
    assert client.ready()
    assert "version" in client.version()
