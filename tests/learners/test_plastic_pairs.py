"""Every rule with every option it can have: resumed, asked, fed with anything."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from learners.base import Arrays
from learners.plastic.network import PlasticNetwork
from learners.plastic.options import OPTIONS
from learners.plastic.pairs import why_not, why_not_both
from learners.plastic.rule import FactorRule, Rule
from learners.plastic.rules import RULES
from tests.learners.test_wild_streams import wild

SMALL: dict[str, Any] = {"inputs": 3, "hidden": (4,), "classes": 3}


def sets_of_options(rule: str) -> list[dict[str, dict[str, Any]]]:
    """Return each option that the rule can have, with what it needs; for `sgd` each two as well."""
    able = [o for o in OPTIONS.values() if why_not(RULES[rule], o) is None]
    alone = [{o.name, *o.needs} for o in able]
    both = [a | b for i, a in enumerate(alone) for b in alone[:i] if rule == "sgd"]
    names = {o.name for o in able}
    good = [
        chosen
        for chosen in [*alone, *both]
        if chosen <= names
        and all(
            why_not_both(OPTIONS[a], OPTIONS[b]) is None for a in chosen for b in chosen if a != b
        )
    ]
    return [{name: {} for name in sorted(chosen)} for chosen in good]


def same(a: Arrays, b: Arrays) -> bool:
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


@pytest.mark.parametrize("rule", RULES)
def test_a_resumed_network_goes_on_as_if_nothing_had_been(rule: str) -> None:
    for options in sets_of_options(rule):
        spec = SMALL | {"rule": rule, "options": options}
        draw = np.random.default_rng(4)
        events = [dict(zip("abc", row, strict=True)) for row in draw.normal(size=(60, 3)).tolist()]
        first, second = PlasticNetwork(**spec), PlasticNetwork(**spec)
        for i, x in enumerate(events[:35]):
            first.learn_one(x, "abc"[i % 3])
        before = first.get_state()
        first.predict(events[35])
        first.signals()
        assert same(before, first.get_state()), options
        second.set_state(before)
        for i, x in enumerate(events[35:]):
            y = "abc"[i % 3]
            assert first.step_one(x, y) == second.step_one(x, y), options
        assert same(first.get_state(), second.get_state()), options
        assert first.held_bytes() <= PlasticNetwork.memory_bytes(**spec), options


@pytest.mark.parametrize("rate", [None, 5.0])
@pytest.mark.parametrize("rule", RULES)
def test_anything_may_come_at_any_rate(rule: str, rate: float | None) -> None:
    for standardize in (False, True):
        spec = SMALL | {"rule": rule, "rate": rate, "standardize": standardize}
        first = PlasticNetwork(**spec)
        for i, x in enumerate(wild(600, 1)):
            first.learn_one(x, "abc"[i % 3] if i % 2 else None)
            if i % 97 == 0:
                said = first.predict(x)
                numbers = [*first.signals().values(), *(said.proba or {}).values()]
                assert all(map(math.isfinite, numbers))
        second = PlasticNetwork(**spec)
        second.set_state(first.get_state())
        assert same(first.get_state(), second.get_state())


def test_the_page_says_what_each_rule_leaves_to_options() -> None:
    page = Path(__file__).parents[2] / "docs" / "plastic_network.md"
    rows = [
        [cell.strip() for cell in line.split("|")]
        for line in page.read_text("utf-8").splitlines()
        if line.startswith("| `")
    ]
    said = {
        row[1].strip("`"): row[4] for row in rows if row[1].strip("`") in RULES and len(row) == 6
    }
    for name, rule in RULES.items():
        parts = ["factors"] if issubclass(rule, FactorRule) else []
        parts += ["layers"] if rule.predict is Rule.predict else []
        assert said[name] == ", ".join(parts), name
