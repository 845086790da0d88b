"""Alive is not ready: /readyz tells what is wrong in a word, without a key and without a detail."""

from __future__ import annotations

import asyncio

import pytest

import onnx_models
import postgres_service
from crowd import until
from gatemill.edge.server import _loads
from house_for_tests import opened
from peer import PATIENCE_S, ask, plain

CHECKS = {"ledger": "ok", "accepting": "ok", "models": "ok"}


async def asked(gate, path, *lines):
    return await ask(gate, plain(gate, path, "GET", *lines))


async def readiness(home):
    """Status and checks, asked as a balancer does; alive it is in any case."""
    bare = f"GET /readyz?verbose HTTP/1.1\r\nhost: 127.0.0.1:{home.port}\r\n\r\n".encode()
    said = await ask(home, bare)
    assert (await asked(home, "/livez")).status == 200
    assert (await asked(home, "/readyz")).json.keys() == {"status"}
    return said.status, said.json["checks"]


async def test_it_is_unready_while_models_load_at_the_start_and_ready_though_one_failed(tmp_path):
    folder = onnx_models.folder(tmp_path / "embed", "embed")
    model = '[local.{0}]\ntask = "embed"\nsource = "file:{1}"\npreload = true\n'
    config = model.format("good", folder) + model.format("bad", tmp_path / "none")
    async with opened(tmp_path, config) as home:
        shelf = home.home.rooms.shelf
        home.shown.loading = lambda: _loads(shelf)
        await until(lambda: not _loads(shelf), PATIENCE_S)
        assert await readiness(home) == (200, CHECKS)
        assert {one.name: one.state for one in shelf.states()} == {"good": "ready", "bad": "failed"}
        # Another one after the start is no reason to send requests elsewhere.
        forever = asyncio.ensure_future(asyncio.Event().wait())
        shelf.preload(["bad"])
        assert not _loads(shelf)
        shelf.first.append(forever)
        assert await readiness(home) == (503, CHECKS | {"models": "loading"})
        forever.cancel()


async def test_it_is_unready_while_it_leaves_and_still_answers(house):
    home = await house()
    home.door.leave()
    assert await readiness(home) == (503, CHECKS | {"accepting": "draining"})
    said = await asked(home, "/v1/models")
    assert said.status == 200


@pytest.fixture
def postgres():
    with postgres_service.database() as url:
        yield url


async def test_it_is_unready_without_its_database(tmp_path, postgres):
    server, _, name = postgres.rpartition("/")
    async with opened(tmp_path, f'[stores]\ndatabase = "{postgres}"\n') as home:
        assert await readiness(home) == (200, CHECKS)
        stop = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        await asyncio.to_thread(
            postgres_service.command, server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"
        )
        await asyncio.to_thread(postgres_service.command, server, stop)
        await until(lambda: not home.home.ledger.healthy(), PATIENCE_S)
        assert await readiness(home) == (503, CHECKS | {"ledger": "failing"})
        said = (await asked(home, "/readyz?verbose")).body.decode()
        assert name not in said
        await asyncio.to_thread(
            postgres_service.command, server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"
        )
        await until(home.home.ledger.healthy, PATIENCE_S)
        assert await readiness(home) == (200, CHECKS)
