"""Chat over a WebSocket, with a client that knows nothing of us."""

from __future__ import annotations

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

import heavy
from gatemill.edge.asgi import Buffer
from gatemill.edge.socket import Session
from line import HELLO, line
from peer import PATIENCE_S, peer, plain
from playbook import Scripted


def text(heard) -> str:
    return "".join(
        one["choices"][0]["delta"].get("content") or "" for one in heard if one.get("choices")
    )


async def rows(gate):
    await gate.home.ledger.flushed()
    return await gate.home.ledger.recent(10)


async def test_chat_comes_in_chunks_with_usage_and_an_end(gate):
    async with line(gate) as ours:
        await ours.ask()
        heard = await ours.answer()
        assert "Hello" in text(heard)
        assert heard[0]["object"] == "chat.completion.chunk"
        assert heard[-2]["usage"]["prompt_tokens"] > 0
        assert heard[-1]["request_id"].startswith("req_")
    (row,) = await rows(gate)
    assert (row.operation, row.status, row.stream) == ("chat", 200, True)


async def test_several_requests_in_a_row_are_answered(gate, fake):
    async with line(gate) as ours:
        for _ in range(3):
            await ours.ask("up/fake")
            assert (await ours.answer())[-1]["type"] == "done"
    assert len(await rows(gate)) == 3


async def test_what_the_message_says_of_streams_does_not_matter(gate):
    async with line(gate) as ours:
        await ours.ask(stream=False, stream_options=None, type="chat")
        assert "Hello" in text(await ours.answer())


async def test_a_binary_message_is_read_as_well(gate):
    async with line(gate) as ours:
        await ours.socket.send(msgspec.json.encode({"model": "echo", "messages": HELLO}))
        assert "Hello" in text(await ours.answer())


async def test_a_ping_is_answered_also_during_an_answer(gate, fake):
    async with line(gate) as ours:
        await ours.say({"type": "ping"})
        assert await ours.hear() == {"type": "pong"}
        await ours.ask("up/fake+words=3+slow=0.3")
        await ours.hear()
        await ours.say({"type": "ping"})
        assert {"type": "pong"} in await ours.answer()


async def test_a_cancel_stops_the_provider_and_the_next_request_goes(gate, fake):
    async with line(gate) as ours:
        await ours.ask("up/fake+words=100+slow=0.1")
        await ours.hear()
        await ours.say({"type": "cancel"})
        assert (await ours.answer())[-1] == {"type": "cancelled"}
        row = await fake.journal.wait_for(
            lambda row: row.outcome == "client_left", heavy.within(0.5)
        )
        assert row.phase == "mid_stream"
        await ours.ask()
        assert (await ours.answer())[-1]["type"] == "done"
    newest, cancelled = await rows(gate)
    assert (newest.error, cancelled.error) == ("", "client_closed_request")


async def test_a_cancel_without_an_answer_is_confirmed(gate):
    async with line(gate) as ours:
        await ours.say({"type": "cancel"})
        assert await ours.hear() == {"type": "cancelled"}


async def test_a_second_request_during_an_answer_is_refused_and_the_first_goes_on(gate, fake):
    async with line(gate) as ours:
        await ours.ask("up/fake+words=3+slow=0.2")
        await ours.hear()
        await ours.ask()
        heard = await ours.answer()
        assert heard[-1]["error"]["code"] == "invalid_value"
        assert (await ours.answer())[-1]["type"] == "done"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "invalid_json"),
        ("[]", "invalid_json"),
        ("", "invalid_json"),
        ("{}", "missing_required_parameter"),
        ('{"model":"echo","messages":[]}', "invalid_value"),
        ('{"model":"nothing","messages":[{"role":"user","content":"x"}]}', "model_not_found"),
        ('{"model":"echo","messages":[{"role":"user","content":"x\\u0000"}]}', "invalid_value"),
        (
            '{"model":"up/fake+status=503","messages":[{"role":"user","content":"x"}]}',
            "upstream_overloaded",
        ),
    ],
)
async def test_what_cannot_be_answered_is_refused_and_the_connection_stays(gate, message, code):
    async with line(gate) as ours:
        await ours.say(message)
        refusal = await ours.hear()
        assert (refusal["type"], refusal["error"]["code"]) == ("error", code)
        await ours.ask()
        assert "Hello" in text(await ours.answer())


class Spoken:
    """A WebSocket that remembers what is sent."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def send_text(self, text: str) -> None:
        self.texts.append(text)


async def test_half_a_letter_of_a_provider_ends_no_answer(gate):
    # llama.cpp has sent the bytes of a token that holds half a letter.
    spoken = Spoken()
    session = Session(gate.door, spoken, b"", is_recorded=False)
    buffer = Buffer(Scripted())
    buffer.feed(b'data: {"a":"\xc3"}\n\ndata: [DONE]\n\n')
    buffer.close(None)
    await session._pass_on(buffer)
    assert spoken.texts == ['{"a":"\ufffd"}']


async def test_a_stream_that_breaks_is_an_error_message(gate, fake):
    async with line(gate) as ours:
        await ours.ask("up/fake+cut=2")
        heard = await ours.answer()
        assert text(heard)
        assert heard[-1]["error"]["code"] == "upstream_interrupted"


# --- Who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "gm-no-such"])
async def test_without_a_key_the_upgrade_is_refused_with_our_401(gate, key):
    with pytest.raises(InvalidStatus) as refused:
        async with line(gate, key):
            pass
    response = refused.value.response
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="gatemill"'
    assert response.headers["x-request-id"].startswith("req_")
    assert msgspec.json.decode(response.body)["error"]["code"] == "invalid_api_key"


async def test_a_browser_sends_its_key_as_a_subprotocol(gate):
    offers = ["gatemill", f"gatemill-key.{gate.key}"]
    async with line(gate, None, subprotocols=offers) as ours:
        assert ours.socket.subprotocol == "gatemill"
        await ours.ask()
        assert "Hello" in text(await ours.answer())


async def test_other_paths_have_no_websocket(gate):
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"ws://127.0.0.1:{gate.port}/v1/nothing", proxy=None):
            pass
    assert refused.value.response.status_code in (403, 404)


async def test_a_foreign_host_is_refused(gate):
    url = f"ws://evil.example:{gate.port}/v1/chat/stream"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, host="127.0.0.1", proxy=None):
            pass
    assert refused.value.response.status_code == 421


# --- Limits and ends -----------------------------------------------------------------------------


async def test_an_oversize_message_closes_the_connection(house):
    gate = await house("[limits]\nwebsocket_message_bytes = 10000\n")
    async with line(gate) as ours:
        await ours.ask(user="x" * 20_000)
        assert await ours.closed() == 1009


async def test_a_close_in_the_middle_of_an_answer_stops_the_provider(gate, fake):
    async with line(gate) as ours:
        await ours.ask("up/fake+words=100+slow=0.1")
        await ours.hear()
        await ours.socket.close()
        row = await fake.journal.wait_for(
            lambda row: row.outcome == "client_left", heavy.within(0.5)
        )
    assert row.phase == "mid_stream"
    (written,) = await rows(gate)
    assert (written.status, written.error) == (499, "client_closed_request")


@pytest.mark.parametrize("model", ["up/fake+hang", "up/fake+stall=30"])
async def test_a_lost_connection_before_the_first_byte_stops_the_provider(gate, fake, model):
    async with line(gate) as ours:
        await ours.ask(model)
        await fake.journal.wait_for(lambda row: True, PATIENCE_S)
        ours.socket.transport.abort()
        row = await fake.journal.wait_for(
            lambda row: row.outcome == "client_left", heavy.within(0.5)
        )
    assert row.phase.startswith("before")
    (written,) = await rows(gate)
    assert written.error == "client_closed_request"


async def test_an_open_websocket_counts_as_a_connection(house):
    gate = await house("[limits]\nconnections = 1\n")
    async with line(gate) as ours:
        await ours.say({"type": "ping"})
        await ours.hear()
        gate.door.sweep()
        assert len(gate.door.connections) == 1
        async with peer(gate) as second:
            assert (await second.answer()).status == 503


async def test_a_websocket_whose_peer_stops_reading_is_cut(house, fake):
    gate = await house("[limits]\nwrite_stall_s = 0.5\n")
    async with line(gate, max_queue=1) as ours:
        await ours.ask("up/fake+words=1000000")
        await ours.hear()
        row = await fake.journal.wait_for(lambda row: row.outcome == "client_left", PATIENCE_S)
    assert row.events_sent < 500_000
    assert gate.door.cut == 1


async def test_a_connection_that_served_requests_can_become_a_websocket(gate):
    async with peer(gate) as client:
        await client.send(plain(gate, "/livez"))
        await client.answer()
        lines = "upgrade: websocket", "connection: Upgrade", "sec-websocket-version: 13"
        key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="
        await client.send(plain(gate, "/v1/chat/stream", "GET", *lines, key))
        assert (await client.head()).status == 101
