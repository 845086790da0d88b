"""Spans as a receiver of OTLP gets them, and how traces go through the gateway."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from api import CHAT, api
from collector import collecting
from gatemill.core.trace import parse
from jobs_over_http import CHAT_ARGS, JOBS, ended

THEIRS = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{THEIRS}-{SPAN}-01", f"00-{THEIRS}-{SPAN}-00"
SERVER, CLIENT, INTERNAL, CONSUMER = 2, 3, 1, 5
SECRET = "tell nobody of the blue door"
CONFIG = """
[models.echo]
targets = ["echo/echo"]
[models.shaky]
targets = ["up/gpt+status=500"]
fallbacks = ["claude"]
[models.claude]
targets = ["claude/claude-x"]
[models.mine]
targets = ["mine/m"]
[providers.up]
kind = "openai"
base_url = "{fake}/v1"
api_key = "sk-upstream-key"
[providers.mine]
kind = "vllm"
base_url = "{fake}/v1"
api_key = "sk-upstream-key"
internal = true
[providers.claude]
kind = "anthropic"
base_url = "{fake}"
api_key = "sk-ant-upstream"
[retries]
attempts_max = 2
[telemetry]
endpoint = "{url}"
headers.x-token = "let-me-in-please"
{more}
"""
ALL = "sample_share = 1.0"


@pytest.fixture
def collector():
    with collecting() as found:
        yield found


@pytest.fixture
def traced(tmp_path, fake, collector):
    """Opens a house whose spans go to the collector; the argument is more of [telemetry]."""
    from house_for_tests import opened

    @asynccontextmanager
    async def start(more: str = ALL, **options):
        config = CONFIG.format(fake=fake.url, url=collector.url, more=more)
        async with opened(tmp_path, config, **options) as gate, api(gate) as ask:
            yield gate, ask

    return start


def chat(model: str, **more):
    return {"model": model, "messages": [{"role": "user", "content": SECRET}], **more}


async def test_a_chat_with_a_fallback_is_a_server_span_with_an_attempt_below_it_each(
    traced, collector
):
    async with traced() as (_, ask):
        said = await ask("POST", CHAT, chat("shaky", max_tokens=9), traceparent=UNSAMPLED)
        assert said.status == 200, said.body
        await asyncio.to_thread(collector.until, lambda it: len(it.spans) >= 3)
        (server,) = collector.named(f"POST {CHAT}")
        failed, good = sorted(
            (span for span in collector.spans if span.parent == server.id),
            key=lambda it: it.start_s,
        )
    assert (server.kind, server.trace, server.parent, server.error) == (SERVER, THEIRS, SPAN, "")
    assert said.headers["x-gatemill-trace-id"] == THEIRS
    assert server.attributes["http.response.status_code"] == 200
    assert server.attributes["http.request.method"] == "POST"
    assert server.attributes["url.path"] == CHAT
    assert server.attributes["gatemill.request.id"] == said.headers["x-request-id"]
    assert server.attributes["gatemill.attempts"] == 2
    assert (failed.kind, failed.trace, failed.error) == (CLIENT, THEIRS, "upstream_error")
    assert failed.attributes["error.type"] == "upstream_error"
    assert (good.kind, good.trace, good.error) == (CLIENT, THEIRS, "")
    assert good.name == "chat claude-x"
    said_of = good.attributes
    assert said_of["gen_ai.operation.name"] == "chat"
    assert said_of["gen_ai.provider.name"] == "anthropic"
    assert said_of["gen_ai.request.model"] == "claude-x"
    assert said_of["gen_ai.request.max_tokens"] == 9
    assert said_of["gen_ai.usage.output_tokens"] > 0
    assert said_of["server.address"] == "127.0.0.1"
    assert server.start_s <= failed.start_s <= failed.end_s <= good.start_s <= good.end_s
    assert good.end_s <= server.end_s + 1e-3
    assert [name for name, _ in good.events] == ["gatemill.first_token"]
    assert server.resource["service.name"] == "gatemill"
    assert collector.paths[0] == "/v1/traces"
    assert collector.headers[0]["x-token"] == "let-me-in-please"
    assert SECRET not in repr(collector.spans)


async def test_rows_and_lines_carry_the_trace_and_when_each_attempt_began(
    traced, collector, tmp_path
):
    async with traced() as (gate, ask):
        await ask("POST", CHAT, chat("shaky"), traceparent=SAMPLED)
        await gate.home.ledger.flushed()
        second, first = await gate.home.ledger.recent(10)
    assert f'"trace_id":"{THEIRS}"' in (tmp_path / "log.jsonl").read_text()
    assert (first.trace_id, second.trace_id) == (THEIRS, THEIRS)
    assert 0 < first.offset_ms < second.offset_ms


async def test_a_stream_tells_of_its_first_token(traced, collector):
    async with traced() as (_, ask):
        said = await ask("POST", CHAT, chat("mine", stream=True))
        assert said.status == 200
        await asyncio.to_thread(collector.until, lambda it: len(it.spans) >= 2)
        (server,) = collector.named(f"POST {CHAT}")
        (attempt,) = collector.named("chat m")
    assert said.headers["x-gatemill-trace-id"] == server.trace == attempt.trace
    assert server.parent == ""
    assert attempt.attributes["gen_ai.request.stream"] is True
    assert attempt.attributes["gen_ai.response.time_to_first_chunk"] > 0
    ((name, at_s),) = attempt.events
    assert name == "gatemill.first_token"
    assert attempt.start_s <= at_s <= attempt.end_s


async def test_a_job_has_a_trace_of_its_own_linked_to_whoever_submitted_it(traced, collector):
    async with traced(works=True) as (_, ask):
        said = await ask("POST", JOBS, {"kind": "chat.completion", "args": CHAT_ARGS})
        await ended(ask, said.json["id"])
        later = await ask("POST", CHAT, {**chat("echo")}, prefer="respond-async")
        assert later.status == 202
        await ended(ask, later.json["id"])
        await asyncio.to_thread(
            collector.until, lambda it: len(it.named("job chat.completion")) == 2
        )
        await asyncio.to_thread(collector.until, lambda it: len(it.named("chat echo")) == 4)
        (submitted,) = collector.named(f"POST {JOBS}")
        (deferred,) = collector.named(f"POST {CHAT}")
        first, second = collector.named("job chat.completion")
        asked = [span for span in collector.named("chat echo") if span.trace == first.trace]
    assert submitted.attributes["http.response.status_code"] == 202
    assert first.kind == CONSUMER
    assert first.trace != submitted.trace
    assert (first.links, first.parent) == ([(submitted.trace, submitted.id)], "")
    assert second.links == [(deferred.trace, deferred.id)]
    assert first.attributes["gatemill.job.id"] == said.json["id"]
    assert first.attributes["gatemill.job.outcome"] == "succeeded"
    request, attempt = sorted(asked, key=lambda it: it.parent != first.id)
    assert (request.parent, request.kind) == (first.id, INTERNAL)
    assert (attempt.parent, attempt.kind) == (request.id, INTERNAL)  # echo is in this process
    assert request.attributes["gatemill.job.id"] == said.json["id"]


async def test_what_the_control_plane_refuses_is_told_and_health_is_not(traced, collector):
    async with traced() as (_, ask):
        for path in ("/livez", "/readyz", "/metrics"):
            assert (await ask("GET", path)).status == 200
        assert (await ask("GET", f"{JOBS}/job_that_is_not_there")).status == 404
        assert (await ask("POST", CHAT, chat("nothing-of-the-kind"))).status == 404
        await asyncio.to_thread(collector.until, lambda it: len(it.spans) >= 2)
        control, hot = sorted(collector.spans, key=lambda it: it.name)
    assert control.name == "GET /v1/jobs/{job_id}"
    assert control.attributes["error.type"] == "not_found"
    assert control.error == ""  # a fault of the caller
    assert (hot.name, hot.attributes["error.type"]) == (f"POST {CHAT}", "model_not_found")


async def test_the_caller_decides_only_where_trusted(traced, collector):
    async with traced("sample_share = 0.0\ntrust_incoming = true") as (_, ask):
        for context in (SAMPLED, UNSAMPLED, "00-nonsense"):
            said = await ask("POST", CHAT, chat("echo"), traceparent=context)
            ours = said.headers.get("x-gatemill-trace-id")
            assert ours == (THEIRS if parse(context) else None)
        await asyncio.to_thread(collector.until, lambda it: it.spans)
    assert [span.parent for span in collector.named(f"POST {CHAT}")] == [SPAN]


async def test_nobody_unknown_decides_what_is_traced(traced, collector):
    async with traced("sample_share = 0.0") as (gate, ask):
        said = await ask("POST", CHAT, chat("echo"), traceparent=SAMPLED)
        assert said.headers["x-gatemill-trace-id"] == THEIRS
        assert gate.home.gateway.tracer.waiting == 0
    assert collector.spans == []


async def test_only_ones_own_providers_hear_of_the_trace(traced, collector, fake):
    async with traced() as (_, ask):
        said = await ask("POST", CHAT, chat("mine"), traceparent=UNSAMPLED)
        await ask("POST", CHAT, chat("claude"), traceparent=UNSAMPLED)
        await asyncio.to_thread(collector.until, lambda it: len(it.spans) >= 4)
        (attempt,) = collector.named("chat m")
        assert said.status == 200
    mine, claude = fake.journal
    assert mine.header("traceparent") == f"00-{THEIRS}-{attempt.id}-01"
    assert claude.header("traceparent") == ""


async def test_a_receiver_that_hangs_or_refuses_costs_spans_and_nothing_else(traced, collector):
    collector.silent.set()
    more = f"{ALL}\nqueue_max = 3\nflush_timeout_s = 0.1"
    async with traced(more) as (gate, ask):
        tracer = gate.home.gateway.tracer
        assert (await ask("POST", CHAT, chat("echo"))).status == 200
        await asyncio.to_thread(collector.until, lambda it: it.paths)  # and it hangs from now on
        for _ in range(6):
            assert (await ask("POST", CHAT, chat("echo"))).status == 200
        page = (await ask("GET", "/metrics")).body.decode()
        assert "gatemill_telemetry_waiting 3.0" in page
        assert "gatemill_telemetry_spans_dropped_total 6.0" in page  # three requests of two spans
    assert tracer.dropped == 12  # and those that waited at the end
