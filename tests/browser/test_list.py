"""The list of streams, in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from service.client import Client
from tests.browser.conftest import Opening
from tests.browser.pages import PLAIN, fill, frames, percentile, spike, wave
from tests.conftest import Serving

STREAMS = 2_000


def test_a_fresh_service_says_how_to_begin(
    serving: Serving, opening: Opening, tmp_path: Path
) -> None:
    with serving(tmp_path) as url, opening(url) as watched:
        page = watched.page
        expect(page.get_by_role("heading", name="Nothing to watch yet")).to_be_visible()
        assert f"curl -X PUT {url}/v1/streams/boiler" in page.inner_text(".first")
        with Client(url) as client:
            fill(client, "boiler", wave(3), title="Boiler in the cellar")
            expect(page.get_by_role("link", name="Boiler in the cellar")).to_be_visible()
            expect(page.get_by_text("Nothing to watch yet")).to_be_hidden()
            client.delete_stream("boiler")
        expect(page.get_by_text("Nothing to watch yet")).to_be_visible()


def test_the_most_surprising_stream_stands_first(
    serving: Serving, opening: Opening, tmp_path: Path
) -> None:
    with serving(tmp_path) as url, Client(url) as client:
        for name in ("calm", "quiet"):
            fill(client, name, wave(60))
        fill(client, "odd", [*wave(60), spike(60)])
        fill(client, "young", wave(2))
        often = [{"ts": f"{1_780_000_000 + i / 10:.1f}", "x": {"value": 1.0}} for i in range(60)]
        alarm = {"kind": "silence", "factor": 1.0, "min_seconds": 0.0}
        fill(client, "hushed", often, indicators=[alarm])
        with opening(url) as watched:
            page = watched.page
            first = page.locator(".row[aria-rowindex='2']")
            expect(first).to_contain_text("odd")
            expect(first.locator(".badge")).to_have_text("Anomalous")
            expect(page.locator(".row", has_text="young").locator(".badge")).to_have_text("Warming")
            expect(page.locator(".row", has_text="hushed").locator(".badge")).to_have_text("Silent")
            client.post("calm", spike(60))
            expect(page.locator(".row", has_text="calm").locator(".badge")).to_have_text(
                "Anomalous"
            )
            page.get_by_role("group", name="Show only").get_by_text("Warming").click()
            expect(page.locator(".row:visible")).to_have_count(1)
            assert page.url.endswith("#/?state=warming")
            page.reload()
            expect(page.locator(".row:visible")).to_have_count(1)


def test_the_list_is_used_by_keys_alone(serving: Serving, opening: Opening, tmp_path: Path) -> None:
    with serving(tmp_path) as url, Client(url) as client:
        for name in ("alpha", "beta", "gamma"):
            fill(client, name, wave(3))
        with opening(f"{url}/#/?sort=name") as watched:
            page = watched.page
            grid = page.get_by_role("grid", name="Streams")
            expect(page.locator(".row:visible")).to_have_count(3)
            page.keyboard.press("ArrowDown")
            page.keyboard.press("ArrowDown")
            expect(page.locator(".row[aria-selected='true']")).to_contain_text("beta")
            active = grid.get_attribute("aria-activedescendant")
            assert active == page.locator(".row[aria-selected='true']").get_attribute("id")
            page.keyboard.press("/")
            page.keyboard.type("gam")
            expect(page.locator(".row:visible")).to_have_count(1)
            page.keyboard.press("Enter")
            expect(page.locator(".row[aria-selected='true']")).to_contain_text("gamma")
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", name="gamma")).to_be_visible()
            page.keyboard.press("u")
            expect(page.locator(".row:visible")).to_have_count(3)
            page.keyboard.press("?")
            expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
            page.keyboard.press("Escape")
            expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()


def test_the_theme_is_remembered(server: str, opening: Opening) -> None:
    with opening(server, theme="dark") as watched:
        page = watched.page
        html = page.locator("html")
        expect(html).to_have_attribute("data-theme", "dark")
        page.keyboard.press("t")
        expect(html).to_have_attribute("data-theme", "light")
        page.reload()
        expect(html).to_have_attribute("data-theme", "light")


@pytest.fixture(scope="module")
def crowded(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with very many streams."""
    with serving(tmp_path_factory.mktemp("crowded")) as url, Client(url) as client:
        for i in range(STREAMS):
            client.create_stream(f"stream-{i:04}", PLAIN)
            client.post(f"stream-{i:04}", wave(3), "logged")
        yield url


def test_two_thousand_streams_scroll_and_filter_smoothly(
    crowded: str, opening: Opening, say: Callable[[str], None]
) -> None:
    with opening(crowded) as watched, Client(crowded) as client:
        page = watched.page
        expect(page.locator(".total")).to_have_text("2\u202f000")
        assert page.locator(".row").count() < 60
        for i in range(0, STREAMS, 10):
            client.post(f"stream-{i:04}", wave(1, 3), "logged")
        scrolling = frames(page, "(i) => { document.querySelector('.rows').scrollTop = i * 1100; }")
        filtering = frames(
            page,
            "(i) => { const find = document.querySelector('#find');"
            " find.value = ['', 's', 'stream', 'stream-1', 'stream-19'][i % 5];"
            " find.dispatchEvent(new Event('input')); }",
        )
        for name, times in (("scrolling", scrolling), ("filtering", filtering)):
            typical, slow = percentile(times, 0.5), percentile(times, 0.95)
            say(f"2 000 streams, {name}: median {typical:.1f} ms a frame, 95 % within {slow:.1f}")
            assert slow < 100
        page.keyboard.press("Escape")
        page.locator("#find").fill("stream-1999")
        expect(page.locator(".row:visible")).to_have_count(1)
