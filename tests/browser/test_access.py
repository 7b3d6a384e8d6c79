"""Both pages, in both themes, without barriers that axe-core knows to be serious."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from service.client import Client
from tests.browser.conftest import Opening
from tests.browser.pages import fill, spike, wave
from tests.conftest import Serving


def barriers(page: Page, axe: str) -> list[str]:
    """What axe-core finds that is serious or worse."""
    page.evaluate(axe)
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_serious_barrier(
    server: str, opening: Opening, axe: str, theme: Literal["light", "dark"]
) -> None:
    with Client(server) as client:
        fill(client, f"open-{theme}", [*wave(60), spike(60)], title=f"Open in the {theme}")
    with opening(server, theme=theme) as watched:
        page = watched.page
        expect(page.get_by_role("link", name=f"Open in the {theme}")).to_be_visible()
        assert barriers(page, axe) == []
        page.goto(f"{server}/#/streams/open-{theme}")
        expect(page.locator("#value-summary")).to_contain_text("61 events")
        assert barriers(page, axe) == []
        page.get_by_role("button", name="Table").first.click()
        page.keyboard.press("p")
        assert barriers(page, axe) == []
        page.keyboard.press("?")
        assert barriers(page, axe) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_serious_barrier_for_a_beginner_on_a_telephone(
    serving: Serving, opening: Opening, axe: str, theme: Literal["light", "dark"], tmp_path: Path
) -> None:
    with serving(tmp_path) as url, opening(url, theme, width=390, height=844) as watched:
        page = watched.page
        expect(page.get_by_text("Nothing to watch yet")).to_be_visible()
        assert barriers(page, axe) == []
        with Client(url) as client:
            fill(client, "small", wave(60))
        expect(page.get_by_role("link", name="small")).to_be_visible()
        assert barriers(page, axe) == []
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390
        page.goto(f"{url}/#/streams/small")
        expect(page.locator("#value-summary")).to_contain_text("60 events")
        assert page.evaluate("document.querySelector('main').scrollWidth") <= 390
        assert barriers(page, axe) == []
