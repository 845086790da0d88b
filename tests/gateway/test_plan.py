"""Which targets a request gets, in which order, and why."""

from __future__ import annotations

import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

import gatemill
from gatemill.core.call import Key
from gatemill.core.errors import ContextLengthExceeded, InvalidValue, ModelNotFound
from gatemill.gateway.plan import decision, plan
from gateway_parts import KEY, PRICE, route
from plan_play import CHEAP, DEAR, NOW_S, asking, names, notes, place, planned, routes
from playbook import target

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
