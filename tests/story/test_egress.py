"""What leaves the gateway, and where it goes: nothing that a caller sends changes either.

A canary listens on this machine; whoever connects to it was led there by a caller.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest

from api import api
from house_for_tests import opened
from indiscreet import Indiscreet
from odd_urls import TO_CANARY
from sink import Sink

CONFIG = """
[jobs]
embedded = false
[providers.direct]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream"
[providers.through]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream"
proxy = "{url}"
[providers.claude]
kind = "anthropic"
base_url = "{url}"
api_key = "sk-ant-upstream"
[models.direct]
targets = ["direct/m200"]
[models.through]
targets = ["through/m200"]
[models.claude]
targets = ["claude/m200"]
[models.redirect]
targets = ["direct/redirect"]
[models.redirect-through]
targets = ["through/redirect"]
[models.zipped]
targets = ["direct/zipped"]
[models.zipped-through]
targets = ["through/zipped"]
"""
# All headers of a request to a provider, by the model that leads there.
_ALWAYS = {"host", "user-agent", "content-type", "accept", "accept-encoding", "content-length"}
SENT = {
    "direct": _ALWAYS | {"authorization"},
    "through": _ALWAYS | {"authorization"},
    "claude": _ALWAYS | {"x-api-key", "anthropic-version"},
}
# What a caller might send in the hope that it goes on, or leads elsewhere.
HEADERS = {
    "cookie": "session=caller",
    "x-api-key": "",
    "x-forwarded-for": "10.0.0.1",
    "x-forwarded-host": "evil.example",
    "x-real-ip": "10.0.0.1",
    "forwarded": "for=10.0.0.1",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": "a=b",
    "baggage": "user=ada",
    "x-user-id": "ada",
    "x-request-id": "mine",
    "openai-organization": "org-caller",
    "openai-project": "proj-caller",
    "x-stainless-lang": "python",
    "user-agent": "Caller/1.0",
    "referer": "https://caller.example/",
    "origin": "https://caller.example",
    "x-portkey-custom-host": "{canary}",
    "x-base-url": "{canary}",
    "x-litellm-api-base": "{canary}",
    "helicone-openai-api-base": "{canary}",
}
FIELDS = {
    "api_base": "{canary}",
    "base_url": "{canary}",
    "api_key": "sk-callers-own",
    "api_type": "azure",
    "custom_llm_provider": "openai",
    "extra_headers": {"x-evil": "1", "host": "evil.example"},
    "headers": {"x-evil": "1"},
    "extra_body": {"model": "other"},
    "proxy": "{canary}",
    "organization": "org-caller",
    "host": "{canary}",
    "provider": {"base_url": "{canary}"},
    "fallbacks": [{"model": "x", "api_base": "{canary}"}],
    "model_list": [{"litellm_params": {"api_base": "{canary}"}}],
}
TURNS = [{"role": "user", "content": "hi"}]


@asynccontextmanager
async def town(tmp_path):
    async with Indiscreet(told=[]) as provider, Sink() as canary:
        provider.elsewhere = canary.url
        async with opened(tmp_path, CONFIG.format(url=provider.url)) as gate, api(gate) as ask:
            yield provider, canary, ask


@pytest.fixture
async def sites(tmp_path):
    async with town(tmp_path) as found:
        yield found


def put_in(value, url: str):
    return json.loads(json.dumps(value).replace("{canary}", url))


async def test_a_provider_gets_these_headers_and_no_other(sites):
    provider, canary, ask = sites
    for model, names in SENT.items():
        provider.told.clear()
        headers = put_in(HEADERS, canary.url)
        said = await ask(
            "POST", "/v1/chat/completions", {"model": model, "messages": TURNS}, **headers
        )
        assert said.status == 200, said.body
        (told,) = provider.told
        sent = [name for name, _ in told.headers]
        assert len(sent) == len(set(sent))
        assert set(sent) == names, model
        values = " ".join(value for _, value in told.headers)
        assert "caller" not in values.lower() and "ada" not in values
        assert dict(told.headers)["user-agent"].startswith("gatemill/")
        assert dict(told.headers)["accept-encoding"] == "identity"
    assert canary.connections == 0


async def test_a_caller_gets_none_of_the_providers_headers(sites):
    _, _, ask = sites
    for model in ("direct", "through", "claude"):
        said = await ask("POST", "/v1/chat/completions", {"model": model, "messages": TURNS})
        assert not {"set-cookie", "x-internal", "server", "x-aloud", "location"} & set(said.headers)


async def test_no_field_of_a_body_leads_anywhere(sites):
    provider, canary, ask = sites
    for name, value in FIELDS.items():
        field = {name: put_in(value, canary.url)}
        for path in ("/v1/chat/completions", "/v1/embeddings", "/v1/responses"):
            body = {"model": "direct", "messages": TURNS, "input": "hi", **field}
            said = await ask("POST", path, body)
            assert said.status < 500, (name, path, said.body)
    assert canary.connections == 0
    assert len(provider.told) > len(FIELDS)
    for told in provider.told:
        assert dict(told.headers)["authorization"] == "Bearer sk-upstream"
        assert "x-evil" not in dict(told.headers)
        assert told.model == "m200"


async def test_pictures_are_not_fetched_by_us(sites):
    provider, canary, ask = sites
    picture = {"type": "image_url", "image_url": {"url": canary.url}}
    file = {"type": "file", "file": {"file_data": canary.url, "filename": "a.pdf"}}
    for part in (picture, file):
        for model in ("direct", "claude"):
            turns = [{"role": "user", "content": [{"type": "text", "text": "hi"}, part]}]
            said = await ask("POST", "/v1/chat/completions", {"model": model, "messages": turns})
            assert said.status < 500, said.body
    assert canary.connections == 0
    assert any(canary.url.encode() in told.body for told in provider.told)


@pytest.mark.parametrize("model", ["redirect", "redirect-through"])
async def test_a_providers_redirect_is_not_followed(sites, model):
    _, canary, ask = sites
    said = await ask("POST", "/v1/chat/completions", {"model": model, "messages": TURNS})
    assert said.status == 502
    assert canary.connections == 0
    assert canary.url.encode() not in said.body


@pytest.mark.parametrize("model", ["zipped", "zipped-through"])
async def test_a_compressed_answer_that_nobody_asked_for_is_read(sites, model):
    _, _, ask = sites
    said = await ask("POST", "/v1/chat/completions", {"model": model, "messages": TURNS})
    assert said.json["choices"][0]["message"]["content"] == "an answer"
    assert "content-encoding" not in said.headers


async def test_a_url_of_a_callers_is_checked_wherever_it_can_be_written(sites):
    _, canary, ask = sites
    args = {"model": "direct", "messages": TURNS}
    ways = (
        ("/v1/jobs", lambda url: {"kind": "chat.completion", "args": args, "callback_url": url}),
        ("/v1/webhooks", lambda url: {"url": url, "events": ["*"]}),
        ("/v1/webhooks/test", lambda url: {"url": url}),
        ("/v1/predict/batch", lambda url: {"input": ["a"], "callback_url": url}),
        ("/tasks/chat/completions", lambda url: {**args, "callback_url": url}),
    )
    for form in TO_CANARY:
        url = form.format(port=canary.port)
        for path, body in ways:
            said = await ask("POST", path, body(url))
            assert said.status in (400, 422), (path, url, said.status, said.body)
    assert len(TO_CANARY) >= 60
    assert canary.connections == 0
