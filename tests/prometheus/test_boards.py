"""The boards: whole, and every query answered by a real Prometheus that scrapes a real service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.client import Client
from tests.prometheus.conftest import OTHER, STREAM, World
from tests.prometheus.tools import BOARDS, ROOT, eventually, panels, queries, rules

PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
GIVEN = {"$__rate_interval": "10s", "$top": "5", "$stream": STREAM, "$instance": ".*"}
GIVEN_BY_GRAFANA = {"datasource"}


def loads(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def filled(query: str) -> str:
    """Put values in the place of a board's variables."""
    for variable, value in GIVEN.items():
        query = query.replace(variable, value)
    assert "$" not in query, query
    return query


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_board_is_whole(path: Path) -> None:
    board = loads(path)
    assert board["uid"].startswith("synaptide")
    assert board["title"]
    assert board["description"]
    variables = {each["name"] for each in board["templating"]["list"]}
    assert "datasource" in variables
    assert variables - GIVEN_BY_GRAFANA <= {name.strip("$") for name in GIVEN}
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels(path)]
    assert len(titles) > 10
    for panel in panels(path):
        where = panel["title"]
        assert where, path.name
        assert panel["description"].endswith("."), where
        assert panel["fieldConfig"]["defaults"]["unit"], where
        assert panel["targets"], where
        for each in (panel, *panel["targets"]):
            assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, where
        for target in panel["targets"]:
            used = {name for name in ("top", "stream", "instance") if f"${name}" in target["expr"]}
            assert used <= variables, where


def test_boards_are_three_and_can_be_told_apart() -> None:
    uids = [loads(path)["uid"] for path in BOARDS]
    assert sorted(uids) == ["synaptide-operations", "synaptide-stream", "synaptide-streams"]
    for path in BOARDS:
        for link in _links(loads(path)):
            assert link.split("?")[0].removeprefix("/d/") in uids


def _links(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["url"]] if str(node.get("url", "")).startswith("/d/") else []
        return own + [link for each in node.values() for link in _links(each)]
    return [link for each in node for link in _links(each)] if isinstance(node, list) else []


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_panels_lie_side_by_side(path: Path) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in loads(path)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_grafana_is_told_where_everything_is() -> None:
    (source,) = yaml.safe_load(
        (PROVISIONING / "datasources" / "prometheus.yaml").read_text("utf-8")
    )["datasources"]
    assert (source["type"], source["uid"]) == ("prometheus", "synaptide-prometheus")
    (provider,) = yaml.safe_load(
        (PROVISIONING / "dashboards" / "synaptide.yaml").read_text("utf-8")
    )["providers"]
    assert provider["type"] == "file"


def test_every_query_of_every_board_is_answered(world: World) -> None:
    waiting = dict(queries())
    assert len(waiting) == len(queries()) > 60

    def answered() -> bool:
        world.load()
        for place, query in list(waiting.items()):
            if world.prometheus.query(filled(query)):
                del waiting[place]
        return not waiting

    try:
        eventually(answered)
    finally:
        assert not waiting


def test_every_rule_is_recorded(world: World) -> None:
    names = {rule["record"] for rule in rules() if "record" in rule}

    def recorded() -> bool:
        world.load()
        return all(world.prometheus.query(name) for name in names)

    eventually(recorded)
    health = {
        rule["name"]: rule["health"]
        for group in world.prometheus.ask("rules")["groups"]
        for rule in group["rules"]
    }
    assert set(health.values()) == {"ok"}
    assert health.keys() == {rule.get("record") or rule.get("alert") for rule in rules()}


def test_numbers_arrive_as_the_service_knows_them(world: World) -> None:
    world.load()
    with Client(world.url) as client:
        status = client.stream(STREAM)
    wanted = {
        "synaptide_stream_events_total": status["offset"],
        "synaptide_anomalies_total": status["status"]["anomalies"],
        "synaptide_labeled_events_total": status["status"]["labeled"],
        "synaptide_anomaly_score": status["status"]["anomaly_score"],
        "synaptide_drifts_detected_total": status["status"]["drifts"]["page_hinkley"],
    }

    def arrived() -> bool:
        got = {
            name: [
                float(series["value"][1])
                for series in world.prometheus.query(f'{name}{{stream="{STREAM}"}}')
            ]
            for name in wanted
        }
        return got == {name: [float(value)] for name, value in wanted.items()}

    assert min(wanted["synaptide_anomalies_total"], wanted["synaptide_drifts_detected_total"]) > 0
    eventually(arrived)


def test_exemplars_lead_to_events(world: World) -> None:
    world.load()

    def named(query: str) -> set[str]:
        found = world.prometheus.ask("query_exemplars", query=query, start="0", end="9999999999")
        labels = [each["labels"] for series in found for each in series["exemplars"]]
        return {f"{each.get('stream')}/{each['event_id']}" for each in labels}

    slow = eventually(lambda: named("synaptide_event_latency_seconds_bucket"))
    assert any(each.startswith(f"{STREAM}/reading-") for each in slow)
    odd = eventually(lambda: named("synaptide_anomalies_total"))
    assert all(each.startswith(f"{STREAM}/reading-") for each in odd if each.startswith(STREAM))


def test_the_series_of_a_deleted_stream_end(world: World) -> None:
    with Client(world.url) as client:
        client.create_stream("passing", {"learner": {"kind": "rolling_zscore"}})
        client.post("passing", {"x": {"v": 1.0}})
        query = 'count({stream="passing"})'
        eventually(lambda: world.prometheus.query(query))
        client.delete_stream("passing")
    eventually(lambda: not world.prometheus.query(query))
    assert world.prometheus.query(f'count({{stream="{OTHER}"}})')
