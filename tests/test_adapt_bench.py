"""The benchmark of adaptation: its loop is the learner's, its images are what they are called."""

from __future__ import annotations

import numpy as np

from benchmarks.adapt_data import CORRUPTIONS, ROUTE, corrupted, moving
from benchmarks.adapt_guards import GUARDS, WILD, arms, caught_by
from benchmarks.adapt_runs import METHODS, adapted, batch_error, learner_of, taught
from benchmarks.images import Images


def faces(n: int, seed: int) -> Images:
    """Return images of 4 x 4 pixels in ten classes, black but for two pixels of their own."""
    draw = np.random.default_rng(seed)
    y = np.concatenate([np.arange(10), draw.integers(0, 10, n - 10)])
    x = 0.1 * draw.random((n, 16))
    x[np.arange(n), y] += 0.8
    x[np.arange(n), (3 * y + 5) % 16] += 0.4
    return Images("faces", x.clip(0.0, 1.0), y)


def test_its_loop_says_what_the_learner_says() -> None:
    source, images = faces(300, 0), faces(120, 1)
    learned = taught(source, 12, seed=3)
    run = adapted(learned.net, images, METHODS["all (default)"])
    learner = learner_of(16, 12, seed=3)
    hits = []
    for part, labels in ((source, True), (images, False)):
        for x, y in zip(part.x.tolist(), part.y.tolist(), strict=True):
            event = {f"p{i}": value for i, value in enumerate(x)}
            if labels:
                learner.learn_one(event, y)
            else:
                hits.append(learner.step_one(event).label == y)
    # Both know ten classes only once each has come, which the first ten images see to.
    assert np.mean(hits == run.hits) > 0.98
    np.testing.assert_allclose(learner.network.first, run.net.first, atol=0.05)


def test_every_corruption_leaves_pixels_in_range_and_does_something() -> None:
    images = faces(200, 2)
    found = corrupted(images, seed=1)
    assert list(found) == list(CORRUPTIONS)
    for name, worse in found.items():
        assert worse.x.min() >= 0.0
        assert worse.x.max() <= 1.0
        assert (name == "clean") == np.array_equal(worse.x, images.x)
    np.testing.assert_allclose(found["inversion"].x, 1.0 - images.x)
    again = corrupted(images, seed=1)
    assert all(np.array_equal(found[name].x, again[name].x) for name in found)


def test_the_moving_stream_goes_there_and_back() -> None:
    found = corrupted(faces(50, 2), seed=1)
    stream = moving(found, 20)
    assert len(stream) == 20 * len(ROUTE)
    assert ROUTE[0] == ROUTE[-1] == "clean"
    np.testing.assert_array_equal(stream.x[20:40], found["gauss"].x[20:40])


def test_methods_differ_in_what_they_leave_as_it_was() -> None:
    source, images = faces(400, 0), corrupted(faces(300, 1), seed=1)["contrast"]
    net = taught(source, 12, seed=3).net
    errors = {name: adapted(net, images, params).error for name, params in METHODS.items()}
    assert errors["source"] > errors["all (default)"]
    frozen = adapted(net, images, METHODS["source"]).net
    for name in ("first", "gain", "hidden", "inputs"):
        same = np.array_equal(getattr(frozen, name)[:1], getattr(net, name)[:1])
        assert same, name
    assert batch_error(net, images) < errors["source"]


def test_each_guard_is_tried_alone_and_left_out() -> None:
    for setting in WILD:
        tried = arms(setting)
        assert not any(tried["no guard"][name] for name in GUARDS)
        for name in set(GUARDS) - {"entropy_filter"}:
            assert tried[f"{name} alone"][name] == GUARDS[name]
            assert not tried[f"all but {name}"][name]
    rows = {
        "no guard": {"last_error": {"mean": 80.0}},
        "anchor alone": {"last_error": {"mean": 15.5}},
        "balance alone": {"last_error": {"mean": 40.0}},
        "all": {"last_error": {"mean": 15.0}},
    }
    assert caught_by(rows, 2.0) == ["anchor"]
    assert caught_by(rows | {"no guard": {"last_error": {"mean": 16.0}}}, 2.0) == []
