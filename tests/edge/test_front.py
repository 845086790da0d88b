"""Requests as bytes: however they come, each is answered once, in order, on its connection."""

from __future__ import annotations

import asyncio

import pytest

from peer import CHAT, PATIENCE_S, ask, body, chat, peer, plain, post


async def test_a_chat_request_is_answered_with_its_content_and_headers(gate):
    answer = await chat(gate)
    assert answer.status == 200
    assert "Hello" in answer.text
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["date"].endswith("GMT")


async def test_a_connection_serves_request_after_request(gate):
    async with peer(gate) as client:
        for n in range(5):
            await client.send(post(gate, body(content=f"number {n}")))
            assert f"number {n}" in (await client.answer()).text


async def test_a_stream_ends_and_the_connection_goes_on(gate):
    async with peer(gate) as client:
        await client.send(post(gate, body(stream=True)))
        answer = await client.answer()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["transfer-encoding"] == "chunked"
        assert b"data: [DONE]\n\n" in answer.body
        assert "Hello" in answer.text
        await client.send(post(gate))
        assert (await client.answer()).status == 200


async def test_a_request_may_be_cut_anywhere(gate):
    data = post(gate)
    async with peer(gate) as client:
        for at in range(1, len(data)):
            await client.send(data[:at])
            await client.turn()
            await client.send(data[at:])
            assert (await client.answer()).status == 200, at


async def test_a_request_may_come_byte_by_byte(gate):
    async with peer(gate) as client:
        for byte in post(gate):
            await client.send(bytes((byte,)))
            await client.turn()
        assert (await client.answer()).status == 200


async def test_a_get_may_be_cut_anywhere(gate):
    data = plain(gate, "/v1/models")
    for at in range(1, len(data), 7):
        async with peer(gate) as client:
            await client.send(data[:at])
            await client.turn()
            await client.send(data[at:])
            assert (await client.answer()).json["object"] == "list"


async def test_chunked_bodies_are_put_together(gate):
    data = body()
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(data[i : i + 9]), data[i : i + 9]) for i in range(0, len(data), 9)
    )
    head = post(gate, b"", content_length=None, transfer_encoding="chunked")
    assert "Hello" in (await ask(gate, head + chunks + b"0\r\n\r\n")).text


# --- Sent ahead ----------------------------------------------------------------------------------


async def test_requests_sent_ahead_are_answered_in_order(gate):
    async with peer(gate) as client:
        await client.send(b"".join(post(gate, body(content=f"number {n}")) for n in range(10)))
        for n in range(10):
            assert f"number {n}" in (await client.answer()).text


async def test_a_slow_answer_holds_back_those_sent_after_it(gate, fake):
    async with peer(gate) as client:
        await client.send(post(gate, body("up/fake+first-byte=0.3")) + post(gate))
        await client.turn()
        await client.send(post(gate, body(content="third")))
        assert "fake" in (await client.answer()).json["model"]
        assert "Hello" in (await client.answer()).text
        assert "third" in (await client.answer()).text


async def test_a_stream_and_requests_sent_ahead_do_not_mix(gate):
    async with peer(gate) as client:
        await client.send(post(gate, body(stream=True)) + post(gate))
        assert (await client.answer()).body.rstrip().startswith(b"data: ")
        assert "Hello" in (await client.answer()).text


async def test_too_many_requests_sent_ahead_end_the_connection_after_an_answer(gate):
    async with peer(gate) as client:
        await client.send(post(gate) * 200)
        first = await client.answer()
        assert first.status == 200
        await client.rest()
    assert (await chat(gate)).status == 200


async def test_a_get_sent_while_an_answer_is_under_way_is_served_after_it(gate, fake):
    async with peer(gate) as client:
        await client.send(post(gate, body("up/fake+first-byte=0.2")))
        await fake.journal.wait_for(lambda row: True, PATIENCE_S)
        await client.send(plain(gate, "/v1/models"))
        assert (await client.answer()).json["object"] == "chat.completion"
        assert (await client.answer()).json["object"] == "list"


async def test_a_get_in_the_same_packet_does_not_repeat_or_lose_the_chat(gate, fake):
    async with peer(gate) as client:
        await client.send(post(gate, body("up/fake")) + plain(gate, "/v1/models"))
        assert (await client.answer()).json["object"] == "chat.completion"
        # The connection ends: the client sends the GET again on another one.
        assert await client.rest() == b""
    assert len(fake.journal) == 1


async def test_half_a_head_after_a_request_does_not_hurt_its_answer(house, fake):
    gate = await house("[limits]\nheader_timeout_s = 0.2\n")
    async with peer(gate) as client:
        await client.send(post(gate, body("up/fake+first-byte=2.5")) + b"POST /v1/ch")
        assert (await client.answer()).status == 200


async def test_half_a_get_after_a_request_is_not_lost(gate):
    data = plain(gate, "/v1/models")
    async with peer(gate) as client:
        await client.send(post(gate))
        await client.answer()
        await client.send(data[:11])
        await client.turn()
        await client.send(data[11:])
        assert (await client.answer()).json["object"] == "list"


async def test_garbage_after_a_request_does_not_hurt_its_answer(gate, fake):
    async with peer(gate) as client:
        await client.send(post(gate, body("up/fake+first-byte=0.2")))
        await fake.journal.wait_for(lambda row: True, PATIENCE_S)
        await client.send(b"\x16\x03\x01 garbage\r\n\r\n")
        assert (await client.answer()).status == 200
        await client.rest()


async def test_empty_lines_between_requests_are_ignored(gate):
    async with peer(gate) as client:
        for _ in range(2):
            await client.send(b"\r\n" + post(gate) + b"\r\n")
            assert (await client.answer()).status == 200


async def test_megabytes_sent_ahead_are_not_kept(gate, fake):
    async with peer(gate) as client:
        await client.send(post(gate, body("up/fake+first-byte=0.5")))
        await fake.journal.wait_for(lambda row: True, PATIENCE_S)
        client.writer.write(post(gate, body(content="x" * 3_000_000)))
        await client.turn()
        (connection,) = gate.door.connections
        assert len(connection._ahead) < 1 << 20
        assert (await client.answer()).json["object"] == "chat.completion"


# --- One connection, two servers -----------------------------------------------------------------


async def test_a_connection_that_began_with_a_get_serves_chat_and_streams_too(gate):
    async with peer(gate) as client:
        await client.send(plain(gate, "/v1/models"))
        assert (await client.answer()).json["object"] == "list"
        await client.send(post(gate))
        assert "Hello" in (await client.answer()).text
        await client.send(post(gate, body(stream=True)))
        streamed = await client.answer()
        assert "Hello" in streamed.text
        assert b"data: [DONE]\n\n" in streamed.body
        await client.send(plain(gate, "/livez"))
        assert (await client.answer()).json == {"status": "ok"}


async def test_a_connection_that_began_with_chat_serves_the_rest_too(gate):
    async with peer(gate) as client:
        await client.send(post(gate))
        assert (await client.answer()).status == 200
        for path in ("/v1/models", "/livez", "/readyz"):
            await client.send(plain(gate, path))
            assert (await client.answer()).status == 200
        await client.send(post(gate))
        assert (await client.answer()).status == 200


async def test_both_forms_send_the_same_headers(gate):
    async with peer(gate) as client:
        await client.send(post(gate, body("up/fake")))
        hot = await client.answer()
        await client.send(plain(gate, "/livez"))
        await client.answer()
        await client.send(post(gate, body("up/fake")))
        cold = await client.answer()
    assert hot.headers.keys() - {"date"} == cold.headers.keys() - {"date"}


# --- Versions and options of HTTP ----------------------------------------------------------------


async def test_http_1_0_is_answered_and_closed(gate):
    async with peer(gate) as client:
        await client.send(post(gate, version="1.0"))
        answer = await client.answer()
        assert (answer.status, answer.closes) == (200, True)
        assert await client.rest() == b""


@pytest.mark.parametrize("connection", [None, "keep-alive"])
async def test_an_http_1_0_stream_has_no_chunks_and_ends_with_its_connection(gate, connection):
    async with peer(gate) as client:
        await client.send(post(gate, body(stream=True), version="1.0", connection=connection))
        answer = await client.answer()
        assert "transfer-encoding" not in answer.headers
        assert "Hello" in answer.text
        assert b"data: [DONE]\n\n" in answer.body


async def test_an_http_1_0_request_sent_ahead_does_not_change_the_stream_under_way(gate, fake):
    async with peer(gate) as client:
        await client.send(post(gate, body("up/fake+slow=0.05", stream=True)))
        await client.send(post(gate, version="1.0"))
        assert b"data: [DONE]\n\n" in (await client.answer()).body


async def test_connection_close_closes(gate):
    async with peer(gate) as client:
        await client.send(post(gate, connection="close"))
        assert (await client.answer()).closes
        assert await client.rest() == b""


async def test_nothing_is_done_for_what_follows_a_close(gate, fake):
    async with peer(gate) as client:
        await client.send(
            post(gate, body("up/fake"), connection="close") + post(gate, body("up/fake"))
        )
        assert (await client.answer()).status == 200
        assert await client.rest() == b""
    assert len(fake.journal) == 1


async def test_whoever_waits_for_leave_to_send_a_body_gets_it(gate):
    head, _, data = post(gate, expect="100-continue").partition(b"\r\n\r\n")
    async with peer(gate) as client:
        await client.send(head + b"\r\n\r\n")
        assert (await client.head()).status == 100
        await client.send(data)
        assert (await client.answer()).status == 200


async def test_whoever_announces_too_much_gets_no_leave(house):
    gate = await house("[limits]\nbody_bytes = 1000\n")
    async with peer(gate) as client:
        await client.send(post(gate, b"", expect="100-continue", content_length="1001"))
        answer = await client.answer()
        assert (answer.status, answer.code) == (413, "request_too_large")


async def test_leave_is_not_given_in_the_middle_of_another_answer(gate, fake):
    head, _, data = post(gate, expect="100-continue").partition(b"\r\n\r\n")
    async with peer(gate) as client:
        await client.send(post(gate, body("up/fake+first-byte=0.2")) + head + b"\r\n\r\n" + data)
        assert (await client.answer()).json["object"] == "chat.completion"
        answer = await client.answer()
        assert (await client.answer() if answer.status == 100 else answer).status == 200


async def test_an_offer_to_speak_http_2_is_declined_silently(gate):
    upgrade = {
        "connection": "Upgrade, HTTP2-Settings",
        "upgrade": "h2c",
        "http2_settings": "AAMAAABk",
    }
    async with peer(gate) as client:
        for _ in range(3):
            await client.send(post(gate, **upgrade))
            assert "Hello" in (await client.answer()).text


async def test_an_offer_to_speak_http_2_with_a_get_is_declined_silently(gate):
    lines = "connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "http2-settings: AAMAAABk"
    async with peer(gate) as client:
        await client.send(plain(gate, "/livez", "GET", *lines))
        assert (await client.answer()).status == 200
        await client.send(post(gate))
        assert (await client.answer()).status == 200
        # On a connection that uvicorn has, such an offer ends it after the answer.
        await client.send(plain(gate, "/livez", "GET", *lines))
        assert (await client.answer()).status == 200
        assert await client.rest() == b""


async def test_an_offer_is_declined_also_when_the_request_comes_in_pieces(gate):
    data = post(gate, body("echo"), connection="upgrade", upgrade="h2c")
    async with peer(gate) as client:
        for at in (20, len(data) - 30, len(data) - 1):
            await client.send(data[:at])
            await client.turn()
            await client.send(data[at:])
            assert "Hello" in (await client.answer()).text


@pytest.mark.parametrize(
    "path", [f"{CHAT}?api-version=1", "/chat/completions", "http://[::1]:9/{}"]
)
async def test_the_path_may_have_a_query_no_prefix_or_the_host_once_more(gate, path):
    path = path.replace("/{}", CHAT)
    assert (await ask(gate, post(gate, path=path, host="[::1]:9"))).status == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_other_methods_on_a_hot_path_are_refused_by_name(gate, method):
    async with peer(gate) as client:
        await client.send(plain(gate, CHAT, method))
        answer = await client.answer(bodiless=method == "HEAD")
        assert answer.status == 405
        assert answer.headers["allow"] == "POST"
        if method != "HEAD":
            assert answer.code == "method_not_allowed"


async def test_an_unknown_path_is_not_found(gate):
    answer = await ask(gate, plain(gate, "/v1/nothing"))
    assert (answer.status, answer.code) == (404, "not_found")
    answer = await ask(gate, post(gate, path="/v1/nothing"))
    assert (answer.status, answer.code) == (404, "not_found")


async def test_many_connections_at_once_are_all_answered(gate):
    answers = await asyncio.gather(*(chat(gate, content=f"number {n}") for n in range(50)))
    for n, answer in enumerate(answers):
        assert f"number {n}" in answer.text
