"""Model names: which route they find, who may use it, and who is asked first."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gatemill.core.call import Key
from gatemill.core.errors import InvalidValue, ModelNotFound
from gatemill.gateway.plan import NAMES_MAX, Routes, allows, plan
from gateway_parts import KEY, PRICE, route
from playbook import call, target


def routes(*made, price=lambda _provider, _model: PRICE) -> Routes:
    return Routes(made, price)


def asking(model: str, **head):
    made = call()
    made.head = replace(made.head, model=model, **head)
    return made


def labels(targets) -> list[str]:
    return [one.label for one in targets]


# --- Finding -------------------------------------------------------------------------------------


def test_an_exact_name_comes_before_every_pattern():
    made = routes(route(target(), name="*"), route(target(name="b"), name="gpt-4o"))
    assert made.find("gpt-4o").targets[0].provider == "b"


@pytest.mark.parametrize("turn", [1, -1])
def test_the_longest_pattern_wins_wherever_it_stands_in_the_file(turn):
    patterns = ["*", "gpt-*", "gpt-4*", "gpt-4o-*"]
    made = routes(*(route(target(model="*"), name=name) for name in patterns[::turn]))
    found = {name: made.find(name).name for name in ("gpt-4o-mini", "gpt-4", "gpt-5", "o3")}
    assert found == {"gpt-4o-mini": "gpt-4o-*", "gpt-4": "gpt-4*", "gpt-5": "gpt-*", "o3": "*"}


def test_the_first_of_two_equally_long_patterns_wins():
    made = routes(route(target(), name="a*c"), route(target(name="b"), name="ab*"))
    assert made.find("abc").name == "a*c"


def test_a_name_bound_through_a_pattern_goes_out_as_it_was_asked_with_its_own_price():
    asked = []

    def price(provider, model):
        asked.append((provider, model))
        return PRICE

    made = routes(
        route(target(model="*"), target(name="b", model="fixed"), name="gpt-*"), price=price
    )
    star, fixed = made.find("gpt-4o").targets
    assert (star.model, star.label, star.price) == ("gpt-4o", "a/gpt-4o", PRICE)
    assert (fixed.model, fixed.label) == ("fixed", "b/fixed")
    assert made.find("gpt-4o") is made.find("gpt-4o")
    assert asked == [("a", "gpt-4o")]


def test_the_provider_before_the_slash_is_not_part_of_the_models_name():
    made = routes(route(target(model="*"), name="a/*"))
    assert made.find("a/org/model:7b").targets[0].model == "org/model:7b"


def test_the_metric_label_of_a_bound_name_is_its_pattern():
    assert routes(route(target(model="*"), name="a/*")).find("a/x").name == "a/*"


def test_names_bound_through_patterns_are_bounded_and_found_again():
    made = routes(route(target(model="*"), name="a/*"))
    for number in range(2 * NAMES_MAX + 3):
        assert made.find(f"a/{number}").targets[0].model == str(number)
        assert len(made._bound) <= NAMES_MAX
    assert made.find("a/0").targets[0].model == "0"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "a\nb",
        "a\r\nx: y",
        "a\0",
        "ü",
        "a" * 201,
        "a?b",
        "a#b",
        'a"b',
        "a\x7f",
        "a\\b",
        "x\n",
    ],
)
def test_odd_names_do_not_reach_a_provider_through_a_pattern(name):
    assert routes(route(target(model="*"), name="*")).find(name) is None


def test_an_odd_name_that_is_configured_is_found():
    assert routes(route(target(), name="modèle")).find("modèle") is not None


def test_a_pattern_never_answers_for_what_it_does_not_match():
    assert routes(route(target(), name="gpt-*")).find("claude") is None


def test_names_are_case_sensitive():
    assert routes(route(target(), name="GPT"), route(target(), name="C*")).find("gpt") is None
    assert routes(route(target(), name="C*")).find("claude") is None


# --- Scopes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scopes", "model", "allowed"),
    [
        (("*",), "anything", True),
        (("m",), "m", True),
        (("m",), "m2", False),
        (("x", "gpt-*"), "gpt-4o", True),
        (("gpt-*",), "GPT-4o", False),
        (("a/*",), "a/b/c", True),
        (("a/*",), "a", False),
        (("*-mini",), "gpt-mini", True),
        (("*-mini",), "gpt-mini-2", False),
        (("g?t",), "gpt", False),
        (("g?t*",), "gpt-4", False),
        (("[gm]*",), "m", False),
        (("[gm]*",), "[gm]x", True),
        ((), "m", False),
    ],
)
def test_a_scope_is_a_name_or_a_pattern(scopes, model, allowed):
    assert allows(Key(id="k", name="k", models=scopes), model) is allowed


def test_a_model_out_of_scope_looks_like_one_that_does_not_exist():
    made = routes(route(target(), name="m"))
    key = Key(id="k", name="k", models=("other",))
    with pytest.raises(ModelNotFound) as hidden:
        plan(made, key, asking("m"))
    with pytest.raises(ModelNotFound) as absent:
        plan(routes(), KEY, asking("m"))
    assert hidden.value.message == absent.value.message
    assert hidden.value.param == "model"


def test_the_refusal_of_a_long_name_is_short():
    with pytest.raises(ModelNotFound) as caught:
        plan(routes(), KEY, asking("x" * 100_000))
    assert len(caught.value.message) < 400


def test_a_key_sees_the_exact_names_in_its_scope():
    made = routes(*(route(target(), name=name) for name in ("gpt-1", "gpt-2", "o1", "gpt-*")))
    assert list(made.visible(Key(id="k", name="k", models=("gpt-*",)))) == ["gpt-1", "gpt-2"]
    assert list(made.visible(KEY)) == ["gpt-1", "gpt-2", "o1"]


# --- Order ---------------------------------------------------------------------------------------


def test_without_weights_targets_stand_in_their_order_and_fallbacks_behind_them():
    made = routes(
        route(target(name="a"), target(name="b"), fallbacks=(target(name="c"), target(name="d")))
    )
    found, targets = plan(made, KEY, asking("m"))
    assert found.name == "m"
    assert labels(targets) == ["a/m", "b/m", "c/m", "d/m"]


def test_weights_share_the_first_place_and_nobody_is_left_out():
    made = routes(
        route(
            target(name="a"),
            target(name="b"),
            target(name="c"),
            weights=(1.0, 2.0, 1.0),
            fallbacks=(target(name="z"),),
        )
    )
    first = Counter()
    for number in range(2000):
        _, targets = plan(made, KEY, replace(asking("m"), id=f"req_{number}"))
        assert sorted(labels(targets[:3])) == ["a/m", "b/m", "c/m"]
        assert targets[3].label == "z/m"
        first[targets[0].provider] += 1
    assert 900 < first["b"] < 1100
    assert 400 < first["a"] < 600


def test_the_same_call_always_gets_the_same_order():
    made = routes(route(target(name="a"), target(name="b"), weights=(1.0, 1.0)))
    orders = {tuple(labels(plan(made, KEY, asking("m"))[1])) for _ in range(20)}
    assert len(orders) == 1


# --- Output limit --------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [None, 1, 100])
def test_output_up_to_the_models_limit_is_accepted(asked):
    plan(routes(route(target(), output_max=100)), KEY, asking("m", output_max=asked))


def test_more_output_than_the_model_gives_is_refused_with_the_limit():
    with pytest.raises(InvalidValue, match="at most 100") as caught:
        plan(routes(route(target(), output_max=100)), KEY, asking("m", output_max=101))
    assert caught.value.param == "max_tokens"


@given(st.text(max_size=12))
def test_whatever_is_asked_for_the_plan_answers_or_refuses(name):
    made = routes(route(target(model="*"), name="a*"), route(target(), name="m"))
    try:
        found, targets = plan(made, KEY, asking(name))
    except ModelNotFound:
        return
    assert name == "m" or (name.startswith("a") and name.isascii() and name.isprintable())
    assert found.name in ("a*", "m")
    assert targets[0].label.isprintable()
