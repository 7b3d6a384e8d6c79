"""Names: what rules, boards and pages speak of is what the service tells, and the reverse."""

from __future__ import annotations

import re

import pytest

from service.settings import Settings
from tests.prometheus.tools import (
    BOARDS,
    ROOT,
    RULES,
    names_in,
    promtool,
    queries,
    rules,
    scrape,
)
from tests.test_laws import documented

OF_PROMETHEUS = {"up"}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}


@pytest.fixture(scope="module")
def kinds(loaded: str) -> dict[str, str]:
    """The kind of each metric the service tells of, by its name."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", scrape(loaded), re.MULTILINE))


def series_of(kinds: dict[str, str]) -> set[str]:
    parts = ("_bucket", "_sum", "_count")
    histograms = {name for name, kind in kinds.items() if kind == "histogram"}
    return kinds.keys() - histograms | {name + part for name in histograms for part in parts}


def test_names_are_found_in_a_query() -> None:
    query = 'sum by (le) (rate(a_bucket{x="b{c}"}[5m])) / on (d) group_left (e) s:f:g offset 5m'
    assert names_in(query) == {"a_bucket", "s:f:g"}
    query = 'label_replace(max(y) and (time() - z > bool 3), "for", "$1", "stream", "(.*)") or q'
    assert names_in(query) == {"y", "z", "q"}


def test_promtool_finds_nothing_to_complain_of(loaded: str) -> None:
    assert promtool("check", "metrics", stdin=scrape(loaded).encode()) == ""


def test_rules_use_only_names_that_exist(kinds: dict[str, str]) -> None:
    known = series_of(kinds) | RECORDED | OF_PROMETHEUS
    for rule in rules():
        names = names_in(rule["expr"])
        assert names, rule
        assert names <= known, rule


def test_boards_use_only_names_that_exist(kinds: dict[str, str]) -> None:
    known = series_of(kinds) | RECORDED | OF_PROMETHEUS
    for place, query in queries():
        assert names_in(query) <= known, place


def test_every_metric_of_ours_is_on_a_board_or_in_a_rule(kinds: dict[str, str]) -> None:
    used = set().union(*(names_in(query) for _, query in queries()))
    used |= set().union(*(names_in(rule["expr"]) for rule in rules()))
    left = {
        name
        for name, kind in kinds.items()
        if name.startswith("synaptide_")
        and not used & ({name} if kind != "histogram" else series_of({name: kind}))
    }
    assert left <= {"synaptide_stream_error_rolling_ratio"}


def test_every_metric_is_documented(kinds: dict[str, str]) -> None:
    assert documented("docs/metrics.md") == kinds.keys() | RECORDED


def test_every_kind_is_documented_as_it_is(kinds: dict[str, str]) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    said = dict(re.findall(r"^\| `(\w+)` \| (gauge|counter|histogram|info) \|", page, re.MULTILINE))
    assert said.keys() == kinds.keys()
    for name, kind in said.items():
        assert kinds[name] == ("gauge" if kind == "info" else kind), name


def test_pages_speak_only_of_metrics_and_settings_that_exist(kinds: dict[str, str]) -> None:
    known = series_of(kinds) | kinds.keys()
    settings = {f"SYNAPTIDE_{name.upper()}" for name in Settings.model_fields}
    pages = [*(ROOT / "docs" / "runbooks").glob("*.md"), ROOT / "docs" / "metrics.md"]
    pages += [ROOT / "docs" / "deploy.md", *RULES, *BOARDS]
    for page in pages:
        text = page.read_text("utf-8")
        own = re.sub(r"[a-z]+:synaptide_\w+:\w+", "", text)
        assert set(re.findall(r"\bsynaptide_\w+", own)) <= known, page.name
        assert set(re.findall(r"\bSYNAPTIDE_\w+", text)) <= settings, page.name
