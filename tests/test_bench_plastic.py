"""The streams a plastic network is tried on."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import plastic_drift as drifts
from benchmarks import plastic_streams as streams
from benchmarks.images import Images
from benchmarks.streams_power_law import PHASE_EVENTS, PHASES, recurring


def pixels(images: Images) -> set[bytes]:
    return {x.tobytes() for x in images.x}


def test_rates_are_chosen_on_other_images_than_they_are_judged_by() -> None:
    learned, tested = streams.digit_parts()
    others, chosen_by = streams.digit_parts(tuning=True)
    assert (len(learned), len(tested), len(others), len(chosen_by)) == (1_400, 397, 1_100, 300)
    assert not pixels(tested) & (pixels(learned) | pixels(chosen_by))
    assert pixels(others) | pixels(chosen_by) == pixels(learned)


def test_tasks_have_the_same_pixels_in_another_order() -> None:
    first, second, *_ = streams.permuted_digits(3)
    assert (first[0].x == streams.digit_parts()[0].x).all()
    assert (np.sort(first[1].x) == np.sort(second[1].x)).all()
    assert (first[1].x != second[1].x).any()


def test_every_third_segment_means_the_same() -> None:
    images = Images("ten", np.eye(10), np.arange(10))
    said = list(streams.drifting(images, seed=2))
    assert len(said) == streams.SEGMENTS * streams.SEGMENT_EVENTS
    meanings = []
    for begin in range(0, len(said), streams.SEGMENT_EVENTS):
        part = said[begin : begin + streams.SEGMENT_EVENTS]
        meanings.append({(int(x.argmax()), y) for x, y in part})
        assert len(meanings[-1]) == 10
    assert meanings[0] == meanings[3] == {(i, i) for i in range(10)}
    assert meanings[1] == meanings[4] != meanings[2]


def test_a_network_learns_two_of_them_and_forgets_some() -> None:
    tasks = [(a.at(np.arange(300)), b) for a, b in streams.permuted_digits(1)[:2]]
    body = streams.network(tasks[0][0], hidden=(16,), rate=0.05)
    found = streams.continual(body, tasks, seed=1)
    assert 0.3 < found.final < found.learned <= 1.0
    assert 0.0 < found.forgotten < 0.9
    assert body.labels == 600
    assert 0.0 < streams.split_digits(streams.network(tasks[0][0], rate=0.05), 1) < 0.4


TEN = Images("ten", np.eye(10), np.arange(10))


def meant(part: list[tuple[np.ndarray, int]]) -> dict[int, set[int]]:
    """Return which labels each of ten images had."""
    found: dict[int, set[int]] = {}
    for x, y in part:
        found.setdefault(int(x.argmax()), set()).add(y)
    return found


@pytest.mark.parametrize(("kind", "changed"), [("full", 10), ("2 labels", 2), ("4 labels", 4)])
def test_labels_change_between_segments(kind: str, changed: int) -> None:
    said = list(drifts.drifting(TEN, 3, kind))
    assert len(said) == drifts.SEGMENTS * drifts.SEGMENT_EVENTS
    first, second = (meant(said[i * 800 : (i + 1) * 800]) for i in range(2))
    assert first == {i: {i} for i in range(10)}
    assert all(len(each) == 1 for each in second.values())
    moved = sum(first[i] != second[i] for i in range(10))
    assert moved == changed if kind != "full" else moved >= 5


def test_a_slow_change_leads_over_from_one_meaning_to_the_next() -> None:
    said = list(drifts.drifting(TEN, 3, gradual=True))
    old, over, new = (said[i * 800 : (i + 1) * 800] for i in range(3))
    before, after = meant(old), meant(new)
    assert all(len(each) == 1 for each in (*before.values(), *after.values()))
    late = [y in after[int(x.argmax())] and y not in before[int(x.argmax())] for x, y in over]
    assert np.mean(late[:200]) < 0.25 < 0.5 < np.mean(late[-200:])


def test_noise_changes_labels_of_a_share_of_events() -> None:
    said = list(drifts.stationary(TEN, 1, noise=0.2, count=5_000))
    wrong = np.mean([int(x.argmax()) != y for x, y in said])
    assert 0.15 < wrong < 0.21
    pairs = list(drifts.split(TEN, 1, noise=0.2, each=100))
    assert [sorted({y for _, y in pairs[i : i + 100]}) for i in range(0, 500, 100)] == [
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
        [8, 9],
    ]


def test_what_is_old_comes_back_the_more_rarely_the_older_it_is() -> None:
    said = [y // 2 for _, y in recurring(TEN, 1, share=0.5)]
    assert len(said) == PHASES * PHASE_EVENTS
    last = np.bincount(said[-PHASE_EVENTS:], minlength=5)
    assert abs(last[4] - PHASE_EVENTS / 2) < 60
    assert last[3] > last[2] > last[0] > 0
    assert set(said[:PHASE_EVENTS]) == {0}
    assert {y // 2 for _, y in recurring(TEN, 1, share=0.0, fall="exponential")} == set(range(5))


def test_a_gate_is_told_of_with_its_stream() -> None:
    body = streams.network(TEN, hidden=(8,), rate=0.05, options={"rehearsal": {}})
    found = drifts.drift(body, drifts.drifting(TEN, 3))
    assert found.fired == 5.0
    assert 0.5 < found.accuracy < found.last + 0.2
    right, fired = drifts.learned(body, drifts.stationary(TEN, 2, count=600), TEN)
    assert (right, fired) == (1.0, 6.0)
