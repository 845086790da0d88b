"""Plans that lead on to other models: arms, complexity, a copy for a shadow; and how they are told."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from msgspec.structs import replace

from gatemill.core.call import Key
from gatemill.core.errors import ModelNotFound
from gatemill.gateway.plan import decision
from gatemill.gateway.routes import ShadowRoute
from gatemill.policy.complexity import Complexity
from gatemill.policy.experiment import Arm, Experiment
from gateway_parts import KEY, route
from plan_play import CHEAP, asking, names, place, planned, routes

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
