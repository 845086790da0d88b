"""Endpoints, a provider's checks, and the failures that a name asks for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fake_provider.asking import CHAT, MESSAGES, RESPONSES, ask, exchange, get, request, stream
from gatemill.fake_provider.answer import MODELS, MODELS_COUNTED_MAX, Counts
from gatemill.fake_provider.server import FakeProvider

AZURE = "/openai/deployments/fake/chat/completions?api-version=2026-01-01"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/chat/completions", "chat.completion"),
        ("/v1/chat/completions", "chat.completion"),
        ("/api/v3/chat/completions", "chat.completion"),
        (AZURE, "chat.completion"),
        ("/v1/completions", "text_completion"),
        ("/v1/responses", "response"),
    ],
)
async def test_endpoints_are_found_by_their_ending(
    provider: FakeProvider, path: str, kind: str
) -> None:
    seen = await ask(provider, "fake", path, prompt="hi", input="hi")
    assert (seen.status, seen.json["object"]) == (200, kind)


async def test_azure_takes_the_model_from_the_path_and_the_key_from_its_header(
    provider: FakeProvider,
) -> None:
    path = "/openai/deployments/vendor%2Ffake%2Bstatus=503/chat/completions?api-version=1"
    headers: dict[str, Any] = {"authorization": None, "api-key": "azure-key-1"}
    sent = request("", path, fields={"model": None}, headers=headers)
    seen = await exchange(provider, sent)
    row = provider.journal[-1]
    assert (seen.status, row.model) == (503, "vendor/fake+status=503")
    assert "model" not in row.body


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz"])
async def test_openai_without_a_key_is_401(provider: FakeProvider, value: str) -> None:
    seen = await exchange(provider, request("fake", headers={"authorization": value}))
    assert seen.status == 401
    assert seen.json["error"].keys() == {"message", "type", "param", "code"}
    assert seen.json["error"]["code"] == "invalid_api_key"


async def test_anthropic_without_a_key_is_401_in_its_own_form(provider: FakeProvider) -> None:
    headers: dict[str, Any] = {"authorization": None}
    seen = await exchange(provider, request("fake", MESSAGES, headers=headers))
    assert seen.status == 401
    assert seen.json["type"] == "error"
    assert seen.json["error"]["type"] == "authentication_error"
    assert seen.json["request_id"] == seen.headers["request-id"]


async def test_anthropic_takes_x_api_key(provider: FakeProvider) -> None:
    headers: dict[str, Any] = {"authorization": None, "x-api-key": "sk-ant-1"}
    assert (await exchange(provider, request("fake", MESSAGES, headers=headers))).status == 200


async def test_anthropic_version_is_required(provider: FakeProvider) -> None:
    headers: dict[str, Any] = {"anthropic-version": None}
    seen = await exchange(provider, request("fake", MESSAGES, headers=headers))
    assert seen.status == 400
    assert "anthropic-version" in seen.json["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"[" * 100_000, b'{"model":"\xff"}'])
async def test_body_that_is_no_json_object_is_400(provider: FakeProvider, body: bytes) -> None:
    head = b"POST %b HTTP/1.1\r\nx-api-key: k\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    seen = await exchange(provider, head % (CHAT.encode(), len(body)) + body)
    assert (seen.status, seen.json["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (CHAT, "messages"),
        (CHAT, "model"),
        (MESSAGES, "max_tokens"),
        (RESPONSES, "input"),
        ("/v1/completions", "prompt"),
        ("/v1/embeddings", "input"),
    ],
)
async def test_missing_field_is_400_and_named(
    provider: FakeProvider, path: str, field: str
) -> None:
    seen = await exchange(provider, request("fake", path, fields={field: None}))
    assert seen.status == 400
    assert field in seen.json["error"]["message"]


async def test_unknown_fault_is_400_naming_the_nearest(provider: FakeProvider) -> None:
    seen = await ask(provider, "fake+hnag")
    error = seen.json["error"]
    assert (seen.status, error["param"]) == (400, "model")
    assert "`hang`" in error["message"]


async def test_unknown_path_is_404_and_wrong_method_405(provider: FakeProvider) -> None:
    assert (await ask(provider, "fake", "/v1/nothing")).status == 404
    assert (await ask(provider, "fake", "/v1/models")).status == 405
    assert (await ask(provider, "fake", "/v1/modelsx")).status == 404
    assert (await get(provider, CHAT)).status == 405


@pytest.mark.parametrize(
    ("fault", "status", "kind", "code"),
    [
        ("status=400", 400, "invalid_request_error", None),
        ("status=404", 404, "invalid_request_error", "model_not_found"),
        ("status=429", 429, "requests", "rate_limit_exceeded"),
        ("status=503", 503, "server_error", None),
        ("auth", 401, "invalid_request_error", "invalid_api_key"),
        ("auth=403", 403, "invalid_request_error", "permission_denied"),
        ("quota", 429, "insufficient_quota", "insufficient_quota"),
        ("overloaded", 503, "server_error", "service_unavailable"),
        ("context-length", 400, "invalid_request_error", "context_length_exceeded"),
        ("content-policy", 400, "invalid_request_error", "content_policy_violation"),
        ("error-200", 200, "server_error", "server_error"),
    ],
)
async def test_openai_failures(
    provider: FakeProvider, fault: str, status: int, kind: str, code: str | None
) -> None:
    for seen in [await ask(provider, f"fake+{fault}"), await stream(provider, f"fake+{fault}")]:
        error = seen.json["error"]
        assert (seen.status, error["type"], error["code"]) == (status, kind, code)
        assert provider.journal[-1].completion_tokens == 0


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("status=404", 404, "not_found_error"),
        ("status=429", 429, "rate_limit_error"),
        ("status=500", 500, "api_error"),
        ("status=422", 422, "invalid_request_error"),
        ("status=529", 529, "overloaded_error"),
        ("auth", 401, "authentication_error"),
        ("auth=403", 403, "permission_error"),
        ("quota", 400, "invalid_request_error"),
        ("overloaded", 529, "overloaded_error"),
        ("context-length", 400, "invalid_request_error"),
        ("content-policy", 400, "invalid_request_error"),
        ("error-200", 200, "overloaded_error"),
    ],
)
async def test_anthropic_failures(
    provider: FakeProvider, fault: str, status: int, kind: str
) -> None:
    seen = await ask(provider, f"fake+{fault}", MESSAGES)
    assert (seen.status, seen.json["error"]["type"]) == (status, kind)


async def test_retry_after_is_a_header(provider: FakeProvider) -> None:
    seen = await ask(provider, "fake+status=429+retry-after=2")
    assert (seen.status, seen.headers["retry-after"]) == (429, "2")


async def test_html_error_is_not_json(provider: FakeProvider) -> None:
    seen = await ask(provider, "fake+html-error")
    assert (seen.status, seen.headers["content-type"]) == (502, "text/html")
    assert seen.body.startswith(b"<html>")
    assert (await ask(provider, "fake+html-error=504")).status == 504


async def test_304_has_no_body(provider: FakeProvider) -> None:
    seen = await ask(provider, "fake+status=304")
    assert (seen.status, seen.headers["content-length"]) == (304, "0")


async def test_first_fails_then_succeeds_by_full_model_name(provider: FakeProvider) -> None:
    name = "fake+first=2+status=503"
    assert [(await ask(provider, name)).status for _ in range(4)] == [503, 503, 200, 200]
    assert (await ask(provider, f"vendor/{name}")).status == 503


def test_counts_forget_the_model_that_was_asked_for_longest_ago() -> None:
    counts = Counts()
    assert [counts.next("a"), counts.next("b"), counts.next("a")] == [1, 1, 2]
    for number in range(MODELS_COUNTED_MAX - 1):
        counts.next(f"model-{number}")
    assert [counts.next("b"), counts.next("a")] == [1, 1]
    counts.clear()
    assert counts.next("a") == 1


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
async def test_models_lists_an_example_of_every_fault(provider: FakeProvider, path: str) -> None:
    seen = await get(provider, path)
    assert [model["id"] for model in seen.json["data"]] == list(MODELS)
    assert seen.json["object"] == "list"


async def test_models_in_anthropics_form(provider: FakeProvider) -> None:
    seen = await get(provider, "/v1/models", "anthropic-version: 2023-06-01\r\n")
    assert (seen.json["first_id"], seen.json["has_more"]) == ("fake", False)
    assert seen.json["data"][0]["type"] == "model"


async def test_one_model_is_shown_or_404(provider: FakeProvider) -> None:
    assert (await get(provider, "/v1/models/vendor/fake")).json["id"] == "vendor/fake"
    assert (await get(provider, "/v1/models/fake%2Bnope")).status == 404


async def test_models_needs_a_key(provider: FakeProvider) -> None:
    sent = b"GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n"
    assert (await exchange(provider, sent)).status == 401


async def test_row_tells_request_and_answer(provider: FakeProvider) -> None:
    seen = await stream(provider, "fake", CHAT)
    row = provider.journal[-1]
    assert (row.method, row.path, row.model, row.status) == ("POST", CHAT, "fake", 200)
    assert row.body["messages"][0]["content"] == "Say hello, please"
    assert (row.prompt_tokens, row.completion_tokens) == (3, 3)
    assert row.events_sent == len(seen.events) == 6
    assert row.arrived_s <= row.head_s <= row.first_byte_s <= row.ended_s
    assert row.outcome == "complete"


async def test_answers_to_equal_requests_differ_only_by_their_number(
    provider: FakeProvider,
) -> None:
    one, two = [(await ask(provider, "fake")).json for _ in range(2)]
    assert one["id"] != two["id"]
    assert one["choices"] == two["choices"]
    assert msgspec.json.encode(one["usage"]) == msgspec.json.encode(two["usage"])
