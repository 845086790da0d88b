"""What prompts can say, and what they cannot, however they are written."""

from __future__ import annotations

import pytest

from gatemill.core.errors import InvalidValue
from gatemill.registry import language

CHARS_MAX = 1_000


def said(text: str, **values) -> str:
    template, _ = language.compiled(text, "template.0.content")
    return language.rendered(template, values, CHARS_MAX)


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("Hello {{ name }}!", {"name": "Ann"}, "Hello Ann!"),
        (
            "{{ n }} {{ f }} {{ b }} {{ x }}",
            {"n": 1, "f": 0.5, "b": True, "x": None},
            "1 0.5 true null",
        ),
        ("{{ o.a.b }} {{ o['a'] }}", {"o": {"a": {"b": 1}}}, '1 {"b":1}'),
        ("{{ a[0] }}{{ a[-1] }}", {"a": ["x", "y"]}, "xy"),
        ("{% if t == 'gold' %}G{% elif t %}T{% else %}-{% endif %}", {"t": "gold"}, "G"),
        ("{% if t in ['a', 'b'] and not u %}in{% endif %}", {"t": "b", "u": 0}, "in"),
        ("{{ 'many' if n > 1 else 'one' }}", {"n": 2}, "many"),
        (
            "{% for d in ds %}{{ loop.index }}{{ d.t|upper }}{% if not loop.last %}, {% endif %}{% endfor %}",
            {"ds": [{"t": "a"}, {"t": "b"}]},
            "1A, 2B",
        ),
        ("{% for d in ds %}{{ d }}{% else %}none{% endfor %}", {"ds": []}, "none"),
        ("{% for k in o %}{{ k }}={{ o[k] }};{% endfor %}", {"o": {"a": 1, "b": 2}}, "a=1;b=2;"),
        ("{{ x|default('?') }}{{ o.y|d('!') }}", {"o": {}}, "?!"),
        ("{{ x|trim|lower|title }}", {"x": "  ANN "}, "Ann"),
        (
            "{{ xs|join(', ') }} {{ xs|length }} {{ xs|first }}{{ xs|last }}",
            {"xs": [1, "b"]},
            "1, b 2 1b",
        ),
        ("{{ ''|first }}{{ []|last }}", {}, ""),
        ("{{ o|tojson }}", {"o": {"ü": [1]}}, '{"ü":[1]}'),
        ("{{ x is defined }} {{ y is defined }}", {"x": 1}, "true false"),
        ("{% raw %}{{ x }}{% endraw %}{# nothing #}", {}, "{{ x }}"),
        ("<b>{{ x }}</b>", {"x": "<&>"}, "<b><&></b>"),
    ],
)
def test_a_template_says(text, values, expected):
    assert said(text, **values) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(10**9) %}x{% endfor %}",
        "{{ 'a' * 10**9 }}",
        "{{ x ~ x }}",
        "{{ x + x }}",
        "{{ x() }}",
        "{{ x.upper() }}",
        "{{ x|attr('__class__') }}",
        "{{ x|replace('a', 'b') }}",
        "{{ x|indent(10000000) }}",
        "{{ x is callable }}",
        "{% set a = 1 %}",
        "{% include 'secrets' %}",
        "{% import 'a' as b %}",
        "{% extends 'a' %}",
        "{% macro m() %}{% endmacro %}",
        "{% block b %}{% endblock %}",
        "{% filter upper %}x{% endfilter %}",
        "{% autoescape true %}x{% endautoescape %}",
        "{% for x in xs recursive %}{{ loop(x) }}{% endfor %}",
        "{{ x[0:9] }}",
        "{{ self }}",
        "{{ xs|join(*x) }}",
        "{{ " + "(" * 400 + "x" + ")" * 400 + " }}",
        "{% if x %}" * 30 + "{% endif %}" * 30,
        "{{ x",
        "{% nothing %}",
    ],
)
def test_a_template_is_refused_that_could_do_more_than_read(text):
    with pytest.raises(InvalidValue) as refused:
        language.compiled(text, "template.0.content")
    assert refused.value.param == "template.0.content"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{{ x.__class__ }}", {"x": "a"}),
        ("{{ x.items }}", {"x": {}}),
        ("{{ ''.__class__.__mro__ }}", {}),
        ("{{ x[9] }}", {"x": [1]}),
        ("{{ x[true] }}", {"x": [1]}),
        ("{{ o.a.b.c }}", {"o": {}}),
        ("{{ x }}", {}),
        ("{{ x|upper }}", {}),
        ("{{ x|length }}", {}),
        ("{% for a in x %}{% endfor %}", {}),
    ],
)
def test_what_is_not_there_is_named(text, values):
    with pytest.raises(InvalidValue, match="reads what is not there") as refused:
        said(text, **values)
    assert refused.value.param == "entities"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{{ x }}", {"x": "a" * (CHARS_MAX + 1)}),
        ("{% for a in x %}{{ y }}{% endfor %}", {"x": [1] * 100_000, "y": "z"}),
        ("{% for a in x %}{% endfor %}", {"x": [1] * 100_000}),
        (
            "{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}",
            {"x": "a" * 9999},
        ),
        (
            "{% for a in x %}{% if y|lower == 'z' %}{% endif %}{% endfor %}",
            {"x": [1] * 900, "y": "Z" * 99_999},
        ),
        ("{{ x|join(y) }}", {"x": ["a"] * 9_999, "y": "-" * 9_999}),
        ("{{ x|tojson|length }}", {"x": "a" * 1_000_001}),
    ],
)
def test_a_rendering_ends_when_it_has_used_up_what_it_may(text, values):
    with pytest.raises(InvalidValue, match="longer than 1000 characters, or take too long"):
        said(text, **values)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{% for a in x %}{% endfor %}", {"x": 5}),
        ("{{ x|join }}", {"x": 5}),
        ("{{ loop }}", {"loop": object()}),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(text, values):
    with pytest.raises(InvalidValue, match="cannot use a variable") as refused:
        said(text, **values)
    assert refused.value.param == "prompt_variables"


def test_a_loop_cannot_be_printed():
    with pytest.raises(InvalidValue, match="no text for a LoopContext"):
        said("{% for a in x %}{{ loop }}{% endfor %}", x=[1])


def test_the_names_that_a_template_reads_are_known():
    _, names = language.compiled("{{ a }}{% for b in c %}{{ b }}{{ d }}{% endfor %}", "t")
    assert names == {"a", "c", "d"}


@pytest.mark.parametrize("test", ["odd", "even"])
@pytest.mark.parametrize("text", ["%", "%1000000000d", "3"])
def test_a_text_is_never_taken_for_a_format(test, text):
    with pytest.raises(InvalidValue, match="only a whole number is odd or even"):
        said(f"{{% if x is {test} %}}a{{% endif %}}", x=text)


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in x %}{% if a in y %}{% endif %}{% endfor %}",
        "{% for a in x %}{% if a is in y %}{% endif %}{% endfor %}",
        "{% for a in x if a not in y %}{% endfor %}",
        "{% for a in x %}{% if y == z %}{% endif %}{% endfor %}",
        "{% for a in x %}{% if y is eq(z) %}{% endif %}{% endfor %}",
        "{% for a in x %}{{ o|first|lower }}{% endfor %}",
    ],
)
def test_comparisons_draw_on_the_budget_too(text):
    values = {"x": list(range(500)), "y": [[-1]] * 2_000, "z": [[-1]] * 2_000}
    with pytest.raises(InvalidValue, match="take too long"):
        said(text, o={str(at): 0 for at in range(3_000)}, **values)


@pytest.mark.parametrize("text", ["{{ x is eq(*y) }}", "{{ x is in(seq=y) }}", r'{{ "\ud800" }}'])
def test_what_no_prompt_needs_is_refused(text):
    with pytest.raises(InvalidValue, match="`t`: the template"):
        language.compiled(text, "t")


def test_a_loop_over_pairs_wants_pairs():
    with pytest.raises(InvalidValue, match="cannot use a variable"):
        said("{% for a, b in x %}{% endfor %}", x=["abc"])
