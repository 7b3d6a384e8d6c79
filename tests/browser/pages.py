"""What tests ask of a page, and the streams they look at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from service.client import Client

PLAIN = {"learner": {"kind": "rolling_zscore", "window": 20}, "indicators": [], "threshold": 0.99}
"""Its score is the learner's own, so that one far value is one anomaly."""

_FRAMES = """async () => {
  const act = %s;
  const times = [];
  let before = await new Promise(requestAnimationFrame);
  for (let i = 0; i < 90; i += 1) {
    act(i);
    const now = await new Promise(requestAnimationFrame);
    times.push(now - before);
    before = now;
  }
  return times;
}"""
_COLORED = """([selector, name]) => {
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  const canvas = document.querySelector(selector);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255) found += 1;
  return found;
}"""


def wave(n: int, start: int = 0, name: str = "value") -> list[dict[str, Any]]:
    """Events that are much alike, ten seconds apart."""
    return [
        {"ts": f"{1_780_000_000 + 10 * i}", "x": {name: 20.0 + (i * 7) % 5}}
        for i in range(start, start + n)
    ]


def spike(at: int, name: str = "value") -> dict[str, Any]:
    """An event that is like no other."""
    return {"ts": f"{1_780_000_000 + 10 * at}", "x": {name: 500.0}}


def fill(client: Client, name: str, events: Sequence[dict[str, Any]], **spec: Any) -> None:
    """Make a stream, and post its events."""
    client.create_stream(name, PLAIN | spec)
    for i in range(0, len(events), 2_000):
        client.post(name, events[i : i + 2_000])


def frames(page: Page, work: str) -> list[float]:
    """Do something before each of 90 frames; return how long each took, in ms, shortest first."""
    times: list[float] = page.evaluate(_FRAMES % work)
    return sorted(times)


def percentile(times: Sequence[float], share: float) -> float:
    """The time that this share of the sorted times does not exceed."""
    return times[min(len(times) - 1, int(len(times) * share))]


def colored(page: Page, selector: str, name: str) -> int:
    """Count the pixels of a canvas that have a color of the theme."""
    found: int = page.evaluate(_COLORED, [selector, name])
    return found


def wait_until_colored(page: Page, selector: str, name: str, at_least: int = 1) -> None:
    """Wait until a canvas, which is drawn a frame after the rest, has a color of the theme."""
    page.wait_for_function(
        f"([at, name, n]) => ({_COLORED})([at, name]) >= n", arg=[selector, name, at_least]
    )


def on_screen(page: Page) -> list[dict[str, Any]]:
    """The results a person would save from the page."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save what is on screen as JSON").click()
    saved = Path(download.value.path())
    results: list[dict[str, Any]] = json.loads(saved.read_text("utf-8"))
    return results
