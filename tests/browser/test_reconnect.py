"""The page through the death of its service: it says so, comes back, and has no gap."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from service.client import Client
from tests.browser.conftest import ROOT, Opening
from tests.browser.pages import fill, on_screen, wave

# Chromium has many names for a connection that a killed server dropped.
BROKEN = ["net::ERR_", "503"]


class Mortal:
    """A service in a process of its own, on one port and one folder through all its lives."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / "log"
        self._command = [sys.executable, "-m", "service.cli", "serve"]
        self._command += ["--port", str(port), "--data-dir", str(folder / "data")]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, results_kept: int = 10_000) -> None:
        """Run, and wait until events are taken."""
        environment = os.environ | {"SYNAPTIDE_RESULTS_KEPT": str(results_kept)}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, stdout=log, stderr=log, env=environment
            )
        with Client(self.url) as client:
            client.wait_until_ready()

    def kill(self) -> None:
        """End as in a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Mortal]:
    """A service to be killed."""
    service = Mortal(tmp_path)
    yield service
    service.kill()


def test_a_killed_service_is_waited_for_and_nothing_is_missed(
    mortal: Mortal, opening: Opening
) -> None:
    mortal.start()
    with Client(mortal.url) as client:
        fill(client, "steady", wave(100))
        with opening(f"{mortal.url}/#/streams/steady") as watched:
            watched.tolerated += BROKEN
            page = watched.page
            link, summary = page.locator("#link"), page.locator("#value-summary")
            expect(link).to_have_text("Live")
            client.post("steady", wave(20, 100))
            expect(summary).to_contain_text("120 events")
            mortal.kill()
            expect(link).to_have_text("Reconnecting …")
            mortal.start()
            client.post("steady", wave(80, 120))
            expect(link).to_have_text("Live")
            expect(summary).to_contain_text("200 events")
            client.post("steady", wave(1, 200))
            expect(summary).to_contain_text("201 events")
            assert [each["offset"] for each in on_screen(page)] == list(range(1, 202))


def test_what_is_no_longer_kept_is_said(mortal: Mortal, opening: Opening) -> None:
    mortal.start(results_kept=100)
    with Client(mortal.url) as client:
        fill(client, "forgetful", wave(50))
        with opening(f"{mortal.url}/#/streams/forgetful") as watched:
            watched.tolerated += [*BROKEN, "410"]
            page = watched.page
            expect(page.locator("#value-summary")).to_contain_text("50 events")
            page.route("**/results**", lambda route: route.abort())
            mortal.kill()
            expect(page.locator("#link")).to_have_text("Reconnecting …")
            mortal.start(results_kept=100)
            client.post("forgetful", wave(2_000, 50))
            page.unroute("**/results**")
            expect(page.get_by_text("results are no longer kept")).to_be_visible()
            page.get_by_role("button", name="All events that are kept").click()
            page.get_by_role("button", name="Table").first.click()
            expect(page.locator(".figure tbody tr").first).to_contain_text("2050")
            offsets = [each["offset"] for each in on_screen(page)]
            assert offsets[:50] == list(range(1, 51))
            assert offsets[50] > 51
            assert offsets[50:] == list(range(offsets[50], 2_051))


def test_the_list_comes_back(mortal: Mortal, opening: Opening) -> None:
    mortal.start()
    with Client(mortal.url) as client:
        fill(client, "first", wave(5))
        with opening(mortal.url) as watched:
            watched.tolerated += BROKEN
            page = watched.page
            expect(page.locator(".row:visible")).to_have_count(1)
            mortal.kill()
            expect(page.locator("#link")).to_have_text("Reconnecting …")
            mortal.start()
            fill(client, "second", wave(5))
            expect(page.locator("#link")).to_have_text("Live")
            expect(page.locator(".row:visible")).to_have_count(2)
