"""A real browser at the page of a real server: without one, tests skip, and fail in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn, Protocol

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from scripts.test_tools import AXE_FILE
from tests.conftest import Serving

ROOT = Path(__file__).parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_VIOLATIONS = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`))"""


def missing(reason: str) -> NoReturn:
    """Skip a test on a machine that lacks something; CI has to have it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


# Playwright keeps an event loop running in this thread, so it must be gone before other packages.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        missing("no chromium on this machine; `python scripts/test_tools.py` installs it on Debian")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="package")
def server(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server for this package, so that others' lists do not hold its streams."""
    with serving(tmp_path_factory.mktemp("pages")) as url:
        yield url


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    if not AXE_FILE.exists():
        command = [sys.executable, "scripts/test_tools.py", "axe-core"]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stderr
        if not AXE_FILE.exists():
            missing(said.strip() or "axe-core could not be fetched")
    return AXE_FILE.read_text("utf-8")


@dataclass
class Watched:
    """A page, and everything it complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    tolerated: list[str] = field(default_factory=list)
    """Parts of complaints that a test brings about itself."""

    def hear(self, message: ConsoleMessage) -> None:
        """Take down an error or a warning."""
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def check(self) -> None:
        """Make sure that nothing was complained of."""
        heard = self.complaints
        assert not [each for each in heard if not any(part in each for part in self.tolerated)]


class Opening(Protocol):
    """Opens a page in a context of its own, and checks afterwards that it did not complain."""

    def __call__(
        self,
        url: str,
        theme: Literal["light", "dark"] = "light",
        width: int = 1280,
        height: int = 900,
    ) -> AbstractContextManager[Watched]:
        """Enter the block."""


@pytest.fixture
def opening(browser: Browser) -> Opening:
    """A way to look at pages."""

    @contextmanager
    def opened(
        url: str,
        theme: Literal["light", "dark"] = "light",
        width: int = 1280,
        height: int = 900,
    ) -> Iterator[Watched]:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme
        )
        watched = Watched(context.new_page())
        watched.page.set_default_timeout(20_000)
        watched.page.add_init_script(_VIOLATIONS)
        watched.page.on("console", watched.hear)
        watched.page.on("pageerror", lambda error: watched.complaints.append(f"raised: {error}"))
        try:
            watched.page.goto(url)
            yield watched
            watched.check()
        finally:
            context.close()

    return opened


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """A way to print a figure that was measured, for a person to read."""

    def printed(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}")

    return printed
