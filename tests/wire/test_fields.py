"""What the formats share: messages that name the field, and usage in disjoint buckets."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from gatemill.core.call import Head, Usage
from gatemill.core.errors import (
    InvalidJson,
    InvalidRequest,
    InvalidType,
    InvalidValue,
    JsonTooDeep,
    MissingParameter,
)
from gatemill.wire import chat, completions, embeddings, fields, messages, responses
from gatemill.wire.fields import CompletionDetails, OpenAIUsage, PromptDetails

Short = Annotated[str, Meta(max_length=3)]


class Item(Struct):
    size: Annotated[int, Meta(ge=1)]
    mode: Literal["auto", "dense"] | None = None


class Form(Struct):
    name: str
    items: list[Item] = []
    either: str | int | None = None
    tags: dict[Short, Short] = {}


decoder = msgspec.json.Decoder(Form)


def refusal(body: bytes, hints: dict[str, str] | None = None) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        fields.decode_head(decoder, body, hints or {})
    return refused.value


@pytest.mark.parametrize(
    ("body", "kind", "param", "message"),
    [
        (b"{}", MissingParameter, "name", "`name`: is required."),
        (b'{"name":5}', InvalidType, "name", "`name`: must be a string, not an integer."),
        (
            b'{"name":"a","either":[]}',
            InvalidType,
            "either",
            "`either`: must be an integer or a string or null, not an array.",
        ),
        (
            b'{"name":"a","items":[{"size":0}]}',
            InvalidValue,
            "items.0.size",
            "`items.0.size`: Expected `int` >= 1.",
        ),
        (
            b'{"name":"a","items":[{}]}',
            MissingParameter,
            "items.0.size",
            "`items.0.size`: is required.",
        ),
        (
            b'{"name":"a","items":[{"size":1,"mode":"x"}]}',
            InvalidValue,
            "items.0.mode",
            "`items.0.mode`: Invalid enum value 'x'. Send one of auto, dense.",
        ),
        (
            b'{"name":"a","tags":{"long":"b"}}',
            InvalidValue,
            "tags",
            "`tags`: a key: Expected `str` of length <= 3.",
        ),
        (
            b'{"name":"a","tags":{"b":1}}',
            InvalidType,
            "tags",
            "`tags`: a value: must be a string, not an integer.",
        ),
        (
            rb'{"name":"\ud83e"}',
            InvalidJson,
            None,
            "A text holds half of a surrogate pair (byte 9). Send whole characters.",
        ),
        (
            b"5",
            InvalidType,
            None,
            "The body must be an object, not an integer. Send one JSON object.",
        ),
    ],
)
def test_a_mistake_says_where_and_what(body, kind, param, message):
    refused = refusal(body)
    assert (type(refused), refused.param, refused.message) == (kind, param, message)


def test_a_hint_is_added_for_the_last_name_of_the_path():
    assert refusal(b'{"name":"a","items":[{}]}', {"size": "Send one."}).message.endswith(
        "is required. Send one."
    )


@pytest.mark.parametrize("body", [b"{", b"", b'{"name":"\xff"}', b'{"name":NaN}', b'{"name":"a"}x'])
def test_what_is_not_json_is_refused(body):
    assert type(refusal(body)) is InvalidJson


def test_what_is_nested_beyond_reading_is_refused():
    assert type(refusal(b'{"name":"a","x":' + b"[" * 100_000)) is JsonTooDeep


def test_a_long_value_is_not_repeated_whole():
    class Kinds(Struct, tag_field="kind", tag="a"):
        pass

    class Other(Struct, tag_field="kind", tag="b"):
        pass

    with pytest.raises(InvalidValue) as refused:
        fields.decode_head(msgspec.json.Decoder(Kinds | Other), b'{"kind":"' + b"x" * 9000 + b'"}')
    assert len(refused.value.message) < 300


def test_paths_are_dotted():
    assert fields.dotted("$.messages[0].content[12].type") == "messages.0.content.12.type"


COUNTS = st.integers(0, 1000) | st.none()


@given(
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.tuples(*[COUNTS] * 3),
    st.tuples(*[COUNTS] * 2),
    st.integers(0, 3000),
)
def test_buckets_are_disjoint_and_never_negative(
    prompt, completion, of_prompt, of_completion, total
):
    usage = fields.buckets(
        prompt, completion, PromptDetails(*of_prompt), CompletionDetails(*of_completion), total
    )
    assert usage.prompt + usage.completion == max(prompt + completion, total)
    assert usage.prompt >= prompt
    assert usage.completion >= completion
    assert min(msgspec.structs.astuple(usage)) >= 0


def test_usage_survives_the_way_there_and_back():
    usage = Usage(1, 2, 3, 0, 4, 5, 6, 7)
    said = fields.openai_usage(usage)
    assert said["total_tokens"] == 28
    assert fields.from_openai_usage(msgspec.convert(said, OpenAIUsage)) == usage
    assert fields.buckets(3, 2, None, None, 0) == Usage(input=3, output=2)


def said(**counts) -> Usage | None:
    return fields.from_openai_usage(msgspec.convert(counts, OpenAIUsage))


@pytest.mark.parametrize(
    ("prompt", "completion", "total", "thought", "usage"),
    [
        # Gemini: thoughts are in the total alone.
        (20, 151, 553, None, Usage(input=20, output=151, reasoning=382)),
        # xAI: they are told as well, and stand beside the answer.
        (12, 1, 399, 386, Usage(input=12, output=1, reasoning=386)),
        (21, 0, 81, 60, Usage(input=21, reasoning=60)),
        # OpenAI: they are in the answer, and the sum is right.
        (12, 400, 412, 386, Usage(input=12, output=14, reasoning=386)),
        # A total that is too small, or not said, says nothing.
        (12, 400, 5, 386, Usage(input=12, output=14, reasoning=386)),
        (12, 400, None, None, Usage(input=12, output=400)),
    ],
)
def test_what_only_the_total_holds_was_thought_and_is_counted(
    prompt, completion, total, thought, usage
):
    details = (
        {} if thought is None else {"completion_tokens_details": {"reasoning_tokens": thought}}
    )
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    assert said(**counts, **details) == usage


def test_a_total_alone_is_the_prompts():
    assert said(total_tokens=12) == Usage(input=12)


@pytest.mark.parametrize("prompt", [0, None])
def test_a_prompt_that_only_the_total_holds_was_no_thought(prompt):
    counts = {"prompt_tokens": prompt, "completion_tokens": 5, "total_tokens": 17}
    assert said(**counts) == Usage(input=12, output=5)


def test_cached_tokens_that_only_the_total_holds_are_the_prompts():
    read = said(
        prompt_tokens=10,
        completion_tokens=5,
        total_tokens=105,
        prompt_tokens_details={"cached_tokens": 90},
    )
    assert read == Usage(input=10, cache_read=90, output=5)


def test_counts_that_are_null_are_not_told_and_the_answer_is_good():
    assert said(prompt_tokens=5, completion_tokens=None, total_tokens=None) == Usage(input=5)


def test_what_deepseek_calls_a_cache_hit_was_read_from_the_cache():
    told = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_cache_hit_tokens": 8}
    assert said(**told) == Usage(input=2, cache_read=8, output=2)
    both = said(**told, prompt_tokens_details={"cached_tokens": 8})
    assert both == Usage(input=2, cache_read=8, output=2), "counted once where it is told twice"


def test_a_count_that_no_column_holds_is_no_count():
    assert said(prompt_tokens=fields.TOKENS_MAX) == Usage(input=fields.TOKENS_MAX)
    with pytest.raises(msgspec.ValidationError):
        said(prompt_tokens=fields.TOKENS_MAX + 1)


ODD = b'"prompt_tokens":7.0,"completion_tokens":"3","total_tokens":1e1'
ODD_OTHER = b'"input_tokens":7.0,"output_tokens":"3"'


@pytest.mark.parametrize(
    ("surface", "answer"),
    [
        (chat, b'{"choices":[],"usage":{%b}}' % ODD),
        (completions, b'{"choices":[],"usage":{%b}}' % ODD),
        (embeddings, b'{"data":[],"usage":{%b}}' % ODD),
        (messages, b'{"content":[],"usage":{%b}}' % ODD_OTHER),
        (responses, b'{"id":"r","output":[],"usage":{%b}}' % ODD_OTHER),
    ],
)
def test_a_count_that_is_written_in_another_way_loses_no_answer(surface, answer):
    assert surface.usage(answer) == Usage(input=7, output=3)


@pytest.mark.parametrize(
    ("surface", "stream"),
    [
        (chat, b'data: {"choices":[],"usage":{%b}}\n\n' % ODD),
        (messages, b'data: {"type":"message_delta","usage":{%b}}\n\n' % ODD_OTHER),
        (
            responses,
            b'data: {"type":"response.completed","response":{"usage":{%b}}}\n\n' % ODD_OTHER,
        ),
    ],
)
def test_a_count_that_is_written_in_another_way_loses_no_stream(surface, stream):
    made = surface.passage(Head(model="m", stream=True))
    made.feed(stream)
    assert made.usage == Usage(input=7, output=3)


def test_a_usage_object_without_a_token_tells_nothing():
    assert said() is None
    assert said(prompt_tokens=0, completion_tokens=0, total_tokens=0) is None


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        (b'{"model":"a"}', True),
        (b'{"model":"a","x":"\\"model\\""}', True),
        (b'{"model":"a","x":"\\u00e9"}', True),
        (b'{"model":"a","x":"\\u0065"}', False),
        (b'{"model":"a","model":"b"}', False),
        (b'{"n":1,"x":{"n":1}}', False),
    ],
)
def test_a_body_is_plain_when_no_field_that_we_read_can_stand_twice(body, plain):
    assert fields.is_plain(body) is plain


@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=5), st.text(min_size=1))
def test_renaming_changes_the_model_alone(more, model):
    body = msgspec.json.encode({**more, "model": "m"})
    assert msgspec.json.decode(fields.renamed(body, "m", model)) == {**more, "model": model}


# --- A cap on the answer -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"m"}', b'{"max_tokens":9,"model":"m"}'),
        (b' \n{"model":"m"}', b'{"max_tokens":9,"model":"m"}'),
        (b'{"model":"m","max_tokens":5}', b'{"model":"m","max_tokens":5}'),
        (b'{"model":"m","max_tokens":null}', b'{"model":"m","max_tokens":9}'),
        (b'{"model":"max_tokens"}', b'{"model":"max_tokens","max_tokens":9}'),
        (b'{"max_token\\u0073":5}', b'{"max_token\\u0073":5}'),
        (b'{"model":"\\u00e9"}', b'{"model":"\\u00e9","max_tokens":9}'),
    ],
)
def test_a_cap_is_put_where_the_caller_has_none(body: bytes, expected: bytes):
    assert fields.capped(body, "max_tokens", 9) == expected
