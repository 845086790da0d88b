"""Which targets a request gets, in which order, and why."""

from __future__ import annotations

import sys
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

import gatemill
from gatemill.core.call import Key
from gatemill.core.errors import ContextLengthExceeded, InvalidValue, ModelNotFound
from gatemill.gateway.plan import Plan, decision, plan
from gatemill.gateway.routes import Routes, ShadowRoute
from gatemill.policy.complexity import Complexity
from gatemill.policy.experiment import Arm, Experiment
from gateway_parts import KEY, PRICE, route
from playbook import call, target

NOW_S = 7.0


class FakeLane:
    """A lane in the state that a test wants, which also checks that it is asked for now."""

    def __init__(self, *, ready: bool = True, load_s: float = 0.1, share: float = 1.0) -> None:
        self.ready, self.load, self.part = ready, load_s, share

    def is_ready(self, now_s: float) -> bool:
        assert now_s == NOW_S
        return self.ready

    def load_s(self, now_s: float) -> float:
        assert now_s == NOW_S
        return self.load

    def share(self, now_s: float) -> float:
        assert now_s == NOW_S
        return self.part


def place(name: str, *, price=None, window: int | None = None, **lane):
    """A target in some state."""
    made = target(name=name, lane=FakeLane(**lane))
    return replace(made, price=price, context_tokens=window)


def routes(*made) -> Routes:
    return Routes(made, lambda _provider, _model: PRICE, lambda _provider, _model: FakeLane())


def asking(model: str = "m", text: str = "Hi", seed: str = "s", **head):
    made = call(messages=[{"role": "user", "content": text}])
    made.head = replace(made.head, model=model, **head)
    made.seed = seed
    return made


def planned(made: Routes, asked=None, key: Key = KEY) -> Plan:
    return plan(made, key, asked or asking(), NOW_S)


def names(found: Plan) -> str:
    """The providers in their order, one letter each."""
    return "".join(one.provider for one in found.targets)


def notes(found: Plan) -> dict[str, str]:
    return {one.target.partition("/")[0]: one.note for one in found.considered}


# --- Who may ask for what ------------------------------------------------------------------------


def test_a_model_out_of_scope_looks_like_one_that_does_not_exist():
    made = routes(route(target(), name="m"))
    key = Key(id="k", name="k", models=("other",))
    with pytest.raises(ModelNotFound) as hidden:
        planned(made, asking("m"), key)
    with pytest.raises(ModelNotFound) as absent:
        planned(routes(), asking("m"))
    assert hidden.value.message == absent.value.message
    assert hidden.value.param == "model"


def test_the_refusal_of_a_long_name_is_short():
    with pytest.raises(ModelNotFound) as caught:
        planned(routes(), asking("x" * 100_000))
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("asked", [None, 1, 100])
def test_output_up_to_the_models_limit_is_accepted(asked):
    assert planned(routes(route(target(), output_max=100)), asking(output_max=asked)).targets


def test_more_output_than_the_model_gives_is_refused_with_the_limit():
    with pytest.raises(InvalidValue, match="at most 100") as caught:
        planned(routes(route(target(), output_max=100)), asking(output_max=101))
    assert caught.value.param == "max_tokens"


@given(st.text(max_size=12))
def test_whatever_is_asked_for_the_plan_answers_or_refuses(name):
    made = routes(route(target(model="*"), name="a*"), route(target(), name="m"))
    try:
        found = planned(made, asking(name))
    except ModelNotFound:
        return
    assert name == "m" or (name.startswith("a") and name.isascii() and name.isprintable())
    assert found.route.name in ("a*", "m")
    assert found.targets[0].label.isprintable()


# --- One target ----------------------------------------------------------------------------------


def test_one_target_is_the_plan_and_there_is_nothing_to_explain():
    found = planned(routes(route(target(name="a"))))
    assert (names(found), found.reason, found.version, found.considered) == (
        "a",
        "only target",
        "",
        (),
    )
    assert decision(found) == ""


def test_the_plan_of_one_target_costs_few_calls():
    made, asked = routes(route(target())), asking()
    ours: list[str] = []

    def note(frame, event, _argument):
        if event == "call" and frame.f_code.co_filename.startswith(gatemill.__path__[0]):
            ours.append(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        plan(made, KEY, asked, NOW_S)
    finally:
        sys.setprofile(None)
    assert 0 < len(ours) <= 6


def test_one_target_that_is_ejected_is_still_the_plan():
    assert names(planned(routes(route(place("a", ready=False))))) == "a"


def test_fallbacks_stand_behind_the_targets_and_are_nothing_to_explain_while_all_is_well():
    found = planned(routes(route(place("a"), fallbacks=(place("b"), place("c")))))
    assert (names(found), found.reason) == ("abc", "only target")
    assert notes(found) == {"a": "", "b": "fallback", "c": "fallback"}
    assert decision(found) == ""


def test_an_ejected_target_goes_behind_its_fallbacks():
    found = planned(routes(route(place("a", ready=False), fallbacks=(place("b"),))))
    assert names(found) == "ba"
    assert notes(found) == {"b": "fallback", "a": "ejected"}
    assert "ejected" in decision(found)


# --- Strategies ----------------------------------------------------------------------------------


def test_weights_share_the_first_place_and_nobody_is_left_out():
    made = routes(
        route(place("a"), place("b"), place("c"), weights=(1.0, 2.0, 1.0), fallbacks=(place("z"),))
    )
    first = Counter()
    for number in range(2000):
        found = planned(made, asking(seed=f"req_{number}"))
        assert sorted(names(found)[:3]) == ["a", "b", "c"]
        assert names(found)[3] == "z"
        assert found.reason == "weight"
        first[names(found)[0]] += 1
    assert 900 < first["b"] < 1100
    assert 400 < first["a"] < 600


@pytest.mark.parametrize("strategy", ["weight", "order", "latency", "cost"])
def test_the_same_seed_always_gets_the_same_plan(strategy):
    made = routes(route(*(place(name) for name in "abcd"), weights=(1.0,) * 4, strategy=strategy))
    found = planned(made, asking(seed="x"))
    assert all(planned(made, asking(seed="x")) == found for _ in range(20))
    orders = {names(planned(made, asking(seed=str(number)))) for number in range(20)}
    assert (len(orders) > 3) is (strategy in ("weight", "latency"))


def test_without_a_seed_the_requests_own_id_decides():
    made = routes(route(place("a"), place("b"), weights=(1.0, 1.0)))
    found = [planned(made, replace(asking(seed=""), id=f"r{number}")) for number in range(30)]
    assert len({names(one) for one in found}) == 2


def test_targets_without_weights_stand_in_their_order():
    found = planned(routes(route(place("b"), place("a"))))
    assert (names(found), found.reason) == ("ba", "order")


def test_a_target_that_has_come_back_gets_a_small_share():
    made = routes(route(place("a", share=0.1), place("b"), weights=(1.0, 1.0)))
    firsts = Counter(names(planned(made, asking(seed=str(n))))[0] for n in range(2000))
    assert 0.06 < firsts["a"] / 2000 < 0.12
    assert [one.score for one in planned(made).considered] in ([0.1, 1.0], [1.0, 0.1])


def test_ejected_targets_stand_last_whatever_the_strategy():
    for strategy in ("weight", "order", "latency", "cost"):
        made = routes(
            route(
                place("a", ready=False, load_s=0.0, price=PRICE),
                place("b"),
                weights=(9.0, 1.0),
                strategy=strategy,
                fallbacks=(place("c"),),
            )
        )
        found = planned(made)
        assert names(found) == "bca"
        assert notes(found)["a"] == "ejected"
    nobody = routes(route(place("a", ready=False), place("b", ready=False), strategy="latency"))
    assert names(planned(nobody)) == "ab"


def test_by_latency_the_less_loaded_of_two_is_first_and_the_rest_follow():
    made = routes(
        route(
            place("a", load_s=0.3),
            place("b", load_s=0.1),
            place("c", load_s=0.2),
            strategy="latency",
        )
    )
    found = [planned(made, asking(seed=str(number))) for number in range(300)]
    assert {names(one) for one in found} == {"bca", "cba"}
    # The slowest is never first; the second best is when the best is not drawn.
    assert 70 < sum(names(one) == "cba" for one in found) < 130
    assert {one.reason for one in found} == {"latency"}
    assert [one.score for one in found[0].considered] in ([0.1, 0.2, 0.3], [0.2, 0.1, 0.3])


def test_by_latency_one_that_has_come_back_counts_as_busier():
    made = routes(
        route(place("a", load_s=0.1, share=0.2), place("b", load_s=0.4), strategy="latency")
    )
    assert names(planned(made)) == "ba"
    made = routes(
        route(place("a", load_s=0.1, share=0.0), place("b", load_s=9.0), strategy="latency")
    )
    assert names(planned(made)) == "ba"
    assert '"score":null' in decision(planned(made))


DEAR, CHEAP = replace(PRICE, input=5_000_000), replace(PRICE, input=100_000)
TALKATIVE = replace(PRICE, input=0, output=50_000_000)


def test_by_cost_the_cheapest_for_this_request_is_first_and_unknown_prices_are_last():
    made = routes(
        route(
            place("u"),
            place("d", price=DEAR),
            place("t", price=TALKATIVE),
            place("c", price=CHEAP),
            strategy="cost",
        )
    )
    short, long = asking(output_max=2000), asking(text="word " * 4000, output_max=1)
    assert names(planned(made, short)) == "cdtu"
    assert names(planned(made, long)) == "tcdu"
    found = planned(made, asking(text="abcd" * 25, output_max=100, choices=2))
    # 26 tokens in ("user" is one of them) at 0.1, 200 out at 2 micro-dollars.
    assert found.considered[0].score == pytest.approx(26 * 0.1 + 200 * 2)
    assert found.considered[-1].score is None
    assert found.reason == "cost"


def test_by_cost_embeddings_have_no_answer_to_pay():
    made = routes(route(place("t", price=TALKATIVE), place("c", price=CHEAP), strategy="cost"))
    assert names(planned(made)) == "ct"
    assert names(planned(made, replace(asking(), operation="embeddings"))) == "tc"


# --- Context windows -----------------------------------------------------------------------------


def test_long_requests_go_where_they_fit():
    made = routes(
        route(
            place("a", window=100),
            place("b", window=10_000),
            place("c"),
            fallbacks=(place("d", window=50),),
        )
    )
    found = planned(made, asking(text="x" * 4000, output_max=10))
    assert names(found) == "bc"
    small = "context too small"
    assert notes(found) == {"b": "", "c": "", "a": small, "d": small}
    assert names(planned(made, asking(output_max=10))) == "abcd"
    assert names(planned(made, asking(output_max=200))) == "bc"


def test_a_fallback_may_be_the_only_one_that_is_large_enough():
    made = routes(route(place("a", window=100), fallbacks=(place("b", window=10_000),)))
    found = planned(made, asking(text="x" * 4000))
    assert names(found) == "b"
    assert "context too small" in decision(found)


def test_where_nothing_fits_the_largest_is_tried_because_the_estimate_may_be_wrong():
    made = routes(
        route(place("a", window=900), place("b", window=1000), fallbacks=(place("c", window=1000),))
    )
    assert names(planned(made, asking(text="x" * 4400))) == "bc"


def test_a_prompt_far_beyond_every_window_is_refused_with_the_numbers():
    made = routes(route(place("a", window=900), place("b", window=1000)))
    with pytest.raises(ContextLengthExceeded, match=r"about 2001 tokens.*`m` is 1000"):
        planned(made, asking(text="x" * 8000))
    with pytest.raises(ContextLengthExceeded):
        planned(routes(route(place("a", window=100))), asking(text="x" * 4000))


def test_one_target_of_unknown_size_takes_everything():
    made = routes(route(place("a", window=10), place("b")))
    assert names(planned(made, asking(text="x" * 8000))) == "b"


def test_bodies_are_read_only_where_a_window_or_a_price_asks_for_it():
    unreadable = replace(asking(), body=b"not JSON")
    assert names(planned(routes(route(place("a"), place("b"))), unreadable)) == "ab"
    made = routes(route(place("a"), place("b"), weights=(1.0, 1.0), strategy="latency"))
    assert planned(made, unreadable).targets


# --- Experiments ---------------------------------------------------------------------------------


def experiment(**models: float) -> Experiment:
    """Arms named v-<model>."""
    arms = tuple(Arm(f"v-{name}", name, weight) for name, weight in models.items())
    return Experiment(arms=arms, by="user", salt="m")


def test_an_arm_answers_with_its_models_targets_under_the_asked_models_name():
    made = routes(
        route(experiment=experiment(x=80, y=20), output_max=50),
        route(place("a"), name="x", output_max=5),
        route(place("b"), place("c"), name="y"),
    )
    seen = Counter()
    for number in range(1000):
        asked = asking(output_max=40)
        asked.user = f"u{number}"
        found = planned(made, asked)
        assert found.route.name == "m"
        seen[found.version, found.reason, found.model, names(found)] += 1
    assert set(seen) == {("v-x", "arm v-x", "x", "a"), ("v-y", "arm v-y, order", "y", "bc")}
    assert 740 < seen["v-x", "arm v-x", "x", "a"] < 860


def test_an_arm_is_kept_whatever_the_seed():
    made = routes(
        route(experiment=experiment(x=1, y=1)),
        route(place("a"), name="x"),
        route(place("b"), name="y"),
    )
    assert len({planned(made, asking(seed=str(n))).version for n in range(30)}) == 1
    by_key = {planned(made, key=replace(KEY, id=str(n))).version for n in range(30)}
    assert by_key == {"v-x", "v-y"}


def test_the_scope_of_the_key_is_about_the_asked_name_only():
    made = routes(route(experiment=experiment(x=1)), route(place("a"), name="x"))
    key = Key(id="k", name="k", models=("m",))
    assert names(planned(made, key=key)) == "a"
    with pytest.raises(ModelNotFound):
        planned(made, asking("x"), key)


def test_the_asked_models_strategy_counts_and_else_the_arms():
    leaf = route(
        place("a"), place("b", price=CHEAP), name="x", weights=(1.0, 1.0), strategy="order"
    )
    own = routes(route(experiment=experiment(x=1), strategy="cost"), leaf)
    assert (names(planned(own)), planned(own).reason) == ("ba", "arm v-x, cost")
    assert planned(routes(route(experiment=experiment(x=1)), leaf)).reason == "arm v-x, order"


def test_fallbacks_of_the_arm_come_before_those_of_the_asked_model_and_each_once():
    a, b, c = place("a"), place("b"), place("c")
    made = routes(
        route(experiment=experiment(x=1), fallbacks=(a, b, c)), route(a, name="x", fallbacks=(c,))
    )
    assert names(planned(made)) == "acb"
    without = routes(route(experiment=experiment(x=1)), route(a, name="x", fallbacks=(c,)))
    assert names(planned(without)) == "ac"


def test_windows_count_behind_an_arm():
    made = routes(
        route(experiment=experiment(x=1)),
        route(place("a", window=100), place("b"), name="x"),
    )
    assert names(planned(made, asking(text="x" * 4000))) == "b"


def test_a_pattern_may_split_too():
    made = routes(route(name="chat-*", experiment=experiment(x=1)), route(place("a"), name="x"))
    found = planned(made, asking("chat-2"))
    assert (names(found), found.route.name, found.version) == ("a", "chat-*", "v-x")


def test_arms_may_lead_on_to_further_arms_and_the_version_names_both():
    made = routes(
        route(experiment=experiment(x=1)),
        route(name="x", experiment=experiment(y=1)),
        route(place("a"), name="y"),
    )
    found = planned(made)
    assert (names(found), found.version, found.reason) == ("a", "v-x/v-y", "arm v-x, arm v-y")


# --- Complexity ----------------------------------------------------------------------------------

AUTO = (
    route(complexity=Complexity(simple="small", hard="large", threshold=0.5)),
    route(place("s"), name="small"),
    route(place("l"), name="large"),
)


@pytest.mark.parametrize(
    ("text", "provider", "reason"),
    [("Hello!", "s", "simple"), ("Prove that there are infinitely many primes.", "l", "hard")],
)
def test_the_prompt_decides_between_the_cheap_model_and_the_other(text, provider, reason):
    found = planned(routes(*AUTO), asking(text=text))
    assert (names(found), found.reason, found.version) == (provider, reason, "")
    assert found.complexity is not None


def test_windows_count_behind_a_complexity():
    large = route(place("a", window=100), place("b"), name="large")
    made = routes(AUTO[0], AUTO[1], large)
    assert names(planned(made, asking(text="Prove it. " * 400))) == "b"


def test_a_score_on_the_threshold_is_hard():
    made = routes(
        route(complexity=Complexity(simple="small", hard="large", threshold=0.0)), *AUTO[1:]
    )
    assert planned(made, asking(text="Hello!")).reason == "hard"


def test_an_arm_may_lead_to_a_complexity():
    auto = replace(AUTO[0], name="auto")
    found = planned(routes(route(experiment=experiment(auto=1)), auto, *AUTO[1:]))
    assert (found.reason, found.version, found.model) == ("arm v-auto, simple", "v-auto", "small")


# --- Shadow --------------------------------------------------------------------------------------


def test_a_copy_is_made_of_the_configured_share():
    shadow = ShadowRoute(model="x", share=0.25, concurrency_max=1)
    made = routes(route(place("a"), shadow=shadow), route(place("b"), name="x"))
    copied = [planned(made, asking(seed=str(n))).shadow for n in range(2000)]
    assert set(copied) == {None, shadow}
    assert 420 < copied.count(shadow) < 580
    assert names(planned(made)) == "a"


@pytest.mark.parametrize(("share", "copies"), [(0.0, 0), (1.0, 50)])
def test_all_or_none_are_copied(share, copies):
    made = routes(route(place("a"), shadow=ShadowRoute("x", share, 1)))
    found = [planned(made, asking(seed=str(n))) for n in range(50)]
    assert sum(one.shadow is not None for one in found) == copies
    assert sum('"shadow":"x"' in decision(one) for one in found) == copies


# --- What is kept for explaining -----------------------------------------------------------------


def test_a_decision_says_what_was_weighed_and_why():
    made = routes(
        route(complexity=Complexity("small", "large", 0.5)),
        route(place("a"), place("b", ready=False), weights=(1.0, 3.0), name="large"),
        route(place("s"), name="small"),
    )
    found = planned(made, asking(text="Prove it."))
    assert msgspec.json.decode(decision(found)) == {
        "reason": "hard, weight",
        "candidates": [{"target": "a/m", "score": 1.0}, {"target": "b/m", "note": "ejected"}],
        "model": "large",
        "complexity": {"score": found.complexity.score, "reasons": list(found.complexity.reasons)},
    }


def test_a_decision_names_the_arm():
    made = routes(route(experiment=experiment(x=1)), route(place("a"), name="x"))
    assert msgspec.json.decode(decision(planned(made))) == {
        "reason": "arm v-x",
        "candidates": [{"target": "a/m"}],
        "version": "v-x",
        "model": "x",
    }
