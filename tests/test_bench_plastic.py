"""The streams a plastic network is tried on."""

from __future__ import annotations

import numpy as np

from benchmarks import plastic_streams as streams
from benchmarks.images import Images


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
