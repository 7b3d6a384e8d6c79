"""Labels over the wire: HTTP, the socket and the client, and what hostile ones are answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.client import Client, Problem
from tests.conftest import Serving
from tests.service.raw import JSON, NDJSON, ask
from tests.service.test_api import Hand

SPEC: dict[str, Any] = {
    "learner": {"kind": "river", "estimator": "naive_bayes.GaussianNB"},
    "indicators": [],
    "labels": {"pending": 50},
}


def events(count: int, begin: int = 0) -> list[dict[str, Any]]:
    return [
        {"id": f"e{i}", "x": {"a": float(i % 5), "b": 1.0}} for i in range(begin, begin + count)
    ]


def labels(count: int, begin: int = 0) -> list[dict[str, Any]]:
    return [{"event_id": f"e{i}", "y": "low" if i % 5 < 2 else "high"} for i in range(begin, count)]


@pytest.fixture
def hand(server: str, request: pytest.FixtureRequest) -> Hand:
    hand = Hand(server, request.node.name.replace("[", ".").replace("]", ""))
    hand.put(SPEC)
    hand.post(events(20))
    return hand


def test_one_label_an_array_or_a_line_each(hand: Hand) -> None:
    one = hand.ask("post_labels", 200, labels(1)[0]).json
    assert (one["event_id"], one["offset"], one["learned"]) == ("e0", 1, True)
    for each in hand.ask("post_labels", 200, labels(10, 1)).json:
        assert each["learned"]
    body = b"\n".join(json.dumps(each).encode() for each in labels(20, 10)) + b"\n\n"
    lines = hand.ask("post_labels", 200, body, headers=NDJSON).lines
    assert [each["offset"] for each in lines] == list(range(11, 21))
    again = hand.ask("post_labels", 200, labels(1)[0]).json
    assert again == {"event_id": "e0", "y": "low", "duplicate": True}
    state = hand.state()
    assert (state["offset"], state["digest"]) == (20, lines[-1]["digest"])
    assert state["labels"]["taken"] == 20
    assert [each["offset"] for each in hand.results()["results"]] == list(range(1, 21))


def test_each_line_has_its_own_outcome(hand: Hand) -> None:
    good, twice, other = {"event_id": "e1", "y": "low"}, "low", "high"
    posted: list[Any] = [
        good,
        {"event_id": "e1", "y": twice},
        {"event_id": "e1", "y": other},
        {"event_id": "nobody", "y": "low"},
        {"event_id": "e2"},
        {"event_id": "e2", "y": None},
        {"event_id": 2, "y": "low"},
        {"event_id": "e2", "y": True},
        {"event_id": "e2", "y": [1]},
        {"event_id": "e2", "y": "x" * 1_001},
        {"event_id": "", "y": 1},
        {"event_id": "e2", "y": 1, "z": 1},
        7,
        {"event_id": "@2", "y": "low"},
        {"event_id": "@21", "y": "low"},
    ]
    body = json.dumps(posted).encode()[:-1] + b', {"event_id": "e2", "y": NaN}]'
    answers = hand.ask("post_labels", 207, body).json
    codes = [each.get("code", "duplicate" if "duplicate" in each else "") for each in answers]
    bad = ["invalid-input"] * 9
    wrong = ["label-conflict", "unknown-event", *bad, "label-not-awaited", "unknown-event"]
    assert codes == ["", "duplicate", *wrong, "invalid-input"]
    assert [each["line"] for each in answers[2:]] == list(range(3, 17))
    number = hand.ask("post_labels", 422, {"event_id": "e2", "y": 1e308}).json
    assert number["code"] == "invalid-event"
    assert hand.ask("post_labels", 200, {"event_id": "e2", "y": "low"}).json["learned"]
    letters = hand.ask("list_dead_letters", 200).json["dead_letters"]
    assert letters[0]["label"] == {"event_id": "e1", "y": "high"}
    assert len(letters) == 5


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"event_id":"nobody","y":1}', 404, "unknown-event"),
        (b'{"event_id":"e3","event_id":"e3","y":1}', 422, "invalid-input"),
        (b'{"event_id":"e3","y":1e999}', 422, "invalid-input"),
        (b'{"event_id":"e3","y":NaN}', 422, "invalid-input"),
        (b"not json", 400, "malformed-body"),
    ],
    ids=["unknown", "twice", "infinite", "nan", "text"],
)
def test_a_label_that_is_refused_says_why(hand: Hand, body: bytes, status: int, code: str) -> None:
    assert hand.ask("post_labels", status, body).json["code"] == code
    assert hand.post({"x": {"a": 1.0}})["offset"] == 21


def test_acks_and_atomic(hand: Hand) -> None:
    assert hand.ask("post_labels", 202, labels(3), ack="logged").json == {"accepted": 3}
    assert hand.ask("post_labels", 202, labels(4)[3], ack="received").json == {"accepted": 1}
    refused = hand.ask("post_labels", 422, [*labels(5), {}], atomic="true").json
    assert refused["detail"].startswith("1 of 6 labels")
    answers = hand.ask("post_labels", 200, labels(5)).json
    assert ["duplicate" in each for each in answers] == [True] * 4 + [False]


def test_labels_where_they_have_no_place(server: str, hand: Hand) -> None:
    Hand(server, "never-made").ask("post_labels", 404, labels(1)[0])
    plain = Hand(server, "takes-no-labels")
    plain.put()
    plain.post({"id": "e0", "x": {"v": 1.0}})
    assert plain.ask("post_labels", 409, labels(1)[0]).json["code"] == "labels-not-kept"
    assert plain.post({"id": "e1", "x": {"v": 1.0}})["offset"] == 2
    hand.ask("delete_stream", 204)
    hand.ask("post_labels", 404, labels(1)[0])


def test_a_flood_of_unknown_labels_is_answered_and_leaves_nothing(server: str, hand: Hand) -> None:
    before = hand.state()
    line = b'{"event_id":"u%06d","y":1}\n'
    for begin in range(0, 100_000, 25_000):
        body = b"".join(line % i for i in range(begin, begin + 25_000))
        answer = ask(server, "POST", f"{hand.path}/labels", NDJSON, body)
        assert answer.status == 422
        assert answer.body.count(b'"code":"unknown-event"') == 25_000
    after = hand.state()
    assert (after["digest"], after["labels"]) == (before["digest"], before["labels"])
    assert hand.ask("post_labels", 200, labels(1)[0]).json["learned"]


def test_the_socket_takes_labels_among_events(server: str, hand: Hand) -> None:
    with Client(server) as client, client.socket(hand.name) as socket:
        socket.send(events(3, 20))
        socket.send_labels([*labels(22, 20), {"event_id": "e22"}, {"event_id": "no", "y": 1}])
        socket.send([{"id": "e23", "x": {"a": 1.0}}])
        first, second, third = (socket.receive() for _ in range(3))
        assert [each["offset"] for each in first.results] == [21, 22, 23]
        assert [each.get("code", "") for each in second.results] == [
            "",
            "",
            "invalid-input",
            "unknown-event",
        ]
        assert third.results[0]["offset"] == 24
        socket._write({"type": "labels", "seq": 9})
        with pytest.raises(Problem, match="list of labels"):
            socket._take()


def test_the_client_says_labels(server: str, hand: Hand) -> None:
    with Client(server) as client:
        assert client.label(hand.name, labels(1)[0])["learned"]
        assert [each["offset"] for each in client.label(hand.name, labels(3, 1))] == [2, 3]
        assert client.label(hand.name, labels(4, 3), "logged") == {"accepted": 1}
        lines = [*labels(20, 4), {"event_id": "nobody", "y": 1}]
        said = list(client.label_ndjson(hand.name, lines, batch=6))
        assert [each.get("line") for each in said] == [None] * 16 + [17]
        with pytest.raises(Problem, match="unknown-event") as caught:
            client.label(hand.name, {"event_id": "nobody", "y": 1})
        assert caught.value.status == 404


def test_quality_is_over_all_labels_or_the_last(server: str, hand: Hand) -> None:
    hand.ask("post_labels", 200, [each | {"y": "high"} for each in labels(20)])
    for begin in range(20, 220, 40):
        hand.post(events(40, begin))
        hand.ask("post_labels", 200, labels(begin + 40, begin))
    longer, short = (hand.ask("get_metrics_of", 200, window=n).json for n in (1_000, 100))
    assert longer == hand.ask("get_metrics_of", 200).json
    assert (longer["window_size"], short["window_size"]) == (1_000, 100)
    assert short["overall"] == longer["overall"]
    assert short["window"]["accuracy"] > longer["window"]["accuracy"]
    assert short["confusion"]["classes"] == ["high", "low"]
    assert sum(map(sum, short["confusion"]["window"])) == 100
    assert sum(map(sum, longer["confusion"]["window"])) == longer["labeled"]
    refused = hand.ask("get_metrics_of", 422, window=7).json
    assert refused["detail"] == "window: got 7, expected one of 100, 1000"
    text = ask(server, "GET", f"/metrics?stream={hand.name}", JSON).body.decode()
    assert 'metric="calibration_error",scope="window"' in text


def test_metrics_tell_of_labels(server: str, hand: Hand) -> None:
    hand.ask("post_labels", 200, labels(5))
    hand.post(events(50, 20))
    text = ask(server, "GET", f"/metrics?stream={hand.name}", JSON).body.decode()
    said = f'{{stream="{hand.name}"}}'
    assert f"synaptide_labels_pending{said} 50" in text
    assert f"synaptide_labels_taken_total{said} 5" in text
    assert f"synaptide_labels_expired_total{said} 0" in text
    assert f"synaptide_labels_displaced_total{said} 15" in text


def test_what_waits_survives_a_restart(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        hand = Hand(url, "waits")
        hand.put(SPEC)
        hand.post(events(20))
        hand.ask("post_labels", 200, labels(5))
        receipt = hand.receipt()
    with serving(tmp_path) as url:
        hand = Hand(url, "waits")
        assert hand.receipt() == receipt
        assert [each["learned"] for each in hand.ask("post_labels", 200, labels(20, 5)).json] == [
            True
        ] * 15
        assert "duplicate" in hand.ask("post_labels", 200, labels(1)[0]).json
