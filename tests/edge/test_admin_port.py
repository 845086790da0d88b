"""Administration on a port of its own: each listener answers its side, and nothing of the other."""

from __future__ import annotations

import asyncio

import pytest
from websockets.exceptions import InvalidStatus

from cli_run import process
from gatemill.edge.listening import listen
from gatemill.edge.sides import ADMIN, PUBLIC
from line import line
from peer import CHAT, PATIENCE_S, ask, body, peer, plain, post
from running import serve

INFERENCE = (CHAT, "/v1/embeddings", "/v1/messages", "/v1/responses", "/api/v1/inference")
ADMINISTRATION = ("/api/v1/keys", "/api/v1/teams", "/api/v1/audit", "/metrics", "/docs")


class Place:
    """One listener of a house, for those who ask it."""

    def __init__(self, gate, server) -> None:
        self.port = server.sockets[0].getsockname()[1]
        self.key = gate.key


@pytest.fixture
async def places(gate):
    """The two listeners of one house: public, admin."""
    servers = [await listen(gate.door, "127.0.0.1", 0, side) for side in (PUBLIC, ADMIN)]
    yield [Place(gate, server) for server in servers]
    for server in servers:
        server.close()


async def statuses(place, paths) -> set[int]:
    return {(await ask(place, plain(place, path))).status for path in paths}


async def test_each_side_answers_its_own_and_says_of_the_rest_that_there_is_no_such_path(places):
    public, admin = places
    assert await statuses(admin, ADMINISTRATION) == {200}
    assert await statuses(public, ADMINISTRATION) == {404}
    assert await statuses(public, ("/livez", "/readyz")) == {200}
    assert await statuses(admin, ("/livez", "/readyz")) == {200}
    assert (await ask(public, post(public))).status == 200
    for path in INFERENCE:
        assert (await ask(admin, post(admin, path=path))).status == 404, path


async def test_a_method_that_a_path_has_not_tells_nothing_of_the_other_side(places):
    public, admin = places
    for place, path, allowed in (
        (public, "/api/v1/keys", None),
        (public, "/metrics", None),
        (public, "/v1/jobs", "GET, POST"),
        (admin, CHAT, None),
        (admin, "/v1/jobs", "GET"),
        (admin, "/api/v1/keys", "GET, POST"),
    ):
        said = await ask(place, plain(place, path, "PUT"))
        assert said.headers.get("allow") == allowed, path
        assert said.status == (405 if allowed else 404), path


async def test_also_on_a_connection_that_asked_something_else_before(places):
    public, admin = places
    async with peer(public) as client:
        for data, status in (
            (plain(public, "/livez"), 200),
            (plain(public, "/api/v1/keys"), 404),
            (post(public), 200),
            (plain(public, "/api/v1/keys"), 404),
        ):
            await client.send(data)
            assert (await client.answer()).status == status
    async with peer(admin) as client:
        for data, status in (
            (plain(admin, "/livez"), 200),
            (post(admin), 404),
            (plain(admin, "/api/v1/keys"), 200),
            (post(admin), 404),
        ):
            await client.send(data)
            assert (await client.answer()).status == status


@pytest.mark.parametrize(
    "path",
    [
        "//api/v1/keys",
        "/x/../api/v1/keys",
        "/api/v1/keys/",
        "/API/v1/keys",
        "/api/v1/keys;x",
        "/%61pi/v1/keys",
    ],
)
async def test_no_other_spelling_leads_to_the_other_side(places, path):
    public, _admin = places
    assert (await ask(public, plain(public, path))).status == 404
    said = plain(public, path).replace(b"GET /", b"GET http://127.0.0.1:%d/" % public.port, 1)
    said = said.replace(b"host: ", b"x-original-url: /api/v1/keys\r\nhost: ", 1)
    assert (await ask(public, said)).status == 404


async def test_the_admin_side_opens_no_websocket_for_inference(places):
    public, admin = places
    async with line(public) as ours:
        await ours.ask()
        assert (await ours.answer())[-1]["type"] == "done"
    with pytest.raises(InvalidStatus) as refused:
        async with line(admin):
            pass
    assert refused.value.response.status_code == 404


async def test_both_drain(gate, fake, places):
    public, admin = places
    async with peer(public) as asking, peer(admin) as idle:
        await asking.send(post(public, body("up/fake+first-byte=0.3")))
        await fake.journal.wait_for(lambda row: True, PATIENCE_S)
        await idle.send(plain(admin, "/livez"))
        assert (await idle.answer()).status == 200
        gate.door.drain()
        assert await idle.rest() == b""
        assert (await asking.answer()).status == 200
        async with asyncio.timeout(PATIENCE_S):
            await gate.door.empty.wait()
    assert (await ask(admin, plain(admin, "/readyz"))).status == 503
    assert (await ask(public, plain(public, "/readyz"))).status == 503


def test_a_server_with_an_admin_port_says_where_it_is(tmp_path):
    with serve(tmp_path, "[server]\nadmin_port = 0\n") as running:
        (ready,) = [row for row in running.lines() if row.get("event") == "ready"]
        url = str(ready["admin"])
        assert url != running.url
        asyncio.run(_sides(running, int(url.rpartition(":")[2])))


async def _sides(running, port: int) -> None:
    class Other:
        key = running.key

    other = Other()
    other.port = port
    assert await statuses(running, ("/api/v1/keys",)) == {404}
    assert await statuses(other, ("/api/v1/keys",)) == {200}
    assert (await ask(other, post(other))).status == 404


def test_administration_that_others_reach_needs_an_admin_key_before_the_start(tmp_path):
    at = {"GATEMILL_SERVER__ADMIN_PORT": "0", "GATEMILL_SERVER__ADMIN_HOST": "0.0.0.0"}
    done = process("serve", "--port", "0", cwd=tmp_path, **at)
    assert done.code == 1
    assert "0.0.0.0 can be reached by others, and there is no admin key" in done.err
