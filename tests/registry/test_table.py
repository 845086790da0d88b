"""What a name means."""

from __future__ import annotations

import pytest

from gatemill.core.call import Key
from gatemill.core.errors import NotFound
from gatemill.core.model import ModelSpec
from gatemill.ledger.registry_rows import Alias, Model
from gatemill.registry.prompts import Prompt, read
from gatemill.registry.table import Base, Entry, Table, served_of, split


def alias(name: str, version: int) -> Alias:
    return Alias("mood", name, version, 1, 0.0, "ann")


def entry(versions: dict[int, Base], *aliases: Alias, kind: str = "model") -> Entry:
    model = Model("mood", kind, "classify", "")
    return Entry(model, {each.alias: each for each in aliases}, versions)


def local(number: int) -> Base:
    name = f"mood:{number}"
    return Base("local", name, ModelSpec(name, "classify", "onnx"))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("mood", ("mood", "", 0)),
        ("mood@production", ("mood", "production", 0)),
        ("mood:3", ("mood", "", 3)),
        ("Mo.o_d-1", ("Mo.o_d-1", "", 0)),
        ("mood:0", None),
        ("mood:03", None),
        ("mood:x", None),
        ("mood@", None),
        ("mood@Production", None),
        ("mood@a:3", None),
        ("local/mood", None),
        ("mood:3\n", None),
        ("", None),
        ("m" * 101, None),
        ("mood:1234567890", None),
    ],
)
def test_a_name_is_taken_apart(text, parts):
    assert split(text) == parts


def test_a_bare_name_is_the_newest_version_until_there_is_production():
    entries = {"mood": entry({1: local(1), 2: local(2)}, alias("staging", 1))}
    served = served_of(entries)
    assert {name: one.version for name, one in served.items()} == {
        "mood": "mood:2",
        "mood:1": "mood:1",
        "mood:2": "mood:2",
        "mood@staging": "mood:1",
    }
    assert served["mood"].spec == local(2).spec
    entries = {"mood": entry({1: local(1), 2: local(2)}, alias("production", 1))}
    assert served_of(entries)["mood"].version == "mood:1"


def test_a_model_of_a_provider_is_served_under_its_own_name():
    served = served_of({"mood": entry({1: Base("openai", "gpt-4o-mini")})})
    assert (served["mood"].provider, served["mood"].model) == ("openai", "gpt-4o-mini")
    assert served["mood"].version == "mood:1"


def test_a_name_without_versions_and_a_prompt_are_no_models():
    assert served_of({"mood": entry({})}) == {}
    assert served_of({"mood": entry({1: Base("", "")}, kind="prompt")}) == {}


def test_a_prompt_is_found_by_name_alias_and_number():
    table = Table()
    made = [Prompt(f"mood:{n}", read(f"Version {n}", None, {})) for n in (1, 2)]
    versions = {n: Base("", "", None, prompt) for n, prompt in enumerate(made, 1)}
    table.entries = {
        "mood": entry(versions, alias("old", 1), kind="prompt"),
        "x": entry({1: local(1)}),
    }
    assert table.prompt("mood") is table.prompt("mood:2") is made[1]
    assert table.prompt("mood@old") is table.prompt("mood:1") is made[0]
    assert table.fill("mood@old", {}, {}).messages == [{"role": "user", "content": "Version 1"}]
    for name in ("mood:3", "mood@new", "nothing", "x", "no name"):
        with pytest.raises(NotFound) as refused:
            table.fill(name, {}, {})
        assert refused.value.param == "prompt_id"


@pytest.mark.parametrize(
    ("key", "team_id", "sees"),
    [
        (Key("k", "plain"), "", True),
        (Key("k", "plain", team_id="red"), "", True),
        (None, "", True),
        (Key("k", "plain", team_id="red"), "red", True),
        (Key("k", "plain", team_id="blue"), "red", False),
        (Key("k", "plain"), "red", False),
        (None, "red", False),
        (Key("k", "boss", admin=True), "red", True),
        (Key("k", "looks", scopes=("admin:read",)), "red", True),
    ],
)
def test_a_prompt_is_for_its_team_and_for_admins_and_else_there_is_none(key, team_id, sees):
    table = Table()
    prompt = Prompt("mood:1", read("Hello", None, {}))
    model = Model("mood", "prompt", "", "", team_id=team_id)
    table.entries = {
        "mood": Entry(model, {"old": alias("old", 1)}, {1: Base("", "", None, prompt)})
    }
    for name in ("mood", "mood@old", "mood:1"):
        if sees:
            table.check(name, key)
            continue
        with pytest.raises(NotFound) as foreign:
            table.check(name, key)
        with pytest.raises(NotFound) as unknown:
            Table().fill(name, {}, {})
        assert foreign.value.message == unknown.value.message
        assert foreign.value.param == unknown.value.param == "prompt_id"
