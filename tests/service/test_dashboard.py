"""The dashboard as files: how they are sent, what is in them, and that the wheel has them."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import threading
import time
import zipfile
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scripts import vendor
from service.api.dashboard import FOLDER, files
from tests.conftest import Serving

ROOT = Path(__file__).parents[2]
CSP = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'"
OURS = sorted(path for path in FOLDER.rglob("*") if path.is_file() and "vendor" not in path.parts)
FILES = sorted(files())


def ask(url: str, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    """Send a request and return the answer with its body."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(method, path, headers=headers)
        reply = connection.getresponse()
        return reply, reply.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/", *(f"/dashboard/{name}" for name in FILES)])
def test_every_file_is_sent_safely(server: str, path: str) -> None:
    reply, body = ask(server, path)
    assert reply.status == 200
    assert (
        body
        == (FOLDER / (path.removeprefix("/dashboard/").strip("/") or "index.html")).read_bytes()
    )
    assert reply.headers["Content-Security-Policy"] == CSP
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Cache-Control"] == "no-cache"
    kinds = {
        "css": "text/css",
        "html": "text/html",
        "js": "text/javascript",
        "svg": "image/svg+xml",
    }
    kind = kinds[(path if path != "/" else ".html").rpartition(".")[2]]
    assert reply.headers["Content-Type"].startswith(kind)


def test_a_file_that_is_known_is_not_sent_again(server: str) -> None:
    first, _ = ask(server, "/dashboard/main.js")
    tag = first.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again, body = ask(server, "/dashboard/main.js", **{"If-None-Match": known})
        assert (again.status, body, again.headers["ETag"]) == (304, b"", tag)
    other, body = ask(server, "/dashboard/main.js", **{"If-None-Match": '"other"'})
    assert other.status == 200
    assert body
    head, body = ask(server, "/", "HEAD")
    assert (head.status, body) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/dashboard/",
        "/dashboard/absent.js",
        "/dashboard/../app.py",
        "/dashboard/%2e%2e/app.py",
        "/dashboard/..%2fapp.py",
        "/dashboard//etc/passwd",
        "/dashboard/vendor/SHA256SUMS",
        "/dashboard/css%00.js",
    ],
)
def test_nothing_else_is_sent(server: str, path: str) -> None:
    reply, body = ask(server, path)
    assert reply.status == 404
    assert b'"code":"not-found"' in body


def test_the_chart_library_is_the_one_that_was_recorded() -> None:
    recorded = (line.split("  ") for line in vendor.SUMS.read_text("utf-8").splitlines())
    sums = {name: digest for digest, name in recorded}
    assert set(sums) == set(vendor.FILES.values())
    for name, digest in sums.items():
        assert hashlib.sha256((vendor.VENDOR / name).read_bytes()).hexdigest() == digest
    assert "MIT License" in (vendor.VENDOR / "uPlot-LICENSE").read_text("utf-8")
    index = (FOLDER / "index.html").read_text("utf-8")
    assert all(f"vendor/{name}" in index for name in sums if not name.endswith("LICENSE"))


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_the_page_works_offline_and_under_its_own_policy(path: Path) -> None:
    text = path.read_text("utf-8")
    elsewhere = [url for url in re.findall(r"https?://[^\s\"'`)]*", text) if "w3.org" not in url]
    assert elsewhere == []
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    if path.suffix == ".html":
        assert not re.search(r"\son[a-z]+=|\sstyle=|<style|<script(?![^>]*\ssrc=)", text)


@pytest.mark.parametrize(
    "path", [each for each in OURS if each.suffix == ".js"], ids=lambda p: p.name
)
def test_modules_stay_small(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 280


def test_the_wheel_has_the_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = {f"service/dashboard/{path.relative_to(FOLDER).as_posix()}" for path in OURS}
    wanted |= {
        f"service/dashboard/vendor/{name}" for name in [*vendor.FILES.values(), "SHA256SUMS"]
    }
    assert wanted <= names


def test_a_page_that_waits_does_not_hold_up_the_end(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        _, body = ask(url, "/v1/overview")
        cursor = body.split(b'"cursor":"')[1].split(b'"')[0].decode()
        waiting = threading.Thread(target=ask, args=(url, f"/v1/overview?since={cursor}&wait=30"))
        waiting.start()
        waiting.join(0.3)
        begun = time.monotonic()
    waiting.join(10)
    assert time.monotonic() - begun < 10
