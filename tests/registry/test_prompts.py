"""Prompts: what must be declared, what must be said, and what is refused by name."""

from __future__ import annotations

import msgspec
import pytest

from gatemill.core.errors import InvalidRequest, InvalidType, InvalidValue, MissingParameter
from gatemill.registry import prompts
from gatemill.registry.prompts import Prompt, Template, read


def made(template, variables=None, params=None) -> Prompt:
    return Prompt("greet:3", read(template, variables, params or {}))


def test_a_prompt_is_filled_in_with_variables_defaults_and_features():
    prompt = made(
        [
            {
                "role": "system",
                "content": "You speak {{ language }} to a {{ features.user.tier }} user.",
            },
            {"role": "user", "content": "I am {{ name }}."},
        ],
        {"language": {"default": "French"}, "name": {"type": "string", "description": "Theirs."}},
        {"temperature": 0.2},
    )
    filled = prompt.fill({"name": "Ann"}, {"user.tier": "gold"})
    assert filled.messages == [
        {"role": "system", "content": "You speak French to a gold user."},
        {"role": "user", "content": "I am Ann."},
    ]
    assert filled.params == {"temperature": 0.2}
    assert filled.version == "greet:3"
    assert prompt.uses_features


def test_a_text_is_one_message_and_its_names_are_declared_by_being_read():
    prompt = made("Hello {{ name }}")
    assert prompt.template.variables == {"name": prompts.Variable()}
    assert prompt.fill({"name": "Ann"}, {}).messages == [{"role": "user", "content": "Hello Ann"}]


@pytest.mark.parametrize(
    ("said", "error", "param"),
    [
        ({}, MissingParameter, "prompt_variables.name"),
        ({"name": "a", "nam": "b"}, InvalidValue, "prompt_variables.nam"),
        ({"name": 1}, InvalidType, "prompt_variables.name"),
        ({"name": "a" * (1 << 20)}, InvalidValue, "prompt_variables"),
        ({"name": "a" * 300_000}, InvalidValue, "prompt_variables"),
    ],
)
def test_a_value_that_does_not_fit_is_named(said, error, param):
    with pytest.raises(error) as refused:
        made("Hello {{ name }}").fill(said, {})
    assert refused.value.param == param


def test_all_messages_together_are_bounded():
    prompt = made([{"role": "user", "content": "{{ x }}"}] * 3, {"x": {}})
    prompt.fill({"x": "a" * 87_000}, {})
    with pytest.raises(InvalidValue, match="longer than"):
        prompt.fill({"x": "a" * 88_000}, {})


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", "a", 1),
        ("number", 0.5, "1"),
        ("number", 1, True),
        ("integer", 1, 0.5),
        ("integer", 1, False),
        ("boolean", True, 1),
        ("array", [1], {}),
        ("object", {}, []),
        ("object", {}, None),
    ],
)
def test_a_variable_has_a_type(kind, good, bad):
    prompts.check_type(good, kind, "x")
    with pytest.raises(InvalidType):
        prompts.check_type(bad, kind, "x")


@pytest.mark.parametrize(
    ("template", "variables", "params", "param"),
    [
        (7, None, {}, "template"),
        ([], None, {}, "template"),
        ([{"role": "tool", "content": "x"}], None, {}, "template"),
        ([{"role": "user"}], None, {}, "template"),
        ([{"role": "user", "content": "x", "name": "y"}], None, {}, "template"),
        ([{"role": "user", "content": "x"}] * 51, None, {}, "template"),
        ("{{ x() }}", None, {}, "template.0.content"),
        ("{{ x }}", {}, {}, "variables.x"),
        ("x", {"x": {"type": "date"}}, {}, "variables"),
        ("x", {"x": {"type": "integer", "default": "a"}}, {}, "variables.x.default"),
        ("x", {"_x": {}}, {}, "variables"),
        ("x", {"features": {}}, {}, "variables"),
        ("x", {f"x{n}": {} for n in range(51)}, {}, "variables"),
        ("x", None, {"model": "a"}, "params.model"),
        ("x", None, {"stream": True}, "params.stream"),
        ("x" * 65_537, None, {}, "template"),
        ("{{ x() }}" + "x" * 65_537, None, {}, "template"),  # not compiled first
    ],
)
def test_a_template_that_cannot_be_used_is_refused(template, variables, params, param):
    with pytest.raises(InvalidRequest) as refused:
        read(template, variables, params)
    assert refused.value.param == param


def test_without_variables_nothing_may_be_said():
    with pytest.raises(InvalidValue, match="It has none"):
        made("Hello").fill({"name": "x"}, {})


def test_a_stored_template_is_read_as_it_was():
    template = read("Hello {{ name }}", {"name": {"default": "you"}}, {"n": 1})
    assert msgspec.json.decode(msgspec.json.encode(template), type=Template) == template
