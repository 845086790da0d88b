import msgspec
import pytest
from anthropic.types import MessageTokensCount

from anthropic_cases import bare_call
from gatemill.core.call import Head, Usage
from gatemill.core.errors import InvalidValue, UnsupportedOperation, UpstreamBadReply
from gatemill.wire import count_tokens


def count(**request) -> int:
    made = count_tokens.estimate(msgspec.json.encode(request))
    return MessageTokensCount.model_validate_json(made, strict=True).input_tokens


def said(content) -> list[dict]:
    return [{"role": "user", "content": content}]


def test_the_head_needs_no_max_tokens():
    head = count_tokens.head(b'{"model":"m","messages":[{"role":"user","content":"x"}]}')

    assert head == Head(model="m", output_max=0)
    with pytest.raises(InvalidValue):
        count_tokens.head(b'{"model":"m","messages":[]}')


def test_the_estimate_is_utf8_bytes_by_four_rounded_up():
    assert count(messages=said("")) == 0
    assert count(messages=said("a")) == 1
    assert count(messages=said("abcd")) == 1
    assert count(messages=said("äöü")) == 2
    assert count(system="abcd", messages=said([{"type": "text", "text": "abcd"}])) == 2


def test_tools_and_their_results_count_as_the_json_they_are():
    schema = {"type": "object", "properties": {"id": {"type": "string"}}}
    size = len("get") + len(msgspec.json.encode(schema))
    result = {"type": "tool_result", "tool_use_id": "ignored", "content": "abcdefgh"}

    assert count(messages=[], tools=[{"name": "get", "input_schema": schema}]) == -(-size // 4)
    assert count(messages=said([result])) == 2
    assert count(messages=said([{"type": "tool_use", "id": "x", "name": "f", "input": {}}])) == 1


def test_an_image_has_a_fixed_weight_whatever_its_bytes():
    source = {"type": "base64", "media_type": "image/png", "data": "A" * 90_000}

    assert count(messages=said([{"type": "image", "source": source}])) == 1_600


def test_a_document_weighs_a_sixteenth_of_its_base64():
    source = {"type": "base64", "media_type": "application/pdf", "data": "A" * 1_600}

    assert count(messages=said([{"type": "document", "source": source}])) == 100


def test_depth_costs_no_stack():
    nested = "[" * 400 + "]" * 400

    assert count_tokens.estimate(b'{"messages":' + nested.encode() + b"}") == b'{"input_tokens":0}'


def test_counting_costs_nothing():
    assert count_tokens.usage(b'{"input_tokens": 40}') == Usage()


@pytest.mark.parametrize("body", [b"{}", b"x", b'{"input_tokens":"4"}'])
def test_what_is_no_count_is_a_bad_reply(body):
    with pytest.raises(UpstreamBadReply):
        count_tokens.usage(body)


@pytest.mark.parametrize(
    "use",
    [
        lambda: count_tokens.passage(Head(model="m")),
        lambda: count_tokens.to_chat(b"{}", bare_call()),
        lambda: count_tokens.from_chat({}, bare_call(), Usage()),
        lambda: count_tokens.writer(bare_call()),
    ],
)
def test_there_is_no_chat_form(use):
    with pytest.raises(UnsupportedOperation):
        use()
