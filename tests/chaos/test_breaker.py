"""A target that is half-open gets one request; what callers do never opens it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from crowd import crowd, until
from house_for_tests import Opened, opened
from peer import body, chat, peer, post

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.fake_provider.server import FakeProvider
    from gatemill.upstream.lane import LaneNumbers

CALLERS = 500
PATIENCE_S = 90.0
FAILURES = 3
CONFIG = """
[providers.up]
kind = "openai"
base_url = "{up}/v1"
api_key = "sk-up"
connections_max = 500
queue = {{ concurrency_max = 500 }}
breaker = {{ failures = 3, window_s = 60, open_s = 1, ramp_s = 0 }}
[providers.good]
kind = "openai"
base_url = "{good}/v1"
api_key = "sk-good"
[models.m]
targets = ["up/m"]
fallbacks = ["good"]
[models.good]
targets = ["good/fake"]
[models."any-*"]
targets = ["up/*"]
"""
ANSWER = msgspec.json.encode(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "I am back."},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4},
    }
)


class Recovering:
    """A provider that fails three times, and answers well as soon as it is let."""

    def __init__(self) -> None:
        self.calls = 0
        self.asked_again = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            self.calls += 1
            status, said = b"503 Unavailable", b"{}"
            if self.calls > FAILURES:
                self.asked_again.set()
                await self.may_answer.wait()
                status, said = b"200 OK", ANSWER
            writer.write(
                b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nconnection: close\r\n"
                b"content-length: %d\r\n\r\n%b" % (status, len(said), said)
            )
            await writer.drain()
        finally:
            writer.close()


def _lane(gate: Opened, label: str) -> LaneNumbers:
    now_s = gate.home.gateway.now()
    return next(each for each in gate.home.lasting.lanes.metrics(now_s) if each.label == label)


async def test_500_requests_at_once_to_a_half_open_target_are_one_call_to_it(
    tmp_path: Path, fake: FakeProvider, say: Callable[[str], None]
):
    up = Recovering()
    server = await asyncio.start_server(up.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with opened(tmp_path, CONFIG.format(up=url, good=fake.url)) as gate:
        for _ in range(FAILURES):
            assert (await chat(gate, "m")).text == "Hello from fake-provider."
        assert _lane(gate, "up/m").state == 2
        target = gate.home.gateway.routes.exact["m"].targets[0]
        await until(lambda: target.lane.is_ready(gate.home.gateway.now()), PATIENCE_S)
        assert up.calls == FAILURES
        everybody = asyncio.ensure_future(crowd([gate], [post(gate, body("m"))] * CALLERS, CALLERS))
        # All but the probe are answered by the other target, while the probe hangs.
        done = FAILURES + CALLERS - 1
        await fake.journal.wait_for(lambda row: row.sequence == done, PATIENCE_S)
        assert up.asked_again.is_set()
        assert up.calls == FAILURES + 1
        assert _lane(gate, "up/m").state == 1
        up.may_answer.set()
        told = await everybody
        texts = [each.answer.text for each in told]
        assert texts.count("I am back.") == 1
        assert texts.count("Hello from fake-provider.") == CALLERS - 1
        assert _lane(gate, "up/m").state == 0
        assert (await chat(gate, "m")).text == "I am back."
    server.close()
    say(f"{CALLERS} requests while half-open: {CALLERS} answered, 1 call to the target")


async def test_500_callers_who_hang_up_do_not_open_the_breaker(
    tmp_path: Path, fake: FakeProvider, say: Callable[[str], None]
):
    model = f"any-fake+first={CALLERS}+hang"
    async with opened(tmp_path, CONFIG.format(up=fake.url, good=fake.url)) as gate:
        async with AsyncExitStack() as stack:
            for number in range(CALLERS):
                client = await stack.enter_async_context(peer(gate))
                await client.send(post(gate, body(model, stream=number % 2 == 0)))
            await fake.journal.wait_for(lambda row: row.sequence == CALLERS, PATIENCE_S)
        await until(lambda: gate.home.gateway.meter.in_flight == 0, PATIENCE_S)
        lane = _lane(gate, f"up/{model}")
        assert (lane.opened, lane.state, lane.in_flight, lane.limit) == (0, 0, 0, CALLERS)
        assert (await chat(gate, model)).status == 200
        await gate.home.ledger.flushed()
        errors = [row.error for row in await gate.home.ledger.recent(1000)]
    assert errors == ["", *["client_closed_request"] * CALLERS]
    say(f"{CALLERS} callers hung up: breaker closed, {len(errors)} rows for {CALLERS + 1} calls")


async def test_mistakes_of_callers_do_not_open_the_breaker(
    tmp_path: Path, fake: FakeProvider, say: Callable[[str], None]
):
    mistakes = ("status=400", "status=404", "status=413", "status=422")
    mistakes += ("context-length", "content-policy")
    async with opened(tmp_path, CONFIG.format(up=fake.url, good=fake.url)) as gate:
        models = [f"any-fake+{mistake}" for mistake in mistakes] * 50
        requests = [post(gate, body(model)) for model in models]
        told = await crowd([gate], requests, 50)
        lanes = [_lane(gate, f"up/{model}") for model in set(models)]
    assert len(fake.journal) == len(models)
    assert {each.status // 100 for each in told} <= {4, 5}
    assert [(lane.label, lane.opened) for lane in lanes if lane.opened] == []
    say(f"{len(models)} refused requests of {len(lanes)} kinds: no breaker opened")
