"""The plastic network: its core against matrices, and that parts which do not fit are refused."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from learners.base import StateError
from learners.kernels import network as dense
from learners.kernels import plastic as kernels
from learners.plastic.network import PlasticNetwork
from learners.plastic.option import Floats, Option
from learners.plastic.options import OPTIONS
from learners.plastic.options.classp import REFRACTORY
from learners.plastic.pairs import REFUSED, require_pairs, why_not, why_not_both
from learners.plastic.rule import Rule
from learners.plastic.rules import RULES
from learners.plastic.shape import Shape
from tests import naive_network as net
from tests import naive_plastic as naive

SIZES = (5, 6, 4, 3)
SMALL: dict[str, Any] = {"inputs": 5, "hidden": (6, 4), "classes": 3, "standardize": False}


def event(seed: int) -> tuple[Floats, int]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=5) * (draw.random(5) < 0.7), int(draw.integers(3))


def test_sgd_steps_as_matrices_do() -> None:
    body = PlasticNetwork(**SMALL, rate=0.1).body
    for seed in range(30):
        x, y = event(seed)
        before = body.theta.copy()
        ref = net.outputs(net.layers(before, SIZES), True, x)[-1]
        np.testing.assert_allclose(body.look(x), ref, rtol=1e-12)
        assert body.update(x, y) == pytest.approx(net.loss(before, SIZES, True, x, y))
        ref = naive.sgd(before, SIZES, x, y, 0.1)
        np.testing.assert_allclose(body.theta, ref, rtol=1e-11, atol=1e-14)


def test_a_step_of_several_terms_is_their_sum() -> None:
    draw = np.random.default_rng(1)
    layout, theta = Shape(5, (6, 4), 3).layout, draw.normal(size=79)
    pre, post = draw.normal(size=(3, 15)), draw.normal(size=(3, 13))
    bias = draw.integers(0, 2, (3, 3)).astype(float)
    ref = naive.from_factors(SIZES, pre, post, bias)
    got, found = theta.copy(), np.zeros(2)
    kernels.write(got, layout, pre, post, bias, 0.1, 1e6)
    np.testing.assert_allclose(got, theta - 0.1 * ref, rtol=1e-11)
    kernels.measure(layout, pre, post, bias, found)
    assert found[0] == pytest.approx(ref @ ref)
    assert found[1] >= np.abs(ref).max()
    kernels.write(got, layout, pre, post, bias, 0.1, 0.5)
    assert np.abs(got).max() == 0.5


@pytest.mark.parametrize("relu", [True, False])
def test_layer_by_layer_is_all_at_once(relu: bool) -> None:
    body = PlasticNetwork(**SMALL).body
    x, _ = event(4)
    ref, got = np.zeros(13), np.zeros(13)
    dense.forward(body.theta, body.layout, relu, x, ref)
    for layer in range(3):
        kernels.forward_layer(body.theta, body.layout, relu, layer, x, got)
    assert (got == ref).all()


def test_a_step_out_of_all_proportion_is_not_taken() -> None:
    learner = PlasticNetwork(**SMALL, rate=1.0)
    before = learner.body.theta.copy()
    learner.learn_one(dict.fromkeys("abcde", 900.0), "a")
    assert learner.signals()["rejected_updates"] == 1.0
    assert (learner.body.theta == before).all()
    for i in range(300):
        learner.learn_one({"a": 1e9 * (-1.0) ** i, "b": 1e-3 * i}, "ab"[i % 2])
    assert np.isfinite(learner.body.theta).all()


class Spy(Option):
    """Writes down what it is asked, and answers with the class it was told to."""

    name = "spy"
    masks = True

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self.said = said

    def before(self, body: Any, x: Floats, y: int) -> None:
        self.said.append("before")

    def mask(self, body: Any, layer: int, source: Floats, out: Floats) -> None:
        self.said.append(f"mask {layer} {len(source)} {len(out)}")
        out[0] = 0.0

    def answer(self, body: Any, x: Floats, out: Floats, learning: bool) -> None:
        self.said.append(f"answer {learning}")

    def speak(self, body: Any, x: Floats, out: Floats) -> None:
        self.said.append(f"speak {body.fresh}")

    def shape(self, body: Any) -> None:
        self.said.append("shape")
        body.pre[0, 0] = 0.0

    def settle(self, body: Any) -> None:
        self.said.append("settle")

    def after(self, body: Any, x: Floats, y: int, loss: float) -> None:
        self.said.append("after")

    def new_task(self, body: Any) -> None:
        self.said.append("new task")


def test_hooks_are_called_in_their_order_and_have_their_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []

    class Heard(Spy):
        def __init__(self) -> None:
            super().__init__(said)

    monkeypatch.setattr("learners.plastic.network.OPTIONS", {"spy": Heard})
    learner = PlasticNetwork(**SMALL, options={"spy": {}})
    x = dict(zip("abcde", (1.0, 2.0, 3.0, 4.0, 5.0), strict=True))
    weights = learner.body.theta[: 5 * 6].reshape(5, 6)
    first = weights.copy()
    learner.learn_one(x, "a")
    masks = ["mask 0 5 6", "mask 1 6 4"]
    step = ["shape", "settle"]
    assert said == ["before", *masks, "answer True", "speak True", *step, "after"]
    assert (weights[0] == first[0]).all()
    assert (weights[1] != first[1]).any()
    assert (weights[:, 0] == first[:, 0]).all()
    said.clear()
    learner.predict(x)
    learner.new_task()
    learner.body.update(np.ones(5), 0)
    answered = [*masks, "answer False", "speak False", "new task"]
    assert said == [*answered, *masks, "answer True", *step]


@pytest.mark.parametrize(("threshold", "power"), [(1e-4, 2.0), (0.0, 2.0), (1e-3, 1.0)])
def test_classp_moves_each_weight_as_documented(threshold: float, power: float) -> None:
    params = {"threshold": threshold, "power": power, "epsilon": 1e-5}
    learner = PlasticNetwork(**SMALL, rate=0.05, options={"classp": params})
    body, sums = learner.body, learner.body.options["classp"].arrays["sums"]
    for seed in range(30):
        x, y = event(seed)
        theta = body.theta.copy()
        ref = naive.by_history(
            theta, sums, net.gradient(theta, SIZES, True, x, y), 0.05, threshold, power, 1e-5
        )
        body.update(x, y)
        np.testing.assert_allclose(body.theta, ref[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(sums, ref[1], rtol=1e-9, atol=1e-15)
    assert 0.0 < learner.signals()["classp_plasticity"] < 1.0
    assert 0.0 < learner.signals()["classp_moved_share"] < 1.0


@pytest.mark.parametrize(("on_shift", "resets"), [("keep", 0), ("relearn", 1)])
def test_classp_relearns_when_labels_change_their_meaning(on_shift: str, resets: int) -> None:
    learner = PlasticNetwork(**SMALL, rate=0.05, options={"classp": {"on_shift": on_shift}})
    draw = np.random.default_rng(5)
    for i in range(3 * REFRACTORY):
        x = dict(zip("abcde", draw.normal(size=5).tolist(), strict=True))
        one = x["a"] > 0.0
        learner.learn_one(x, "ab"[int(one if i < 2 * REFRACTORY else not one)])
    assert learner.signals()["classp_resets"] == resets
    assert learner.get_state()["counts"][2] == resets


def test_every_part_is_declared_and_listed_by_its_name() -> None:
    for table in (RULES, OPTIONS):
        for name, part in table.items():
            assert part.name == name
            assert inspect.getdoc(part)
            defaults = [p.default for p in inspect.signature(part).parameters.values()]
            assert all(type(each) in (bool, int, float, str) for each in defaults)
    assert {name for pair in REFUSED for name in pair} <= RULES.keys() | OPTIONS.keys()


@pytest.mark.parametrize("rule", ["node_perturbation", "counter_current"])
def test_a_fast_memory_is_refused_where_the_rule_does_not_see_it(rule: str) -> None:
    with pytest.raises(ValueError, match=f"fast_slow.*{rule}.*fast memory"):
        PlasticNetwork(**SMALL, rule=rule, options={"fast_slow": {}})


def test_shares_are_of_known_labels_alone() -> None:
    learner = PlasticNetwork(inputs=5, classes=10)
    x = dict(zip("abcde", (1.0, -2.0, 0.5, 0.0, 3.0), strict=True))
    learner.learn_one(x, "u")
    assert learner.predict(x).proba == {"u": 1.0}
    assert learner.predict(x).score == 0.0
    said = learner.step_one(x, "v")
    assert said.proba == {"u": 1.0}
    raw = learner.body.look(learner._bring(learner._inputs.read(x)))[:2]
    said = learner.predict(x)
    assert said.proba is not None
    assert said.score is not None
    u, v = said.proba["u"], said.proba["v"]
    assert u + v == pytest.approx(1.0)
    assert u / v == pytest.approx(raw[0] / raw[1])
    assert said.score == 1.0 - max(u, v)


def test_known_labels_are_equally_likely_where_none_has_a_share() -> None:
    learner = PlasticNetwork(**SMALL)
    x = dict.fromkeys("abcde", 1.0)
    for y in "uv":
        learner.learn_one(x, y)
    learner.body.theta[-1] = 1e6
    assert learner.predict(x).proba == {"u": 0.5, "v": 0.5}


def test_every_part_is_documented() -> None:
    page = Path(__file__).parents[2] / "docs" / "plastic_network.md"
    rows = [row.split("|") for row in page.read_text("utf-8").splitlines() if row.startswith("| `")]
    assert {row[1].strip().strip("`") for row in rows} >= RULES.keys() | OPTIONS.keys()


class Own(Rule):
    name = "own"

    def learn(self, body: Any, x: Floats, y: int) -> float:
        return 0.0

    def predict(self, body: Any, x: Floats) -> Floats:
        return x


class Writer(Option):
    name = "writer"
    writes = True


class Layered(Option):
    name = "layered"
    needs_layers = True
    needs = ("writer",)


def test_what_does_not_go_together_is_refused_by_both_names() -> None:
    classp = OPTIONS["classp"]
    for rule, options, both in (
        (Own, (classp,), ("classp", "own")),
        (Own, (Layered,), ("layered", "own")),
        (RULES["sgd"], (Writer, classp), ("writer", "classp")),
        (RULES["sgd"], (Layered,), ("layered", "writer")),
    ):
        with pytest.raises(ValueError, match=f"{both[0]}.*{both[1]}"):
            require_pairs(rule, options)
    require_pairs(RULES["sgd"], (Writer, Layered))


def test_all_pairs_can_be_built_or_are_refused() -> None:
    for rule in RULES.values():
        for option in OPTIONS.values():
            if option.needs:
                continue
            spec = SMALL | {"hidden": (4,), "rule": rule.name, "options": {option.name: {}}}
            if why_not(rule, option) is None:
                learner = PlasticNetwork(**spec)
                for seed in range(5):
                    x, y = event(seed)
                    learner.step_one(dict(zip("abcde", x.tolist(), strict=True)), y)
            else:
                with pytest.raises(ValueError, match=f"{option.name}.*{rule.name}"):
                    PlasticNetwork(**spec)
            for other in OPTIONS.values():
                assert why_not_both(option, other) == why_not_both(other, option)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"rule": "magic"}, "rule: got 'magic', expected sgd"),
        ({"rule_params": {"speed": 1}}, "rule sgd: got 'speed', expected no parameters"),
        ({"options": {"magic": {}}}, "options: got 'magic', expected .*classp"),
        ({"options": {"classp": {"speed": 1}}}, "options classp: got 'speed', expected threshold"),
        ({"options": {"classp": {"power": "2"}}}, "classp.power: got '2', expected float"),
        ({"options": {"classp": {"power": True}}}, "classp.power: got True, expected float"),
        ({"options": {"classp": {"power": float("nan")}}}, "a finite number"),
        ({"options": {"classp": {"on_shift": "panic"}}}, "on_shift: got 'panic'"),
        ({"options": {"classp": {"threshold": -1.0}}}, "threshold: got -1"),
        ({"hidden": (3,) * 5}, "hidden: got .*0..4 layers"),
        ({"hidden": (0,)}, "hidden"),
        ({"inputs": 0}, "inputs"),
        ({"classes": 257}, "classes"),
        ({"rate": 0.0}, "rate"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PlasticNetwork(**params)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("theta", np.nan),
        ("theta", 2e6),
        ("active", 1.5),
        ("gauges", np.inf),
        ("counts", -1),
        ("classp_sums", -1.0),
        ("classp_sums", np.nan),
        ("classp_gauges", 300.0),
    ],
)
def test_a_state_that_cannot_have_come_about_is_refused(name: str, value: float) -> None:
    learner = PlasticNetwork(**SMALL, options={"classp": {}})
    learner.learn_one({"a": 1.0}, "yes")
    state = learner.get_state()
    state[name][-1 if name != "classp_gauges" else 3] = value
    before = learner.get_state()
    with pytest.raises(StateError, match=name):
        learner.set_state(state)
    assert all((learner.get_state()[n] == a).all() for n, a in before.items())


def test_a_gradient_that_no_step_had_is_refused() -> None:
    learner = PlasticNetwork(**SMALL)
    state = learner.get_state()
    state["gauges"][2:] = 1e300, 0.0
    with pytest.raises(StateError, match="gauges"):
        learner.set_state(state)
    # The largest there may be: a step of 10 in each weight.
    state["gauges"][2] = 10.0 * len(state["theta"]) ** 0.5 / learner.body.rate
    learner.set_state(state)
    assert np.isfinite(learner.signals()["update_ratio"])


def test_held_bytes_are_at_most_what_was_promised() -> None:
    each: list[dict[str, Any]] = [{}, {"classp": {}}, {"classp": {}, "rehearsal": {}}]
    for options in each:
        learner = PlasticNetwork(**SMALL, options=options)
        learner.learn_one({"a": 1.0}, "yes")
        promised = PlasticNetwork.memory_bytes(**SMALL, options=options)
        assert learner.body.theta.nbytes < learner.held_bytes() <= promised
