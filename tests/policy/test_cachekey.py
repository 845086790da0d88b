"""Which requests are the same question, over generated bodies."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gatemill.core.call import Key
from gatemill.policy import cachekey
from gatemill.policy.cachekey import canonical, digest, last_text, tenant

SILENT = ("user", "metadata", "safety_identifier", "prompt_cache_key", "service_tier")
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=6,
)
# The names whose value says that the answer must not be kept, or that are left out, stay outside.
names = st.text().filter(
    lambda name: name not in (*SILENT, "background", "conversation", "stream", "stream_options")
)
bodies = st.dictionaries(names, values, max_size=4)


def of(body: object, **fields: object) -> bytes:
    """The digest of a body, given as JSON or as what becomes JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    said = canonical(raw)
    assert said is not None
    return digest("key:k", "chat", ("v",), said | fields)


def shuffled(value, draw):
    """The same value with its members in another order."""
    if isinstance(value, dict):
        order = draw(st.permutations(list(value)))
        return {name: shuffled(value[name], draw) for name in order}
    if isinstance(value, list):
        return [shuffled(one, draw) for one in value]
    return value


@settings(max_examples=settings().max_examples * 2)
@given(bodies, st.data())
def test_order_of_fields_whitespace_and_escapes_change_nothing(body, data):
    other = shuffled(body, data.draw)
    indent = data.draw(st.sampled_from([None, 0, 3]))
    escapes = data.draw(st.booleans())
    try:
        raw = json.dumps(other, indent=indent, ensure_ascii=escapes).encode()
    except UnicodeEncodeError:
        assume(False)  # a lone surrogate can only be written as an escape
    assert of(raw) == of(body)


def meant(value):
    """What JSON says, so that two values are equal exactly when they mean the same."""
    if isinstance(value, dict):
        return "object", frozenset((name, meant(one)) for name, one in value.items())
    if isinstance(value, list):
        return "array", tuple(map(meant, value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number", Fraction(value)
    return type(value).__name__, value


@settings(max_examples=settings().max_examples * 2)
@given(bodies, names, values, values)
def test_another_value_of_any_field_is_another_question(body, name, one, two):
    assume(meant(one) != meant(two))
    assert of({**body, name: one}) != of({**body, name: two})


@given(bodies, names, values)
def test_a_field_more_is_another_question(body, name, value):
    assume(name not in body)
    assert of(body) != of({**body, name: value})


@given(bodies, st.sampled_from(SILENT), values)
def test_who_asks_and_how_fast_changes_nothing(body, name, value):
    assert of(body) == of({**body, name: value})


@pytest.mark.parametrize("one", ["1.0", "1", "1e0", "10E-1", "1.000"])
def test_a_number_is_the_same_however_it_is_written(one):
    assert of(b'{"temperature": %b}' % one.encode()) == of(b'{"temperature":1}')


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("true", "1"),
        ("false", "0"),
        ("null", "0"),
        ('"1"', "1"),
        ("9007199254740993", "9007199254740992"),
        ("0.1", "0.10000000000000002"),
        ("[]", "{}"),
        ("[1,2]", "[2,1]"),
        ('"\\u00e9"', '"e\\u0301"'),
        ('"\\ud800"', '"\\ud801"'),
    ],
)
def test_values_that_look_alike_are_different(one, two):
    assert of(b'{"seed":%b}' % one.encode()) != of(b'{"seed":%b}' % two.encode())


def test_a_field_that_is_null_is_not_the_same_as_none():
    # OpenAI takes both alike, others may not: a miss is cheaper than a wrong answer.
    assert of({**CHAT, "temperature": None}) != of(CHAT)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'"text"',
        b"\xff",
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e400}',
        b'{"model":"a","model":"b"}',
        b'{"tools":[{"name":"a","name":"a"}]}',
        b'{"a":%b}' % (b"9" * 5000),
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"background":true}',
        b'{"conversation":"conv_1"}',
    ],
)
def test_what_cannot_be_compared_or_changes_the_provider_is_never_kept(body):
    assert canonical(body) is None


@pytest.mark.parametrize("off", [{}, {"stream": False}, {"stream": None}])
def test_no_stream_is_the_same_however_it_is_said(off):
    assert of({**CHAT, **off}) == of(CHAT)


def test_a_stream_is_another_entry_and_so_is_its_usage():
    stream = {**CHAT, "stream": True}
    usage = {**stream, "stream_options": {"include_usage": True}}
    assert len({of(CHAT), of(stream), of(usage)}) == 3


@pytest.mark.parametrize(
    "options", [None, {}, {"include_usage": False}, {"include_obfuscation": True}, 7]
)
def test_options_that_only_pad_a_stream_change_nothing(options):
    stream = {**CHAT, "stream": True}
    assert of({**stream, "stream_options": options}) == of(stream)


def test_the_digest_holds_tenant_operation_and_versions():
    said = {"a": 1}
    found = {
        digest("key:a", "chat", ("v",), said),
        digest("key:b", "chat", ("v",), said),
        digest("key:a", "messages", ("v",), said),
        digest("key:a", "chat", ("w",), said),
        digest("key:a", "chat", ("v", ""), said),
        digest("key:a", "chat", ("v", ("anthropic-beta", "x")), said),
    }
    assert len(found) == 6
    assert {len(one) for one in found} == {32}


def test_the_digest_does_not_change_from_one_release_to_the_next_unnoticed():
    # Raise SCHEMA when this changes: old answers must not be found under new keys.
    assert cachekey.SCHEMA == 1
    assert digest("all", "chat", ("v",), canonical(json.dumps(CHAT).encode())).hex() == EXPECTED


EXPECTED = "2442bab1ef0493503308399f3e2c3f934979ae0dde60eb3a23f84370a5c8a522"


def test_who_shares():
    alone, member = Key(id="a", name=""), Key(id="b", name="", team_id="t")
    mate = Key(id="c", name="", team_id="t")
    assert tenant("key", member) != tenant("key", mate)
    assert tenant("team", member) == tenant("team", mate) != tenant("key", member)
    assert tenant("team", alone) == tenant("key", alone)
    assert tenant("all", alone) == tenant("all", member)
    # A team whose id is a key's shares nothing with that key.
    assert tenant("team", Key(id="x", name="", team_id="a")) != tenant("key", alone)


MESSAGE = {"role": "user", "content": "Hi"}
EARLIER = {"role": "system", "content": "Be kind."}


@pytest.mark.parametrize(
    ("operation", "said", "text"),
    [
        ("chat", {"messages": [EARLIER, MESSAGE]}, "Hi"),
        ("messages", {"messages": [MESSAGE]}, "Hi"),
        (
            "chat",
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
            "Hi",
        ),
        ("responses", {"input": "Hi"}, "Hi"),
        ("completions", {"prompt": "Hi"}, "Hi"),
        ("inference", {"text": "Hi"}, "Hi"),
    ],
)
def test_the_last_text_of_the_user_is_taken_out(operation, said, text):
    split = last_text(operation, said)
    assert split is not None
    found, rest = split
    assert found == text
    assert "Hi" not in json.dumps(rest)
    assert split == last_text(operation, json.loads(json.dumps(said)))


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("chat", {}),
        ("chat", {"messages": []}),
        ("chat", {"messages": "Hi"}),
        ("chat", {"messages": ["Hi"]}),
        ("chat", {"messages": [MESSAGE, {"role": "assistant", "content": "Yes?"}]}),
        ("chat", {"messages": [{"role": "user", "content": ""}]}),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
        ("chat", {"messages": [{"role": "user", "content": ["Hi"]}]}),
        (
            "chat",
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * 2}]},
        ),
        ("responses", {"input": [MESSAGE]}),
        ("completions", {"prompt": ["a", "b"]}),
        ("embeddings", {"input": "Hi"}),
    ],
)
def test_where_more_than_one_text_decides_there_is_nothing_to_compare(operation, said):
    assert last_text(operation, said) is None


def test_the_rest_of_a_request_still_tells_it_apart():
    one = last_text("chat", {"messages": [EARLIER, MESSAGE]})
    two = last_text("chat", {"messages": [MESSAGE]})
    assert one is not None
    assert two is not None
    assert one[1] != two[1]
