import msgspec
import pytest

from anthropic_cases import bare_call, target_for
from gatemill.core.call import Usage
from gatemill.core.errors import (
    ContextLengthExceeded,
    RequestTooLarge,
    UpstreamAuthFailed,
    UpstreamBadReply,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamQuotaSpent,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
)
from gatemill.core.ports import Dialect, Surface
from gatemill.providers import anthropic
from gatemill.wire import count_tokens, messages


def error_body(kind, message="Because.", **more) -> bytes:
    return msgspec.json.encode(
        {"type": "error", "error": {"type": kind, "message": message, **more}, "request_id": "r"}
    )


def test_the_modules_satisfy_their_ports():
    dialect: Dialect = anthropic
    surfaces: list[Surface] = [messages, count_tokens]

    assert {surface.NAME for surface in surfaces} == dialect.NATIVE


def test_routes_and_headers():
    target = target_for(anthropic, path_prefix="/x", query="a=b")

    assert anthropic.route("messages", target) == "/x/v1/messages?a=b"
    assert anthropic.route("count_tokens", target_for(anthropic)) == "/v1/messages/count_tokens"
    assert anthropic.route(anthropic.HUB, target_for(anthropic)) == "/v1/messages"
    assert anthropic.secret_headers("k") == (
        ("x-api-key", "k"),
        ("anthropic-version", "2023-06-01"),
    )


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error_body("invalid_request_error"), UpstreamRefused),
        (
            400,
            error_body("invalid_request_error", "prompt is too long: 9 > 8"),
            ContextLengthExceeded,
        ),
        (
            400,
            error_body("invalid_request_error", "Your credit balance is too low to go on."),
            UpstreamQuotaSpent,
        ),
        (422, b"<html>", UpstreamRefused),
        (400, b'{"error":"odd"}', UpstreamRefused),
        (401, error_body("authentication_error"), UpstreamAuthFailed),
        (402, error_body("billing_error"), UpstreamQuotaSpent),
        (403, error_body("permission_error"), UpstreamAuthFailed),
        (404, error_body("not_found_error"), UpstreamError),
        (408, b"", UpstreamTimeout),
        (409, error_body("conflict_error"), UpstreamError),
        (413, error_body("request_too_large"), RequestTooLarge),
        (429, error_body("rate_limit_error"), UpstreamRateLimited),
        (
            429,
            error_body("rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}),
            UpstreamQuotaSpent,
        ),
        (500, error_body("api_error"), UpstreamError),
        (500, error_body("overloaded_error"), UpstreamOverloaded),
        (502, error_body("invalid_request_error"), UpstreamError),
        (503, b"\xff\x00", UpstreamError),
        (504, b"", UpstreamTimeout),
        (529, b"", UpstreamOverloaded),
    ],
)
def test_a_status_means_an_error_of_ours(status, body, kind):
    error = anthropic.failure(status, {"retry-after": "7"}, body)

    assert type(error) is kind
    assert error.falls_back == (error.status >= 429)
    assert error.message
    assert "html" not in error.message


def test_the_wait_is_passed_on():
    assert anthropic.failure(429, {"retry-after": "7"}, b"").retry_after_s == 7


def test_only_the_words_of_a_refusal_are_passed_on_and_cleaned():
    said = "messages.0: bad \x1b[31m value, key sk-ant-api03-abcdef" + "x" * 600

    refusal = anthropic.failure(400, {}, error_body("invalid_request_error", said))
    assert refusal.message.startswith("messages.0: bad")
    assert len(refusal.message) <= 500
    assert "api03" not in refusal.message
    assert "\x1b" not in refusal.message

    for kind, status in (("api_error", 500), ("authentication_error", 401)):
        assert "Because" not in anthropic.failure(status, {}, error_body(kind)).message


def test_an_unknown_stop_reason_is_a_regular_end():
    body = b'{"id":"msg_1","model":"m","content":[{"type":"new"}],"stop_reason":"new"}'

    completion, usage = anthropic.decode(body, bare_call())

    assert completion["choices"][0]["finish_reason"] == "stop"
    assert completion["choices"][0]["message"]["content"] == ""
    assert (usage, "usage" in completion) == (None, False)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        (None, "stop"),
    ],
)
def test_stop_reasons_are_translated(reason, finish):
    body = msgspec.json.encode({"content": [], "stop_reason": reason, "usage": {"input_tokens": 1}})

    completion, usage = anthropic.decode(body, bare_call())

    assert completion["choices"][0]["finish_reason"] == finish
    assert usage == Usage(input=1)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"content":null}', b'{"content":[{}]}'])
def test_what_is_no_message_is_a_bad_reply(body):
    with pytest.raises(UpstreamBadReply):
        anthropic.decode(body, bare_call())


def test_an_error_inside_a_200_is_that_error():
    with pytest.raises(UpstreamOverloaded):
        anthropic.decode(error_body("overloaded_error"), bare_call())
