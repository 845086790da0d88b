"""OpenAI's dialect and its many relatives: requests, answers, and refusals."""

from __future__ import annotations

import msgspec
import pytest

from calls import call_for
from gatemill.core import errors
from gatemill.core.call import Usage
from gatemill.core.errors import GatemillError, UpstreamBadReply
from gatemill.providers import openai
from gatemill.wire import chat, messages
from playbook import target

HI = [{"role": "user", "content": "Hi"}]


def refused(status: int, error: object = None, **headers: str) -> GatemillError:
    body = msgspec.json.encode({"error": error}) if error is not None else b"<html>no</html>"
    return openai.failure(status, {k.replace("_", "-"): v for k, v in headers.items()}, body)


def encoded(chat_request: dict, *, stream: bool = False, **settings):
    call = call_for(chat, {"model": "m", "messages": HI, "stream": stream})
    body, dropped = openai.encode(chat_request, call, target(**settings, model="theirs"))
    return msgspec.json.decode(body), dropped


def test_paths_stand_below_the_base_url():
    assert openai.route("chat", target()) == "/chat/completions"
    assert openai.route("embeddings", target(path_prefix="/x", query="a=b")) == "/x/embeddings?a=b"
    assert openai.secret_headers("sk") == (("authorization", "Bearer sk"),)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gpt", "/deployments/gpt/chat/completions"),
        ("a/b?c", "/deployments/a%2Fb%3Fc/chat/completions"),
    ],
)
def test_a_deployment_stands_in_the_path_and_cannot_leave_it(model, path):
    assert openai.route("chat", target(path_prefix="/deployments/{model}", model=model)) == path


def test_operations_that_a_vendor_adds_have_paths():
    made = target(native=frozenset(("messages", "count_tokens")))
    assert openai.route("messages", made) == "/messages"
    assert openai.route("count_tokens", made) == "/messages/count_tokens"


def test_a_translated_request_has_the_upstreams_model():
    assert encoded({"model": "m", "messages": HI}) == ({"model": "theirs", "messages": HI}, ())


def test_the_output_limit_is_called_what_the_vendor_calls_it():
    asked = {"messages": HI, "max_completion_tokens": 5}
    assert encoded(asked)[0]["max_completion_tokens"] == 5
    renamed, _ = encoded(asked, output_field="max_tokens")
    assert renamed["max_tokens"] == 5
    assert "max_completion_tokens" not in renamed


@pytest.mark.parametrize("given", [{}, {"stream_options": None}, {"stream_options": {"x": 1}}])
def test_a_translated_stream_is_asked_for_its_usage(given):
    body, _ = encoded({"messages": HI, **given}, stream=True)
    assert body["stream_options"] == {**(given.get("stream_options") or {}), "include_usage": True}


def test_a_vendor_that_does_not_know_of_stream_usage_is_not_asked():
    assert "stream_options" not in encoded({"messages": HI}, stream=True, stream_usage=False)[0]


def test_an_answer_is_decoded_with_its_usage():
    call = call_for(chat, {"model": "m", "messages": HI})
    completion, usage = openai.decode(b'{"choices":[],"usage":{"prompt_tokens":3}}', call)
    assert completion["choices"] == []
    assert usage is not None
    assert usage.input == 3
    with pytest.raises(UpstreamBadReply):
        openai.decode(b"<html>", call)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"choices":["x"]}',
        b'{"choices":[{"message":"x"}]}',
        b'{"choices":[{"message":{"tool_calls":"x"}}]}',
        b'{"choices":[{"message":{"content":{"a":1}}}]}',
        b'{"choices":[{"message":{"tool_calls":[{"function":{"arguments":{"a":1}}}]}}]}',
        b'{"choices":[{"message":{},"finish_reason":7}]}',
        b'{"choices":[{"message":{"thinking_blocks":1.5}}]}',
        b'{"choices":[],"x":1e999}',
    ],
)
def test_an_answer_that_cannot_be_translated_is_a_bad_reply(answer):
    with pytest.raises(UpstreamBadReply):
        openai.decode(answer, call_for(chat, {"model": "m", "messages": HI}))


PARTS = [
    {
        "type": "thinking",
        "thinking": [{"type": "text", "text": "Hm"}, {"type": "text", "text": "."}],
    },
    {"type": "reference", "reference_ids": [1]},
    {"type": "text", "text": "Yes"},
    {"type": "text", "text": "!"},
]


def test_content_in_parts_is_text_and_reasoning():
    # Mistral's models that think, whole and streamed: mistralai's ContentChunk and ThinkChunk.
    call = call_for(chat, {"model": "m", "messages": HI})
    told = {"content": "Yes!", "reasoning_content": "Hm."}
    body = msgspec.json.encode({"choices": [{"message": {"content": PARTS}}]})
    completion, _ = openai.decode(body, call)
    assert completion["choices"][0]["message"] == told
    event = msgspec.json.encode({"choices": [{"delta": {"content": PARTS}}]})
    (chunk,) = openai.reader(call).read("", event)
    assert chunk["choices"][0]["delta"] == told


@pytest.mark.parametrize(
    ("content", "texts"),
    [(PARTS, ["Hm.", "Yes!"]), (PARTS[2:], ["Yes!"]), (PARTS[:1], ["Hm."])],
)
def test_content_in_parts_reaches_callers_of_other_formats(content, texts):
    call = call_for(messages, {"model": "m", "max_tokens": 9, "messages": HI})
    body = msgspec.json.encode({"choices": [{"message": {"content": content}}]})
    completion, _ = openai.decode(body, call)
    said = msgspec.json.decode(messages.from_chat(completion, call, Usage()))["content"]
    assert [block.get("text") or block.get("thinking") for block in said] == texts


# --- Refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.UpstreamAuthFailed),
        (402, errors.UpstreamQuotaSpent),
        (403, errors.UpstreamAuthFailed),
        (404, errors.UpstreamError),
        (408, errors.UpstreamTimeout),
        (413, errors.RequestTooLarge),
        (429, errors.UpstreamRateLimited),
        (500, errors.UpstreamError),
        (502, errors.UpstreamError),
        (503, errors.UpstreamOverloaded),
        (504, errors.UpstreamTimeout),
        (529, errors.UpstreamOverloaded),
        (307, errors.UpstreamError),
        (400, errors.UpstreamRefused),
        (422, errors.UpstreamRefused),
    ],
)
def test_each_status_means_one_thing_whatever_the_body(status, kind):
    for error in (None, {"message": "x"}, "words", {"message": 5}, {"code": 1}, []):
        assert type(refused(status, error)) is kind


def test_our_key_is_never_the_callers_mistake():
    assert refused(401, {"message": "Incorrect API key provided: sk-abcdef123456"}).status == 502


@pytest.mark.parametrize(
    "said",
    [
        {"code": "insufficient_quota"},
        {"type": "insufficient_quota"},
        {"code": "billing_hard_limit_reached"},
    ],
)
def test_an_empty_account_is_told_apart_from_a_rate_limit(said):
    error = refused(429, said)
    assert (error.code, error.retry) == ("insufficient_quota", False)


def test_the_time_to_wait_is_passed_on():
    assert refused(429, {"message": "slow down"}, retry_after="7").retry_after_s == 7
    assert refused(500, None, retry_after_ms="500").retry_after_s == 0.5


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"code": "context_length_exceeded", "message": "x"}, errors.ContextLengthExceeded),
        ({"message": "This model's maximum context length is 5"}, errors.ContextLengthExceeded),
        ({"message": "prompt is too long: 9 tokens"}, errors.ContextLengthExceeded),
        ({"code": "content_policy_violation"}, errors.ContentRefused),
        ({"code": "content_filter"}, errors.ContentRefused),
        ({"message": "no such voice"}, errors.UpstreamRefused),
    ],
)
def test_the_callers_mistakes_are_told_apart_by_what_is_said(said, kind):
    error = refused(400, {**said, "param": "messages"})
    assert (type(error), error.param) == (kind, "messages")


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "No such voice.", "code": 400}},
        {"error": "No such voice."},
        {"object": "error", "message": "No such voice.", "code": "3051"},  # Mistral
        [{"error": {"message": "No such voice.", "status": "INVALID_ARGUMENT"}}],  # Gemini
    ],
)
def test_a_refusal_is_heard_in_each_vendors_shape(body):
    error = openai.failure(400, {}, msgspec.json.encode(body))
    assert (type(error), error.message) == (errors.UpstreamRefused, "No such voice.")


@pytest.mark.parametrize("body", [b"[]", b'[{"error":7}]', b'{"message":{"detail":[]}}', b"{}"])
def test_a_refusal_without_words_is_one(body):
    assert openai.failure(422, {}, body).message == "The provider refused the request."


def test_a_prompt_that_is_too_long_for_gemini_is_told_as_such():
    text = "The input token count (9) exceeds the maximum number of tokens allowed (5)."
    body = msgspec.json.encode([{"error": {"code": 400, "message": text}}])
    assert isinstance(openai.failure(400, {}, body), errors.ContextLengthExceeded)


def test_the_providers_words_are_cleaned():
    error = refused(400, {"message": "bad\nkey sk-abcdef123456 " + "x" * 2000})
    assert "sk-abcdef" not in error.message
    assert "\n" not in error.message
    assert len(error.message) <= 500
    assert refused(400, {"message": None}).message == "The provider refused the request."


# --- Streams -------------------------------------------------------------------------------------


def test_the_reader_keeps_chunks_and_takes_usage_out():
    reader = openai.reader(call_for(chat, {"model": "m", "messages": HI}))
    chunk = {"choices": [{"index": 0, "delta": {"content": "x"}}], "usage": None}
    (read,) = reader.read("", msgspec.json.encode(chunk))
    assert read == {"choices": [{"index": 0, "delta": {"content": "x"}}]}
    assert reader.read("", b'{"choices":[],"usage":{"completion_tokens":3}}') == ()
    assert reader.usage is not None
    assert reader.usage.output == 3
    assert not reader.finished
    assert reader.read("", b" [DONE] ") == ()
    assert reader.finished


def test_a_count_that_is_written_in_another_way_loses_no_stream():
    reader = openai.reader(call_for(chat, {"model": "m", "messages": HI}))
    reader.read("", b'{"choices":[],"usage":{"prompt_tokens":7.0,"completion_tokens":"3"}}')
    assert reader.usage == Usage(input=7, output=3)


def called(*pieces: dict, choice: int = 0) -> list[dict]:
    """The tool calls that the reader makes of chunks with one piece each, as a client joins them."""
    reader = openai.reader(call_for(chat, {"model": "m", "messages": HI}))
    made: dict[int, dict] = {}
    for each in pieces:
        said = {"choices": [{"index": choice, "delta": {"tool_calls": [each]}}]}
        (read,) = reader.read("", msgspec.json.encode(said))
        (piece,) = read["choices"][0]["delta"]["tool_calls"]
        one = made.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
        one["id"] = one["id"] or piece.get("id") or ""
        one["name"] = one["name"] or piece["function"].get("name") or ""
        one["arguments"] += piece["function"].get("arguments") or ""
    return [made[index] for index in sorted(made)]


def call_piece(arguments: str, id_: str | None = None, name: str | None = None, **more) -> dict:
    return {**more, "id": id_, "function": {"name": name, "arguments": arguments}}


PARIS, ROME = '{"city":"Paris"}', '{"city":"Rome"}'


@pytest.mark.parametrize("index", [{"index": 0}, {"index": None}, {}])
def test_parallel_calls_that_share_an_index_stay_apart_by_their_ids(index):
    # Gemini's compatible API, seen 2026-11: each call comes whole, and all have the index 0 or none.
    found = called(
        call_piece(PARIS, "call_1", "weather", **index),
        call_piece(ROME, "call_2", "weather", **index),
    )
    assert found == [
        {"id": "call_1", "name": "weather", "arguments": PARIS},
        {"id": "call_2", "name": "weather", "arguments": ROME},
    ]


def test_pieces_of_calls_that_alternate_go_to_their_own():
    found = called(
        call_piece("", "call_1", "weather", index=0),
        call_piece("", "call_2", "weather", index=1),
        call_piece(PARIS[:5], index=0),
        call_piece(ROME[:7], index=1),
        call_piece(PARIS[5:], index=0),
        call_piece(ROME[7:], index=1),
    )
    assert [each["arguments"] for each in found] == [PARIS, ROME]


@pytest.mark.parametrize(
    ("id_", "name"), [("call_1", "weather"), ("call_9", None), ("", "weather")]
)
def test_a_piece_that_repeats_its_name_or_has_an_id_of_its_own_belongs_to_its_call(id_, name):
    found = called(
        call_piece(PARIS[:5], "call_1", "weather", index=0),
        call_piece(PARIS[5:], id_, name, index=0),
    )
    assert found == [{"id": "call_1", "name": "weather", "arguments": PARIS}]


def test_a_new_call_takes_no_index_that_another_has():
    found = called(
        call_piece(PARIS, "call_1", "weather", index=0),
        call_piece("", "call_2", "weather", index=1),
        call_piece(PARIS, "call_3", "weather", index=0),
        call_piece(ROME, index=1),
    )
    assert [each["id"] for each in found] == ["call_1", "call_2", "call_3"]
    assert [each["arguments"] for each in found] == [PARIS, ROME, PARIS]


@pytest.mark.parametrize(
    "calls",
    [
        "x",
        ["x"],
        {"index": 0},
        [{"index": "first"}],
        [{"function": 5}],
        [{"function": {"arguments": {"city": "Paris"}}}],
        [{"id": 7}],
    ],
)
def test_tool_calls_that_are_none_are_a_bad_reply(calls):
    reader = openai.reader(call_for(chat, {"model": "m", "messages": HI}))
    said = {"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}
    with pytest.raises(UpstreamBadReply):
        reader.read("", msgspec.json.encode(said))
