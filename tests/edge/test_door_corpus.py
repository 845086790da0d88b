"""Every way to spoil a request, at every way through the door: one refusal, a closed connection, nothing done."""

from __future__ import annotations

import pytest

from door_vectors import vectors
from good_request import Good, Vector
from peer import CHAT, body, peer, post

FORM = (
    b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{}\r\n--b--\r\n'
)
WEBSOCKET = (
    b"connection: Upgrade",
    b"upgrade: websocket",
    b"sec-websocket-version: 13",
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
)


def good_one(gate, door: str) -> Good:
    key, host = b"authorization: Bearer %b" % gate.key.encode(), b"127.0.0.1:%d" % gate.port
    json, form = b"content-type: application/json", b"content-type: multipart/form-data; boundary=b"
    return {
        "hot": Good(b"POST", CHAT.encode(), (key, json), body("up/fake"), host),
        "control": Good(b"POST", b"/api/v1/keys", (key, json), b'{"name":"canary"}', host),
        "upload": Good(b"POST", b"/v1/files", (key, form), FORM, host),
        "socket": Good(b"GET", b"/v1/chat/stream", (key, *WEBSOCKET), b"", host),
    }[door]


async def answers(gate, data: bytes) -> bytes:
    """All that comes back, until the connection is closed."""
    async with peer(gate) as client:
        client.writer.write(data)
        return await client.rest()


def mistake(vector: Vector, said: bytes) -> str:
    """What is wrong with an answer; "" for nothing."""
    head, _, rest = said.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    length = next((line[16:] for line in lines if line.startswith(b"content-length: ")), b"0")
    if not status.startswith(b"HTTP/1.1 ") or int(status[9:12]) not in vector.statuses:
        return f"{vector.name}: {said[:300]!r}"
    if b"connection: close" not in lines or b"x-request-id: req_" not in head:
        return f"{vector.name}: the connection goes on, or has no id: {head!r}"
    return "" if len(rest) == int(length) else f"{vector.name}: more than one answer: {said!r}"


@pytest.mark.parametrize("door", ["hot", "control", "upload", "socket"])
async def test_each_spoilt_request_is_refused_once_and_what_it_hides_is_never_done(
    gate, fake, door
):
    good = good_one(gate, door)
    hidden = post(gate, body("up/fake"))
    async with peer(gate) as client:
        client.writer.write(good.raw())
        status = (await client.answer(bodiless=door == "socket")).status
        assert status == {"hot": 200, "control": 201, "upload": 200, "socket": 101}[door]
    done = await work_done(gate, fake)
    spoilt = vectors(good, hidden)
    assert len(spoilt) > 250
    wrong = [mistake(vector, await answers(gate, vector.data)) for vector in spoilt]
    assert [text for text in wrong if text] == []
    assert await work_done(gate, fake) == done
    assert gate.door.sessions == set()


async def work_done(gate, fake) -> tuple[int, ...]:
    """Calls to the provider, rows, keys and files so far."""
    ledger = gate.home.ledger
    await ledger.flushed()
    rows, keys = await ledger.recent(1000), await ledger.list_keys(1000)
    return len(fake.journal), len(rows), len(keys)
