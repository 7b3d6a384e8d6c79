"""The page of one stream, in a real browser."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from service.client import Client
from tests.browser.conftest import Opening
from tests.browser.pages import (
    colored,
    fill,
    frames,
    on_screen,
    percentile,
    spike,
    wait_until_colored,
    wave,
)

HOSTILE = "<img src=x onerror=window.hacked=1>\"'><script>window.hacked=1</script>"


def test_a_spike_is_marked_within_a_second(
    server: str, opening: Opening, say: Callable[[str], None]
) -> None:
    with Client(server) as client, opening(server) as watched:
        page = watched.page
        watched.tolerated.append("getImageData")  # The test looks at pixels; the page never does.
        fill(client, "spiky", wave(300))
        page.goto(f"{server}/#/streams/spiky")
        expect(page.locator("#link")).to_have_text("Live")
        expect(page.get_by_role("heading", name="value")).to_be_visible()
        assert colored(page, ".chart.value canvas", "--bad") == 0
        begun = time.perf_counter()
        client.post("spiky", spike(300))
        while not colored(page, ".chart.value canvas", "--bad"):
            assert time.perf_counter() - begun < 5
        took = time.perf_counter() - begun
        say(f"a spike is on the page {1000 * took:.0f} ms after it was posted")
        assert took < 1
        expect(page.locator(".heading .badge")).to_have_text("Anomalous")
        expect(page.locator(".moment.anomaly")).to_have_count(1)
        wait_until_colored(page, ".chart.score canvas", "--bad")


def test_a_paused_stretch_is_a_band_under_the_score(server: str, opening: Opening) -> None:
    with Client(server) as client, opening(server) as watched:
        page = watched.page
        watched.tolerated.append("getImageData")
        fill(client, "banded", wave(300))
        page.goto(f"{server}/#/streams/banded")
        expect(page.locator("#link")).to_have_text("Live")
        expect(page.locator(".key.state")).to_have_count(3)
        wait_until_colored(page, ".chart.score canvas", "--good")
        assert colored(page, ".chart.score canvas", "--drift") == 0
        client.put_learning("banded", "paused")
        client.post("banded", wave(60, 300))
        expect(page.locator(".heading .badge")).to_have_text("Paused")
        wait_until_colored(page, ".chart.score canvas", "--drift")
        page.locator(".figure", has_text="Anomaly score").get_by_role("button").click()
        expect(page.locator(".figure", has_text="Anomaly score")).to_contain_text("paused: request")


def test_ten_thousand_points_are_drawn_smoothly(
    server: str, opening: Opening, say: Callable[[str], None]
) -> None:
    with Client(server) as client:
        fill(client, "long", wave(10_000))
        with opening(f"{server}/#/streams/long?last=10000") as watched:
            page = watched.page
            expect(page.locator("#value-summary")).to_contain_text("10\u202f000 events")
            client.post("long", wave(200, 10_000), "logged")
            times = frames(
                page,
                "(i) => document.body.dispatchEvent(new KeyboardEvent('keydown',"
                " { key: '+-0'[i % 3], bubbles: true }))",
            )
            typical, slow = percentile(times, 0.5), percentile(times, 0.95)
            say(
                f"10 000 points drawn anew for each frame: median {typical:.1f} ms a frame, "
                f"95 % within {slow:.1f}, longest {times[-1]:.1f}"
            )
            # The median, because other programs of the machine take single frames away.
            assert typical < 100
            page.keyboard.press("0")
            kept = on_screen(page)
            assert len(kept) <= 10_500
            assert kept[-1]["offset"] == 10_200


def test_a_drift_is_marked_and_listed(server: str, opening: Opening) -> None:
    risen = [event | {"x": {"value": event["x"]["value"] + 15}} for event in wave(200, 400)]
    adwin = {"kind": "adwin", "watch": "x.value"}
    with Client(server) as client, opening(server) as watched:
        page = watched.page
        watched.tolerated.append("getImageData")
        fill(client, "drifting", [*wave(400), *risen], indicators=[adwin])
        page.goto(f"{server}/#/streams/drifting")
        listed = page.locator(".moment.drift").first
        expect(listed).to_contain_text("Drift of x.value, 22")
        wait_until_colored(page, ".chart.value canvas", "--drift", 20)
        wait_until_colored(page, ".chart.score canvas", "--drift", 20)
        expect(page.locator(".heading .badge")).to_have_text("OK")
        listed.click()
        expect(page.locator(".zoomed")).to_contain_text("Zoomed")
        assert any(each.get("drift") for each in on_screen(page))


def test_labels_show_how_good_it_is(server: str, opening: Opening) -> None:
    labeled = [event | {"y": 0.0} for event in wave(200)]
    labeled[100] = spike(100) | {"y": 1.0}
    with Client(server) as client, opening(server) as watched:
        fill(client, "judged", labeled)
        watched.page.goto(f"{server}/#/streams/judged")
        row = watched.page.get_by_role("row", name="recall")
        expect(row).to_contain_text("1")


def test_classes_are_set_against_what_was_predicted(server: str, opening: Opening) -> None:
    spec = {"learner": {"kind": "river", "estimator": "naive_bayes.GaussianNB"}, "indicators": []}
    events = [{"x": {"a": float(i % 3)}, "y": f"<b>{i % 3}"} for i in range(150)]
    with Client(server) as client, opening(server) as watched:
        client.create_stream("classes", spec)
        client.post("classes", events)
        confusion = client.quality("classes")["confusion"]
        page = watched.page
        page.goto(f"{server}/#/streams/classes")
        expect(page.get_by_role("heading", name="What was taken for what")).to_be_visible()
        table = page.locator("table.heat")
        expect(table.locator("tbody tr")).to_have_count(3)
        expect(table.locator("tbody th").first).to_have_text("<b>0")
        shown = [cell.split()[0] for cell in table.locator("tbody td").all_inner_texts()]
        rows = [shown[i : i + 3] for i in range(0, 12, 4)]
        assert [[int(n) for n in row] for row in rows] == confusion["window"]
        page.get_by_role("button", name="All 149").click()
        expect(page.get_by_role("button", name="All 149")).to_have_attribute("aria-pressed", "true")


def test_names_are_text_and_never_markup(server: str, opening: Opening) -> None:
    with Client(server) as client, opening(server) as watched:
        page = watched.page
        page.on("dialog", lambda dialog: watched.complaints.append(f"dialog: {dialog.message}"))
        events = [
            {"x": {HOSTILE[:200]: float(i), "plain": 1.0, "words": HOSTILE}} for i in range(30)
        ]
        fill(client, "hostile", events, title=HOSTILE)
        expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()
        page.goto(f"{server}/#/streams/hostile")
        expect(page.get_by_role("heading", name=HOSTILE, level=1)).to_be_visible()
        page.get_by_label("Feature", exact=True).select_option(HOSTILE[:200])
        expect(page.locator("#value-title")).to_have_text(HOSTILE[:200])
        for button in page.get_by_role("button", name="Table").all():
            button.click()
        assert page.evaluate("window.hacked") is None
        assert page.locator("img, main script").count() == 0


def test_the_view_is_in_the_address(server: str, opening: Opening) -> None:
    with Client(server) as client:
        fill(client, "viewed", [*wave(200), spike(200), *wave(99, 201)])
        with opening(f"{server}/#/streams/viewed") as watched:
            page = watched.page
            chart = page.locator(".chart.value .u-over")
            box = chart.bounding_box()
            assert box is not None
            page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 50)
            page.mouse.down()
            page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 60, steps=3)
            page.mouse.up()
            expect(page.locator(".zoomed")).to_contain_text("Zoomed")
            dragged = on_screen(page)
            assert 60 < len(dragged) < 90
            assert "from=2026" in page.url
            page.reload()
            expect(page.locator(".zoomed")).to_contain_text("Zoomed")
            assert [each["offset"] for each in on_screen(page)] == [
                each["offset"] for each in dragged
            ]
            page.keyboard.press("ArrowLeft")
            assert on_screen(page)[0]["offset"] < dragged[0]["offset"]
            page.keyboard.press("0")
            expect(page.locator(".zoomed")).to_have_text("")
            page.keyboard.press("b")
            assert any(each["is_anomaly"] for each in on_screen(page))


def test_a_pause_holds_the_picture_and_misses_nothing(server: str, opening: Opening) -> None:
    with Client(server) as client:
        fill(client, "held", wave(50))
        with opening(f"{server}/#/streams/held") as watched:
            page = watched.page
            expect(page.locator("#value-summary")).to_contain_text("50 events")
            page.keyboard.press("p")
            expect(page.locator("#link")).to_have_text("Paused")
            client.post("held", wave(20, 50))
            expect(page.get_by_role("button", name="Go on · 20 new")).to_be_visible()
            assert len(on_screen(page)) == 50
            page.keyboard.press("p")
            expect(page.locator("#value-summary")).to_contain_text("70 events")
            assert [each["offset"] for each in on_screen(page)] == list(range(1, 71))


def test_a_table_and_a_file_hold_what_is_drawn(
    server: str, opening: Opening, tmp_path: Path
) -> None:
    with Client(server) as client:
        fill(client, "kept", [*wave(60), spike(60)])
        with opening(f"{server}/#/streams/kept") as watched:
            page = watched.page
            page.get_by_role("button", name="Table").first.click()
            newest = page.locator(".figure tbody tr").first
            expect(newest).to_contain_text("500")
            expect(newest).to_contain_text("anomaly")
            expect(page.locator(".figure tbody tr")).to_have_count(50)
            with page.expect_download() as download:
                page.get_by_role("button", name="Save what is on screen as CSV").click()
            download.value.save_as(tmp_path / "kept.csv")
    with (tmp_path / "kept.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 61
    assert rows[-1]["x.value"] == "500"
    assert rows[-1]["is_anomaly"] == "true"
    # The forecast made with one event is about the next one, and stands there.
    with Client(server) as client:
        results = client.results("kept")
    assert float(rows[-1]["upper.value"]) == results[-2]["forecast"][0]["yhat_upper"]


def test_forecasts_stand_where_they_are_about_and_reach_ahead(
    server: str, opening: Opening, tmp_path: Path
) -> None:
    learner = {"kind": "sequence_memory", "horizons": [1, 4, 12]}
    with Client(server) as client, opening(server) as watched:
        page = watched.page
        fill(client, "foreseen", wave(150), learner=learner)
        page.goto(f"{server}/#/streams/foreseen")
        made = page.get_by_label("Forecasts made")
        expect(made.locator("option")).to_have_text(
            [
                "Forecast 1 event ahead",
                "Forecast 4 events ahead",
                "Forecast 12 events ahead",
            ]
        )
        made.select_option("4")
        assert "horizon=4" in page.url
        with page.expect_download() as download:
            page.get_by_role("button", name="Save what is on screen as CSV").click()
        download.value.save_as(tmp_path / "foreseen.csv")
        with (tmp_path / "foreseen.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        results = client.results("foreseen")
        for i in (-1, -20):
            four = next(f for f in results[i - 4]["forecast"] if f["horizon"] == 4)
            assert float(rows[i]["expected.value"]) == four["yhat"]
            assert float(rows[i]["lower.value"]) == four["yhat_lower"]
        over = page.locator(".chart.value .u-over")
        box = over.bounding_box()
        assert box is not None
        over.hover(position={"x": box["width"] - 2, "y": 40})
        readout = page.locator(".figure .readout").first
        expect(readout).to_contain_text("12 events ahead")
        twelve = next(f for f in results[-1]["forecast"] if f["horizon"] == 12)
        expect(readout).to_contain_text(f"{twelve['yhat']:.5g}")
        page.get_by_label("Horizontal axis").select_option("event")
        over.hover(position={"x": box["width"] - 3, "y": 40})
        expect(readout).to_contain_text("12 events ahead")
        page.reload()
        expect(page.get_by_label("Forecasts made")).to_have_value("4")


def test_a_stream_that_is_not_there_is_said_to_be_missing(server: str, opening: Opening) -> None:
    with opening(f"{server}/#/streams/nobody") as watched:
        watched.tolerated.append("404")
        expect(watched.page.get_by_text("There is no stream of this name")).to_be_visible()


def test_a_stream_without_events_waits_for_them(server: str, opening: Opening) -> None:
    with Client(server) as client:
        fill(client, "waiting", [])
        with opening(f"{server}/#/streams/waiting") as watched:
            page = watched.page
            expect(page.get_by_text("No events yet.")).to_be_visible()
            client.post("waiting", wave(2))
            expect(page.locator("#value-summary")).to_contain_text("2 events")
