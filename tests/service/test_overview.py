"""Every stream at a glance, templates that make streams, and quality under way."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from service.client import Client
from tests.conftest import Serving
from tests.service.raw import opened
from tests.service.test_api import SPEC, Hand, event


def glance(hand: Hand, **options: Any) -> Any:
    return hand.ask("get_overview", 200, **options).json


def test_the_overview_tells_what_changed(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        hands = [Hand(url, name) for name in ("first", "second", "third")]
        for hand in hands:
            hand.put(SPEC | {"title": hand.name.upper()})
        one, two, _ = hands
        everything = glance(one)
        assert (everything["full"], everything["total"], everything["gone"]) == (True, 3, [])
        names = [each["name"] for each in everything["streams"]]
        assert sorted(names) == ["first", "second", "third"]
        nothing = glance(one, since=everything["cursor"])
        assert (nothing["full"], nothing["streams"], nothing["gone"]) == (False, [], [])
        two.post([event(i) for i in range(30)])
        delta = glance(one, since=everything["cursor"])
        (changed,) = delta["streams"]
        assert (changed["name"], changed["title"], changed["offset"]) == ("second", "SECOND", 30)
        assert changed["kind"] == "rolling_zscore"
        scores = [each["anomaly_score"] for each in two.results()["results"]]
        assert changed["recent"] == [None if s is None else round(s, 4) for s in scores]
        one.ask("delete_stream", 204)
        assert glance(two, since=delta["cursor"])["gone"] == ["first"]
        for stale in ("nonsense", "abc-1", f"{delta['cursor']}9", "-", "é"):
            assert glance(two, since=stale.encode().hex() if stale == "é" else stale)["full"]
    with serving(tmp_path) as url:  # A cursor of the run before.
        after = glance(Hand(url, "second"), since=delta["cursor"])
        assert after["full"]
        assert {each["name"]: each["offset"] for each in after["streams"]}["second"] == 30


def test_the_overview_waits_for_a_change(server: str) -> None:
    hand = Hand(server, "awaited")
    hand.put()
    cursor = glance(hand)["cursor"]
    begun = time.monotonic()
    poster = threading.Timer(0.3, lambda: hand.post(event(1)))
    poster.start()
    while True:
        delta = glance(hand, since=cursor, wait=20)
        if "awaited" in [each["name"] for each in delta["streams"]]:
            break
        cursor = delta["cursor"]
    poster.join()
    assert 0.3 <= time.monotonic() - begun < 10
    begun = time.monotonic()
    glance(hand, since=glance(hand)["cursor"], wait=0.2)
    assert time.monotonic() - begun >= 0.15
    hand.ask("get_overview", 422, wait=31)


def test_a_template_makes_streams(server: str) -> None:
    hand = Hand(server, "plant-7")
    made = hand.ask("put_template", 201, {"pattern": "plant-*", "spec": SPEC}, template="plants")
    assert (made.json["name"], made.json["pattern"]) == ("plants", "plant-*")
    wider = {"pattern": "*-never-elsewhere", "spec": SPEC | {"threshold": 0.9}}
    hand.ask("put_template", 201, wider, template="wider")
    assert hand.ask("get_stream", 404).json["code"] == "stream-not-found"
    assert hand.post([event(i) for i in range(3)])[2]["offset"] == 3
    view = hand.ask("get_stream", 200).json
    assert view["spec"]["learner"]["window"] == 20
    assert view["recovery"] == "snapshot"
    longest = {"pattern": "plant-1?", "spec": SPEC | {"threshold": 0.7}}
    hand.ask("put_template", 201, longest, template="a-longer-one")
    longer = Hand(server, "plant-12")
    with opened(server, longer.name) as socket:
        socket.recv()
    assert longer.ask("get_stream", 200).json["spec"]["threshold"] == 0.7
    Hand(server, "elsewhere").ask("post_events", 404, event(1))
    again = hand.ask("put_template", 200, longest | {"pattern": "zz-*"}, template="a-longer-one")
    assert again.json["created_at"]
    names = [each["name"] for each in hand.ask("list_templates", 200).json["templates"]]
    assert names == ["a-longer-one", "plants", "wider"]
    for name in names:
        assert hand.ask("get_template", 200, template=name).json["name"] == name
        hand.ask("delete_template", 204, template=name)
        assert hand.ask("get_template", 404, template=name).json["code"] == "template-not-found"
        hand.ask("delete_template", 404, template=name)
    assert hand.post(event(3))["offset"] == 4, "a stream outlives its template"
    Hand(server, "plant-8").ask("post_events", 404, event(1))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"pattern": "a b", "spec": SPEC}, 422),
        ({"pattern": "", "spec": SPEC}, 422),
        ({"pattern": "*"}, 422),
        ({"pattern": "*", "spec": {"learner": {"kind": "oracle"}}}, 422),
        ({"pattern": "*", "spec": {"learner": {"kind": "rolling_zscore", "window": 1}}}, 422),
        ({"pattern": "*", "spec": SPEC, "more": 1}, 422),
        (b"{", 400),
    ],
)
def test_a_template_that_makes_no_sense_is_refused(server: str, body: Any, status: int) -> None:
    hand = Hand(server, "templates")
    assert hand.ask("put_template", status, body, template="odd").json["detail"]
    assert hand.ask("list_templates", 200).json["templates"] == []


def test_templates_and_the_limit_of_streams_hold(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path, max_streams=2) as url:
        hand = Hand(url, "m-1")
        hand.ask("put_template", 201, {"pattern": "m-*", "spec": SPEC}, template="all")
        hand.post(event(1))
        hand.put(status=200)
        Hand(url, "m-2").post(event(1))
        refused = Hand(url, "m-3").ask("post_events", 422, event(1)).json
        assert (refused["code"], "2" in refused["detail"]) == ("too-many-streams", True)
        assert Hand(url, "m-4").put(status=422)["code"] == "too-many-streams"
        hand.ask("delete_stream", 204)
        Hand(url, "m-3").post(event(1))
    with serving(tmp_path, max_streams=9) as url:
        assert Hand(url, "m-5").post(event(1))["offset"] == 1


def test_what_a_spec_would_take_is_told_beforehand(server: str) -> None:
    hand = Hand(server, "never-made")
    said = hand.ask("estimate", 200, SPEC).json
    assert said["recovery"] == "snapshot"
    bigger = hand.ask("estimate", 200, {"learner": {"kind": "sequence_memory"}}).json
    assert said["memory_bytes_estimate"] < bigger["memory_bytes_estimate"] < 50_000_000
    hand.ask("estimate", 422, {"learner": {"kind": "rolling_zscore", "window": 1}})
    hand.ask("get_stream", 404)


def test_quality_is_judged_before_learning(server: str) -> None:
    hand = Hand(server, "judged")
    # No indicator: the score is the learner's own, at once.
    hand.put(SPEC | {"indicators": [], "threshold": 0.99})
    answers = hand.post(
        [
            event(i, y=float(i % 10 == 9), x={"v": 50.0 if i % 10 == 9 else 1.0 + i % 3})
            for i in range(60)
        ]
    )
    assert "quality" not in answers[0], "nothing can be judged before there is a score"
    assert answers[-1]["quality"]["recall"] == 1.0
    judged = hand.ask("get_metrics_of", 200).json
    assert (judged["task"], judged["events"], judged["labeled"]) == ("anomaly", 60, 55)
    assert judged["overall"]["precision"] == answers[-1]["quality"]["precision"]
    assert judged["window"]["roc_auc"] == pytest.approx(1.0)
    assert answers[9]["y"] == 1.0
    assert answers[9]["x"] == {"v": 50.0}


def test_the_client_knows_templates_and_the_overview(server: str) -> None:
    with Client(server) as client:
        client.put_template("by-client", "client-made-*", SPEC)
        assert [each["name"] for each in client.templates()] == ["by-client"]
        client.post("client-made-1", {"x": {"v": 1.0}})
        overview = client.overview()
        assert "client-made-1" in {each["name"] for each in overview["streams"]}
        assert not client.overview(overview["cursor"])["full"]
        assert client.quality("client-made-1")["events"] == 1
        client.delete_template("by-client")
        assert client.estimate(SPEC)["recovery"] == "snapshot"
        assert client.templates() == []
