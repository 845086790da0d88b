"""Model names: which route they find, who may use it, and what every route knows of itself."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gatemill.core.call import Key
from gatemill.gateway.routes import NAMES_MAX, Routes, ShadowRoute, allows
from gatemill.policy.complexity import Complexity
from gatemill.policy.experiment import Arm, Experiment
from gateway_parts import KEY, PRICE, route
from playbook import target


def routes(*made) -> Routes:
    return Routes(made, lambda _provider, _model: PRICE, lambda *_: target().lane)


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


def test_a_name_bound_through_a_pattern_goes_out_as_it_was_asked_with_its_own_price_and_lane():
    asked = []
    lane = object()

    def price(provider, model):
        asked.append((provider, model))
        return PRICE

    made = Routes(
        [route(target(model="*"), target(name="b", model="fixed"), name="gpt-*")],
        price,
        lambda *asked_for: (lane, asked_for),
    )
    star, fixed = made.find("gpt-4o").targets
    assert (star.model, star.label, star.price) == ("gpt-4o", "a/gpt-4o", PRICE)
    assert star.lane == (lane, ("a", "gpt-4o"))
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


def test_a_key_sees_the_exact_names_in_its_scope():
    made = routes(*(route(target(), name=name) for name in ("gpt-1", "gpt-2", "o1", "gpt-*")))
    assert list(made.visible(Key(id="k", name="k", models=("gpt-*",)))) == ["gpt-1", "gpt-2"]
    assert list(made.visible(KEY)) == ["gpt-1", "gpt-2", "o1"]


def test_models_that_only_lead_on_are_listed():
    made = routes(
        route(name="auto", complexity=Complexity("a", "b", 0.5)),
        route(name="split", experiment=Experiment((Arm("v1", "a", 1.0),), "key", "s")),
        route(target(), name="a"),
    )
    assert list(made.visible(KEY)) == ["auto", "split", "a"]


# --- What is known when configuration loads ------------------------------------------------------


def test_a_route_is_plain_with_one_target_and_nothing_to_weigh():
    assert route(target()).is_plain
    sized = replace(target(), context_tokens=9)
    for made in (
        route(),
        route(target(), target()),
        route(target(), fallbacks=(target(),)),
        route(sized),
        route(target(), shadow=ShadowRoute("x", 1.0, 1)),
        route(target(), complexity=Complexity("a", "b", 0.5)),
        route(target(), experiment=Experiment((Arm("v1", "a", 1.0),), "key", "s")),
    ):
        assert not made.is_plain
    assert route(sized).has_windows
    assert route(target(), fallbacks=(sized,)).has_windows
    assert not route(target(), fallbacks=(target(),)).has_windows


def test_a_bound_name_knows_the_same_of_itself():
    made = routes(route(target(model="*"), name="a/*"))
    assert made.find("a/x").is_plain


# --- Names of the database --------------------------------------------------------------------------


def published(made: Routes, *names: str, experiments: tuple[str, ...] = ()) -> None:
    split = Experiment((Arm("a", "m", 1.0),), "key", "s", "exp_1")
    made.publish(
        {name: route(target(name="registry"), name=name) for name in names},
        {name: route(name=name, experiment=split) for name in experiments},
    )


def test_names_of_the_database_are_served_until_others_are_published():
    made = routes(route(target(), name="m"))
    published(made, "sentiment", "sentiment:3")
    assert made.find("sentiment:3").targets[0].provider == "registry"
    assert set(made.visible(KEY)) == {"m", "sentiment", "sentiment:3"}
    published(made)
    assert made.find("sentiment") is None


def test_the_file_goes_before_the_database_and_an_experiment_before_both():
    made = routes(route(target(name="file"), name="m"))
    published(made, "m")
    assert made.find("m").targets[0].provider == "file"
    published(made, experiments=("m",))
    assert made.find("m").experiment is not None
    assert made.leaf("m").targets[0].provider == "file"


def test_an_experiments_own_name_is_no_leaf():
    made = routes(route(target(), name="m"))
    published(made, experiments=("split",))
    assert made.find("split") is not None
    assert made.leaf("split") is None


def test_a_name_bound_through_a_pattern_gives_way_to_one_of_the_database():
    made = routes(route(target(name="file", model="*"), name="gpt-*"))
    assert made.find("gpt-4").targets[0].provider == "file"
    published(made, "gpt-4")
    assert made.find("gpt-4").targets[0].provider == "registry"
    assert made.leaf("gpt-5").targets[0].provider == "file"
